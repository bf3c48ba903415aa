// The page is whole without this. It sorts the table, lights up all marks of one trial, and while the study runs loads
// the page again without losing the reader's place.
(() => {
  const memory = {
    name: `coverslip ${location.pathname}`,
    read() { try { return JSON.parse(sessionStorage.getItem(this.name)) || {}; } catch { return {}; } },
    write(told) { try { sessionStorage.setItem(this.name, JSON.stringify(told)); } catch { /* then it is not kept */ } },
  };
  const told = memory.read();

  // sorting: what is missing stays at the end
  const heads = [...document.querySelectorAll(".tune-trials thead th")];
  const body = document.querySelector(".tune-trials tbody");
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.trim();
    return text === "–" || text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  };
  const sort = (column, up) => {
    heads.forEach((head, at) => head.setAttribute("aria-sort", at !== column ? "none" : up ? "ascending" : "descending"));
    const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : order(a, b) * (up ? 1 : -1)));
    body.append(...rows.map(([, row]) => row));
    told.sort = [column, up];
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(column, head.getAttribute("aria-sort") !== "ascending"));
  });
  document.querySelectorAll(".tune-hint").forEach((hint) => { hint.hidden = false; });

  // one trial, lit in every figure and in the table
  const tip = document.querySelector(".tune-tip");
  const marks = new Map();
  document.querySelectorAll("[data-t]").forEach((mark) => {
    const number = mark.dataset.t;
    if (!marks.has(number)) marks.set(number, []);
    marks.get(number).push(mark);
    if (mark.tagName === "use") mark.style.transformOrigin = `${mark.x.baseVal.value}px ${mark.y.baseVal.value}px`;
  });
  let lit = null, pinned = null;
  const light = (number) => {
    if (number === lit) return;
    marks.get(lit)?.forEach((mark) => mark.classList.remove("lit"));
    lit = marks.has(number) ? number : null;
    document.body.classList.toggle("tracing", lit !== null);
    marks.get(lit)?.forEach((mark) => mark.classList.add("lit"));
  };
  const pin = (number) => {
    marks.get(pinned)?.forEach((mark) => mark.classList.remove("pinned"));
    pinned = number === pinned ? null : number;
    marks.get(pinned)?.forEach((mark) => mark.classList.add("pinned"));
    told.pinned = pinned;
    light(pinned);
  };
  const near = (x, y) => {  // thin lines are hard to hit: the neighborhood counts
    for (const [dx, dy] of [[0, 0], [0, -3], [0, 3], [-3, 0], [3, 0], [-4, -4], [4, 4], [-4, 4], [4, -4]]) {
      const mark = document.elementFromPoint(x + dx, y + dy)?.closest?.("svg [data-t]");
      if (mark) return mark.dataset.t;
    }
    return null;
  };
  const say = (number, x, y) => {
    tip.hidden = number === null;
    if (tip.hidden) return;
    const row = marks.get(number).find((mark) => mark.tagName === "TR");
    tip.replaceChildren();
    if (!row) return;
    heads.forEach((head, at) => {
      const text = row.cells[at].textContent.trim();
      if (text === "" || text === "–") return;
      const name = document.createElement("span"), value = document.createElement("b");
      name.className = "muted";
      name.textContent = `${head.textContent} `;
      value.textContent = text;
      tip.append(...(tip.childNodes.length ? [" · "] : []), name, value);
    });
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18}px`;
  };
  document.querySelectorAll(".plate").forEach((plate) => {
    plate.addEventListener("pointermove", (event) => {
      const number = near(event.clientX, event.clientY);
      light(number ?? pinned);
      say(number, event.clientX, event.clientY);
    });
    plate.addEventListener("pointerleave", () => { light(pinned); say(null); });
    plate.addEventListener("click", (event) => pin(near(event.clientX, event.clientY) ?? pinned));
  });
  body?.addEventListener("pointerover", (event) => light(event.target.closest("tr")?.dataset.t ?? pinned));
  body?.addEventListener("pointerleave", () => light(pinned));
  body?.addEventListener("click", (event) => { if (String(getSelection()) === "") pin(event.target.closest("tr").dataset.t); });

  // a running study: the page is loaded again, and the reader stays where they were
  const live = document.querySelector(".tune-live");
  const parts = [...document.querySelectorAll("header, section")];
  const table = document.querySelector(".tune-trials");
  const keep = () => {
    const part = parts.find((each) => each.getBoundingClientRect().bottom > 0);
    told.place = part ? [parts.indexOf(part) === 0 ? "" : part.id, part.getBoundingClientRect().top] : null;
    told.table = table ? [table.scrollTop, table.scrollLeft] : null;
    memory.write(told);
  };
  if (told.sort && heads[told.sort[0]]) sort(...told.sort);
  if (told.pinned) { const number = told.pinned; told.pinned = null; pin(number); }
  if (told.reloaded) {
    history.scrollRestoration = "manual";
    const part = told.place && (told.place[0] ? document.getElementById(told.place[0]) : parts[0]);
    if (part) scrollBy({ top: part.getBoundingClientRect().top - told.place[1], behavior: "instant" });
    if (table && told.table) table.scrollTo(...told.table.toReversed());
  }
  told.reloaded = false;
  memory.write(told);
  if (!live) return;
  const hold = live.querySelector("button");
  hold.hidden = false;
  const held = (still) => {
    told.held = still;
    live.classList.toggle("held", still);
    hold.textContent = still ? "Go on" : "Hold still";
  };
  held(Boolean(told.held));
  hold.addEventListener("click", () => { held(!told.held); memory.write(told); });
  setInterval(() => {
    const busy = told.held || document.hidden || String(getSelection()) !== "" || !tip.hidden;
    if (busy) return;
    told.reloaded = true;
    keep();
    location.reload();
  }, Number(live.dataset.refresh) * 1000);
})();
