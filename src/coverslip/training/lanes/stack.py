"""Train many networks of the same architecture in one pass, each exactly as in a separate training."""

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
from coverslip.core.devices import pick_device, tune_allocator
from coverslip.core.errors import UserError
from coverslip.core.storage import digest
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.checks import check_validation
from coverslip.training.config import TrainingConfig
from coverslip.training.forward import EVAL_BATCH, has_conv, to_channels_last
from coverslip.training.lanes.lane import Lane, make_lanes
from coverslip.training.lanes.layers import StackedTensors, forward, template
from coverslip.training.lanes.metrics import LaneMetrics, lane_metrics
from coverslip.training.lanes.orders import EpochBatches
from coverslip.training.lanes.stack_state import StackState, load_state, save_state
from coverslip.training.lanes.steps import Stepper
from coverslip.training.lanes.tensors import build_tensors, draw_dropout, lane_weights, select_lanes, write_lanes
from coverslip.training.lanes.workers import num_workers, run_parallel
from coverslip.training.objectives import ClassObjective, check_labels

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation

T = TypeVar("T")
CACHE_BYTES = 6 * 2**20  # bytes of the images of one step that should stay in the CPU cache
MIN_VALUES = 6_000_000  # values of a stack, including moments, below which one thread is faster
Logits = npt.NDArray[np.float32]


