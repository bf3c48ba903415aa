import io

from rich.console import Console

from coverslip.cli.terminal import _class_table


def test_the_confusion_matrix_has_a_row_per_class_with_its_recall():
    score = {"value": 0.75, "low": 0.4, "high": 0.95, "images": 4, "groups": 4, "level": 0.95, "method": ""}
    none = {**score, "value": None, "low": None, "high": None}
    evidence = {
        "class_names": ["rust [early]", "spot"],
        "confusion": [[3, 1], [0, 0]],
        "classes": {"rust [early]": {"recall": score}, "spot": {"recall": none}},
    }
    file = io.StringIO()
    Console(file=file, width=80).print(_class_table(evidence))
    rows = [line.split() for line in file.getvalue().splitlines()[1:]]
    assert rows[0] == ["1", "rust", "[early]", "0.75", "[0.40,", "0.95]", "3", "1"]
    assert rows[1] == ["2", "spot", "no", "test", "image", "0", "0"]
