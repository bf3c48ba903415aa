import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverslip.core.errors import UserError
from coverslip.reporting import run_page, write_audit_page, write_report
from coverslip.reporting.audit_sections import next_commands, verdict
from coverslip.reporting.run_files import read_run
from coverslip.reporting.thumbnails import Thumbnails

from .fake_audit import finding, histogram, price, probe, write_fake_audit
from .fake_run import HOSTILE, NAMES, draw_image, write_fake_run
from .page import Page, need_offline

TWINS = [["healthy/a 1.jpg", "healthy/a 2.jpg"], ["healthy/b.jpg", "rust/b.jpg"]]
CHAIN = [f"rust/chain {i}.jpg" for i in range(30)]
LABELS = {path: path.split("/")[0] for path in [*TWINS[0], *TWINS[1], *CHAIN]} | {"odd/x.jpg": HOSTILE}
PROPOSAL = {
    "use": r"(.+) \d",
    "speaks": "Names that differ in their last number only.",
    "groups": 12,
    "images": 31,
    "largest": 30,
    "examples": [CHAIN[:4], TWINS[0]],
}
FEW = probe("encoder", 0.5, low=None, high=None, chance=None, reason="fewer than 3 groups")
FULL: dict[str, Any] = {
    "findings": [
        finding("label-conflict", "blocks", TWINS[1:], title="1 image is filed under two classes at once"),
        finding("group-leak", "blocks", [CHAIN[:3]], decision="accepted"),
        finding("near-copies", "warns", [TWINS[0], CHAIN]),
        finding("dark", "notes", [[path] for path in CHAIN], title=f"dark ones, such as {HOSTILE}"),
        finding("odd-color", "notes", [["odd/x.jpg"]]),
    ],
    "distributions": {"brightness": histogram(0, 1), "bytes": histogram(10_000, 50_000), "new fact": histogram(0, 9)},
    "groups": {"by": None, "count": None, "sizes": None, "proposals": [PROPOSAL]},
    "shortcuts": [probe("border", 0.8, "warns"), probe("file size", 0.4, "notes"), probe("exif", None), FEW],
    "price": price(),
}


