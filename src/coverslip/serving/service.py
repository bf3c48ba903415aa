"""The service: admits uploads, predicts them in a worker pool, and adds heat maps on request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from coverslip.core.devices import cores
from coverslip.serving.admission import AdmissionControl
from coverslip.serving.answers import ImagePredictor, PreparedImage
from coverslip.serving.limits import Limits
from coverslip.serving.maps import MapRenderer
from coverslip.serving.metrics import Metrics
from coverslip.serving.request_errors import RequestError
from coverslip.serving.schemas import Answer, AnyAnswer, HeatMap, Model
from coverslip.serving.upload_store import UploadStore
from coverslip.serving.uploads import Upload
from coverslip.serving.worker_pool import WorkerPool, WorkItem


@dataclass(frozen=True, slots=True)
class AnsweredImage:
    """An answer with its prepared image, which a heat map needs.

    Attributes:
        image: the prepared image.
        answer: the answer.
    """

    image: PreparedImage
    answer: AnyAnswer


class SingleThreadedBlas:
    """Context in which NumPy's BLAS uses one thread, until the last of several services is closed.

    The matrix products for one image are small, and BLAS threads that wait for the next one keep a core busy: they
    double the processor time per image.
    """

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), 0
        self._limits: threadpool_limits | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._limits is None:
                self._limits = threadpool_limits(1, "blas")

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._limits is not None and not self._users:
                self._limits.restore_original_limits()
                self._limits = None


SINGLE_THREADED_BLAS = SingleThreadedBlas()
Outcome = AnyAnswer | BaseException
"""An answer; a `RequestError` that states why there is none; or an unexpected exception."""


class Service:
    """A model that answers uploads. `answer` runs on the event loop and computes nothing there.

    Args:
        predictor: predicts prepared images.
        model: description of the model.
        limits: limits of requests.
        map_renderer: computes heat maps; None: there are no maps.
        upload_store: stores images and answers; None: nothing is stored.
    """

    def __init__(
        self,
        predictor: ImagePredictor,
        model: Model,
        limits: Limits,
        map_renderer: MapRenderer | None = None,
        upload_store: UploadStore | None = None,
    ) -> None:
        self.model, self.limits, self.stopping = model, limits, False
        self.admission = AdmissionControl(limits)
        self.metrics = Metrics(lambda: self.admission.images, lambda: self.admission.bytes)
        self._map_renderer, self._upload_store = map_renderer, upload_store
        self._resources = ExitStack()  # `close` may be called several times; the stack is closed once
        self._resources.enter_context(SINGLE_THREADED_BLAS)
        self._workers: WorkerPool[Upload, PreparedImage, AnsweredImage] = WorkerPool(
            predictor.prepare,
            partial(_make_answer_function, predictor),
            batch_size=predictor.batch_size,
            num_threads=max(predictor.max_concurrent_batches, cores()),
            max_concurrent_batches=predictor.max_concurrent_batches,
            more_expected=lambda: self.admission.receiving > 0,
            # These threads already use all cores; more threads of PyTorch would only slow them down.
            initializer=partial(torch.set_num_threads, 1),
            on_batch=self.metrics.batches.observe,
        )
        # one thread for maps and for storing uploads
        self._background = ThreadPoolExecutor(1, "background", initializer=torch.set_num_threads, initargs=(cores(),))

    async def answer(self, uploads: Sequence[Upload], explain: bool = False) -> list[Outcome]:
        """Return one outcome per file, in the same order.

        Args:
            uploads: the received files.
            explain: whether to add heat maps.

        Raises:
            RequestError: 429, the queue is full; 422, maps were requested but are not available.
        """
        if explain and self._map_renderer is None:
            raise RequestError(422, "this server provides no maps for this model", "omit explain=true")
        self.admission.admit(len(uploads))
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[AnsweredImage | BaseException]] = [loop.create_future() for _ in uploads]
        items: list[WorkItem[Upload, PreparedImage, AnsweredImage]] = [
            WorkItem(upload, partial(self._deliver, loop, future))
            for upload, future in zip(uploads, futures, strict=True)
        ]
        self._workers.submit(items)
        try:
            results = [await future for future in futures]
        except asyncio.CancelledError:  # the time limit is exceeded, or the client has disconnected
            for item in items:
                item.cancelled.set()
            raise
        answered = [result for result in results if isinstance(result, AnsweredImage)]
        if explain and answered:
            await self._add_maps(loop, answered)
        outcomes: list[Outcome] = [result.answer if isinstance(result, AnsweredImage) else result for result in results]
        for outcome in outcomes:
            answer = outcome if isinstance(outcome, AnyAnswer) else None
            familiar = None if answer is None else answer.familiar
            self.metrics.image(failed=answer is None or answer.error is not None, familiar=familiar)
        if self._upload_store is not None:
            await loop.run_in_executor(self._background, self._save, list(zip(uploads, outcomes, strict=True)))
        return outcomes

    def close(self) -> None:
        """Answer all admitted images, then end the threads."""
        self._workers.close()
        self._background.shutdown(wait=True)
        self._resources.close()

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[AnsweredImage | BaseException],
        result: AnsweredImage | BaseException,
    ) -> None:
        """Pass a result from a worker thread to the event loop."""

        def set_result() -> None:
            self.admission.complete()
            if not future.done():
                future.set_result(result)

        _call_soon(loop, set_result)

    async def _add_maps(self, loop: asyncio.AbstractEventLoop, answered: list[AnsweredImage]) -> None:
        map_renderer, count = self._map_renderer, len(answered)
        assert map_renderer is not None
        self.admission.add_maps(count)
        labels = [(result, result.answer.label) for result in answered if isinstance(result.answer, Answer)]
        predicted = [(result, label) for result, label in labels if label is not None]
        rendering: Future[list[HeatMap]] = self._background.submit(
            map_renderer.render, [result.image for result, _ in predicted], [label for _, label in predicted]
        )
        rendering.add_done_callback(lambda _: _call_soon(loop, self.admission.complete_maps, count))
        maps = await asyncio.wrap_future(rendering)  # cancelled with this coroutine if it has not begun
        for (result, _), heat_map in zip(predicted, maps, strict=True):
            result.answer.map = heat_map

    def _save(self, pairs: list[tuple[Upload, Outcome]]) -> None:
        assert self._upload_store is not None
        for upload, outcome in pairs:
            if isinstance(outcome, AnyAnswer) and outcome.error is None:
                problem = self._upload_store.save(upload, outcome)
                outcome.notes.append(
                    f"the image could not be stored: {problem}" if problem else "this server stores the image"
                )


def _make_answer_function(predictor: ImagePredictor) -> Callable[[Sequence[PreparedImage]], list[AnsweredImage]]:
    answer_function = predictor.make_answer_function()

    def answer_images(images: Sequence[PreparedImage]) -> list[AnsweredImage]:
        return [AnsweredImage(image, answer) for image, answer in zip(images, answer_function(images), strict=True)]

    return answer_images


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Schedule a call on the event loop."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        return  # the loop was closed by force: no client waits for the result
