"""From the body of a request to the files in it: in memory, bounded, nothing of it on a disk.

The standard reader of FastAPI writes larger files to a temporary folder, and counts nothing; this one holds at most
what `Limits` allows and stops reading as soon as that is exceeded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from coverslip.core.registry import nearest
from coverslip.core.storage import size_text
from coverslip.serving.limits import Limits
from coverslip.serving.refusals import Refused, too_large, unreadable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILES = "files"
FIELDS = ("explain", "format")  # what else a form may say
LONGEST_NAME, LONGEST_FIELD = 160, 64
HOW = "send multipart/form-data with a field 'files', such as: curl -F files=@leaf.jpg ADDRESS/v1/predict"


@dataclass(frozen=True, slots=True)
class Upload:
    """One file: its name as it is shown (never used as a path), and all of its bytes."""

    name: str
    data: bytes


@dataclass(slots=True)
class Form:
    """What a request holds: files in their order, and what else it says."""

    files: list[Upload] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


def boundary_of(content_type: str) -> bytes:
    """What parts the files of a multipart body.

    Raises:
        Refused: 415, the body is something else.

    >>> boundary_of("multipart/form-data; boundary=abc")
    b'abc'
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        said = f"the body is {kind.decode('latin-1')[:60]!r}" if kind else "the body does not say what it is"
        raise Refused(415, said, HOW)
    return boundary


async def read_form(boundary: bytes, chunks: AsyncIterator[bytes], limits: Limits, hold: Callable[[int], None]) -> Form:
    """Read a body to its end.

    Args:
        boundary: see `boundary_of`.
        chunks: the body as it comes.
        limits: of a request.
        hold: told the bytes of each chunk that is kept; what it raises ends the reading.

    Raises:
        Refused: 413 for too many bytes or files, 422 for a body that is broken, has no files or fields that nobody
            knows.
    """
    reader = _Reader(limits)
    try:
        parser = MultipartParser(boundary, reader.callbacks(), max_header_count=8, max_header_size=4096)
        async for chunk in chunks:
            reader.count(len(chunk))
            hold(len(chunk))
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise unreadable("the body is no form that can be read", HOW) from error
    return reader.form()


class _Reader:
    """Takes what the parser finds."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.read, self.ended = limits, 0, False
        self.found = Form()
        self.header, self.value = bytearray(), bytearray()
        self.headers: dict[bytes, bytes] = {}
        self.name, self.filename = "", b""
        self.data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_header_field": lambda data, start, end: self.header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self.value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_end": self._finish,
        }

    def count(self, more: int) -> None:
        """Refuse the body as soon as it is too long."""
        self.read += more
        if self.read > self.limits.bytes + 2000 * (self.limits.images + 8):  # what stands between the files
            raise too_long(self.limits)

    def form(self) -> Form:
        """All of it, once the body has ended."""
        if not self.ended:
            raise unreadable("the body ends before its last file does", "send it again")
        if not self.found.files:
            raise unreadable("there is no file in the request", HOW)
        return self.found

    def _begin(self) -> None:
        self.headers, self.data = {}, bytearray()
        self.name, self.filename = "", b""

    def _header_end(self) -> None:
        self.headers[bytes(self.header).lower()] = bytes(self.value)
        self.header.clear()
        self.value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition", b"").decode("latin-1"))
        self.name = options.get(b"name", b"").decode("utf-8", "replace")
        self.filename = options.get(b"filename", b"")
        if self.name not in (FILES, *FIELDS):
            said = f"there is no field {self.name[:60]!r}" if self.name else "a part of the form has no name"
            raise unreadable(said, nearest(self.name, (FILES, *FIELDS)))
        if self.name == FILES and len(self.found.files) >= self.limits.images:
            raise too_large(
                f"more than {self.limits.images:,} files in one request", "send them in several requests, one by one"
            )

    def _take(self, data: bytes, start: int, end: int) -> None:
        self.data += data[start:end]
        if len(self.data) > (self.limits.bytes if self.name == FILES else LONGEST_FIELD):
            raise (
                too_long(self.limits)
                if self.name == FILES
                else unreadable(f"{self.name} is too long", "explain=true, format=csv")
            )

    def _end(self) -> None:
        if self.name in FIELDS:
            self.found.fields[self.name] = self.data.decode("utf-8", "replace")
        elif self.name == FILES:
            number = len(self.found.files) + 1
            self.found.files.append(Upload(clean_name(self.filename) or f"image {number}", bytes(self.data)))
        self.data = bytearray()

    def _finish(self) -> None:
        self.ended = True


def too_long(limits: Limits) -> Refused:
    """413, with how much is taken."""
    return too_large(f"the request has more than {size_text(limits.bytes)}", "send fewer or smaller images at once")


def clean_name(raw: bytes) -> str:
    """A file's name as it is shown: its last part, on one line, without what would turn or hide text.

    >>> clean_name(b"C:\\\\fields\\\\IMG 01.jpg"), clean_name(b"../../etc/passwd"), clean_name(b"a\\r\\nb.jpg")
    ('IMG 01.jpg', 'passwd', 'a b.jpg')
    """
    text = raw.decode("utf-8", "replace").replace("%22", '"').replace("%0D%0A", " ")
    last = re.split(r"[/\\]", text)[-1]
    shown = "".join(char if unicodedata.category(char)[0] != "C" else " " for char in last)
    shown = " ".join(unicodedata.normalize("NFC", shown).split())
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"


def as_flag(text: str | None, name: str) -> bool:
    """``true`` or ``false`` of a query or a form.

    Raises:
        Refused: 422, something else.
    """
    if text is None:
        return False
    if text.lower() not in ("true", "false", "1", "0"):
        raise unreadable(f"{name}={text[:40]!r} is neither true nor false", f"{name}=true")
    return text.lower() in ("true", "1")
