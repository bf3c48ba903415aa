"""Many trainings in one pass: networks of one shape that differ in numbers, each equal to its own training."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.config import to_mapping
from coverslip.core.devices import keep_big_blocks, pick_device
from coverslip.core.errors import UserError
from coverslip.core.storage import digest
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.checks import check_labels, check_validation
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes.crew import crew_size, run_together
from coverslip.training.lanes.lane import Lane, make_lanes
from coverslip.training.lanes.lane_epoch import LaneEpoch, report_lane
from coverslip.training.lanes.layers import Pile, answer, template
from coverslip.training.lanes.orders import Epoch
from coverslip.training.lanes.pile import build_pile, draw_noise, lane_weights, put, select
from coverslip.training.lanes.saving import StackState, load_state, save_state
from coverslip.training.lanes.steps import Stepper
from coverslip.training.scoring import SCORED, arranged, convolves

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation

T = TypeVar("T")
CACHED = 6 * 2**20  # bytes of images of one step
SMALL = 6_000_000  # numbers of a stack, those of its optimizer included, under which one thread is faster
Scores = npt.NDArray[np.float32]


class Stack:
    """L networks of one shape that differ in numbers, trained in one pass; `run_epoch` is one epoch of all.

    Each lane equals what `coverslip.training.loop.train_network` would make of its network with its recipe: the same
    batches, the same dropout, the same steps of the optimizer. Only the order of sums differs, so that float32 numbers
    agree in their first five digits or so. What a recipe says about `patience`, `monitor` and `keep_best` is left to
    the caller, who sees every epoch.

    Args:
        networks: L; they stay as they are.
        recipes: L. What may differ, see `coverslip.training.lanes.keys.stack_key`.
        inputs: N training images, for all lanes.
        labels: int (N,), 0 to K - 1.
        classes: K.
        rows: int (n,), the training rows of each lane, such as those of a fold; None is all.
        validation: images and labels that are scored after each epoch.
        mix: mixup and cutmix, on the device.
        device: the fastest one without.

    Attributes:
        lanes: numbers (places in ``networks``) of the lanes still in the stack.
        epoch: finished epochs.
        watched: lane -> float32 (M, K), the scores of the validation set after the last epoch it took part in; empty
            without one.

    Raises:
        UserError: networks that cannot be stacked, labels outside the classes, images of another shape ...
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        recipes: Sequence[TrainingConfig],
        inputs: Inputs,
        labels: IntArray,
        classes: int,
        *,
        rows: Sequence[IntArray] | None = None,
        validation: tuple[Inputs, IntArray] | None = None,
        mix: Augmentation | None = None,
        device: torch.device | None = None,
    ) -> None:
        keep_big_blocks()
        self.device = device or pick_device()
        self.inputs, self.classes = inputs, classes
        truth = check_labels(inputs, labels, classes, "training")
        self.truth = torch.from_numpy(truth).to(self.device)
        self.mix = mix if mix is not None and (mix.mixup or mix.cutmix) else None
        self.every, layers = make_lanes(networks, recipes, inputs, truth, classes, rows, self.device)
        self.validation = None
        if validation is not None:
            own = copy.deepcopy(networks[0]).to(self.device)
            self.validation = check_validation(own, *validation, classes, self.device)
        self.layers = [template(layer) for layer in layers[0]]
        self.convolved = convolves(networks[0])
        self.pile = build_pile(self.every, layers, self.device)
        self.lanes = list(range(len(networks)))
        self.epoch = 0
        self.watched: dict[int, Scores] = {}
        self.shapes = self._shapes()
        self.whole = True  # no epoch is half done
        config = self.every[0].config
        self.stepper = Stepper(
            layers=self.layers,
            classes=classes,
            sgd=config.optimizer == "sgd",
            nesterov=config.nesterov,
            focal=config.loss == "focal" and config.gamma > 0,
            l2=any(lane.config.l2 for lane in self.every),
            clip=config.clip > 0,
            dropped={place for lane in self.every for place in lane.drops},
        )

    def run_epoch(self) -> list[LaneEpoch]:
        """One epoch of all lanes; those that have done their recipe's epochs leave before it.

        Returns:
            One a lane that was trained; empty where none is left.

        Raises:
            KeyboardInterrupt: Ctrl+C; the epoch is lost, and the stack can only be loaded again.
        """
        self._need_whole()
        self.keep([number for number in self.lanes if self.epoch < self.every[number].epochs])
        if not self.lanes:
            return []
        lanes = [self.every[number] for number in self.lanes]
        self.whole = False
        done = self._in_crew(self._train_lanes)
        self.epoch += 1
        self.watched = {}
        if self.validation is not None:
            self.watched = dict(zip(self.lanes, self.scores(self.validation[0]), strict=True))
        found = [
            self._reported(lane, *each)
            for lane, each in zip(lanes, [each for part in done for each in part], strict=True)
        ]
        self.whole = True
        self.keep([each.lane for each in found if not each.broken])
        return found

    def _in_crew(self, work: Callable[[list[Lane], Pile, threading.Event], T]) -> list[T]:
        """Let all cores work, each on some lanes that lie beside each other."""
        lanes = [self.every[number] for number in self.lanes]
        size = crew_size(self.device)
        bounds = self._bounds(lanes, size)
        tasks = []
        for start, end in pairwise(bounds):
            # The same memory, but apart for PyTorch, which else takes one thread's update for a change in all lanes.
            pile = {name: each[start:end].data for name, each in self.pile.items()}
            tasks.append(partial(work, lanes[start:end], pile))
        return run_together(tasks, size)

    def _bounds(self, lanes: Sequence[Lane], size: int) -> list[int]:
        """Where the lanes are cut, from 0 to their number: as many parts as threads, or more.

        Convolutions gain nothing from being wide, so each lane is a part of its own; and the images of a step, where
        they differ from lane to lane, should stay in the cache until they are needed for the gradient. Where there is
        little to compute, threads only wait for each other's Python: 6 heads took 1.7 times as long on two.
        """
        count, most = len(lanes), -(-len(lanes) // size)
        if self.device.type == "cpu":
            if self.convolved:
                most = 1
            elif len({lane.order.key for lane in lanes}) == 1:
                if sum(each.numel() for each in self.pile.values()) < SMALL:
                    return [0, count]
            else:
                batch = (lanes[0].config.batch_size or len(lanes[0].order.rows)) * math.prod(self.shapes[0]) * 4
                most = max(min(most, CACHED // batch), 1)
        parts = -(-count // most)
        parts = min(-(-parts // size) * size, count)  # no thread has one more to do than the others
        return [count * part // parts for part in range(parts + 1)]

    def _train_lanes(
        self, lanes: list[Lane], pile: Pile, ending: threading.Event
    ) -> list[tuple[npt.NDArray[np.float64], list[int], int]]:
        """An epoch of some lanes: the loss of each step, its images, and how many images were told rightly."""
        config, generator, scratch = lanes[0].config, torch.Generator(self.device), Pile()
        epoch = Epoch(
            [lane.order for lane in lanes],
            [lane.steps for lane in lanes],
            self.epoch,
            config.batch_size or 0,
            lanes[0].joined,
        )
        rates = torch.zeros(len(epoch), len(lanes), dtype=torch.float64)
        for place, lane in enumerate(lanes):
            rates[: lane.length, place] = torch.from_numpy(lane.rates(self.epoch))
        losses = torch.zeros(len(epoch), len(lanes), device=self.device)
        right = torch.zeros(len(lanes), dtype=torch.int64, device=self.device)
        with torch.no_grad():
            for step in range(len(epoch)):
                if ending.is_set():
                    break
                for places in epoch.parts(step):
                    whole = len(places) == len(lanes)
                    part = pile if whole else select(pile, places)
                    batch = epoch.batch(step, places, self.inputs, self.truth, self.mix, self.classes, self.convolved)
                    own = [lanes[place] for place in places]
                    noise = draw_noise(own, batch.labels.shape[1], self.shapes, generator)
                    even = len({lane.steps for lane in own}) == 1
                    if whole:
                        losses[step], told = self.stepper.advance(part, batch, rates[step], noise, even, scratch)
                        right += told
                    else:
                        losses[step, places], told = self.stepper.advance(
                            part, batch, rates[step, places], noise, even, Pile()
                        )
                        right[places] += told
                        put(pile, places, part)
                    for lane in own:
                        lane.steps += 1
        found = losses.cpu().double().numpy()
        return [
            (found[: lane.length, place], epoch.counts(place), int(right[place])) for place, lane in enumerate(lanes)
        ]

    def _reported(self, lane: Lane, losses: npt.NDArray[np.float64], counts: list[int], right: int) -> LaneEpoch:
        truth = None if self.validation is None else self.validation[1]
        told = None if self.mix is not None else right
        return report_lane(lane, self.epoch, losses, counts, told, self.watched.get(lane.number), truth)

    def keep(self, lanes: Sequence[int]) -> None:
        """Let all others leave; the stack shrinks, and those that stay go on as before.

        Raises:
            UserError: one of them is not in the stack.
        """
        places = [self._place(number) for number in lanes]
        if places == list(range(len(self.lanes))):
            return
        self.pile = select(self.pile, places)
        self.lanes = [self.lanes[place] for place in places]

    def scores(self, inputs: Inputs) -> Scores:
        """Scores before softmax of the lanes in the stack, in evaluation mode.

        Returns:
            float32 (l, M, K), rows in the order of `lanes`.
        """
        if not self.lanes:
            return np.zeros((0, len(inputs), self.classes), np.float32)
        return np.concatenate(self._in_crew(partial(self._score_lanes, inputs)))

    def _score_lanes(self, inputs: Inputs, lanes: list[Lane], pile: Pile, ending: threading.Event) -> Scores:
        size = SCORED if self.convolved else 4 * SCORED
        found = []
        with torch.inference_mode():
            for start in range(0, max(len(inputs), 1), size):
                if ending.is_set():
                    break
                rows = np.arange(start, min(start + size, len(inputs)), dtype=np.int64)
                images = arranged(inputs.take(rows, None, self.device), self.convolved)
                found.append(answer(self.layers, pile, images[None]))
            return np.ascontiguousarray(torch.cat(found, 1).cpu().numpy())

    def weights(self, lane: int) -> dict[str, Tensor]:
        """A copy of a lane's weights now, as the state dict of its own network.

        Raises:
            UserError: it is not in the stack.
        """
        return lane_weights(self.pile, self._place(lane), self.every[lane])

    def save(self, folder: Path) -> None:
        """Write everything that decides how the lanes go on, whole or not at all.

        Raises:
            UserError: an epoch was interrupted, so that there is nothing whole to write; the file before stays.
        """
        self._need_whole()
        steps = [self.every[number].steps for number in self.lanes]
        save_state(folder, StackState(self.lanes, self.epoch, steps, self.pile), self._identity())

    def load(self, folder: Path) -> None:
        """Go on where `save` stood; the stack must have been made as the saved one was.

        Raises:
            UserError: there is nothing, it is broken, or of another stack (with the difference).
        """
        state = load_state(folder, self._identity())
        self.lanes, self.epoch = state.lanes, state.epoch
        for number, steps in zip(state.lanes, state.steps, strict=True):
            self.every[number].steps = steps
        self.whole = True
        # Copied into memory of our own: the alignment of a tensor decides the last digits of products.
        self.pile = {
            name: torch.empty_like(state.tensors[name], device=each.device) for name, each in self.pile.items()
        }
        for name, each in self.pile.items():
            each.copy_(state.tensors[name])

    def _identity(self) -> dict[str, Any]:
        """Return what has to be equal for a stack to continue from a saved state."""
        return {
            "labels": digest(self.truth.cpu().numpy().tobytes()),
            "validation labels": "" if self.validation is None else digest(self.validation[1].tobytes()),
            "classes": self.classes,
            "mixing": repr(self.mix),
            "settings": [to_mapping(lane.config) for lane in self.every],
            "shapes": digest(*(sorted(lane.names.items()) for lane in self.every)),
            "rows": digest(*(lane.order.rows.tobytes() for lane in self.every)),
        }

    def _need_whole(self) -> None:
        if not self.whole:
            raise UserError("an epoch of this stack was interrupted", "load the state that was saved before")

    def _place(self, lane: int) -> int:
        if lane not in self.lanes:
            raise UserError(f"lane {lane} is not in the stack", f"those that are: {self.lanes}")
        return self.lanes.index(lane)

    def _shapes(self) -> dict[int, tuple[int, ...]]:
        """Of what each layer gives for one image, in the widest lane."""
        x = arranged(self.inputs.take(np.zeros(1, np.int64), None, self.device), self.convolved)[None]
        shapes = {}
        with torch.no_grad():
            for place in range(len(self.layers)):
                x = answer(self.layers[: place + 1], self.pile, x, place)
                shapes[place] = tuple(x.shape[2:])
        return shapes
