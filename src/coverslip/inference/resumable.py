"""Text files that are written in blocks and can be resumed after an interruption.

``predictions.csv`` is written as ``predictions.csv.partial`` and renamed when it is complete. The journal
``predictions.csv.journal`` has one line per block: its number of rows and bytes, a digest of its text, and a key of its
inputs. After a crash (such as ``kill -9`` in the middle of a line), blocks that match the journal are kept and the rest
is truncated, so that the finished file is byte-identical to one written without interruption.
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
class ResumableFile:
    """A file under construction, as returned by `open_resumable`.

    Attributes:
        out: path of the finished file.
        rows: number of rows written so far.
        notes: the note of each block, in order.
    """

    out: Path
    rows: int = 0
    notes: list[Any] = field(default_factory=list)
    _bytes: int = 0

    @property
    def partial(self) -> Path:
        """Path of the unfinished file."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def journal(self) -> Path:
        """Path of the journal of blocks."""
        return self.out.with_name(f"{self.out.name}.journal")

    def add(self, text: str, rows: int, made_of: str, note: Any = None) -> None:
        """Append a block; it has been handed to the operating system when this returns.

        Args:
            text: complete lines.
            rows: number of lines.
            made_of: key of the inputs of this block; if it differs on resume, the block is written again.
            note: JSON-serializable value that is restored in ``notes`` on resume.
        """
        data = text.encode()
        entry = {"rows": rows, "bytes": len(data), "text": digest(data), "made_of": made_of, "note": note}
        with explain_full_disk(self.out.parent):
            _append(self.partial, data)
            _append(self.journal, (json.dumps(entry, ensure_ascii=False) + "\n").encode())  # only after its block
        self._count(entry)

    def restore(self, made_of: Callable[[int, int], str]) -> int:
        """Keep the valid blocks of an earlier process, up to the first invalid one, and truncate the rest.

        Args:
            made_of: (first row, number of rows) -> current key of the inputs of such a block.

        Returns:
            The number of rows found, both kept and truncated.
        """
        entries = self._entries()[1:]
        with self.partial.open("r+b") as file, explain_full_disk(self.out.parent):
            for entry in entries:
                intact = digest(file.read(entry["bytes"])) == entry["text"]
                if not intact or made_of(self.rows, entry["rows"]) != entry["made_of"]:
                    break
                self._count(entry)
            file.truncate(self._bytes)
        kept = self.journal.read_bytes().splitlines(keepends=True)[: 1 + len(self.notes)]
        write_text(self.journal, b"".join(kept).decode())
        return sum(entry["rows"] for entry in entries)

    def finish(self) -> None:
        """Rename the file to its final name.

        Raises:
            UserError: a file of that name exists by now.
        """
        refuse_existing(self.out)
        self.partial.replace(self.out)
        self.journal.unlink(missing_ok=True)

    def _count(self, entry: Mapping[str, Any]) -> None:
        self.rows += entry["rows"]
        self._bytes += entry["bytes"]
        self.notes.append(entry["note"])

    def _entries(self) -> list[dict[str, Any]]:
        """Return the entries of the journal up to the first incomplete line."""
        entries = []
        with suppress(ValueError, OSError):
            for line in self.journal.read_bytes().splitlines(keepends=True):
                entry = json.loads(line)
                if not (line.endswith(b"\n") and isinstance(entry, dict)):
                    break
                entries.append(entry)
        return entries


@contextmanager
def open_resumable(out: Path, made_by: Mapping[str, str], *, resume: bool) -> Iterator[ResumableFile]:
    """Start or resume a file. If the block raises, the partial file stays for a later resume, unless it has no rows.

    Args:
        out: path of the finished file.
        made_by: keys of everything that all rows depend on, under names for the user, such as ``{"model": ...}``.
        resume: continue the partial file of an earlier process, if there is one.

    Raises:
        UserError: ``out`` exists; a partial file exists and ``resume`` is false, or it was started with other inputs;
            or another process is writing the file.
    """
    file = ResumableFile(out)
    ensure_folder(out.parent)
    with _exclusive(out):
        refuse_existing(out)
        started = file.partial.exists()
        if started and not resume:
            fix = f"use --resume to continue, or delete {str(file.partial)!r}"
            raise UserError(f"{str(out)!r} was started earlier and is not finished", fix)
        try:
            if started:
                _check_same_inputs(file, made_by)
            else:
                write_text(file.journal, json.dumps(dict(made_by)) + "\n")
                file.partial.touch()
            yield file
        finally:
            if file.rows == 0 and not started:
                for path in (file.partial, file.journal):
                    path.unlink(missing_ok=True)


def refuse_existing(out: Path) -> None:
    """Refuse to overwrite a file.

    Raises:
        UserError: the file exists.
    """
    if out.exists():
        raise UserError(f"{str(out)!r} already exists", "choose another --out, or delete the file first")


def _check_same_inputs(file: ResumableFile, made_by: Mapping[str, str]) -> None:
    header = next(iter(file._entries()), None)
    if header is None:
        raise UserError(
            f"{str(file.partial)!r} cannot be resumed: {str(file.journal)!r} is missing or damaged",
            f"delete {str(file.partial)!r} to start over",
        )
    changed = [name for name, key in made_by.items() if header.get(name) != key]
    if changed:
        paths = " and ".join(repr(str(path)) for path in (file.partial, file.journal))
        raise UserError(
            f"{str(file.out)!r} was started with a different {' and a different '.join(changed)}",
            f"choose another --out, or delete {paths} to start over",
        )


def _exclusive(out: Path) -> AbstractContextManager[None]:
    """Lock the file against other processes of this machine."""
    busy = UserError(f"another process is writing {str(out)!r}", "wait until it ends, or choose another --out")
    return locked("out", digest(str(out.absolute())), busy)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
