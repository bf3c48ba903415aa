"""The system's Chromium, for tests that look at a page as a person would.

Where there is none a test is left out; where CI=true it fails, so that none is left out unseen.
"""

import os
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--no-sandbox", "--disable-gpu")


def chromium_path() -> str:
    """Where Chromium is."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    return program or _leave_out(f"none of {', '.join(NAMES)} is installed")


@contextmanager
def open_chromium(*flags):
    """The browser, driven by Playwright, until the block ends."""
    program = chromium_path()
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _leave_out("Playwright is not installed")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        yield browser
        browser.close()


def _leave_out(missing):
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
