"""The recipe of `explain`: a run's folder and images in, everything that can be seen of them out."""

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
from coverslip.core.runs import Explained, Run
from coverslip.explaining.explanation import Explanation
from coverslip.explaining.images import explain_images
from coverslip.explaining.learned import draw_filters, draw_ideal
from coverslip.explaining.methods import Method, choose_method
from coverslip.explaining.review import review_test
from coverslip.explaining.review_figures import draw_review
from coverslip.explaining.subjects import load_images, load_test
from coverslip.inference.foreign import is_foreign
from coverslip.inference.model_files import load_predictor
from coverslip.inference.predictor import Predictor
from coverslip.inference.whole import whole_network


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
    """Where the model of a run looks, what it has learned, and whether the maps can be trusted.

    Args:
        run: with a trained model.
        paths: images and folders of images; at most 64 in all.
        classes: rows that the grids shall have, besides the true and the predicted class.
        method: see `coverslip.explaining.methods.method_names`; "" for what suits the network.
        layer: the only stage or module to draw; "" for every stage.
        ideal: draw what each class looks like to the network.
        filters: a stage or module whose filters are drawn.
        test: look through the whole test set.
        trust: test the maps; this takes most of the time.
        masks: folder with a mask an image.
        progress: told of the stages.

    Raises:
        UserError: there is nothing to explain; no such class, method or layer (the nearest is named); a method that
            does not suit the network; images that cannot be read.
    """
    if not paths and not (ideal or filters or test):
        raise UserError("there is nothing to explain", "name images, or add --test, --ideal or --filters LAYER")
    predictor = load_predictor(run)
    names = predictor.task.classes
    for name in classes:
        if name not in names:
            raise UserError(f"the model knows no class {name!r}", nearest(name, names))
    device = pick_device()
    network = whole_network(predictor).to(device).to(memory_format=torch.channels_last)
    foreign = is_foreign(network)
    if foreign:
        _need_looks(ideal, filters, test)
        trust = False  # its tests put the weights in random order
    chosen = Method("")
    if paths or test:
        chosen = choose_method(network, (predictor.spec.channels, *predictor.spec.size), method, layer)
    images = load_images(predictor, run, paths, masks, progress) if paths else None
    tested = load_test(predictor, run, masks, progress) if test else None
    explanation = Explanation(
        run=run.folder.resolve().name,
        network=predictor.design.network,
        classes=names,
        method=chosen.name,
        layer=chosen.columns[-1] if chosen.taps else "",
    )
    notes = [*predictor.notes, *([chosen.note] if chosen.note else []), *(images.notes if images else ())]
    probes = border_probes(run)
    asked = [names.index(name) for name in classes]
    if images is not None:
        found, together = explain_images(
            predictor,
            network,
            images,
            chosen,
            asked=asked,
            trust=trust,
            probes=probes,
            device=device,
            progress=progress,
        )
        explanation = replace(explanation, images=found, trust=together)
    drawings = []
    if ideal:
        drawings += draw_ideal(predictor, network, progress)
    if filters:
        real = tested or _test_if_there(predictor, run, progress)
        drawings += draw_filters(predictor, network, filters, images, real, device, progress)
    if tested is not None:
        notes += tested.notes
        review = review_test(
            predictor,
            network,
            tested,
            chosen,
            trust=trust,
            probes=probes,
            cluster_names=read_cluster_names(Explained(run.explained_test_folder)),
            device=device,
            progress=progress,
        )
        drawings += draw_review(names, review, chosen)
        explanation = replace(explanation, review=review)
    return replace(explanation, drawings=drawings, notes=tuple(notes))


def _need_looks(ideal: bool, filters: str, test: bool) -> None:
    """An ONNX file is explained from outside, image by image.

    Raises:
        UserError: something else is wanted.
    """
    if ideal or filters:
        raise UserError(
            f"an ONNX file cannot be looked into, so {'--ideal' if ideal else '--filters'} cannot be drawn",
            "name images: they are explained by occlusion",
        )
    if test:
        raise UserError("an ONNX file has no test set of its own", "name images: they are explained by occlusion")


def border_probes(run: Run) -> list[Mapping[str, Any]]:
    """What the run's audit found of shortcuts; nothing where they were not looked for."""
    if not run.audit_file.is_file():
        return []
    found = run.read_json(run.audit_file).get("shortcuts")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def read_cluster_names(folder: Explained) -> dict[str, str]:
    """Path of an image -> the name that a person gave to its cluster of mistakes, from ``clusters.csv``."""
    if not folder.clusters_file.is_file():
        return {}
    try:
        with folder.clusters_file.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{str(folder.clusters_file)!r} cannot be read: {error}", "save it as CSV in UTF-8, or take it away"
        ) from error
    return {row["image"]: row["name"].strip() for row in rows if row.get("image") and (row.get("name") or "").strip()}


def _test_if_there(predictor: Predictor, run: Run, progress: Progress) -> Any:
    """Test images to look through, where they are still there."""
    try:
        return load_test(predictor, run, None, progress)
    except UserError:
        return None
