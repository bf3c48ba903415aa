"""How often a test set was scored: a test that is looked at again and again becomes a part that chooses.

The ledger is kept beside the caches, by the content of the test files, so that a moved folder or another run finds it;
clearing the caches does not clear it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable

from coverslip.core.storage import cache_folder, digest, ensure_folder, locked


def record_scoring(test_files: Iterable[str], run: str, settings: str) -> list[dict[str, str]]:
    """Note that a test set is scored, and say what was noted before.

    Args:
        test_files: hashes of the files of the test set, in any order.
        run: name of the run's folder.
        settings: what names the settings: a run that is continued is the same scoring, not a second one.

    Returns:
        Every scoring of this test set, this one last: ``when`` (ISO date and time), ``run``, ``settings``.
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
        entry = {"when": now, "run": run, "settings": settings}
        others = [each for each in entries if (each.get("run"), each.get("settings")) != (run, settings)]
        if len(others) == len(entries):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return [*others, entry]
