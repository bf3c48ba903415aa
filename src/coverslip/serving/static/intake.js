// Images come in by four ways: dropped (also whole folders), pasted, chosen, photographed.

const HIDDEN = /^(\.|Thumbs\.db$|desktop\.ini$)/i; // what systems leave in folders
let pasted = 0; // every image from the clipboard is called image.png

/** Calls `give(files, leftOut)`: [{ file, name }], name with the folder it was in; leftOut names hidden files. */
export function listen(give) {
  for (const id of ["choose", "photograph"]) {
    const input = document.getElementById(id);
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = ""; // the same image may be chosen again
      if (files.length) give(files.map((file) => ({ file, name: file.name })), []);
    });
  }
  addEventListener("paste", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.type !== "file") return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    give(files.map((file) => ({ file, name: file.name === "image.png" ? `pasted-${++pasted}.png` : file.name })), []);
  });
  listenToDrops(give);
}

function listenToDrops(give) {
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0; // dragenter and dragleave come for every element on the way
  const over = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dragging", depth > 0);
  };
  addEventListener("dragenter", (event) => { if (carries(event)) { event.preventDefault(); over(1); } });
  addEventListener("dragleave", (event) => { if (carries(event)) over(-1); });
  addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", async (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    over(-depth);
    const { files, leftOut } = await droppedFiles(event.dataTransfer);
    if (files.length || leftOut.length) give(files, leftOut);
  });
}

/** What was dropped, folders opened. The list must be read before the first pause: it is emptied after it. */
async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files].map((file) => ({ file, name: file.name }));
  if (!entries.some((entry) => entry.isDirectory)) return { files: plain, leftOut: [] };
  const found = { files: [], leftOut: [] };
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  const name = entry.fullPath.replace(/^\//, "");
  if (HIDDEN.test(entry.name)) return void found.leftOut.push(name);
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed)).catch(() => null);
    return void (file ? found.files.push({ file, name }) : found.leftOut.push(name));
  }
  const reader = entry.createReader();
  const inside = [];
  for (;;) { // a folder is told in portions of a hundred
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)).catch(() => []);
    if (!some.length) break;
    inside.push(...some);
  }
  for (const each of inside.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))) await walk(each, found);
}
