import json
import tomllib
from pathlib import Path

import pytest

from coverslip.core.errors import UserError
from coverslip.reporting import write_report
from coverslip.reporting.answers import read_answers, template
from coverslip.reporting.checklist import KEYS, LINES, checklist, checklist_section
from coverslip.reporting.run_files import read_run

from .fake_run import NAMES, write_fake_run
from .page import Page


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_fake_run(tmp_path / "run", names=NAMES[:3], images=False)


def line(run: Path, key: str, answers: dict[str, str] | None = None):
    return next(item for item in checklist(read_run(run), answers) if item.key == key)


def change(run: Path, name: str, **changes: object) -> None:
    content = json.loads((run / name).read_text("utf-8"))
    (run / name).write_text(json.dumps(content | changes), encoding="utf-8")


def test_every_line_asks_names_its_list_and_has_a_key_of_its_own() -> None:
    assert len(set(KEYS)) == len(KEYS) and 25 <= len(KEYS) <= 36
    for each in LINES:
        assert each.question.endswith("?")
        assert any(source in each.source for source in ("leakage", "CLAIM 2024", "TRIPOD+AI"))


def test_answers_of_the_run_hold_its_numbers(run: Path) -> None:
    images = json.loads((run / "test.json").read_text("utf-8"))["images"]
    assert f"{images} images" in line(run, "test_once").answer and line(run, "test_once").by == "run"
    assert "none of" in line(run, "disjoint").answer and "column plant" in line(run, "disjoint").answer
    assert "truncated" in line(run, "flow").answer
    assert "mistake" in line(run, "failures").answer


def test_only_a_person_knows_of_ethics_and_until_then_it_is_not_answered(run: Path) -> None:
    assert (line(run, "ethics").answer, line(run, "ethics").by) == ("not answered", "nobody")
    words = {"ethics": "Board 7 of Turin, 2024.", "failures": "The blurred ones."}
    assert (line(run, "ethics", words).answer, line(run, "ethics", words).by) == ("Board 7 of Turin, 2024.", "person")
    told = line(run, "failures", words)  # the run's answer is not replaced
    assert told.by == "run" and "mistake" in told.answer and told.words == "The blurred ones."


def test_the_count_of_answers_adds_up(run: Path) -> None:
    items = checklist(read_run(run), {"ethics": "yes"})
    by_run = sum(item.by == "run" for item in items)
    says = checklist_section(read_run(run), {"ethics": "yes"})["says"]
    nobody = len(items) - by_run - 1
    assert says == f"{by_run} of {len(items)} are answered from the run, 1 by a person, {nobody} by nobody."


def test_a_group_on_both_sides_and_a_test_scored_often_are_admitted(run: Path) -> None:
    rows = (run / "table.csv").read_text("utf-8").splitlines()
    first = next(number for number, row in enumerate(rows) if ",train,ok" in row)
    rows[first] = rows[first].replace(",train,ok", ",test,ok")
    (run / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    change(run, "test.json", ledger=[{"run": name} for name in "abcd"])
    assert "1 group is in more than one part" in line(run, "disjoint").answer
    assert "scored 4 times" in line(run, "test_once").answer and "too good" in line(run, "test_once").answer


def test_shortcuts_are_answered_only_where_somebody_looked(run: Path) -> None:
    assert line(run, "shortcuts").by == "nobody"
    probes = [{"value": 0.6, "verdict": "warns", "title": "The border"}, {"value": None, "title": "EXIF"}]
    change(run, "audit.json", shortcuts=probes)
    assert line(run, "shortcuts").answer == "Of 1 probe that cannot see the subject 1 warned: The border."


def test_files_of_a_full_run_answer_what_an_old_one_leaves_open(run: Path) -> None:
    keys = ("label_errors", "size", "repeats", "imbalance", "subgroups", "unfamiliar", "calibration")
    old = {key for key in keys if line(run, key).by == "nobody"}
    assert old == {*keys}
    (run / "label_errors.csv").write_text("path,label,suggested,score,suspect,part\na,x,y,0.1,true,test\n", "utf-8")
    (run / "learning_curve.json").write_text('{"fit": {"says": "twice as many leaves would buy 0.010"}}', "utf-8")
    (run / "repeats.json").write_text('{"folds": {"scores": {"accuracy": [0.81, 0.86]}}, "seeds": null}', "utf-8")
    values = [{"value": name, "accuracy": {"value": value}} for name, value in (("a", 0.7), ("b", 0.9))]
    change(
        run,
        "test.json",
        calibration={"report": {"says": "error 0.05 before, 0.02 after"}, "assumes": {"a": 0.7, "b": 0.3}},
        subgroups={"site": {"values": values}},
        familiarity={"flagged": {"value": 0.02, "low": None, "high": None}, "promised": 0.01},
    )
    assert all(line(run, key).by == "run" for key in keys)
    assert "1 label of 1, 1 of them in the test set" in line(run, "label_errors").answer
    assert "0.810 to 0.860" in line(run, "repeats").answer
    assert "accuracy 0.700 (a) to 0.900 (b)" in line(run, "subgroups").answer


@pytest.mark.parametrize(
    "name", ["table.csv", "audit.json", "history.csv", "environment.json", "predictions.csv", "experiment.toml"]
)
def test_a_missing_file_leaves_lines_open_and_breaks_nothing(run: Path, name: str) -> None:
    before = {item.key for item in checklist(read_run(run)) if item.by == "run"}
    (run / name).unlink()
    assert {item.key for item in checklist(read_run(run)) if item.by == "run"} <= before


def test_the_template_holds_the_open_lines_and_filled_in_it_is_read_back(run: Path) -> None:
    text = template(read_run(run))
    assert tomllib.loads(text) == {}  # all of it is commented
    open_lines = [item.key for item in checklist(read_run(run)) if item.by == "nobody"]
    filled = "\n".join(
        row.removeprefix("# ").replace('""', '"so"') if ' = ""' in row else row for row in text.splitlines()
    )
    (run / "answers.toml").write_text(filled, encoding="utf-8")
    assert read_answers(run / "answers.toml") == dict.fromkeys(open_lines, "so")


def test_a_wrong_key_or_value_in_the_answers_is_named_with_its_mending(run: Path) -> None:
    file = run / "answers.toml"
    file.write_text('ethic = "yes"', encoding="utf-8")
    with pytest.raises(UserError, match="did you mean 'ethics'"):
        read_answers(file)
    file.write_text("ethics = 7", encoding="utf-8")
    with pytest.raises(UserError, match="write it in quotes"):
        read_answers(file)
    file.write_text("ethics = yes", encoding="utf-8")
    with pytest.raises(UserError, match="is not TOML"):
        read_answers(file)
    with pytest.raises(UserError, match="cannot read"):
        read_answers(run / "nowhere.toml")


def test_a_persons_words_are_shown_as_such_and_never_obeyed_as_markup(run: Path) -> None:
    (run / "answers.toml").write_text('ethics = "Asked <b>all</b>."', encoding="utf-8")
    html = write_report(run).read_text("utf-8")
    assert "<b>all</b>" not in html
    assert "in the author’s words Asked <b>all</b>." in Page(html).text
