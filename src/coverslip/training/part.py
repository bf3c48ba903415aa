"""Training a network from one of its stages on; after it, frozen and trained stages are one network again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.augment import Augmentation
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.models.folding import Pairs, fold_batch_norm, unfold_weights
from coverslip.models.stages import CLASSIFIER, Staged
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.config import TrainingConfig
from coverslip.training.loop import Trained, train_network

SMALL = 0.01  # standard deviation of a new classifier's weights after pretrained stages


@dataclass(frozen=True, slots=True)
class TrainedPart:
    """A network after training.

    Attributes:
        weights: state dict of every stage before the classifier, frozen or trained.
        weight: float32 (K, D), of the classifier.
        bias: float32 (K,).
        trained: the history, the best epoch, why it ended.
    """

    weights: dict[str, Tensor]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    trained: Trained


def train_part(
    design: Design | Staged,
    weights: Mapping[str, Tensor],
    stage: str,
    inputs: Inputs,
    labels: IntArray,
    classes: int,
    config: TrainingConfig,
    *,
    fold: bool = True,
    validation: tuple[Inputs, IntArray] | None = None,
    mix: Augmentation | None = None,
    checkpoint: Path | None = None,
    identity: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> TrainedPart:
    """Train the stages from ``stage`` on, given what the stages before it make of the images.

    Args:
        design: of the network; or a network, which is trained as it is.
        weights: pretrained, of the stages before the classifier; empty where training starts from chance.
        stage: the first that is trained.
        inputs: what that stage takes.
        labels: (N,).
        classes: K.
        recipe: of the training.
        fold: fold batch norm into convolutions first, where the weights are pretrained.
        validation: scored after each epoch.
        mix: mixup and cutmix of what the stage takes.
        checkpoint: folder of the state.
        identity: see `train_network`.
        progress: told of the epochs.

    Raises:
        UserError: see `train_network`; or weights that are not of this network.
    """
    network = design if isinstance(design, Staged) else new_network(design, weights, classes, config.seed)
    part = network.since(stage)
    pairs: Pairs = ()
    trainable: nn.Module = part
    if fold and weights:
        shape = tuple(inputs.take(np.zeros(1, np.int64), None, torch.device("cpu")).shape[1:])
        trainable, pairs = fold_batch_norm(part, shape)
    trained = train_network(
        trainable,
        inputs,
        labels,
        classes,
        config,
        validation=validation,
        mix=mix,
        checkpoint=checkpoint,
        identity=identity,
        progress=progress,
    )
    state = unfold_weights(part, trained.network, pairs) if pairs else trained.network.state_dict()
    state = {name: each.detach().cpu().contiguous() for name, each in state.items()}
    before = network.before(stage).state_dict()
    body = {name: each for name, each in state.items() if not name.startswith(f"{CLASSIFIER}.")}
    if f"{CLASSIFIER}.weight" in state:
        weight, bias = state[f"{CLASSIFIER}.weight"].numpy(), state[f"{CLASSIFIER}.bias"].numpy()
    else:  # the network's own end is part of it: its scores stand as they are
        weight, bias = np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32)
    return TrainedPart({**before, **body}, weight, bias, trained)


def new_classifier(features: int, classes: int, seed: int) -> nn.Linear:
    """The classifier that follows pretrained stages: small weights, drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = nn.Linear(features, classes)
        nn.init.normal_(classifier.weight, std=SMALL)
        nn.init.zeros_(classifier.bias)
    return classifier


def new_network(design: Design, weights: Mapping[str, Tensor], classes: int, seed: int) -> Staged:
    """The network with these weights and a new classifier; what is new is drawn from the seed.

    Raises:
        UserError: the weights are not of this network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(design, classes)
        if weights:
            classifier = network[-1]
            if isinstance(classifier, nn.Linear):
                classifier.load_state_dict(new_classifier(classifier.in_features, classes, seed).state_dict())
            try:
                network.before(CLASSIFIER).load_state_dict(weights)
            except RuntimeError as error:
                raise UserError("the weights are not of this network", "leave model.weights out") from error
    return network
