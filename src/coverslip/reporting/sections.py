"""Training curves, settings, how to repeat the run, and limitations of the report."""

from __future__ import annotations

import shlex
from typing import Any

from coverslip.figures import history, svg_text, training_curves
from coverslip.reporting.command_paths import run_path
from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.training_sentences import (
    augmentation_text,
    depth_of,
    selects_on_validation,
    stopping_sentence,
    tuned_sentence,
)
from coverslip.reporting.wording import count_text, flat_rows

FEW = 20  # with fewer test images than this, the scores of a class are very uncertain


def training_section(files: RunFiles) -> dict[str, Any]:
    """Return the training curves."""
    columns = files.history
    if columns is None and not files.trained_here:
        return {"missing": "No training: an existing model was evaluated on these images."}
    if columns is None:
        return {"missing": "Not available: there is no history.csv in the run folder."}
    if not len(next(iter(columns.values()), [])):
        return {"missing": "Not available: history.csv is empty."}
    if files.task == "regression" and "epoch" not in columns:
        penalty = model_facts(files).get("l2")
        text = "A ridge regression has an exact solution, so there are no steps."
        chosen = f" The penalty {penalty:.3g} had the smallest cross-fitted error." if penalty else ""
        return {"missing": text + chosen}
    if "epoch" in columns and depth_of(files) != "head":
        return _by_epoch(files, columns)
    x = next((name for name in ("step", "epoch") if name in columns), "step")
    label = "Training curves: metrics on the training and validation images at each step"
    return {"svg": svg_text(training_curves(columns, x=x), "curves", label=label), "caption": f"Metrics at each {x}."}


def settings_section(files: RunFiles) -> dict[str, Any]:
    """Return all settings, the environment and the time of each stage as table rows."""
    experiment = None if files.experiment is None else {k: v for k, v in files.experiment.items() if k != "format"}
    if experiment is not None and not files.trained_here:  # the other settings are those of the model's own run
        experiment = {"data": experiment.get("data", {})}
    environment = dict(files.environment or {})
    seconds = environment.pop("seconds", None)
    timings = [(key, f"{value:,.1f}") for key, value in (seconds or {}).items() if isinstance(value, int | float)]
    return {
        "settings": None if experiment is None else flat_rows(experiment),
        "environment": None if files.environment is None else flat_rows(environment),
        "timings": timings,
    }


def repeat_section(files: RunFiles) -> dict[str, Any]:
    """Return the commands that repeat this run, repeat it with a change, and write this page again."""
    run, path = files.run, run_path(files)
    again = path.command("train", run.experiment_file.name)
    if not path.known:  # shown for the parent folder: run inside it, the new run would be nested in this one
        again = f"coverslip train {shlex.quote(f'{run.folder.resolve().name}/{run.experiment_file.name}')}"
    return {
        "trained_here": files.trained_here,
        "again": again if files.experiment is not None else "",
        "changed": f"{again} --set section.key=value",
        "known": path.known,
        "where": path.where,
        "page": path.command("report"),
        "explain": f"{path.command('explain')} --test",
    }


