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


def test_an_audit_page_is_one_small_valid_file_that_fetches_nothing(html: str) -> None:
    need_offline(html)
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"]) for tag, attributes in page.tags if tag in ("a", "use")}
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert html.count("data:image/jpeg") > 30 and len(html) < 1_000_000


def test_the_page_opens_with_the_verdict_in_one_sentence_and_the_ways_on(html: str) -> None:
    text = Page(html).text
    assert "1 finding blocks training, 1 is a warning, 2 are notes. 1 finding was accepted." in text
    assert "coverslip train leaves --accept group-leak --fix" in text
    assert "coverslip train leaves --accept group-leak --drop label-conflict" in text


def test_findings_come_gravest_first_and_say_how_grave_in_words_and_shapes(html: str) -> None:
    said = re.findall(r'<svg class="sign (\w+)".*?<b>([^<]+)</b>', html[: html.index('id="data"')], re.DOTALL)
    assert said == [
        ("blocks", "blocks training"),
        ("decided", "accepted"),
        ("warns", "warning"),
        ("notes", "note"),
        ("notes", "note"),
    ]
    shapes = [re.sub(r'class="[^"]*"', "", each) for each in re.findall(r'<svg class="sign.*?</svg>', html, re.DOTALL)]
    assert len(set(shapes[:4])) == 4
    assert "--accept label-conflict" in html and "--accept near-copies" not in html


def test_an_image_under_two_labels_says_so_and_shows_both(html: str) -> None:
    conflict = Page(html[html.index('<li class="frame differ">') :].partition("</li>")[0] + "</li>")
    assert "2 labels: healthy | rust" in conflict.text
    shown = [attributes["title"] for tag, attributes in conflict.tags if tag == "img"]
    assert shown == TWINS[1]
    assert html.count('class="frame differ"') == 1  # the twins under one label are no contradiction


def test_long_lists_are_folded_and_cut_and_say_how_many_are_left(html: str) -> None:
    text = Page(html).text
    assert "and 22 more; all are in audit.json" in text  # of the chain of 30
    assert "18 more" in text  # of the gallery of 30


def test_both_labels_of_a_long_chain_are_among_the_few_that_are_shown(tmp_path: Path) -> None:
    chain = [*CHAIN, "healthy/b.jpg"]
    labels = {path: path.split("/")[0] for path in chain}
    folder = write_fake_audit(tmp_path / "audit", labels=labels, findings=[finding("near-copies", "warns", [chain])])
    assert "healthy/b.jpg" in read(folder).text


def test_proposed_groups_are_shown_with_the_option_that_makes_them(html: str) -> None:
    text = Page(html).text
    assert r"--group '(.+) \d'" in text and PROPOSAL["speaks"] in text
    assert "12 groups; 31 images share one with another; the largest has 30" in text


def test_probes_are_shown_with_interval_chance_and_verdict_or_the_reason_why_not(html: str) -> None:
    text = Page(html).text
    assert "0.80 [0.76, 0.85]" in text and "chance 0.25" in text
    assert "shortcut" in text and "not run every file has the same" in text
    assert "No interval: fewer than 3 groups." in text


def test_the_price_of_a_leak_is_one_sentence_and_a_figure(html: str) -> None:
    said = price()["says"]
    assert f"R{said[1:]}." in Page(html).text and 'id="audit-price-' in html


def test_names_full_of_markup_are_shown_and_never_obeyed(html: str) -> None:
    assert HOSTILE not in html and HOSTILE in Page(html).text


def test_nothing_found_is_said_as_calmly_as_it_is(tmp_path: Path) -> None:
    text = read(write_fake_audit(tmp_path / "audit", labels=LABELS, shortcuts=[probe("border", 0.3)])).text
    assert "Nothing found that would mislead a result." in text and "nothing was found" in text
    assert text.count("Not run") == 1  # the price
    assert "propose any" in text


def test_what_was_not_looked_for_is_not_said_to_be_found_well_and_the_command_looks(tmp_path: Path) -> None:
    text = read(write_fake_audit(tmp_path / "audit", labels=LABELS)).text
    assert "Nothing found that would" not in text
    assert "Nothing found in the files, labels, copies, groups and split that would mislead a result." in text
    assert "This asks it: coverslip audit leaves" in text
    assert text.count("Not run") == 2 and "it needs groups" in text  # shortcuts and price
    groups = {"by": "column leaf", "count": 3, "sizes": None, "proposals": []}
    given = {"source": "../leaves", "group": "leaf no", "site": ""}
    text = read(write_fake_audit(tmp_path / "grouped", labels=LABELS, groups=groups, given=given)).text
    assert "This asks it: coverslip audit leaves --group 'leaf no'" in text
    assert "nobody asked for it" in text and "it needs groups" not in text


