import json
import tomllib
from pathlib import Path

import pytest

from coverslip.core.errors import UserError
from coverslip.reporting import write_report
from coverslip.reporting.answers import read_answers, template
from coverslip.reporting.checklist import KEYS, QUESTIONS, checklist, checklist_section
from coverslip.reporting.run_files import read_run

from .fake_run import NAMES, write_fake_run
from .page import Page


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_fake_run(tmp_path / "run", names=NAMES[:3], images=False)


def item_of(run: Path, key: str, answers: dict[str, str] | None = None):
    return next(item for item in checklist(read_run(run), answers) if item.key == key)


def change(run: Path, name: str, **changes: object) -> None:
    content = json.loads((run / name).read_text("utf-8"))
    (run / name).write_text(json.dumps(content | changes), encoding="utf-8")


def test_every_question_names_its_guideline_and_has_a_unique_key() -> None:
    assert len(set(KEYS)) == len(KEYS) and 25 <= len(KEYS) <= 36
    for question in QUESTIONS:
        assert question.text.endswith("?")
        assert any(source in question.source for source in ("leakage", "CLAIM 2024", "TRIPOD+AI"))


def test_answers_of_the_run_contain_its_numbers(run: Path) -> None:
    images = json.loads((run / "test.json").read_text("utf-8"))["images"]
    assert f"{images} images" in item_of(run, "test_once").answer and item_of(run, "test_once").by == "run"
    assert "none of" in item_of(run, "disjoint").answer and "column plant" in item_of(run, "disjoint").answer
    assert "truncated" in item_of(run, "flow").answer
    assert "misclassified" in item_of(run, "failures").answer


def test_a_question_for_the_author_is_open_until_answered(run: Path) -> None:
    assert (item_of(run, "ethics").answer, item_of(run, "ethics").by) == ("not answered", None)
    answers = {"ethics": "Board 7 of Turin, 2024.", "failures": "The blurred ones."}
    ethics, failures = item_of(run, "ethics", answers), item_of(run, "failures", answers)
    assert (ethics.answer, ethics.by) == ("Board 7 of Turin, 2024.", "author")
    assert failures.by == "run" and "misclassified" in failures.answer  # the run's answer is not replaced
    assert failures.comment == "The blurred ones."


def test_the_count_of_answers_adds_up(run: Path) -> None:
    items = checklist(read_run(run), {"ethics": "yes"})
    by_run = sum(item.by == "run" for item in items)
    section = checklist_section(read_run(run), {"ethics": "yes"})
    assert len(section["open"]) == len(items) - by_run - 1
    assert f"{by_run} of {len(items)} questions" in section["summary"]
    assert f"1 by the author; {len(section['open'])} are unanswered." in section["summary"]


def test_a_group_in_two_splits_and_repeated_use_of_the_test_set_are_reported(run: Path) -> None:
    rows = (run / "table.csv").read_text("utf-8").splitlines()
    first = next(number for number, row in enumerate(rows) if ",train,ok" in row)
    rows[first] = rows[first].replace(",train,ok", ",test,ok")
    (run / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    change(run, "test.json", ledger=[{"run": name} for name in "abcd"])
    assert "1 group is in more than one split" in item_of(run, "disjoint").answer
    assert "scored 4 times" in item_of(run, "test_once").answer


def test_the_shortcut_question_is_answered_only_if_probes_were_run(run: Path) -> None:
    assert item_of(run, "shortcuts").by is None
    probes = [{"value": 0.6, "verdict": "warns", "title": "The border"}, {"value": None, "title": "EXIF"}]
    change(run, "audit.json", shortcuts=probes)
    answer = item_of(run, "shortcuts").answer
    assert answer.startswith("Yes: 1 of 1 probe") and answer.endswith("The border.")


def test_a_run_with_all_files_answers_questions_that_an_old_run_leaves_open(run: Path) -> None:
    keys = ("label_errors", "size", "repeats", "imbalance", "subgroups", "unfamiliar", "calibration")
    old = {key for key in keys if item_of(run, key).by is None}
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
    assert all(item_of(run, key).by == "run" for key in keys)
    assert "1 label of 1, 1 of them in the test set" in item_of(run, "label_errors").answer
    assert "0.810 to 0.860" in item_of(run, "repeats").answer
    assert "accuracy 0.700 (a) to 0.900 (b)" in item_of(run, "subgroups").answer


@pytest.mark.parametrize(
    "name", ["table.csv", "audit.json", "history.csv", "environment.json", "predictions.csv", "experiment.toml"]
)
def test_a_missing_file_leaves_questions_open(run: Path, name: str) -> None:
    before = {item.key for item in checklist(read_run(run)) if item.by == "run"}
    (run / name).unlink()
    assert {item.key for item in checklist(read_run(run)) if item.by == "run"} <= before


def test_the_template_contains_the_open_questions_and_is_read_back_when_filled_in(run: Path) -> None:
    text = template(read_run(run))
    assert tomllib.loads(text) == {}  # all of it is commented
    open_keys = [item.key for item in checklist(read_run(run)) if item.by is None]
    filled = "\n".join(
        row.removeprefix("# ").replace('""', '"so"') if ' = ""' in row else row for row in text.splitlines()
    )
    (run / "answers.toml").write_text(filled, encoding="utf-8")
    assert read_answers(run / "answers.toml") == dict.fromkeys(open_keys, "so")


def test_a_wrong_key_or_value_in_the_answers_is_an_error_with_a_fix(run: Path) -> None:
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


def test_answers_of_the_author_are_marked_and_escaped(run: Path) -> None:
    (run / "answers.toml").write_text('ethics = "Asked <b>all</b>."', encoding="utf-8")
    html = write_report(run).read_text("utf-8")
    assert "<b>all</b>" not in html
    assert "answered by the author Asked <b>all</b>." in Page(html).text
