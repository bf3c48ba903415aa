// The page of `coverslip serve`. This file connects the others; read it first.

import { showModel } from "./about.js";
import { answerSection, showAnswer, showImage, spoken } from "./answer.js";
import { download, toCsv } from "./csv.js";
import { announce, fill, find, make } from "./dom.js";
import { listen } from "./intake.js";
import { Item, Queue, progressOf } from "./queue.js";
import { RequestError, Server } from "./server.js";
import { Table, summaryLists, summaryOf } from "./table.js";
import { count, counted, listed, sentence } from "./words.js";

const WAITS = {
  busy: (seconds) => `The server is busy. Retrying in ${seconds} s.`,
  unavailable: (seconds) => `The server is stopping, or the request timed out. Retrying in ${seconds} s.`,
  lost: (seconds) => `The connection to the server is lost. Retrying in ${seconds} s. All answers so far are kept.`,
};
const CACHED_IMAGES = 3; // decoded images that are kept for going back and forth

const canRetry = (item) => item.state === "stopped" || (item.state === "failed" && item.retryable);
const server = new Server(askToken);
let model = null, queue = null, table = null;
let items = [], batch = [], current = null, reason = "";

find("host").textContent = location.host || "the server";
listen(add);
start();

async function start() {
  let waited = false;
  try {
    model = await server.model({ waits: (state) => { waited ||= Boolean(state); notice(state); } });
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    fill(find("lead"), `${sentence(error.problem)} ${sentence(error.fix)} `, make("button", { type: "button", click: start }, "Try again"));
    return;
  }
  if (waited) announce("Connected to the server.");
  showModel(model, Boolean(server.token));
  queue = new Queue(server, model.limits ?? {}, { changed, waits: notice });
  table = new Table(find("table"), find("filter"), { open, model });
  document.body.classList.add("ready");
  if (items.length) queue.add(items.filter((item) => item.state === "waiting")); // added before the model was loaded
}

/** Adds images. A single one is opened at once, with its map; several are listed in the table. */
function add(files, skipped) {
  find("skipped").hidden = !skipped.length;
  find("skipped").textContent = skipped.length ? `${counted(skipped.length, "hidden or unreadable file")} skipped: ${listed(skipped, 3)}.` : "";
  if (!files.length) return;
  const added = files.map(({ file, name }) => new Item(file, name));
  if (added.length === 1 && model) added[0].explain = model.maps;
  items.push(...added);
  batch = batch.every((item) => item.finished) ? added : [...batch, ...added];
  if (added.length === 1) open(added[0]);
  else {
    close({ restoreFocus: false });
    announce(`${counted(added.length, "image")} added.`);
  }
  document.body.classList.add("has-images");
  render();
  queue?.add(added);
  if (added.length > 1) find("progress").scrollIntoView({ block: "nearest" });
}

function render() {
  find("list").hidden = items.length < 2;
  if (!find("list").hidden) table?.render(items);
  table?.mark(current);
}

/** Updates the page after a change of items: rows, the open item, progress and announcements. */
function changed(updated) {
  for (const item of updated) {
    table.update(item);
    if (item === current) open(item, { speak: item.finished, keepFocus: true });
  }
  const { done, all, text } = progressOf(batch);
  const busy = done < all;
  const progress = find("done");
  find("progress").hidden = !busy || (all === 1 && find("notice").hidden);
  progress.max = all;
  progress.value = done;
  if (find("count").textContent !== text) {
    find("count").textContent = text;
    const quarter = Math.floor((4 * done) / all) > Math.floor((4 * (done - 1)) / all);
    if (busy && done && all >= 8 && quarter) announce(text);
  }
  document.body.classList.toggle("busy", busy);
  find("retry").hidden = busy || !items.some(canRetry);
  fill(find("summary"), summaryLists(items, model));
  find("list-title").textContent = counted(items.length, "image");
  if (!busy && updated.length && all > 1) finish();
}

function finish() {
  table.render(items); // sort and filter again after the last change
  table.mark(current);
  announce(`${counted(batch.length, "image")} done: ${summaryOf(batch, model)}.`);
  batch = [];
}

