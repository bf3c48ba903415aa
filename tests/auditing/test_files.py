"""Findings about single files, from their facts alone."""

import numpy as np
import polars as pl
import pytest

from coverslip.auditing.files import judge_files


def facts(count=40, **changes):
    """Facts of ``count`` usual images; ``changes`` maps a column to {row: value}."""
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


def names(found):
    return {each.name: each for each in found}


def test_usual_images_give_no_finding():
    assert judge_files(facts()) == []


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
def test_the_one_that_is_unlike_the_rest_is_named(name, severity, changes):
    found = names(judge_files(facts(**changes)))[name]
    assert (found.severity, found.rows, found.images) == (severity, ((3,),), 1)


def test_two_formats_in_equal_numbers_are_told_without_calling_either_odd():
    found = names(judge_files(facts(format=dict.fromkeys(range(20), "PNG"))))["odd-format"]
    assert found.rows == () and found.numbers["counts"] == {"JPEG": 20, "PNG": 20}


def test_images_of_every_size_are_one_note_not_many_odd_ones():
    sizes = {row: 200 + 40 * row for row in range(40)}
    found = names(judge_files(facts(width=sizes, height=sizes)))
    assert found["mixed-sizes"].numbers["sizes"] == 40 and "odd-size" not in found


def test_no_image_can_be_read_and_the_reasons_are_counted():
    found = judge_files(facts(4, status=dict.fromkeys(range(4), "the file is empty")))
    assert [each.name for each in found] == ["unreadable"]
    assert found[0].numbers["reasons"] == {"the file is empty": 4}


def test_equal_brightness_everywhere_does_not_make_a_small_difference_odd():
    same = dict.fromkeys(range(40), 0.5)
    assert judge_files(facts(brightness=same | {3: 0.55})) == []
