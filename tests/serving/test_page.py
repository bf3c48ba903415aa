"""The page of `coverslip serve` in a real browser, against a small server that answers by the names of files."""

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
from .fake import CLASSES, LOOK, MODEL, STATIC, TRUST, TWO, Fake


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def fake():
    with Fake() as found:
        yield found


@pytest.fixture
def page(browser, fake):
    """The page, ready to be used."""
    with tab(browser) as found:
        found.goto(fake.address)
        found.wait_for_selector("body.ready")
        yield found


def many(number):
    names = [f"leaf{at:02d}{'_strange' if at == 3 else '_split' if at == 5 else ''}.jpg" for at in range(number)]
    return [leaf(name) for name in names]


def shown(page):
    """What is drawn of the image that is open: float (H, W, 3)."""
    page.evaluate("new Promise(requestAnimationFrame)")
    data = page.evaluate("document.querySelector('.image canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB"), float)


def heard(page, words):
    """Wait until the page reads this out."""
    page.wait_for_selector(f"[role=status]:has-text('{words}')", state="attached")


def column(page, which):
    return page.locator(f".answers tbody .c{which}").all_inner_texts()


def test_a_dropped_image_gets_its_label_probabilities_set_map_and_neighbors(page, fake):
    drop(page, [leaf("leaf_split.jpg")])
    page.wait_for_selector("#strength")
    first, second = fake.answer("leaf_split.jpg", leaf()["buffer"], True)["set"]
    assert page.inner_text("#answer h2") == f"{first} 0.522"
    told = page.inner_text("#answer")
    assert f"It may be {first} or {second}: these are the set of likely classes. Such sets hold the true" in told
    assert "class 9 times in 10" in told and "very image" not in told
    bars = page.locator(".bars li").all_inner_texts()
    assert first in bars[0] and "0.522" in bars[0] and second in bars[1] and "0.463" in bars[1]
    assert page.locator(".bars > li").count() == len(CLASSES)  # the rest lies under a fold
    assert TRUST in page.inner_text("figcaption")
    assert page.locator(".near li").all_inner_texts() == [f"{first}distance {far}" for far in ("3.10", "4.10", "5.10")]
    assert fake.asked == [(["leaf_split.jpg"], True)]
    assert "Like the images I was trained on" in page.inner_text("#answer")


def test_a_pasted_image_is_taken_too(page, fake):
    paste(page, [leaf("image.png")])
    page.wait_for_selector("#strength")
    assert "pasted-1.png" in page.inner_text("#answer .from")


def test_an_image_unlike_all_others_is_flagged_before_it_is_named(page):
    drop(page, [leaf("strange.jpg")])
    page.wait_for_selector("#strength")
    told = page.inner_text("#answer")
    assert "Unlike anything I was trained on. Its unlikeness is 2.7 times what is allowed." in told
    assert told.index("Unlike anything") < told.index("If it were one of my 8 classes") < told.index("0.882")
    assert "9 times in 10" not in told  # that promise is not for such an image


def test_an_image_that_the_model_was_trained_on_is_no_test_of_it(page):
    drop(page, [leaf("same.jpg")])
    page.wait_for_selector("#strength")
    assert "The nearest is this very image: the model was trained on it" in page.inner_text(".evidence")
    near, box = (page.locator(each).bounding_box() for each in (".near", ".near + .note"))
    assert box["y"] - near["y"] - near["height"] >= 8  # it does not touch what is above


def test_no_line_of_a_list_of_classes_begins_with_its_comma(browser, fake):
    with tab(browser, phone=True) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        parts = page.locator("#classes .one")
        assert parts.all_inner_texts() == [*(f"{name}," for name in CLASSES[:-1]), CLASSES[-1]]
        assert parts.first.evaluate("each => getComputedStyle(each).display") == "inline-block"


