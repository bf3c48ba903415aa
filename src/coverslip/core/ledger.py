"""A log of how often each test set was scored: a test set that is used repeatedly turns into a validation set.

The ledger is stored next to the caches and is keyed by the content of the test files, so that a moved folder or another
run finds it. Clearing the caches does not clear it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable

from coverslip.core.storage import cache_folder, digest, ensure_folder, locked


def record_scoring(test_files: Iterable[str], run: str, settings: str) -> list[dict[str, str]]:
    """Record that a test set is scored, and return all its scorings.

    Args:
        test_files: hashes of the files of the test set, in any order.
        run: name of the run folder.
        settings: identifies the settings: a resumed run counts as the same scoring, not as a second one.

    Returns:
        Every scoring of this test set, the current one last: ``when`` (ISO date and time), ``run``, ``settings``.
    """
    key = digest("ledger", sorted(test_files))
    with locked("ledger", key):
        path = ensure_folder(cache_folder() / "ledger") / f"{key}.jsonl"
        entries = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entries.append(dict(json.loads(line)))
                except (ValueError, TypeError):  # a line that a full disk or a killed process cut short
                    continue
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        current = {"when": now, "run": run, "settings": settings}
        others = [entry for entry in entries if (entry.get("run"), entry.get("settings")) != (run, settings)]
        if len(others) == len(entries):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(current, ensure_ascii=False) + "\n")
    return [*others, current]
