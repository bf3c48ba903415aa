"""Errors of requests: an HTTP status with a problem and a fix."""

from __future__ import annotations

from http import HTTPStatus

from coverslip.core.errors import UserError


class RequestError(UserError):
    """A request, or one image of it, cannot be answered.

    Args:
        status: HTTP status, 400 to 599.
        problem: what is wrong and what was found.
        fix: how to fix it.
        retry_after: seconds after which a retry can succeed; None if a retry is useless.
    """

    def __init__(self, status: int, problem: str, fix: str, retry_after: int | None = None) -> None:
        super().__init__(problem, fix)
        self.status, self.retry_after = HTTPStatus(status), retry_after


def too_large(problem: str, fix: str) -> RequestError:
    """Return a 413 error: a limit of bytes, images or pixels is exceeded."""
    return RequestError(413, problem, fix)


def unsupported_format(problem: str) -> RequestError:
    """Return a 415 error: the file is not an image of a supported format."""
    return RequestError(415, problem, "send a JPEG, PNG, TIFF, BMP, WebP or HEIC file")


def unreadable(
    problem: str, fix: str = "open it in an image viewer and save it again, or send another file"
) -> RequestError:
    """Return a 422 error: the format is supported, but the content cannot be decoded."""
    return RequestError(422, problem, fix)


def overloaded(seconds: int) -> RequestError:
    """Return a 429 error: the queue is full."""
    return RequestError(429, "the queue of the server is full", f"send the images again in {seconds} s", seconds)


def timed_out(seconds: float) -> RequestError:
    """Return a 503 error: the request exceeded the time limit."""
    return RequestError(503, f"no answer within {seconds:g} s", "send fewer images at once, or try again", 5)


def stopping() -> RequestError:
    """Return a 503 error: the server finishes the accepted requests and accepts no new ones."""
    return RequestError(503, "the server is stopping", "start it again: coverslip serve", 5)
