"""Whether an exported file gives the answers of the model it was made from; it is not handed over where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.image import Pixels
from coverslip.data.inputs import fit_batch
from coverslip.exporting.formats import Answer, Opened
from coverslip.exporting.images import Images
from coverslip.exporting.instrument import Instrument
from coverslip.inference.predictor import Predictor

MOST_GREY = 1  # grey levels after the resize
MOST_NETWORK = 1e-4  # in probability, from the same resized image
MOST_PROBABILITY = 0.01  # from decoded pixels, end to end
LEAST_SAME = 0.995  # of the labels


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a file's answers lie from the model's, over some images.

    Attributes:
        images: how many were tried.
        about: where they come from.
        grey: largest difference after the resize, grey levels of the image's depth.
        grey_share: of the resized samples that differ at all.
        network: largest difference of a probability to PyTorch's, from the same resized image.
        probability: largest difference of a probability to the model's, from decoded pixels.
        same: share of the images with the same label.
        same_sets: with the same set of classes; None where there are no sets.
        same_familiar: with the same word on whether they are familiar; None where the model cannot tell.
        reduced: how many are JPEG files so large that the program itself decodes them at reduced scale.
        reduced_probability: what that alone changes in a probability, at most.
    """

    images: int
    about: str
    grey: int
    grey_share: float
    network: float
    probability: float
    same: float
    same_sets: float | None
    same_familiar: float | None
    reduced: int
    reduced_probability: float

    def sentences(self, *, exempt: bool = False) -> list[str]:
        """What was found, in plain words; ``exempt``: from limits other than the resize's."""
        limits = [f" (limit {MOST_NETWORK})", f" (limit {MOST_PROBABILITY})", f" (limit {LEAST_SAME:.1%})"]
        network, probability, same = [""] * 3 if exempt else limits
        lines = [
            f"checked on {self.images:,} images ({self.about})",
            f"after the resize: {self.grey} grey levels apart at most (limit {MOST_GREY}), in {self.grey_share:.4%} of "
            "the samples",
            f"network: {self.network:.1e} in probability at most{network}",
            f"from decoded pixels: {self.probability:.5f} in probability at most{probability}, same label "
            f"{self.same:.1%}{same}",
        ]
        also = [("same set of classes", self.same_sets), ("same word on familiarity", self.same_familiar)]
        said = [f"{name} {share:.1%}" for name, share in also if share is not None]
        lines += [", ".join(said)] if said else []
        if self.reduced:
            lines.append(
                f"outside the file: {self.reduced:,} of these are JPEGs so large that coverslip itself decodes them at "
                f"reduced scale, which changes a probability by {self.reduced_probability:.4f} at most"
            )
        return lines

    def need(self, *, exempt: bool = False) -> None:
        """Insist on the limits.

        Args:
            exempt: of a quantized file only the resize is asked.

        Raises:
            UserError: one is passed.
        """
        wrong = [f"{self.grey} grey levels after the resize"] if self.grey > MOST_GREY else []
        if not exempt:
            wrong += [f"{self.network:.1e} in the network"] if not self.network <= MOST_NETWORK else []
            wrong += [f"{self.probability:.4f} in probability"] if not self.probability <= MOST_PROBABILITY else []
            wrong += [f"only {self.same:.1%} the same label"] if self.same < LEAST_SAME else []
        if wrong:
            raise UserError(
                f"the exported file does not give the model's answers: {', '.join(wrong)} over {self.images:,} "
                "images, so it was not kept",
                "try another --format; and please report it, with the network's name",
            )


@dataclass(frozen=True, slots=True)
class Asked:
    """What file and model said of the same images.

    Attributes:
        parity: how far they lie apart.
        numbers: which of the images could be read.
        file: (N, K) probabilities of the file.
        model: (N, K) of the model.
        file_labels: (N,) the class that the file names.
        model_labels: (N,) that the model names.
    """

    parity: Parity
    numbers: list[int]
    file: npt.NDArray[np.float64]
    model: npt.NDArray[np.float64]
    file_labels: npt.NDArray[np.int64]
    model_labels: npt.NDArray[np.int64]


