"""Images of audit findings: sets of related images as strips, single images as a gallery, long lists truncated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.thumbnails import Thumbnails

SIDE = 128  # pixels of the longer side: enough to compare two images
MAX_IN_SET = 8  # a chain of similar images may have hundreds
FIRST_SETS, MAX_SETS = 4, 24
FIRST_SINGLES, MAX_SINGLES = 12, 48
SLACK = 2  # a fold must hide more sets than this
HEAD, TAIL = 13, 22  # characters kept of a long file name; names of related images usually differ at the end


class ImageStrips:
    """Builds the template context of each finding's images, within the limits of one page.

    Args:
        files: the files of a run or of an audit.
        thumbnails: the page's thumbnails, with their budget.
        shown: whether the image of a path may be shown; otherwise only its path is. Default: all.
        limit: maximum number of images listed on the page, as thumbnails or as names.
    """

    def __init__(
        self, files: RunFiles, thumbnails: Thumbnails, shown: Callable[[str], bool] | None = None, limit: int = 900
    ) -> None:
        self._thumbnails, self._shown, self.left = thumbnails, shown, limit
        rows = files.table or []
        self._labels = {row["path"]: row["label"] for row in rows if row.get("label")}
        self._splits = {row["path"]: row["split"] for row in rows if row.get("split")}
        self._classes = set((files.audit or {}).get("classes") or ())

    def strips(self, sets: Sequence[Sequence[str]] | None) -> dict[str, Any]:
        """Return the context of a list of sets: ``first`` is visible, ``rest`` is folded, ``left_out`` is a number.

        Args:
            sets: paths of images that belong together, or one path each.
        """
        known = [list(map(str, paths)) for paths in sets or [] if paths]
        single = all(len(paths) == 1 for paths in known)
        first, limit = (FIRST_SINGLES, MAX_SINGLES) if single else (FIRST_SETS, MAX_SETS)
        contexts = []
        for paths in known[:limit]:
            if self.left <= 0:
                break
            contexts.append(self._set(paths))
            self.left -= len(contexts[-1]["members"])
        first = len(contexts) if len(contexts) <= first + SLACK and len(contexts) == len(known) else first
        return {
            "single": single,
            "drawn": any(context["drawn"] for context in contexts),
            "first": contexts[:first],
            "rest": contexts[first:],
            "left_out": len(known) - len(contexts),
        }

    def label(self, path: str) -> str:
        """Return the class of an image: from table.csv, else the innermost folder that is a class, else ""."""
        if path in self._labels:
            return self._labels[path]
        folders = PurePosixPath(path).parts[:-1]
        return next((folder for folder in reversed(folders) if folder in self._classes), "")

    def _set(self, paths: list[str]) -> dict[str, Any]:
        """Return one set with all its labels; splits are shown only if they differ."""
        labels = sorted({self.label(path) for path in paths} - {""})
        splits = {self._splits.get(path, "") for path in paths} - {""}
        # One image of every label is among those shown, so that a label conflict is visible.
        order = sorted(range(len(paths)), key=lambda at: (self.label(paths[at]) in map(self.label, paths[:at]), at))
        chosen = [paths[at] for at in sorted(order[:MAX_IN_SET])]
        members = [self._member(path, split=len(splits) > 1) for path in chosen]
        return {
            "members": members,
            "more": len(paths) - len(members),
            "labels": labels,
            "drawn": any(member["data"] for member in members),
        }

    def _member(self, path: str, *, split: bool) -> dict[str, Any]:
        label = self.label(path)
        name = path.removeprefix(f"{label}/")
        if len(name) > HEAD + TAIL + 1:
            name = f"{name[:HEAD]}…{name[-TAIL:]}"
        show = self._shown is None or self._shown(path)
        image = self._thumbnails.image(path, SIDE) if show else {"path": path, "data": "", "why": "not shown"}
        return {**image, "name": name, "label": label, "split": self._splits.get(path, "") if split else ""}
