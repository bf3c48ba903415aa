"""Reports in a browser: clicks on the confusion matrix, network requests, and layout."""

import csv
import fcntl
import json
import os
import select
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from coverslip.reporting import write_report
from coverslip.reporting.explain_page import write_explain_page

from ..chromium import chromium_path
from .fake_run import NAMES, write_fake_run
from .test_explain_page import write_fake_explanation

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the browser is controlled through inherited pipes")
FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "remote-debugging-pipe", "window-size=1200,900",
    "host-resolver-rules=MAP * ~NOTFOUND",  # requests of a page are never answered
)  # fmt: skip
PATIENCE = 40.0  # seconds for one answer; starting a browser takes long on a busy machine


class Browser:
    """Chromium controlled by the DevTools protocol: it reads commands from descriptor 3 and answers on 4."""

    def __init__(self, profile: Path) -> None:
        program = chromium_path()
        read_in, self.commands = os.pipe()
        self.answers, write_out = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read_in, write_out)]  # not 3 or 4

        def inherit() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [program, *(f"--{flag}" for flag in FLAGS), f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=inherit,  # noqa: PLW1509  (there are no threads)
            close_fds=False,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (read_in, write_out, *ends):
            os.close(end)
        self.rest, self.number, self.session, self.page, self.events = b"", 0, None, "", []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: object) -> dict:
        """Send a command and return its answer; events are stored."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        command |= {"sessionId": self.session} if self.session else {}
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == self.number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, page: Path) -> None:
        """Load a page and wait until it is complete."""
        self.events.clear()
        self.page = page.as_uri()
        self.ask("Page.navigate", url=self.page)
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def evaluate(self, expression: str):
        """Return the value of a JavaScript expression in the page, or of its promise."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Click the center of an element with the mouse."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.scrollIntoView({{block: 'center'}})")
        middle = "[box.x + box.width / 2, box.y + box.height / 2]"
        x, y = self.evaluate(f"(box => {middle})({element}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, x=x, y=y)
        self.evaluate("new Promise(done => setTimeout(done, 50))")

    def requests(self) -> list[str]:
        """Return the URLs requested since the page was opened, without its own and data URLs."""
        sent = [event["params"]["request"]["url"] for event in self.events if event["method"] == SENT]
        return [url for url in sent if not url.startswith("data:") and url.partition("#")[0] != self.page]

    def errors(self) -> list[object]:
        """Return the exceptions of the page's script."""
        return [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]

    def close(self) -> None:
        """End the browser and its processes."""
        os.close(self.commands)
        os.close(self.answers)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _until(self, condition) -> dict:
        end = time.monotonic() + PATIENCE
        while True:
            message, found, after = self.rest.partition(b"\0")
            if found:
                self.rest = after
                content = json.loads(message)
                if "method" in content:
                    self.events.append(content)
                if condition(content):
                    return content
                continue
            ready, _, _ = select.select([self.answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not respond"
            block = os.read(self.answers, 1 << 20)
            assert block, "the browser has ended"
            self.rest += block


SENT = "Network.requestWillBeSent"
SHOWN = "[...document.querySelectorAll('li[data-pair]')].filter(item => item.checkVisibility())"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests of this file, since starting it takes a second or two."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with many misclassified images and several kinds of confusions."""
    folder = write_fake_run(tmp_path_factory.mktemp("home") / "run", names=NAMES[:5], skill=0.3)
    write_report(folder)
    return folder


def pairs(run: Path) -> Counter:
    """Count misclassified images by (true class, predicted class)."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] != row["predicted"]]
    return Counter(f"pair-{NAMES.index(row['label'])}-{NAMES.index(row['predicted'])}" for row in rows)


def test_a_click_on_a_cell_of_the_matrix_filters_the_mistakes_and_another_click_shows_all(browser, run):
    mistakes = pairs(run)
    pair, count = mistakes.most_common(1)[0]
    assert count < sum(mistakes.values())  # else the filter has no effect
    browser.open(run / "report.html")
    assert browser.evaluate(f"{SHOWN}.length") == sum(mistakes.values())
    browser.click(f'#confusion a[href="#{pair}"]')
    assert browser.evaluate(f"{SHOWN}.map(item => item.dataset.pair)") == [pair] * count
    assert f"{count} mistake" in str(browser.evaluate("document.querySelector('.filter').innerText"))
    browser.click(".filter button")
    assert browser.evaluate(f"{SHOWN}.length") == sum(mistakes.values())
    assert not browser.errors()


def test_a_report_sends_no_network_request(browser, run):
    browser.open(run / "report.html")
    browser.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    browser.evaluate("window.scrollTo(0, document.body.scrollHeight)")  # triggers lazy loading
    browser.evaluate("new Promise(done => setTimeout(done, 300))")
    assert browser.requests() == []
    assert (
        browser.evaluate("performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length")
        == 0
    )
    assert not browser.errors()


def test_a_page_with_a_network_request_is_detected(browser, run, tmp_path):
    page = tmp_path / "asking.html"
    image = '<img src="https://elsewhere.invalid/a.png"></body>'
    page.write_text((run / "report.html").read_text("utf-8").replace("</body>", image), encoding="utf-8")
    browser.open(page)
    assert browser.requests() == ["https://elsewhere.invalid/a.png"]


def test_all_images_of_a_report_can_be_decoded_and_a_narrow_window_does_not_overflow(browser, run):
    browser.open(run / "report.html")
    browser.ask("Emulation.setDeviceMetricsOverride", width=420, height=800, deviceScaleFactor=1, mobile=False)
    browser.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    decoded = "(image.loading = 'eager', image.decode().then(() => true, () => false))"
    results = browser.evaluate(f"Promise.all([...document.images].map(image => {decoded}))")
    assert results and all(results)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 420
    browser.ask("Emulation.clearDeviceMetricsOverride")


def test_on_a_phone_a_column_of_sentences_is_wide_enough(browser, run):
    browser.ask("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
    browser.open(run / "report.html")
    assert browser.evaluate("document.querySelector('#scores td.small').clientWidth") >= 200
    browser.ask("Emulation.clearDeviceMetricsOverride")


def test_a_figure_of_maps_fits_the_page_and_can_be_shown_in_full_size(browser, tmp_path):
    explained = write_fake_explanation(tmp_path / "e", test=False)  # its figure is 576 pixels wide
    write_explain_page(explained.folder)
    browser.ask("Emulation.setDeviceMetricsOverride", width=420, height=800, deviceScaleFactor=1, mobile=False)
    browser.open(explained.page_file)
    wide = "document.querySelector('.plate.map img').clientWidth"
    assert browser.evaluate(wide) < 420
    browser.click(".plate.map + button")
    assert browser.evaluate(wide) == 576
    browser.click(".plate.map + button")
    assert browser.evaluate(wide) < 420 and not browser.errors()
    browser.ask("Emulation.clearDeviceMetricsOverride")