def ask_both(
    opened: Opened, instrument: Instrument, predictor: Predictor, images: Images, progress: Progress = SILENT
) -> Asked:
    """Ask the file and the model of every image that can be read, one at a time.

    Args:
        opened: the file.
        instrument: what it was made of, for the network alone.
        predictor: the model.
        images: to ask about.
        progress: told of the stage.

    Raises:
        UserError: none of the images can be read.
    """
    spec = predictor.spec
    numbers: list[int] = []
    grey, samples, apart, network = 0, 0, 0, 0.0
    same: dict[str, list[bool]] = {"label": [], "set": [], "familiar": []}
    said: list[npt.NDArray[np.float64]] = []
    meant: list[npt.NDArray[np.float64]] = []
    named: list[tuple[int, int]] = []
    reduced: list[float] = []
    with progress.stage("checking the file", len(images)) as stage:
        for number, image in images.decoded(spec):
            got = opened(image.pixels[None])
            resized = fit_batch(image.pixels[None], spec.size, spec.fit)
            want = model_answer(predictor, resized)
            away = np.abs(got["seen"].astype(np.int64) - resized.astype(np.int64))
            grey, samples, apart = max(grey, int(away.max())), samples + away.size, apart + int((away > 0).sum())
            alone = network_answer(instrument, got["seen"])
            # NaN must count as a difference, and max() would pass it over.
            network = float(np.maximum(network, np.abs(alone - got["probabilities"]).max()))
            for name, shares in same.items():
                if name in got and name in want:
                    shares.append(bool(np.array_equal(got[name], want[name])))
            numbers.append(number)
            said.append(got["probabilities"].astype(np.float64))
            meant.append(want["probabilities"])
            named.append((int(got["label"][0]), int(want["label"][0])))
            if image.reduced is not None:
                small = model_answer(predictor, fit_batch(image.reduced[None], spec.size, spec.fit))
                reduced.append(float(np.abs(small["probabilities"] - want["probabilities"]).max()))
            stage.advance()
    if not numbers:
        raise UserError(
            f"none of the {len(images):,} images can be read, so the file cannot be checked",
            "name others: --images FOLDER",
        )
    file, model = np.concatenate(said), np.concatenate(meant)
    unread = len(images) - len(numbers)
    parity = Parity(
        images=len(numbers),
        about=f"{images.about}; {unread:,} more cannot be read" if unread else images.about,
        grey=grey,
        grey_share=apart / samples,
        network=network,
        probability=float(np.abs(file - model).max()),
        same=_share(same["label"]) or 0.0,
        same_sets=_share(same["set"]),
        same_familiar=_share(same["familiar"]),
        reduced=len(reduced),
        reduced_probability=max(reduced, default=0.0),
    )
    file_labels, model_labels = np.array(named, np.int64).T
    return Asked(parity, numbers, file, model, file_labels, model_labels)


def model_answer(predictor: Predictor, resized: Pixels) -> Answer:
    """What the model itself says of resized images (N, H, W, C), by the names of a file's outputs."""
    engine = predictor.extractor.engine
    starts = range(0, len(resized), engine.batch)
    batches = [predictor.spec.prepare(resized[start : start + engine.batch]) for start in starts]
    features = np.concatenate(list(engine.run(batches))).astype(np.float16)  # as they are kept
    probabilities = predictor.probabilities(features)
    found: dict[str, npt.NDArray[Any]] = {"probabilities": probabilities, "label": predictor.task.named(probabilities)}
    members = predictor.trust.members(probabilities)
    if members is not None:
        found["set"] = members
    if predictor.trust.familiarity is not None:
        score, limit = predictor.trust.familiarity.score(features), predictor.trust.familiarity.threshold
        found |= {"unfamiliarity": score / limit, "familiar": score <= limit}
    return found


def network_answer(instrument: Instrument, resized: Pixels) -> npt.NDArray[np.float32]:
    """Probabilities (N, K) by PyTorch, from resized images (N, H, W, C)."""
    planes = torch.from_numpy(resized.astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        found: npt.NDArray[np.float32] = instrument.network(instrument.preparation.scale(planes)).softmax(1).numpy()
    return found


def _share(said: Sequence[bool]) -> float | None:
    return float(np.mean(said)) if said else None
