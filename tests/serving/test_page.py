"""The page of `coverslip serve` in a real browser, with a small server whose answers depend on the file names."""

import base64
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coverslip.serving.pages import read_pages

from .browser import CONTRAST, chromium, done, drop, leaf, paste, tab, text
from .fake import CLASSES, LOOK, MODEL, RELIABILITY, STATIC, TWO_CLASSES, Fake


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def fake():
    with Fake() as server:
        yield server


@pytest.fixture
def page(browser, fake):
    """Open the page and wait until it is ready."""
    with tab(browser) as opened:
        opened.goto(fake.address)
        opened.wait_for_selector("body.ready")
        yield opened


def many(number):
    names = [f"leaf{at:02d}{'_unlike' if at == 3 else '_split' if at == 5 else ''}.jpg" for at in range(number)]
    return [leaf(name) for name in names]


def shown(page):
    """Return the displayed pixels of the open image, float (H, W, 3)."""
    page.evaluate("new Promise(requestAnimationFrame)")
    data = page.evaluate("document.querySelector('.image canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB"), float)


def wait_for_announcement(page, words):
    """Wait until the page announces these words to screen readers."""
    page.wait_for_selector(f"[role=status]:has-text('{words}')", state="attached")


def column(page, which):
    return page.locator(f".answers tbody .c{which}").all_inner_texts()


def test_a_dropped_image_gets_its_label_probabilities_set_map_and_neighbors(page, fake):
    drop(page, [leaf("leaf_split.jpg")])
    page.wait_for_selector("#opacity")
    first, second = fake.answer("leaf_split.jpg", leaf()["buffer"], True)["set"]
    assert page.inner_text("#answer h2") == f"{first} 0.522"
    content = page.inner_text("#answer")
    assert f"The prediction set contains {first} and {second}." in content
    assert "9 of 10 images" in content and "trained on it" not in content
    bars = page.locator(".bars li").all_inner_texts()
    assert first in bars[0] and "0.522" in bars[0] and second in bars[1] and "0.463" in bars[1]
    assert page.locator(".bars > li").count() == len(CLASSES)  # some of them are folded
    assert RELIABILITY in page.inner_text("figcaption")
    assert page.locator(".neighbors li").all_inner_texts() == [
        f"{first}distance {far}" for far in ("3.10", "4.10", "5.10")
    ]
    assert fake.requests == [(["leaf_split.jpg"], True)]
    assert "The image is like the training images" in page.inner_text("#answer")


def test_an_image_can_be_pasted(page, fake):
    paste(page, [leaf("image.png")])
    page.wait_for_selector("#opacity")
    assert "pasted-1.png" in page.inner_text("#answer .source")


def test_an_unfamiliar_image_gets_a_warning_before_its_prediction(page):
    drop(page, [leaf("unlike.jpg")])
    page.wait_for_selector("#opacity")
    content = page.inner_text("#answer")
    assert "2.7 times the threshold" in content
    warning, heading = content.index("This image is unlike the training images."), content.index("8 classes")
    assert warning < heading < content.index("0.882")
    assert "9 of 10 images" not in content  # the coverage is not valid for such an image


def test_an_image_that_the_model_was_trained_on_gets_a_warning(page):
    drop(page, [leaf("same.jpg")])
    page.wait_for_selector("#opacity")
    assert "The model was trained on it" in page.inner_text(".evidence")
    neighbors, note = (page.locator(name).bounding_box() for name in (".neighbors", ".neighbors + .note"))
    assert note["y"] - neighbors["y"] - neighbors["height"] >= 8  # there is space above the note


def test_no_line_of_the_list_of_classes_begins_with_a_comma(browser, fake):
    with tab(browser, phone=True) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        parts = page.locator("#classes .class-name")
        assert parts.all_inner_texts() == [*(f"{name}," for name in CLASSES[:-1]), CLASSES[-1]]
        assert parts.first.evaluate("element => getComputedStyle(element).display") == "inline-block"


