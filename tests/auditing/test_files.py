"""Findings about single files, computed from their facts alone."""

import numpy as np
import polars as pl
import pytest

from coverslip.auditing.file_findings import file_findings


def facts(count=40, **changes):
    """Return facts of ``count`` ordinary images; ``changes`` maps a column to {row: value}."""
    rng = np.random.default_rng(0)
    columns = {
        "path": [f"a/{row:02d}.jpg" for row in range(count)],
        "status": ["ok"] * count,
        "width": [256] * count,
        "height": [256] * count,
        "mode": ["RGB"] * count,
        "format": ["JPEG"] * count,
        "turned": [False] * count,
        "pages": [1] * count,
        "brightness": rng.normal(0.5, 0.03, count).tolist(),
        "contrast": [0.2] * count,
        "sharpness": rng.normal(0.3, 0.03, count).tolist(),
    }
    for name, cells in changes.items():
        for row, value in cells.items():
            columns[name][row] = value
    return pl.DataFrame(columns)


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_ordinary_images_give_no_finding():
    assert file_findings(facts()) == []


@pytest.mark.parametrize(
    ("name", "severity", "changes"),
    [
        ("unreadable", "warns", {"status": {3: "the file is empty"}}),
        ("tiny", "warns", {"width": {3: 20}}),
        ("blank", "warns", {"contrast": {3: 0.001}}),
        ("dark", "notes", {"brightness": {3: 0.05}}),
        ("bright", "notes", {"brightness": {3: 0.95}}),
        ("blurry", "notes", {"sharpness": {3: 0.02}}),
        ("odd-color", "notes", {"mode": {3: "RGBA"}}),
        ("odd-format", "notes", {"format": {3: "PNG"}}),
        ("odd-size", "notes", {"width": {3: 1024}}),
        ("turned", "notes", {"turned": {3: True}}),
        ("several-pages", "notes", {"pages": {3: 7}}),
    ],
)
def test_an_image_that_differs_from_the_rest_is_reported(name, severity, changes):
    finding = by_name(file_findings(facts(**changes)))[name]
    assert (finding.severity, finding.rows, finding.images) == (severity, ((3,),), 1)


def test_two_equally_frequent_formats_are_reported_and_neither_is_unusual():
    finding = by_name(file_findings(facts(format=dict.fromkeys(range(20), "PNG"))))["odd-format"]
    assert finding.rows == () and finding.numbers["counts"] == {"JPEG": 20, "PNG": 20}


def test_images_of_many_sizes_give_one_note_instead_of_many_unusual_images():
    sizes = {row: 200 + 40 * row for row in range(40)}
    findings = by_name(file_findings(facts(width=sizes, height=sizes)))
    assert findings["mixed-sizes"].numbers["sizes"] == 40 and "odd-size" not in findings


def test_reasons_are_counted_if_no_image_can_be_read():
    findings = file_findings(facts(4, status=dict.fromkeys(range(4), "the file is empty")))
    assert [finding.name for finding in findings] == ["unreadable"]
    assert findings[0].numbers["reasons"] == {"the file is empty": 4}


def test_a_small_difference_in_brightness_is_not_reported_even_if_all_other_images_are_equal():
    same = dict.fromkeys(range(40), 0.5)
    assert file_findings(facts(brightness=same | {3: 0.55})) == []
