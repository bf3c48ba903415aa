// The conversation with the server: the token, what it refuses, and when to ask again.

const KEY = "coverslip token";
const LOST = [1, 2, 4, 8]; // seconds between tries while nobody answers; the last is repeated
const UNWELL = 3; // tries of what the server takes but cannot answer

/** What the server (or this page, on its behalf) does not take: a problem and a fix, and the status of the answer. */
export class Refusal extends Error {
  constructor(status, problem, fix = "") {
    super(problem);
    Object.assign(this, { status, problem, fix });
  }
}

/** A header takes no other letters; a token with others is none. */
const sendable = (token) => (/^[\x21-\x7e]+$/.test(token ?? "") ? token : null);

/** A token in the address (#token=...) is taken and removed from it, so that it stays in no history and no bookmark. */
function tokenOfAddress() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname + location.search);
  try { return decodeURIComponent(found[1]); } catch { return found[1]; }
}

export class Server {
  /** `askToken(wrong)` resolves to what the user typed, or null. Where storage is forbidden the token lives in memory. */
  constructor(askToken) {
    this.askToken = askToken;
    this.asking = null;
    const given = sendable(tokenOfAddress());
    try { this.token = given ?? sessionStorage.getItem(KEY); } catch { this.token = given; }
    if (given) this.keep(given);
    addEventListener("hashchange", () => { const later = sendable(tokenOfAddress()); if (later) this.keep(later); });
  }

  keep(token) {
    this.token = token;
    try { token ? sessionStorage.setItem(KEY, token) : sessionStorage.removeItem(KEY); } catch { /* then it is not kept */ }
  }

  /** GET /v1/model -> what the model is. */
  model(options) { return this.ask("v1/model", {}, options); }

  /** POST /v1/predict -> answers in the order of the files. */
  async predict(files, { explain = false, ...options } = {}) {
    const form = () => {
      const body = new FormData();
      for (const file of files) body.append("files", file, file.name);
      return body;
    };
    const told = await this.ask(`v1/predict?explain=${explain}`, { method: "POST", form, files }, options);
    if (!Array.isArray(told.images) || told.images.length !== files.length) {
      throw new Refusal(0, "The server's answer does not fit the question.", "Load this page again.");
    }
    return told.images;
  }

  /** Asks until there is an answer. `waits({ why, seconds })` hears of every wait, `waits(null)` that it is over. */
  async ask(path, { method = "GET", form = null, files = [] }, { signal, waits = () => {} } = {}) {
    for (let lost = 0, unwell = 0, silent = 0; ; ) {
      const used = this.token;
      let response;
      try {
        const headers = { Accept: "application/json", ...(used ? { Authorization: `Bearer ${used}` } : {}) };
        response = await fetch(path, { method, headers, body: form?.(), signal, cache: "no-store" });
      } catch (error) {
        if (signal?.aborted) throw error;
        await allReadable(files);
        if (files.length && (await this.well(signal)) && ++silent >= UNWELL) {
          throw new Refusal(0, "The server ended the connection while this was sent.", "It may be too large; try a smaller one.");
        }
        await pause(LOST[Math.min(lost++, LOST.length - 1)], "lost", signal, waits);
        continue;
      }
      waits(null);
      if (response.status === 401) {
        if (used === this.token) await this.newToken(Boolean(used));
        continue;
      }
      if (response.status === 429 || (response.status === 503 && ++unwell < UNWELL)) {
        await pause(delay(response.headers.get("Retry-After")), response.status === 429 ? "busy" : "unwell", signal, waits);
        continue;
      }
      return await content(response);
    }
  }

  /** One question for all who wait. */
  async newToken(wrong) {
    this.asking ??= this.askToken(wrong).finally(() => { this.asking = null; });
    const typed = await this.asking, token = sendable(typed);
    if (typed && !token) return await this.newToken(true);
    if (!token) throw new Refusal(401, "This server answers only with its token.", "Give the token and try again.");
    this.keep(token);
  }

  async well(signal) {
    try { return (await fetch("health", { signal, cache: "no-store" })).ok; } catch { return false; }
  }
}

/** The JSON of a good answer; else the refusal that the server worded, or one in its place. */
async function content(response) {
  let body = null;
  try { body = await response.json(); } catch { /* worded below */ }
  if ((response.ok && body) || Array.isArray(body?.images)) return body; // of several that all failed it says why, one by one
  const said = body?.error;
  if (said?.problem) throw new Refusal(response.status, said.problem, said.fix ?? "");
  const words = {
    413: ["This is more than the server takes.", "Send a smaller image."],
    415: ["This is no image that the server can read.", "Send a JPEG, PNG, TIFF, BMP or WebP."],
    503: ["The server is stopping, or took too long.", "Try again in a while."],
  }[response.status] ?? [`The server failed (${response.status}).`, "Try again; if it stays so, look at the server's log."];
  throw new Refusal(response.status, ...words);
}

/** Seconds of a Retry-After header, which may be a number or a date; 2 where there is none, 120 at most. */
function delay(header, now = Date.now()) {
  const number = Number(header);
  const seconds = header === null || header === "" ? 2 : Number.isFinite(number) ? number : (Date.parse(header) - now) / 1000;
  return Math.min(Math.max(Number.isFinite(seconds) ? Math.ceil(seconds) : 2, 1), 120);
}

/** Waits, saying each second how long still. */
async function pause(seconds, why, signal, waits) {
  for (let left = seconds; left > 0; left -= 1) {
    waits({ why, seconds: left });
    await new Promise((done, stopped) => {
      const stop = () => { clearTimeout(clock); stopped(signal.reason); };
      const clock = setTimeout(() => { signal?.removeEventListener("abort", stop); done(); }, 1000);
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { once: true });
    });
  }
}

/** A file that was moved or changed since it was chosen looks like a lost connection; it is told from one here. */
async function allReadable(files) {
  for (const file of files) {
    try { await file.slice(0, 1).arrayBuffer(); } catch {
      throw new Refusal(0, `${file.name} can no longer be read from your disk.`, "Choose it again.");
    }
  }
}
