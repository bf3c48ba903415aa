"""Start and stop the server of a run."""

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
from coverslip.serving.answers import ImagePredictor
from coverslip.serving.app import create_app
from coverslip.serving.card import model_card, summary_line
from coverslip.serving.evaluation import find_test_result
from coverslip.serving.examples import find_thumbnails, reference_labels, reference_lookup, stored_thumbnails
from coverslip.serving.limits import Limits
from coverslip.serving.maps import open_map_renderer
from coverslip.serving.service import Service
from coverslip.serving.tokens import check_token, is_loopback, new_token
from coverslip.serving.upload_store import UploadStore

HOST, PORT = "127.0.0.1", 8000
GRACE_SECONDS = 5  # added to the time limit of a request at shutdown, before open connections are closed


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Settings of a server.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 for any free port.
        token: token that requests must send; if empty, one is generated unless the address is a loopback address.
        keep: folder for received images and answers; None: nothing is stored.
        examples: location of the training images, for thumbnails of the nearest; None: thumbnails stored in the model.
        tested: folder of an evaluation of this model that is shown instead of the run's own test result.
        maps: whether heat maps are available.
        limits: limits of requests.
        log: whether to print one line per request.
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


def serve(folder: str | Path, config: ServeConfig, progress: Progress = SILENT) -> None:
    """Serve the model of a run until Ctrl+C or SIGTERM, then finish the accepted requests.

    Args:
        folder: the run.
        config: settings of the server.
        progress: receives the address, the model, and how to stop the server.

    Raises:
        UserError: the run has no model, the port is in use, the token is too short, or a folder cannot be used.
    """
    run = Run.open(folder)
    is_public = not is_loopback(config.host)
    token = check_token(config.token) if config.token else new_token() if is_public else ""
    with contextlib.closing(listen(config.host, config.port)) as listener:
        service = open_service(run, config, progress)
        app = create_app(service, token=token, log_request=progress.note if config.log else None)
        uvicorn_config = uvicorn.Config(
            app,
            log_config=None,  # uvicorn's log contains addresses with query parameters
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=round(config.limits.seconds) + GRACE_SECONDS,
        )
        _announce(service, listener, config, token, progress)
        server = QuietServer(uvicorn_config, lambda: _stopping(service, progress))
        server.run(sockets=[listener])
    progress.note("stopped; all accepted requests were answered" if not server.forced else "stopped immediately")


def open_service(run: Run, config: ServeConfig, progress: Progress = SILENT) -> Service:
    """Return the service of a run, with its model, test result, maps and example images loaded."""
    for name in ("uvicorn", "python_multipart", "tifffile", "PIL"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # their messages can contain data of requests
    predictor = load_predictor(run)
    labels, warnings = reference_labels(predictor, run), list(predictor.notes)
    if labels is None and predictor.trust.references:
        warnings.append("the table of training images is missing, so the nearest training images are not shown")
    if config.examples is None:
        thumbnails = stored_thumbnails(predictor, run)
    else:
        thumbnails = find_thumbnails(predictor, config.examples, progress)
    upload_store = None if config.keep is None else UploadStore(config.keep)
    if upload_store is not None:
        warnings.append("the operator of this server stores the images that are sent to it")
    map_renderer, reason = open_map_renderer(predictor, run) if config.maps else (None, "")
    if reason:
        progress.note(f"note: {reason}")
    image_predictor = ImagePredictor(predictor, reference_lookup(labels, thumbnails), config.limits.pixels)
    card = model_card(
        predictor,
        run,
        config.limits,
        find_test_result(predictor, run, config.tested),
        maps=map_renderer is not None,
        examples=bool(thumbnails) and labels is not None,
        keeps=upload_store is not None,
        warnings=warnings,
    )
    return Service(image_predictor, card, config.limits, map_renderer, upload_store)


class QuietServer(uvicorn.Server):
    """A uvicorn server that finishes accepted requests on the first Ctrl+C and stops immediately on the second.

    Uvicorn itself raises the signal again after shutdown, which would look like an interrupted computation.
    """

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    @property
    def forced(self) -> bool:
        """Whether a second signal stopped the server immediately."""
        return bool(self.force_exit)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal; see uvicorn."""
        if not self.should_exit:
            self._stopping()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals within the context; see uvicorn."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def _stopping(service: Service, progress: Progress) -> None:
    service.stopping = True
    waiting = service.admission.images
    progress.note(
        f"stopping: {waiting:,} images to finish (press Ctrl+C again to stop immediately)" if waiting else "stopping"
    )


def _announce(service: Service, listener: socket.socket, config: ServeConfig, token: str, progress: Progress) -> None:
    """Print the model, its warnings, the address, the limits, and how to stop the server."""
    port, limits = listener.getsockname()[1], config.limits
    host = socket.gethostname() if config.host in ("0.0.0.0", "::", "") else config.host
    host = f"[{host}]" if ":" in host else host
    address = f"http://{host}:{port}/"
    progress.note(summary_line(service.model))
    for warning in service.model.warnings:
        progress.note(f"note: {warning}")
    if token:
        progress.note(f"address: {address}#token={token}")
        progress.note(f"client programs: send the header 'Authorization: Bearer {token}'")
    else:
        progress.note(f"address: {address}")
    if not is_loopback(config.host):
        progress.note(
            "note: other computers can reach this address; everyone with the token has access. Images are sent "
            "unencrypted: use a TLS proxy on networks that you do not control"
        )
    if service.model.examples:
        progress.note("note: thumbnails of training images are shown to all users")
    if config.keep is not None:
        progress.note(f"note: received images are stored in {str(config.keep)!r}")
    progress.note(
        f"limits: {limits.images:,} images and {size_text(limits.bytes)} per request, "
        f"{limits.pixels / 1e6:g} million pixels per image"
    )
    progress.note("stop: Ctrl+C")
    sys.stderr.flush()
