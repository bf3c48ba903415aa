"""The config: documented where it is defined, described by a schema, and without a network."""

import dataclasses
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coverslip.core.config import from_mapping, to_mapping
from coverslip.core.errors import UserError
from coverslip.pipeline.config import DataConfig, RunConfig, read_config, write_config
from coverslip.pipeline.schema import DOCS_FILE, SCHEMA_FILE, build_schema, description, settings_page

ROOT = Path(__file__).parents[2]


def sections():
    for name, hint in typing.get_type_hints(RunConfig).items():
        for kind in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(kind):
                yield name, kind


def test_every_setting_is_documented_where_it_is_defined():
    missing = [
        f"{section}.{field.name}"
        for section, kind in sections()
        for field in dataclasses.fields(kind)
        if not field.metadata.get("description", "").endswith(".")
    ]
    assert missing == []


def test_the_schema_and_the_page_of_settings_are_up_to_date():
    schema = build_schema()
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == schema, "run python -m coverslip.pipeline.schema"
    assert (ROOT / DOCS_FILE).read_text(encoding="utf-8") == settings_page(schema)


def test_a_written_config_satisfies_the_schema_and_is_read_back(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    config = RunConfig(data=DataConfig(source=str(tmp_path / "leaves")))
    jsonschema.validate(to_mapping(config), build_schema())
    write_config(config, tmp_path / "experiment.toml")
    assert read_config(tmp_path / "experiment.toml") == config


def test_the_help_of_train_shows_the_description_of_a_setting():
    from coverslip.cli.main import app

    text = " ".join(CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "300"}).output.split())
    assert description("model.depth") in text and description("training.lr") in text


def test_the_config_imports_no_network():
    code = (
        "import sys, coverslip.pipeline.config\n"
        "loaded = [name for name in sys.modules if name.startswith('coverslip.models.')]\n"
        "assert set(loaded) <= {'coverslip.models.design'}, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_config_of_a_newer_format_is_refused(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text('format = 99\n[data]\nsource = "leaves"\n')
    with pytest.raises(UserError, match="99"):
        read_config(file)


def test_an_unknown_setting_is_answered_with_the_nearest_one():
    with pytest.raises(UserError, match="learning_rat"):
        from_mapping(RunConfig, {"data": {"source": "x"}, "training": {"learning_rat": 1.0}})
