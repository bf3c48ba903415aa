"""The report of a regression, written from the files of a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tests.reporting.page import Page, need_offline

from coverslip.evidence.regression import regression_evidence
from coverslip.reporting.run_page import write_report

IMAGES, PER_GROUP = 60, 3


def write_value_run(folder: Path, *, unit: float = 1.0) -> Path:
    """Write the files of a regression of the column ``area``, whose values are multiplied by ``unit``."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    truth = rng.uniform(1, 9, (IMAGES, 1)) * unit
    predicted = truth + rng.normal(0, 0.5, truth.shape) * unit
    low, high = predicted - 0.8 * unit, predicted + 0.8 * unit
    groups = np.arange(IMAGES) // PER_GROUP
    baselines = {"constant": np.full_like(truth, truth.mean()), "color": truth + rng.normal(0, 0.1 * unit, truth.shape)}
    test = regression_evidence(truth, predicted, groups, ["area"], low=low, high=high, baselines=baselines)
    intervals = {"asked": 0.9, "methods": {"area": "split conformal over 40 groups"}}
    columns = {"plot": {"values": []}, "site": {"values": []}}
    content = test | {"task": "regression", "intervals": intervals, "subgroups": columns}
    (folder / "test.json").write_text(json.dumps(content), encoding="utf-8")
    quantiles = np.quantile(truth, (0, 0.25, 0.5, 0.75, 1)).tolist()
    audit = {
        "images": IMAGES,
        "read": IMAGES,
        "task": "regression",
        "targets": {"area": {"quantiles": quantiles}},
        "grouped_by": "column 'plot'",
    }
    (folder / "audit.json").write_text(json.dumps(audit), encoding="utf-8")
    names = [f"images/{number:03d}.png" for number in range(IMAGES)]
    table = [
        {
            "path": path,
            "label": f"{truth[row, 0]:.9g}",
            "group": f"plot{groups[row]}",
            "split": "test",
            "status": "ok",
            "plot": f"plot{groups[row]}",
            "site": "north" if row % 2 else "south",
        }
        for row, path in enumerate(names)
    ]
    predictions = [
        {
            "path": path,
            "target": f"{truth[row, 0]:.9g}",
            "group": f"plot{groups[row]}",
            "predicted": f"{predicted[row, 0]:.9g}",
            "low": f"{low[row, 0]:.9g}",
            "high": f"{high[row, 0]:.9g}",
            "error": "",
            "familiar": "true",
            "nearest": "",
        }
        for row, path in enumerate(names)
    ]
    for name, rows in (("table.csv", table), ("predictions.csv", predictions)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    (folder / "experiment.toml").write_text(
        'format = 2\n[data]\nsource = "leaves"\ntarget = ["area"]\n[model]\ndepth = "head"\n[head]\nfolds = 5\n',
        "utf-8",
    )
    (folder / "model").mkdir()
    model = {"task": "regression", "depth": "head", "l2": 0.01, "targets": ["area"], "seen": [[2.5 * unit, 7.0 * unit]]}
    (folder / "model" / "model.json").write_text(json.dumps(model), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(write_value_run(tmp_path_factory.mktemp("home") / "area-1")).read_text(encoding="utf-8")


def test_the_page_is_complete_and_needs_no_network(html: str) -> None:
    need_offline(html)
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for section in ("Comparison with simple rules", "Predicted and true values", "Prediction intervals"):
        assert section in page.text


def test_a_figure_of_every_kind_has_a_sentence_below_it(html: str) -> None:
    text = Page(html).text
    for caption in ("Distribution of area over 60 images", "dashed: identity", "Bland–Altman", "dashed: 90 %"):
        assert caption in text
    figures, captions = html.count("<svg role"), html.count("<figcaption")
    assert captions >= figures


def test_the_headline_compares_the_model_with_each_simple_rule(html: str) -> None:
    text = Page(html).text
    assert "smaller than that of the rule “constant" in text
    assert "larger than that of the rule “color" in text  # the rule is the better one: this is said


def test_nothing_on_the_page_describes_a_classifier(html: str) -> None:
    text = Page(html).text.lower()
    for word in ("softmax", "log loss", "temperature", "misclassified", "classifier", "class", "probabilities"):
        assert word not in text.replace("subclass", ""), text[max(0, text.find(word) - 120) : text.find(word) + 60]
    assert "ridge regression" in text


def test_the_range_of_the_training_targets_is_a_limitation(html: str) -> None:
    assert "Values outside the range of the training set (area 2.5 to 7)" in Page(html).text


def test_a_column_that_equals_the_groups_is_drawn_once(html: str) -> None:
    text = Page(html).text
    assert "Errors of area by group" in text and "Errors of area by site" in text
    assert "Errors of area by plot" not in text


@pytest.mark.parametrize("unit", [1e-5, 1e4])
def test_errors_in_small_and_large_units_have_three_digits(tmp_path: Path, unit: float) -> None:
    folder = write_value_run(tmp_path / "area-1", unit=unit)
    error = json.loads((folder / "test.json").read_text("utf-8"))["scores"]["mae"]["value"]
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    shown = f"{error:.3g}" if unit > 1 else f"{error:.8f}"
    assert (f"{error:.0f}" if unit > 1 else shown) in text
    assert "0.000 [0.000, 0.000]" not in text


def test_values_in_the_caption_of_an_image_are_not_broken(html: str) -> None:
    worst = html[html.index('id="worst"') :]
    assert worst.count('<span class="wide">') >= 3
