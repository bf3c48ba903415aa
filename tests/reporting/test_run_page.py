import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coverslip.core.errors import UserError
from coverslip.reporting import run_page, write_report
from coverslip.reporting.run_files import read_run
from coverslip.reporting.thumbnails import Thumbnails

from .fake_run import HOSTILE, NAMES, write_fake_run
from .page import Page, need_offline


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_fake_run(home / "leaves-1")
    write_fake_run(home / "small-1", names=NAMES[:4])
    return home


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Path:
    """Copy a small run folder; the images are shared, since no test changes them."""
    return shutil.copytree(template / "small-1", tmp_path / "small-1")


@pytest.fixture(scope="module")
def html(template: Path) -> str:
    return write_report(template / "leaves-1").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def change_test(run: Path, **changes: object) -> None:
    content = json.loads((run / "test.json").read_text(encoding="utf-8"))
    (run / "test.json").write_text(json.dumps(content | changes), encoding="utf-8")


def test_a_report_is_one_file_that_needs_no_network(html: str) -> None:
    need_offline(html)


def test_a_report_stays_under_five_megabytes_however_many_images_there_are(html: str) -> None:
    assert len(html.encode()) < 5_000_000
    assert html.count("data:image/jpeg") > 20


def test_images_beyond_the_budget_are_omitted_with_a_note(run: Path) -> None:
    files = read_run(run)
    text = run_page.render_page(files, Thumbnails(files, budget=1))
    assert text.count("data:image/jpeg") == 1
    assert "were omitted to limit the size of this page" in text


def test_markup_in_a_class_name_is_escaped(page: Page, html: str) -> None:
    assert HOSTILE not in html
    assert HOSTILE in page.text
    assert "健康的叶子" in page.text and "Blé" in page.text


def test_every_link_of_a_report_has_a_target_and_ids_are_unique(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"] for tag, attributes in page.tags if tag in ("a", "use")}
    assert links and {str(link).removeprefix("#") for link in links} <= set(ids)


def test_the_headline_has_the_accuracy_with_its_interval_and_sample_size(page: Page, template: Path) -> None:
    test = json.loads((template / "leaves-1" / "test.json").read_text(encoding="utf-8"))
    accuracy, correct = test["scores"]["accuracy"], sum(test["confusion"][i][i] for i in range(len(NAMES)))
    count = f"{correct} of {test['images']} test images ({test['groups']} groups) were classified correctly: accuracy "
    assert count + f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]." in page.text


def test_every_score_has_an_interval_and_its_method_or_the_reason_why_there_is_none(page: Page) -> None:
    assert "Balanced accuracy" in page.text and "bootstrap over groups, 2,000 resamples" in page.text
    assert "no interval: a class has only one test image" in page.text  # macro AUROC
    assert "no interval: fewer than 3 groups" in page.text  # a class


def test_skipped_files_are_listed_with_their_reasons(page: Page) -> None:
    assert "class_0/broken <i>.jpg" in page.text and "truncated: 20 bytes are missing" in page.text
    assert "class_1/notes, old.png" in page.text and "not an image" in page.text


def test_a_run_without_groups_has_a_warning_above_the_headline(tmp_path: Path, page: Page) -> None:
    plain = Page(write_report(write_fake_run(tmp_path / "run", grouped=False)).read_text(encoding="utf-8"))
    warning = plain.text.index("No groups were specified.")
    assert warning < plain.text.index("were classified correctly") and "too optimistic" in plain.text
    assert "(36 groups)" not in plain.text
    assert "No groups were specified" not in page.text and "no group is in more than one split" in page.text


def test_warnings_about_the_headline_are_above_it_and_others_below(run: Path) -> None:
    scorings = {"scorings": [{"run": "a", "settings": "x"}, {"run": "b", "settings": "y"}], "warning": "used twice"}
    (run / "ledger.json").write_text(json.dumps(scorings), encoding="utf-8")
    change_test(run, seen=3, warnings=["3 images were used for training", "class a has 2 test images"])
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    headline = text.index("were classified correctly")
    assert max(text.index("3 images were used for training"), text.index("Used twice.")) < headline
    assert text.index("Class a has 2 test images.") > headline


def test_a_group_in_two_splits_is_reported(run: Path) -> None:
    table = run / "table.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if ",train,ok" in line)
    lines[first] = lines[first].replace(",train,ok", ",test,ok")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "1 group is in more than one split" in Page(write_report(run).read_text(encoding="utf-8")).text


def test_examples_are_test_images_unless_training_images_are_requested(run: Path) -> None:
    def shown(**options: bool) -> set[str]:
        tags = Page(write_report(run, **options).read_text(encoding="utf-8")).tags
        return {str(attributes["title"]) for tag, attributes in tags if tag == "img"}

    rows = [line.rsplit(",", 2) for line in (run / "table.csv").read_text(encoding="utf-8").splitlines()]
    train = {row[0].split('"')[1] for row in rows if row[1] == "train"}
    assert shown() and not shown() & train
    assert shown(training_images=True) & train
    assert shown(thumbnails=False) == set()


