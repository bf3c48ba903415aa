"""The data shared by all trials of a study: images are decoded and split once, frozen layers are computed once."""

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
from coverslip.evidence.intervals import MIN_GROUPS
from coverslip.models.folding import fold_batch_norm
from coverslip.models.stages import CLASSIFIER
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import prepare, read_images, scan_images
from coverslip.pipeline.resolve import network_design, resolve_config
from coverslip.pipeline.training_data import PreparedTraining, prepare_training
from coverslip.training.batches import ArrayInputs, Inputs, IntArray, input_shape
from coverslip.training.fine_tuning import new_classifier, new_network

MAX_OPEN = 4  # preparations that are open at once; all of them stay in the cache on disk
IN_MEMORY = 512 * 2**20  # bytes of inputs up to which batches are gathered from memory instead of a mapped file


@dataclass(frozen=True, slots=True)
class PreparedTrial:
    """A trial before its first step.

    Attributes:
        config: resolved config.
        network: the trained layers, with batch norm folded where configured.
        prepared: inputs and rows, shared by all trials with the same frozen layers.
        key: identifies ``prepared``.
    """

    config: RunConfig
    network: nn.Module
    prepared: PreparedTraining
    key: Hashable


class StudyData:
    """The data of a study; `prepare_trial` makes a trial ready for training.

    Args:
        config: the default trial; its data, split and audit are those of all trials.
        log: receives stages and notes.
        table: audited and split images; None reads, audits and splits them.

    Attributes:
        table: the images with their splits.
        train: rows of the training set.
        selection: rows of the selection half of the validation set, on which trials are compared.
        calibration: rows of the calibration half.
        groups: group codes of the selection half, int64, shape (M,).

    Raises:
        UserError: as `coverslip.train`; or too few groups are left to select trials on.
        BlockedError: a finding that blocks training is not accepted.
    """

    def __init__(self, config: RunConfig, log: Progress = SILENT, table: ImageTable | None = None) -> None:
        self.config, self.log = resolve_config(config), log
        if table is None:
            listed = scan_images(self.config)
            if listed.task != "classification":
                raise UserError(
                    f"tune does not support the task {listed.task!r} yet",
                    "use coverslip train, which chooses the penalty of a head by cross-fitting",
                )
            table = prepare(self.config, listed, progress=log).table
        self.table = table
        self._open: OrderedDict[Hashable, PreparedTraining] = OrderedDict()
        prepared = self.prepare_trial(self.config).prepared
        self.train, self.selection, self.calibration = prepared.train, prepared.selection, prepared.calibration
        groups = self.table.groups(self.selection)
        if len(set(groups)) < MIN_GROUPS:  # no interval could be given
            raise UserError(
                f"the selection half of the validation set has {len(set(groups))} groups, which are too few",
                "give more images, or a larger validation set: --set split.fractions=[0.5,0.35,0.15]",
            )
        self.groups: IntArray = np.unique(groups, return_inverse=True)[1].astype(np.int64)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return len(self.table.classes)

    @property
    def digests(self) -> dict[str, str]:
        """Digests of images, splits and labels; a study can only be resumed with the same ones."""
        paths = self.table.frame["path"]
        splits = (self.train, self.selection, self.table.rows("test"))
        return {  # the keys are stored in the file of the study
            "images, in their parts": digest("parts", [paths.gather(rows).to_list() for rows in splits]),
            "labels": digest("labels", self.table.labels(self.train + self.selection)),
        }

    def prepare_trial(self, config: RunConfig) -> PreparedTrial:
        """Return a trial before its first step.

        Raises:
            UserError: the settings cannot be trained.
        """
        config = resolve_config(config)
        prepared, key = self._prepared(config)
        design, seed = network_design(config, prepared.design.channels), config.training.seed
        shape = input_shape(prepared.inputs)
        if prepared.stage == CLASSIFIER and prepared.weights:  # the frozen layers are slow to build and not needed
            classifier = new_classifier(shape[0], self.classes, seed)
            return PreparedTrial(config, nn.Sequential(OrderedDict({CLASSIFIER: classifier})), prepared, key)
        network: nn.Module = new_network(design, prepared.weights, self.classes, seed).starting_at(prepared.stage)
        if config.model.fold and prepared.weights:
            network = fold_batch_norm(network, shape)[0]
        return PreparedTrial(config, network, prepared, key)

    def pixels(self, config: RunConfig) -> PixelCache:
        """Return the decoded images at the input size of the config's network."""
        return read_images(config, self.table)

    def labels(self, rows: list[int]) -> IntArray:
        """Return class ids, int64, shape (len(rows),)."""
        return np.asarray(self.table.labels(rows), np.int64)

    def _prepared(self, config: RunConfig) -> tuple[PreparedTraining, Hashable]:
        """Return the outputs of the frozen layers; trials that differ only in later layers share them."""
        model = replace(
            config.model, hidden=(), filters=(), batch_norm=False, dropout=0.0, activation="relu", minutes=1
        )
        seed = config.training.seed if config.model.views > 1 or config.augment else 0
        key = repr((config.input, model, config.augment, seed))
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key], key
        prepared = prepare_training(config, self.table, self.pixels(config), self.log)
        prepared = replace(
            prepared,
            inputs=in_memory(prepared.inputs, config.model.views),
            selection_inputs=in_memory(prepared.selection_inputs, 1),
        )
        self._open[key] = prepared
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return prepared, key


class ViewArrays:
    """Inputs in memory, one array per view, so that gathering a batch is one indexing operation."""

    def __init__(self, views: list[npt.NDArray[np.float32]], inputs: Inputs) -> None:
        self.arrays, self.inputs = [ArrayInputs(view) for view in views], inputs

    def __len__(self) -> int:
        return len(self.arrays[0])

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> torch.Tensor:
        """See `Inputs.take`."""
        return self.arrays[0 if epoch is None else 1 + epoch % (len(self.arrays) - 1)].take(rows, None, device)


def in_memory(inputs: Inputs, views: int) -> Inputs:
    """Load inputs into memory where they are vectors (features) and small enough; else return them unchanged.

    Args:
        inputs: inputs that repeat every ``views`` epochs.
        views: number of views of each image.
    """
    cpu, rows = torch.device("cpu"), np.arange(len(inputs), dtype=np.int64)
    if not len(inputs):
        return inputs
    shape = inputs.take(rows[:1], None, cpu).shape[1:]
    if len(shape) != 1 or len(inputs) * shape[0] * 4 * (views + 1) > IN_MEMORY:
        return inputs
    plain = inputs.take(rows, None, cpu).numpy()
    if views == 1:
        return ViewArrays([plain, plain], inputs)
    return ViewArrays([plain, *(inputs.take(rows, epoch, cpu).numpy() for epoch in range(views))], inputs)
