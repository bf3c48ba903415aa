"""Threads that carry images through: each is prepared alone and answered together with others that are ready.

There is one kind of thread, two for each core, so that one works while the other waits for the interpreter. Whoever
is free takes what is most urgent: a full batch to be answered; else an image to be prepared; else a batch that is not
full, at once where nothing is on its way, or after a few milliseconds where something is. So a single request is
carried through by one thread without a pause, and many requests fill batches.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Given = TypeVar("Given")
Ready = TypeVar("Ready")
Answer = TypeVar("Answer")

WAIT = 0.003  # seconds that a batch which is not full waits for what is on its way


@dataclass(slots=True, eq=False)
class Ticket(Generic[Given, Ready, Answer]):
    """One thing on its way through.

    Attributes:
        given: what has to be prepared; dropped as soon as it is.
        done: told the answer, or the exception that there is in its place, by one of the threads.
        unwanted: set by anyone who waits no longer: it is then not begun.
    """

    given: Given | None
    done: Callable[[Answer | BaseException], None]
    unwanted: threading.Event = field(default_factory=threading.Event)
    ready: Ready | None = None
    since: float = 0.0


class UnwantedError(Exception):
    """Nobody waits for this any more."""


class Crew(Generic[Given, Ready, Answer]):
    """The threads.

    Args:
        prepare: one of what is given -> what is ready; what it raises is the answer.
        answers: makes, once for each thread, a function of 1 to ``batch`` of what is ready -> as many answers.
        batch: how many are answered together at most.
        threads: how many there are.
        at_once: how many of them may answer at the same time; the others prepare.
        on_its_way: whether more is about to be given.
        begin: called once by each thread.
        answered: told the size of every batch.
    """

    def __init__(
        self,
        prepare: Callable[[Given], Ready],
        answers: Callable[[], Callable[[Sequence[Ready]], Sequence[Answer]]],
        *,
        batch: int,
        threads: int,
        at_once: int,
        on_its_way: Callable[[], bool] = lambda: False,
        begin: Callable[[], None] = lambda: None,
        answered: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._prepare, self._answers, self._batch = prepare, answers, batch
        self._on_its_way, self._begin, self._answered = on_its_way, begin, answered
        self._at_once, self._answering, self._preparing = at_once, 0, 0
        self._given: deque[Ticket[Given, Ready, Answer]] = deque()
        self._ready: deque[Ticket[Given, Ready, Answer]] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"image-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, tickets: Sequence[Ticket[Given, Ready, Answer]]) -> None:
        """Take these in, in order."""
        with self._change:
            if self._closed:
                raise RuntimeError("the crew has gone home")
            self._given.extend(tickets)
            self._change.notify(len(tickets))

    def close(self) -> None:
        """Finish all that was taken in, then end the threads."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        self._begin()
        answer = self._answers()
        while True:
            with self._change:
                found = self._next()
                if found is None:
                    return
                one = isinstance(found, Ticket)
                self._preparing += one
                self._answering += not one
            try:
                if isinstance(found, Ticket):
                    self._prepare_one(found)
                else:
                    self._answer_some(answer, found)
            finally:
                with self._change:
                    self._preparing -= one
                    self._answering -= not one
                    self._change.notify(1 if one else 2)
            del found

    def _next(self) -> Ticket[Given, Ready, Answer] | list[Ticket[Given, Ready, Answer]] | None:
        """What to do now; None when there is nothing left to do for ever."""
        while True:
            free = self._answering < self._at_once
            if free and len(self._ready) >= self._batch:
                return self._take_ready()
            if self._given:
                return self._given.popleft()
            if free and self._ready:
                late = self._ready[0].since + WAIT - time.monotonic()
                if late <= 0 or not (self._preparing or self._on_its_way()):
                    return self._take_ready()
                self._change.wait(late)
                continue
            if self._closed and not self._ready and not self._preparing:
                return None
            self._change.wait()

    def _take_ready(self) -> list[Ticket[Given, Ready, Answer]]:
        return [self._ready.popleft() for _ in range(min(self._batch, len(self._ready)))]

    def _prepare_one(self, ticket: Ticket[Given, Ready, Answer]) -> None:
        given, ticket.given = ticket.given, None
        assert given is not None
        if ticket.unwanted.is_set():
            ticket.done(UnwantedError())
            return
        try:
            ticket.ready = self._prepare(given)
        except BaseException as error:  # it belongs to whoever asked; the thread goes on
            ticket.done(error)
            return
        ticket.since = time.monotonic()
        with self._change:
            self._ready.append(ticket)

    def _answer_some(
        self,
        answer: Callable[[Sequence[Ready]], Sequence[Answer]],
        tickets: list[Ticket[Given, Ready, Answer]],
    ) -> None:
        wanted = [ticket for ticket in tickets if not ticket.unwanted.is_set()]
        for ticket in tickets:
            if ticket not in wanted:
                ticket.done(UnwantedError())
        if not wanted:
            return
        try:
            found: Sequence[Answer | BaseException] = answer([ticket.ready for ticket in wanted])  # type: ignore[misc]
        except BaseException as error:
            found = [error] * len(wanted)
        self._answered(len(wanted))
        for ticket, each in zip(wanted, found, strict=True):
            ticket.done(each)