def read(folder: Path, **options: bool) -> Page:
    return Page(write_audit_page(folder, **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(1)
    for path in LABELS:
        draw_image(home / "leaves" / path, rng)
    return write_fake_audit(home / "audit", labels=LABELS, **FULL)


@pytest.fixture(scope="module")
def html(full: Path) -> str:
    return write_audit_page(full).read_text(encoding="utf-8")


def test_an_audit_page_is_one_small_valid_file_that_needs_no_network(html: str) -> None:
    need_offline(html)
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"]) for tag, attributes in page.tags if tag in ("a", "use")}
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert html.count("data:image/jpeg") > 30 and len(html) < 1_000_000


def test_the_page_begins_with_the_verdict_and_the_next_commands(html: str) -> None:
    text = Page(html).text
    assert "1 error, 1 warning, 2 notes. Training is blocked until the error is resolved. 1 finding: accepted." in text
    assert "coverslip train leaves --accept group-leak --fix" in text
    assert "coverslip train leaves --accept group-leak --drop label-conflict" in text


def test_findings_are_sorted_by_severity_shown_in_words_and_shapes(html: str) -> None:
    severities = re.findall(r'<svg class="sign (\w+)".*?<b>([^<]+)</b>', html[: html.index('id="data"')], re.DOTALL)
    assert severities == [
        ("blocks", "error"),
        ("decided", "accepted"),
        ("warns", "warning"),
        ("notes", "note"),
        ("notes", "note"),
    ]
    shapes = [re.sub(r'class="[^"]*"', "", sign) for sign in re.findall(r'<svg class="sign.*?</svg>', html, re.DOTALL)]
    assert len(set(shapes[:4])) == 4
    assert "--accept label-conflict" in html and "--accept near-copies" not in html


def test_an_image_with_two_labels_is_shown_with_both(html: str) -> None:
    conflict = Page(html[html.index('<li class="frame differ">') :].partition("</li>")[0] + "</li>")
    assert "2 labels: healthy | rust" in conflict.text
    shown = [attributes["title"] for tag, attributes in conflict.tags if tag == "img"]
    assert shown == TWINS[1]
    assert html.count('class="frame differ"') == 1  # duplicates with the same label are no conflict


def test_long_lists_are_folded_and_truncated_with_the_number_of_the_rest(html: str) -> None:
    text = Page(html).text
    assert "and 22 more (all are in audit.json)" in text  # of the chain of 30
    assert "18 more" in text  # of the gallery of 30


def test_every_label_of_a_long_chain_is_among_the_images_shown(tmp_path: Path) -> None:
    chain = [*CHAIN, "healthy/b.jpg"]
    labels = {path: path.split("/")[0] for path in chain}
    folder = write_fake_audit(tmp_path / "audit", labels=labels, findings=[finding("near-copies", "warns", [chain])])
    assert "healthy/b.jpg" in read(folder).text


def test_proposed_groups_are_shown_with_their_option(html: str) -> None:
    text = Page(html).text
    assert r"--group '(.+) \d'" in text and PROPOSAL["speaks"] in text
    assert "12 groups; 31 images are in groups of two or more; the largest group has 30 images" in text


def test_probes_have_interval_chance_level_and_verdict_or_the_reason_why_not(html: str) -> None:
    text = Page(html).text
    assert "0.80 [0.76, 0.85]" in text and "chance 0.25" in text
    assert "shortcut" in text and "not run every file has the same" in text
    assert "No confidence interval: fewer than 3 groups." in text


def test_inflation_by_leakage_is_one_sentence_and_a_figure(html: str) -> None:
    sentence = price()["says"]
    assert f"R{sentence[1:]}." in Page(html).text and 'id="audit-inflation-' in html


def test_markup_in_names_is_escaped(html: str) -> None:
    assert HOSTILE not in html and HOSTILE in Page(html).text


def test_an_audit_without_findings(tmp_path: Path) -> None:
    text = read(write_fake_audit(tmp_path / "audit", labels=LABELS, shortcuts=[probe("border", 0.3)])).text
    assert "No problems were found." in text and "there are no findings" in text
    assert text.count("Not run") == 1  # inflation by leakage
    assert "suggest none" in text


def test_checks_that_were_not_run_are_listed_with_their_command(tmp_path: Path) -> None:
    text = read(write_fake_audit(tmp_path / "audit", labels=LABELS)).text
    assert "No problems were found in files, labels, duplicates, groups and split" in text
    assert "shortcuts were not tested" in text and "run: coverslip audit leaves" in text
    assert text.count("Not run") == 2 and "needs specified or proposed groups" in text  # shortcuts and inflation
    groups = {"by": "column leaf", "count": 3, "sizes": None, "proposals": []}
    given = {"source": "../leaves", "group": "leaf no", "site": ""}
    text = read(write_fake_audit(tmp_path / "grouped", labels=LABELS, groups=groups, given=given)).text
    assert "run: coverslip audit leaves --group 'leaf no'" in text
    assert "needs specified or proposed groups" not in text


def test_next_commands_have_a_relative_path_and_the_group_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"source": "../data/leaves", "group": "shots:6", "site": "camera"}
    folder = write_fake_audit(tmp_path / "look", root="../data/leaves", labels=LABELS, given=given)
    assert "coverslip train leaves --group shots:6 --site camera" in read(folder).text
    monkeypatch.chdir(tmp_path)
    assert "coverslip train data/leaves --group shots:6 --site camera" in read(folder).text


@pytest.mark.parametrize("empty", [{}, {"groups": None, "distributions": None, "classes": None, "sizes": None}])
def test_a_page_is_written_although_keys_are_missing(tmp_path: Path, empty: dict[str, None]) -> None:
    folder = write_fake_audit(tmp_path / "audit", table=False, **{"findings": None, "survives": None, **empty})
    assert "No problems were found" in read(folder).text


def test_an_audit_of_an_older_version_is_shown_as_incomplete(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "audit", labels=LABELS)
    content = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    for key in ("findings", "classes", "distributions", "groups", "shortcuts", "price"):
        del content[key]
    (folder / "audit.json").write_text(json.dumps(content), encoding="utf-8")
    text = read(folder).text
    assert "audit.json has no findings" in text and "Exact duplicatesnone" in text


def test_missing_images_are_listed_by_name(tmp_path: Path) -> None:
    page = read(write_fake_audit(tmp_path / "audit", labels=LABELS, **FULL))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "rust/b.jpg" in page.text and "no longer exist at the location" in page.text


def test_a_page_without_images_lists_their_names(full: Path) -> None:
    page = read(full, thumbnails=False)
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "rust/b.jpg" in page.text and "2 labels: healthy | rust" in page.text
    write_audit_page(full)


def test_labels_are_taken_from_folders_if_there_is_no_table(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "audit", labels=LABELS, table=False, findings=FULL["findings"])
    assert "2 labels: healthy | rust" in read(folder).text


def test_splits_are_shown_if_a_set_is_in_several(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "audit", labels=LABELS, findings=[finding("copy-leak", "blocks", TWINS)])
    table = folder / "table.csv"
    table.write_text(table.read_text("utf-8").replace("a 2.jpg,healthy,,train", "a 2.jpg,healthy,,test"), "utf-8")
    text = read(folder).text
    assert "a 1.jpg healthy train" in text and "a 2.jpg healthy test" in text
    assert text.count("healthy train") == 1  # the other pair is in one split


def test_hundreds_of_findings_with_hundreds_of_images_stay_under_five_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (500, 128, 128, 3), np.uint8)  # cannot be compressed
    np.savez(tmp_path / "noise.npz", x=noise)
    paths = [f"x/{i:05d}" for i in range(500)]
    findings = [finding(f"kind-{n}", "warns", [[path] for path in paths]) for n in range(250)]
    findings += [finding(f"pairs-{n}", "warns", [paths[i : i + 2] for i in range(0, 500, 2)]) for n in range(250)]
    labels = dict.fromkeys(paths, "a")
    folder = write_fake_audit(tmp_path / "audit", root="..", source="noise.npz", labels=labels, findings=findings)
    html = write_audit_page(folder).read_text(encoding="utf-8")
    assert len(html.encode()) < 5_000_000 and html.count("data:image/jpeg") > 100
    assert "omitted to limit the size of this page" in html
    assert html.count('<article class="finding') == 500


