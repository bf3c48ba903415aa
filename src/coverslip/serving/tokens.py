"""Access control: on the loopback address every local user has access, elsewhere only clients that send the token."""

from __future__ import annotations

import ipaddress
import secrets
import socket

from coverslip.core.errors import UserError

MIN_TOKEN_LENGTH = 16  # characters of a token chosen by the user


def new_token() -> str:
    """Return a random token of 192 bits."""
    return secrets.token_urlsafe(24)


def check_token(token: str) -> str:
    """Return a token chosen by the user, after checking it.

    Raises:
        UserError: the token is too short, or contains characters that cannot be sent in a header.
    """
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"the token must have at least {MIN_TOKEN_LENGTH} ASCII characters and no spaces",
            "use a longer --token, or omit the option: a token is then generated and printed",
        )
    return token


def same_token(received: str, token: str) -> bool:
    """Compare two tokens in constant time, so that the time does not reveal how many characters agree."""
    return secrets.compare_digest(received.encode("utf-8", "surrogateescape"), token.encode())


def bearer_token(authorization: str) -> str:
    """Return the token of an Authorization header, or an empty string if there is none.

    >>> bearer_token("Bearer abc"), bearer_token("Basic abc")
    ('abc', '')
    """
    scheme, _, value = authorization.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only.

    Raises:
        UserError: the address does not exist.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("::1")
    (True, False, True)
    """
    try:
        results = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"unknown address {host!r}", "use 127.0.0.1 for this machine only, or 0.0.0.0 for its network"
        ) from error
    addresses = {str(result[4][0]) for result in results}
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


def is_local_name(host: str) -> bool:
    """Return whether a Host header is a loopback name or address.

    A web page on the internet can make its own host name resolve to this machine (DNS rebinding), but it cannot use
    these names.

    >>> is_local_name("localhost:8000"), is_local_name("evil.example:8000")
    (True, False)
    """
    name = host.lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
