"""How the network was trained, as a methods section says it: by depth, every number from the run's files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from coverslip.evidence.intervals import Score
from coverslip.evidence.luck import luck_sentence
from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.wording import count_text

NOT_TOLD = "[How the network was trained.]"
VIEWS = {2: ", each as it is and mirrored"}  # one view needs no word
MIXING = frozenset({"mixup", "cutmix"})  # several images of a batch, or what frozen stages made of them
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
SCHEDULES = {"constant": "a constant learning rate of {}", "cosine": "a learning rate that fell from {} along a cosine"}
CHANGES = {  # strength in experiment.toml -> what was done, with the number in it
    "flip": "mirrored",
    "flip_vertical": "turned upside down",
    "turns": "turned by quarters",
    "rotate": "rotated by up to {:g} degrees",
    "shift": "shifted by up to {:g} of the side",
    "scale": "scaled by up to 1 + {:g}",
    "shear": "sheared by up to {:g} degrees",
    "crop": "cut to no less than {:g} of the area",
    "brightness": "brightness by up to 1 + {:g}",
    "contrast": "contrast by up to 1 + {:g}",
    "saturation": "saturation by up to 1 + {:g}",
    "hue": "hue by up to {:g} of the color circle",
    "gamma": "gamma by up to 1 + {:g}",
    "blur": "blurred by up to {:g} pixels",
    "noise": "noise of up to {:g}",
    "jpeg": "JPEG of a quality of {:g} or more",
    "stain": "stains by up to {:g}",
    "cutout": "squares of {:g} of the side painted over",
    "mixup": "mixup with alpha {:g}",
    "cutmix": "CutMix with alpha {:g}",
    "paste": "objects pasted into a share of {:g}",
}


def depth_of(files: RunFiles) -> str:
    """How much of the network was trained: head, tail, all, or the name of a stage; "" where nothing says it.

    A head that the loop trained is told as any other stage: ``classifier``.
    """
    depth = str(model_facts(files).get("depth") or settings_of(files, "model").get("depth") or "")
    if depth in ("head", "classifier") and settings_of(files, "training").get("solver") == "loop":
        return "classifier"
    return "head" if depth == "classifier" else depth  # the same thing, named by its stage


def training_sentence(files: RunFiles) -> str:
    """How what was trained was trained, and what chose its numbers."""
    if not files.trained_here or not (settings_of(files, "training") or settings_of(files, "training")):
        return ""
    depth = depth_of(files)
    if depth == "head":
        return _head_sentence(files)
    if not depth or not settings_of(files, "training"):
        return NOT_TOLD
    said = [
        _what_sentence(files, depth),
        _loss_sentence(settings_of(files, "training")),
        _augment_sentence(files),
        roles_sentence(files),
        stopping_sentence(files),
        _temperature_sentence(files),
        tuned_sentence(files),
        _seed_sentence(files),
    ]
    return " ".join(filter(None, said))


def tuned_sentence(files: RunFiles) -> str:
    """Where a study chose the settings: what it promised, what was to be expected, and what the test set says."""
    tuned, score = settings_of(files, "tuned"), (files.test.get("scores") or {}).get("accuracy")
    names = ("accuracy", "expected", "low", "high")
    if not score or not all(isinstance(tuned.get(name), int | float) for name in names):
        return ""
    validation, expected, low, high = (float(tuned[name]) for name in names)
    told = luck_sentence(validation, expected, low, high, int(tuned.get("trials") or 0), cast(Score, score))
    return f"The settings were chosen in a study, by accuracy and log loss on validation: {told}."


def _head_sentence(files: RunFiles) -> str:
    model, training = model_facts(files), settings_of(files, "training")
    views = int(settings_of(files, "model").get("views") or 1)
    strengths, folds = training.get("strengths"), training.get("folds")
    shown = VIEWS.get(views, f", each in {views} views, mirrored and turned") if views > 1 else ""
    text = f"A linear softmax classifier with an L2 penalty was fitted to the features of the {_images(files)}{shown}."
    if isinstance(strengths, list) and strengths and isinstance(folds, int):
        chosen = f"; {model['strength']:g} was chosen" if isinstance(model.get("strength"), int | float) else ""
        held = "groups" if files.grouped else "images"
        text += (
            f" The penalty was the one of {len(strengths)} ({min(strengths):g} to {max(strengths):g}) with the "
            f"smallest log loss on held-out {held} in {folds}-fold cross-fitting within the training set{chosen}."
        )
    if isinstance(model.get("temperature"), int | float):
        text += (
            f" Scores were divided by a temperature of {model['temperature']:.3f}, fitted to the same held-out scores."
        )
    return f"{text} {_seed_sentence(files)}".rstrip()


def _what_sentence(files: RunFiles, depth: str) -> str:
    """What of the network, on what, for how long and by which optimizer."""
    model, training = model_facts(files), settings_of(files, "training")
    stage = str(model.get("stage") or (depth if depth not in ("tail", "all") else ""))
    what = "The whole network was trained"
    if depth == "tail" or (depth != "all" and stage):
        frozen = f"stages before {stage!r}" if stage else "first stages"
        what = f"The network's {frozen} were frozen; the rest was trained"
    epochs, batch = model.get("epochs") or training.get("epochs"), training.get("batch_size")
    long = f" for {count_text(epochs, 'epoch')}" if isinstance(epochs, int) else ""
    optimizer = str(training.get("optimizer") or "")
    by = f" with {OPTIMIZERS.get(optimizer, optimizer)}" if optimizer else ""
    if optimizer == "sgd" and training.get("momentum"):
        by += f" ({'Nesterov ' if training.get('nesterov') else ''}momentum {training['momentum']:g})"
    details = [_rate_text(training)]
    if isinstance(batch, int):
        details.append(f"batches of {count_text(batch, 'image')}" if batch else "all images in one batch")
    if (training.get("accumulate") or 1) > 1:
        details.append(f"gradients of {training['accumulate']} batches added up")
    details += [f"weight decay {training['weight_decay']:g}"] if training.get("weight_decay") else []
    details += [f"an L2 penalty of {training['l2']:g}"] if training.get("l2") else []
    details += [f"gradients clipped to a norm of {training['clip']:g}"] if training.get("clip") else []
    details += [f"weights averaged over steps (decay {training['ema']:g})"] if training.get("ema") else []
    details += ["bfloat16 arithmetic"] if training.get("precision") == "bfloat16" else []
    details = [each for each in details if each]
    folded = settings_of(files, "model").get("fold") is True and model and not model.get("from_scratch")
    fold = (
        " Batch norm had been folded into the convolutions where that changes nothing, and depthwise convolutions were "
        "left as they were."
        if folded
        else ""
    )
    return f"{what} on the {_images(files)}{long}{by}{': ' + ', '.join(details) if details else ''}.{fold}"


def _rate_text(training: Mapping[str, Any]) -> str:
    if not training.get("lr"):
        return ""
    rate, schedule, warmup = f"{training['lr']:g}", str(training.get("schedule") or ""), training.get("warmup") or 0.0
    if schedule == "one-cycle":
        return f"a learning rate that rose to {rate} over {100 * warmup:.0f} % of the steps and then fell to near 0"
    text = SCHEDULES.get(schedule, "a learning rate of {}").format(rate)
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
        text += f", classes weighted by {', '.join(f'{each:g}' for each in training['class_weights'])}"
    elif balance == "weights":
        text += ", classes weighted against their frequency"
    elif balance == "sampling":
        text += "; every class was drawn equally often"
    return f"{text}."


def augment_text(files: RunFiles, names: Collection[str] = tuple(CHANGES)) -> str:
    """What was changed at random in training images, with its strength; of ``names`` only."""
    on = []
    for name, value in settings_of(files, "augment").items():
        off = 1 if name == "crop" else 0  # the least area that is kept
        if name in names and isinstance(value, bool | int | float) and value != off:
            on.append(CHANGES[name].format(value))
    return ", ".join(on)


def _augment_sentence(files: RunFiles) -> str:
    """Views that went through the frozen stages once, or changes in each epoch; and what mixed several images."""
    alone, mixed = augment_text(files, set(CHANGES) - MIXING), augment_text(files, MIXING)
    views, said = settings_of(files, "model").get("views"), []
    if depth_of(files) == "all":
        text = ", ".join(filter(None, [alone, mixed]))
        return f"Training images were changed at random in each epoch ({text})." if text else ""
    if isinstance(views, int) and views > 1:
        others = "its mirror image" if views == 2 else f"{views - 1} mirrored and turned ones"
        others = f"{views - 1} changed at random once ({alone})" if alone else others
        said.append(f"Each epoch took one of {views} fixed views of a training image, itself and {others}.")
    said += [f"What the frozen stages gave was mixed by {mixed}."] if mixed else []
    return " ".join(said)


def roles_sentence(files: RunFiles) -> str:
    """What the halves of validation were for."""
    roles = model_facts(files).get("validation_roles")
    chose, calibrated = (_role(files, roles, name) for name in ("choose", "calibrate"))
    if not chose or not calibrated:
        return ""
    how = "by whole groups" if files.grouped else "at random"
    return (
        f"Validation was cut in two {how}: {chose} chose the epoch and the temperature, {calibrated} "
        "calibrated the sets of classes and what is familiar."
    )


def _role(files: RunFiles, roles: Any, name: str) -> str:
    told = roles.get(name) if isinstance(roles, dict) else None
    if not isinstance(told, dict) or not told.get("images"):
        return ""
    groups = f" of {count_text(told['groups'], 'group')}" if files.grouped and told.get("groups") else ""
    return count_text(told["images"], "image") + groups


def choosing_part(files: RunFiles) -> str:
    """The images of validation that chose something, in words: half of them, or all."""
    return "the choosing half of validation" if roles_sentence(files) else "the validation images"


def stopping_sentence(files: RunFiles) -> str:
    """What ended the training, and which epoch's weights are the model."""
    model, training = model_facts(files), settings_of(files, "training")
    epochs, best, asked = model.get("epochs"), model.get("best_epoch"), training.get("epochs")
    if not isinstance(epochs, int):
        return ""
    kept, patience = bool(training.get("keep_best", True)) and chooses(files), training.get("patience") or 0
    what = "accuracy" if "accuracy" in str(training.get("monitor")) else "loss"
    better, most = ("higher", "highest") if what == "accuracy" else ("lower", "lowest")
    on, text = choosing_part(files), ""
    if patience and isinstance(asked, int) and epochs < asked:
        text = f"Of {asked} epochs {epochs} were run: the {what} on {on} had not become {better} "
        text += f"for {count_text(patience, 'epoch')}. "
    elif patience:
        text = f"Training would have ended early had the {what} on {on} not become {better} "
        text += f"for {count_text(patience, 'epoch')}. "
    if not kept:
        return f"{text}The weights after epoch {epochs}, the last, are the model."
    if not isinstance(best, int):
        return text.strip()
    return f"{text}The weights of epoch {best}, with the {most} {what} on {on}, are the model."


def chooses(files: RunFiles) -> bool:
    """Whether images of validation chose anything: the epoch, the temperature."""
    roles = model_facts(files).get("validation_roles")
    if isinstance(roles, dict):
        return bool(_role(files, roles, "choose"))
    watched = (files.history or {}).get("validation_loss") or []
    return any(value is not None for value in watched)


def _temperature_sentence(files: RunFiles) -> str:
    temperature = model_facts(files).get("temperature")
    if not isinstance(temperature, int | float) or not chooses(files):
        return ""
    return f"Scores were divided by a temperature of {temperature:.3f}, fitted to {choosing_part(files)}."


def _seed_sentence(files: RunFiles) -> str:
    seed = settings_of(files, "training").get("seed", settings_of(files, "training").get("seed"))
    return f"The seed of training was {seed}." if isinstance(seed, int) else ""


def _images(files: RunFiles) -> str:
    refit = settings_of(files, "training").get("refit")
    return "training and validation images" if refit else "training images"
