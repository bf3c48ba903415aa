"""``coverslip serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.core.errors import optional


def serve(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or an ONNX file.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but the loopback needs a token, which is made and shown.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8000,
    token: Annotated[
        str, typer.Option(envvar="COVERSLIP_TOKEN", help="A token of your own, 16 characters or more.")
    ] = "",
    with_examples: Annotated[
        Path | None,
        typer.Option(
            help="Folder or table of the training images, to show the nearest, where they are not in the model."
        ),
    ] = None,
    tested: Annotated[
        Path | None, typer.Option(help="What 'coverslip evaluate' wrote of this model, to be told on the page.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder in which images and answers are kept.")] = None,
    maps: Annotated[bool, typer.Option(help="Draw maps of where the network looks, on request.")] = True,
    images: Annotated[int, typer.Option(min=1, max=10_000, help="Most images of one request.")] = 64,
    megabytes: Annotated[int, typer.Option(min=1, max=1000, help="Most megabytes of one request.")] = 64,
    megapixels: Annotated[int, typer.Option(min=1, max=100, help="Most million pixels of one image.")] = 50,
    queue: Annotated[int, typer.Option(min=1, max=10_000, help="Most images that wait at once.")] = 256,
    seconds: Annotated[float, typer.Option(min=0.05, max=3600, help="Longest time of one request.")] = 30.0,
    log: Annotated[bool, typer.Option(help="One line a request, without anything that was in it.")] = False,
) -> None:
    """Answer images on a web page and over HTTP, until Ctrl+C. Never trains; keeps nothing unless asked."""
    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        optional(module, "serve")
    from coverslip.core.progress import TerminalProgress
    from coverslip.serving.limits import Limits
    from coverslip.serving.server import Wishes, serve

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
        Wishes(
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
