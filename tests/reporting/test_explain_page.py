"""The page of an explanation, and what of it the run's report shows."""

import json

import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.core.runs import Explained, Run
from coverslip.reporting import explain_page, write_report
from coverslip.reporting.explain_page import write_explain_page

from .fake_run import HOSTILE, NAMES, score, write_fake_run
from .page import Page, need_offline

PLACE = {"hits": score(0.86, 40, 20), "hits_by_chance": 0.19, "heat": score(0.42, 40, 20), "area": 0.14}


def item(folder, number, **more):
    folder.images_folder.mkdir(parents=True, exist_ok=True)
    path = folder.images_folder / f"{number:04d}.jpg"
    Image.new("RGB", (100, 50), (number * 20 % 256, 90, 60)).save(path)
    entry = {"path": f"{HOSTILE}/{number}.jpg", "image": f"images/{number:04d}.jpg"}
    return {**entry, "label": NAMES[0], "predicted": NAMES[1], "confidence": 0.93, **more}


def write_fake_explanation(folder, *, test=True, images=1):
    """What `coverslip explain` leaves, with made-up numbers."""
    there = Explained(folder)
    there.folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for number in range(images):
        Image.new("RGB", (900, 400), (number, 120, 90)).save(there.figure_file(f"{number:02d}-x"), dpi=(150, 150))
        entry = {"name": f"{HOSTILE}{number}.jpg", "figure": f"{number:02d}-x.png", "label": NAMES[0]}
        shown.append({**entry, "predicted": HOSTILE, "confidence": 0.91, "trained_on": number == 0})
    drawings = [{"name": "ideal-images", "title": "Ideal images", "caption": "No real image.", "figure": "ideal.png"}]
    Image.new("RGB", (300, 100)).save(there.folder / "ideal.png")
    review = {
        "images": 40,
        "mistakes": 9,
        "with_subject": True,
        "places": {"lesion": PLACE, "background": {**PLACE, "heat": score(None, 40, 20, reason="no heat")}},
        "trust": {"similarity": score(0.21, 24, 12), "gain": score(0.11, 24, 12), "agreement": {}},
        "examples": [{"class": HOSTILE, "items": [item(there, 1)]}, {"class": NAMES[1], "items": []}],
        "confident_mistakes": [item(there, 2), item(there, 3)],
        "looked_away": [item(there, 4, off=0.91, area=0.6)],
        "looked_away_count": 12,
        "clusters": [
            {
                "name": HOSTILE,
                "images": 5,
                "mistakes": [[NAMES[0], HOSTILE, 4]],
                "around": 11,
                "wrong_around": 5,
                "items": [item(there, 5), item(there, 6)],
            }
        ],
    }
    content = {
        "run": "my run",
        "network": "cnn",
        "method": "grad-cam",
        "layer": "block3",
        "notes": [f"a note on {HOSTILE}"],
        "sentences": ["0.71 of the heat lies off the subject."],
        "images": shown,
        "drawings": drawings,
        "review": review if test else None,
    }
    there.numbers_file.write_text(json.dumps(content), encoding="utf-8")
    return there


def test_the_page_holds_every_figure_and_asks_no_other_computer(tmp_path):
    there = write_fake_explanation(tmp_path / "e", images=2)
    html = write_explain_page(there.folder).read_text(encoding="utf-8")
    need_offline(html)
    page = Page(html)
    for words in (
        "0.71 of the heat",
        "Images, one by one",
        "No real image.",
        "Every confident mistake",
        "12 of 40",
        "0.86",
    ):
        assert words in page.text, words
    assert "The model was trained on this image" in page.text
    assert html.count("data:image/jpeg") == 2 + 1 + 6 and HOSTILE not in html
    assert sum(tag == "img" for tag, _ in page.tags) == sum(bool(a.get("alt")) for t, a in page.tags if t == "img")


def test_one_image_stands_in_the_headline_with_what_it_is(tmp_path):
    there = write_fake_explanation(tmp_path / "e", test=False)
    text = Page(write_explain_page(there.folder).read_text(encoding="utf-8")).text
    assert f"with 0.91, but it is {NAMES[0]}" in text
    assert "The whole test set" not in text and "0.71 of the heat" not in text  # that is in its figure
    content = json.loads(there.numbers_file.read_text(encoding="utf-8"))
    content["images"][0] |= {"confidence": 0.04, "decided": "from 0.03 up"}
    there.numbers_file.write_text(json.dumps(content), encoding="utf-8")
    text = Page(write_explain_page(there.folder).read_text(encoding="utf-8")).text
    assert text.count("with 0.04 (from 0.03 up)") == 2  # in the headline, and under its figure


def test_a_page_that_is_full_names_the_file_of_what_it_leaves_out(tmp_path, monkeypatch):
    monkeypatch.setattr(explain_page, "BUDGET", 1)
    there = write_fake_explanation(tmp_path / "e", images=3)
    text = Page(write_explain_page(there.folder).read_text(encoding="utf-8")).text
    assert "01-x.png" in text and "as PNG files" in text and "left out to keep this page small" in text


def test_figures_and_images_that_are_gone_are_missed_in_words(tmp_path):
    there = write_fake_explanation(tmp_path / "e")
    there.figure_file("00-x").unlink()
    (there.images_folder / "0002.jpg").unlink()
    text = Page(write_explain_page(there.folder).read_text(encoding="utf-8")).text
    assert "see 00-x.png" in text and "the image is no longer there" in text


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_without_an_explanation_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "explain.json").write_text(content)
    with pytest.raises(UserError, match=r"explain\.json"):
        write_explain_page(tmp_path)


def test_the_report_shows_examples_and_every_confident_mistake_where_somebody_looked(tmp_path):
    run = Run(tmp_path / "run")
    write_fake_run(run.folder)
    before = Page(write_report(run.folder).read_text(encoding="utf-8")).text
    assert "Nobody has looked yet" in before and "coverslip explain . --test" in before
    write_fake_explanation(run.explained_test_folder)
    html = write_report(run.folder).read_text(encoding="utf-8")
    need_offline(html)
    text = Page(html).text
    assert (
        "Nobody has looked yet" not in text and "Every confident mistake" in text and "Examples of each class" in text
    )
    assert "Looked away" not in text  # the page beside it has the rest
    without = write_report(run.folder, thumbnails=False).read_text(encoding="utf-8")
    assert "data:image" not in without and "no images in this page" in Page(without).text


def test_an_explanation_that_cannot_be_read_does_not_cost_the_report(tmp_path):
    run = Run(tmp_path / "run")
    write_fake_run(run.folder)
    there = write_fake_explanation(run.explained_test_folder)
    there.numbers_file.write_text("{")
    assert "Nobody has looked yet" in Page(write_report(run.folder).read_text(encoding="utf-8")).text
