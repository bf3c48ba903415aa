import numpy as np
import pytest
from tests.task_data import write_task_images

from coverslip.core.errors import UserError
from coverslip.data.labels import ReadOptions
from coverslip.data.scan import scan
from coverslip.data.split import split_table
from coverslip.data.target import LabelTarget, ValueTarget


@pytest.fixture
def table(tmp_path):
    return write_task_images(tmp_path / "plants", images=30)


def rewrite(table, column, change):
    lines = table.read_text().splitlines()
    at = lines[0].split(",").index(column)
    cells = [line.split(",") for line in lines]
    for row, cell in change.items():
        cells[row - 1][at] = cell  # by line number
    table.write_text("\n".join(",".join(row) for row in cells) + "\n")


def read(table, **options):
    return scan(table, "plant", options=ReadOptions(**options))


def test_a_target_is_read_as_numbers_and_is_no_further_column(table):
    found = read(table, target=("share",))
    assert (found.task, found.targets, found.classes) == ("regression", ("share",), ())
    assert "share" not in found.extra_columns
    assert found.target([0, 1]).array.shape == (2, 1)


def test_the_split_balances_a_target_and_keeps_groups(table):
    found = split_table(read(table, target=("share",)))
    means = [np.mean(found.target(found.rows(split)).array) for split in ("train", "validation", "test")]
    assert max(means) - min(means) < 0.2
    groups = [set(found.groups(found.rows(split))) for split in ("train", "validation", "test")]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]


BAD = [
    ({3: "", 5: "nan"}, "has no value in lines 3 and 5"),
    ({4: "many"}, "has no number in line 4, for example 'many'"),
    ({4: "1_000"}, "has no number in line 4, for example '1_000'"),
    ({4: "12 %"}, "has no number in line 4, for example '12 %'"),
    ({6: "inf"}, "has infinite values in line 6"),
    (dict.fromkeys(range(2, 32), ""), "is empty"),
    (dict.fromkeys(range(2, 32), "0.5"), "all values of"),
]


@pytest.mark.parametrize(("change", "problem"), BAD)
def test_bad_targets_are_refused_with_their_lines(table, change, problem):
    rewrite(table, "share", change)
    with pytest.raises(UserError, match="column 'share'") as error:
        read(table, target=("share",))
    assert problem in error.value.problem


def test_a_percent_sign_and_a_decimal_comma_have_their_remedy(table):
    rewrite(table, "share", {4: "12 %"})
    with pytest.raises(UserError) as error:
        read(table, target=("share",))
    assert "remove the percent signs" in error.value.fix
    rewrite(table, "share", {4: '"0'})
    text = table.read_text().replace('"0,', '"0,31",')
    table.write_text(text)
    with pytest.raises(UserError) as error:
        read(table, target=("share",))
    assert "decimal point instead of the comma, for example 0.31" in error.value.fix


def test_images_without_a_target_are_left_out_on_request(table):
    rewrite(table, "share", {3: "", 5: "nan"})
    found = read(table, target=("share",), leave_out=("nan",))
    assert len(found) == 28
    assert any("2 images without a target left out" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"target": ("shares",)}, "no column 'shares'"),
        ({"target": ("share",), "order": ("low", "high")}, "--target and --order are for different tasks"),
        ({"target": ("share",), "task": "ordinal"}, "--target is for the task 'regression', not 'ordinal'"),
        ({"task": "regression"}, "needs --target"),
        ({"task": "ranking"}, "unknown task 'ranking'"),
        ({"target": ("share", "share")}, "names 'share' twice"),
        ({"target": ("share",), "map": ("low=high",)}, "--map is for classes"),
        ({"label_column": "grade", "order": ("low", "high")}, "--order misses the class 'middle'"),
        ({"label_column": "grade", "order": ("low", "middle", "high", "top")}, "--order names 'top'"),
        ({"labels": ("share",)}, "is neither 0 nor 1"),
        ({"target": ("share",), "label_column": "grade"}, "--target names what is predicted instead"),
        ({"labels": ("blue",), "label_column": "grade"}, "--labels names what is predicted instead"),
        ({"order": ("blue", "rust"), "label_column": "spots"}, "ordered classes need one per image"),
        ({"task": "classification", "label_column": "spots"}, "as a class 'none' is a missing value"),
    ],
)
def test_options_that_do_not_suit_the_data_are_refused(table, options, problem):
    with pytest.raises(UserError) as error:
        read(table, **options)
    assert problem in error.value.problem


def test_a_target_needs_a_table(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="--target names columns of a table"):
        scan(tmp_path, options=ReadOptions(target=("share",)))


