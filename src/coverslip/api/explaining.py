"""Explain the predictions of a trained model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.core.forks import unforked
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import ExplanationFolder, Run
from coverslip.core.storage import explain_full_disk
from coverslip.models.user_network import register_user_network
from coverslip.reporting.run_page import write_report

if TYPE_CHECKING:
    from coverslip.explaining.explanation import Explanation


@unforked
def explain(
    folder: str | os.PathLike[str],
    paths: Sequence[str | Path] | str | Path = (),
    out: str | Path | None = None,
    *,
    classes: Sequence[str] | str = (),
    method: str = "",
    layer: str = "",
    ideal: bool = False,
    filters: str = "",
    test: bool = False,
    trust: bool = True,
    masks: str | Path | None = None,
    network: object | None = None,
    progress: Progress = SILENT,
) -> Explanation:
    """Explain predictions with heat maps, show what the network has learned, and check how reliable the maps are.

    Args:
        folder: a run folder, or an ONNX file.
        paths: images and folders of images, at most 64 in all; each gets a grid of stages by classes.
        out: folder for figures (PNG), arrays (``.npz``), ``explain.json`` and ``explain.html``; must not exist.
            None: nothing is written, and a notebook shows the figures.
        classes: classes in the grids, in addition to the true and the predicted class.
        method: ``grad-cam``, ``grad-cam++``, ``layer-cam``, ``cam``, ``occlusion``, or one that needs the extra
            ``explain``; empty: the default for the network.
        layer: stage or module to draw; empty: every stage.
        ideal: synthesize the image that maximizes each class.
        filters: stage or module whose filters are drawn.
        test: review the test set of the run: mean maps, mistakes, images whose maps miss the subject.
        trust: run sanity checks of the maps, which take most of the time.
        masks: folder with a mask per image (of the same name): 0 background, 1 subject, 2 lesion. Masks in a column
            ``mask`` of the run's table are found without it.
        network: the network, if the run was trained with a network of your own.
        progress: receives stages and notes.

    Returns:
        The explanation with its ``figures``, ``heatmaps`` and ``sentences``.

    Raises:
        UserError: there is nothing to explain; the class, method or layer does not exist or does not suit the network;
            or an image cannot be read.
    """
    from coverslip.explaining.explain import explain_run
    from coverslip.explaining.saving import save_explanation
    from coverslip.reporting.explain_page import write_explain_page

    if network is not None:
        register_user_network(network)
    run_folder = Run.open(folder)
    output = None if out is None else ExplanationFolder(out)
    if output is not None and output.folder != run_folder.explained_test_folder:
        output = ExplanationFolder.create(output.folder)
    explanation = explain_run(
        run_folder,
        [paths] if isinstance(paths, str | Path) else paths,
        classes=[classes] if isinstance(classes, str) else classes,
        method=method,
        layer=layer,
        ideal=ideal,
        filters=filters,
        test=test,
        trust=trust,
        masks=None if masks is None else expand(masks),
        progress=progress,
    )
    if output is not None:
        with explain_full_disk(output.folder):
            save_explanation(explanation, output)
            write_explain_page(output.folder)
            if output.folder == run_folder.explained_test_folder and run_folder.test_file.is_file():
                write_report(run_folder.folder)
    return explanation
