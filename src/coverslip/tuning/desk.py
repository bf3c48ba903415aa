"""What all trials of a study start from: images decoded and divided once, frozen parts run once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.storage import digest
from coverslip.data.cache import PixelCache
from coverslip.data.table import ImageTable
from coverslip.evidence.intervals import FEWEST_GROUPS
from coverslip.models.folding import fold_batch_norm
from coverslip.models.stages import CLASSIFIER
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.fit import Prepared, prepare_part
from coverslip.pipeline.prepare import prepare, read_images
from coverslip.pipeline.resolve import network_design, resolve_config
from coverslip.training.batches import ArrayInputs, Inputs, IntArray
from coverslip.training.part import new_classifier, new_network

KEPT = 4  # preparations that are open at once; all of them stay in the cache on disk
IN_MEMORY = 512 * 2**20  # bytes of inputs up to which they are gathered from memory instead of a mapped file


@dataclass(frozen=True, slots=True)
class Start:
    """A trial before its first step.

    Attributes:
        plan: settled.
        network: what is trained, from its first trained stage on, folded where the plan says so.
        ready: what it starts from, shared by all trials of one preparation.
        key: of that preparation.
    """

    config: RunConfig
    network: nn.Module
    ready: Prepared
    key: Hashable


class Desk:
    """The data of a study; `start` makes a trial ready.

    Args:
        plan: the default trial; its data, split and audit are those of all trials.
        log: told what is found and computed.
        table: inspected and divided already; it is read, inspected and divided without.

    Raises:
        UserError: as `coverslip.train` would; or no group is left to choose by.
        BlockedError: a finding of the audit that is not accepted.
    """

    def __init__(self, config: RunConfig, log: Progress = SILENT, table: ImageTable | None = None) -> None:
        self.config, self.log = resolve_config(config), log
        self.table = prepare(self.config, progress=log).table if table is None else table
        self._open: OrderedDict[Hashable, Prepared] = OrderedDict()
        ready = self.start(self.config).ready
        self.train, self.choose, self.calibrate = ready.train, ready.choose, ready.calibrate
        groups = self.table.groups(self.choose)
        if len(set(groups)) < FEWEST_GROUPS:  # no interval could be given
            raise UserError(
                f"validation leaves {len(set(groups))} groups to choose by, which are too few",
                "give more images, or a larger share: --set split.fractions=[0.5,0.35,0.15]",
            )
        self.groups: IntArray = np.unique(groups, return_inverse=True)[1].astype(np.int64)

    @property
    def classes(self) -> int:
        """How many."""
        return len(self.table.classes)

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal for a study to go on with this data."""
        paths = self.table.frame["path"]
        rows = (self.train, self.choose, self.table.rows("test"))
        return {
            "images, in their parts": digest("parts", [paths.gather(each).to_list() for each in rows]),
            "labels": digest("labels", self.table.labels(self.train + self.choose)),
        }

    def start(self, config: RunConfig) -> Start:
        """A trial before its first step.

        Raises:
            UserError: settings that cannot work.
        """
        config = resolve_config(config)
        ready, key = self._prepared(config)
        design, seed = network_design(config, ready.design.channels), config.training.seed
        shape = tuple(ready.inputs.take(np.zeros(1, np.int64), None, torch.device("cpu")).shape[1:])
        if ready.stage == CLASSIFIER and ready.weights:  # all before it, which takes long to build, is not needed
            classifier = new_classifier(shape[0], self.classes, seed)
            return Start(config, nn.Sequential(OrderedDict({CLASSIFIER: classifier})), ready, key)
        network: nn.Module = new_network(design, ready.weights, self.classes, seed).since(ready.stage)
        if config.model.fold and ready.weights:
            network = fold_batch_norm(network, shape)[0]
        return Start(config, network, ready, key)

    def pixels(self, config: RunConfig) -> PixelCache:
        """The decoded images, as a plan's network takes them."""
        return read_images(config, self.table)

    def labels(self, rows: list[int]) -> IntArray:
        """Class numbers, int64 (n,)."""
        return np.asarray(self.table.labels(rows), np.int64)

    def _prepared(self, config: RunConfig) -> tuple[Prepared, Hashable]:
        """The frozen part's answers; trials whose settings differ only behind it share them."""
        model = replace(
            config.model, hidden=(), filters=(), batch_norm=False, dropout=0.0, activation="relu", minutes=1
        )
        seed = config.training.seed if config.model.views > 1 or config.augment else 0
        key = repr((config.input, model, config.augment, seed))
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key], key
        ready = prepare_part(config, self.table, self.pixels(config), self.log)
        ready = replace(ready, inputs=in_memory(ready.inputs, config.model.views), watched=in_memory(ready.watched, 1))
        self._open[key] = ready
        while len(self._open) > KEPT:
            self._open.popitem(last=False)
        return ready, key


class Viewed:
    """Inputs in memory, every view of them: gathering a batch is one indexing."""

    def __init__(self, views: list[npt.NDArray[np.float32]], inputs: Inputs) -> None:
        self.arrays, self.inputs = [ArrayInputs(each) for each in views], inputs

    def __len__(self) -> int:
        return len(self.arrays[0])

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> torch.Tensor:
        """See `Inputs.take`."""
        return self.arrays[0 if epoch is None else 1 + epoch % (len(self.arrays) - 1)].take(rows, None, device)


def in_memory(inputs: Inputs, views: int) -> Inputs:
    """The same inputs held in memory, where they are vectors (features) and small enough; else as they are.

    Args:
        inputs: of which epoch e gives what epoch e + ``views`` gives.
        views: of each image.
    """
    cpu, rows = torch.device("cpu"), np.arange(len(inputs), dtype=np.int64)
    if not len(inputs):
        return inputs
    shape = inputs.take(rows[:1], None, cpu).shape[1:]
    if len(shape) != 1 or len(inputs) * shape[0] * 4 * (views + 1) > IN_MEMORY:
        return inputs
    plain = inputs.take(rows, None, cpu).numpy()
    if views == 1:
        return Viewed([plain, plain], inputs)
    return Viewed([plain, *(inputs.take(rows, epoch, cpu).numpy() for epoch in range(views))], inputs)
