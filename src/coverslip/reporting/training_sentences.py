"""Sentences for the methods section on how the model was trained, in the past tense, from the run's files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from coverslip.evidence.intervals import Score
from coverslip.evidence.selection_bias import selection_sentence
from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.wording import count_text, listed

NOT_STATED = "[How the model was trained.]"
VIEWS = {2: " (original and mirrored)"}  # a single view needs no mention
MIXING = frozenset({"mixup", "cutmix"})  # combine several images of a batch, or their features from frozen layers
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
SCHEDULES = {"constant": "a constant learning rate of {}", "cosine": "a learning rate of {} with cosine decay"}
AUGMENTATIONS = {  # key in section [augment] of experiment.toml -> its description, with the value in it
    "flip": "horizontal flips",
    "flip_vertical": "vertical flips",
    "turns": "rotations by multiples of 90°",
    "rotate": "rotations by up to {:g}°",
    "shift": "translations by up to {:g} of the image side",
    "scale": "scaling by a factor of up to 1 + {:g}",
    "shear": "shear by up to {:g}°",
    "crop": "random crops of at least {:g} of the area",
    "brightness": "brightness changes by a factor of up to 1 + {:g}",
    "contrast": "contrast changes by a factor of up to 1 + {:g}",
    "saturation": "saturation changes by a factor of up to 1 + {:g}",
    "hue": "hue shifts by up to {:g} of the color circle",
    "gamma": "gamma correction with an exponent of up to 1 + {:g}",
    "blur": "Gaussian blur with a standard deviation of up to {:g} pixels",
    "noise": "Gaussian noise with a standard deviation of up to {:g}",
    "jpeg": "JPEG compression with a quality of at least {:g}",
    "stain": "stain variation by up to {:g}",
    "cutout": "cutout of squares of {:g} of the image side",
    "mixup": "mixup (alpha {:g})",
    "cutmix": "CutMix (alpha {:g})",
    "paste": "copy-paste of objects into a fraction {:g} of images",
}


def depth_of(files: RunFiles) -> str:
    """Return which layers were trained: head, tail, all, or the name of a stage; "" if no file says so.

    A head trained by the training loop, not by the exact solver, is reported like any other stage: ``classifier``.
    """
    depth = str(model_facts(files).get("depth") or settings_of(files, "model").get("depth") or "")
    if depth in ("head", "classifier") and settings_of(files, "head").get("solver") == "loop":
        return "classifier"
    return "head" if depth == "classifier" else depth


def training_sentence(files: RunFiles) -> str:
    """Describe how the model was trained, and how its hyperparameters were selected."""
    training = settings_of(files, "training")
    if not files.trained_here or not (training or settings_of(files, "head")):
        return ""
    depth = depth_of(files)
    if depth == "head":
        return _head_sentence(files)
    if not depth or not training:
        return NOT_STATED
    sentences = [
        _optimization_sentence(files, depth),
        _loss_sentence(training),
        _augmentation_sentence(files),
        roles_sentence(files),
        stopping_sentence(files),
        _temperature_sentence(files),
        tuned_sentence(files),
        _seed_sentence(files),
    ]
    return " ".join(filter(None, sentences))


def tuned_sentence(files: RunFiles) -> str:
    """Compare the test accuracy with the accuracy that a hyperparameter search predicted; "" without a search."""
    tuned, score = settings_of(files, "tuned"), (files.test.get("scores") or {}).get("accuracy")
    names = ("accuracy", "expected", "low", "high")
    if not score or not all(isinstance(tuned.get(name), int | float) for name in names):
        return ""
    validation, expected, low, high = (float(tuned[name]) for name in names)
    trials = int(tuned.get("trials") or 0)
    result = selection_sentence(validation, expected, low, high, trials, cast(Score, score))
    return f"Hyperparameters were selected in a search by validation accuracy and log loss: {result}."


def augmentation_text(files: RunFiles, names: Collection[str] = tuple(AUGMENTATIONS)) -> str:
    """List the augmentations in use, with their magnitudes; of ``names`` only."""
    active = []
    for name, value in settings_of(files, "augment").items():
        off = 1 if name == "crop" else 0  # crop is the smallest fraction of the area that is kept
        if name in names and isinstance(value, bool | int | float) and value != off:
            active.append(AUGMENTATIONS[name].format(value))
    return listed(active)


def roles_sentence(files: RunFiles) -> str:
    """Describe the selection half and the calibration half of the validation set; "" if it was not divided."""
    roles = model_facts(files).get("validation_roles")
    selection, calibration = (_role(files, roles, name) for name in ("choose", "calibrate"))
    if not selection or not calibration:
        return ""
    how = "by group" if files.grouped else "at random"
    return (
        f"The validation set was divided {how}: {selection} were used to select the epoch and the temperature, and "
        f"{calibration} to calibrate the prediction sets and the familiarity threshold."
    )


def selection_images(files: RunFiles) -> str:
    """Name the validation images that selected the epoch and the temperature: one half, or all."""
    return "the selection half of the validation set" if roles_sentence(files) else "the validation set"


def stopping_sentence(files: RunFiles) -> str:
    """Describe early stopping, and which epoch's weights were kept."""
    model, training = model_facts(files), settings_of(files, "training")
    epochs, best, planned = model.get("epochs"), model.get("best_epoch"), training.get("epochs")
    if not isinstance(epochs, int):
        return ""
    keep_best = bool(training.get("keep_best", True)) and selects_on_validation(files)
    patience = training.get("patience") or 0
    metric = "accuracy" if "accuracy" in str(training.get("monitor")) else "loss"
    best_metric = "highest" if metric == "accuracy" else "lowest"
    images, text = selection_images(files), ""
    if patience and isinstance(planned, int) and epochs < planned:
        text = f"Training was stopped early, after {epochs} of {planned} epochs, because the {metric} on {images} "
        text += f"had not improved for {count_text(patience, 'epoch')}. "
    elif patience:
        text = f"Early stopping monitored the {metric} on {images} (patience {count_text(patience, 'epoch')}). "
    if not keep_best:
        return f"{text}The weights of the last epoch ({epochs}) were used."
    if not isinstance(best, int):
        return text.strip()
    return f"{text}The weights of epoch {best}, with the {best_metric} {metric} on {images}, were used."


