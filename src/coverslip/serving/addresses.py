"""Listening sockets: the port is bound before anything is loaded; an error names the program that uses the port."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

from coverslip.core.errors import UserError

PORTS_TRIED = 50  # ports tried after one that is in use


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket that listens for connections.

    Args:
        host: a name or an address of this machine.
        port: port number; 0 for any free port.

    Raises:
        UserError: the port is in use (the message names the program, if known, and a free port), the port requires
            administrator rights, or the address does not belong to this machine.
    """
    try:
        return _bound(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            owner = port_owner(port)
            by = f" by {owner}" if owner else ""
            raise UserError(f"port {port} is in use{by}", f"use --port {next_free_port(host, port)}") from error
        if error.errno == errno.EACCES:
            raise UserError(f"port {port} requires administrator rights", f"use --port {max(8000, port)}") from error
        raise UserError(
            f"{host!r} is not an address of this machine",
            "use --host 127.0.0.1 for this machine only, or --host 0.0.0.0 for its network",
        ) from error


def next_free_port(host: str, port: int) -> int:
    """Return the first free port after this one; 0 (any free port) if none of the next `PORTS_TRIED` is free."""
    for number in range(port + 1, min(port + PORTS_TRIED, 65535)):
        try:
            _bound(host, number).close()
        except OSError:
            continue
        return number
    return 0


def port_owner(port: int) -> str:
    """Return name and process id of the program that listens on a port; an empty string if unknown."""
    try:
        inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / table, port)}
        for process in Path("/proc").iterdir() if inodes else ():
            if process.name.isdigit() and _has_socket(process, inodes):
                return f"{_program(process)} (process {process.name})"
    except OSError:
        return ""
    return ""


def _bound(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # The protocol must be set: asyncio disables Nagle's algorithm (40 ms per answer) only for sockets known to be TCP.
    bound = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # otherwise the port of a killed server stays blocked for a minute
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(256)
    except OSError:
        bound.close()
        raise
    return bound


def _listening(table: Path, port: int) -> set[str]:
    """Return the inodes of the sockets that listen on a port, from a table of the kernel."""
    rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]] if table.exists() else []
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def _has_socket(process: Path, inodes: set[str]) -> bool:
    try:
        for handle in (process / "fd").iterdir():
            target = os.readlink(handle)  # noqa: PTH115
            if target.startswith("socket:[") and target[8:-1] in inodes:
                return True
    except OSError:
        return False  # a process of another user
    return False


def _program(process: Path) -> str:
    """Return the name of a program. Its arguments can contain secrets; only 'coverslip serve' is recognized in them."""
    words = (process / "cmdline").read_bytes().split(b"\0")
    names = [Path(word.decode("utf-8", "replace")).name for word in words[:4]]
    if "serve" in names and any(name.startswith("coverslip") for name in names):
        return "another 'coverslip serve'"
    return names[0] if names and names[0] else (process / "comm").read_text(encoding="utf-8").strip()
