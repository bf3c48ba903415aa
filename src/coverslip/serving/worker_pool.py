"""A pool of threads that prepares images one by one and predicts them in batches.

All threads are alike; there are two per core, so that one works while the other waits for Python's interpreter lock. A
free thread takes the most urgent work: a full batch to predict; else an image to prepare; else an incomplete batch, at
once if no further image is expected, or after a few milliseconds if one is. A single request is therefore processed by
one thread without delay, and many requests fill the batches.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Payload = TypeVar("Payload")
Prepared = TypeVar("Prepared")
Answer = TypeVar("Answer")

MAX_WAIT = 0.003  # seconds that an incomplete batch waits for expected images


@dataclass(slots=True, eq=False)
class WorkItem(Generic[Payload, Prepared, Answer]):
    """One image to process.

    Attributes:
        payload: input of the preparation; deleted as soon as preparation begins, to free its memory.
        on_done: called by a thread of the pool with the answer, or with the exception raised instead.
        cancelled: set it to skip the item; an item that is set when its turn comes is not processed.
        prepared: result of the preparation.
        prepared_at: time at which the preparation ended, `time.monotonic`.
    """

    payload: Payload | None
    on_done: Callable[[Answer | BaseException], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    prepared: Prepared | None = None
    prepared_at: float = 0.0


class CancelledItemError(Exception):
    """The item was cancelled before it was processed."""


class WorkerPool(Generic[Payload, Prepared, Answer]):
    """Threads that prepare items and answer them in batches.

    Args:
        prepare: converts one payload to a prepared item; an exception becomes the answer of that item.
        make_answer_function: called once per thread; returns a function that answers 1 to ``batch_size`` items.
        batch_size: largest number of items answered together.
        num_threads: number of threads.
        max_concurrent_batches: number of threads that may answer at the same time; the others prepare.
        more_expected: whether further items are about to be submitted.
        initializer: called once by each thread.
        on_batch: receives the size of every answered batch.
    """

    def __init__(
        self,
        prepare: Callable[[Payload], Prepared],
        make_answer_function: Callable[[], Callable[[Sequence[Prepared]], Sequence[Answer]]],
        *,
        batch_size: int,
        num_threads: int,
        max_concurrent_batches: int,
        more_expected: Callable[[], bool] = lambda: False,
        initializer: Callable[[], None] = lambda: None,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._prepare, self._make_answer_function, self._batch_size = prepare, make_answer_function, batch_size
        self._more_expected, self._initializer, self._on_batch = more_expected, initializer, on_batch
        self._max_concurrent_batches, self._answering, self._preparing = max_concurrent_batches, 0, 0
        self._submitted: deque[WorkItem[Payload, Prepared, Answer]] = deque()
        self._prepared: deque[WorkItem[Payload, Prepared, Answer]] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"image-{number}", daemon=True) for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, items: Sequence[WorkItem[Payload, Prepared, Answer]]) -> None:
        """Add items to the queue, in order.

        Raises:
            RuntimeError: the pool is closed.
        """
        with self._change:
            if self._closed:
                raise RuntimeError("the worker pool is closed")
            self._submitted.extend(items)
            self._change.notify(len(items))

    def close(self) -> None:
        """Process all submitted items, then end the threads."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        self._initializer()
        answer_function = self._make_answer_function()
        while True:
            with self._change:
                work = self._next()
                if work is None:
                    return
                prepares = isinstance(work, WorkItem)
                self._preparing += prepares
                self._answering += not prepares
            try:
                if isinstance(work, WorkItem):
                    self._prepare_item(work)
                else:
                    self._answer_batch(answer_function, work)
            finally:
                with self._change:
                    self._preparing -= prepares
                    self._answering -= not prepares
                    # A free batch slot may wake one thread to answer and one to prepare.
                    self._change.notify(1 if prepares else 2)
            del work

    def _next(self) -> WorkItem[Payload, Prepared, Answer] | list[WorkItem[Payload, Prepared, Answer]] | None:
        """Return an item to prepare or a batch to answer; None when the pool is closed and all work is done."""
        while True:
            can_answer = self._answering < self._max_concurrent_batches
            if can_answer and len(self._prepared) >= self._batch_size:
                return self._take_batch()
            if self._submitted:
                return self._submitted.popleft()
            if can_answer and self._prepared:
                wait = self._prepared[0].prepared_at + MAX_WAIT - time.monotonic()
                if wait <= 0 or not (self._preparing or self._more_expected()):
                    return self._take_batch()
                self._change.wait(wait)
                continue
            if self._closed and not self._prepared and not self._preparing:
                return None
            self._change.wait()

    def _take_batch(self) -> list[WorkItem[Payload, Prepared, Answer]]:
        return [self._prepared.popleft() for _ in range(min(self._batch_size, len(self._prepared)))]

    def _prepare_item(self, item: WorkItem[Payload, Prepared, Answer]) -> None:
        payload, item.payload = item.payload, None
        assert payload is not None
        if item.cancelled.is_set():
            item.on_done(CancelledItemError())
            return
        try:
            item.prepared = self._prepare(payload)
        except BaseException as error:  # reported to the sender; the thread continues
            item.on_done(error)
            return
        item.prepared_at = time.monotonic()
        with self._change:
            self._prepared.append(item)

    def _answer_batch(
        self,
        answer_function: Callable[[Sequence[Prepared]], Sequence[Answer]],
        items: list[WorkItem[Payload, Prepared, Answer]],
    ) -> None:
        active = [item for item in items if not item.cancelled.is_set()]
        for item in items:
            if item not in active:
                item.on_done(CancelledItemError())
        if not active:
            return
        try:
            answers: Sequence[Answer | BaseException] = answer_function([item.prepared for item in active])  # type: ignore[misc]
        except BaseException as error:
            answers = [error] * len(active)
        self._on_batch(len(active))
        for item, answer in zip(active, answers, strict=True):
            item.on_done(answer)
