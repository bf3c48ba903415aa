"""Names of version 0.1 are still accepted, with one warning that names the new one."""

import sys

import pytest

from coverslip.api import configure, plan
from coverslip.core.renamed import OPTIONS, SETTINGS, current_arguments, current_setting, upgrade_json
from coverslip.pipeline.config import read_config

OLD_FILE = """
[data]
source = "leaves"
[training]
seed = 3
solver = "loop"
strengths = [0.1, 1.0]
refit = true
coverage = 0.8
[recipe]
rate = 0.01
smoothing = 0.2
epochs = 7
seed = 3
[audit]
price = true
[bundle]
examples = true
"""


def test_settings_of_an_old_file_arrive_where_they_belong_without_a_warning(tmp_path, recwarn):
    file = tmp_path / "experiment.toml"
    file.write_text(OLD_FILE)
    config = read_config(file)
    assert config.training.seed == 3
    assert (config.head.solver, config.head.l2_values) == ("loop", (0.1, 1.0))
    assert config.split.refit and config.calibration.coverage == 0.8
    assert (config.training.lr, config.training.label_smoothing, config.training.epochs) == (0.01, 0.2, 7)
    assert config.audit.probes and config.model.examples
    assert not [warning for warning in recwarn if warning.category is FutureWarning]


@pytest.mark.parametrize(
    ("assignment", "new", "value"),
    [
        ("recipe.rate=0.5", "training.lr", 0.5),
        ("recipe.epochs=3", "training.epochs", 3),
        ("training.folds=4", "head.folds", 4),
        ("audit.price=true", "audit.probes", True),
    ],
)
def test_an_old_setting_of_set_is_accepted_with_a_warning(assignment, new, value):
    section, _, key = new.partition(".")
    with pytest.warns(FutureWarning, match=new):
        config = configure("leaves", settings=[assignment])
    assert getattr(getattr(config, section), key) == value


def test_an_old_setting_of_a_python_call_is_accepted_with_a_warning():
    with pytest.warns(FutureWarning, match="training_lr"):
        assert configure("leaves", recipe_rate=0.5).training.lr == 0.5


def test_the_old_name_of_configure_still_works():
    with pytest.warns(FutureWarning, match="configure"):
        assert plan("leaves", split_seed=2) == configure("leaves", split_seed=2)


@pytest.mark.parametrize(("command", "old"), OPTIONS)
def test_an_old_option_of_a_command_is_accepted_with_a_warning(command, old):
    with pytest.warns(FutureWarning, match=OPTIONS[command, old]):
        assert current_arguments([command, "leaves", old]) == [command, "leaves", OPTIONS[command, old]]


def test_every_new_option_exists():
    from typer.main import get_command

    from coverslip.cli.main import app

    commands = get_command(app).commands
    for (command, _), new in OPTIONS.items():
        assert new in {name for parameter in commands[command].params for name in parameter.opts}


def test_every_new_setting_exists():
    config = configure("leaves")
    for new in filter(None, SETTINGS.values()):
        assert hasattr(getattr(config, new[0]), new[1])


def test_the_warning_is_one_line_on_the_terminal(capsys, monkeypatch):
    from coverslip.cli.main import main

    monkeypatch.setattr(sys, "argv", ["coverslip", "train", "nowhere", "--rate", "0.1"])
    with pytest.raises(SystemExit) as ended:
        main()
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert [line for line in lines if line.startswith("warning:")] == [
        "warning: the option --rate was renamed to --lr; please use the new name"
    ]


def test_a_class_that_has_the_name_of_an_old_key_keeps_it():
    old = {"trained_on": {"pictures": 3}, "classes": ["pictures", "strength"], "strength": 0.1}
    assert upgrade_json("model.json", old) == {
        "trained_on": {"images": 3},
        "classes": ["pictures", "strength"],
        "l2": 0.1,
    }


def test_a_current_setting_is_left_alone():
    assert current_setting("model", "views") == ("model", "views")
