// Images wait here and are sent a few at a time, two requests under way at once.

import { Refusal } from "./server.js";
import { count, size } from "./words.js";

const TOGETHER = 8;   // images a request: progress is seen, and one failure costs little
const MARGIN = 1024;  // bytes that a request has beside each image
const LANES = 2;      // the next images travel while the network looks at the last

/** One image and what became of it. state: waiting, sent, answered, failed, stopped. */
export class Item {
  static last = 0;

  constructor(file, name = file.name) {
    Object.assign(this, { id: ++Item.last, file, name, state: "waiting", answer: null, problem: "", fix: "", again: false, explain: false });
  }

  get ended() { return this.state !== "waiting" && this.state !== "sent"; }

  /** `status` of the refusal: what is wrong with the image stays wrong, anything else may be tried again. */
  fail(problem, fix = "", status = 400) {
    Object.assign(this, { state: "failed", problem, fix, answer: null, again: ![400, 413, 415, 422].includes(status) });
  }

  /** What the server said of it: an answer, or an error of this file alone. */
  take(answer) {
    if (answer.error) this.fail(answer.error);
    else Object.assign(this, { state: "answered", answer, problem: "", fix: "" });
  }
}

export class Queue {
  /** `changed(items)` hears of every item that changes, `waits` as in `Server.ask`. */
  constructor(server, limits, { changed, waits }) {
    Object.assign(this, { server, limits, changed, waits, waiting: [], lanes: 0, stop: new AbortController() });
  }

  add(items) {
    for (const item of items) {
      item.state = "waiting";
      if (this.limits.bytes && item.file.size > this.limits.bytes) {
        item.fail(`${size(item.file.size)}; this server takes ${size(this.limits.bytes)} at most.`, "Send a smaller image.");
      } else this.waiting.push(item);
    }
    this.changed(items);
    while (this.lanes < LANES && this.waiting.length > this.lanes) this.run();
  }

  /** Forgets what waits, ends what is under way. */
  cancel() {
    const left = this.waiting.splice(0);
    for (const item of left) item.state = "stopped";
    this.stop.abort();
    this.stop = new AbortController();
    this.changed(left);
  }

  async run() {
    this.lanes += 1;
    const { signal } = this.stop;
    try {
      while (this.waiting.length && !signal.aborted) await this.send(this.next(), signal);
    } finally {
      this.lanes -= 1;
      if (!this.lanes) this.waits(null);
      this.changed([]);
    }
  }

  /** The next few, together under the server's limit of bytes, all with or all without a map. */
  next() {
    const most = Math.min(TOGETHER, this.limits.images || TOGETHER);
    const taken = [this.waiting.shift()];
    let bytes = taken[0].file.size;
    while (taken.length < most && this.waiting.length && this.waiting[0].explain === taken[0].explain) {
      bytes += this.waiting[0].file.size + MARGIN;
      if (this.limits.bytes && bytes > this.limits.bytes) break;
      taken.push(this.waiting.shift());
    }
    return taken;
  }

  async send(items, signal) {
    for (const item of items) item.state = "sent";
    this.changed(items);
    try {
      const answers = await this.server.predict(items.map((item) => item.file), { explain: items[0].explain, signal, waits: this.waits });
      items.forEach((item, at) => item.take(answers[at]));
    } catch (error) {
      if (signal.aborted) for (const item of items) item.state = "stopped";
      else if (items.length > 1 && error.status !== 401) { // one may have spoiled it for the others
        const half = items.length >> 1;
        await this.send(items.slice(0, half), signal);
        await this.send(items.slice(half), signal);
        return;
      } else if (error instanceof Refusal) for (const item of items) item.fail(error.problem, error.fix, error.status);
      else {
        for (const item of items) item.fail(`This page stumbled: ${error.message}`, "Load it again.", 0);
        console.error(error);
      }
    }
    this.changed(items);
  }
}

/** "12 of 40 images" of a batch, and how many are done. */
export function progressOf(items) {
  const done = items.filter((item) => item.ended).length;
  return { done, all: items.length, text: `${count(done)} of ${count(items.length)} images` };
}
