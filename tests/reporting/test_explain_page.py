"""The page of an explanation, and its part in the run's report."""

import json

import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.core.runs import ExplanationFolder, Run
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
    """Write the files of `coverslip explain` with synthetic numbers."""
    explained = ExplanationFolder(folder)
    explained.folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for number in range(images):
        Image.new("RGB", (900, 400), (number, 120, 90)).save(explained.figure_file(f"{number:02d}-x"), dpi=(150, 150))
        entry = {"name": f"{HOSTILE}{number}.jpg", "figure": f"{number:02d}-x.png", "label": NAMES[0]}
        shown.append({**entry, "predicted": HOSTILE, "confidence": 0.91, "trained_on": number == 0})
    drawings = [{"name": "ideal-images", "title": "Ideal images", "caption": "No real image.", "figure": "ideal.png"}]
    Image.new("RGB", (300, 100)).save(explained.folder / "ideal.png")
    review = {
        "images": 40,
        "mistakes": 9,
        "with_subject": True,
        "places": {"lesion": PLACE, "background": {**PLACE, "heat": score(None, 40, 20, reason="no heat")}},
        "trust": {"similarity": score(0.21, 24, 12), "gain": score(0.11, 24, 12), "agreement": {}},
        "examples": [{"class": HOSTILE, "items": [item(explained, 1)]}, {"class": NAMES[1], "items": []}],
        "confident_mistakes": [item(explained, 2), item(explained, 3)],
        "looked_away": [item(explained, 4, off=0.91, area=0.6)],
        "looked_away_count": 12,
        "clusters": [
            {
                "name": HOSTILE,
                "images": 5,
                "mistakes": [[NAMES[0], HOSTILE, 4]],
                "around": 11,
                "wrong_around": 5,
                "items": [item(explained, 5), item(explained, 6)],
            }
        ],
    }
    content = {
        "run": "my run",
        "network": "cnn",
        "method": "grad-cam",
        "layer": "block3",
        "notes": [f"a note on {HOSTILE}"],
        "sentences": ["0.71 of the heat is outside the subject."],
        "images": shown,
        "drawings": drawings,
        "review": review if test else None,
    }
    explained.numbers_file.write_text(json.dumps(content), encoding="utf-8")
    return explained


def test_the_page_embeds_every_figure_and_needs_no_network(tmp_path):
    explained = write_fake_explanation(tmp_path / "e", images=2)
    html = write_explain_page(explained.folder).read_text(encoding="utf-8")
    need_offline(html)
    page = Page(html)
    for words in (
        "0.71 of the heat",
        "Single images",
        "No real image.",
        "Misclassified with high confidence",
        "12 of 40",
        "0.86",
    ):
        assert words in page.text, words
    assert "The model was trained on this image" in page.text
    assert html.count("data:image/jpeg") == 2 + 1 + 6 and HOSTILE not in html
    assert sum(tag == "img" for tag, _ in page.tags) == sum(bool(a.get("alt")) for t, a in page.tags if t == "img")


def test_the_headline_of_a_single_image_has_predicted_and_true_class(tmp_path):
    explained = write_fake_explanation(tmp_path / "e", test=False)
    text = Page(write_explain_page(explained.folder).read_text(encoding="utf-8")).text
    assert f"with confidence 0.91; the true class is {NAMES[0]}" in text
    assert "The whole test set" not in text and "0.71 of the heat" not in text  # its figure has it
    content = json.loads(explained.numbers_file.read_text(encoding="utf-8"))
    content["images"][0] |= {"confidence": 0.04, "decided": "from 0.03 up"}
    explained.numbers_file.write_text(json.dumps(content), encoding="utf-8")
    text = Page(write_explain_page(explained.folder).read_text(encoding="utf-8")).text
    assert text.count("with confidence 0.04 (from 0.03 up)") == 2  # in the headline and in the caption


def test_a_full_page_names_the_files_of_omitted_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(explain_page, "BUDGET", 1)
    explained = write_fake_explanation(tmp_path / "e", images=3)
    text = Page(write_explain_page(explained.folder).read_text(encoding="utf-8")).text
    assert "01-x.png" in text and "PNG files" in text and "omitted to limit the size of this page" in text


def test_missing_figures_and_images_are_reported(tmp_path):
    explained = write_fake_explanation(tmp_path / "e")
    explained.figure_file("00-x").unlink()
    (explained.images_folder / "0002.jpg").unlink()
    text = Page(write_explain_page(explained.folder).read_text(encoding="utf-8")).text
    assert "see 00-x.png" in text and "the image file no longer exists" in text


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_without_an_explanation_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "explain.json").write_text(content)
    with pytest.raises(UserError, match=r"explain\.json"):
        write_explain_page(tmp_path)


def test_the_report_shows_examples_and_confident_mistakes_after_explain(tmp_path):
    run = Run(tmp_path / "run")
    write_fake_run(run.folder)
    before = Page(write_report(run.folder).read_text(encoding="utf-8")).text
    assert "No heat maps have been computed" in before and "coverslip explain . --test" in before
    write_fake_explanation(run.explained_test_folder)
    html = write_report(run.folder).read_text(encoding="utf-8")
    need_offline(html)
    text = Page(html).text
    assert (
        "No heat maps have been computed" not in text
        and "Misclassified with high confidence" in text
        and "Examples of each class" in text
    )
    assert "Heat outside" not in text  # only on the page of the explanation
    without = write_report(run.folder, thumbnails=False).read_text(encoding="utf-8")
    assert "data:image" not in without and "this page has no images" in Page(without).text


def test_a_report_is_written_although_an_explanation_cannot_be_read(tmp_path):
    run = Run(tmp_path / "run")
    write_fake_run(run.folder)
    explained = write_fake_explanation(run.explained_test_folder)
    explained.numbers_file.write_text("{")
    assert "No heat maps have been computed" in Page(write_report(run.folder).read_text(encoding="utf-8")).text