def test_what_the_model_is_and_how_it_was_tested_is_said_with_its_interval(page, fake):
    assert "Of 96 images (48 groups) it had not seen, it named a share of 0.969 [0.883, 0.992]" in page.inner_text(
        "h1 + p"
    )
    panel = page.inner_text("#about")
    for words in (
        "448 images (224 groups) of leaves",
        "Under 20 groups",
        "100 million pixels",
        "20 MB",
        "What it cannot",
    ):
        assert words in panel
    assert page.inner_text("#curl") == f"curl -F files=@leaf.jpg {fake.address}v1/predict"


def test_many_are_sent_in_portions_and_stand_in_a_table_in_their_order(page, fake):
    page.set_input_files("#choose", [*many(18), text()])
    done(page)
    assert [name.strip() for name in column(page, 0)] == [file["name"] for file in [*many(18), text()]]
    assert sorted(len(names) for names, _ in fake.asked) == [3, 8, 8] and not any(maps for _, maps in fake.asked)
    failed = page.locator("tr.failed").all_inner_texts()
    assert len(failed) == 1 and "notes.txt" in failed[0] and "Not an image: its content is text" in failed[0]
    assert "unlike" in page.inner_text("tr:has-text('_strange')")
    assert page.inner_text(".asides").split("\n") == ["1 unlike the training images", "1 not read"]
    heard(page, "19 images done")


def test_the_table_is_sorted_and_filtered(page):
    page.set_input_files("#choose", [*many(8), text()])
    done(page)
    heading = page.locator("th[role=columnheader]", has_text="Probability")
    heading.locator("button").click()
    shares = [float(value) for value in column(page, 2)]
    assert shares == sorted(shares) and shares[0] < shares[-1]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert "notes.txt" in column(page, 0)[-1]  # what is missing stays at the end
    page.locator("th[role=columnheader] button", has_text="Probability").click()
    assert float(column(page, 2)[0]) == max(shares) and "notes.txt" in column(page, 0)[-1]
    page.get_by_text("Worth a look 3").click()
    assert sorted(name.strip() for name in column(page, 0)) == ["leaf03_strange.jpg", "leaf05_split.jpg", "notes.txt"]


def test_the_csv_holds_every_image_its_probabilities_and_its_error(page, tmp_path):
    page.set_input_files("#choose", [leaf('a, "b".jpg'), leaf("c_split.jpg"), text(), leaf("=1+1.jpg")])
    done(page)
    with page.expect_download() as told:
        page.click("#csv")
    assert told.value.suggested_filename == "leaves-2026-11-23-1-answers.csv"
    rows = list(csv.DictReader(io.StringIO(Path(told.value.path()).read_text("utf-8"))))
    assert [row["path"] for row in rows] == ['a, "b".jpg', "c_split.jpg", "notes.txt", "'=1+1.jpg"]
    assert sum(float(rows[0][f"p:{name}"]) for name in CLASSES) == pytest.approx(1)
    assert rows[1]["set"].count(" | ") == 1 and rows[0]["familiar"] == "true"
    assert rows[2]["predicted"] == "" and "not an image" in rows[2]["error"]


def test_a_row_opens_its_image_with_a_map_and_the_arrows_walk_on(page, fake):
    page.set_input_files("#choose", many(3))
    done(page)
    page.locator(".open").nth(1).click()
    page.wait_for_selector("#strength")
    assert fake.asked[-1] == (["leaf01.jpg"], True)
    assert "2 of 3" in page.inner_text(".walk")
    page.keyboard.press("ArrowRight")
    assert (
        "leaf02.jpg" in page.inner_text("#answer .from")
        and page.locator("tr[aria-current=true] .c0").inner_text() == "leaf02.jpg"
    )
    page.keyboard.press("Escape")
    assert not page.is_visible("#answer")
    assert page.evaluate("document.activeElement.innerText") == "leaf02.jpg"  # back where it was