def test_a_folder_without_an_audit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no audit\.json"):
        write_audit_page(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        write_audit_page(tmp_path / "nowhere")


def test_next_commands_do_not_include_commands_that_would_fail() -> None:
    everything = finding("one-image", "blocks", [CHAIN])
    no_split = finding("no-split", "blocks")
    commands = next_commands({"read": 30, "findings": [everything]}, "leaves 1")
    assert [command for _, command in commands] == ["coverslip train 'leaves 1' --accept one-image"]
    commands = next_commands({"read": 30, "findings": [no_split]}, "FOLDER")
    assert [command for _, command in commands] == ["coverslip audit FOLDER"]


def test_next_commands_without_errors_begin_with_the_proposed_groups() -> None:
    commands = next_commands({"findings": [], "groups": {"by": None, "proposals": [PROPOSAL]}}, "leaves")
    assert [command for _, command in commands] == [
        r"coverslip train leaves --group '(.+) \d'",
        "coverslip train leaves",
    ]
    commands = next_commands({"findings": [], "groups": {"by": "column leaf", "proposals": [PROPOSAL]}}, "leaves")
    assert [command for _, command in commands] == ["coverslip train leaves"]
    given = {"source": "../leaves", "group": "shots:6", "site": ""}
    commands = next_commands({"findings": [finding("no-split", "blocks")], "given": given}, "leaves")
    assert [command for _, command in commands] == ["coverslip audit leaves --group shots:6"]


def test_findings_with_a_decision_are_counted_separately() -> None:
    result = verdict([finding("a", "blocks", decision="fixed"), finding("b", "warns"), finding("c", "notes")])
    assert result["sentence"] == "1 warning, 1 note. Nothing blocks training."
    assert result["decided"] == "1 finding: fixed."
    assert verdict([finding("c", "notes")])["sentence"] == "1 note. Nothing blocks training."


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose audit found a pair of duplicates in the training set and one in the test set."""
    folder = write_fake_run(tmp_path / "run", names=NAMES[:3])
    rows = [line.rsplit(",", 4) for line in (folder / "table.csv").read_text(encoding="utf-8").splitlines()]
    paths = {part: [row[0].split('"')[1] for row in rows if row[3] == part][:2] for part in ("train", "test")}
    audit = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    findings = [finding("exact-copies", "warns", [paths["train"], paths["test"]], title="4 copies")]
    audit |= {**FULL, "findings": findings, "classes": dict.fromkeys(NAMES[:3], 10)}
    (folder / "audit.json").write_text(json.dumps(audit), encoding="utf-8")
    return folder


def audit_section_of(folder: Path, **options: bool) -> Page:
    html = write_report(folder, **options).read_text(encoding="utf-8")
    return Page(re.search(r'<section id="audit">.*?</section>', html, re.DOTALL)[0])  # type: ignore[index]


def test_a_report_has_the_findings_and_shows_training_images_only_on_request(run: Path) -> None:
    def shown(page: Page) -> int:
        return sum(tag == "img" for tag, _ in page.tags)

    page = audit_section_of(run)
    assert "1 warning. Nothing blocks training." in page.text and "4 copies" in page.text
    assert shown(page) == 2 and shown(audit_section_of(run, thumbnails=False)) == 0
    assert "listed by name only" in page.text
    assert shown(audit_section_of(run, training_images=True)) >= 4


def test_a_report_does_not_repeat_itself_and_lists_checks_that_were_not_run(run: Path) -> None:
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "Exact duplicates4" not in text and "Only exact duplicates" not in text
    assert "No shortcut probes were run" not in text
    audit = json.loads((run / "audit.json").read_text(encoding="utf-8"))
    (run / "audit.json").write_text(json.dumps(audit | {"shortcuts": None}), encoding="utf-8")
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "No shortcut probes were run" in text and "run: coverslip audit experiment.toml" in text
    (run / "audit.json").write_text(json.dumps(audit | {"shortcuts": None, "findings": []}), encoding="utf-8")
    assert "No problems were found in files, labels, duplicates, groups and split" in audit_section_of(run).text


def test_the_report_of_an_older_run_has_no_findings(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run", names=NAMES[:3])
    assert "audit.json has no findings" in audit_section_of(folder).text
    text = Page((folder / "report.html").read_text(encoding="utf-8")).text
    assert "Exact duplicates4 images" in text


def test_misclassified_images_have_priority_over_the_audit_in_a_full_report(run: Path) -> None:
    files = read_run(run)
    html = run_page.render_page(files, Thumbnails(files, budget=1))
    assert "data:image" not in html[html.index('id="audit"') : html.index('id="split"')] and "data:image" in html


def test_an_audit_page_is_written_without_torch_or_pyplot(full: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from coverslip.reporting import write_audit_page\n"
        f"write_audit_page(Path({str(full)!r}))\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_same_audit_gives_the_same_bytes_without_absolute_paths(full: Path, tmp_path: Path) -> None:
    one = write_audit_page(full).read_bytes()
    moved = shutil.copytree(full.parent, tmp_path / "elsewhere")
    assert write_audit_page(moved / "audit").read_bytes() == one
    assert str(full.parent).encode() not in one
