"""Compare the outputs of an exported file with those of the model; a file with other outputs is not kept."""

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
from coverslip.exporting.formats import ExportedModel, Outputs
from coverslip.exporting.images import ImageList
from coverslip.exporting.module import ExportModule
from coverslip.inference.predictor import Predictor
from coverslip.tasks.classification import require_classification

MAX_GREY_DIFFERENCE = 1  # grey levels, after the resize
MAX_NETWORK_DIFFERENCE = 1e-4  # in probability, given the same resized image
MAX_PROBABILITY_DIFFERENCE = 0.01  # in probability, end to end from decoded pixels
MIN_SAME_LABELS = 0.995  # fraction of images with the same predicted class


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Differences between the outputs of a file and of the model, over a set of images.

    Attributes:
        images: number of images.
        about: origin of the images.
        grey: largest difference after the resize, in grey levels of the image's depth.
        grey_share: fraction of the resized samples that differ at all.
        network: largest difference in probability from PyTorch, given the same resized image.
        probability: largest difference in probability from the model, starting from decoded pixels.
        same: fraction of the images with the same predicted class.
        same_sets: fraction with the same prediction set; None without prediction sets.
        same_familiar: fraction with the same familiarity flag; None without a familiarity model.
        reduced: number of JPEG files that are so large that Coverslip itself decodes them at reduced scale.
        reduced_probability: largest difference in probability that the reduced scale alone causes.
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

    def sentences(self, *, quantized: bool = False) -> list[str]:
        """Return the results as sentences.

        Args:
            quantized: omit the limits that do not apply to a quantized file (all but that of the resize).
        """
        limits = [
            f" (limit {MAX_NETWORK_DIFFERENCE})",
            f" (limit {MAX_PROBABILITY_DIFFERENCE})",
            f" (limit {MIN_SAME_LABELS:.1%})",
        ]
        network, probability, same = [""] * 3 if quantized else limits
        lines = [
            f"checked on {self.images:,} images ({self.about})",
            f"resize: largest difference {self.grey} grey levels (limit {MAX_GREY_DIFFERENCE}), "
            f"{self.grey_share:.4%} of the samples differ",
            f"network: largest difference in probability {self.network:.1e}{network}",
            f"from decoded pixels: largest difference in probability {self.probability:.5f}{probability}, "
            f"same predicted class {self.same:.1%}{same}",
        ]
        flags = [("same prediction set", self.same_sets), ("same familiarity", self.same_familiar)]
        shares = [f"{name} {share:.1%}" for name, share in flags if share is not None]
        lines += [", ".join(shares)] if shares else []
        if self.reduced:
            lines.append(
                f"outside the file: {self.reduced:,} of these images are large JPEGs that coverslip itself decodes at "
                f"reduced scale; this changes a probability by at most {self.reduced_probability:.4f}"
            )
        return lines

    def require(self, *, quantized: bool = False) -> None:
        """Check the limits.

        Args:
            quantized: check the resize only.

        Raises:
            UserError: a limit is exceeded.
        """
        wrong = [f"{self.grey} grey levels after the resize"] if self.grey > MAX_GREY_DIFFERENCE else []
        if not quantized:
            # written with "not <=", so that NaN exceeds the limit
            if not self.network <= MAX_NETWORK_DIFFERENCE:
                wrong.append(f"{self.network:.1e} in the network")
            if not self.probability <= MAX_PROBABILITY_DIFFERENCE:
                wrong.append(f"{self.probability:.4f} in probability")
            if self.same < MIN_SAME_LABELS:
                wrong.append(f"only {self.same:.1%} with the same predicted class")
        if wrong:
            raise UserError(
                f"the outputs of the exported file differ from the model's: {', '.join(wrong)} over {self.images:,} "
                "images; the file was not kept",
                "try another --format, and report this problem with the name of the network",
            )


@dataclass(frozen=True, slots=True)
class PairedOutputs:
    """Outputs of the file and of the model for the same images.

    Attributes:
        parity: summary of the differences.
        numbers: indices of the N images that could be read.
        file: class probabilities of the file, shape (N, K).
        model: class probabilities of the model, shape (N, K).
        file_labels: class ids predicted by the file, shape (N,).
        model_labels: class ids predicted by the model, shape (N,).
    """

    parity: Parity
    numbers: list[int]
    file: npt.NDArray[np.float64]
    model: npt.NDArray[np.float64]
    file_labels: npt.NDArray[np.int64]
    model_labels: npt.NDArray[np.int64]