def test_the_slider_fades_the_map_in_and_leaves_the_image_alone_at_zero(page):
    drop(page, [leaf()])
    page.wait_for_selector("#strength")

    def to(value):
        page.locator("#strength").fill(str(value))
        assert page.inner_text("output") == f"{value} %"
        return shown(page)

    alone, half, whole = to(0), to(50), to(100)
    assert np.abs(alone[300:, :100] - (70, 120, 60)).mean() < 4  # the leaf in its own green
    assert (np.abs(whole - alone) > np.abs(half - alone) - 1).all() and np.abs(half - alone).mean() > 10
    warm = whole[192, 330]  # the map's warm spot, right of the middle
    assert warm[0] > 180 and warm[0] > warm[2] + 60
    assert (whole[:, :, :].min(axis=2) == 255).sum() > 200  # and a white line round it, for those who see no color


def test_a_text_file_alone_is_refused_in_words(page):
    page.set_input_files("#choose", [text()])
    page.wait_for_selector(".note.stop")
    assert "Not an image: its content is text, whatever it is called. Send a JPEG" in page.inner_text("#answer")
    heard(page, "notes.txt: Not an image")
    assert not page.is_visible("text=Try again")  # it would be refused again


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_on_a_phone_nothing_stands_out_and_every_text_can_be_read(browser, fake, colors):
    with tab(browser, phone=True, color_scheme=colors) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        assert page.get_attribute("#photograph", "capture") == "environment" and page.is_visible(
            "label[for=photograph]"
        )
        page.set_input_files("#photograph", leaf("strange_slide.jpg"))
        page.wait_for_selector("#strength")
        page.set_input_files("#choose", [*many(6), text("a_very_long_name_of_a_file_that_goes_on_and_on_and_on.txt")])
        done(page)
        page.locator(".open").nth(0).click()
        page.wait_for_selector("#strength")
        page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate(CONTRAST) == []
        buttons = page.locator("#answer button, .tools button, label.button").all()
        assert min(each.bounding_box()["height"] for each in buttons if each.is_visible()) >= 36


def test_the_keyboard_alone_is_enough(page):
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "choose":
            break
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(leaf())
    page.wait_for_selector("#strength")
    assert page.evaluate("document.activeElement.id") == "answer-title"  # what came is where one reads on
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "strength"
    page.keyboard.press("Home")
    assert page.inner_text("output") == "0 %"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#answer details').open")
    heard(page, "probability 0.88. The set of likely classes holds")


def test_the_token_is_taken_out_of_the_address_and_kept_for_the_tab_only(browser):
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


def test_without_a_token_it_is_asked_for_and_a_wrong_one_is_asked_again(browser):
    with Fake(token="right") as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("dialog[open]")
        for wrong in ("wrong", "schlüssel"):  # the second cannot even be sent
            page.keyboard.type(wrong)  # the field has the focus
            page.keyboard.press("Enter")
            page.wait_for_selector("dialog[open] >> text=not accepted")
        page.fill("#token-value", "right")
        page.keyboard.press("Enter")
        page.wait_for_selector("body.ready")
        fake.token = "changed"  # the server was started anew while the page stood open
        drop(page, [leaf()])
        page.wait_for_selector("dialog[open]")
        page.fill("#token-value", "changed")
        page.keyboard.press("Enter")
        page.wait_for_selector("#strength")


@pytest.mark.parametrize(
    ("obstacle", "words"),
    [
        ((429, {"Retry-After": "1"}), "The server is busy. Trying again in 1 s."),
        ((503, {"Retry-After": "1"}), "The server is stopping or took too long. Trying again in 1 s."),
        (None, "The connection to the server is lost. Trying again in 1 s"),
    ],
    ids=["busy", "stopping", "lost"],
)
def test_the_page_waits_says_why_and_asks_again(page, fake, obstacle, words):
    fake.script[:] = [obstacle]
    drop(page, [leaf()])
    page.wait_for_selector(f"#notice >> text={words}")
    page.wait_for_selector("#strength")
    assert not page.is_visible("#notice") and not fake.script
    assert len(fake.asked) == 1


