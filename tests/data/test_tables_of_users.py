"""Tables as users write them: other column names, given splits, missing values, separators and encodings."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.data.labels import ReadOptions
from coverslip.data.missing import missing_rows
from coverslip.data.proposals import propose_groups
from coverslip.data.scan import scan
from coverslip.data.split import split_table

COUNT = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for number in range(COUNT):
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(folder / f"{number:02d}.png")
    return folder


def write(folder, header, row, separator=",", encoding="utf-8", end="\n", name="t.csv"):
    lines = [header, *(row(number) for number in range(COUNT))]
    text = end.join(line.replace(",", separator) for line in lines) + end
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def label(number):
    return "ab"[number % 2]


def row(*cells):
    return lambda number: ",".join([f"{number:02d}.png", label(number), *(cell(number) for cell in cells)])


@pytest.mark.parametrize("header", ["Path,Label,Split", " path , LABEL,split ", "filename,class,subset"])
def test_columns_are_matched_without_case_and_blanks_and_by_common_names(folder, header):
    table = scan(write(folder, header, row(lambda n: "Test" if n < 4 else "Train")))
    assert table.classes == ("a", "b")
    assert table.frame["split"].to_list() == ["test"] * 4 + ["train"] * 20
    assert table.extra_columns == []
    assert "were read by other names" in table.notes[0]


def test_is_valid_marks_the_validation_set_unless_most_images_are_marked(folder):
    table = scan(write(folder, "path,label,is_valid", row(lambda n: str(n < 4))))
    assert table.frame["split"].to_list() == ["validation"] * 4 + ["train"] * 20
    table = scan(write(folder, "path,label,is_valid", row(lambda n: str(n > 4))))
    assert table.frame["split"].null_count() == COUNT
    assert any("--split-column 'is_valid'" in note for note in table.notes)


def test_two_columns_that_could_be_the_label_are_refused_and_an_option_chooses(folder):
    file = write(folder, "path,class,target", row(lambda n: "x" if n < 8 else "y"))
    with pytest.raises(UserError, match=r"'class', 'target'(.|\n)*--label-column"):
        scan(file)
    assert scan(file, options=ReadOptions(label_column="Target")).classes == ("x", "y")


def test_images_marked_train_stay_there_and_only_those_without_a_split_are_drawn(folder):
    table = scan(write(folder, "path,label,split", row(lambda n: "train" if n < 12 else "")))
    split = split_table(table).frame["split"].to_list()
    assert split[:12] == ["train"] * 12
    assert {"validation", "test"} <= set(split[12:])


def test_an_image_without_a_split_follows_its_group(folder):
    table = scan(
        write(folder, "path,label,split,group", row(lambda n: "train" if n < 12 else "", lambda n: f"g{n % 12}"))
    )
    with pytest.raises(UserError, match="too few for a validation set"):
        split_table(table)


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_table_without_training_images_is_refused(folder, split):
    with pytest.raises(UserError, match=f"no image is in the train set \\({split} 24\\)"):
        split_table(scan(write(folder, "path,label,split", row(lambda n: split))))


@pytest.mark.parametrize("word", ["", "nan", "NaN", "NA", "N/A", "None", "null"])
def test_a_missing_label_is_refused_with_its_lines(folder, word):
    file = write(folder, "path,label", lambda n: f"{n:02d}.png,{word if n in (0, 5) else label(n)}")
    with pytest.raises(UserError, match="no label in lines 2 and 7"):
        scan(file)


def test_a_missing_label_can_be_left_out_or_given_a_name(folder):
    file = write(folder, "path,label", lambda n: f"{n:02d}.png,{'None' if n < 6 else label(n)}")
    assert len(scan(file, options=ReadOptions(leave_out=("None",)))) == 18
    assert scan(file, options=ReadOptions(map=("None=healthy",))).classes == ("a", "b", "healthy")


def test_minus_one_is_missing_among_numbers_but_not_as_one_of_two_classes():
    assert missing_rows(["0", "-1", "2"]) == [1]
    assert missing_rows(["-1", "1", "-1"]) == []
    assert missing_rows(["rust", "-1"]) == []


def test_nan_in_a_parquet_column_of_floats_is_a_missing_label_and_the_others_are_integers(folder):
    values = [float("nan") if n == 3 else float(n % 2) for n in range(COUNT)]
    file = folder / "t.parquet"
    pl.DataFrame({"path": [f"{n:02d}.png" for n in range(COUNT)], "label": values}).write_parquet(file)
    with pytest.raises(UserError, match="no label in line 5"):
        scan(file)
    pl.read_parquet(file).with_columns(pl.col("label").fill_nan(1.0)).write_parquet(file)
    assert scan(file).classes == ("0", "1")


def test_nan_is_no_patient(folder):
    file = write(folder, "path,label,patient", row(lambda n: "nan" if n < 2 else f"p{n // 2}"))
    table = scan(file, "Patient")
    assert table.frame["group"].to_list()[:3] == [None, None, "p1"]
    assert any("'nan' in the column 'patient'" in note and "lines 2 and 3" in note for note in table.notes)


def test_a_missing_split_is_treated_as_empty_with_a_note(folder):
    table = scan(write(folder, "path,label,split", row(lambda n: "nan" if n == 1 else "train")))
    assert table.frame["split"][1] is None
    assert any("no split (line 3)" in note for note in table.notes)


def test_a_column_of_patients_is_proposed_as_groups(folder):
    table = scan(write(folder, "path,label,patient_id,image_id", row(lambda n: f"p{n // 4}{label(n)}", str)))
    assert propose_groups(table)[0].option == "patient_id"
    assert not any("patient_id" in note for note in table.notes)
    table = scan(write(folder, "path,label,patient_id", row(lambda n: f"p{n // 12}")))  # too few to be proposed
    assert any("add --group 'patient_id'" in note for note in table.notes)


@pytest.mark.parametrize(("separator", "end", "encoding"), [
    (";", "\n", "utf-8"), ("\t", "\r\n", "utf-8-sig"), (",", "\r", "utf-8"), ("\t", "\r\n", "utf-16"),
    (";", "\n", "cp1252"),
])  # fmt: skip
def test_separators_line_ends_and_encodings_are_recognized(folder, separator, end, encoding):
    table = scan(write(folder, "path,label,site", row(lambda n: "Köln"), separator, encoding, end))
    assert len(table) == COUNT
    assert table.frame["site"][0] == "Köln"


def test_decimal_commas_comments_blank_and_empty_rows_are_read(folder):
    lines = ["# made by hand", "path;label;area", *(f"{n:02d}.png;{label(n)};{n},5" for n in range(COUNT)), ";;", ""]
    (folder / "t.csv").write_text("\n".join(lines))
    assert scan(folder / "t.csv").frame["area"][3] == "3.5"


def test_a_row_with_too_many_cells_is_named(folder):
    file = write(folder, "path,label", lambda n: f"{n:02d}.png,a" + ",x" * (n == 4))
    with pytest.raises(UserError, match="line 6 has 3 cells, and the header has 2"):
        scan(file)


def test_paths_without_an_extension_are_completed(folder):
    table = scan(write(folder, "path,label", lambda n: f"{n:02d},{label(n)}"))
    assert table.paths[0] == "00.png"
    assert "24 paths without an extension were completed" in table.notes[0]


def test_classes_are_merged_and_left_out(folder):
    file = write(folder, "path,label", lambda n: f"{n:02d}.png,{'abcd'[n % 4]}")
    table = scan(file, options=ReadOptions(map=("b=a",), leave_out=("c",)))
    assert table.classes == ("a", "d")
    assert len(table) == 18
    with pytest.raises(UserError, match="no image has the label 'e'"):
        scan(file, options=ReadOptions(map=("e=a",)))


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"y": np.array([0, np.nan, 1, 0])}, "y has no label in row 1"),
        ({"y": np.array([0, -1, 2, 0])}, "y has no label in row 1"),
        ({"y": np.array([0, 1, 1, 0]), "class_names": np.array(["a", "a"])}, "contains 'a' more than once"),
    ],
)
def test_labels_of_arrays_are_checked(tmp_path, arrays, problem):
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 8, 8), np.uint8), **arrays)
    with pytest.raises(UserError, match=problem):
        scan(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (np.array([0.0, np.nan, 1.0, 0.0]), "nan"),
        (np.array([0, -1, 1, 0]), "-1"),
        (np.array(["a", "NaN", "b", "a"]), "NaN"),
    ],
)
def test_the_fix_for_missing_labels_of_an_array_works(tmp_path, labels, word):
    file = tmp_path / "x.npz"
    np.savez(file, x=np.zeros((4, 8, 8), np.uint8), y=labels)
    with pytest.raises(UserError, match=f"--leave-out {word}"):
        scan(file)
    assert len(scan(file, options=ReadOptions(leave_out=(word,)))) == 3
    assert "other" in scan(file, options=ReadOptions(map=(f"{word}=other",))).classes
