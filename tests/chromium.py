"""The system's Chromium, for tests that look at a page as a person would."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium_path() -> str:
    """Where Chromium is; without one the test is left out, but fails where CI=true, so that none is left out unseen."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing = f"none of {', '.join(NAMES)} is installed"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    return program
