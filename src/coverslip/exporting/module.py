"""A trained model as one module: decoded pixels in; probabilities, label, set, familiarity and map out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.evidence.familiarity import EPSILON, Familiarity
from coverslip.explaining.maps.cam import cam_taps
from coverslip.exporting.preparation import Preparation
from coverslip.inference.full_network import full_network
from coverslip.inference.predictor import Predictor
from coverslip.models.stages import CLASSIFIER, Staged
from coverslip.models.taps import Tap
from coverslip.tasks.classification import require_classification

INPUT = "pixels"
DESCRIPTIONS = {
    INPUT: "decoded images, not resized: any height and width, the same for all N images of a call; N is 1 for one "
    "image",
    "probabilities": "calibrated probability of each class; each row sums to 1",
    "label": "index of the predicted class, from 0",
    "set": "whether each class is in the prediction set; the set contains the true class at the chosen coverage",
    "unfamiliarity": "distance from the training images divided by the threshold; above 1 the image is unlike them",
    "familiar": "whether the image is like the training images",
    "map": "class activation map: contribution of each position of a grid over `seen` to the logit of each class; "
    "positive values are evidence for the class. The mean over all positions plus the bias of the class is the logit",
    "seen": "the network's view of the image: resized and padded or cropped to the input size",
}
"""The input and all possible outputs of an exported file, in order."""


class ExportModule(nn.Module):
    """A predictor as one stateless graph.

    Args:
        predictor: the trained model; not changed.

    Attributes:
        preparation: converts decoded pixels to the network's input.
        network: converts prepared images to logits, already divided by the temperature.
        outputs: names of the outputs of `forward`, in order. ``set`` requires calibrated prediction sets,
            ``unfamiliarity`` and ``familiar`` require a familiarity model, and ``map`` a network that ends with global
            average pooling and one linear layer.
    """

    set_thresholds: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        spec, trust = predictor.spec, predictor.trust
        task = require_classification(predictor.task, "export")
        self.preparation = Preparation(spec)
        self.network = full_network(predictor)
        shape = (spec.channels, *spec.size)
        self.tap = _cam_tap(self.network, shape)
        self.positive: tuple[int, float] | None = None
        if task.threshold is not None:
            self.positive = task.classes.index(task.threshold.class_name), task.threshold.value
        self.sets = task.sets is not None
        if task.sets is not None:
            self.register_buffer("set_thresholds", torch.tensor(task.sets.least))
        self.familiarity_score = None if trust.familiarity is None else FamiliarityScore(trust.familiarity)
        names = ["probabilities", "label", *(["set"] if self.sets else [])]
        names += [] if self.familiarity_score is None else ["unfamiliarity", "familiar"]
        self.outputs = (*names, *(["map"] if self.tap else []), "seen")
        self._activations: list[Tensor] = []
        if self.tap is not None:
            self.network.get_submodule(self.tap.module).register_forward_hook(self._store_activation)
        self.eval()

    @property
    def num_bytes(self) -> int:
        """Total size of all weights and buffers."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.state_dict().values())

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors named in ``outputs``, N rows each.

        Args:
            pixels: decoded images, shape (N, h, w, C), uint8 or uint16 as given by the input spec.
        """
        resized, prepared = self.preparation(pixels)
        self._activations.clear()
        features = self.network.before(CLASSIFIER)(prepared)
        classifier = self.network.get_submodule(CLASSIFIER)
        assert isinstance(classifier, nn.Linear)
        probabilities = classifier(features).softmax(1)
        outputs = [probabilities, self._label(probabilities)]
        if self.sets:
            # No set is empty: the most probable class is included if no class reaches its threshold.
            best = probabilities >= probabilities.amax(1, keepdim=True)
            reached = probabilities >= self.set_thresholds
            outputs.append(reached | (best & ~reached.any(1, keepdim=True)))
        if self.familiarity_score is not None:
            unfamiliarity = self.familiarity_score(features)
            outputs += [unfamiliarity, unfamiliarity <= 1]
        if self.tap is not None:
            grid = self.tap.to_grid(self._activations[0])
            maps = classifier.weight @ grid.flatten(2)  # (N, K, H*W)
            outputs.append(maps.reshape(*maps.shape[:2], *grid.shape[2:]))
        depth = getattr(torch, self.preparation.spec.depth)
        return (*outputs, resized.permute(0, 2, 3, 1).to(depth))

    def _label(self, probabilities: Tensor) -> Tensor:
        if self.positive is None:
            return probabilities.argmax(1)
        positive, value = self.positive
        return torch.where(probabilities[:, positive] >= value, positive, 1 - positive)

    def _store_activation(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not self._activations:
            self._activations.append(output[0] if isinstance(output, tuple | list) else output)


class FamiliarityScore(nn.Module):
    """`Familiarity.score` in PyTorch, divided by the threshold.

    Args:
        familiarity: the fitted familiarity model, with at most 4,096 reference images.
    """

    center: Tensor
    directions: Tensor
    whitening: Tensor
    means: Tensor
    reference: Tensor

    def __init__(self, familiarity: Familiarity) -> None:
        super().__init__()
        for name in ("center", "directions", "whitening", "means", "reference"):
            self.register_buffer(name, torch.from_numpy(getattr(familiarity, name).copy()))
        self.limit = familiarity.threshold

    def forward(self, features: Tensor) -> Tensor:
        """Return the unfamiliarity of features of shape (N, D) as (N,); above 1 the image is not familiar."""
        unit = features / features.square().sum(1, keepdim=True).sqrt().clamp(min=EPSILON)
        centered = unit - self.center
        projected = centered @ self.directions
        residual = centered.square().sum(1) - projected.square().sum(1)
        whitened = projected @ self.whitening
        floor = EPSILON * whitened.shape[1]  # the distance of a training image to itself is 0, which has no logarithm
        nearest, mean = (
            _squared_distances(whitened, points.float()).amin(1).clamp(min=floor)
            for points in (self.reference, self.means)
        )
        score = ((nearest.log() + mean.log() + residual.clamp(min=EPSILON).log()) / 6).exp()
        return score / self.limit


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared Euclidean distances of rows (A, R) and (B, R) as (A, B)."""
    squares = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return squares.clamp(min=0)  # rounding can give small negative values


def _cam_tap(network: Staged, shape: tuple[int, ...]) -> Tap | None:
    """Return the grid that is averaged before the last layer; None if the network ends differently."""
    try:
        tap = cam_taps(network, shape, "cam")[-1]
    except UserError:
        return None
    return tap if tap.call == 0 else None
