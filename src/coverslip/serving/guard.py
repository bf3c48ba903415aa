"""Around every request: who may ask, strict headers on every answer, one form for every failure, and the counting."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coverslip.serving.metrics import Metrics
from coverslip.serving.refusals import Refused
from coverslip.serving.tokens import is_own_name, same_token, token_of

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
NEED_TOKEN = ("/v1/", "/metrics")


class Guard:
    """The outermost layer of the service.

    Args:
        app: what is inside.
        token: that must be known to ask; empty where only this machine can ask.
        metrics: counts.
        say: told one line a request, without anything that was in it; None says nothing.
    """

    def __init__(self, app: ASGIApp, *, token: str, metrics: Metrics, say: Callable[[str], None] | None = None) -> None:
        self.app, self.token, self.metrics, self.say = app, token, metrics, say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a WebSocket: there is none here
        start, path = time.perf_counter(), scope["path"]
        route = path if path in ROUTES else "/static" if path.startswith("/static/") else "other"
        status = 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = list(message.get("headers", ()))
                kept = [] if any(name == b"cache-control" for name, _ in given) else [NO_STORE]
                message = {**message, "headers": [*given, *HEADERS, *kept]}
            await send(message)

        try:
            refused = self._refused(scope, path)
            if refused is None:
                await self.app(scope, receive, with_headers)
            else:
                await refusal(refused)(scope, receive, with_headers)
        except Exception as error:
            _note(error)
            if not status:
                fix = "try again; if it stays so, tell those who run this server"
                await refusal(Refused(500, "the server failed to answer", fix))(scope, receive, with_headers)
        finally:
            seconds = time.perf_counter() - start
            self.metrics.request(route, status, seconds)
            if self.say is not None:
                self.say(f"{time.strftime('%H:%M:%S')} {scope['method'][:10]} {route} {status} {seconds * 1000:.0f} ms")

    def _refused(self, scope: Scope, path: str) -> Refused | None:
        headers = {name: value for name, value in scope["headers"] if name in (b"host", b"origin", b"authorization")}
        host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
        if not self.token and host and not is_own_name(host):
            # Else a page anywhere could make its own name lead to this machine and read the answers.
            return Refused(403, "this server answers under the names of this machine only", "use http://127.0.0.1")
        if origin and origin.partition("://")[2].lower() != host.lower():
            return Refused(403, "this request comes from another site's page", "open the server's own page")
        if self.token and path.startswith(NEED_TOKEN):
            given = token_of(headers.get(b"authorization", b"").decode("latin-1"))
            if not same_token(given, self.token):
                said = (
                    "this server answers only with its token" if not given else "this is not the token of this server"
                )
                return Refused(
                    401, said, "send 'Authorization: Bearer TOKEN'; it was shown where the server was started"
                )
        return None


def refusal(refused: Refused) -> Response:
    """``{"error": {"problem", "fix"}}``; in its headers, when to come again and how to name oneself."""
    headers = {}
    if refused.retry_after is not None:
        headers["retry-after"] = str(refused.retry_after)
    if refused.status == 401:
        headers["www-authenticate"] = "Bearer"
    said = {"error": {"problem": refused.problem, "fix": refused.fix}}
    return Response(json.dumps(said, ensure_ascii=False), int(refused.status), headers, "application/json")


def _note(error: BaseException) -> None:
    """What failed and where, but not what it was about: a message can hold what somebody sent."""
    place, last = "?", error.__traceback__
    while last is not None:
        code = last.tb_frame.f_code
        place, last = f"{code.co_filename.rpartition('coverslip')[2]}:{last.tb_lineno} {code.co_name}", last.tb_next
    log.error("%s at %s", type(error).__name__, place)
