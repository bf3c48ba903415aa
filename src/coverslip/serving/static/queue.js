// The queue of images: sent in small batches, with two requests at the same time.

import { RequestError } from "./server.js";
import { count, size } from "./words.js";

const BATCH_SIZE = 8;       // images per request: small enough to show progress and to repeat after a failure
const OVERHEAD = 1024;      // bytes per image in a request besides its content
const MAX_CONNECTIONS = 2;  // the next images are uploaded while the server predicts the last ones

/** One image with its state (waiting, sent, answered, failed or stopped) and its answer. */
export class Item {
  static last = 0;

  constructor(file, name = file.name) {
    Object.assign(this, { id: ++Item.last, file, name, state: "waiting", answer: null, problem: "", fix: "", retryable: false, explain: false });
  }

  get finished() { return this.state !== "waiting" && this.state !== "sent"; }

  /** Records an error. `status` tells whether a retry can help: errors of the image itself are permanent. */
  fail(problem, fix = "", status = 400) {
    Object.assign(this, { state: "failed", problem, fix, answer: null, retryable: ![400, 413, 415, 422].includes(status) });
  }

  /** Records the answer of the server, which may be an error of this file. */
  take(answer) {
    if (answer.error) this.fail(answer.error);
    else Object.assign(this, { state: "answered", answer, problem: "", fix: "" });
  }
}

export class Queue {
  /** `changed(items)` is called for every change of an item; `waits` is described at `Server.request`. */
  constructor(server, limits, { changed, waits }) {
    Object.assign(this, { server, limits, changed, waits, waiting: [], connections: 0, stop: new AbortController() });
  }

  add(items) {
    for (const item of items) {
      item.state = "waiting";
      if (this.limits.bytes && item.file.size > this.limits.bytes) {
        item.fail(`The file has ${size(item.file.size)}; the limit of this server is ${size(this.limits.bytes)}.`, "Send a smaller image.", 413);
      } else this.waiting.push(item);
    }
    this.changed(items);
    while (this.connections < MAX_CONNECTIONS && this.waiting.length > this.connections) this.run();
  }

  /** Removes waiting items and aborts requests. */
  cancel() {
    const removed = this.waiting.splice(0);
    for (const item of removed) item.state = "stopped";
    this.stop.abort();
    this.stop = new AbortController();
    this.changed(removed);
  }

  async run() {
    this.connections += 1;
    const { signal } = this.stop;
    try {
      while (this.waiting.length && !signal.aborted) await this.send(this.next(), signal);
    } finally {
      this.connections -= 1;
      if (!this.connections) this.waits(null);
      this.changed([]);
    }
  }

  /** The next batch: within the limit of bytes of the server, and all with or all without a map. */
  next() {
    const limit = Math.min(BATCH_SIZE, this.limits.images || BATCH_SIZE);
    const batch = [this.waiting.shift()];
    let bytes = batch[0].file.size;
    while (batch.length < limit && this.waiting.length && this.waiting[0].explain === batch[0].explain) {
      bytes += this.waiting[0].file.size + OVERHEAD;
      if (this.limits.bytes && bytes > this.limits.bytes) break;
      batch.push(this.waiting.shift());
    }
    return batch;
  }

  async send(items, signal) {
    for (const item of items) item.state = "sent";
    this.changed(items);
    try {
      const answers = await this.server.predict(items.map((item) => item.file), { explain: items[0].explain, signal, waits: this.waits });
      items.forEach((item, at) => item.take(answers[at]));
    } catch (error) {
      if (signal.aborted) for (const item of items) item.state = "stopped";
      else if (items.length > 1 && error.status !== 401) { // one image may have caused the error
        const half = items.length >> 1;
        await this.send(items.slice(0, half), signal);
        await this.send(items.slice(half), signal);
        return;
      } else if (error instanceof RequestError) for (const item of items) item.fail(error.problem, error.fix, error.status);
      else {
        for (const item of items) item.fail(`An error occurred in this page: ${error.message}`, "Load the page again.", 0);
        console.error(error);
      }
    }
    this.changed(items);
  }
}

/** The progress of a list of items: how many are finished, of how many, and a text such as "12 of 40 images". */
export function progressOf(items) {
  const done = items.filter((item) => item.finished).length;
  return { done, all: items.length, text: `${count(done)} of ${count(items.length)} images` };
}
