"""A run served: loaded, announced in the terminal, answered from until Ctrl+C."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn

from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.core.storage import size_text
from coverslip.inference.model_files import load_predictor
from coverslip.serving.addresses import listen
from coverslip.serving.answers import Instrument
from coverslip.serving.app import create_app
from coverslip.serving.card import in_words, model_card
from coverslip.serving.examples import kept_thumbnails, known_references, labels_of, thumbnails_of
from coverslip.serving.keeping import Keeper
from coverslip.serving.limits import Limits
from coverslip.serving.maps import open_mapper
from coverslip.serving.service import Service
from coverslip.serving.tested import test_of
from coverslip.serving.tokens import check_token, is_loopback, new_token

HOST, PORT = "127.0.0.1", 8000
SPARE_SECONDS = 5  # after the longest request, until what is left is given up


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What can be chosen of a server.

    Attributes:
        host: to listen on.
        port: likewise; 0 for any that is free.
        token: that must be known; empty makes one where the address is not the loopback.
        keep: a folder for images and answers; None keeps nothing.
        examples: where the training images are, to show the nearest; None shows those that the bundle holds.
        tested: an evaluation of this model, to tell its users instead of its run's own test; None tells that.
        maps: whether maps can be asked for.
        limits: of requests.
        log: whether each request is a line in the terminal.
    """

    host: str = HOST
    port: int = PORT
    token: str = ""
    keep: Path | None = None
    examples: Path | None = None
    tested: Path | None = None
    maps: bool = True
    limits: Limits = field(default_factory=Limits)
    log: bool = False


def serve(folder: str | Path, wishes: Wishes, progress: Progress = SILENT) -> None:
    """Serve the model of a run until the process is told to stop (Ctrl+C or SIGTERM); then finish what was accepted.

    Args:
        folder: the run.
        wishes: see there.
        progress: told the address, the model, and how to stop.

    Raises:
        UserError: no model there; the port is in use; a token that is too short; a folder that cannot be used.
    """
    run = Run.open(folder)
    open_to_all = not is_loopback(wishes.host)
    token = check_token(wishes.token) if wishes.token else new_token() if open_to_all else ""
    with contextlib.closing(listen(wishes.host, wishes.port)) as place:
        service = open_service(run, wishes, progress)
        app = create_app(service, token=token, say=progress.note if wishes.log else None)
        config = uvicorn.Config(
            app,
            log_config=None,  # its log would hold addresses with what was asked
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=round(wishes.limits.seconds) + SPARE_SECONDS,
        )
        _announce(service, place, wishes, token, progress)
        server = QuietServer(config, lambda: _stopping(service, progress))
        server.run(sockets=[place])
    progress.note("stopped; every accepted request was answered" if not server.forced else "stopped at once")


def open_service(run: Run, wishes: Wishes, progress: Progress = SILENT) -> Service:
    """Load a run's model and all that is asked for beside it."""
    for each in ("uvicorn", "python_multipart", "tifffile", "PIL"):
        logging.getLogger(each).setLevel(logging.CRITICAL)  # their words can hold what was sent; ours do not
    predictor = load_predictor(run)
    labels, warnings = labels_of(predictor, run), list(predictor.notes)
    if labels is None and predictor.trust.references:
        warnings.append("the table of the training images is not with this model, so the nearest are not named")
    if wishes.examples is None:
        thumbnails = kept_thumbnails(predictor, run)
    else:
        thumbnails = thumbnails_of(predictor, wishes.examples, progress)
    keeper = None if wishes.keep is None else Keeper(wishes.keep)
    if keeper is not None:
        warnings.append("images that are sent to this server are kept by those who run it")
    mapper, why = open_mapper(predictor, run) if wishes.maps else (None, "")
    if why:
        progress.note(f"note: {why}")
    instrument = Instrument(predictor, known_references(labels, thumbnails), wishes.limits.pixels)
    card = model_card(
        predictor,
        run,
        wishes.limits,
        test_of(predictor, run, wishes.tested),
        maps=mapper is not None,
        examples=bool(thumbnails) and labels is not None,
        keeps=keeper is not None,
        warnings=warnings,
    )
    return Service(instrument, card, wishes.limits, mapper, keeper)


class QuietServer(uvicorn.Server):
    """Uvicorn that ends on the first Ctrl+C with what was accepted done, at once on the second, and without a trace.

    The original raises the signal again when all is done, which would look like an interrupted computation.
    """

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    @property
    def forced(self) -> bool:
        """Whether it was told twice."""
        return bool(self.force_exit)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn."""
        if not self.should_exit:
            self._stopping()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def _stopping(service: Service, progress: Progress) -> None:
    service.stopping = True
    waiting = service.gate.images
    progress.note(f"stopping: {waiting:,} images to finish (Ctrl+C again: at once)" if waiting else "stopping")


def _announce(service: Service, place: socket.socket, wishes: Wishes, token: str, progress: Progress) -> None:
    """Address, model, how to stop; and what is out of the ordinary."""
    port, limits = place.getsockname()[1], wishes.limits
    host = socket.gethostname() if wishes.host in ("0.0.0.0", "::", "") else wishes.host
    host = f"[{host}]" if ":" in host else host
    address = f"http://{host}:{port}/"
    progress.note(in_words(service.model))
    for warning in service.model.warnings:
        progress.note(f"note: {warning}")
    if token:
        progress.note(f"address: {address}#token={token}")
        progress.note(f"programs: send 'Authorization: Bearer {token}'")
    else:
        progress.note(f"address: {address}")
    if not is_loopback(wishes.host):
        progress.note(
            "note: others can reach this address; whoever knows the token can ask. Images travel unencrypted: put a "
            "proxy with TLS before it where the network is not yours"
        )
    if service.model.examples:
        progress.note("note: small images of training images are shown to whoever asks")
    if wishes.keep is not None:
        progress.note(f"note: images are kept in {str(wishes.keep)!r}")
    progress.note(
        f"at most {limits.images:,} images and {size_text(limits.bytes)} a request, "
        f"{limits.pixels / 1e6:g} million pixels an image"
    )
    progress.note("stop: Ctrl+C")
    sys.stderr.flush()