def selects_on_validation(files: RunFiles) -> bool:
    """Whether validation images selected the epoch and the temperature."""
    roles = model_facts(files).get("validation_roles")
    if isinstance(roles, dict):
        return bool(_role(files, roles, "choose"))
    losses = (files.history or {}).get("validation_loss") or []
    return any(value is not None for value in losses)


def _head_sentence(files: RunFiles) -> str:
    model, head = model_facts(files), settings_of(files, "head")
    values = files.task == "regression"
    views = int(settings_of(files, "model").get("views") or 1)
    penalties, folds = head.get("l2_values"), head.get("folds")
    of_views = VIEWS.get(views, f" in {views} views (flips and quarter turns)") if views > 1 else ""
    fitted = WORDS[files.task].head
    if values:
        on = f" of the {model['scale']} of the target" if model.get("scale") else ""
        fitted += on
    text = f"{fitted} was fitted to the features of the {_images(files)}{of_views}."
    if values and isinstance(folds, int):
        selected = f" (selected: {model['l2']:g})" if isinstance(model.get("l2"), int | float) else ""
        text += (
            f" The penalty was selected by the squared error on held-out {'groups' if files.grouped else 'images'} in "
            f"{folds}-fold cross-validation within the training set{selected}. A second ridge regression, of the "
            "logarithm of the out-of-fold residuals, estimates the size of the error of each image."
        )
    elif isinstance(penalties, list) and penalties and isinstance(folds, int):
        held_out = "groups" if files.grouped else "images"
        selected = f" (selected: {model['l2']:g})" if isinstance(model.get("l2"), int | float) else ""
        text += (
            f" The penalty was selected from {len(penalties)} values between {min(penalties):g} and "
            f"{max(penalties):g} by the log loss on held-out {held_out} in {folds}-fold cross-validation within the "
            f"training set{selected}."
        )
    if isinstance(model.get("temperature"), int | float):
        text += f" Logits were divided by a temperature of {model['temperature']:.3f}, fitted to held-out predictions."
    text = f"{text} {WORDS[files.task].link}".rstrip()
    return f"{text} {_seed_sentence(files)}".rstrip()


