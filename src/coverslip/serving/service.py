"""From files in memory to answers: in by the gate, through the crew, with a map where one is wanted."""

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
from coverslip.serving.answers import Image, Instrument
from coverslip.serving.crew import Crew, Ticket
from coverslip.serving.gate import Gate
from coverslip.serving.keeping import Keeper
from coverslip.serving.limits import Limits
from coverslip.serving.maps import Mapper
from coverslip.serving.metrics import Metrics
from coverslip.serving.refusals import Refused
from coverslip.serving.schemas import Answer, HeatMap, Model
from coverslip.serving.uploads import Upload


@dataclass(frozen=True, slots=True)
class Told:
    """An answer with the image that it is about."""

    image: Image
    answer: Answer


class OneThread:
    """NumPy computes on one thread as long as any service is open, whichever of them is closed first.

    A product of one image's features is small, and NumPy's threads burn a core each waiting for the next one: with
    them an image takes twice its processor time.
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


ONE_THREAD = OneThread()
Outcome = Answer | BaseException
"""An answer; or a `Refused` that says why there is none, or what else went wrong."""


class Service:
    """A model at work: `answer` is called on the event loop and computes nothing there.

    Args:
        instrument: answers.
        model: what it is.
        limits: of requests.
        mapper: draws maps; None where there are none.
        keeper: keeps images; None keeps nothing.
    """

    def __init__(
        self,
        instrument: Instrument,
        model: Model,
        limits: Limits,
        mapper: Mapper | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.model, self.limits, self.stopping = model, limits, False
        self.gate = Gate(limits)
        self.metrics = Metrics(lambda: self.gate.images, lambda: self.gate.bytes)
        self._mapper, self._keeper = mapper, keeper
        self._open = ExitStack()  # closed once, however often it is asked to
        self._open.enter_context(ONE_THREAD)
        self._crew: Crew[Upload, Image, Told] = Crew(
            instrument.prepare,
            partial(_answers, instrument),
            batch=instrument.batch,
            threads=max(instrument.at_once, cores()),
            at_once=instrument.at_once,
            on_its_way=lambda: self.gate.reading > 0,
            # The cores are shared among these threads; PyTorch's own would only get into their way.
            begin=partial(torch.set_num_threads, 1),
            answered=self.metrics.batches.observe,
        )
        # maps, and what is kept
        self._aside = ThreadPoolExecutor(1, "aside", initializer=torch.set_num_threads, initargs=(cores(),))

    async def answer(self, uploads: Sequence[Upload], explain: bool = False) -> list[Outcome]:
        """What the model says of each file, in their order.

        Raises:
            Refused: 429, too much waits already; or 422, a map is wanted where there are none.
        """
        if explain and self._mapper is None:
            raise Refused(422, "this server draws no maps of this model", "leave out explain=true")
        self.gate.enter(len(uploads))
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Told | BaseException]] = [loop.create_future() for _ in uploads]
        tickets: list[Ticket[Upload, Image, Told]] = [
            Ticket(upload, partial(self._tell, loop, future)) for upload, future in zip(uploads, futures, strict=True)
        ]
        self._crew.submit(tickets)
        try:
            found = [await future for future in futures]
        except asyncio.CancelledError:  # out of time, or nobody listens any more
            for ticket in tickets:
                ticket.unwanted.set()
            raise
        told = [each for each in found if isinstance(each, Told)]
        if explain and told:
            await self._explain(loop, told)
        outcomes: list[Outcome] = [each.answer if isinstance(each, Told) else each for each in found]
        for outcome in outcomes:
            good = isinstance(outcome, Answer) and outcome.error is None
            self.metrics.image(failed=not good, familiar=outcome.familiar if isinstance(outcome, Answer) else None)
        if self._keeper is not None:
            await loop.run_in_executor(self._aside, self._keep, list(zip(uploads, outcomes, strict=True)))
        return outcomes

    def close(self) -> None:
        """Answer all that was let in, then end."""
        self._crew.close()
        self._aside.shutdown(wait=True)
        self._open.close()

    def _tell(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Told | BaseException], told: Told | BaseException
    ) -> None:
        """Bring an answer from a thread to the event loop."""

        def set_result() -> None:
            self.gate.leave()
            if not future.done():
                future.set_result(told)

        _quietly(loop, set_result)

    async def _explain(self, loop: asyncio.AbstractEventLoop, told: list[Told]) -> None:
        mapper, count = self._mapper, len(told)
        assert mapper is not None
        self.gate.draw(count)
        good = [each for each in told if each.answer.label is not None]
        drawing: Future[list[HeatMap]] = self._aside.submit(
            mapper.draw, [each.image for each in good], [str(each.answer.label) for each in good]
        )
        drawing.add_done_callback(lambda _: _quietly(loop, self.gate.drawn, count))
        maps = await asyncio.wrap_future(drawing)  # cancelled with us, where it has not begun
        for each, heat in zip(good, maps, strict=True):
            each.answer.map = heat

    def _keep(self, pairs: list[tuple[Upload, Outcome]]) -> None:
        assert self._keeper is not None
        for upload, outcome in pairs:
            if isinstance(outcome, Answer) and outcome.error is None:
                wrong = self._keeper.keep(upload, outcome)
                outcome.notes.append(f"it could not be kept: {wrong}" if wrong else "this server keeps the image")


def _answers(instrument: Instrument) -> Callable[[Sequence[Image]], list[Told]]:
    call = instrument.answers()

    def told(images: Sequence[Image]) -> list[Told]:
        return [Told(image, answer) for image, answer in zip(images, call(images), strict=True)]

    return told


def _quietly(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """Have the event loop call this soon."""
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        return  # the loop was closed by force: nobody waits
