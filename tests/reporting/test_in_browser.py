"""A real report in a real browser: the matrix is clicked, and what the page asks of other computers is written down."""

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

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the browser is spoken to through inherited pipes")
FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "remote-debugging-pipe", "window-size=1200,900",
    "host-resolver-rules=MAP * ~NOTFOUND",  # should a page ask for anything, nobody answers
)  # fmt: skip
PATIENCE = 40.0  # seconds for one answer; a busy machine starts a browser slowly


class Browser:
    """Chromium by the DevTools protocol through two pipes: it reads commands from descriptor 3 and answers on 4."""

    def __init__(self, profile: Path) -> None:
        program = chromium_path()
        read_in, self.commands = os.pipe()
        self.answers, write_out = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read_in, write_out)]  # out of the way of 3 and 4

        def inherit() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [program, *(f"--{flag}" for flag in FLAGS), f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=inherit,  # noqa: PLW1509  (nothing here runs in threads)
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
        """Send a command and wait for its answer; events on the way are kept."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        command |= {"sessionId": self.session} if self.session else {}
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == self.number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, page: Path) -> None:
        """Load a page, and wait until it and all it asked for is there."""
        self.events.clear()
        self.page = page.as_uri()
        self.ask("Page.navigate", url=self.page)
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def tell(self, expression: str):
        """The value of a JavaScript expression in the page; a promise is waited for."""
        told = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def click(self, selector: str) -> None:
        """Move the mouse to the middle of an element and press it there, as a reader does."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.tell(f"{element}.scrollIntoView({{block: 'center'}})")
        middle = "[box.x + box.width / 2, box.y + box.height / 2]"
        x, y = self.tell(f"(box => {middle})({element}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, x=x, y=y)
        self.tell("new Promise(done => setTimeout(done, 50))")

    def asked_for(self) -> list[str]:
        """Every address the page asked for since it was opened, its own and images inside it left out."""
        sent = [event["params"]["request"]["url"] for event in self.events if event["method"] == SENT]
        return [url for url in sent if not url.startswith("data:") and url.partition("#")[0] != self.page]

    def errors(self) -> list[object]:
        """What the page's program stumbled over."""
        return [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]

    def close(self) -> None:
        """End the browser that was started here, with its own processes."""
        os.close(self.commands)
        os.close(self.answers)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _until(self, wanted) -> dict:
        end = time.monotonic() + PATIENCE
        while True:
            message, found, after = self.rest.partition(b"\0")
            if found:
                self.rest = after
                content = json.loads(message)
                if "method" in content:
                    self.events.append(content)
                if wanted(content):
                    return content
                continue
            ready, _, _ = select.select([self.answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            block = os.read(self.answers, 1 << 20)
            assert block, "the browser has ended"
            self.rest += block


SENT = "Network.requestWillBeSent"
SHOWN = "[...document.querySelectorAll('li[data-pair]')].filter(item => item.checkVisibility())"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests of this file: starting it takes a second or two."""
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with many mistakes of several kinds, so that one kind is few of all."""
    folder = write_fake_run(tmp_path_factory.mktemp("home") / "run", names=NAMES[:5], skill=0.3)
    write_report(folder)
    return folder


def pairs(run: Path) -> Counter:
    """(true class, what was said) -> mistakes, by number."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] != row["predicted"]]
    return Counter(f"pair-{NAMES.index(row['label'])}-{NAMES.index(row['predicted'])}" for row in rows)


def test_a_click_on_a_cell_of_the_matrix_shows_its_mistakes_only_and_another_click_shows_all_again(browser, run):
    mistakes = pairs(run)
    pair, count = mistakes.most_common(1)[0]
    assert count < sum(mistakes.values())  # else "only these" says nothing
    browser.open(run / "report.html")
    assert browser.tell(f"{SHOWN}.length") == sum(mistakes.values())
    browser.click(f'#confusion a[href="#{pair}"]')
    assert browser.tell(f"{SHOWN}.map(item => item.dataset.pair)") == [pair] * count
    assert f"{count} mistake" in str(browser.tell("document.querySelector('.filter').innerText"))
    browser.click(".filter button")
    assert browser.tell(f"{SHOWN}.length") == sum(mistakes.values())
    assert not browser.errors()


def test_a_report_in_a_browser_asks_no_other_computer_for_anything(browser, run):
    browser.open(run / "report.html")
    browser.tell("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    browser.tell("window.scrollTo(0, document.body.scrollHeight)")  # images that load late load now
    browser.tell("new Promise(done => setTimeout(done, 300))")
    assert browser.asked_for() == []
    assert browser.tell("performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    assert not browser.errors()


def test_a_page_that_asks_another_computer_would_be_caught(browser, run, tmp_path):
    page = tmp_path / "asking.html"
    image = '<img src="https://elsewhere.invalid/a.png"></body>'
    page.write_text((run / "report.html").read_text("utf-8").replace("</body>", image), encoding="utf-8")
    browser.open(page)
    assert browser.asked_for() == ["https://elsewhere.invalid/a.png"]


def test_every_image_in_a_report_can_be_drawn_and_nothing_stands_out_of_a_narrow_window(browser, run):
    browser.open(run / "report.html")
    browser.ask("Emulation.setDeviceMetricsOverride", width=420, height=800, deviceScaleFactor=1, mobile=False)
    browser.tell("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    drawn = "(each.loading = 'eager', each.decode().then(() => true, () => false))"
    told = browser.tell(f"Promise.all([...document.images].map(each => {drawn}))")
    assert told and all(told)
    assert browser.tell("document.documentElement.scrollWidth") <= 420
    browser.ask("Emulation.clearDeviceMetricsOverride")


def test_on_a_phone_a_column_of_sentences_is_not_broken_at_every_word(browser, run):
    browser.ask("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
    browser.open(run / "report.html")
    assert browser.tell("document.querySelector('#scores td.small').clientWidth") >= 200
    browser.ask("Emulation.clearDeviceMetricsOverride")


def test_a_figure_of_maps_fits_the_page_and_is_shown_in_full_size_where_that_is_asked_for(browser, tmp_path):
    there = write_fake_explanation(tmp_path / "e", test=False)  # its figure is 576 pixels wide
    write_explain_page(there.folder)
    browser.ask("Emulation.setDeviceMetricsOverride", width=420, height=800, deviceScaleFactor=1, mobile=False)
    browser.open(there.page_file)
    wide = "document.querySelector('.plate.map img').clientWidth"
    assert browser.tell(wide) < 420
    browser.click(".plate.map + button")
    assert browser.tell(wide) == 576
    browser.click(".plate.map + button")
    assert browser.tell(wide) < 420 and not browser.errors()
    browser.ask("Emulation.clearDeviceMetricsOverride")
