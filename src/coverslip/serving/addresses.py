"""Where the server listens: an address is taken before anything is loaded; of one that is not free, who holds it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

from coverslip.core.errors import UserError

TRIED = 50  # ports after the one that is taken


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, and listens once a server takes it.

    Args:
        host: a name or an address of this machine.
        port: 0 for any that is free.

    Raises:
        UserError: the port is taken (by whom, if it can be told, and one that is free), or may not be used, or the
            address is not this machine's.
    """
    try:
        return _bound(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder = holder_of(port)
            by = f" by {holder}" if holder else ""
            raise UserError(f"port {port} is in use{by}", f"--port {next_free_port(host, port)}") from error
        if error.errno == errno.EACCES:
            raise UserError(f"port {port} needs an administrator", f"--port {max(8000, port)}") from error
        raise UserError(
            f"{host!r} is not an address of this machine", "--host 127.0.0.1 (this machine) or 0.0.0.0 (its network)"
        ) from error


def next_free_port(host: str, port: int) -> int:
    """The first port after this one that is free; 0, for any, where none of the next fifty is."""
    for number in range(port + 1, min(port + TRIED, 65535)):
        try:
            _bound(host, number).close()
        except OSError:
            continue
        return number
    return 0


def holder_of(port: int) -> str:
    """The program that listens on a port of this machine: its name and process; empty where it cannot be told."""
    try:
        nodes = {node for table in ("tcp", "tcp6") for node in _listening(Path("/proc/net") / table, port)}
        for process in Path("/proc").iterdir() if nodes else ():
            if process.name.isdigit() and _holds(process, nodes):
                return f"{_program(process)} (process {process.name})"
    except OSError:
        return ""
    return ""


def _bound(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # The protocol has to be named: asyncio sends answers without delay (40 ms each) only where it sees TCP.
    found = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # else a server that was killed would hold its port for a minute
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(256)
    except OSError:
        found.close()
        raise
    return found


def _listening(table: Path, port: int) -> set[str]:
    """Numbers of the sockets that listen on a port, from the system's table."""
    rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]] if table.exists() else []
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def _holds(process: Path, nodes: set[str]) -> bool:
    try:
        for handle in (process / "fd").iterdir():
            target = os.readlink(handle)  # noqa: PTH115
            if target.startswith("socket:[") and target[8:-1] in nodes:
                return True
    except OSError:
        return False  # another user's
    return False


def _program(process: Path) -> str:
    """Its name; of its arguments only that it is one of ours, since others may be secret."""
    words = (process / "cmdline").read_bytes().split(b"\0")
    named = [Path(word.decode("utf-8", "replace")).name for word in words[:4]]
    if "serve" in named and any(name.startswith("coverslip") for name in named):
        return "another 'coverslip serve'"
    return named[0] if named and named[0] else (process / "comm").read_text(encoding="utf-8").strip()
