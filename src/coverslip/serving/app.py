"""The FastAPI application: REST routes, the web page and error responses."""

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
from coverslip.serving.answers import failed_answer
from coverslip.serving.metrics import CONTENT_TYPE
from coverslip.serving.middleware import ROUTES, TOKEN_PATHS, SecurityMiddleware, error_response
from coverslip.serving.pages import INDEX, PageFile, read_pages
from coverslip.serving.request_errors import RequestError, stopping, timed_out, unreadable
from coverslip.serving.schemas import (
    CSV_SAMPLE,
    PREDICTIONS,
    AllFailedResponse,
    AnyAnswer,
    DecisionThreshold,
    ErrorDetail,
    ErrorResponse,
    Health,
    Model,
    Predictions,
)
from coverslip.serving.service import Outcome, Service
from coverslip.serving.tables import to_csv
from coverslip.serving.uploads import FIELDS, Form, parse_boundary, parse_flag, read_form, request_too_large

Choice = Literal["true", "false"]
MAX_DRAINED_BYTES = 256 * 2**20  # the rest of a rejected body is read and discarded up to this size; beyond, disconnect

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
                        "description": "One or more images: JPEG, PNG, TIFF, BMP, WebP or HEIC.",
                    },
                    "explain": {
                        "type": "string",
                        "enum": ["true", "false"],
                        "description": "Same as the query parameter `explain`.",
                    },
                    "format": {
                        "type": "string",
                        "enum": ["json", "csv"],
                        "description": "Same as the query parameter `format`.",
                    },
                },
            }
        }
    },
}
STATUS_DESCRIPTIONS = {
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site, or uses a host name that is not a name of this machine.",
    413: "The request has too many bytes or files, or an image has too many pixels.",
    415: "The body is not a form, or a file is not a supported image.",
    422: "An image or the form cannot be read, or the value of a parameter is invalid.",
    429: "The queue is full. Try again after the seconds given in the header Retry-After.",
    503: "The server is stopping, or the request exceeded the time limit.",
}