def test_a_missing_or_broken_image_leads_to_a_note(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", names=NAMES[:3])
    first = next(line for line in (run / "predictions.csv").read_text(encoding="utf-8").splitlines() if "leaf" in line)
    (tmp_path / "leaves" / first.split('"')[1]).write_bytes(b"\xff\xd8\xff\xe0 no more")
    assert "could not be decoded" in write_report(run).read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "leaves")
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "no longer exist at the location" in text and "the image file no longer exists" in text


def test_misclassified_images_are_sorted_by_confidence(page: Page) -> None:
    gallery = re.findall(r"true .+? 0\.\d\d predicted .+? (0\.\d\d)", page.text)
    assert gallery and gallery == sorted(gallery, reverse=True)


@pytest.mark.parametrize(
    "name", ["table.csv", "audit.json", "history.csv", "environment.json", "predictions.csv", "experiment.toml"]
)
def test_a_missing_file_is_reported_and_the_rest_is_shown(run: Path, name: str) -> None:
    (run / name).unlink()
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert re.search(rf"no {re.escape(name)} in the run folder", text) and "Balanced accuracy" in text


def test_a_test_result_alone_is_enough_for_a_page(tmp_path: Path, template: Path) -> None:
    shutil.copy(template / "leaves-1" / "test.json", tmp_path)
    assert "were classified correctly" in Page(write_report(tmp_path).read_text(encoding="utf-8")).text


def test_an_evaluation_does_not_report_a_training(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "evaluation", names=NAMES[:3], grouped=False)
    table = run / "table.csv"
    table.write_text(re.sub(",(train|validation),", ",test,", table.read_text("utf-8")), encoding="utf-8")
    (run / "history.csv").unlink()
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "No training:" in text and "coverslip evaluate RUN FOLDER" in text
    assert "too optimistic. Use" not in text and "the confidence interval below is too narrow" in text
    assert "model.name" not in text  # the settings of an evaluation are not those of the model's run


def test_images_of_an_array_file_are_shown(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 60_000, (24, 16, 16)).astype(np.uint16)
    np.savez(tmp_path / "images.npz", x=images)
    listing = [(f"x/{i:05d}", NAMES[i % 2], f"g{i}") for i in range(24)]
    run = write_fake_run(tmp_path / "run", names=NAMES[:2], source=tmp_path / "images.npz", listing=listing)
    text = write_report(run).read_text(encoding="utf-8")
    assert "data:image/jpeg" in text and "no longer" not in text


def test_a_run_without_a_test_result_is_an_error(run: Path) -> None:
    (run / "test.json").unlink()
    with pytest.raises(UserError, match=r"has no test\.json"):
        write_report(run)
    with pytest.raises(UserError, match="there is no run"):
        write_report(run / "nowhere")


def test_a_score_without_value_is_shown_as_not_defined(run: Path) -> None:
    nothing = {"value": None, "low": None, "high": None, "reason": "no test images", "images": 0, "groups": 0}
    change_test(run, scores={"accuracy": nothing}, confusion=[], classes={}, class_names=[], images=0, groups=0)
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "not defined" in text and "No confidence interval is shown: no test images." in text
    assert not re.search(r"\bnan\b", text.lower())


def test_a_report_is_never_left_half_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_report(run).read_bytes()

    def fails(*_: object, **__: object) -> str:
        raise RuntimeError("the power went")

    monkeypatch.setattr(run_page, "render_page", fails)
    with pytest.raises(RuntimeError):
        write_report(run)
    monkeypatch.undo()
    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(RuntimeError):
        write_report(run)
    assert (run / "report.html").read_bytes() == before
    assert not list(run.glob(".report*"))


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


def test_a_report_contains_no_absolute_path(html: str, template: Path) -> None:
    assert str(template) not in html and template.name not in html


def test_commands_use_a_path_relative_to_the_working_directory_or_a_dot(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report_text() -> str:
        return Page(write_report(run).read_text(encoding="utf-8")).text

    elsewhere = report_text()
    for command in ("explain . --test", "train small-1/experiment.toml", "report . Run this in the run’s own folder"):
        assert f"coverslip {command}" in elsewhere, command
    assert "in the folder that contains the run folder" in elsewhere
    monkeypatch.chdir(tmp_path)
    here = report_text()
    for command in ("explain small-1 --test", "train small-1/experiment.toml", "report small-1 Run this in the folder"):
        assert f"coverslip {command}" in here, command
    assert "If the run was moved" in here and str(tmp_path) not in here
    monkeypatch.chdir(run)
    assert "coverslip explain . --test" in report_text()


def test_a_report_of_a_hundred_classes_can_be_written(tmp_path: Path) -> None:
    names = [f"Species number {index}" for index in range(100)]
    listing = [(f"{name}/{i}.png", name, f"{name} {i}") for name in names for i in range(6)]
    text = Page(write_report(write_fake_run(tmp_path / "run", names=names, listing=listing)).read_text("utf-8")).text
    assert "too many classes for a confusion matrix" in text


def test_a_report_is_written_without_torch_or_pyplot(run: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from coverslip.reporting import write_report\n"
        f"write_report(Path({str(run)!r}))\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_mark_in_the_documents_is_the_mark_in_the_pages() -> None:
    root = Path(run_page.__file__).parents[3]
    drawn = root / "docs" / "images" / "mark.svg"
    if not drawn.exists():
        pytest.skip("no docs beside the package")
    assert drawn.read_bytes() == (root / "src" / "coverslip" / "look" / "mark.svg").read_bytes()
