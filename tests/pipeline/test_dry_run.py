"""The dry run prepares the data as the run does."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip.api import configure, train
from coverslip.core.errors import BlockedError
from coverslip.core.progress import SILENT
from coverslip.pipeline import dry_run as module
from coverslip.pipeline.dry_run import dry_run


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """A table of 120 images of two classes from six hospitals; twelve images are copied under another name."""
    folder, rng, rows = tmp_path_factory.mktemp("hospitals"), np.random.default_rng(0), []
    for number in range(120):
        label = "ab"[number % 2]
        pixels = rng.integers(0, 200, (40, 40, 3)).astype(np.uint8)
        pixels[10:30, 10:30, number % 2] = 255
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        rows.append((f"{number:03d}.png", label, f"hospital {number // 2 % 6}"))
    table = folder / "table.csv"
    pl.DataFrame(rows, schema=["path", "label", "hospital"], orient="row").write_csv(table)
    return table


def splits_of(table):
    return {name: table.filter(pl.col("split") == name).height for name in ("train", "validation", "test")}


def test_the_split_is_that_of_the_run_with_sites_kept_together(hospitals, tmp_path):
    options = {"data_site": "hospital", "model_network": "cnn", "input_size": 32, "training_epochs": 1}
    estimate = dry_run(configure(hospitals, **options))
    run = train(hospitals, tmp_path / "run", **options)
    assert estimate["audited"]
    assert estimate["splits"] == splits_of(pl.read_csv(run.table_file))


def test_images_are_not_read_where_that_takes_long(hospitals, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "READ_SECONDS", -1)
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path))
    estimate = dry_run(configure(hospitals, data_site="hospital", model_network="cnn", input_size=32))
    assert not estimate["audited"]
    assert sum(estimate["splits"].values()) == 120


def test_a_finding_that_blocks_the_run_blocks_the_dry_run(hospitals, tmp_path):
    frame = pl.read_csv(hospitals)
    first = hospitals.parent / frame["path"][0]
    twice = tmp_path / "twice"
    twice.mkdir()
    for path in frame["path"]:
        (twice / path).write_bytes((hospitals.parent / path).read_bytes())
    (twice / "copy.png").write_bytes(first.read_bytes())
    copy = pl.DataFrame({"path": ["copy.png"], "label": ["b"], "hospital": ["hospital 0"]})
    pl.concat([frame, copy]).write_csv(twice / "table.csv")
    config = configure(twice / "table.csv", model_network="cnn", input_size=32)
    with pytest.raises(BlockedError):
        dry_run(config, progress=SILENT)
    assert dry_run(configure(twice / "table.csv", audit_fix=True, model_network="cnn", input_size=32))["images"] == 121