def limits_section(files: RunFiles) -> dict[str, Any]:
    """Return limitations of this report, as far as the files of the run show them."""
    test, audit, values = files.test, files.audit or {}, files.task == "regression"
    label = WORDS[files.task].answer
    limits = []
    if not files.trained_here:
        limits.append(
            "Overlap with the training data. If any of these images, or of the plants, patients or slides they show, "
            "was used to train the model, the scores are too optimistic."
        )
    elif not files.grouped:
        limits.append(
            "Leakage between images of the same plant, patient or slide. No groups were specified, so if there are "
            "several images of one subject, the scores are probably too optimistic."
        )
    if files.trained_here and "findings" not in audit and "near" not in (audit.get("duplicates") or {"near": 0}):
        limits.append(
            "Leakage by near-duplicates (resized, cropped or recompressed copies). Only exact duplicates were searched "
            "for."
        )
    if audit.get("shortcuts") is None:
        limits.append(
            f"Shortcuts, such as background, illumination or camera, from which the {label} can be predicted. "
            "No shortcut probes were run."
        )
    if values and not isinstance(test.get("intervals"), dict):
        limits.append("The error of a single prediction. The model has no prediction intervals.")
    if values and (ranges := _ranges(files)):
        limits.append(f"Values outside the range of the training set ({ranges}). No such value was learned.")
    if not values and not test.get("calibration") and "ece" not in (test.get("scores") or {}):
        limits.append("Calibration of the predicted probabilities. It was not measured.")
    if not test.get("familiarity"):
        limits.append("Detection of images that differ from the training images. It was not measured.")
    elif values:
        limits.append(
            "Familiar subjects that show something new, such as a new disease on leaves of a known plant. The "
            "familiarity flag detects other subjects and other kinds of images."
        )
    else:
        limits.append(
            "New classes on familiar subjects, such as a new disease on leaves of a known plant. The familiarity flag "
            "detects other subjects and other kinds of images, not new classes."
        )
    if files.trained_here:
        limits += _not_repeated(files)
        limits.append(
            "Performance on images from another camera, site or season. The test images are from the same source as "
            "the training images."
        )
    few = [name for name, scores in (test.get("classes") or {}).items() if (scores.get("images") or 0) < FEW]
    if few:
        names = ", ".join(few[:6]) + (f" and {len(few) - 6} more" if len(few) > 6 else "")
        classes = count_text(len(few), *WORDS[files.task].names)
        limits.append(f"Performance on {classes} with fewer than {FEW} test images, at useful precision: {names}.")
    return {"limits": limits}


def _ranges(files: RunFiles) -> str:
    """Return the range of each target in the training set, as model.json has it."""
    model = model_facts(files)
    ranges = zip(model.get("targets") or [], model.get("seen") or [], strict=False)
    return "; ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in ranges)


def _by_epoch(files: RunFiles, columns: dict[str, list[float | None]]) -> dict[str, Any]:
    """Return loss and accuracy of each epoch, with the selected epoch marked."""
    best, keep_best = model_facts(files).get("best_epoch"), settings_of(files, "training").get("keep_best", True)
    marked = best if isinstance(best, int) and keep_best and selects_on_validation(files) else None
    seconds = max([value for value in columns.get("seconds", []) if value is not None], default=0.0)  # cumulative
    text = f"Loss and accuracy over {count_text(len(columns['epoch']), 'epoch')}"
    text += f" ({seconds:,.0f} s in total). " if seconds else ". "
    text += "Training metrics are running means over the epoch, while the weights change"
    text += ", on augmented images" if augmentation_text(files) else ""
    if not any(value is not None for value in columns.get("train_accuracy", [])):
        text += "; there is no training accuracy, since mixed images have no single class"
    text += "."
    if any(value is not None for value in columns.get("validation_loss", [])):
        text += " Validation metrics are computed after each epoch on images without augmentation and can be better."
    svg = svg_text(history(columns, best=marked), "curves", label=f"Training curves. {text}")
    return {"svg": svg, "caption": " ".join(filter(None, [text, stopping_sentence(files), tuned_sentence(files)]))}


def _not_repeated(files: RunFiles) -> list[str]:
    """Return the source of variation that was not measured: other splits, or other training runs."""
    repeats = files.repeats or {}
    if not any((repeats.get(kind) or {}).get("scores") for kind in ("folds", "seeds")):
        return [
            "Variation between splits. This is a single run; the confidence intervals reflect the choice of test "
            "images, not the choice of training images."
        ]
    if depth_of(files) in ("head", ""):
        return []  # the fit of a head does not depend on a seed
    return [
        "Variation between training runs with different seeds. Folds and splits were repeated for the classifier only, "
        "on fixed features."
    ]
