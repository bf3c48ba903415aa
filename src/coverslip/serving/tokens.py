"""Who may ask: on the loopback everybody on this machine, elsewhere whoever knows the token."""

from __future__ import annotations

import ipaddress
import secrets
import socket

from coverslip.core.errors import UserError

SHORTEST = 16  # characters of a token that somebody chooses


def new_token() -> str:
    """A token that nobody guesses: 192 bits."""
    return secrets.token_urlsafe(24)


def check_token(token: str) -> str:
    """A token that somebody chose.

    Raises:
        UserError: it is short, or holds what cannot be sent.
    """
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"--token needs {SHORTEST} or more letters and digits without spaces", "leave it out: one is made and shown"
        )
    return token


def same_token(given: str, token: str) -> bool:
    """Whether they are equal, in a time that tells nothing of how alike they are."""
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def token_of(authorization: str) -> str:
    """The token in an Authorization header; empty where there is none.

    >>> token_of("Bearer abc"), token_of("Basic abc")
    ('abc', '')
    """
    kind, _, value = authorization.partition(" ")
    return value.strip() if kind.lower() == "bearer" else ""


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine only.

    Raises:
        UserError: there is no such address.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("::1")
    (True, False, True)
    """
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise UserError(f"there is no address {host!r}", "127.0.0.1 is this machine, 0.0.0.0 its network") from error
    return all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found)


def is_own_name(host: str) -> bool:
    """Whether a Host header names this machine: a web page elsewhere can make its own name lead here, but not this.

    >>> is_own_name("localhost:8000"), is_own_name("evil.example:8000")
    (True, False)
    """
    name = host.lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
