// Requests to the server: token, errors and retries.

const KEY = "coverslip token";
const RETRY_DELAYS = [1, 2, 4, 8]; // seconds between retries without a connection; the last one is repeated
const MAX_TRIES = 3; // tries of a request that the server accepts but does not answer

/** A request that cannot be answered: HTTP status (0 for errors found by this page), problem and fix. */
export class RequestError extends Error {
  constructor(status, problem, fix = "") {
    super(problem);
    Object.assign(this, { status, problem, fix });
  }
}

/** The token if it can be sent in a header, otherwise null. */
const sendable = (token) => (/^[\x21-\x7e]+$/.test(token ?? "") ? token : null);

/** Returns the token of the address (#token=...) and removes it there, to keep it out of history and bookmarks. */
function tokenFromAddress() {
  const match = /^#token=(.+)$/.exec(location.hash);
  if (!match) return null;
  history.replaceState(null, "", location.pathname + location.search);
  try { return decodeURIComponent(match[1]); } catch { return match[1]; }
}

export class Server {
  /** `askToken(wrong)` resolves to the entered token, or null. Without access to storage the token is kept in memory. */
  constructor(askToken) {
    this.askToken = askToken;
    this.asking = null;
    const token = sendable(tokenFromAddress());
    try { this.token = token ?? sessionStorage.getItem(KEY); } catch { this.token = token; }
    if (token) this.keep(token);
    addEventListener("hashchange", () => { const later = sendable(tokenFromAddress()); if (later) this.keep(later); });
  }

  keep(token) {
    this.token = token;
    try { token ? sessionStorage.setItem(KEY, token) : sessionStorage.removeItem(KEY); } catch { /* storage is not available */ }
  }

  /** GET /v1/model -> the description of the model. */
  model(options) { return this.request("v1/model", {}, options); }

  /** POST /v1/predict -> answers in the order of the files. */
  async predict(files, { explain = false, ...options } = {}) {
    const form = () => {
      const body = new FormData();
      for (const file of files) body.append("files", file, file.name);
      return body;
    };
    const response = await this.request(`v1/predict?explain=${explain}`, { method: "POST", form, files }, options);
    if (!Array.isArray(response.images) || response.images.length !== files.length) {
      throw new RequestError(0, "The server returned an unexpected response.", "Load this page again.");
    }
    return response.images;
  }

  /** Repeats a request until there is a response. `waits({ why, seconds })` is called before every wait, `waits(null)` after it. */
  async request(path, { method = "GET", form = null, files = [] }, { signal, waits = () => {} } = {}) {
    for (let lost = 0, unavailable = 0, closed = 0; ; ) {
      const used = this.token;
      let response;
      try {
        const headers = { Accept: "application/json", ...(used ? { Authorization: `Bearer ${used}` } : {}) };
        response = await fetch(path, { method, headers, body: form?.(), signal, cache: "no-store" });
      } catch (error) {
        if (signal?.aborted) throw error;
        await allReadable(files);
        if (files.length && (await this.healthy(signal)) && ++closed >= MAX_TRIES) {
          throw new RequestError(0, "The server closed the connection during the upload.", "The file may be too large: try a smaller one.");
        }
        await pause(RETRY_DELAYS[Math.min(lost++, RETRY_DELAYS.length - 1)], "lost", signal, waits);
        continue;
      }
      waits(null);
      if (response.status === 401) {
        if (used === this.token) await this.newToken(Boolean(used));
        continue;
      }
      if (response.status === 429 || (response.status === 503 && ++unavailable < MAX_TRIES)) {
        await pause(delay(response.headers.get("Retry-After")), response.status === 429 ? "busy" : "unavailable", signal, waits);
        continue;
      }
      return await content(response);
    }
  }

  /** Asks for the token once, also if several requests need it. */
  async newToken(wrong) {
    this.asking ??= this.askToken(wrong).finally(() => { this.asking = null; });
    const entered = await this.asking, token = sendable(entered);
    if (entered && !token) return await this.newToken(true);
    if (!token) throw new RequestError(401, "This server requires a token.", "Enter the token and try again.");
    this.keep(token);
  }

  async healthy(signal) {
    try { return (await fetch("health", { signal, cache: "no-store" })).ok; } catch { return false; }
  }
}

/** The JSON of a successful response; otherwise throws the error of the server, or a default for its status. */
async function content(response) {
  let body = null;
  try { body = await response.json(); } catch { /* handled below */ }
  if ((response.ok && body) || Array.isArray(body?.images)) return body; // if all of several images failed, the body has an error for each
  const error = body?.error;
  if (error?.problem) throw new RequestError(response.status, error.problem, error.fix ?? "");
  const message = {
    413: ["The request exceeds the limits of the server.", "Send a smaller image."],
    415: ["The server cannot read this file as an image.", "Send a JPEG, PNG, TIFF, BMP or WebP file."],
    503: ["The server is stopping, or the request timed out.", "Try again later."],
  }[response.status] ?? [`The server failed with status ${response.status}.`, "Try again. If the error persists, check the log of the server."];
  throw new RequestError(response.status, ...message);
}

/** Seconds of a Retry-After header, which is a number or a date: 1 to 120, and 2 without a header. */
function delay(header, now = Date.now()) {
  const number = Number(header);
  const seconds = header === null || header === "" ? 2 : Number.isFinite(number) ? number : (Date.parse(header) - now) / 1000;
  return Math.min(Math.max(Number.isFinite(seconds) ? Math.ceil(seconds) : 2, 1), 120);
}

/** Waits, and reports the remaining seconds every second. */
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

/** Throws an error if a file can no longer be read: for `fetch` it looks like a lost connection. */
async function allReadable(files) {
  for (const file of files) {
    try { await file.slice(0, 1).arrayBuffer(); } catch {
      throw new RequestError(0, `${file.name} can no longer be read from your disk.`, "Choose it again.");
    }
  }
}
