"""Spaces and sweeps: which settings can be varied, the notation, and the error messages."""

import pytest

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.pipeline.resolve import resolve_config
from coverslip.tuning.keys import setting, value_of, with_value
from coverslip.tuning.space import Space, default_space, parse_sweep, read_space, space_from, write_space


def make_config(network="mlp", *settings, **options):
    return resolve_config(api.configure("leaves", model_network=network, settings=settings, **options))


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("lr=1e-4..1:log:5", "training.lr", (1e-4, 1e-3, 1e-2, 0.1, 1.0)),
        ("lr = 0.1, 0.2", "training.lr", (0.1, 0.2)),
        ("dropout=0..0.5:3", "model.dropout", (0.0, 0.25, 0.5)),
        ("batch_size=8,32,128", "training.batch_size", (8, 32, 128)),
        ("batch-size=8..64:log", "training.batch_size", (8, 16, 32, 64)),
        ("seed=0..4", "training.seed", (0, 1, 2, 3, 4)),
        ("training.seed=0..1", "training.seed", (0, 1)),
        ("model.hidden=64;128;256,128", "model.hidden", ((64,), (128,), (256, 128))),
        ("optimizer=sgd,adam", "training.optimizer", ("sgd", "adam")),
        ("batch_norm=yes,no", "model.batch_norm", (True, False)),
        ("augment=none,strong", "augment", ("none", "strong")),
        ("rotate=0,20", "augment.rotate", (0.0, 20.0)),
        ("gamma=0,2", "training.gamma", (0.0, 2.0)),  # of two settings with this name, that of training
        ("augment.gamma=0,0.5", "augment.gamma", (0.0, 0.5)),
    ],
)
def test_a_sweep_is_parsed(text, key, values):
    sweep = parse_sweep(text)
    assert sweep.key == key and sweep.values == values
    assert [type(each) for each in sweep.values] == [type(each) for each in values]


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("lr", "is not KEY=VALUES", "lr=1e-5..1:log:16"),
        ("lr=", "is not KEY=VALUES", "lr=1e-5"),
        ("training.ratte=1,2", "unknown setting 'training.ratte'", "did you mean 'training.lr'?"),
        ("smothing=0,0.1", "unknown setting 'smothing'", "did you mean 'label_smoothing'?"),
        ("lr=0..1:log:5", "0 has no logarithm", "above 0"),
        ("lr=1..0.1:log:5", "from 1 to 0.1 is an empty range", "lower end first"),
        ("lr=1..1:log:5", "is an empty range", "lower end first"),
        ("lr=3", "3.0 is a single value", "two or more"),
        ("lr=3,3", "3.0 is a single value", "two or more"),
        ("lr=1,2,2", "a value is given twice", "once"),
        ("lr=a,b", "'a' is not a number", "0.001"),
        ("lr=a..b", "is not LOW..HIGH", "1e-5..1:log:16"),
        ("lr=1e-3..1:lgo:4", "'lgo' is neither 'log' nor a number", "1e-5..1:log:16"),
        ("lr=1e-3..1:1", "1 values are too few", "2 to 1000"),
        ("batch_size=1.5,2", "1.5 is not an integer", "32"),
        ("optimizer=sgd,adma", "'adma'", "did you mean 'adam'?"),
        ("optimizer=a..b", "is a name, which has no range", "commas"),
        ("batch_norm=maybe,no", "'maybe' is not true or false", "true"),
        ("dropout=0..1", "dropout=1.0", "0.5"),
        ("momentum=0.9,1", "momentum=1.0 is not 0 or above and below 1", "0.9"),
        ("hidden=64,128", "64,128 is a single value", "two or more"),
        ("hidden=64;0", "hidden=(0,)", "1 or more"),
        ("augment=none,stong", "'stong'", "did you mean 'strong'?"),
        ("data.source=a,b", "cannot be varied in a study", "coverslip compare"),
        ("split.seed=0,1", "cannot be varied in a study", "coverslip compare"),
    ],
)
def test_an_invalid_sweep_is_refused_with_a_fix(text, problem, fix):
    with pytest.raises(UserError) as error:
        parse_sweep(text)
    assert problem in error.value.problem and fix in error.value.fix


@pytest.mark.parametrize(
    ("text", "kind", "log"),
    [
        ("lr=1e-5..1:log:6", "float", True),
        ("lr=0.1,0.2,0.3", "float", False),
        ("lr=1e-5,0.9", "float", True),
        ("batch_size=8,32,128", "int", True),
        ("seed=0..9", "int", False),
        ("optimizer=sgd,adam", "choice", False),
    ],
)
def test_the_figure_of_a_sweep_has_a_suitable_axis(text, kind, log):
    axis = parse_sweep(text).dimension.as_json()
    assert axis["kind"] == kind and axis["log"] is log


