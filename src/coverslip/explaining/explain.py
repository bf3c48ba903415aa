"""Main function of `explain`: explain predictions and learned features of the model of a run."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from coverslip.core.devices import pick_device
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.registry import nearest
from coverslip.core.runs import ExplanationFolder, Run
from coverslip.explaining.explanation import Explanation
from coverslip.explaining.image_set import load_images, load_test_set
from coverslip.explaining.images import explain_images
from coverslip.explaining.learned import draw_filters, draw_ideal
from coverslip.explaining.methods import Method, choose_method
from coverslip.explaining.review import review_test
from coverslip.explaining.review_figures import draw_review
from coverslip.inference.full_network import full_network
from coverslip.inference.model_files import load_predictor
from coverslip.inference.onnx_model import is_onnx
from coverslip.inference.predictor import Predictor
from coverslip.tasks.classification import require_classification


def explain_run(
    run: Run,
    paths: Sequence[str | Path] = (),
    *,
    classes: Sequence[str] = (),
    method: str = "",
    layer: str = "",
    ideal: bool = False,
    filters: str = "",
    test: bool = False,
    trust: bool = True,
    masks: Path | None = None,
    progress: Progress = SILENT,
) -> Explanation:
    """Explain the model of a run: heat maps of images, learned features, and sanity checks of the maps.

    Args:
        run: run with a trained model.
        paths: images and folders of images; at most 64 images in total.
        classes: class names to show in addition to the true and the predicted class.
        method: a name in `coverslip.explaining.methods.method_names`; "" for the default of the network.
        layer: the only stage or module to draw; "" for all stages.
        ideal: draw an ideal image of each class.
        filters: stage or module whose filters are drawn; "" for none.
        test: review the whole test set.
        trust: run the sanity checks of the maps; they take most of the time.
        masks: folder with one mask per image; None to use the masks listed in the table of the run.
        progress: receives the stages.

    Raises:
        UserError: there is nothing to explain, there is no such class, method or layer, the network does not support
            the method, or images cannot be read.
    """
    if not paths and not (ideal or filters or test):
        raise UserError("there is nothing to explain", "give images, or use --test, --ideal or --filters LAYER")
    predictor = load_predictor(run)
    names = require_classification(predictor.task, "explain").classes
    for name in classes:
        if name not in names:
            raise UserError(f"the model has no class {name!r}", nearest(name, names))
    device = pick_device()
    network = full_network(predictor).to(device).to(memory_format=torch.channels_last)
    if is_onnx(network):
        _check_onnx_options(ideal, filters, test)
        trust = False  # the randomization test needs access to the weights
    chosen_method = Method("")
    if paths or test:
        chosen_method = choose_method(network, (predictor.spec.channels, *predictor.spec.size), method, layer)
    images = load_images(predictor, run, paths, masks, progress) if paths else None
    test_set = load_test_set(predictor, run, masks, progress) if test else None
    explanation = Explanation(
        run=run.folder.resolve().name,
        network=predictor.design.network,
        classes=names,
        method=chosen_method.name,
        layer=chosen_method.columns[-1] if chosen_method.taps else "",
    )
    notes = [*predictor.notes, *([chosen_method.note] if chosen_method.note else []), *(images.notes if images else ())]
    probes = border_probes(run)
    requested = [names.index(name) for name in classes]
    if images is not None:
        explained, checks = explain_images(
            predictor,
            network,
            images,
            chosen_method,
            requested=requested,
            trust=trust,
            probes=probes,
            device=device,
            progress=progress,
        )
        explanation = replace(explanation, images=explained, trust=checks)
    drawings = []
    if ideal:
        drawings += draw_ideal(predictor, network, progress)
    if filters:
        real = test_set or _existing_test_set(predictor, run, progress)
        drawings += draw_filters(predictor, network, filters, images, real, device, progress)
    if test_set is not None:
        notes += test_set.notes
        review = review_test(
            predictor,
            network,
            test_set,
            chosen_method,
            trust=trust,
            probes=probes,
            cluster_names=read_cluster_names(ExplanationFolder(run.explained_test_folder)),
            device=device,
            progress=progress,
        )
        drawings += draw_review(names, review, chosen_method)
        explanation = replace(explanation, review=review)
    return replace(explanation, drawings=drawings, notes=tuple(notes))


def _check_onnx_options(ideal: bool, filters: str, test: bool) -> None:
    """Raise an error for options that an ONNX file does not support: only single images can be explained.

    Raises:
        UserError: an option needs access to the layers, or a test set.
    """
    if ideal or filters:
        raise UserError(
            f"{'--ideal' if ideal else '--filters'} needs access to the layers, which an ONNX file does not give",
            "give images; they are explained by occlusion",
        )
    if test:
        raise UserError(
            "--test needs a run with a test set, but this is an ONNX file",
            "give images; they are explained by occlusion",
        )


def border_probes(run: Run) -> list[Mapping[str, Any]]:
    """Return the shortcut probes of the run's audit; empty if they were not run."""
    if not run.audit_file.is_file():
        return []
    probes = run.read_json(run.audit_file).get("shortcuts")
    return [probe for probe in probes if isinstance(probe, dict)] if isinstance(probes, list) else []


def read_cluster_names(folder: ExplanationFolder) -> dict[str, str]:
    """Read the names that the user gave to clusters of mistakes in ``clusters.csv``.

    Returns:
        Path of an image -> name of its cluster; empty if the file does not exist.

    Raises:
        UserError: the file cannot be read.
    """
    if not folder.clusters_file.is_file():
        return {}
    try:
        with folder.clusters_file.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{str(folder.clusters_file)!r} cannot be read: {error}", "save it as CSV in UTF-8, or delete it"
        ) from error
    return {row["image"]: row["name"].strip() for row in rows if row.get("image") and (row.get("name") or "").strip()}


def _existing_test_set(predictor: Predictor, run: Run, progress: Progress) -> Any:
    """Return the test set, or None if its images no longer exist."""
    try:
        return load_test_set(predictor, run, None, progress)
    except UserError:
        return None