def test_the_model_and_its_test_result_are_described_with_the_interval(page, fake):
    lead = page.inner_text("h1 + p")
    assert "Accuracy: 0.969 [0.883, 0.992] on 96 test images (48 groups) not used for training." in lead
    panel = page.inner_text("#about")
    for words in ("448 images (224 groups) of leaves", "Under 20 groups", "100 million pixels", "20 MB", "Limitations"):
        assert words in panel
    assert page.inner_text("#curl") == f"curl -F files=@leaf.jpg {fake.address}v1/predict"


def test_several_images_are_sent_in_batches_and_listed_in_order(page, fake):
    page.set_input_files("#choose", [*many(18), text()])
    done(page)
    assert [name.strip() for name in column(page, 0)] == [file["name"] for file in [*many(18), text()]]
    assert sorted(len(names) for names, _ in fake.requests) == [3, 8, 8] and not any(maps for _, maps in fake.requests)
    failed = page.locator("tr.failed").all_inner_texts()
    assert len(failed) == 1 and "notes.txt" in failed[0] and "The file is text, not an image." in failed[0]
    assert "unfamiliar" in page.inner_text("tr:has-text('_unlike')")
    assert page.inner_text(".exceptions").split("\n") == ["1 unlike the training images", "1 failed"]
    wait_for_announcement(page, "19 images done")


def test_the_table_is_sorted_and_filtered(page):
    page.set_input_files("#choose", [*many(8), text()])
    done(page)
    heading = page.locator("th[role=columnheader]", has_text="Probability")
    heading.locator("button").click()
    shares = [float(value) for value in column(page, 2)]
    assert shares == sorted(shares) and shares[0] < shares[-1]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert "notes.txt" in column(page, 0)[-1]  # items without a value are last
    page.locator("th[role=columnheader] button", has_text="Probability").click()
    assert float(column(page, 2)[0]) == max(shares) and "notes.txt" in column(page, 0)[-1]
    page.get_by_text("To check 3").click()
    assert sorted(name.strip() for name in column(page, 0)) == ["leaf03_unlike.jpg", "leaf05_split.jpg", "notes.txt"]


def test_the_csv_contains_every_image_with_probabilities_or_error(page, tmp_path):
    page.set_input_files("#choose", [leaf('a, "b".jpg'), leaf("c_split.jpg"), text(), leaf("=1+1.jpg")])
    done(page)
    with page.expect_download() as download:
        page.click("#csv")
    assert download.value.suggested_filename == "leaves-2026-11-23-1-answers.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert [row["path"] for row in rows] == ['a, "b".jpg', "c_split.jpg", "notes.txt", "'=1+1.jpg"]
    assert sum(float(rows[0][f"p:{name}"]) for name in CLASSES) == pytest.approx(1)
    assert rows[1]["set"].count(" | ") == 1 and rows[0]["familiar"] == "true"
    assert rows[2]["predicted"] == "" and "not an image" in rows[2]["error"]


def test_a_row_opens_its_image_with_a_map_and_arrow_keys_go_to_the_next(page, fake):
    page.set_input_files("#choose", many(3))
    done(page)
    page.locator(".open").nth(1).click()
    page.wait_for_selector("#opacity")
    assert fake.requests[-1] == (["leaf01.jpg"], True)
    assert "2 of 3" in page.inner_text(".navigation")
    page.keyboard.press("ArrowRight")
    assert "leaf02.jpg" in page.inner_text("#answer .source")
    assert page.locator("tr[aria-current=true] .c0").inner_text() == "leaf02.jpg"
    page.keyboard.press("Escape")
    assert not page.is_visible("#answer")
    assert page.evaluate("document.activeElement.innerText") == "leaf02.jpg"  # the focus returns to the row


