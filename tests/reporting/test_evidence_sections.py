"""The sections of a report on the reliability of its numbers."""

import json
import re
import shutil
from pathlib import Path

import pytest

from coverslip.reporting import (
    audit_sections,
    data_sections,
    evidence_sections,
    repeat_sections,
    result_sections,
    sections,
    write_report,
)

from .fake_evidence import KEYS, add_evidence, read_rows, write_json, write_rows
from .fake_run import HOSTILE, NAMES, write_fake_run
from .page import Page, need_offline

FILES = ("label_errors.csv", "repeats.json", "learning_curve.json")
ANCHORS = ("ledger", "subgroups", "calibration", "sets", "familiarity", "labels", "repeats", "learning")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    add_evidence(write_fake_run(home / "small-1", names=(*NAMES[:3], HOSTILE), skill=0.6))
    return home / "small-1"


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the run folder; figures are created but not rendered, which would take most of the time."""
    for module in (audit_sections, data_sections, evidence_sections, repeat_sections, result_sections, sections):
        monkeypatch.setattr(module, "svg_text", lambda figure, name, **_: f"<svg><title>{name}</title></svg>")
    return Path(shutil.copytree(template, tmp_path / "small-1"))


@pytest.fixture(scope="module")
def html(template: Path) -> str:
    return write_report(template).read_text(encoding="utf-8")


def change_test(run: Path, **changes: object) -> None:
    write_json(run / "test.json", read_test(run) | changes)


def read_test(run: Path) -> dict:
    return json.loads((run / "test.json").read_text(encoding="utf-8"))


def section(html: str, name: str) -> str:
    """Return the text of one section."""
    return Page(section_html(html, name)).text


def section_html(html: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', html, flags=re.DOTALL)[0]


def report(run: Path, **options: bool) -> str:
    return write_report(run, **options).read_text(encoding="utf-8")


def test_a_report_with_all_sections_is_valid_offline_and_small(html: str) -> None:
    need_offline(html)
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) and set(ANCHORS) <= set(ids)
    links = {str(attributes["href"]).removeprefix("#") for tag, attributes in page.tags if tag in ("a", "use")}
    assert links <= set(ids)
    assert len(html.encode()) < 5_000_000 and "nan" not in re.findall(r"[a-z]+", page.text.lower())


def test_markup_in_names_is_escaped_in_every_section(html: str) -> None:
    assert HOSTILE not in html and '<i>site "B"</i>' not in html
    for name in ("sets", "familiarity", "labels", "calibration"):
        assert HOSTILE in section(html, name)
    assert '<i>site "B"</i>' in section(html, "subgroups") and "(empty)" in section(html, "subgroups")


def test_sections_that_an_old_run_lacks_are_one_sentence(tmp_path: Path) -> None:
    html = report(write_fake_run(tmp_path / "old", names=NAMES[:3], images=False))
    for name in ("ledger", "subgroups", "calibration", "sets", "familiarity"):
        assert "this run." in section(html, name) and "test.json" not in section(html, name)
    assert section(html, "labels").endswith("There is no label_errors.csv in the run folder.")
    assert "Not run." in section(html, "repeats") and "Not run." in section(html, "learning")
    assert "Calibration of the predicted probabilities" in section(html, "limits") and "<svg" not in section_html(
        html, "sets"
    )


def test_a_null_is_shown_with_its_reason_if_there_is_one(run: Path) -> None:
    change_test(run, **dict.fromkeys(KEYS))
    html = report(run)
    assert "no images were left to calibrate them" in section(html, "sets")
    assert "no images were left to set the threshold" in section(html, "familiarity")
    change_test(run, sets={"reason": "only <2> groups"}, subgroups={"site": {"reason": "31 values"}, "empty": None})
    html = report(run)
    assert section(html, "sets").endswith("Not measured: only <2> groups.")
    assert "31 values." in section(html, "subgroups") and "No scores." in section(html, "subgroups")


def test_results_that_are_all_null_are_shown_as_missing(run: Path) -> None:
    nothing = {"value": None, "low": None, "high": None, "images": 0, "groups": 0, "reason": "no image"}
    calibration = {"reliability": None, "report": None, "temperature": None, "assumes": None}
    sets = {"coverage": nothing, "size": nothing, "sizes": None, "classes": None, "asked": None, "calibrated_on": None}
    familiarity = {"flagged": nothing, "promised": None, "rough": None, "calibrated_on": None}
    column = {"values": None, "p": None, "reason": None, "says": None}
    entry = {"when": None, "run": None, "settings": None}
    changes = {"subgroups": {"site": column}, "ledger": [entry, entry]}
    change_test(run, calibration=calibration, sets=sets, familiarity=familiarity, **changes)
    write_json(run / "repeats.json", {"folds": None, "seeds": {"n": None, "scores": None, "summary": None}})
    curve = {"unit": None, "sizes": [4], "images": None, "scores": [[None], [None]], "score": None, "fit": None}
    write_json(run / "learning_curve.json", curve)
    html = report(run)
    assert "no calibration results" in section(html, "calibration")
    assert "no coverage" in section(html, "sets") and "no share" in section(html, "familiarity")
    assert "has no scores" in section(html, "repeats") and "not defined" in section(html, "learning")
    assert not {"nan", "none", "null"} & set(re.findall(r"[a-z]+", section(html, "learning").lower()))


def test_scores_without_an_interval_have_a_reason_and_open_markers(run: Path) -> None:
    content = read_test(run)
    for each in (content["sets"]["coverage"], content["familiarity"]["flagged"]):
        each |= {"low": None, "high": None, "reason": "3 groups are too few"}
    for each in content["calibration"]["reliability"]["top"]["bins"]:
        each["accuracy"] |= {"low": None, "high": None}
    write_json(run / "test.json", content)
    html = report(run)
    assert all(
        "No confidence interval: 3 groups are too few." in section(html, name) for name in ("sets", "familiarity")
    )
    assert "open marker: no interval" in section(html, "calibration")


def test_calibration_shows_error_and_loss_before_and_after_and_the_assumed_frequencies(
    html: str, template: Path
) -> None:
    text, scores = section(html, "calibration"), read_test(template)["calibration"]["report"]["ece"]
    for when in ("before", "after"):
        score = scores[when]
        assert f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" in text
    assert "class frequencies of the training images: from 25 %" in text and "27 %" in text
    assert "temperature of 1.40 (above 1: the model was overconfident)" in text


def test_coverage_is_compared_with_the_nominal_coverage_and_low_classes_are_listed(run: Path) -> None:
    content = read_test(run)
    coverage = content["sets"]["coverage"] | {"value": 0.7, "low": 0.6, "high": 0.8, "images": 30, "groups": 30}
    content["sets"]["classes"][1]["coverage"] = coverage
    content["sets"]["sizes"] = [0, 1, 2, 0, 4]
    write_json(run / "test.json", content)
    text = section(report(run), "sets")
    assert "nominal coverage is 0.90" in text and "calibrated on 64 images from 30 groups" in text
    assert f"below the nominal coverage: {NAMES[1]}." in text
    warning = content["sets"]["warnings"][0]
    assert f"{warning[:1].upper()}{warning[1:]}" in text
    assert "1 contains 1 class, 2 contain 2 and 4 contain 4." in text


def test_flagged_test_images_are_shown_with_the_names_of_their_neighbors(html: str, template: Path) -> None:
    flagged = [row for row in read_rows(template / "predictions.csv") if row["familiar"] == "false"]
    part = section_html(html, "familiarity")
    shown = {attributes["title"] for tag, attributes in Page(part).tags if tag == "img"}
    assert flagged and shown == {row["path"] for row in flagged}
    assert all(name in Page(part).text for row in flagged for name in row["nearest"].split(" | "))
    assert "at most 0.032" in Page(part).text and "is approximate" in Page(part).text


@pytest.mark.parametrize(
    ("low", "value", "verdict"),
    [(0.05, 0.1, "More than expected"), (0.0, 0.02, "No more than expected"), (0.02, 0.05, "not statistically")],
)
def test_the_verdict_on_flagged_images_uses_the_interval(run: Path, low: float, value: float, verdict: str) -> None:
    content = read_test(run)["familiarity"]
    content["flagged"] |= {"low": low, "value": value, "high": 0.2}
    change_test(run, familiarity=content)
    assert verdict in section(report(run), "familiarity")


def test_suspect_labels_are_ranked_and_only_test_images_are_shown_by_default(run: Path) -> None:
    rows = [row for row in read_rows(run / "label_errors.csv") if row["suspect"] == "true"]
    tested = {row["path"] for row in rows if row["part"] == "test"}
    html = report(run)
    part = section_html(html, "labels")
    assert {attributes["title"] for tag, attributes in Page(part).tags if tag == "img"} == tested
    order = re.findall(r'<li value="(\d+)">', part)
    assert order == [str(rank) for rank in range(1, len(rows) + 1)] and len(tested) < len(rows)
    assert all(row["path"] in Page(part).text for row in rows) and "label_errors.csv" in Page(part).text
    assert f"suggested {rows[0]['suggested']}" in Page(part).text
    everything = section_html(report(run, training_images=True), "labels")
    assert {attributes["title"] for tag, attributes in Page(everything).tags if tag == "img"} > tested
    assert "data:image" not in section_html(report(run, thumbnails=False), "labels")


def test_suspect_labels_of_a_model_with_low_accuracy_have_a_warning(run: Path) -> None:
    warned = []
    for accuracy in (0.55, 0.95):
        test = json.loads((run / "test.json").read_text("utf-8"))
        test["scores"]["accuracy"]["value"] = accuracy
        (run / "test.json").write_text(json.dumps(test), encoding="utf-8")
        warned.append("many of these labels are probably correct" in write_report(run).read_text("utf-8"))
    assert warned == [True, False]


def test_a_run_without_suspect_labels(run: Path) -> None:
    write_rows(run / "label_errors.csv", [row | {"suspect": "false"} for row in read_rows(run / "label_errors.csv")])
    assert "No suspect labels" in section(report(run), "labels")


def test_subgroups_with_few_groups_have_a_warning(html: str, run: Path) -> None:
    text = section(html, "subgroups")
    assert "By site" in text and re.search(r"only \d+ groups?", text)
    content = read_test(run)["subgroups"]["site"]
    sentence = "accuracy differs by more than chance (p = 0.001): lowest 'a' 0.500, highest 'b' 0.900"
    change_test(run, subgroups={f"site {k}": content | {"p": 0.001, "says": sentence} for k in range(10)})
    text = section(report(run), "subgroups")
    assert f"A{sentence[1:]}." in text and "further columns are in test.json: site 8, site 9." in text


def test_repeats_are_shown_with_the_score_of_the_test_set(html: str, run: Path) -> None:
    text = section(html, "repeats")
    sentence = json.loads((run / "repeats.json").read_text(encoding="utf-8"))["seeds"]["summary"]["beside_images"]
    assert sentence["sentence"][1:] in text
    assert "5 folds" in text and "10 random splits" in text and "test set of this run" in text
    assert "corrected resampled t over 5 folds" in text
    content = json.loads((run / "repeats.json").read_text(encoding="utf-8"))
    content["seeds"] |= {"scores": {"accuracy": [0.9, 0.9]}, "summary": {"sentence": "x", "mean": 0.9, "low": None}}
    write_json(run / "repeats.json", content | {"folds": None})
    html = report(run)
    assert "2 random splits Accuracy 0.900 0.000" not in section(html, "repeats") and "0.900" in section(
        html, "repeats"
    )
    assert "Variation between splits" not in section(html, "limits")


def test_the_learning_curve_has_a_forecast_for_twice_the_data(html: str) -> None:
    text = section(html, "learning")
    assert re.search(r"leaves \(240 instead of 120\).* 0\.\d+ \[0\.\d+, 0\.\d+\]\.", text)
    assert "forecast 0." in text and "720" in text  # images at the largest size


@pytest.mark.parametrize(("scorings", "expected"), [(1, "scored once"), (3, "with 3 different settings")])
def test_the_ledger_warns_if_the_test_set_was_scored_with_different_settings(
    run: Path, scorings: int, expected: str
) -> None:
    change_test(run, ledger=[{"when": f"{k}", "run": f"<r{k}>", "settings": f"{k}"} for k in range(scorings)])
    html = report(run)
    assert expected in section(html, "ledger")
    assert ('class="note warn"' in section_html(html, "ledger")) == (scorings > 1)


def test_scoring_again_with_the_same_settings_is_no_warning(run: Path) -> None:
    change_test(run, ledger=[{"when": "2026-11-01", "run": f"r{k}", "settings": "same"} for k in range(2)])
    html = report(run)
    assert "2 times, always with the same settings" in section(html, "ledger")
    assert 'class="note warn"' not in section_html(html, "ledger")


def test_what_was_measured_is_not_listed_as_a_limitation(html: str) -> None:
    text = section(html, "limits")
    assert "Calibration" not in text and "Detection of images that differ" not in text
    assert "Variation between" not in text and "a new disease on leaves of a known plant" in text


def test_each_misclassified_image_has_its_prediction_set_and_familiarity(run: Path) -> None:
    rows = read_rows(run / "predictions.csv")
    wrong = [row for row in rows if row["predicted"] != row["label"]]
    wrong[0] |= {"set": f"{HOSTILE} | {NAMES[0]}", "familiar": "false"}
    write_rows(run / "predictions.csv", rows)
    part = section_html(report(run), "mistakes")
    assert f"set {HOSTILE} | {NAMES[0]} unfamiliar" in Page(part).text
    assert part.count('class="flag"') == sum(row["familiar"] == "false" for row in wrong)


@pytest.mark.parametrize("name", FILES)
def test_an_empty_or_missing_file_is_reported_and_the_rest_is_shown(run: Path, name: str) -> None:
    anchor = {"label_errors.csv": "labels", "repeats.json": "repeats", "learning_curve.json": "learning"}[name]
    for content in ("{}" if name.endswith("json") else "path,label,suggested,score,suspect,part\n", None):
        (run / name).write_text(content, encoding="utf-8") if content else (run / name).unlink()
        html = report(run)
        assert "<svg" not in section_html(html, anchor) and "confidence equals accuracy" in html


def test_a_report_of_sixty_classes_and_many_columns_stays_small(tmp_path: Path) -> None:
    names = [f"Species number {index}, {HOSTILE}" for index in range(60)]
    listing = [(f"{k}/{i}.png", name, f"{k} {i}") for k, name in enumerate(names) for i in range(12)]
    run = write_fake_run(tmp_path / "run", names=names, listing=listing)
    add_evidence(run, columns=tuple("abcdefghij"))
    html = report(run)
    assert len(html.encode()) < 1_600_000  # images may use the rest of five megabytes
    assert html.count("<svg") > 30 and "results of 44 further classes are in test.json" in section(html, "calibration")
