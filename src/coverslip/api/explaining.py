"""Where a model looks, and whether that can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Explained, Run
from coverslip.core.storage import explain_full_disk
from coverslip.models.own import add_own
from coverslip.reporting.run_page import write_report

if TYPE_CHECKING:
    from coverslip.explaining.explanation import Explanation


def explain(
    folder: str | Path,
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
    """Where a trained model looks, what it has learned, and whether such an image can be trusted.

    Args:
        folder: the run.
        paths: images and folders of images, at most 64 in all: each gets a grid of stages by classes.
        out: a folder for figures (PNG), arrays (``.npz``), ``explain.json`` and ``explain.html``; must not exist.
            Without it nothing is written, and a notebook shows the figures.
        classes: rows of the grids besides the true and the predicted class.
        method: ``grad-cam``, ``grad-cam++``, ``layer-cam``, ``cam``, ``occlusion``, or one that needs the extra
            ``explain``; without it what suits the network.
        layer: the only stage or module to draw; without it every stage.
        ideal: also draw what each class looks like to the network.
        filters: a stage or module whose filters are drawn.
        test: look through the test set of the run: mean maps, mistakes, images that it looked away from.
        trust: test the maps; this takes most of the time.
        masks: a folder with a mask an image (of the image's name): 0 background, 1 subject, 2 lesion. Those that
            the run's table names in a column ``mask`` are found without it.
        network: where the run was trained with a network of your own, that network again.
        progress: told what happens.

    Returns:
        The explanation: ``figures``, ``heatmaps``, ``sentences``, and all that they are made of.

    Raises:
        UserError: nothing to explain; no such class, method or layer (the nearest is named), or one that does not suit
            the network; images that cannot be read.
    """
    from coverslip.explaining.explain import explain_run
    from coverslip.explaining.saving import save_explanation
    from coverslip.reporting.explain_page import write_explain_page

    if network is not None:
        add_own(network)
    run_folder = Run.open(folder)
    there = None if out is None else Explained(out)
    if there is not None and there.folder != run_folder.explained_test_folder:
        there = Explained.create(there.folder)
    found = explain_run(
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
    if there is not None:
        with explain_full_disk(there.folder):
            save_explanation(found, there)
            write_explain_page(there.folder)
            if there.folder == run_folder.explained_test_folder and run_folder.test_file.is_file():
                write_report(run_folder.folder)
    return found