def create_app(
    service: Service,
    *,
    token: str = "",
    log_request: Callable[[str], None] | None = None,
    pages: dict[str, PageFile] | None = None,
) -> FastAPI:
    """Return the application for one model.

    Args:
        service: answers requests; closed together with the application.
        token: token that requests must send; empty if the server listens on the loopback address only.
        log_request: receives one line per request.
        pages: files of the web page; None: those of the package.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.stopping = True
        await asyncio.get_running_loop().run_in_executor(None, service.close)

    app = FastAPI(
        title="Coverslip",
        version=__version__,
        summary="Predict the class of images with one trained model.",
        description=DESCRIPTION,
        docs_url=None,  # both pages load scripts from other servers
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(SecurityMiddleware, token=token, metrics=service.metrics, log_request=log_request)
    app.add_exception_handler(RequestError, _handle_request_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _handle_http_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _handle_invalid_value)  # type: ignore[arg-type]
    _add_api(app, service)
    _add_pages(app, read_pages() if pages is None else pages)
    if token:
        _describe_token(app)
    return app


def _add_api(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        summary="Predict images",
        description="Predict the class of one or more images. The answers are in the order of the files.",
        response_model=Predictions,
        openapi_extra={"requestBody": FORM},
        responses={
            200: {"content": {"application/json": {"example": PREDICTIONS}, "text/csv": {"example": CSV_SAMPLE}}},
            **_error_responses(401, 403, 413, 415, 429, 503),
            422: {"model": AllFailedResponse, "description": STATUS_DESCRIPTIONS[422]},
        },
    )
    async def predict(
        request: Request,
        explain: Annotated[
            Choice | None, Query(description="Add a heat map of the evidence for the predicted class.")
        ] = None,
        format: Annotated[
            Literal["json", "csv"] | None,
            Query(description="Format of the response. The default follows the header Accept, then `json`."),
        ] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Response:
        if service.stopping:
            raise stopping()
        for name in request.query_params:
            if name not in FIELDS:
                raise unreadable(f"unknown parameter {name[:60]!r}", nearest(name[:60], FIELDS))
        service.admission.check()
        reserved = 0

        def reserve(size: int) -> None:
            nonlocal reserved
            service.admission.reserve(size)
            reserved += size

        try:
            async with asyncio.timeout(service.limits.seconds):
                with service.admission.receiving_body():
                    form = await _read(request, service, reserve)
                explain_field, format_field = parse_flag(form.fields.get("explain"), "explain"), _format_of(form)
                with_maps = explain_field if explain is None else explain == "true"
                response_format = format or format_field or ("csv" if "text/csv" in accept else "json")
                if with_maps and response_format == "csv":
                    raise unreadable("a CSV table cannot contain maps", "omit explain=true, or use format=json")
                outcomes = await service.answer(form.files, with_maps)
        except TimeoutError as error:
            raise timed_out(service.limits.seconds) from error
        except ClientDisconnect:
            return Response(status_code=499)  # the client does not receive this
        finally:
            service.admission.release(reserved)
        return _response(service.model, [upload.name for upload in form.files], outcomes, response_format)

    @app.get(
        "/v1/model",
        summary="Describe the model",
        description="Return the classes of the model, its training and test set, and its score on the test set.",
        responses=_error_responses(401, 403),
    )
    async def model() -> Model:
        return service.model

    @app.head("/health", include_in_schema=False)  # used by monitoring
    @app.get(
        "/health",
        summary="Health check",
        description="Return whether the server accepts images.",
        responses=_error_responses(403),
    )
    async def health() -> Health:
        return Health(status="stopping" if service.stopping else "ok")

    @app.get(
        "/metrics",
        summary="Prometheus metrics",
        description="Return the metrics of the server in the text format of Prometheus.",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **_error_responses(401, 403)},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_pages(app: FastAPI, pages: dict[str, PageFile]) -> None:
    def page_response(request: Request, name: str) -> Response:
        page = pages.get(name)
        if page is None:
            raise HTTPException(404)
        headers = {"etag": page.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == page.etag:
            return Response(status_code=304, headers=headers)
        return Response(page.data, media_type=page.media_type, headers=headers)

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return page_response(request, INDEX)

    @app.head("/static/{name:path}", include_in_schema=False)
    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        return page_response(request, name)


async def _read(request: Request, service: Service, reserve: Callable[[int], None]) -> Form:
    boundary = parse_boundary(request.headers.get("content-type", ""))
    if _length(request) > 2 * service.limits.bytes:
        raise request_too_large(service.limits)
    return await read_form(boundary, request.stream(), service.limits, reserve)


def _format_of(form: Form) -> str | None:
    value = form.fields.get("format")
    if value not in (None, "json", "csv"):
        raise unreadable(f"unknown format {value[:40]!r}", nearest(value, ("json", "csv")))
    return value


def _response(model: Model, names: Sequence[str], outcomes: Sequence[Outcome], response_format: str) -> Response:
    """Return the response with all answers, or an error response if no image could be predicted."""
    answers: list[AnyAnswer] = []
    last_error = None
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, AnyAnswer):
            answers.append(outcome)
            continue
        if not isinstance(outcome, RequestError):
            raise outcome
        last_error = outcome
        answers.append(failed_answer(model.task, name, f"{outcome.problem}; {outcome.fix}"))
    if last_error is not None and len(answers) == 1:
        raise last_error
    if all(answer.error for answer in answers):
        if len(answers) > 1:
            problem, fix = f"none of the {len(answers):,} files could be predicted", "see the error of each image"
        else:
            problem, fix = str(answers[0].error), "send another image"
        detail = ErrorDetail(problem=problem, fix=fix)
        failed = AllFailedResponse(error=detail, model=model.name, images=answers)
        return Response(failed.model_dump_json(by_alias=True), 422, media_type="application/json")
    if response_format == "csv":
        headers = {"content-disposition": 'attachment; filename="answers.csv"'}
        return Response(to_csv(answers, model), media_type="text/csv; charset=utf-8", headers=headers)
    point = model.threshold
    threshold = None if point is None else DecisionThreshold(class_name=point.class_name, value=point.value)
    predictions = Predictions(model=model.name, threshold=threshold, images=answers)
    return Response(predictions.model_dump_json(by_alias=True), media_type="application/json")


def _error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorResponse, "description": STATUS_DESCRIPTIONS[status]} for status in statuses}


async def _handle_request_error(request: Request, error: RequestError) -> Response:
    response = error_response(error)
    if _length(request) > MAX_DRAINED_BYTES:
        response.headers["connection"] = "close"
    return response


def _length(request: Request) -> int:
    """Return the size of the body according to the header Content-Length; 0 if it is missing."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0


async def _handle_http_error(request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        request_error = RequestError(
            405, f"the method {request.method[:20]} is not allowed here", f"use {allowed or 'another method'}"
        )
    elif error.status_code == 404:
        request_error = RequestError(404, "this address does not exist", nearest(request.url.path[:80], ROUTES))
    else:
        request_error = RequestError(error.status_code, str(error.detail)[:200], "see /openapi.json")
    response = await _handle_request_error(request, request_error)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _handle_invalid_value(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    name = str(first["loc"][-1])
    expected = str((first.get("ctx") or {}).get("expected") or "").replace(" or ", ", ") or "another value"
    value = str(first.get("input"))[:40]
    return await _handle_request_error(request, unreadable(f"invalid value {name}={value!r}", f"use {expected}"))


def _describe_token(app: FastAPI) -> None:
    """Add the token to the OpenAPI description."""
    make_schema = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = make_schema()
            schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, methods in schema["paths"].items():
                for method in methods.values() if path.startswith(TOKEN_PATHS) else ():
                    method["security"] = [{"token": []}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


DESCRIPTION = """\
One trained model as a REST API. Predictions are the same as those of `coverslip predict`. Images are decoded in memory
and are not stored, unless the server was started with `--keep`. Every error response is
`{"error": {"problem", "fix"}}`.

    curl -F files=@leaf.jpg -F files=@other.jpg 'http://127.0.0.1:8000/v1/predict?explain=true'
"""
