"""The page of a study: its headline, its figures, and its behavior in a browser."""

import json
import re
import time

import pytest

from coverslip.core.errors import UserError
from coverslip.reporting.tune_files import loss_intervals, read_study
from coverslip.reporting.tune_page import write_tune_page

from .fake_run import HOSTILE
from .fake_study import (
    SPACE,
    search_rows,
    write_failed,
    write_fake_study,
    write_running,
    write_search,
    write_steps,
    write_sweep,
)
from .page import Page, need_offline
from .test_in_browser import Browser
from .test_in_browser import pytestmark as needs_browser


def html_of(folder) -> str:
    return write_tune_page(folder).read_text("utf-8")


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """A finished search of 30 trials."""
    return write_search(tmp_path_factory.mktemp("home") / "search", 30)


def sections(html: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', html)


def test_the_corrected_accuracy_comes_first_then_the_comparison_with_the_default_then_the_command(search) -> None:
    html = html_of(search)
    need_offline(html)
    text, summary = Page(html).text, json.loads((search / "study.json").read_text("utf-8"))
    corrected = summary["luck"]["corrected"]
    number = f"{corrected['value']:.3f} [{corrected['low']:.3f}, {corrected['high']:.3f}]"
    sentence, command = summary["compared"]["sentence"][1:].replace("-", "−"), summary["next"]
    assert f"new images: {number}" in text and "selection bias" in text
    order = [text.index(part) for part in (number, sentence, command, "Expected accuracy Validation says")]
    assert order == sorted(order)
    assert (
        "None" not in text and "nan" not in text and "refresh" not in html.partition("<main")[2].partition("<script")[0]
    )


def test_a_search_has_every_figure_each_with_a_sentence_and_every_trial_is_in_the_table(search) -> None:
    html = html_of(search)
    expected = "expected chosen history curves importance slices contour parallel trials how"
    assert sections(html) == expected.split()
    figures = re.findall(r"<figure>(.*?)</figure>", html, re.DOTALL)
    assert len(figures) == 7
    for figure in figures:
        caption = re.search(r"<figcaption>(.+)</figcaption>", figure, re.DOTALL)
        assert caption and caption[1].strip().endswith(".")
    rows = re.findall(r'<tr data-t="(\d+)"', html)
    assert sorted(map(int, rows)) == list(range(30))
    losses = [
        float(each)
        for each in re.findall(
            r'<tr data-t="\d+" class="finished">.*?</td><td>.*?<td class="n" data-v="([\d.]+)"', html, re.DOTALL
        )
    ]
    assert losses == sorted(losses)
    assert set(re.findall(r'<(?:use|path) data-t="(\d+)"', html)) == set(rows)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_without_a_correction_the_accuracy_is_called_optimistic(tmp_path) -> None:
    text = Page(html_of(write_sweep(tmp_path / "s", 5, (8, 32)))).text
    assert "is optimistic" in text and "accuracy on new images" not in text


def test_the_page_of_a_running_study_is_updated_and_suggests_the_test_set_only_for_later(tmp_path) -> None:
    html = html_of(write_running(tmp_path / "s"))
    text = Page(html).text
    assert 'data-refresh="3"' in html and "47 pending" in text and "about 1 min 35 s left" in text
    assert "When the study has finished" in text and "the only finished one, so far" in text
    assert not {"contour", "parallel", "importance"} & set(sections(html))


def test_a_study_in_which_every_trial_failed_says_why_and_what_to_do(tmp_path) -> None:
    html = html_of(write_failed(tmp_path / "s"))
    text = Page(html).text
    assert "All 8 trials failed" in text and "the loss became inf in epoch 3 (8 trials)" in text
    assert "learning rate" in text and "<figure" not in html and "coverslip train" not in text


def test_one_setting_needs_no_figure_of_several(tmp_path) -> None:
    html = html_of(write_search(tmp_path / "s", 20, ["training.lr"]))
    assert not {"contour", "parallel", "importance"} & set(sections(html))
    assert "Loss by learning rate" in Page(html).text


def test_a_sweep_has_its_map_and_curves_and_warns_of_a_best_value_at_the_end_of_the_range(tmp_path) -> None:
    html = html_of(write_sweep(tmp_path / "s"))
    assert sections(html)[:3] == ["map", "sweep", "slices"]
    assert html.count('<tr data-t="') == 48
    text = Page(html).text
    assert "The best batch size, 128, is at the upper end" in text
    assert "The best learning rate" not in text
    assert sections(html_of(write_sweep(tmp_path / "one", batches=())))[:2] == ["slices", "sweep"]


def test_one_at_a_time_shows_each_step_with_intervals_over_groups(tmp_path) -> None:
    folder = write_steps(tmp_path / "s")
    html, steps = html_of(folder), json.loads((folder / "study.json").read_text("utf-8"))["steps"]
    assert sections(html)[0] == "steps" and html.count("<article>") == len(steps) == 5
    text = Page(html).text
    for step in steps:
        assert step["sentence"] in text
    intervals = loss_intervals(read_study(folder))
    low, high = intervals[steps[0]["numbers"][2]]
    assert low < high and f"[{low:.3f}, {high:.3f}]" in text and "95 % interval over groups" in text
    (folder / "validation.npz").write_bytes(b"half of it")
    assert "95 % interval over groups" not in Page(html_of(folder)).text


def test_the_interval_of_a_loss_respects_groups(tmp_path) -> None:
    import numpy as np

    folder = write_steps(tmp_path / "s")
    with np.load(folder / "validation.npz") as arrays:
        content = dict(arrays)
    single = loss_intervals(read_study(folder))[0]
    thrice = {
        "numbers": content["numbers"],
        "losses": np.tile(content["losses"], 3),
        "groups": np.tile(content["groups"], 3),
    }
    np.savez(folder / "validation.npz", **thrice)  # three times the images in the same groups carry no more information
    assert loss_intervals(read_study(folder))[0] == pytest.approx(single)


def test_names_are_escaped_and_paths_of_folders_are_not_shown(tmp_path) -> None:
    keys = {"training.lr": SPACE["training.lr"] | {"name": HOSTILE}}
    rows = search_rows({"training.lr": SPACE["training.lr"]}, 6)
    rows[2] |= {"state": "failed", "why": HOSTILE}
    html = html_of(write_fake_study(tmp_path / "s", rows, keys, name=HOSTILE, notes=[HOSTILE]))
    assert HOSTILE not in html and HOSTILE in Page(html).text
    assert str(tmp_path) not in html


def test_missing_files_are_tolerated_and_damaged_ones_are_an_error(tmp_path) -> None:
    folder = write_search(tmp_path / "s", 10)
    (folder / "curves.csv").unlink()
    (folder / "validation.npz").unlink()
    assert "history" in sections(html_of(folder))
    (folder / "trials.csv").write_text("number,state\n0,finished\nonce,half", encoding="utf-8")
    with pytest.raises(UserError, match=r"trials\.csv"):
        write_tune_page(folder)
    (folder / "trials.csv").unlink()
    (folder / "study.json").write_text('{"state": "running"}', encoding="utf-8")
    assert "No trial has started yet" in Page(html_of(folder)).text
    (folder / "study.json").write_text('{"state": ', encoding="utf-8")
    with pytest.raises(UserError, match="is not JSON"):
        write_tune_page(folder)
    with pytest.raises(UserError, match=r"no study\.json"):
        write_tune_page(tmp_path)
    with pytest.raises(UserError, match="no study"):
        write_tune_page(tmp_path / "elsewhere")


def test_an_interrupted_study_has_the_command_to_resume_it_without_its_path(tmp_path) -> None:
    folder = tmp_path / "my study"
    write_search(folder, 8, state="interrupted", planned=50, next=f"coverslip tune --resume '{folder}'")
    text = Page(html_of(folder)).text
    assert "coverslip tune --resume 'my study'" in text and "42 not started" in text
    assert "Train the best settings" not in text and str(tmp_path) not in text


def test_the_trial_chosen_by_the_steps_is_marked_although_another_one_has_a_lower_loss(tmp_path) -> None:
    folder = write_steps(tmp_path / "s")
    content = json.loads((folder / "study.json").read_text("utf-8"))
    assert content["best"]["number"] != 0
    (folder / "study.json").write_text(json.dumps(content | {"best": content["default"]}), encoding="utf-8")
    html = html_of(folder)
    assert "Accuracy of trial 0, chosen by the steps" in Page(html).text and "optimistic" not in html
    assert re.search(r'aria-label="best trial"[^>]*>◆</span> 0</td>', html)


def test_a_page_of_200_trials_is_quickly_drawn(tmp_path) -> None:
    folder = write_search(tmp_path / "s", 200)
    write_tune_page(folder)
    start = time.process_time()
    write_tune_page(folder)
    assert time.process_time() - start < 3  # 0.8 s on an idle machine


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for the tests below."""
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


class TestInBrowser:
    """Interaction with the page."""

    pytestmark = needs_browser

    def test_a_click_on_a_heading_sorts_numerically_and_missing_values_stay_last(self, browser, search) -> None:
        browser.open(write_tune_page(search))
        column = "[...document.querySelectorAll('.tune-trials tbody tr')].map(row => row.cells[{}].textContent)"
        browser.click(".tune-trials thead th:nth-child(5) button")
        rates = [float(each) for each in browser.evaluate(column.format(4))]
        assert rates == sorted(rates)
        browser.click(".tune-trials thead th:nth-child(3) button")
        browser.click(".tune-trials thead th:nth-child(3) button")
        losses = [each for each in browser.evaluate(column.format(2)) if each != "–"]
        assert [float(each) for each in losses] == sorted(map(float, losses), reverse=True)
        assert not browser.errors() and browser.requests() == []

    def test_a_click_on_a_row_highlights_its_trial_in_every_figure(self, browser, search) -> None:
        browser.open(write_tune_page(search))
        browser.evaluate("document.querySelector('#trials').scrollIntoView()")
        browser.click(".tune-trials tbody tr:nth-child(3) td")
        number = browser.evaluate("document.querySelector('.tune-trials tr.pinned').dataset.t")
        lit = browser.evaluate("[...new Set([...document.querySelectorAll('.lit')].map(each => each.dataset.t))]")
        figures = browser.evaluate(
            "[...document.querySelectorAll('.plate')].filter(each => each.querySelector('.lit')).length"
        )
        assert lit == [number] and figures == 5
        browser.click(".tune-trials tr.pinned td")
        assert browser.evaluate("document.querySelectorAll('.pinned').length") == 0

    def test_a_running_page_reloads_itself_at_the_same_position(self, browser, tmp_path) -> None:
        page = write_tune_page(write_running(tmp_path / "s"))
        page.write_text(page.read_text("utf-8").replace('data-refresh="3"', 'data-refresh="0.4"'), encoding="utf-8")
        browser.open(page)
        browser.evaluate("document.querySelector('#curves').scrollIntoView()")
        before = browser.evaluate("document.querySelector('#curves').getBoundingClientRect().top")
        browser.evaluate("window.first = true")
        wait = "new Promise(done => setTimeout(done, 100))"
        for _ in range(60):
            if not browser.evaluate("window.first === true"):
                break
            time.sleep(0.1)
        assert not browser.evaluate("window.first === true")
        browser.evaluate(wait)
        assert abs(browser.evaluate("document.querySelector('#curves').getBoundingClientRect().top") - before) < 2
        browser.evaluate("document.querySelector('.tune-live button').click(); window.still = true")
        time.sleep(1)
        assert browser.evaluate("window.still === true")
        browser.evaluate("sessionStorage.clear()")

    def test_the_page_fits_a_narrow_window(self, browser, search) -> None:
        browser.open(write_tune_page(search))
        browser.ask("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False)
        assert browser.evaluate("document.documentElement.scrollWidth") <= 400
        browser.ask("Emulation.clearDeviceMetricsOverride")
