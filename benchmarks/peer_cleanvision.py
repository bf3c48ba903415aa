"""Run CleanVision on a folder as documented; run by `audit_speed.py` in a separate environment."""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

from cleanvision import Imagelab


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, help="result.json to write")
    parser.add_argument("broken", type=Path, help="JSON list of files to omit after it has failed on them")
    options = parser.parse_args()
    failed = ""
    try:
        lab, seconds = find(data_path=str(options.folder))
    except OSError as error:
        failed = f"{type(error).__name__}: {error}"
        broken = set(json.loads(options.broken.read_text()))
        paths = [str(path) for path in sorted(options.folder.rglob("*")) if path.is_file() and str(path) not in broken]
        lab, seconds = find(filepaths=paths)
    flags = [name for name in lab.issues.columns if name.startswith("is_") and name.endswith("_issue")]
    flagged = {name: [str(path) for path in lab.issues.index[lab.issues[name]]] for name in flags}
    kinds = ("exact_duplicates", "near_duplicates")
    sets = {kind: [[str(path) for path in group] for group in lab.info[kind]["sets"]] for kind in kinds}
    about = {"seconds": seconds, "version": version("cleanvision"), "failed": failed}
    options.out.write_text(json.dumps({**about, "issues": flagged, "sets": sets}, indent=1))


def find(**source: object) -> tuple[Imagelab, float]:
    """Run all checks and return the results and their time."""
    start = time.perf_counter()
    lab = Imagelab(**source)
    lab.find_issues()
    return lab, time.perf_counter() - start


if __name__ == "__main__":
    main()
