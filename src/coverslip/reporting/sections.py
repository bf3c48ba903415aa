"""How the run was made: training curves, settings, how to repeat it, and what nobody looked at."""

from __future__ import annotations

import shlex
from typing import Any

from coverslip.figures import history, svg_text, training_curves
from coverslip.reporting.places import place_of
from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.training_words import augment_text, chooses, depth_of, stopping_sentence, tuned_sentence
from coverslip.reporting.wording import count_text, flat_rows

FEW = 20  # below this many test images, a class's score says little


def training_section(files: RunFiles) -> dict[str, Any]:
    """What was measured while the model was trained."""
    columns = files.history
    if columns is None and not files.trained_here:
        return {"missing": "Nothing was trained here: an earlier model was tested on these images."}
    if columns is None:
        return {"missing": "There is no history.csv in the run folder."}
    if not len(next(iter(columns.values()), [])):
        return {"missing": "history.csv holds no row."}
    if "epoch" in columns and depth_of(files) != "head":
        return _by_epoch(files, columns)
    x = next((name for name in ("step", "epoch") if name in columns), "step")
    label = "Training curves: what was measured at each step, on the training and the validation images"
    says = f"What was measured at each {x}, on the part of the data that each line names."
    return {"svg": svg_text(training_curves(columns, x=x), "curves", label=label), "says": says}


def _by_epoch(files: RunFiles, columns: dict[str, list[float | None]]) -> dict[str, Any]:
    """Loss and accuracy of each epoch, with the best one marked where something chose it."""
    best, kept = model_facts(files).get("best_epoch"), settings_of(files, "training").get("keep_best", True)
    marked = best if isinstance(best, int) and kept and chooses(files) else None
    seconds = max([value for value in columns.get("seconds", []) if value is not None], default=0.0)  # since the start
    says = f"Loss and accuracy of {count_text(len(columns['epoch']), 'epoch')}"
    says += f", which took {seconds:,.0f} s in all. " if seconds else ". "
    says += "The training line is measured while the weights still change"
    says += ", on augmented images" if augment_text(files) else ""
    if not any(value is not None for value in columns.get("train_accuracy", [])):
        says += "; there is no training accuracy, since mixed images have no single class"
    if any(value is not None for value in columns.get("validation_loss", [])):
        says += "; the validation line after each epoch, on images as they are, so that it can be the better one"
    svg = svg_text(history(columns, best=marked), "curves", label=f"Training curves. {says}.")
    said = filter(None, [f"{says}.", stopping_sentence(files), tuned_sentence(files)])
    return {"svg": svg, "says": " ".join(said)}


def settings_section(files: RunFiles) -> dict[str, Any]:
    """Every setting, and what the run ran on, as rows of a table."""
    experiment = files.experiment
    if experiment is not None and not files.trained_here:  # the other settings are the model's own run's
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
    """The command that makes this run again, and the one that makes it with one thing changed."""
    run, place = files.run, place_of(files)
    again = place.command("train", run.experiment_file.name)
    if not place.known:  # beside the folder: called in it, the new run would become a part of this one
        again = f"coverslip train {shlex.quote(f'{run.folder.resolve().name}/{run.experiment_file.name}')}"
    return {
        "trained_here": files.trained_here,
        "again": again if files.experiment is not None else "",
        "changed": f"{again} --set section.key=value",
        "known": place.known,
        "where": place.where,
        "page": place.command("report"),
        "explain": f"{place.command('explain')} --test",
    }


def limits_section(files: RunFiles) -> dict[str, Any]:
    """What this page cannot tell, as far as the files of the run show it."""
    test, audit = files.test, files.audit or {}
    said = []
    if not files.trained_here:
        said.append(
            "Whether any of these images, or the plants, patients or slides they show, were also used to train the "
            "model. The number above is honest only if none was."
        )
    elif not files.grouped:
        said.append(
            "Whether images of one plant, patient or slide are in both the training and the test set. No groups "
            "were named, so if there are several images of one thing, the scores here are likely to be too high."
        )
    if files.trained_here and "findings" not in audit and "near" not in (audit.get("twins") or {"near": 0}):
        said.append(
            "Whether an image and its near copy (resized, cropped, saved again) are in two parts. Only exact copies "
            "were looked for."
        )
    if audit.get("shortcuts") is None:
        said.append(
            "Whether the label can be read off something else than the subject: the background, the light, the camera. "
            "No search for such shortcuts is part of this run."
        )
    if not test.get("calibration") and "ece" not in (test.get("scores") or {}):
        said.append("Whether a confidence of 0.9 is right nine times in ten. Calibration was not measured.")
    if not test.get("familiarity"):
        said.append("Whether a new image is like those the model learned from, so that its answer can be trusted.")
    else:
        said.append(
            "Whether a new image shows something that was never learned on a subject of a known kind, such as a new "
            "disease on a leaf of a known plant. Familiarity tells other plants and other kinds of image, not that."
        )
    if files.trained_here:
        said += _unrepeated(files.repeats or {})
    if files.trained_here:
        said.append(
            "How the model does on images from another camera, place or season. The test images come from the same "
            "source as the training images."
        )
    few = [name for name, scores in (test.get("classes") or {}).items() if (scores.get("images") or 0) < FEW]
    if few:
        names = ", ".join(few[:6]) + (f" and {len(few) - 6} more" if len(few) > 6 else "")
        has = "has" if len(few) == 1 else "have"
        said.append(
            f"Much about {count_text(len(few), 'class', 'classes')} that {has} fewer than {FEW} test images: {names}."
        )
    return {"said": said}


def _unrepeated(repeats: dict[str, Any]) -> list[str]:
    """What was not tried again: another split (folds), another seed."""
    folds, seeds = (bool((repeats.get(kind) or {}).get("scores")) for kind in ("folds", "seeds"))
    if folds:
        return [] if seeds else ["How much the numbers change with another seed alone. Only folds were repeated."]
    what = "another split" if seeds else "another split or another seed"
    rest = "Only the seed was changed" if seeds else "This is one run"
    return [
        f"How much the numbers change with {what}. {rest}; the intervals cover the choice of test images, not the "
        "choice of training images."
    ]
