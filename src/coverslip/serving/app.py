"""The service as an application: what can be asked, and how it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from coverslip._version import __version__
from coverslip.core.registry import nearest
from coverslip.serving.guard import NEED_TOKEN, ROUTES, Guard, refusal
from coverslip.serving.metrics import CONTENT_TYPE
from coverslip.serving.pages import INDEX, Page, read_pages
from coverslip.serving.refusals import Refused, late, stopping, unreadable
from coverslip.serving.schemas import (
    CSV_SAMPLE,
    PREDICTIONS,
    AllFailed,
    Answer,
    Failure,
    Health,
    Model,
    NamedFrom,
    Predictions,
    Problem,
)
from coverslip.serving.service import Outcome, Service
from coverslip.serving.tables import to_csv
from coverslip.serving.uploads import FIELDS, Form, as_flag, boundary_of, read_form, too_long

Choice = Literal["true", "false"]
FAR_TOO_LONG = 256 * 2**20  # bytes of a refused body that ends the connection; of others the rest is read and dropped

FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "additionalProperties": False,
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "One image or many: JPEG, PNG, TIFF, BMP, WebP or HEIC.",
                    },
                    "explain": {"type": "string", "enum": ["true", "false"]},
                    "format": {"type": "string", "enum": ["json", "csv"]},
                },
            }
        }
    },
}
SAID = {
    401: "The token is missing or wrong.",
    403: "Asked from another site's page, or under a name that is not this machine's.",
    413: "Too many bytes, files or pixels.",
    415: "Not a form, or not an image.",
    422: "An image or a form that cannot be read, or a value that is not possible.",
    429: "As much waits as is let in: try again after the seconds in Retry-After.",
    503: "The server is stopping, or the request took too long.",
}


def create_app(
    service: Service,
    *,
    token: str = "",
    say: Callable[[str], None] | None = None,
    pages: dict[str, Page] | None = None,
) -> FastAPI:
    """The application of one model.

    Args:
        service: the model at work; it is closed with the application.
        token: that must be known; empty where only this machine can ask.
        say: told one line a request.
        pages: files of the page; None reads those of the package.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.stopping = True
        await asyncio.get_running_loop().run_in_executor(None, service.close)

    app = FastAPI(
        title="Coverslip",
        version=__version__,
        summary="Ask a model what is in an image, and how sure it is.",
        description=ABOUT,
        docs_url=None,  # both load a program from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, token=token, metrics=service.metrics, say=say)
    app.add_exception_handler(Refused, _refuse)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _refuse_http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _refuse_value)  # type: ignore[arg-type]
    _add_questions(app, service)
    _add_pages(app, read_pages() if pages is None else pages)
    if token:
        _describe_token(app)
    return app


