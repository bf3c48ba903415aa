"""Hospitals, cameras, batches: kept whole or balanced when images are divided."""

from pathlib import Path

import polars as pl
import pytest

from coverslip.core.errors import UserError
from coverslip.data.sources.source import Files
from coverslip.data.split import site_names, split_table
from coverslip.data.table import SCHEMA, ImageTable


def hospitals(count=6, classes=2, each=12):
    """Groups of three images; patients of a class lie in all hospitals."""
    rows = [
        (f"c{c}/h{h}_p{i // 3:02d}_{i % 3}.png", f"c{c}", f"c{c}h{h}p{i // 3}", None, "ok")
        for c in range(classes)
        for h in range(count)
        for i in range(each)
    ]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    made = ImageTable(frame, Files(Path()), "t", tuple(sorted(set(frame["label"]))), "column 'group'")
    return made, site_names(made, r"(h\d+)_")


def test_a_site_that_is_kept_whole_is_in_one_part_only_and_every_class_in_every_part():
    made, sites = hospitals()
    frame = split_table(made, sites=sites).frame.with_columns(site=pl.Series(sites))
    assert frame.group_by("site").agg(pl.col("split").n_unique())["split"].max() == 1
    assert frame.group_by("label").agg(pl.col("split").n_unique())["split"].min() == 3


def test_sites_can_be_balanced_instead_and_groups_stay_whole():
    made, sites = hospitals(count=3, each=60)
    frame = split_table(made, sites=sites, whole_sites=False).frame.with_columns(site=pl.Series(sites))
    assert frame.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    for (part,), some in frame.group_by("split"):
        assert some["site"].value_counts()["count"].to_list() == [len(some) // 3] * 3, part
        assert some["label"].value_counts()["count"].to_list() == [len(some) // 2] * 2, part


def test_two_sites_for_three_parts_are_refused_with_the_reason():
    made, sites = hospitals(count=2)
    with pytest.raises(UserError, match="2 sites for 3 parts"):
        split_table(made, sites=sites)


def test_a_patient_in_two_hospitals_keeps_both_in_one_part_and_a_note_says_so():
    made, sites = hospitals()
    groups = made.frame["group"].to_list()
    groups = ["traveler" if row in (0, 40) else group for row, group in enumerate(groups)]
    assert sites[0] != sites[40]
    split = split_table(made.with_columns(group=groups), sites=sites)
    parts = split.frame["split"].to_list()
    assert len({part for part, site in zip(parts, sites, strict=True) if site in (sites[0], sites[40])}) == 1
    assert any("'traveler' in 'h0' and 'h3'" in note for note in split.notes)


def test_a_patient_who_leaves_too_few_sites_is_named():
    made, sites = hospitals(count=3)
    groups = ["traveler" if row in (0, 20) else group for row, group in enumerate(made.frame["group"])]
    with pytest.raises(UserError, match="3 sites for 3 parts, of which groups such as 'traveler' join some"):
        split_table(made.with_columns(group=groups), sites=sites)


def test_a_misspelt_site_column_is_answered_with_the_nearest():
    made, _ = hospitals()
    made = made.with_columns(hospital=["x"] * len(made))
    assert site_names(made, "hospital") == ["x"] * len(made)
    with pytest.raises(UserError, match="did you mean 'hospital'"):
        site_names(made, "hospitl")


def test_the_split_of_sites_is_the_same_for_the_same_seed_and_another_for_another():
    made, sites = hospitals()
    one, same, other = (split_table(made, seed=seed, sites=sites).frame["split"].to_list() for seed in (0, 0, 3))
    assert one == same != other


def test_images_of_an_unknown_hospital_are_divided_by_group():
    made, sites = hospitals(count=4)
    sites = [None if site == "h3" else site for site in sites]
    frame = split_table(made, sites=sites).frame.with_columns(site=pl.Series(sites))
    known = frame.filter(pl.col("site").is_not_null())
    assert known.group_by("site").agg(pl.col("split").n_unique())["split"].max() == 1
    assert frame.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