def test_the_slider_sets_the_opacity_of_the_map(page):
    drop(page, [leaf()])
    page.wait_for_selector("#opacity")

    def pixels_at(value):
        page.locator("#opacity").fill(str(value))
        assert page.inner_text("output") == f"{value} %"
        return shown(page)

    image, half, full = pixels_at(0), pixels_at(50), pixels_at(100)
    assert np.abs(image[300:, :100] - (70, 120, 60)).mean() < 4  # the original green of the leaf
    assert (np.abs(full - image) > np.abs(half - image) - 1).all() and np.abs(half - image).mean() > 10
    maximum = full[192, 330]  # the maximum of the map, right of the center
    assert maximum[0] > 180 and maximum[0] > maximum[2] + 60
    assert (full[:, :, :].min(axis=2) == 255).sum() > 200  # the white contour, visible without color


def test_a_single_text_file_is_refused_with_an_explanation(page):
    page.set_input_files("#choose", [text()])
    page.wait_for_selector(".note.stop")
    assert "The file is text, not an image. Send a JPEG" in page.inner_text("#answer")
    wait_for_announcement(page, "notes.txt: The file is text")
    assert not page.is_visible("text=Try again")  # a retry cannot help


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_on_a_phone_nothing_overflows_and_all_text_has_enough_contrast(browser, fake, colors):
    with tab(browser, phone=True, color_scheme=colors) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        assert page.get_attribute("#camera", "capture") == "environment"
        assert page.is_visible("label[for=camera]")
        page.set_input_files("#camera", leaf("unlike_slide.jpg"))
        page.wait_for_selector("#opacity")
        page.set_input_files("#choose", [*many(6), text("a_very_long_name_of_a_file_that_goes_on_and_on_and_on.txt")])
        done(page)
        page.locator(".open").nth(0).click()
        page.wait_for_selector("#opacity")
        page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate(CONTRAST) == []
        buttons = page.locator("#answer button, .tools button, label.button").all()
        assert min(button.bounding_box()["height"] for button in buttons if button.is_visible()) >= 36


def test_the_page_can_be_used_with_the_keyboard_alone(page):
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "choose":
            break
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(leaf())
    page.wait_for_selector("#opacity")
    assert page.evaluate("document.activeElement.id") == "answer-title"  # the focus is on the answer
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "opacity"
    page.keyboard.press("Home")
    assert page.inner_text("output") == "0 %"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#answer details').open")
    wait_for_announcement(page, "probability 0.88. The prediction set contains")


def test_the_token_is_removed_from_the_address_and_stored_for_the_tab_only(browser):
    with Fake(token="correct-horse") as fake, tab(browser) as page:
        page.goto(f"{fake.address}#token=correct%2Dhorse")
        page.wait_for_selector("body.ready")
        assert page.url == fake.address and not page.is_visible("dialog")
        assert '-H "Authorization: Bearer TOKEN"' in page.inner_text("#curl")
        assert "correct-horse" not in page.content()
        assert page.evaluate("[Object.values(sessionStorage), localStorage.length, document.cookie]") == [
            ["correct-horse"],
            0,
            "",
        ]
        page.reload()
        page.wait_for_selector("body.ready")


def test_a_dialog_asks_for_a_missing_or_wrong_token(browser):
    with Fake(token="right") as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("dialog[open]")
        for wrong in ("wrong", "schlüssel"):  # the second cannot be sent in a header
            page.keyboard.type(wrong)  # the field has the focus
            page.keyboard.press("Enter")
            page.wait_for_selector("dialog[open] >> text=The token is wrong")
        page.fill("#token-value", "right")
        page.keyboard.press("Enter")
        page.wait_for_selector("body.ready")
        fake.token = "changed"  # the server was restarted while the page was open
        drop(page, [leaf()])
        page.wait_for_selector("dialog[open]")
        page.fill("#token-value", "changed")
        page.keyboard.press("Enter")
        page.wait_for_selector("#opacity")


