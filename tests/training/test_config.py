import math

import pytest

from coverslip.core.config import from_mapping, to_mapping
from coverslip.core.errors import UserError
from coverslip.training.config import TrainingConfig


@pytest.mark.parametrize("lr", [0, 0.0, -1.0, math.inf, -math.inf, math.nan])
def test_an_invalid_learning_rate_is_refused_with_a_usual_value(lr):
    with pytest.raises(UserError, match=r"lr=.* is not above 0 and finite\n  fix: 0\.001 is a common start"):
        TrainingConfig(lr=lr)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("batch_size", -1),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -0.1),
        ("weight_decay", math.nan),
        ("l2", math.inf),
        ("warmup", 1.0),
        ("label_smoothing", 1.0),
        ("gamma", -1.0),
        ("clip", -1.0),
        ("accumulate", 0),
        ("ema", 1.0),
        ("patience", -1),
        ("seed", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(setting, value):
    with pytest.raises(UserError, match=f"{setting}="):
        TrainingConfig(**{setting: value})


@pytest.mark.parametrize(("setting", "value"), [("epochs", 2.5), ("lr", "fast"), ("batch_size", True), ("seed", None)])
def test_a_value_of_the_wrong_type_is_refused(setting, value):
    with pytest.raises(UserError, match="is not a"):
        TrainingConfig(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "typo", "meant"),
    [
        ("optimizer", "adma", "adam"),
        ("schedule", "onecycle", "one-cycle"),
        ("loss", "cross_entropy", "cross-entropy"),
        ("balance", "weight", "weights"),
        ("monitor", "val_loss", "validation_loss"),
        ("precision", "bf16", "bfloat16"),
    ],
)
def test_a_misspelled_name_is_refused_with_the_nearest_valid_one(setting, typo, meant):
    with pytest.raises(UserError, match=f"did you mean '{meant}'|choose from .*'{meant}'"):
        TrainingConfig(**{setting: typo})


def test_contradictory_settings_are_refused():
    with pytest.raises(UserError, match="nesterov"):
        TrainingConfig(nesterov=True)
    with pytest.raises(UserError, match="nesterov"):
        TrainingConfig(nesterov=True, optimizer="sgd", momentum=0.0)
    with pytest.raises(UserError, match="both weight the classes"):
        TrainingConfig(class_weights=(1.0, 2.0), balance="weights")
    with pytest.raises(UserError, match="not valid weights"):
        TrainingConfig(class_weights=(1.0, -2.0))
    with pytest.raises(UserError, match="not valid weights"):
        TrainingConfig(class_weights=(0.0, 0.0))


def test_a_config_survives_a_round_trip_and_filled_replaces_none_by_defaults():
    config = TrainingConfig(lr=0.01, class_weights=(1.0, 2.0))
    assert from_mapping(TrainingConfig, to_mapping(config)) == config
    assert config.filled() == TrainingConfig(epochs=10, lr=0.01, batch_size=32, class_weights=(1.0, 2.0))
    assert TrainingConfig(batch_size=0).filled().batch_size == 0