def test_ordered_classes_keep_their_order(table):
    found = read(table, label_column="grade", order=("low", "middle", "high"))
    assert (found.task, found.classes) == ("ordinal", ("low", "middle", "high"))


def test_several_labels_are_sorted_and_counted_once(table):
    rewrite(table, "spots", {2: "rust; blue", 3: "blue;rust", 4: "rust;rust", 5: "none"})
    found = read(table, label_column="spots")
    assert (found.task, found.classes) == ("multilabel", ("blue", "rust"))
    assert found.frame["label"].to_list()[:4] == ["blue;rust", "blue;rust", "rust", "none"]
    assert any("multilabel" in note for note in found.notes)
    assert any("more than once" in note for note in found.notes)
    table.write_text(table.read_text().replace("none", "rust"))
    as_classes = read(table, label_column="spots", task="classification")
    assert as_classes.task == "classification"
    assert "blue;rust" in as_classes.classes


def test_a_target_beside_a_label_column_is_refused_with_both_ways_out(table):
    with pytest.raises(UserError) as error:
        read(table, target=("share",), label_column="grade")
    assert error.value.fix == "omit --label-column, or omit --target"


def test_cells_with_several_labels_have_the_reason_in_other_tasks(table):
    rewrite(table, "spots", {2: "rust;blue", 3: "none"})
    with pytest.raises(UserError) as error:
        read(table, label_column="spots", order=("blue", "rust"))
    assert "'spots' holds several labels in line" in error.value.problem and "'rust;blue'" in error.value.problem
    assert "omit --order" in error.value.fix
    with pytest.raises(UserError) as error:
        read(table, label_column="spots", task="classification")
    assert "omit --task classification" in error.value.fix and "--map none=NAME" in error.value.fix
    found = read(table, label_column="spots", task="classification", map=("none=healthy",))
    assert {"healthy", "rust;blue"} <= set(found.classes)
    assert any("reads each combination as a class of its own" in note for note in found.notes)


def test_a_rare_combination_of_labels_is_refused_with_its_reason(table):
    rewrite(table, "spots", {row: "rust" if row % 2 else "blue" for row in range(2, 32)} | {2: "rust;blue"})
    with pytest.raises(UserError) as error:
        split_table(read(table, label_column="spots", task="classification"))
    assert "class 'rust;blue' has 1 image" in error.value.problem
    assert "omit --task classification" in error.value.fix and "--map 'rust;blue=CLASS'" in error.value.fix


def test_an_order_may_contain_a_semicolon(table):
    rewrite(table, "grade", {row: "low;none" if row % 2 else "high" for row in range(2, 32)})
    assert read(table, label_column="grade", order=("low;none", "high")).task == "ordinal"


def test_one_label_per_image_is_noted_for_several_labels(table):
    found = read(table, label_column="grade", task="multilabel")
    assert found.task == "multilabel"
    assert any("no cell of the column 'grade' holds more than one label" in note for note in found.notes)
    assert not any("no cell" in note for note in read(table, label_column="spots", task="multilabel").notes)


def test_several_labels_need_a_table(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="the task 'multilabel' needs a table"):
        scan(tmp_path, options=ReadOptions(task="multilabel"))


def test_blanks_around_labels_are_counted(table):
    rewrite(table, "spots", {2: "rust; blue", 3: "blue ;rust", 4: "rust;blue"})
    notes = read(table, label_column="spots").notes
    assert any(
        "2 cells have blanks around labels, for example 'rust; blue'; they are ignored" in note for note in notes
    )
    rewrite(table, "spots", {2: "rust;blue", 3: "blue;rust"})
    assert not any("blanks" in note for note in read(table, label_column="spots").notes)


@pytest.mark.parametrize("name", ["A;x", "none"])
def test_a_label_column_that_could_not_be_read_back_is_refused(table, name):
    lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{lines[0]},{name},B"] + [f"{line},1,0" for line in lines[1:]]) + "\n")
    with pytest.raises(UserError, match="cannot be a label"):
        read(table, labels=(name, "B"))


def test_strata_follow_the_rarest_label_and_the_quantiles():
    members = np.array([[1, 0]] * 6 + [[1, 1]] * 2 + [[0, 0]] * 2, bool)
    assert LabelTarget(members, ("common", "rare")).strata().tolist() == [1] * 6 + [2] * 2 + [0] * 2
    values = ValueTarget(np.arange(100, dtype=np.float64)[:, None], ("v",))
    assert np.bincount(values.strata()).tolist() == [20] * 5