def test_a_portion_that_is_too_large_is_halved_and_a_file_that_is_says_so(browser):
    limits = {"bytes": 40_000, "images": 4, "pixels": 10**6}
    with Fake(model={**MODEL, "limits": limits}, script=[(413, {})]) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        large = {"name": "large.bmp", "mimeType": "image/bmp", "buffer": b"BM" + bytes(50_000)}
        page.set_input_files("#choose", [*many(4), large])
        done(page)
        assert [len(names) for names, _ in fake.asked] == [2, 2]  # nobody sent the large one
        assert "50 kB; this server takes 40 kB at most" in page.inner_text("tr.failed")
        assert page.locator("tr.answered").count() == 4


def test_cancel_keeps_what_was_answered_and_the_rest_can_be_sent_later(page, fake):
    fake.free = 1
    page.set_input_files("#choose", many(30))
    page.wait_for_selector("tr.answered")
    assert re.fullmatch(r"\d+ of 30 images", page.inner_text("#count"))
    page.click("#cancel")
    done(page)
    answered = page.locator("tr.answered").count()
    assert 8 <= answered < 30 and page.locator("tr.stopped").count() == 30 - answered
    fake.free = 100
    fake.released.set()
    page.click("#again")
    page.wait_for_selector("tr.answered >> nth=29")


def test_a_file_that_is_gone_by_now_is_named_and_not_waited_for(page, tmp_path):
    file = tmp_path / "gone.jpg"
    file.write_bytes(leaf()["buffer"])
    page.route("**/v1/predict*", lambda route: route.abort())  # as the browser does when it cannot read the file
    page.evaluate(
        "() => { Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException('', 'NotReadableError')); }"
    )
    page.set_input_files("#choose", file)
    page.wait_for_selector(".note.stop >> text=can no longer be read from your disk")


def test_two_classes_say_where_the_limit_lies_and_what_it_did(browser):
    with Fake(model=TWO) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        assert "Names an image as Normal or OSCC." in page.inner_text("#lead")
        panel = page.inner_text("#about")
        assert "In its test it found a share of 0.93 [0.86, 0.97] of those that are (sensitivity)" in panel
        assert "left 0.87 [0.78, 0.93] of the others alone (specificity), on 63 and 62 images." in panel
        drop(page, [leaf("slide.jpg")])
        page.wait_for_selector("#strength")
        assert "OSCC is said from a probability of 0.372 up; here it is 0.110, so Normal is said." in page.inner_text(
            "#answer"
        )


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ("fit", ["On the very images that it was set with, it found a share", "Expect less of new images"]),
        ("validation", ["On validation images, which trained nothing,", "The test has no such numbers"]),
        (None, ["What that finds was not measured."]),
    ],
)
def test_on_which_images_a_threshold_was_measured_is_said(browser, measured, words):
    threshold = {**TWO["threshold"], "measured_on": measured}
    with Fake(model={**TWO, "threshold": threshold}) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        panel = page.inner_text("#about")
        assert all(each in panel for each in words) and "In its test" not in panel


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (0, "Of 96 images (48 groups) it had not seen, it named"),
        (60, "Of 96 images (48 groups) (it was trained on 60 of them), it named"),
        (None, "Of 96 images (48 groups), it named"),
    ],
)
def test_whether_the_images_of_the_test_were_new_to_the_model_is_said(browser, seen, words):
    model = {**MODEL, "tested_on": {**MODEL["tested_on"], "seen": seen}}
    with Fake(model=model) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        assert words in page.inner_text("#lead")


