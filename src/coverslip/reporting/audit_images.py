"""The images of an audit: sets that belong together as strips, single images as a gallery, long lists cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.thumbnails import Thumbnails

SIDE = 128  # pixels of the longer side: two images are compared, not studied
IN_A_SET = 8  # a chain of look-alikes may hold hundreds
FIRST_SETS, MOST_SETS = 4, 24
FIRST_SINGLES, MOST_SINGLES = 12, 48
SLACK = 2  # so few more are not worth a fold
HEAD, TAIL = 13, 22  # characters of a long file name under its image; those that belong together differ at the end


class ImageStrips:
    """Makes what the templates show of each finding's images, within what one page can hold.

    Args:
        files: a run's folder, or an audit's.
        thumbnails: the page's own, with its budget.
        shown: whether the image of a path may be shown; of others only the path is. All may, unless it is given.
        most: images named on one page, drawn or not; those beyond are counted only.
    """

    def __init__(
        self, files: RunFiles, thumbnails: Thumbnails, shown: Callable[[str], bool] | None = None, most: int = 900
    ) -> None:
        self._thumbnails, self._shown, self.left = thumbnails, shown, most
        rows = files.table or []
        self._labels = {row["path"]: row["label"] for row in rows if row.get("label")}
        self._parts = {row["path"]: row["split"] for row in rows if row.get("split")}
        self._classes = set((files.audit or {}).get("classes") or ())

    def strips(self, sets: Sequence[Sequence[str]] | None) -> dict[str, Any]:
        """The context of one list of sets: ``first`` are seen at once, ``rest`` is folded, ``left_out`` is a number.

        Args:
            sets: paths that belong together, or one path each.
        """
        known = [list(map(str, paths)) for paths in sets or [] if paths]
        single = all(len(paths) == 1 for paths in known)
        first, most = (FIRST_SINGLES, MOST_SINGLES) if single else (FIRST_SETS, MOST_SETS)
        made = []
        for paths in known[:most]:
            if self.left <= 0:
                break
            made.append(self._set(paths))
            self.left -= len(made[-1]["members"])
        first = len(made) if len(made) <= first + SLACK and len(made) == len(known) else first
        return {
            "single": single,
            "drawn": any(each["drawn"] for each in made),
            "first": made[:first],
            "rest": made[first:],
            "left_out": len(known) - len(made),
        }

    def label(self, path: str) -> str:
        """The class of an image: what table.csv says, else the folder of its path that is a class, else nothing."""
        if path in self._labels:
            return self._labels[path]
        folders = PurePosixPath(path).parts[:-1]
        return next((folder for folder in reversed(folders) if folder in self._classes), "")

    def _set(self, paths: list[str]) -> dict[str, Any]:
        """A set with every label in it; parts are told only where they differ."""
        labels = sorted({self.label(path) for path in paths} - {""})
        parts = {self._parts.get(path, "") for path in paths} - {""}
        # The first of every label is among those shown: a contradiction must be seen.
        order = sorted(range(len(paths)), key=lambda at: (self.label(paths[at]) in map(self.label, paths[:at]), at))
        chosen = [paths[at] for at in sorted(order[:IN_A_SET])]
        members = [self._member(path, part=len(parts) > 1) for path in chosen]
        return {
            "members": members,
            "more": len(paths) - len(members),
            "labels": labels,
            "drawn": any(member["data"] for member in members),
        }

    def _member(self, path: str, *, part: bool) -> dict[str, Any]:
        label = self.label(path)
        name = path.removeprefix(f"{label}/")
        if len(name) > HEAD + TAIL + 1:
            name = f"{name[:HEAD]}…{name[-TAIL:]}"
        seen = self._shown is None or self._shown(path)
        image = self._thumbnails.image(path, SIDE) if seen else {"path": path, "data": "", "why": "not shown"}
        return {**image, "name": name, "label": label, "part": self._parts.get(path, "") if part else ""}
