"""Clients of a server under measurement: requests made once, sent over connections that stay open, by one light loop.

An ordinary client (httpx, requests) takes several milliseconds of processor time a request, which on a machine that the
server shares would be measured with it. This one takes about a tenth of one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

BOUNDARY = "a-boundary-of-the-benchmark"
PATIENCE = 60.0  # seconds for an answer


@dataclass
class Tally:
    """What clients saw.

    Attributes:
        seconds: of every request that was answered, by its status.
        lost: requests without an answer: the connection ended, or nothing came in time.
        pictures: in requests that were answered with 200.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0
    pictures: int = 0
    first_words: dict[int, str] = field(default_factory=dict)

    def note(self, status: int, seconds: float, pictures: int, body: bytes) -> None:
        self.seconds.setdefault(status, []).append(seconds)
        self.first_words.setdefault(status, body[:200].decode("utf-8", "replace"))
        self.pictures += pictures if status == 200 else 0

    @property
    def counts(self) -> dict[int, int]:
        return {status: len(seconds) for status, seconds in sorted(self.seconds.items())}


def request(files: Sequence[tuple[str, bytes]], path: str, field_name: str = "files") -> bytes:
    """A whole POST of a form."""
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


class Connection:
    """One client's connection, opened anew where it was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        try:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
            if length is None:  # in chunks
                body = b""
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readexactly(2)
            else:
                body = await reader.readexactly(length)
            if b"connection: close" in lines:
                self.close()
        except BaseException:
            self.close()
            raise
        return status, body

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def one_by_one(port: int, requests: Iterable[bytes]) -> Tally:
    """One client without a pause."""
    tally, connection = Tally(), Connection(port)
    for sent in requests:
        start = time.perf_counter()
        status, body = await connection.ask(sent)
        tally.note(status, time.perf_counter() - start, 1, body)
    connection.close()
    return tally


async def many_clients(port: int, clients: int, seconds: float, choose: Callable[[], tuple[bytes, int]]) -> Tally:
    """Many clients for a while, each sending its next request as soon as the last is answered.

    Args:
        port: of the server.
        clients: how many.
        seconds: for how long; what is under way then is waited for.
        choose: the next request, and the number of pictures in it.
    """
    tally, end = Tally(), time.perf_counter() + seconds

    async def client() -> None:
        connection = Connection(port)
        while time.perf_counter() < end:
            sent, pictures = choose()
            start = time.perf_counter()
            try:
                status, body = await asyncio.wait_for(connection.ask(sent), PATIENCE)
            except (TimeoutError, OSError, EOFError):
                tally.lost += 1
                connection.close()
                await asyncio.sleep(0.05)
                continue
            tally.note(status, time.perf_counter() - start, pictures, body)
            if status in (429, 503):
                await asyncio.sleep(0.05)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return tally
