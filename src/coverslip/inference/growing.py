"""A text file that grows piece by piece beside its name and gets that name when it is whole: what is killed goes on.

``predictions.csv`` is written as ``predictions.csv.partial``; ``predictions.csv.journal`` beside it has a line for each
piece: how far it reaches, what it was made of, and a digest of its own bytes. After `kill -9`, or a disk that broke in
the middle of a line, the pieces that still hold are kept and the rest is cut off, so that the end is the same to the
byte as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.storage import digest, ensure_folder, explain_full_disk, locked, write_text


@dataclass
class GrowingFile:
    """See the module; made by `growing`.

    Attributes:
        out: the file that is to be.
        rows: how many are in it.
        notes: what was noted of each piece, in order.
    """

    out: Path
    rows: int = 0
    notes: list[Any] = field(default_factory=list)
    _bytes: int = 0

    @property
    def partial(self) -> Path:
        """The file as it grows."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def journal(self) -> Path:
        """What is known of its pieces."""
        return self.out.with_name(f"{self.out.name}.journal")

    def add(self, text: str, rows: int, made_of: str, note: Any = None) -> None:
        """One more piece; it is on its way to the disk when this returns.

        Args:
            text: its lines.
            rows: how many.
            made_of: names all that it depends on; where this is another when the file is gone on with, it is made anew.
            note: plain JSON, given back in ``notes``.
        """
        data = text.encode()
        entry = {"rows": rows, "bytes": len(data), "text": digest(data), "made_of": made_of, "note": note}
        with explain_full_disk(self.out.parent):
            _append(self.partial, data)
            _append(self.journal, (json.dumps(entry, ensure_ascii=False) + "\n").encode())  # after what it speaks of
        self._count(entry)

    def keep(self, made_of: Callable[[int, int], str]) -> int:
        """Take over the pieces of an earlier process, from the first to the last that still holds; cut off the rest.

        Args:
            made_of: (first row, rows) -> what such a piece would be made of now.

        Returns:
            How many rows were there, those that are kept and those that were cut off.
        """
        entries = self._entries()[1:]
        with self.partial.open("r+b") as file, explain_full_disk(self.out.parent):
            for entry in entries:
                whole = digest(file.read(entry["bytes"])) == entry["text"]
                if not whole or made_of(self.rows, entry["rows"]) != entry["made_of"]:
                    break
                self._count(entry)
            file.truncate(self._bytes)
        kept = self.journal.read_bytes().splitlines(keepends=True)[: 1 + len(self.notes)]
        write_text(self.journal, b"".join(kept).decode())
        return sum(entry["rows"] for entry in entries)

    def finish(self) -> None:
        """Give the file its name.

        Raises:
            UserError: something else has it by now.
        """
        refuse_existing(self.out)
        self.partial.replace(self.out)
        self.journal.unlink(missing_ok=True)

    def _count(self, entry: Mapping[str, Any]) -> None:
        self.rows += entry["rows"]
        self._bytes += entry["bytes"]
        self.notes.append(entry["note"])

    def _entries(self) -> list[dict[str, Any]]:
        """The lines of the journal; what a kill left half is dropped with all after it."""
        entries = []
        with suppress(ValueError, OSError):
            for line in self.journal.read_bytes().splitlines(keepends=True):
                entry = json.loads(line)
                if not (line.endswith(b"\n") and isinstance(entry, dict)):
                    break
                entries.append(entry)
        return entries


@contextmanager
def growing(out: Path, made_by: Mapping[str, str], *, resume: bool) -> Iterator[GrowingFile]:
    """Begin a file, or go on with it; it is left as it is where the block ends early, but for one without any row.

    Args:
        out: the file that is to be.
        made_by: what every row depends on, by names that a user understands, such as ``{"the model": ...}``.
        resume: go on where there is something to go on with.

    Raises:
        UserError: it exists already; it was begun before, and ``resume`` is false; it was begun by something else; or
            another process writes it now.
    """
    file = GrowingFile(out)
    ensure_folder(out.parent)
    with _alone(out):
        refuse_existing(out)
        begun = file.partial.exists()
        if begun and not resume:
            fix = f"go on with it by --resume, or remove {str(file.partial)!r}"
            raise UserError(f"{str(out)!r} was begun and is not finished", fix)
        try:
            if begun:
                _refuse_others(file, made_by)
            else:
                write_text(file.journal, json.dumps(dict(made_by)) + "\n")
                file.partial.touch()
            yield file
        finally:
            if file.rows == 0 and not begun:
                for path in (file.partial, file.journal):
                    path.unlink(missing_ok=True)


def refuse_existing(out: Path) -> None:
    """A file is never overwritten.

    Raises:
        UserError: it is there.
    """
    if out.exists():
        raise UserError(f"{str(out)!r} exists already", "choose another --out, or remove it first")


def _refuse_others(file: GrowingFile, made_by: Mapping[str, str]) -> None:
    head = next(iter(file._entries()), None)
    if head is None:
        raise UserError(
            f"nothing says what {str(file.partial)!r} was begun with ({str(file.journal)!r} is missing or broken)",
            f"remove {str(file.partial)!r} to begin again",
        )
    other = [what for what, name in made_by.items() if head.get(what) != name]
    if other:
        paths = " and ".join(repr(str(path)) for path in (file.partial, file.journal))
        raise UserError(
            f"{str(file.out)!r} was begun with another {' and another '.join(other)}",
            f"choose another --out, or remove {paths} to begin again",
        )


def _alone(out: Path) -> AbstractContextManager[None]:
    """No other process of this machine writes this file."""
    busy = UserError(f"another process is writing {str(out)!r}", "let it end, or choose another --out")
    return locked("out", digest(str(out.absolute())), busy)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