def _add_questions(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        summary="What is in these images?",
        response_model=Predictions,
        openapi_extra={"requestBody": FORM},
        responses={
            200: {"content": {"application/json": {"example": PREDICTIONS}, "text/csv": {"example": CSV_SAMPLE}}},
            **_said(401, 403, 413, 415, 429, 503),
            422: {"model": AllFailed, "description": SAID[422]},
        },
    )
    async def predict(
        request: Request,
        explain: Annotated[Choice | None, Query(description="Add a map of where the network looks.")] = None,
        format: Annotated[Literal["json", "csv"] | None, Query(description="Or by the header Accept.")] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Response:
        if service.stopping:
            raise stopping()
        for name in request.query_params:
            if name not in FIELDS:
                raise unreadable(f"there is no parameter {name[:60]!r}", nearest(name[:60], FIELDS))
        service.gate.check()
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            service.gate.hold(size)
            held += size

        try:
            async with asyncio.timeout(service.limits.seconds):
                with service.gate.arriving():
                    form = await _read(request, service, hold)
                said = as_flag(form.fields.get("explain"), "explain"), _format_of(form)
                wanted = said[0] if explain is None else explain == "true"
                kind = format or said[1] or ("csv" if "text/csv" in accept else "json")
                if wanted and kind == "csv":
                    raise unreadable("a table holds no maps", "leave out explain=true, or ask for format=json")
                outcomes = await service.answer(form.files, wanted)
        except TimeoutError as error:
            raise late(service.limits.seconds) from error
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads this
        finally:
            service.gate.release(held)
        return _answered(service.model, [each.name for each in form.files], outcomes, kind)

    @app.get("/v1/model", summary="What is this model, and what was it tested on?", responses=_said(401, 403))
    async def model() -> Model:
        return service.model

    @app.head("/health", include_in_schema=False)  # what watches over servers asks so
    @app.get("/health", summary="Does it take images?", responses=_said(403))
    async def health() -> Health:
        return Health(status="stopping" if service.stopping else "ok")

    @app.get(
        "/metrics",
        summary="Numbers for Prometheus.",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **_said(401, 403)},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_pages(app: FastAPI, pages: dict[str, Page]) -> None:
    def sent(request: Request, name: str) -> Response:
        page = pages.get(name)
        if page is None:
            raise HTTPException(404)
        headers = {"etag": page.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == page.tag:
            return Response(status_code=304, headers=headers)
        return Response(page.data, media_type=page.kind, headers=headers)

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return sent(request, INDEX)

    @app.head("/static/{name:path}", include_in_schema=False)
    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        return sent(request, name)


async def _read(request: Request, service: Service, hold: Callable[[int], None]) -> Form:
    boundary = boundary_of(request.headers.get("content-type", ""))
    if _length(request) > 2 * service.limits.bytes:
        raise too_long(service.limits)
    return await read_form(boundary, request.stream(), service.limits, hold)


def _format_of(form: Form) -> str | None:
    given = form.fields.get("format")
    if given not in (None, "json", "csv"):
        raise unreadable(f"format={given[:40]!r} is not known", nearest(given, ("json", "csv")))
    return given


def _answered(model: Model, names: Sequence[str], outcomes: Sequence[Outcome], kind: str) -> Response:
    """The answers; or a failure where there is not one."""
    answers, worst = [], None
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, Answer):
            answers.append(outcome)
            continue
        if not isinstance(outcome, Refused):
            raise outcome
        worst = outcome
        answers.append(Answer(file=name, error=f"{outcome.problem}; {outcome.fix}"))
    if worst is not None and len(answers) == 1:
        raise worst
    if all(each.error for each in answers):
        said = f"none of the {len(answers):,} files could be answered" if len(answers) > 1 else str(answers[0].error)
        problem = Problem(problem=said, fix="each says why" if len(answers) > 1 else "send another image")
        failed = AllFailed(error=problem, model=model.name, images=answers)
        return Response(failed.model_dump_json(by_alias=True), 422, media_type="application/json")
    if kind == "csv":
        headers = {"content-disposition": 'attachment; filename="answers.csv"'}
        return Response(to_csv(answers, model.classes), media_type="text/csv; charset=utf-8", headers=headers)
    limit = model.threshold
    named = None if limit is None else NamedFrom(class_name=limit.class_name, value=limit.value)
    found = Predictions(model=model.name, threshold=named, images=answers)
    return Response(found.model_dump_json(by_alias=True), media_type="application/json")


def _said(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure, "description": SAID[status]} for status in statuses}


async def _refuse(request: Request, refused: Refused) -> Response:
    response = refusal(refused)
    if _length(request) > FAR_TOO_LONG:
        response.headers["connection"] = "close"
    return response


def _length(request: Request) -> int:
    """Bytes of the body, as its sender says; 0 where that is not said."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0


async def _refuse_http(request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        refused = Refused(405, f"{request.method[:20]} is not possible here", f"use {allowed or 'another method'}")
    elif error.status_code == 404:
        refused = Refused(404, "there is nothing under this address", nearest(request.url.path[:80], ROUTES))
    else:
        refused = Refused(error.status_code, str(error.detail)[:200], "see /openapi.json")
    response = await _refuse(request, refused)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _refuse_value(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = str(first["loc"][-1])
    expected = str((first.get("ctx") or {}).get("expected") or "").replace(" or ", ", ") or "another value"
    given = str(first.get("input"))[:40]
    return await _refuse(request, unreadable(f"{where}={given!r} is not possible", f"give {expected}"))


def _describe_token(app: FastAPI) -> None:
    made = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, methods in schema["paths"].items():
                for method in methods.values() if path.startswith(NEED_TOKEN) else ():
                    method["security"] = [{"token": []}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


ABOUT = """\
One model, asked over HTTP. Answers are those of `coverslip predict`. Images are decoded in memory, answered and
forgotten. Every failure is `{"error": {"problem", "fix"}}`.

    curl -F files=@leaf.jpg -F files=@other.jpg 'http://127.0.0.1:8000/v1/predict?explain=true'
"""
