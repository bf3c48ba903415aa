"""CleanVision on a folder, as its documentation says to use it; `audit_speed.py` starts this in its own environment."""

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
    options = parser.parse_args()
    start = time.perf_counter()
    lab = Imagelab(data_path=str(options.folder))
    lab.find_issues()
    seconds = time.perf_counter() - start
    flags = [name for name in lab.issues.columns if name.startswith("is_") and name.endswith("_issue")]
    found = {name: [str(path) for path in lab.issues.index[lab.issues[name]]] for name in flags}
    sets = {
        kind: [[str(path) for path in group] for group in lab.info[kind]["sets"]]
        for kind in ("exact_duplicates", "near_duplicates")
    }
    content = {"seconds": seconds, "version": version("cleanvision"), "issues": found, "sets": sets}
    options.out.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
