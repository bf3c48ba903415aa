// Four ways to add images: drop (also folders), paste, choose, take a photo.

const HIDDEN = /^(\.|Thumbs\.db$|desktop\.ini$)/i; // files that operating systems create in folders
let pasted = 0; // the browser names every image from the clipboard image.png

/** Calls `add(files, skipped)`: files are [{ file, name }] with the folder in the name; skipped are names of hidden files. */
export function listen(add) {
  for (const id of ["choose", "camera"]) {
    const input = document.getElementById(id);
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = ""; // so that the same image can be chosen again
      if (files.length) add(files.map((file) => ({ file, name: file.name })), []);
    });
  }
  addEventListener("paste", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.type !== "file") return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    add(files.map((file) => ({ file, name: file.name === "image.png" ? `pasted-${++pasted}.png` : file.name })), []);
  });
  listenToDrops(add);
}

function listenToDrops(add) {
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0; // dragenter and dragleave are fired for every nested element
  const over = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dragging", depth > 0);
  };
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { event.preventDefault(); over(1); } });
  addEventListener("dragleave", (event) => { if (hasFiles(event)) over(-1); });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over(-depth);
    const { files, skipped } = await droppedFiles(event.dataTransfer);
    if (files.length || skipped.length) add(files, skipped);
  });
}

/** The dropped files, including those in folders. The list must be read before the first await, which empties it. */
async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files].map((file) => ({ file, name: file.name }));
  if (!entries.some((entry) => entry.isDirectory)) return { files: plain, skipped: [] };
  const result = { files: [], skipped: [] };
  for (const entry of entries) await walk(entry, result);
  return result;
}

async function walk(entry, result) {
  const name = entry.fullPath.replace(/^\//, "");
  if (HIDDEN.test(entry.name)) return void result.skipped.push(name);
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed)).catch(() => null);
    return void (file ? result.files.push({ file, name }) : result.skipped.push(name));
  }
  const reader = entry.createReader();
  const entries = [];
  for (;;) { // a folder is read in portions of 100 entries
    const portion = await new Promise((done, failed) => reader.readEntries(done, failed)).catch(() => []);
    if (!portion.length) break;
    entries.push(...portion);
  }
  for (const child of entries.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))) await walk(child, result);
}
