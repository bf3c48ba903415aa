"""The page in a real browser: the system's Chromium, controlled with Playwright."""

import io
from contextlib import contextmanager

import numpy as np
from PIL import Image

from ..chromium import open_chromium

FLAGS = (
    "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
DESKTOP, PHONE = {"width": 1180, "height": 900}, {"width": 390, "height": 844}
TIMEOUT = 30_000  # milliseconds, enough for a busy machine


def chromium():
    """Open one browser for many tests: starting it takes a second or two."""
    return open_chromium(*FLAGS)


@contextmanager
def tab(browser, *, phone=False, **options):
    """Open a page; at the end, assert that it had no errors and contacted no other server."""
    context = browser.new_context(
        viewport=PHONE if phone else DESKTOP, has_touch=phone, is_mobile=phone, reduced_motion="reduce", **options
    )
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    errors, requests = [], []
    # Registered now, not before the key press that opens a chooser: the two messages reach the browser on different
    # ways, and a chooser that opens first is not reported.
    page.on("filechooser", lambda _: None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Security Policy" in line.text else None)
    page.on("request", lambda request: requests.append(request.url))
    yield page
    other_servers = [url for url in requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    context.close()
    assert not errors
    assert not other_servers


def leaf(name="leaf.jpg", size=(64, 48)):
    """Return a file for the page: a green image with a brown spot."""
    pixels = np.full((size[1], size[0], 3), (70, 120, 60), np.uint8)
    pixels[10:20, 30:44] = (120, 70, 30)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG" if name.endswith(".png") else "JPEG")
    return {"name": name, "mimeType": "image/jpeg", "buffer": buffer.getvalue()}


def text(name="notes.txt"):
    return {"name": name, "mimeType": "text/plain", "buffer": b"seen on Tuesday: two leaves with rust"}


def drop(page, files):
    """Drop files on the page, as from a file manager."""
    page.dispatch_event("#intake", "drop", {"dataTransfer": transfer(page, files)})


def paste(page, files):
    page.evaluate(
        "data => dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))", arg=transfer(page, files)
    )


def transfer(page, files):
    return page.evaluate_handle(
        """files => {
          const transfer = new DataTransfer();
          for (const { name, mimeType, bytes } of files) {
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type: mimeType }));
          }
          return transfer;
        }""",
        [{**file, "buffer": None, "bytes": list(file["buffer"])} for file in files],
    )


def done(page):
    """Wait until all requests are finished."""
    page.wait_for_selector("body.ready.has-images:not(.busy)")


CONTRAST = """() => {
  const dot = document.createElement("canvas").getContext("2d", { willReadFrequently: true }), known = new Map();
  const numbers = (color) => {
    if (known.has(color)) return known.get(color);
    dot.clearRect(0, 0, 1, 1);
    dot.fillStyle = color;
    dot.fillRect(0, 0, 1, 1);
    known.set(color, [...dot.getImageData(0, 0, 1, 1).data]);
    return known.get(color);
  };
  const light = (rgb) => rgb.slice(0, 3).map((each) => each / 255)
    .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return numbers(getComputedStyle(document.body).backgroundColor);
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, style = getComputedStyle(element);
    if (!walk.currentNode.textContent.trim() || !element.checkVisibility() || element.closest(":disabled")) continue;
    const [one, two] = [light(numbers(style.color)), light(ground(element))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.push([walk.currentNode.textContent.trim().slice(0, 30), ratio]);
  }
  return poor;
}"""
