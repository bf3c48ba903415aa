"""``coverslip serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.checks import check_runs
from coverslip.cli.options import DATA, EVALUATION, OUTPUT
from coverslip.core.errors import optional

NETWORK, LIMITS = "Network", "Limits"  # panels of --help


def serve(
    run: Annotated[Path, typer.Argument(help="Run folder, or an ONNX file.")],
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; all except loopback addresses need a token, which is generated.",
            rich_help_panel=NETWORK,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0: any free port.", rich_help_panel=NETWORK)
    ] = 8000,
    token: Annotated[
        str,
        typer.Option(
            envvar="COVERSLIP_TOKEN", help="Access token to use, 16 characters or more.", rich_help_panel=NETWORK
        ),
    ] = "",
    with_examples: Annotated[
        Path | None,
        typer.Option(
            help="Training images (folder or table); the page shows similar ones. Default: those in the model.",
            rich_help_panel=DATA,
        ),
    ] = None,
    tested: Annotated[
        Path | None,
        typer.Option(
            help="Folder written by 'coverslip evaluate', whose scores the page shows.", rich_help_panel=EVALUATION
        ),
    ] = None,
    maps: Annotated[bool, typer.Option(help="Offer heat maps of predictions.", rich_help_panel=EVALUATION)] = True,
    keep: Annotated[
        Path | None, typer.Option(help="Folder to store images and predictions in.", rich_help_panel=OUTPUT)
    ] = None,
    log: Annotated[
        bool, typer.Option(help="Print one line per request, without its content.", rich_help_panel=OUTPUT)
    ] = False,
    images: Annotated[int, typer.Option(min=1, max=10_000, help="Images per request.", rich_help_panel=LIMITS)] = 64,
    megabytes: Annotated[
        int, typer.Option(min=1, max=1000, help="Megabytes per request.", rich_help_panel=LIMITS)
    ] = 64,
    megapixels: Annotated[
        int, typer.Option(min=1, max=100, help="Million pixels per image.", rich_help_panel=LIMITS)
    ] = 50,
    queue: Annotated[int, typer.Option(min=1, max=10_000, help="Images in the queue.", rich_help_panel=LIMITS)] = 256,
    seconds: Annotated[
        float, typer.Option(min=0.05, max=3600, help="Seconds per request.", rich_help_panel=LIMITS)
    ] = 30.0,
) -> None:
    """Serve a model as a web page and an HTTP API, until Ctrl+C.

    Example: coverslip serve runs/leaves --port 8000
    """
    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        optional(module, "serve")
    check_runs([run])
    from coverslip.core.progress import TerminalProgress
    from coverslip.serving.limits import Limits
    from coverslip.serving.server import ServeConfig, serve

    size = megabytes * 10**6
    limits = Limits(
        bytes=size,
        images=images,
        pixels=megapixels * 10**6,
        queue=queue,
        uploads=4 * size,
        seconds=seconds,
    )
    serve(
        run,
        ServeConfig(
            host=host,
            port=port,
            token=token,
            keep=keep,
            examples=with_examples,
            tested=tested,
            maps=maps,
            limits=limits,
            log=log,
        ),
        TerminalProgress(),
    )