@pytest.mark.parametrize(
    ("mapping", "problem", "fix"),
    [
        ({}, "no setting is varied", "give one"),
        ({"training": {"lrr": {"low": 1, "high": 2}}}, "unknown setting 'training.lrr'", "'training.lr'"),
        ({"training": {"lr": {"lo": 1, "high": 2}}}, "training.lr has no 'lo'", "did you mean"),
        ({"training": {"lr": {"low": 0, "high": 1, "log": True}}}, "0 has no logarithm", "above 0"),
        ({"training": {"lr": {"low": 1, "high": 0.1}}}, "is an empty range", "lower end first"),
        ({"training": {"lr": {"low": 1}}}, "needs low and high", "low = "),
        ({"training": {"lr": {"low": "a", "high": 1}}}, "low = 'a' is not a number", "0.001"),
        ({"training": {"lr": {"low": 0.1, "high": 1, "log": "yes"}}}, "is not true or false", "log = true"),
        ({"training": {"lr": 0.1}}, "0.1 is a single value", "--set"),
        ({"training": {"batch_size": [32]}}, "32 is a single value", "--set"),
        ({"training": {"batch_size": {"choices": 32}}}, "a list of choices", "[...]"),
        ({"training": {"batch_size": [32, 16.5]}}, "16.5 is not an integer", "32"),
        ({"training": {"lr": {"low": 0.1, "high": 1, "choices": [1, 2]}}}, "a range or a list", "choices"),
        ({"training": {"optimizer": {"low": 1, "high": 2}}}, "is a name, which has no range", "choices"),
        ({"lr": "0.1..1", "recipe": {"lr": "0.1..1"}}, "training.lr is given twice", "one"),
        ({"augment": ["none", "light"], "augment.rotate": "0..20"}, "one of its settings", "presets"),
        ({"lr": "1e-4..1:log:5"}, "no number of values", "sweep"),
    ],
)
def test_an_invalid_space_is_refused_with_a_fix(mapping, problem, fix):
    with pytest.raises(UserError) as error:
        space_from(mapping)
    assert problem in error.value.problem and fix in error.value.fix


def test_a_space_is_written_and_read_without_change(tmp_path):
    space = space_from(
        {
            "lr": "1e-5..1:log",
            "batch_size": [16, 32],
            "seed": {"low": 0, "high": 9},
            "hidden": [[64], [256, 128]],
            "batch_norm": [False, True],
            "augment": ["none", "strong"],
        }
    )
    write_space(space, tmp_path / "space.toml")
    assert read_space(tmp_path / "space.toml") == space


def test_a_file_may_use_the_short_notation(tmp_path):
    (tmp_path / "space.toml").write_text(
        '[training]\nlr = "1e-4..0.1:log"\nbatch_size = [8, 16]\n[augment.rotate]\nlow=0\nhigh=30'
    )
    space = read_space(tmp_path / "space.toml")
    assert space.keys == ["training.lr", "training.batch_size", "augment.rotate"]
    assert space.dimensions[0].log and space.dimensions[2].high == 30


NETWORKS = [("efficientnet-lite0", "head"), ("efficientnet-lite0", "tail"), ("resnet18", "all"), ("linear", "all")]
NETWORKS += [("mlp", "all"), ("cnn", "all"), ("cnn-full", "all")]


@pytest.mark.parametrize(("network", "depth"), NETWORKS)
def test_every_network_and_depth_has_a_default_space_that_contains_its_config(network, depth):
    config = make_config(network, model_depth=depth, head_solver="loop")
    space = default_space(config)
    space.check(config)
    assert {"training.lr", "training.weight_decay", "training.label_smoothing"} <= set(space.keys)
    assert ("training.batch_size" in space.keys) == (depth != "head")  # heads of one batch size are one stack
    assert "training.epochs" not in space.keys
    for dimension in space.dimensions:
        value = value_of(config, dimension.key)
        assert value in dimension.choices if dimension.kind == "choice" else dimension.low <= value <= dimension.high
    assert space.with_values(config, space.values_of(config)).training == config.training


def test_an_option_that_the_network_lacks_is_refused():
    config = make_config("linear")
    with pytest.raises(UserError, match="does not support dropout"):
        space_from({"dropout": "0..0.5"}).check(config)


def test_values_reach_the_config_and_nothing_else_changes():
    config = make_config("mlp", "augment.rotate=5")
    values = {"training.lr": 0.5, "model.hidden": "256,128", "augment.rotate": 20, "training.seed": 3}
    space = space_from({"lr": "0.1..1", "hidden": ["64", "256,128"], "rotate": "0..30", "seed": "0..9"})
    other = space.with_values(config, values)
    assert other.training.lr == 0.5 and other.model.hidden == (256, 128) and other.augment.rotate == 20
    assert other.training.seed == 3 and resolve_config(other).training.seed == 3  # as `train` would have it
    back = space.with_values(other, space.values_of(config))
    assert back.training == config.training and back.augment == config.augment and back.training == config.training


def test_an_augmentation_that_is_not_a_preset_is_a_separate_choice():
    config = make_config("mlp", "augment.rotate=5")
    space = space_from({"augment": ["none", "light"]}).around(config)
    assert space.dimensions[0].choices == ("as set", "none", "light")
    assert space.with_values(config, {"augment": "as set"}).augment == config.augment
    assert not space.with_values(config, {"augment": "none"}).augment.uses("rotate")


def test_combinations_are_counted():
    assert space_from({"batch_size": [8, 16], "seed": "0..4"}).combinations == 10
    assert space_from({"batch_size": [8, 16], "label_smoothing": "0..0.3"}).combinations == float("inf")


def test_a_setting_without_a_value_has_no_default():
    with pytest.raises(UserError, match=r"training\.lr has no value"):
        value_of(api.configure("leaves"), "training.lr")


def test_settings_have_names_for_readers():
    assert [setting(key).name for key in ("lr", "wd", "l2", "batch_norm", "hidden")] == [
        "learning rate",
        "weight decay",
        "L2 penalty",
        "batch norm",
        "dense layers",
    ]
    with pytest.raises(UserError, match="is not a number"):
        with_value(make_config(), "training.lr", "fast")
    assert isinstance(space_from({"lr": "0.1..1"}), Space)