class Stack:
    """L networks of the same architecture that differ in numeric settings, trained together epoch by epoch.

    Each lane equals the result of `coverslip.training.loop.train_network` for its network and config: the same batches,
    the same dropout, the same optimizer steps. Only the order of summation differs, so float32 values agree to about
    five digits. ``patience``, ``monitor`` and ``keep_best`` of a config are left to the caller, who sees every epoch.

    Args:
        networks: L networks; they are not modified.
        configs: L training configs; `coverslip.training.lanes.keys.stack_key` documents what may differ.
        inputs: N training images, for all lanes.
        labels: class ids, int (N,), values in 0..K-1.
        classes: number of classes K.
        rows: training rows of each lane, int (n,) each, such as those of a fold; None for all.
        validation: images and class ids that are scored after each epoch.
        mix: mixup and cutmix, applied on the device.
        device: device to use; None for the fastest one.

    Attributes:
        lanes: numbers (indices into ``networks``) of the lanes still in the stack.
        epoch: completed epochs.
        validation_logits: lane -> logits of the validation set after the last epoch it took part in, float32 (M, K);
            empty without validation set.

    Raises:
        UserError: networks cannot be stacked, labels are out of range, or images have the wrong shape.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        configs: Sequence[TrainingConfig],
        inputs: Inputs,
        labels: IntArray,
        classes: int,
        *,
        rows: Sequence[IntArray] | None = None,
        validation: tuple[Inputs, IntArray] | None = None,
        mix: Augmentation | None = None,
        device: torch.device | None = None,
    ) -> None:
        tune_allocator()
        self.device = device or pick_device()
        self.inputs, self.classes = inputs, classes
        checked_labels = check_labels(inputs, labels, classes, "training")
        self.targets = torch.from_numpy(checked_labels).to(self.device)
        self.mix = mix if mix is not None and (mix.mixup or mix.cutmix) else None
        self.all_lanes, layers = make_lanes(networks, configs, inputs, checked_labels, classes, rows, self.device)
        self.validation = None
        if validation is not None:
            network = copy.deepcopy(networks[0]).to(self.device)
            self.validation = check_validation(network, *validation, ClassObjective(classes), self.device)
        self.layers = [template(layer) for layer in layers[0]]
        self.channels_last = has_conv(networks[0])
        self.tensors = build_tensors(self.all_lanes, layers, self.device)
        self.lanes = list(range(len(networks)))
        self.epoch = 0
        self.validation_logits: dict[int, Logits] = {}
        self.shapes = self._output_shapes()
        self.consistent = True  # no epoch is half done
        config = self.all_lanes[0].config
        self.stepper = Stepper(
            layers=self.layers,
            classes=classes,
            sgd=config.optimizer == "sgd",
            nesterov=config.nesterov,
            focal=config.loss == "focal" and config.gamma > 0,
            l2=any(lane.config.l2 for lane in self.all_lanes),
            clip=config.clip > 0,
            dropout_layers={index for lane in self.all_lanes for index in lane.dropout},
        )

    def run_epoch(self) -> list[LaneMetrics]:
        """Train one epoch of all lanes; lanes that have completed their epochs leave before it.

        Returns:
            The metrics of each trained lane; empty if none is left.

        Raises:
            KeyboardInterrupt: Ctrl+C; the epoch is lost, and the stack can only be loaded again.
        """
        self._check_consistent()
        self.keep([number for number in self.lanes if self.epoch < self.all_lanes[number].epochs])
        if not self.lanes:
            return []
        lanes = [self.all_lanes[number] for number in self.lanes]
        self.consistent = False
        results = self._on_workers(self._train_lanes)
        self.epoch += 1
        self.validation_logits = {}
        if self.validation is not None:
            self.validation_logits = dict(zip(self.lanes, self.logits(self.validation[0]), strict=True))
        metrics = [
            self._metrics(lane, *result)
            for lane, result in zip(lanes, [result for part in results for result in part], strict=True)
        ]
        self.consistent = True
        self.keep([lane.lane for lane in metrics if not lane.failure])
        return metrics

    def _on_workers(self, function: Callable[[list[Lane], StackedTensors, threading.Event], T]) -> list[T]:
        """Call a function on all worker threads, each time with some neighboring lanes."""
        lanes = [self.all_lanes[number] for number in self.lanes]
        workers = num_workers(self.device)
        bounds = self._bounds(lanes, workers)
        tasks = []
        for start, end in pairwise(bounds):
            # Shares memory, but `.data` has its own version counter: otherwise autograd would take the update of one
            # thread for a modification of all lanes.
            tensors = {name: tensor[start:end].data for name, tensor in self.tensors.items()}
            tasks.append(partial(function, lanes[start:end], tensors))
        return run_parallel(tasks, workers)

    def _bounds(self, lanes: Sequence[Lane], workers: int) -> list[int]:
        """Return where to split the lanes into parts, from 0 to their number: one part per thread, or more.

        Convolutions do not gain from being wide, so each lane is a separate part. If the images of a step differ
        between lanes, they should stay in the cache until the gradient needs them. With little to compute, threads only
        wait for the GIL: 6 heads took 1.7 times as long on two threads.
        """
        count, most = len(lanes), -(-len(lanes) // workers)
        if self.device.type == "cpu":
            if self.channels_last:
                most = 1
            elif len({lane.order.key for lane in lanes}) == 1:
                if sum(tensor.numel() for tensor in self.tensors.values()) < MIN_VALUES:
                    return [0, count]
            else:
                batch = (lanes[0].config.batch_size or len(lanes[0].order.rows)) * math.prod(self.shapes[0]) * 4
                most = max(min(most, CACHE_BYTES // batch), 1)
        parts = -(-count // most)
        parts = min(-(-parts // workers) * workers, count)  # the same number of parts for each thread
        return [count * part // parts for part in range(parts + 1)]

    def _train_lanes(
        self, lanes: list[Lane], tensors: StackedTensors, stop: threading.Event
    ) -> list[tuple[npt.NDArray[np.float64], list[int], int]]:
        """Train some lanes for one epoch.

        Returns:
            For each lane, the loss and number of images of each step, and the number of correctly classified images.
        """
        config, generator = lanes[0].config, torch.Generator(self.device)
        scratch: StackedTensors = {}
        epoch = EpochBatches(
            [lane.order for lane in lanes],
            [lane.steps for lane in lanes],
            self.epoch,
            config.batch_size or 0,
            lanes[0].merge_last,
        )
        lrs = torch.zeros(len(epoch), len(lanes), dtype=torch.float64)
        for index, lane in enumerate(lanes):
            lrs[: lane.length, index] = torch.from_numpy(lane.lrs(self.epoch))
        losses = torch.zeros(len(epoch), len(lanes), device=self.device)
        correct = torch.zeros(len(lanes), dtype=torch.int64, device=self.device)
        with torch.no_grad():
            for step in range(len(epoch)):
                if stop.is_set():
                    break
                for indices in epoch.lanes_by_size(step):
                    all_lanes = len(indices) == len(lanes)
                    selected = tensors if all_lanes else select_lanes(tensors, indices)
                    batch = epoch.batch(
                        step, indices, self.inputs, self.targets, self.mix, self.classes, self.channels_last
                    )
                    active = [lanes[index] for index in indices]
                    noise = draw_dropout(active, batch.labels.shape[1], self.shapes, generator)
                    even = len({lane.steps for lane in active}) == 1
                    if all_lanes:
                        losses[step], hits = self.stepper.advance(selected, batch, lrs[step], noise, even, scratch)
                        correct += hits
                    else:
                        losses[step, indices], hits = self.stepper.advance(
                            selected, batch, lrs[step, indices], noise, even, {}
                        )
                        correct[indices] += hits
                        write_lanes(tensors, indices, selected)
                    for lane in active:
                        lane.steps += 1
        values = losses.cpu().double().numpy()
        return [
            (values[: lane.length, index], epoch.counts(index), int(correct[index])) for index, lane in enumerate(lanes)
        ]

    def _metrics(self, lane: Lane, losses: npt.NDArray[np.float64], counts: list[int], correct: int) -> LaneMetrics:
        labels = None if self.validation is None else self.validation[1]
        hits = None if self.mix is not None else correct
        return lane_metrics(lane, self.epoch, losses, counts, hits, self.validation_logits.get(lane.number), labels)

    def keep(self, lanes: Sequence[int]) -> None:
        """Remove all other lanes; the remaining ones continue as before, in a smaller stack.

        Args:
            lanes: numbers of the lanes to keep.

        Raises:
            UserError: a lane is not in the stack.
        """
        indices = [self._index(number) for number in lanes]
        if indices == list(range(len(self.lanes))):
            return
        self.tensors = select_lanes(self.tensors, indices)
        self.lanes = [self.lanes[index] for index in indices]

    def logits(self, inputs: Inputs) -> Logits:
        """Return the logits of the lanes in the stack, in evaluation mode.

        Returns:
            float32 (l, M, K), in the order of `lanes`.
        """
        if not self.lanes:
            return np.zeros((0, len(inputs), self.classes), np.float32)
        return np.concatenate(self._on_workers(partial(self._compute_logits, inputs)))

    def _compute_logits(
        self, inputs: Inputs, lanes: list[Lane], tensors: StackedTensors, stop: threading.Event
    ) -> Logits:
        size = EVAL_BATCH if self.channels_last else 4 * EVAL_BATCH
        blocks = []
        with torch.inference_mode():
            for start in range(0, max(len(inputs), 1), size):
                if stop.is_set():
                    break
                rows = np.arange(start, min(start + size, len(inputs)), dtype=np.int64)
                images = to_channels_last(inputs.take(rows, None, self.device), self.channels_last)
                blocks.append(forward(self.layers, tensors, images[None]))
            return np.ascontiguousarray(torch.cat(blocks, 1).cpu().numpy())

    def weights(self, lane: int) -> dict[str, Tensor]:
        """Return a copy of the current weights of a lane, as state dict of its network.

        Raises:
            UserError: the lane is not in the stack.
        """
        return lane_weights(self.tensors, self._index(lane), self.all_lanes[lane])

    def save(self, folder: Path) -> None:
        """Save everything that determines how the lanes continue, atomically.

        Raises:
            UserError: an epoch was interrupted, so the state is inconsistent; the previous file remains.
        """
        self._check_consistent()
        steps = [self.all_lanes[number].steps for number in self.lanes]
        save_state(folder, StackState(self.lanes, self.epoch, steps, self.tensors), self._identity())

    def load(self, folder: Path) -> None:
        """Restore the state that `save` wrote; the stack must have been created with the same arguments.

        Raises:
            UserError: the file does not exist, is damaged, or belongs to another stack.
        """
        state = load_state(folder, self._identity())
        self.lanes, self.epoch = state.lanes, state.epoch
        for number, steps in zip(state.lanes, state.steps, strict=True):
            self.all_lanes[number].steps = steps
        self.consistent = True
        # Copy into newly allocated memory, since the alignment of a tensor affects the last digits of products.
        self.tensors = {
            name: torch.empty_like(state.tensors[name], device=tensor.device) for name, tensor in self.tensors.items()
        }
        for name, tensor in self.tensors.items():
            tensor.copy_(state.tensors[name])

    def _identity(self) -> dict[str, Any]:
        """Return what has to be equal for a stack to continue from a saved state."""
        return {
            "labels": digest(self.targets.cpu().numpy().tobytes()),
            "validation labels": "" if self.validation is None else digest(self.validation[1].tobytes()),
            "classes": self.classes,
            "mixing": repr(self.mix),
            "settings": [to_mapping(lane.config) for lane in self.all_lanes],
            "shapes": digest(*(sorted(lane.names.items()) for lane in self.all_lanes)),
            "rows": digest(*(lane.order.rows.tobytes() for lane in self.all_lanes)),
        }

    def _check_consistent(self) -> None:
        if not self.consistent:
            raise UserError("an epoch of this stack was interrupted", "load the last saved state")

    def _index(self, lane: int) -> int:
        if lane not in self.lanes:
            raise UserError(f"lane {lane} is not in the stack", f"use one of {self.lanes}")
        return self.lanes.index(lane)

    def _output_shapes(self) -> dict[int, tuple[int, ...]]:
        """Return the output shape of each layer for one image, in the widest lane."""
        x = to_channels_last(self.inputs.take(np.zeros(1, np.int64), None, self.device), self.channels_last)[None]
        shapes = {}
        with torch.no_grad():
            for index in range(len(self.layers)):
                x = forward(self.layers[: index + 1], self.tensors, x, index)
                shapes[index] = tuple(x.shape[2:])
        return shapes
