"""Train the later stages of a network, given the activations of the frozen stages before them."""

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
from coverslip.training.batches import Inputs, input_shape
from coverslip.training.config import TrainingConfig
from coverslip.training.loop import TrainingResult, train_network
from coverslip.training.objectives import Objective, Targets

CLASSIFIER_STD = 0.01  # standard deviation of the initial weights of a new classifier after pretrained stages


@dataclass(frozen=True, slots=True)
class TrainedStages:
    """The weights of a network after training.

    Attributes:
        weights: state dict of all stages before the classifier, both frozen and trained.
        weight: weights of the last layer, on the scale of the targets, float32 (num_outputs, D).
        bias: its biases, float32 (num_outputs,).
        result: history, best epoch, and why training ended.
    """

    weights: dict[str, Tensor]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    result: TrainingResult


def train_from_stage(
    design: Design | Staged,
    weights: Mapping[str, Tensor],
    stage: str,
    inputs: Inputs,
    targets: Targets,
    objective: Objective,
    config: TrainingConfig,
    *,
    fold: bool = True,
    validation: tuple[Inputs, Targets] | None = None,
    mix: Augmentation | None = None,
    checkpoint: Path | None = None,
    identity: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> TrainedStages:
    """Train the stages from ``stage`` on.

    Args:
        design: name and shape parameters of the network; or a network, which is trained as it is.
        weights: pretrained weights of the stages before the classifier; empty to train from scratch.
        stage: first trained stage.
        inputs: inputs of that stage, that is, outputs of the frozen stages.
        targets: what is to be predicted, as the objective takes it.
        objective: what is minimized.
        config: training config.
        fold: fold batch norm into the preceding convolutions, if the weights are pretrained.
        validation: inputs and targets that are scored after each epoch.
        mix: mixup and cutmix, applied to the inputs of the stage.
        checkpoint: folder for the state.
        identity: further values that must be equal to resume; see `train_network`.
        progress: receives the steps and notes.

    Raises:
        UserError: see `train_network`; or the weights do not match the network.
    """
    network = design if isinstance(design, Staged) else new_network(design, weights, objective.num_outputs, config.seed)
    stages = network.starting_at(stage)
    pairs: Pairs = ()
    trainable: nn.Module = stages
    if fold and weights:
        trainable, pairs = fold_batch_norm(stages, input_shape(inputs))
    result = train_network(
        trainable,
        inputs,
        targets,
        objective,
        config,
        validation=validation,
        mix=mix,
        checkpoint=checkpoint,
        identity=identity,
        progress=progress,
    )
    state = unfold_weights(stages, result.network, pairs) if pairs else result.network.state_dict()
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    before = network.before(stage).state_dict()
    body = {name: tensor for name, tensor in state.items() if not name.startswith(f"{CLASSIFIER}.")}
    if f"{CLASSIFIER}.weight" in state:
        weight, bias = state[f"{CLASSIFIER}.weight"].numpy(), state[f"{CLASSIFIER}.bias"].numpy()
    else:  # the last stage of a custom network already returns the outputs; the head is the identity
        outputs = objective.num_outputs
        weight, bias = np.eye(outputs, dtype=np.float32), np.zeros(outputs, np.float32)
    weight, bias = objective.to_target_scale(weight, bias)
    return TrainedStages({**before, **body}, weight, bias, result)


def new_classifier(features: int, classes: int, seed: int) -> nn.Linear:
    """Return a classifier for pretrained stages with small random weights, a function of the seed.

    Small weights keep the initial loss near that of uniform predictions, so the first gradients do not disturb the
    pretrained stages.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = nn.Linear(features, classes)
        nn.init.normal_(classifier.weight, std=CLASSIFIER_STD)
        nn.init.zeros_(classifier.bias)
    return classifier


def new_network(design: Design, weights: Mapping[str, Tensor], classes: int, seed: int) -> Staged:
    """Return a network with the given weights and a new classifier, whose random weights are a function of the seed.

    Raises:
        UserError: the weights do not match the network.
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
                raise UserError("the weights do not match the network", "omit model.weights") from error
    return network