def test_the_way_on_names_the_images_as_they_are_typed_and_their_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"source": "../data/leaves", "group": "shots:6", "site": "camera"}
    folder = write_fake_audit(tmp_path / "look", root="../data/leaves", labels=LABELS, given=given)
    assert "coverslip train leaves --group shots:6 --site camera" in read(folder).text
    monkeypatch.chdir(tmp_path)
    assert "coverslip train data/leaves --group shots:6 --site camera" in read(folder).text


@pytest.mark.parametrize("empty", [{}, {"groups": None, "distributions": None, "classes": None, "sizes": None}])
def test_a_page_is_written_whatever_is_missing(tmp_path: Path, empty: dict[str, None]) -> None:
    folder = write_fake_audit(tmp_path / "audit", table=False, **{"findings": None, "survives": None, **empty})
    assert "Nothing found" in read(folder).text


def test_an_audit_of_an_older_version_says_that_nobody_looked(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "audit", labels=LABELS)
    content = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    for key in ("findings", "classes", "distributions", "groups", "shortcuts", "price"):
        del content[key]
    (folder / "audit.json").write_text(json.dumps(content), encoding="utf-8")
    text = read(folder).text
    assert "there are no findings in audit.json" in text and "no image is an exact copy of another" in text


def test_images_that_are_gone_leave_their_names(tmp_path: Path) -> None:
    page = read(write_fake_audit(tmp_path / "audit", labels=LABELS, **FULL))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "rust/b.jpg" in page.text and "no longer where the" in page.text


def test_a_page_without_images_names_them(full: Path) -> None:
    page = read(full, thumbnails=False)
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "rust/b.jpg" in page.text and "2 labels: healthy | rust" in page.text
    write_audit_page(full)


def test_labels_come_from_the_folders_where_there_is_no_table(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "audit", labels=LABELS, table=False, findings=FULL["findings"])
    assert "2 labels: healthy | rust" in read(folder).text


def test_parts_are_told_where_a_set_lies_in_several(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "audit", labels=LABELS, findings=[finding("copy-leak", "blocks", TWINS)])
    table = folder / "table.csv"
    table.write_text(table.read_text("utf-8").replace("a 2.jpg,healthy,,train", "a 2.jpg,healthy,,test"), "utf-8")
    text = read(folder).text
    assert "a 1.jpg healthy in train" in text and "a 2.jpg healthy in test" in text
    assert text.count("in train") == 1  # the other pair lies in one part


def test_hundreds_of_findings_with_hundreds_of_images_stay_under_five_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (500, 128, 128, 3), np.uint8)  # compresses as badly as it gets
    np.savez(tmp_path / "noise.npz", x=noise)
    paths = [f"x/{i:05d}" for i in range(500)]
    findings = [finding(f"kind-{n}", "warns", [[path] for path in paths]) for n in range(250)]
    findings += [finding(f"pairs-{n}", "warns", [paths[i : i + 2] for i in range(0, 500, 2)]) for n in range(250)]
    labels = dict.fromkeys(paths, "a")
    folder = write_fake_audit(tmp_path / "audit", root="..", source="noise.npz", labels=labels, findings=findings)
    html = write_audit_page(folder).read_text(encoding="utf-8")
    assert len(html.encode()) < 5_000_000 and html.count("data:image/jpeg") > 100
    assert "left out to keep this page small" in html
    assert html.count('<article class="finding') == 500