def _optimization_sentence(files: RunFiles, depth: str) -> str:
    """Describe which layers were trained, on which images, for how long and by which optimizer."""
    model, training = model_facts(files), settings_of(files, "training")
    stage = str(model.get("stage") or (depth if depth not in ("tail", "all") else ""))
    what = "All layers of the network were trained"
    if depth == "tail" or (depth != "all" and stage):
        frozen = f"The layers before stage {stage!r}" if stage else "The first layers of the network"
        what = f"{frozen} were frozen, and all later layers were trained"
    epochs, batch = model.get("epochs") or training.get("epochs"), training.get("batch_size")
    duration = f" for {count_text(epochs, 'epoch')}" if isinstance(epochs, int) else ""
    optimizer = str(training.get("optimizer") or "")
    by = f" with {OPTIMIZERS.get(optimizer, optimizer)}" if optimizer else ""
    if optimizer == "sgd" and training.get("momentum"):
        by += f" ({'Nesterov ' if training.get('nesterov') else ''}momentum {training['momentum']:g})"
    details = [_lr_text(training)]
    if isinstance(batch, int):
        details.append(f"a batch size of {batch}" if batch else "full-batch updates")
    if (training.get("accumulate") or 1) > 1:
        details.append(f"gradients accumulated over {training['accumulate']} batches")
    details += [f"weight decay {training['weight_decay']:g}"] if training.get("weight_decay") else []
    details += [f"an L2 penalty of {training['l2']:g}"] if training.get("l2") else []
    details += [f"gradients clipped to a norm of {training['clip']:g}"] if training.get("clip") else []
    details += (
        [f"an exponential moving average of the weights (decay {training['ema']:g})"] if training.get("ema") else []
    )
    details += ["bfloat16 arithmetic"] if training.get("precision") == "bfloat16" else []
    details = [detail for detail in details if detail]
    folded = settings_of(files, "model").get("fold") is True and model and not model.get("from_scratch")
    fold = " Batch normalization was folded into the preceding convolutions, except depthwise ones." if folded else ""
    settings = f", using {listed(details)}" if details else ""
    return f"{what} on the {_images(files)}{duration}{by}{settings}.{fold}"


def _lr_text(training: Mapping[str, Any]) -> str:
    if not training.get("lr"):
        return ""
    lr, schedule, warmup = f"{training['lr']:g}", str(training.get("schedule") or ""), training.get("warmup") or 0.0
    if schedule == "one-cycle":
        return f"a one-cycle learning rate schedule (maximum {lr}, reached after {100 * warmup:.0f} % of the steps)"
    text = SCHEDULES.get(schedule, "a learning rate of {}").format(lr)
    return text + (f" after a warm-up over {100 * warmup:.0f} % of the steps" if warmup else "")


def _loss_sentence(training: Mapping[str, Any]) -> str:
    loss = str(training.get("loss") or "")
    if not loss:
        return ""
    text = f"The loss was {loss}"
    text += f" (gamma {training['gamma']:g})" if loss == "focal" and training.get("gamma") is not None else ""
    text += f" with label smoothing of {training['label_smoothing']:g}" if training.get("label_smoothing") else ""
    balance = training.get("balance")
    if training.get("class_weights"):
        text += f", with class weights {', '.join(f'{weight:g}' for weight in training['class_weights'])}"
    elif balance == "weights":
        text += ", with classes weighted by their inverse frequency"
    elif balance == "sampling":
        text += "; classes were sampled with equal probability"
    return f"{text}."


def _augmentation_sentence(files: RunFiles) -> str:
    """Describe augmentation: in each epoch, or once per view if frozen layers are computed only once."""
    single, mixed = augmentation_text(files, set(AUGMENTATIONS) - MIXING), augmentation_text(files, MIXING)
    views, sentences = settings_of(files, "model").get("views"), []
    if depth_of(files) == "all":
        text = augmentation_text(files)
        return f"Training images were augmented at random in each epoch: {text}." if text else ""
    if isinstance(views, int) and views > 1:
        others = "its mirror image" if views == 2 else f"{views - 1} flipped and rotated versions"
        others = f"{views - 1} randomly augmented versions ({single})" if single else others
        sentences.append(
            f"In each epoch, each training image was shown in one of {views} fixed views: itself or {others}."
        )
    sentences += [f"The features of the frozen layers were combined by {mixed}."] if mixed else []
    return " ".join(sentences)


def _role(files: RunFiles, roles: Any, name: str) -> str:
    role = roles.get(name) if isinstance(roles, dict) else None
    if not isinstance(role, dict) or not role.get("images"):
        return ""
    groups = f" from {count_text(role['groups'], 'group')}" if files.grouped and role.get("groups") else ""
    return count_text(role["images"], "image") + groups


def _temperature_sentence(files: RunFiles) -> str:
    temperature = model_facts(files).get("temperature")
    if not isinstance(temperature, int | float) or not selects_on_validation(files):
        return ""
    return f"Logits were divided by a temperature of {temperature:.3f}, fitted to {selection_images(files)}."


def _seed_sentence(files: RunFiles) -> str:
    seed = settings_of(files, "training").get("seed")
    return f"The random seed was {seed}." if isinstance(seed, int) else ""


def _images(files: RunFiles) -> str:
    refit = settings_of(files, "split").get("refit")
    return "training and validation images" if refit else "training images"
