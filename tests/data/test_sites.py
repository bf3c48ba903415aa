"""Splits by site (hospital, camera, batch): sites are kept intact or balanced."""

from pathlib import Path

import polars as pl
import pytest

from coverslip.core.errors import UserError
from coverslip.data.sources.source import Files
from coverslip.data.split import site_names, split_table
from coverslip.data.table import SCHEMA, ImageTable


def hospitals(count=6, classes=2, images=12):
    """Return a table with groups of three images and every class in every hospital, and its sites."""
    rows = [
        (f"c{c}/h{h}_p{i // 3:02d}_{i % 3}.png", f"c{c}", f"c{c}h{h}p{i // 3}", None, "ok")
        for c in range(classes)
        for h in range(count)
        for i in range(images)
    ]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    table = ImageTable(frame, Files(Path()), "t", tuple(sorted(set(frame["label"]))), "column 'group'")
    return table, site_names(table, r"(h\d+)_")


def test_an_intact_site_is_in_one_split_only_and_every_class_in_every_split():
    table, sites = hospitals()
    frame = split_table(table, sites=sites).frame.with_columns(site=pl.Series(sites))
    assert frame.group_by("site").agg(pl.col("split").n_unique())["split"].max() == 1
    assert frame.group_by("label").agg(pl.col("split").n_unique())["split"].min() == 3


def test_sites_can_be_balanced_instead_and_groups_stay_intact():
    table, sites = hospitals(count=3, images=60)
    frame = split_table(table, sites=sites, keep_sites_intact=False).frame.with_columns(site=pl.Series(sites))
    assert frame.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    for (split,), images in frame.group_by("split"):
        assert images["site"].value_counts()["count"].to_list() == [len(images) // 3] * 3, split
        assert images["label"].value_counts()["count"].to_list() == [len(images) // 2] * 2, split


def test_two_sites_for_three_splits_are_rejected_with_the_reason():
    table, sites = hospitals(count=2)
    with pytest.raises(UserError, match=r"2 sites .* 3 splits"):
        split_table(table, sites=sites)


def test_a_patient_in_two_hospitals_keeps_both_in_one_split_and_a_note_says_so():
    table, sites = hospitals()
    groups = table.frame["group"].to_list()
    groups = ["traveler" if row in (0, 40) else group for row, group in enumerate(groups)]
    assert sites[0] != sites[40]
    split = split_table(table.with_columns(group=groups), sites=sites)
    splits = split.frame["split"].to_list()
    assert len({name for name, site in zip(splits, sites, strict=True) if site in (sites[0], sites[40])}) == 1
    assert any("'traveler' of 'h0' and 'h3'" in note for note in split.notes)


def test_a_patient_who_leaves_too_few_sites_is_named_in_the_error():
    table, sites = hospitals(count=3)
    groups = ["traveler" if row in (0, 20) else group for row, group in enumerate(table.frame["group"])]
    with pytest.raises(UserError, match=r"3 sites .* 3 splits .*'traveler'"):
        split_table(table.with_columns(group=groups), sites=sites)


def test_a_misspelt_site_column_is_answered_with_the_nearest():
    table, _ = hospitals()
    table = table.with_columns(hospital=["x"] * len(table))
    assert site_names(table, "hospital") == ["x"] * len(table)
    with pytest.raises(UserError, match="did you mean 'hospital'"):
        site_names(table, "hospitl")


def test_the_split_of_sites_is_the_same_for_the_same_seed_and_another_for_another():
    table, sites = hospitals()
    one, same, other = (split_table(table, seed=seed, sites=sites).frame["split"].to_list() for seed in (0, 0, 3))
    assert one == same != other


def test_images_of_an_unknown_hospital_are_split_by_group():
    table, sites = hospitals(count=4)
    sites = [None if site == "h3" else site for site in sites]
    frame = split_table(table, sites=sites).frame.with_columns(site=pl.Series(sites))
    known = frame.filter(pl.col("site").is_not_null())
    assert known.group_by("site").agg(pl.col("split").n_unique())["split"].max() == 1
    assert frame.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
