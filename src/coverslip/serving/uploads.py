"""Read the files in the body of a request into memory, with limits, and without writing to disk.

FastAPI's own form parser writes larger files to a temporary folder and does not limit their size. This one stops
reading as soon as a limit of `Limits` is exceeded.
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
from coverslip.serving.request_errors import RequestError, too_large, unreadable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILES = "files"
FIELDS = ("explain", "format")  # the other fields that a form may contain
MAX_NAME, MAX_FIELD = 160, 64
EXAMPLE = "send multipart/form-data with the field 'files', for example: curl -F files=@leaf.jpg ADDRESS/v1/predict"


@dataclass(frozen=True, slots=True)
class Upload:
    """One received file: its name for display (never used as a path) and its content."""

    name: str
    data: bytes


@dataclass(slots=True)
class Form:
    """The content of a request: files in order, and values of the other fields."""

    files: list[Upload] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary between the files of a multipart body.

    Args:
        content_type: value of the Content-Type header.

    Raises:
        RequestError: 415, the body has another type.

    >>> parse_boundary("multipart/form-data; boundary=abc")
    b'abc'
    """
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        name = media_type.decode("latin-1")[:60]
        problem = f"unsupported content type {name!r}" if media_type else "the header Content-Type is missing"
        raise RequestError(415, problem, EXAMPLE)
    return boundary


async def read_form(
    boundary: bytes, chunks: AsyncIterator[bytes], limits: Limits, reserve: Callable[[int], None]
) -> Form:
    """Read a body to its end.

    Args:
        boundary: see `parse_boundary`.
        chunks: chunks of the body as they arrive.
        limits: limits of a request.
        reserve: called with the size of each chunk that is stored; an exception stops reading.

    Raises:
        RequestError: 413 for too many bytes or files; 422 for a malformed body, no files, or unknown fields.
    """
    reader = _FormParser(limits)
    try:
        parser = MultipartParser(boundary, reader.callbacks(), max_header_count=8, max_header_size=4096)
        async for chunk in chunks:
            reader.count(len(chunk))
            reserve(len(chunk))
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise unreadable("the body is not valid multipart/form-data", EXAMPLE) from error
    return reader.result()


class _FormParser:
    """Collects the files and fields that the multipart parser finds."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.bytes_read, self.ended = limits, 0, False
        self.form = Form()
        self.header, self.value = bytearray(), bytearray()
        self.headers: dict[bytes, bytes] = {}
        self.name, self.filename = "", b""
        self.data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        """Return the functions that the multipart parser calls."""
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

    def count(self, size: int) -> None:
        """Count received bytes; raise an error as soon as there are too many."""
        self.bytes_read += size
        if self.bytes_read > self.limits.bytes + 2000 * (self.limits.images + 8):  # 2000: part headers and boundaries
            raise request_too_large(self.limits)

    def result(self) -> Form:
        """Return the form after the end of the body."""
        if not self.ended:
            raise unreadable("the body is incomplete: it ends within a file", "send it again")
        if not self.form.files:
            raise unreadable("the request contains no file", EXAMPLE)
        return self.form

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
            problem = f"unknown field {self.name[:60]!r}" if self.name else "a field of the form has no name"
            raise unreadable(problem, nearest(self.name, (FILES, *FIELDS)))
        if self.name == FILES and len(self.form.files) >= self.limits.images:
            raise too_large(f"the request has more than {self.limits.images:,} files", "send several smaller requests")

    def _take(self, data: bytes, start: int, end: int) -> None:
        self.data += data[start:end]
        if len(self.data) > (self.limits.bytes if self.name == FILES else MAX_FIELD):
            if self.name == FILES:
                raise request_too_large(self.limits)
            raise unreadable(f"the value of {self.name} is too long", "use for example explain=true or format=csv")

    def _end(self) -> None:
        if self.name in FIELDS:
            self.form.fields[self.name] = self.data.decode("utf-8", "replace")
        elif self.name == FILES:
            number = len(self.form.files) + 1
            self.form.files.append(Upload(clean_name(self.filename) or f"image {number}", bytes(self.data)))
        self.data = bytearray()

    def _finish(self) -> None:
        self.ended = True


def request_too_large(limits: Limits) -> RequestError:
    """Return a 413 error that states the limit of bytes."""
    return too_large(f"the request has more than {size_text(limits.bytes)}", "send fewer or smaller images at once")


def clean_name(raw: bytes) -> str:
    """Return a file name for display: last component, on one line, without control or direction characters.

    >>> clean_name(b"C:\\\\fields\\\\IMG 01.jpg"), clean_name(b"../../etc/passwd"), clean_name(b"a\\r\\nb.jpg")
    ('IMG 01.jpg', 'passwd', 'a b.jpg')
    """
    text = raw.decode("utf-8", "replace").replace("%22", '"').replace("%0D%0A", " ")
    last = re.split(r"[/\\]", text)[-1]
    shown = "".join(char if unicodedata.category(char)[0] != "C" else " " for char in last)
    shown = " ".join(unicodedata.normalize("NFC", shown).split())
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - 1] + "…"


def parse_flag(text: str | None, name: str) -> bool:
    """Return the boolean value of a query parameter or a form field; False if it is missing.

    Raises:
        RequestError: 422, the value is neither ``true`` nor ``false``.
    """
    if text is None:
        return False
    if text.lower() not in ("true", "false", "1", "0"):
        raise unreadable(f"{name}={text[:40]!r} is neither true nor false", f"use {name}=true or {name}=false")
    return text.lower() in ("true", "1")
