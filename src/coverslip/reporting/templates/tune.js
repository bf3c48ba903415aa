// Optional: the page is complete without this script. It sorts the table, highlights all marks of a trial, and reloads
// the page of a running study without losing the reader's position.
(() => {
  const memory = {
    name: `coverslip ${location.pathname}`,
    read() { try { return JSON.parse(sessionStorage.getItem(this.name)) || {}; } catch { return {}; } },
    write(state) { try { sessionStorage.setItem(this.name, JSON.stringify(state)); } catch { /* no storage: not remembered */ } },
  };
  const state = memory.read();

  // sorting: missing values stay at the end
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
    state.sort = [column, up];
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(column, head.getAttribute("aria-sort") !== "ascending"));
  });
  document.querySelectorAll(".tune-hint").forEach((hint) => { hint.hidden = false; });

  // one trial, highlighted in every figure and in the table
  const tip = document.querySelector(".tune-tip");
  const marks = new Map();
  document.querySelectorAll("[data-t]").forEach((mark) => {
    const number = mark.dataset.t;
    if (!marks.has(number)) marks.set(number, []);
    marks.get(number).push(mark);
    if (mark.tagName === "use") mark.style.transformOrigin = `${mark.x.baseVal.value}px ${mark.y.baseVal.value}px`;
  });
  let lit = null, pinned = null;
  const highlight = (number) => {
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
    state.pinned = pinned;
    highlight(pinned);
  };
  const near = (x, y) => {  // thin lines are hard to hit: search the neighborhood too
    for (const [dx, dy] of [[0, 0], [0, -3], [0, 3], [-3, 0], [3, 0], [-4, -4], [4, 4], [-4, 4], [4, -4]]) {
      const mark = document.elementFromPoint(x + dx, y + dy)?.closest?.("svg [data-t]");
      if (mark) return mark.dataset.t;
    }
    return null;
  };
  const showTip = (number, x, y) => {
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
      highlight(number ?? pinned);
      showTip(number, event.clientX, event.clientY);
    });
    plate.addEventListener("pointerleave", () => { highlight(pinned); showTip(null); });
    plate.addEventListener("click", (event) => pin(near(event.clientX, event.clientY) ?? pinned));
  });
  body?.addEventListener("pointerover", (event) => highlight(event.target.closest("tr")?.dataset.t ?? pinned));
  body?.addEventListener("pointerleave", () => highlight(pinned));
  body?.addEventListener("click", (event) => { if (String(getSelection()) === "") pin(event.target.closest("tr").dataset.t); });

  // a running study: the page is reloaded at the same position
  const live = document.querySelector(".tune-live");
  const sections = [...document.querySelectorAll("header, section")];
  const table = document.querySelector(".tune-trials");
  const keep = () => {
    const section = sections.find((element) => element.getBoundingClientRect().bottom > 0);
    state.position = section ? [sections.indexOf(section) === 0 ? "" : section.id, section.getBoundingClientRect().top] : null;
    state.table = table ? [table.scrollTop, table.scrollLeft] : null;
    memory.write(state);
  };
  if (state.sort && heads[state.sort[0]]) sort(...state.sort);
  if (state.pinned) { const number = state.pinned; state.pinned = null; pin(number); }
  if (state.reloaded) {
    history.scrollRestoration = "manual";
    const section = state.position && (state.position[0] ? document.getElementById(state.position[0]) : sections[0]);
    if (section) scrollBy({ top: section.getBoundingClientRect().top - state.position[1], behavior: "instant" });
    if (table && state.table) table.scrollTo(...state.table.toReversed());
  }
  state.reloaded = false;
  memory.write(state);
  if (!live) return;
  const button = live.querySelector("button");
  button.hidden = false;
  const setPaused = (paused) => {
    state.paused = paused;
    live.classList.toggle("held", paused);
    button.textContent = paused ? "Resume updates" : "Pause updates";
  };
  setPaused(Boolean(state.paused));
  button.addEventListener("click", () => { setPaused(!state.paused); memory.write(state); });
  setInterval(() => {
    const busy = state.paused || document.hidden || String(getSelection()) !== "" || !tip.hidden;
    if (busy) return;
    state.reloaded = true;
    keep();
    location.reload();
  }, Number(live.dataset.refresh) * 1000);
})();
