"""What the service says to those it does not serve: a status, a problem and a fix, in the words of every other door."""

from __future__ import annotations

from http import HTTPStatus

from coverslip.core.errors import UserError


class Refused(UserError):
    """A request, or one image of it, is not answered.

    Args:
        status: of HTTP, 400 to 599.
        problem: what is wrong and what was found.
        fix: how to mend it.
        retry_after: after how many seconds it is worth asking again; None where it is not.
    """

    def __init__(self, status: int, problem: str, fix: str, retry_after: int | None = None) -> None:
        super().__init__(problem, fix)
        self.status, self.retry_after = HTTPStatus(status), retry_after


def too_large(problem: str, fix: str) -> Refused:
    """413: more bytes, images or pixels than are taken."""
    return Refused(413, problem, fix)


def no_image(problem: str) -> Refused:
    """415: this is something else than an image."""
    return Refused(415, problem, "send JPEG, PNG, TIFF, BMP, WebP or HEIC")


def unreadable(problem: str, fix: str = "open it in an image viewer and save it anew, or take another") -> Refused:
    """422: it says that it is an image, but none can be made of it."""
    return Refused(422, problem, fix)


def busy(seconds: int) -> Refused:
    """429: as much waits as is let in."""
    return Refused(429, "more images wait than are let in at once", f"send them again in {seconds} s", seconds)


def late(seconds: float) -> Refused:
    """503: there was no answer within the time that a request may take."""
    return Refused(503, f"no answer within {seconds:g} s", "send fewer images at once, or try again", 5)


def stopping() -> Refused:
    """503: the server finishes what it has accepted, and takes no more."""
    return Refused(503, "the server is stopping", "start it again: coverslip serve", 5)