/** Opens one item. `keepFocus` leaves the focus where it is, unless it was in the replaced section. */
function open(item, { speak = false, keepFocus = false } = {}) {
  const section = answerSection();
  const hadFocus = section.contains(document.activeElement);
  const expired = items.filter((other) => other.image && other !== item).slice(0, -CACHED_IMAGES);
  for (const other of expired) other.image = null;
  current = item;
  const order = shownOrder();
  const at = order.indexOf(item);
  const step = (by) => () => open(order[at + by]);
  const title = showAnswer(section, item, model, [at + 1, order.length], {
    previous: step(-1),
    next: step(1),
    close: () => close(),
    again: () => retry([item]),
  });
  table?.mark(item);
  if (!keepFocus || hadFocus) title.focus({ preventScroll: true });
  if (!keepFocus) section.scrollIntoView({ block: "start" });
  if (speak) announce(spoken(item, model));
  if (item.answer && model.maps && !item.answer.map && !item.mapState) addMap(item);
}

const shownOrder = () => (!find("list").hidden && table?.ordered?.includes(current) ? table.ordered : items);

function close({ restoreFocus = true } = {}) {
  const last = current;
  current = null;
  answerSection().hidden = true;
  table?.mark(null);
  if (restoreFocus && last) table.focus(last);
}

/** Requests the map of an opened item: several images are predicted without maps, which take longer. */
async function addMap(item) {
  const { signal } = queue.stop;
  item.mapState = "requested";
  try {
    const [answer] = await server.predict([item.file], { explain: true, signal, waits: notice });
    if (answer.error) throw new RequestError(0, answer.error);
    item.answer = answer;
    item.mapState = answer.map ? "done" : "failed";
    item.mapProblem = answer.notes?.[0] ?? "the server returned no map";
  } catch (error) {
    item.mapState = "failed";
    item.mapProblem = signal.aborted ? "canceled" : error.message;
  }
  if (item === current) showImage(answerSection(), item, model);
}

function retry(failed) {
  batch = [...batch.filter((item) => !item.finished), ...failed];
  for (const item of failed) item.mapState = null;
  queue.add(failed);
}

/** Shows why there is a delay; announced once, not every second. */
function notice(state) {
  const element = find("notice");
  element.hidden = !state;
  if (state) {
    element.textContent = WAITS[state.why](count(state.seconds));
    find("progress").hidden = false;
    if (reason !== state.why) announce(element.textContent);
  } else if (!document.body.classList.contains("busy")) find("progress").hidden = true;
  reason = state?.why ?? "";
}

find("cancel").addEventListener("click", () => {
  queue?.cancel();
  notice(null);
  find("progress").hidden = true;
  announce("Canceled.");
});
find("retry").addEventListener("click", () => retry(items.filter(canRetry)));
find("csv").addEventListener("click", () => download(toCsv(items, model), `${model.name}-answers.csv`));
find("clear").addEventListener("click", () => {
  queue.cancel();
  [items, batch] = [[], []];
  close({ restoreFocus: false });
  render();
  find("intake").focus();
  announce("All images were removed.");
});
addEventListener("keydown", (event) => {
  const inField = event.target.closest?.("input, dialog, textarea") || event.altKey || event.ctrlKey || event.metaKey;
  if (!current || inField) return;
  const order = shownOrder(), at = order.indexOf(current);
  if (event.key === "ArrowRight" && order[at + 1]) open(order[at + 1]);
  else if (event.key === "ArrowLeft" && order[at - 1]) open(order[at - 1]);
  else if (event.key === "Escape" && items.length > 1) close();
});

/** Asks for the token; resolves to null if the dialog is closed. */
function askToken(wrong) {
  const dialog = find("token"), field = find("token-value");
  if (wrong) find("token-why").textContent = "The token is wrong. The correct token was printed when the server started.";
  field.value = "";
  dialog.showModal();
  return new Promise((done) => {
    const end = (token) => { dialog.close(); done(token); };
    dialog.querySelector("form").onsubmit = (event) => { event.preventDefault(); end(field.value.trim()); };
    find("token-cancel").onclick = () => end(null);
    dialog.oncancel = (event) => { event.preventDefault(); end(null); };
  });
}
