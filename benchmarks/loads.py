"""Lightweight clients for server measurements: prepared requests, persistent connections and one event loop.

An ordinary client (httpx, requests) needs several milliseconds of processor time per request, which would distort the
measurement if client and server share a machine. This one needs about a twentieth of a millisecond.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

BOUNDARY = "a-boundary-of-the-benchmark"
PATIENCE = 60.0  # seconds until an answer must arrive


@dataclass
class Tally:
    """Results of the clients.

    Attributes:
        seconds: status -> seconds of every answered request.
        lost: number of requests without an answer, since the connection was closed or a timeout occurred.
        images: number of images in requests that were answered with 200.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0
    images: int = 0
    first_words: dict[int, str] = field(default_factory=dict)

    def note(self, status: int, seconds: float, images: int, body: bytes) -> None:
        self.seconds.setdefault(status, []).append(seconds)
        self.first_words.setdefault(status, body[:200].decode("utf-8", "replace"))
        self.images += images if status == 200 else 0

    @property
    def counts(self) -> dict[int, int]:
        return {status: len(seconds) for status, seconds in sorted(self.seconds.items())}


def request(files: Sequence[tuple[str, bytes]], path: str, field_name: str = "files") -> bytes:
    """Return a complete POST request with a form."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field_name}"; filename="{name}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Wire(asyncio.Protocol):
    """Reader of one connection that collects bytes until an answer is complete."""

    def __init__(self) -> None:
        self.come, self.answer = bytearray(), asyncio.get_running_loop().create_future()

    def expect(self) -> asyncio.Future[tuple[bytes, bytes]]:
        """Return head (in lower case) and body of the next answer."""
        self.answer = asyncio.get_running_loop().create_future()
        return self.answer

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self.come += data
        result = split_answer(self.come)
        if result is not None and not self.answer.done():
            self.come = bytearray()
            self.answer.set_result(result)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        if not self.answer.done():
            self.answer.set_exception(error or EOFError("the connection was closed before an answer"))
            self.answer.exception()  # there may be no waiter


def split_answer(come: bytearray) -> tuple[bytes, bytes] | None:
    """Return head and body of an answer, or None while it is incomplete."""
    head, separator, rest = come.partition(b"\r\n\r\n")
    if not separator:
        return None
    head = bytes(head).lower()
    if (start := head.find(b"\r\ncontent-length:")) >= 0:
        length = int(head[start + 17 :].split(b"\r\n", 1)[0])
        return (head, bytes(rest)) if len(rest) >= length else None
    body = b""
    while True:  # in chunks
        line, separator, rest = rest.partition(b"\r\n")
        if not separator or len(rest) < int(line, 16) + 2:
            return None
        if not int(line, 16):
            return head, body
        body, rest = body + bytes(rest[: int(line, 16)]), rest[int(line, 16) + 2 :]


class Connection:
    """Connection of one client, which is reopened if it was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open: tuple[asyncio.WriteTransport, Wire] | None = None

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body of the answer."""
        if self.open is None or self.open[0].is_closing():
            self.open = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", self.port)
        transport, wire = self.open
        try:
            coming = wire.expect()
            transport.write(sent)
            head, body = await coming
        except BaseException:
            self.close()
            raise
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        if self.open is not None:
            self.open[0].close()
            self.open = None


async def one_by_one(port: int, requests: Iterable[bytes]) -> Tally:
    """Run one client without pauses."""
    tally, connection = Tally(), Connection(port)
    for sent in requests:
        start = time.perf_counter()
        status, body = await connection.ask(sent)
        tally.note(status, time.perf_counter() - start, 1, body)
    connection.close()
    return tally


async def many_clients(port: int, clients: int, seconds: float, choose: Callable[[], tuple[bytes, int]]) -> Tally:
    """Run several clients, each of which sends its next request as soon as the previous one is answered.

    Args:
        port: port of the server.
        clients: number of clients.
        seconds: duration; pending requests at the end are awaited.
        choose: function that returns the next request and its number of images.
    """
    tally, end = Tally(), time.perf_counter() + seconds

    async def client() -> None:
        connection = Connection(port)
        while time.perf_counter() < end:
            sent, images = choose()
            start = time.perf_counter()
            try:
                async with asyncio.timeout(PATIENCE):
                    status, body = await connection.ask(sent)
            except (TimeoutError, OSError, EOFError):
                tally.lost += 1
                connection.close()
                await asyncio.sleep(0.05)
                continue
            tally.note(status, time.perf_counter() - start, images, body)
            if status in (429, 503):
                await asyncio.sleep(0.05)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return tally