def test_a_folder_without_an_audit_is_answered_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no audit\.json"):
        write_audit_page(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        write_audit_page(tmp_path / "nowhere")


def test_the_way_on_never_offers_what_would_not_go_on() -> None:
    everything = finding("one-image", "blocks", [CHAIN])
    no_split = finding("no-split", "blocks")
    ways = next_commands({"read": 30, "findings": [everything]}, "leaves 1")
    assert [command for _, command in ways] == ["coverslip train 'leaves 1' --accept one-image"]
    ways = next_commands({"read": 30, "findings": [no_split]}, "FOLDER")
    assert [command for _, command in ways] == ["coverslip audit FOLDER"]


def test_the_way_on_from_clean_images_names_the_proposed_groups_first() -> None:
    ways = next_commands({"findings": [], "groups": {"by": None, "proposals": [PROPOSAL]}}, "leaves")
    assert [command for _, command in ways] == [r"coverslip train leaves --group '(.+) \d'", "coverslip train leaves"]
    ways = next_commands({"findings": [], "groups": {"by": "column leaf", "proposals": [PROPOSAL]}}, "leaves")
    assert [command for _, command in ways] == ["coverslip train leaves"]
    given = {"source": "../leaves", "group": "shots:6", "site": ""}
    ways = next_commands({"findings": [finding("no-split", "blocks")], "given": given}, "leaves")
    assert [command for _, command in ways] == ["coverslip audit leaves --group shots:6"]


def test_what_was_decided_is_counted_apart() -> None:
    said = verdict([finding("a", "blocks", decision="fixed"), finding("b", "warns"), finding("c", "notes")])
    assert said["sentence"] == "Nothing blocks training; there is 1 warning and 1 note."
    assert said["decided"] == "1 finding was mended."
    assert verdict([finding("c", "notes")])["sentence"].endswith("; 1 thing is worth knowing.")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose audit found two training images and two test images to be twins."""
    folder = write_fake_run(tmp_path / "run", names=NAMES[:3])
    rows = [line.rsplit(",", 4) for line in (folder / "table.csv").read_text(encoding="utf-8").splitlines()]
    paths = {part: [row[0].split('"')[1] for row in rows if row[3] == part][:2] for part in ("train", "test")}
    audit = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    found = [finding("exact-copies", "warns", [paths["train"], paths["test"]], title="4 copies")]
    audit |= {**FULL, "findings": found, "classes": dict.fromkeys(NAMES[:3], 10)}
    (folder / "audit.json").write_text(json.dumps(audit), encoding="utf-8")
    return folder


def audit_part(folder: Path, **options: bool) -> Page:
    html = write_report(folder, **options).read_text(encoding="utf-8")
    return Page(re.search(r'<section id="audit">.*?</section>', html, re.DOTALL)[0])  # type: ignore[index]


def test_a_report_tells_what_the_audit_found_and_shows_no_training_image_unasked(run: Path) -> None:
    def shown(page: Page) -> int:
        return sum(tag == "img" for tag, _ in page.tags)

    page = audit_part(run)
    assert "Nothing blocks training; there is 1 warning." in page.text and "4 copies" in page.text
    assert shown(page) == 2 and shown(audit_part(run, thumbnails=False)) == 0
    assert "only the names are shown here" in page.text
    assert shown(audit_part(run, training_images=True)) >= 4


def test_a_report_says_nothing_twice_and_keeps_to_what_was_looked_for(run: Path) -> None:
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "exact copies of one another" not in text and "Only exact copies were looked for" not in text
    assert "No search for such shortcuts" not in text
    audit = json.loads((run / "audit.json").read_text(encoding="utf-8"))
    (run / "audit.json").write_text(json.dumps(audit | {"shortcuts": None}), encoding="utf-8")
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "No search for such shortcuts" in text and "This asks it: coverslip audit experiment.toml" in text
    (run / "audit.json").write_text(json.dumps(audit | {"shortcuts": None, "findings": []}), encoding="utf-8")
    assert "Nothing found in the files, labels, copies, groups and split that would mislead" in audit_part(run).text


def test_the_report_of_an_older_run_says_that_nobody_looked(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run", names=NAMES[:3])
    assert "there are no findings in audit.json" in audit_part(folder).text
    text = Page((folder / "report.html").read_text(encoding="utf-8")).text
    assert "4 images that are exact copies of one another" in text


def test_where_a_report_runs_full_its_mistakes_are_shown_before_the_audit(run: Path) -> None:
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


def test_the_same_audit_gives_the_same_page_that_does_not_tell_where_it_lies(full: Path, tmp_path: Path) -> None:
    one = write_audit_page(full).read_bytes()
    moved = shutil.copytree(full.parent, tmp_path / "elsewhere")
    assert write_audit_page(moved / "audit").read_bytes() == one
    assert str(full.parent).encode() not in one
