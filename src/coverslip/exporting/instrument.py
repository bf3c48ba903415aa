"""The whole instrument as one module: decoded pixels in; probabilities, label, set, familiarity and map out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.evidence.familiarity import TINY, Familiarity
from coverslip.explaining.maps.cam import cam_taps
from coverslip.exporting.preparation import Preparation
from coverslip.inference.predictor import Predictor
from coverslip.inference.whole import whole_network
from coverslip.models.stages import CLASSIFIER, Staged
from coverslip.models.taps import Tap

INPUT = "pixels"
ABOUT = {
    INPUT: "decoded images, not resized: any height and width, the same for all N of a call; N is 1 for one image",
    "probabilities": "calibrated probability of each class; a row sums to 1",
    "label": "number of the class that is named, from 0",
    "set": "which classes are in the set that holds the true one as often as was asked for",
    "unfamiliarity": "distance from the training images, divided by the limit: above 1 is unlike them",
    "familiar": "whether the image is like the training images",
    "map": "class activation map: what each place of a grid over `seen` adds to the score of each class; above 0 "
    "speaks for the class. The mean over the places, and the class's bias, is the score",
    "seen": "the image as the network sees it: resized, and filled up to its frame",
}
"""The input, and every output that a file can have, in order."""


class Instrument(nn.Module):
    """A predictor as one graph without state.

    Args:
        predictor: the trained model; it is left as it is.

    Attributes:
        preparation: from decoded pixels to prepared ones.
        network: prepared images -> scores, the temperature included.
        outputs: the names of what `forward` gives, in order; ``set`` only where sets were calibrated,
            ``unfamiliarity`` and ``familiar`` only where the bundle has familiarity, ``map`` only for networks that end
            with the average over a grid and one linear layer.
    """

    least: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        spec, trust = predictor.spec, predictor.trust
        self.preparation = Preparation(spec)
        self.network = whole_network(predictor)
        shape = (spec.channels, *spec.size)
        self.tap = _averaged_tap(self.network, shape)
        self.positive: tuple[int, float] | None = None
        if predictor.threshold is not None:
            threshold = predictor.threshold
            self.positive = predictor.task.classes.index(threshold.class_name), threshold.value
        self.sets = trust.thresholds is not None
        if trust.thresholds is not None:
            self.register_buffer("least", torch.tensor(trust.thresholds.least))
        self.unlike = None if trust.familiarity is None else Unlike(trust.familiarity)
        names = ["probabilities", "label", *(["set"] if self.sets else [])]
        names += [] if self.unlike is None else ["unfamiliarity", "familiar"]
        self.outputs = (*names, *(["map"] if self.tap else []), "seen")
        self._kept: list[Tensor] = []
        if self.tap is not None:
            self.network.get_submodule(self.tap.module).register_forward_hook(self._keep)
        self.eval()

    @property
    def bytes(self) -> int:
        """Of all its numbers."""
        return sum(each.numel() * each.element_size() for each in self.state_dict().values())

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(N, h, w, C), uint8 or uint16 as the spec says -> what ``outputs`` names, N rows each."""
        resized, prepared = self.preparation(pixels)
        self._kept.clear()
        features = self.network.before(CLASSIFIER)(prepared)
        classifier = self.network.get_submodule(CLASSIFIER)
        assert isinstance(classifier, nn.Linear)
        probabilities = classifier(features).softmax(1)
        found = [probabilities, self._label(probabilities)]
        if self.sets:
            # No set stays empty: the most probable class enters where none reaches its limit.
            best = probabilities >= probabilities.amax(1, keepdim=True)
            reached = probabilities >= self.least
            found.append(reached | (best & ~reached.any(1, keepdim=True)))
        if self.unlike is not None:
            away = self.unlike(features)
            found += [away, away <= 1]
        if self.tap is not None:
            grid = self.tap.to_grid(self._kept[0])
            maps = classifier.weight @ grid.flatten(2)
            found.append(maps.reshape(*maps.shape[:2], *grid.shape[2:]))
        depth = getattr(torch, self.preparation.spec.depth)
        return (*found, resized.permute(0, 2, 3, 1).to(depth))

    def _label(self, probabilities: Tensor) -> Tensor:
        if self.positive is None:
            return probabilities.argmax(1)
        place, value = self.positive
        return torch.where(probabilities[:, place] >= value, place, 1 - place)

    def _keep(self, module: nn.Module, given: Any, output: Any) -> None:
        if not self._kept:
            self._kept.append(output[0] if isinstance(output, tuple | list) else output)


class Unlike(nn.Module):
    """How far features are from those of the training images, divided by the limit: `Familiarity.score` as tensors.

    Args:
        familiarity: at most 4,096 reference images.
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
        """(N, D) -> (N,); above 1 is not familiar."""
        unit = features / features.square().sum(1, keepdim=True).sqrt().clamp(min=TINY)
        centered = unit - self.center
        inside = centered @ self.directions
        left_over = centered.square().sum(1) - inside.square().sum(1)
        place = inside @ self.whitening
        floor = TINY * place.shape[1]  # a training image itself is at no distance
        nearest, mean = (
            _squares(place, some.float()).amin(1).clamp(min=floor) for some in (self.reference, self.means)
        )
        score = ((nearest.log() + mean.log() + left_over.clamp(min=TINY).log()) / 6).exp()
        return score / self.limit


def _squares(some: Tensor, others: Tensor) -> Tensor:
    """(A, R), (B, R) -> squared distances (A, B), 0 or more."""
    away = some.square().sum(1, keepdim=True) + others.square().sum(1) - 2 * some @ others.T
    return away.clamp(min=0)


def _averaged_tap(network: Staged, shape: tuple[int, ...]) -> Tap | None:
    """The grid that is averaged before the last layer; None for networks that end otherwise."""
    try:
        tap = cam_taps(network, shape, "cam")[-1]
    except UserError:
        return None
    return tap if tap.call == 0 else None
