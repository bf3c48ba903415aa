// Coverslip's page: images in, answers out. This file joins the others; read it first.

import { showModel } from "./about.js";
import { answerSection, showAnswer, showImage, spoken } from "./answer.js";
import { download, toCsv } from "./csv.js";
import { announce, fill, find, make } from "./dom.js";
import { listen } from "./intake.js";
import { Item, Queue, progressOf } from "./queue.js";
import { Refusal, Server } from "./server.js";
import { Table, summaryLists, summaryOf } from "./table.js";
import { count, counted, listed, sentence } from "./words.js";

const WAITS = {
  busy: (seconds) => `The server is busy. Trying again in ${seconds} s.`,
  unwell: (seconds) => `The server is stopping or took too long. Trying again in ${seconds} s.`,
  lost: (seconds) => `The connection to the server is lost. Trying again in ${seconds} s; nothing that was answered is lost.`,
};
const IMAGES = 3; // large images that are kept drawn, to walk back and forth

const mayBeTried = (item) => item.state === "stopped" || (item.state === "failed" && item.again);
const server = new Server(askToken);
let model = null, queue = null, table = null;
let items = [], batch = [], current = null, reason = "";

find("host").textContent = location.host || "the server";
listen(take);
start();

async function start() {
  let waited = false;
  try {
    model = await server.model({ waits: (state) => { waited ||= Boolean(state); notice(state); } });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    fill(find("lead"), `${sentence(error.problem)} ${sentence(error.fix)} `, make("button", { type: "button", click: start }, "Try again"));
    return;
  }
  if (waited) announce("The server answers again.");
  showModel(model, Boolean(server.token));
  queue = new Queue(server, model.limits ?? {}, { changed, waits: notice });
  table = new Table(find("table"), find("filter"), { open, model });
  document.body.classList.add("ready");
  if (items.length) queue.add(items.filter((item) => item.state === "waiting")); // given before the model had answered
}

/** Images were given. One alone is shown large at once, with its map; many go to the table. */
function take(files, leftOut) {
  find("left-out").hidden = !leftOut.length;
  find("left-out").textContent = leftOut.length ? `${counted(leftOut.length, "hidden or unreadable file")} left out: ${listed(leftOut, "and", 3)}.` : "";
  if (!files.length) return;
  const added = files.map(({ file, name }) => new Item(file, name));
  if (added.length === 1 && model) added[0].explain = model.maps;
  items.push(...added);
  batch = batch.every((item) => item.ended) ? added : [...batch, ...added];
  if (added.length === 1) open(added[0]);
  else {
    close({ back: false });
    announce(`${counted(added.length, "image")} taken.`);
  }
  document.body.classList.add("asked");
  render();
  queue?.add(added);
  if (added.length > 1) find("progress").scrollIntoView({ block: "nearest" });
}

function render() {
  find("list").hidden = items.length < 2;
  if (!find("list").hidden) table?.render(items);
  table?.mark(current);
}

/** Items changed: their rows, the answer that is open, progress, and what is read out. */
function changed(some) {
  for (const item of some) {
    table.update(item);
    if (item === current) open(item, { listen: item.ended, keep: true });
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
  find("again").hidden = busy || !items.some(mayBeTried);
  fill(find("summary"), summaryLists(items));
  find("list-title").textContent = counted(items.length, "image");
  if (!busy && some.length && all > 1) finish();
}

function finish() {
  table.render(items); // sorted and filtered anew, now that nothing moves any more
  table.mark(current);
  announce(`${counted(batch.length, "image")} done: ${summaryOf(batch)}.`);
  batch = [];
}

/** Shows one item large. `keep` leaves the focus where it is, unless it was in what is replaced. */
function open(item, { listen: aloud = false, keep = false } = {}) {
  const section = answerSection();
  const inside = section.contains(document.activeElement);
  const forget = items.filter((each) => each.image && each !== item).slice(0, -IMAGES);
  for (const each of forget) each.image = null;
  current = item;
  const order = shownOrder();
  const at = order.indexOf(item);
  const step = (by) => () => open(order[at + by]);
  const title = showAnswer(section, item, model, [at + 1, order.length], {
    previous: step(-1),
    next: step(1),
    close: () => close(),
    again: () => again([item]),
  });
  table?.mark(item);
  if (!keep || inside) title.focus({ preventScroll: true });
  if (!keep) section.scrollIntoView({ block: "start" });
  if (aloud) announce(spoken(item, model));
  if (item.answer && model.maps && !item.answer.map && !item.mapState) addMap(item);
}

const shownOrder = () => (!find("list").hidden && table?.ordered?.includes(current) ? table.ordered : items);

function close({ back = true } = {}) {
  const last = current;
  current = null;
  answerSection().hidden = true;
  table?.mark(null);
  if (back && last) table.focus(last);
}

/** Many are asked without maps, which take longer; the one that is opened is asked again with it. */
async function addMap(item) {
  const { signal } = queue.stop;
  item.mapState = "asked";
  try {
    const [answer] = await server.predict([item.file], { explain: true, signal, waits: notice });
    if (answer.error) throw new Refusal(0, answer.error);
    item.answer = answer;
    item.mapState = answer.map ? "there" : "failed";
    item.mapProblem = answer.notes?.[0] ?? "the server sent none";
  } catch (error) {
    item.mapState = "failed";
    item.mapProblem = signal.aborted ? "it was canceled" : error.message;
  }
  if (item === current) showImage(answerSection(), item, model);
}

function again(some) {
  batch = [...batch.filter((item) => !item.ended), ...some];
  for (const item of some) item.mapState = null;
  queue.add(some);
}

/** Says why nothing comes at the moment; read out once, not every second. */
function notice(state) {
  const place = find("notice");
  place.hidden = !state;
  if (state) {
    place.textContent = WAITS[state.why](count(state.seconds));
    find("progress").hidden = false;
    if (reason !== state.why) announce(place.textContent);
  } else if (!document.body.classList.contains("busy")) find("progress").hidden = true;
  reason = state?.why ?? "";
}

find("cancel").addEventListener("click", () => {
  queue?.cancel();
  notice(null);
  find("progress").hidden = true;
  announce("Canceled.");
});
find("again").addEventListener("click", () => again(items.filter(mayBeTried)));
find("csv").addEventListener("click", () => download(toCsv(items, model.classes), `${model.name}-answers.csv`));
find("clear").addEventListener("click", () => {
  queue.cancel();
  [items, batch] = [[], []];
  close({ back: false });
  render();
  find("intake").focus();
  announce("All images were forgotten.");
});
addEventListener("keydown", (event) => {
  const elsewhere = event.target.closest?.("input, dialog, textarea") || event.altKey || event.ctrlKey || event.metaKey;
  if (!current || elsewhere) return;
  const order = shownOrder(), at = order.indexOf(current);
  if (event.key === "ArrowRight" && order[at + 1]) open(order[at + 1]);
  else if (event.key === "ArrowLeft" && order[at - 1]) open(order[at - 1]);
  else if (event.key === "Escape" && items.length > 1) close();
});

/** Asks for the token; null where it is not given. */
function askToken(wrong) {
  const dialog = find("token"), field = find("token-value");
  if (wrong) find("token-why").textContent = "That token was not accepted. It was printed where the server was started.";
  field.value = "";
  dialog.showModal();
  return new Promise((done) => {
    const end = (token) => { dialog.close(); done(token); };
    dialog.querySelector("form").onsubmit = (event) => { event.preventDefault(); end(field.value.trim()); };
    find("token-cancel").onclick = () => end(null);
    dialog.oncancel = (event) => { event.preventDefault(); end(null); };
  });
}