@pytest.mark.parametrize(
    ("obstacle", "words"),
    [
        ((429, {"Retry-After": "1"}), "The server is busy. Retrying in 1 s."),
        ((503, {"Retry-After": "1"}), "The server is stopping, or the request timed out. Retrying in 1 s."),
        (None, "The connection to the server is lost. Retrying in 1 s"),
    ],
    ids=["busy", "stopping", "lost"],
)
def test_the_page_shows_why_it_waits_and_retries(page, fake, obstacle, words):
    fake.script[:] = [obstacle]
    drop(page, [leaf()])
    page.wait_for_selector(f"#notice >> text={words}")
    page.wait_for_selector("#opacity")
    assert not page.is_visible("#notice") and not fake.script
    assert len(fake.requests) == 1


def test_a_batch_that_is_too_large_is_halved_and_a_file_that_is_too_large_gets_an_error(browser):
    limits = {"bytes": 40_000, "images": 4, "pixels": 10**6}
    with Fake(model={**MODEL, "limits": limits}, script=[(413, {})]) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        large = {"name": "large.bmp", "mimeType": "image/bmp", "buffer": b"BM" + bytes(50_000)}
        page.set_input_files("#choose", [*many(4), large])
        done(page)
        assert [len(names) for names, _ in fake.requests] == [2, 2]  # the large file was not sent
        assert "The file has 50 kB; the limit of this server is 40 kB." in page.inner_text("tr.failed")
        assert page.locator("tr.answered").count() == 4


def test_cancel_keeps_answers_and_the_other_images_can_be_sent_later(page, fake):
    fake.unblocked = 1
    page.set_input_files("#choose", many(30))
    page.wait_for_selector("tr.answered")
    assert re.fullmatch(r"\d+ of 30 images", page.inner_text("#count"))
    page.click("#cancel")
    done(page)
    answered = page.locator("tr.answered").count()
    assert 8 <= answered < 30 and page.locator("tr.stopped").count() == 30 - answered
    fake.unblocked = 100
    fake.released.set()
    page.click("#retry")
    page.wait_for_selector("tr.answered >> nth=29")


def test_a_deleted_file_gets_an_error_instead_of_retries(page, tmp_path):
    file = tmp_path / "gone.jpg"
    file.write_bytes(leaf()["buffer"])
    page.route("**/v1/predict*", lambda route: route.abort())  # as the browser does when it cannot read the file
    page.evaluate(
        "() => { Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException('', 'NotReadableError')); }"
    )
    page.set_input_files("#choose", file)
    page.wait_for_selector(".note.stop >> text=can no longer be read from your disk")


def test_the_decision_threshold_and_its_effect_are_shown_for_two_classes(browser):
    with Fake(model=TWO_CLASSES) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        assert "Classifies an image as Normal or OSCC." in page.inner_text("#lead")
        panel = page.inner_text("#about")
        assert (
            "On the test set: sensitivity 0.93 [0.86, 0.97] (n = 63), specificity 0.87 [0.78, 0.93] (n = 62)." in panel
        )
        drop(page, [leaf("slide.jpg")])
        page.wait_for_selector("#opacity")
        content = page.inner_text("#answer")
        assert "OSCC is predicted if its probability is at least 0.372." in content
        assert "Here its probability is 0.110, so Normal is predicted." in content


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ("fit", ["used to choose the threshold: sensitivity 0.93", "expect lower values for new images"]),
        ("validation", ["On validation images", "not evaluated on the test set"]),
        (None, ["Sensitivity and specificity were not measured."]),
    ],
)
def test_the_images_on_which_a_threshold_was_measured_are_stated(browser, measured, words):
    threshold = {**TWO_CLASSES["threshold"], "measured_on": measured}
    with Fake(model={**TWO_CLASSES, "threshold": threshold}) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        panel = page.inner_text("#about")
        assert all(phrase in panel for phrase in words) and "On the test set:" not in panel


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (0, "on 96 test images (48 groups) not used for training."),
        (60, "on 96 test images (48 groups); the model was trained on 60 of them."),
        (None, "on 96 test images (48 groups)."),
    ],
)
def test_the_page_states_whether_the_model_was_trained_on_test_images(browser, seen, words):
    model = {**MODEL, "tested_on": {**MODEL["tested_on"], "seen": seen}}
    with Fake(model=model) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        assert words in page.inner_text("#lead")