def compare_outputs(
    opened: ExportedModel, module: ExportModule, predictor: Predictor, images: ImageList, progress: Progress = SILENT
) -> PairedOutputs:
    """Run the file and the model on every readable image, one at a time, and compare their outputs.

    Args:
        opened: the exported file.
        module: the module that was exported, for comparing the network alone.
        predictor: the model.
        images: images to run on.
        progress: receives one event per image.

    Raises:
        UserError: none of the images can be read.
    """
    spec = predictor.spec
    numbers: list[int] = []
    grey, samples, differing, network = 0, 0, 0, 0.0
    same: dict[str, list[bool]] = {"label": [], "set": [], "familiar": []}
    file_rows: list[npt.NDArray[np.float64]] = []
    model_rows: list[npt.NDArray[np.float64]] = []
    labels: list[tuple[int, int]] = []
    reduced: list[float] = []
    with progress.stage("checking the file", len(images)) as stage:
        for number, image in images.decoded(spec):
            actual = opened(image.pixels[None])
            resized = fit_batch(image.pixels[None], spec.size, spec.fit)
            expected = model_outputs(predictor, resized)
            distance = np.abs(actual["seen"].astype(np.int64) - resized.astype(np.int64))
            grey, samples = max(grey, int(distance.max())), samples + distance.size
            differing += int((distance > 0).sum())
            network_alone = network_probabilities(module, actual["seen"])
            # np.maximum propagates NaN, which must count as a difference; max() may drop it.
            network = float(np.maximum(network, np.abs(network_alone - actual["probabilities"]).max()))
            for name, agreements in same.items():
                if name in actual and name in expected:
                    agreements.append(bool(np.array_equal(actual[name], expected[name])))
            numbers.append(number)
            file_rows.append(actual["probabilities"].astype(np.float64))
            model_rows.append(expected["probabilities"])
            labels.append((int(actual["label"][0]), int(expected["label"][0])))
            if image.reduced is not None:
                small = model_outputs(predictor, fit_batch(image.reduced[None], spec.size, spec.fit))
                reduced.append(float(np.abs(small["probabilities"] - expected["probabilities"]).max()))
            stage.advance()
    if not numbers:
        raise UserError(
            f"none of the {len(images):,} images can be read, so the file cannot be checked",
            "give other images with --images FOLDER",
        )
    file, model = np.concatenate(file_rows), np.concatenate(model_rows)
    unread = len(images) - len(numbers)
    parity = Parity(
        images=len(numbers),
        about=f"{images.about}; {unread:,} more cannot be read" if unread else images.about,
        grey=grey,
        grey_share=differing / samples,
        network=network,
        probability=float(np.abs(file - model).max()),
        same=_share(same["label"]) or 0.0,
        same_sets=_share(same["set"]),
        same_familiar=_share(same["familiar"]),
        reduced=len(reduced),
        reduced_probability=max(reduced, default=0.0),
    )
    file_labels, model_labels = np.array(labels, np.int64).T
    return PairedOutputs(parity, numbers, file, model, file_labels, model_labels)


def model_outputs(predictor: Predictor, resized: Pixels) -> Outputs:
    """Return the model's outputs for resized images (N, H, W, C), under the names of the file's outputs."""
    engine = predictor.extractor.engine
    starts = range(0, len(resized), engine.batch)
    batches = [predictor.spec.prepare(resized[start : start + engine.batch]) for start in starts]
    features = np.concatenate(list(engine.run(batches))).astype(np.float16)  # the type in which they are cached
    prediction = require_classification(predictor.task, "export").predict(predictor.outputs(features))
    outputs: dict[str, npt.NDArray[Any]] = {"probabilities": prediction.probabilities, "label": prediction.predicted}
    if prediction.members is not None:
        outputs["set"] = prediction.members
    if predictor.trust.familiarity is not None:
        score, limit = predictor.trust.familiarity.score(features), predictor.trust.familiarity.threshold
        outputs |= {"unfamiliarity": score / limit, "familiar": score <= limit}
    return outputs


def network_probabilities(module: ExportModule, resized: Pixels) -> npt.NDArray[np.float32]:
    """Return PyTorch's class probabilities (N, K) for resized images (N, H, W, C)."""
    planes = torch.from_numpy(resized.astype(np.float32)).permute(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    with torch.inference_mode():
        logits = module.network(module.preparation.scale(planes))
        probabilities: npt.NDArray[np.float32] = logits.softmax(1).numpy()
    return probabilities


def _share(agreements: Sequence[bool]) -> float | None:
    return float(np.mean(agreements)) if agreements else None
