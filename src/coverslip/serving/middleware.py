"""Middleware for every request: access control, security headers, a uniform error format, and metrics."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coverslip.serving.metrics import Metrics
from coverslip.serving.request_errors import RequestError
from coverslip.serving.tokens import bearer_token, is_local_name, same_token

log = logging.getLogger("coverslip.serving")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_STORE = (b"cache-control", b"no-store")
ROUTES = ("/", "/v1/predict", "/v1/model", "/health", "/metrics", "/openapi.json")
TOKEN_PATHS = ("/v1/", "/metrics")


class SecurityMiddleware:
    """The outermost ASGI middleware of the service.

    Args:
        app: the wrapped application.
        token: token that requests must send; empty if the server listens on the loopback address only.
        metrics: counts requests.
        log_request: receives one line per request, without any content of the request; None disables the log.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, metrics: Metrics, log_request: Callable[[str], None] | None = None
    ) -> None:
        self.app, self.token, self.metrics, self.log_request = app, token, metrics, log_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # WebSockets are not supported
        start, path = time.perf_counter(), scope["path"]
        route = path if path in ROUTES else "/static" if path.startswith("/static/") else "other"
        status = 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                caching = [] if any(name == b"cache-control" for name, _ in headers) else [NO_STORE]
                message = {**message, "headers": [*headers, *HEADERS, *caching]}
            await send(message)

        try:
            denied = self._access_error(scope, path)
            if denied is None:
                await self.app(scope, receive, with_headers)
            else:
                await error_response(denied)(scope, receive, with_headers)
        except Exception as error:
            _log_exception(error)
            if not status:
                fix = "try again; if the error persists, tell the operator of this server"
                failure = RequestError(500, "an internal error occurred in the server", fix)
                await error_response(failure)(scope, receive, with_headers)
        finally:
            seconds = time.perf_counter() - start
            self.metrics.request(route, status, seconds)
            if self.log_request is not None:
                self.log_request(
                    f"{time.strftime('%H:%M:%S')} {scope['method'][:10]} {route} {status} {seconds * 1000:.0f} ms"
                )

    def _access_error(self, scope: Scope, path: str) -> RequestError | None:
        """Return why the request is not allowed, or None."""
        headers = {name: value for name, value in scope["headers"] if name in (b"host", b"origin", b"authorization")}
        host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
        if not self.token and host and not is_local_name(host):
            # Protects against DNS rebinding: a web page could resolve its own name to this machine and read answers.
            return RequestError(
                403, f"the host name {host[:80]!r} is not a name of this machine", "use http://127.0.0.1"
            )
        if origin and origin.partition("://")[2].lower() != host.lower():
            return RequestError(403, "the request comes from a page of another site", "open the page of this server")
        if self.token and path.startswith(TOKEN_PATHS):
            received = bearer_token(headers.get(b"authorization", b"").decode("latin-1"))
            if not same_token(received, self.token):
                return RequestError(
                    401,
                    "the token is wrong" if received else "this server requires a token",
                    "send the header 'Authorization: Bearer TOKEN'; the token was printed when the server started",
                )
        return None


def error_response(error: RequestError) -> Response:
    """Return the response ``{"error": {"problem", "fix"}}`` with the headers Retry-After and WWW-Authenticate."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    content = {"error": {"problem": error.problem, "fix": error.fix}}
    return Response(json.dumps(content, ensure_ascii=False), int(error.status), headers, "application/json")


def _log_exception(error: BaseException) -> None:
    """Log type and location of an exception, but not its message, which can contain data of the request."""
    location, trace = "?", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        location = f"{code.co_filename.rpartition('coverslip')[2]}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    log.error("%s at %s", type(error).__name__, location)