def test_an_unfamiliar_image_of_two_classes_gets_correct_statements(browser):
    with Fake(model=TWO_CLASSES) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        drop(page, [leaf("unlike.jpg")])
        page.wait_for_selector("#opacity")
        content = page.inner_text("#answer")
        assert "The model predicts one of its classes for any image." in content and "meaningless" in content
        assert "OSCC is predicted if its probability is at least 0.372." in content


def test_names_never_become_code(browser):
    name = "<img src=x onerror=document.title='caught'>.jpg"
    with Fake(model={**MODEL, "name": name, "classes": [name, "other"]}) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        page.set_input_files("#choose", [leaf(name), text("<b>x</b>.txt")])
        done(page)
        assert page.locator("main img:not(.brand img)").count() == 0 and page.locator("tbody b b").count() == 0
        assert "<img src=x" in column(page, 0)[0] and page.title().startswith("<img src=x")


def test_a_16_bit_tiff_is_displayed_and_an_unsupported_format_gets_a_note(page):
    tifffile = pytest.importorskip("tifffile")
    values = np.zeros((40, 60, 3), np.uint16)
    values[:, 30:] = 900  # of 65,535: black without contrast stretching
    for compression in (None, "lzw", "zlib"):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values, compression=compression, predictor=compression is not None)
        drop(page, [{"name": f"{compression}.tif", "mimeType": "image/tiff", "buffer": buffer.getvalue()}])
        page.wait_for_selector(f"#answer:has-text('{compression}.tif') #opacity")
        assert "16 bits: displayed with stretched contrast" in page.inner_text("figcaption")
        page.locator("#opacity").fill("0")
        shades = shown(page)[100]
        assert shades[:240].max() < 8 and shades[272:].min() > 247, compression
    drop(page, [{"name": "phone.heic", "mimeType": "image/heic", "buffer": b"BM, and no valid image"}])
    page.wait_for_selector("#answer:has-text('phone.heic') #opacity")
    assert "This browser cannot display .heic files. The model has read the image." in page.inner_text("figcaption")


def test_the_page_has_the_same_design_as_the_reports(page):
    served = read_pages()
    assert all(served[name].data == (LOOK / name).read_bytes() for name in ("mark.svg", "theme.css"))

    def colors(sheet):
        return re.findall(r"--([a-z-]+): (#[0-9a-f]+);", sheet.read_text(encoding="utf-8"))

    assert set(colors(STATIC / "style.css")) <= set(colors(LOOK / "theme.css"))

    from coverslip.figures.overlay import heat_colors

    colors_js = page.evaluate(
        "import('/static/heat.js').then(({ heatColor }) => [0, 0.21, 0.5, 0.83, 1].map(heatColor))"
    )
    assert np.abs(np.array(colors_js) - heat_colors(np.array([0, 0.21, 0.5, 0.83, 1]))).max() < 3


def test_the_page_has_no_inline_code_and_no_urls_of_other_servers():
    for file in [*STATIC.iterdir(), *LOOK.iterdir()]:
        content = file.read_text(encoding="utf-8")
        external = [url for url in re.findall(r"https?://[^\s\"'`)]+", content) if "www.w3.org" not in url]
        assert external == [], file.name
        assert "innerHTML" not in content and "eval(" not in content and "localStorage" not in content, file.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*src=)", page)


def test_a_server_that_stores_images_states_this_at_the_upload(browser, page):
    assert page.is_hidden("#storage-notice") and "This page stores nothing" in page.inner_text("footer")
    with Fake(model={**MODEL, "keeps": True}) as fake, tab(browser) as other:
        other.goto(fake.address)
        other.wait_for_selector("body.ready")
        assert "stores the images that are sent to it" in other.inner_text("#intake")
        footer = other.inner_text("footer")
        assert "stores nothing" not in footer and "stores the images" in footer