def test_of_a_strange_image_of_two_classes_nothing_false_is_said(browser):
    with Fake(model=TWO) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        drop(page, [leaf("strange.jpg")])
        page.wait_for_selector("#strength")
        told = page.inner_text("#answer")
        assert "I name one of my classes whatever an image shows" in told and "may mean nothing" in told
        assert "least unlike" not in told and "OSCC is said from a probability of 0.372 up" in told


def test_a_name_from_outside_never_becomes_code(browser):
    name = "<img src=x onerror=document.title='caught'>.jpg"
    with Fake(model={**MODEL, "name": name, "classes": [name, "other"]}) as fake, tab(browser) as page:
        page.goto(fake.address)
        page.wait_for_selector("body.ready")
        page.set_input_files("#choose", [leaf(name), text("<b>x</b>.txt")])
        done(page)
        assert page.locator("main img:not(.brand img)").count() == 0 and page.locator("tbody b b").count() == 0
        assert "<img src=x" in column(page, 0)[0] and page.title().startswith("<img src=x")


def test_a_16_bit_tiff_is_drawn_and_what_cannot_be_drawn_is_said(page):
    tifffile = pytest.importorskip("tifffile")
    values = np.zeros((40, 60, 3), np.uint16)
    values[:, 30:] = 900  # of 65,535: black to a browser that did not stretch it
    for compression in (None, "lzw", "zlib"):
        kept = io.BytesIO()
        tifffile.imwrite(kept, values, compression=compression, predictor=compression is not None)
        drop(page, [{"name": f"{compression}.tif", "mimeType": "image/tiff", "buffer": kept.getvalue()}])
        page.wait_for_selector(f"#answer:has-text('{compression}.tif') #strength")
        assert "16 bits: shown with its contrast stretched" in page.inner_text("figcaption")
        page.locator("#strength").fill("0")
        shades = shown(page)[100]
        assert shades[:240].max() < 8 and shades[272:].min() > 247, compression
    drop(page, [{"name": "phone.heic", "mimeType": "image/heic", "buffer": b"BM, and nothing a browser knows"}])
    page.wait_for_selector("#answer:has-text('phone.heic') #strength")
    assert "This browser cannot draw .heic files; the model has read it." in page.inner_text("figcaption")


def test_the_page_is_of_one_hand_with_the_reports(page):
    served = read_pages()
    assert all(served[name].data == (LOOK / name).read_bytes() for name in ("mark.svg", "theme.css"))

    def colors(sheet):
        return re.findall(r"--([a-z-]+): (#[0-9a-f]+);", sheet.read_text(encoding="utf-8"))

    assert set(colors(STATIC / "style.css")) <= set(colors(LOOK / "theme.css"))

    from coverslip.figures.overlay import heat_colors

    drawn = page.evaluate("import('/static/heat.js').then(({ heatColor }) => [0, 0.21, 0.5, 0.83, 1].map(heatColor))")
    assert np.abs(np.array(drawn) - heat_colors(np.array([0, 0.21, 0.5, 0.83, 1]))).max() < 3


def test_nothing_of_the_page_is_written_into_its_elements_or_asked_of_others():
    for file in [*STATIC.iterdir(), *LOOK.iterdir()]:
        content = file.read_text(encoding="utf-8")
        outside = [url for url in re.findall(r"https?://[^\s\"'`)]+", content) if "www.w3.org" not in url]
        assert outside == [], file.name
        assert "innerHTML" not in content and "eval(" not in content and "localStorage" not in content, file.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*src=)", page)


def test_a_server_that_keeps_images_says_so_where_they_are_given_and_promises_nothing_else(browser, page):
    assert page.is_hidden("#kept") and "this page keeps nothing" in page.inner_text("footer")
    with Fake(model={**MODEL, "keeps": True}) as fake, tab(browser) as other:
        other.goto(fake.address)
        other.wait_for_selector("body.ready")
        assert "keep the images that are sent to it" in other.inner_text("#intake")
        footer = other.inner_text("footer")
        assert "keeps nothing" not in footer and "keeps the images" in footer
