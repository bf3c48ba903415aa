"""The explorables in a real browser, loaded like in a notebook: one module, one style sheet, a model."""

import numpy as np
import pytest

from coverslip.course import explorables
from coverslip.course.explorables.bundle import module, style
from coverslip.course.explorables.catalog import EXPLORABLES

from ..chromium import open_chromium

# like anywidget: the style sheet in the head, the module from a blob, render({ model, el }) with a Backbone-like model
LOAD = """async ({ code, css, values }) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  const listeners = {};
  window.saved = [];
  window.model = {
    values: structuredClone(values), get: (name) => model.values[name],
    set(name, value) {
      const same = JSON.stringify(value) === JSON.stringify(model.values[name]);
      model.values[name] = value;
      if (!same) [...(listeners["change:" + name] ?? [])].forEach((each) => each());
    },
    save_changes: () => saved.push(structuredClone(model.values)),
    on: (name, each) => (listeners[name] ??= []).push(each),
    off: (name, each) => (listeners[name] = listeners[name].filter((other) => other !== each)),
    listening: () => Object.values(listeners).flat().length,
  };
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const { default: explorable } = await import(url);
  window.stop = explorable.render({ model, el: document.getElementById("cell") });
}"""


@pytest.fixture(scope="module")
def browser():
    with open_chromium() as chromium:
        yield chromium


@pytest.fixture
def show(browser):
    """Return a function that opens an explorable: ``show("kernel", stride=2)`` -> page. Errors fail the test."""
    pages, errors = [], []

    def opened(name, *, width=1000, body="", calm=False, dark=False, **options):
        page = browser.new_page(
            viewport={"width": width, "height": 900},
            reduced_motion="reduce" if calm else "no-preference",
            color_scheme="dark" if dark else "light",
        )
        page.route("**", lambda route: errors.append(f"asked for {route.request.url}") or route.abort())
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_content(f'<!doctype html><body style="margin:0" {body}><div id="cell"></div></body>')
        values = EXPLORABLES[name].values(**options)
        page.evaluate(LOAD, {"code": module(name), "css": style(), "values": values})
        page.wait_for_function("document.querySelector('canvas').style.height")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert errors == []


def value(page, name):
    return page.evaluate("(name) => model.get(name)", name)


def put(page, **values):
    """Set values like a notebook cell: widget.NAME = value."""
    page.evaluate("(values) => { for (const [name, value] of Object.entries(values)) model.set(name, value); }", values)


def press(page, action):
    page.locator(f"[data-action={action}]").click()


def at(page, x, y, number=0):
    """Convert a position on the canvas, as fractions of its sides, to pixels of the page."""
    box = page.locator("canvas").nth(number).bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def reach(page, condition):
    page.wait_for_function(condition, timeout=15_000)


def test_descent_reacts_to_mouse_keyboard_and_python(show):
    page = show("descent", learning_rate=0.2)
    page.mouse.click(*at(page, 0.75, 0.25))  # the map shows -3 to 3
    assert value(page, "start") == pytest.approx([1.5, 1.5], abs=0.03)
    page.locator("canvas").first.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert value(page, "start") == pytest.approx([1.4, 0.5], abs=0.03)
    put(page, start=[1, -2])  # a cell of the notebook
    press(page, "step")
    press(page, "step")
    assert value(page, "position") == pytest.approx([0.64, -1.28])  # a bowl: (1 - 0.2)² of the start
    assert value(page, "loss") == pytest.approx((0.64**2 + 1.28**2) / 2)
    page.locator("canvas").first.focus()
    page.keyboard.press("Enter")
    reach(page, "model.get('steps') > 6")
    assert page.locator("[data-action=run]").text_content() == "Pause"
    page.keyboard.press("Enter")
    assert page.locator("[data-action=run]").text_content() == "Run"
    steps = value(page, "steps")
    page.locator("[data-option=learning_rate]").focus()
    page.keyboard.press("ArrowRight")
    assert value(page, "learning_rate") == 0.25 and value(page, "steps") == steps
    put(page, learning_rate=0.07)
    assert page.locator("[data-option=learning_rate]").get_attribute("aria-valuetext") == "0.07"


def test_descent_reports_too_small_right_and_diverged(show):
    page = show("descent", surface="ravine", learning_rate=0.001, start=[-2.4, 0.6])
    assert value(page, "verdict") == "too small"
    put(page, learning_rate=0.1)
    assert value(page, "verdict") == "right"
    put(page, learning_rate=2)
    assert value(page, "verdict") == "too large"
    press(page, "run")
    reach(page, "model.get('loss') === null")
    reach(page, "document.querySelector('[role=status]').textContent.includes('Diverged')")  # announced a moment later
    page.locator(".cx-try button").nth(2).click()  # a suggestion sets all options
    assert (value(page, "surface"), value(page, "steps"), value(page, "verdict")) == ("saddle", 0, "right")


def test_the_kernel_can_be_dragged_and_its_output_equals_numpys(show):
    image = np.arange(36).reshape(6, 6) ** 2 % 17
    weights = np.array([[1, 0, -1], [2, 0, -2], [1, 0.5, -1]])
    page = show("kernel", numbers=image, weights=weights)
    page.mouse.move(*at(page, 1.5 / 6, 1.5 / 6))
    page.mouse.down()
    page.mouse.move(*at(page, 4.5 / 6, 1.5 / 6), steps=2)  # a quick drag also fills the positions in between
    page.mouse.up()
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    expected = (windows * weights).sum((2, 3))
    assert value(page, "position") == [0, 3]
    np.testing.assert_allclose(value(page, "output")[0], expected[0])
    assert value(page, "output")[1] == [None] * 4
    page.keyboard.press("ArrowDown")  # the image has the focus
    assert value(page, "response") == pytest.approx(expected[1, 3])
    for _ in range(11):
        press(page, "step")
    page.mouse.click(*at(page, 0.5 / 6, 1.5 / 6, number=1))  # a click on the output
    assert value(page, "position") == [1, 0]
    for _ in range(3):
        press(page, "step")
    np.testing.assert_allclose(value(page, "output"), expected)
    assert value(page, "visited") == 16
    arithmetic = page.locator(".cx-sum").text_content().replace("−", "-")
    assert all(f"{each} ×" in arithmetic for each in image[1:4, 3:6].flat)


def test_the_kernels_weights_stride_and_padding_can_be_changed(show):
    page = show("kernel")
    page.locator("[data-option=stride]").focus()
    page.keyboard.press("ArrowRight")
    page.locator("[data-option=padding]").focus()
    page.keyboard.press("ArrowRight")
    assert value(page, "size") == [3, 3]  # (6 + 2 - 3) / 2 + 1, rounded down
    assert "rounded down" in page.locator(".cx-hint").text_content()
    page.get_by_label("Kernel, row 2, column 2").fill("5")
    page.keyboard.press("Tab")
    assert value(page, "weights")[1] == [1, 5, -1]
    assert page.locator(".cx-preset select").input_value() == ""
    page.locator(".cx-preset select").select_option("Blur")
    assert np.allclose(value(page, "weights"), 1 / 9)
    page.locator("[data-option=image]").first.focus()
    page.keyboard.press("ArrowRight")
    assert value(page, "image") == "leaf" and value(page, "size") == [24, 24]
    press(page, "run")
    reach(page, "model.get('visited') > 100")


def test_the_input_of_a_unit_can_be_moved_until_it_is_dead(show):
    page = show("activations", function="relu", spread=0)
    page.mouse.move(*at(page, 0.5, 0.3))
    page.mouse.down()
    page.mouse.move(*at(page, 0.8, 0.3), steps=3)
    page.mouse.up()
    assert value(page, "input") == pytest.approx(3.3, abs=0.4) and value(page, "slope") == 1
    for _ in range(6):
        page.keyboard.press("Shift+ArrowLeft")
    assert value(page, "input") < -2 and value(page, "silent") == 40
    assert "Dead" in page.locator(".cx-state").text_content()
    page.locator("[data-option=function]").select_option("sigmoid")
    assert value(page, "slope") == pytest.approx(value(page, "output") * (1 - value(page, "output")))
    put(page, input=6)
    assert "Saturated" in page.locator(".cx-state").text_content()


def test_capacity_trains_accepts_points_and_pauses_while_hidden(show):
    page = show("capacity", units=0, points=40)
    assert value(page, "parameters") == 3
    page.locator("[data-option=units]").focus()
    page.keyboard.press("End")
    assert value(page, "units") == 64 and value(page, "parameters") == 257
    press(page, "step")
    assert value(page, "epoch") == 5
    press(page, "run")
    reach(page, "model.get('epoch') > 60")
    assert value(page, "train_loss") < value(page, "validation_loss")
    page.evaluate("document.getElementById('cell').style.display = 'none'")
    page.wait_for_timeout(150)
    rest = value(page, "epoch")
    page.wait_for_timeout(150)
    assert value(page, "epoch") == rest
    page.evaluate("document.getElementById('cell').style.display = ''")
    reach(page, f"model.get('epoch') > {rest}")
    press(page, "reset")
    page.mouse.click(*at(page, 0.5, 0.5))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    press(page, "step")  # 42 points now: the accuracy is a multiple of 1/42
    assert value(page, "train_accuracy") * 42 == pytest.approx(round(value(page, "train_accuracy") * 42))
    press(page, "new-points")
    assert value(page, "seed") == 1 and value(page, "epoch") == 0


def test_all_sizes_are_trained_to_the_end_in_turn(show):
    page = show("capacity", points=20)
    press(page, "try-all-sizes")
    reach(page, "model.get('units') === 1 && model.get('epoch') > 20")
    assert [each["units"] for each in page.evaluate("saved") if each["epoch"] == 1500][:1] == [0]
    press(page, "reset")  # stops it
    page.wait_for_timeout(100)
    assert value(page, "epoch") == 0


def test_regularization_acts_on_one_of_two_networks(show):
    page = show("regularization", l2=0, dropout=0)
    for _ in range(4):
        press(page, "step")
    assert value(page, "weight_size") == value(page, "weight_size_free")  # no regularization: they are equal
    page.locator("[data-option=l2]").focus()
    page.keyboard.press("End")
    assert value(page, "l2") == 1
    for _ in range(8):
        press(page, "step")
    assert value(page, "weight_size") < 0.8 * value(page, "weight_size_free")
    page.locator("[data-option=dropout]").focus()
    page.keyboard.press("ArrowRight")
    press(page, "run")
    reach(page, "model.get('epoch') > 100")
    assert "dropout 0.1" in page.locator(".cx-state").text_content()


@pytest.mark.parametrize("name", EXPLORABLES)
def test_the_widget_accepts_what_the_page_sends(show, name):
    pytest.importorskip("anywidget")
    page = show(name, calm=True)
    if page.locator("[data-action=step]").count():
        press(page, "step")
    page.locator("canvas, input").first.focus()
    page.keyboard.press("ArrowRight")
    page.locator("[data-option]").first.focus()
    page.keyboard.press("ArrowLeft")
    sent = page.evaluate("saved.at(-1)")
    widget = getattr(explorables, name)()
    widget.set_state(sent)
    for key, expected in page.evaluate("model.values").items():
        assert getattr(widget, key) == expected, key


@pytest.mark.parametrize("name", EXPLORABLES)
def test_every_control_can_be_focused_and_has_a_name(show, name):
    page = show(name, width=380, body='data-jp-theme-light="false"')
    assert page.locator(".cx").get_attribute("data-theme") == "dark"  # the theme of JupyterLab
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    unnamed = """() => [...document.querySelectorAll("button, input, select, canvas")].filter((each) =>
      !(each.getAttribute("aria-label") || each.labels?.[0]?.textContent || each.textContent)).length"""
    assert page.evaluate(unnamed) == 0
    reached = page.evaluate("""() => [...document.querySelectorAll("button, input, select, canvas[role=application]")]
      .filter((each) => { each.focus(); const kept = each.hasAttribute("data-lm-suppress-shortcuts");
        return !each.disabled && (document.activeElement !== each || !kept); }).length""")  # JupyterLab ignores keys
    assert reached == 0
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    reach(page, "document.querySelector('.cx').dataset.theme === 'light'")
    announced = page.locator("[role=status]").text_content()
    assert announced == page.locator(".cx-state").text_content() != ""
    page.evaluate("stop()")  # the cell was cleared
    assert page.locator(".cx").count() == 0 and page.evaluate("model.listening()") == 0


@pytest.mark.parametrize("name", ["index.html", "descent.html", "regularization.html"])
def test_a_page_runs_from_a_file(browser, tmp_path, name):
    explorables.write_pages(tmp_path)
    page = browser.new_page(color_scheme="dark")
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / name).as_uri())
    if name == "index.html":
        page.locator("main a").first.click()
    press(page, "run")
    reach(page, "/(Step|Epoch) [1-9]/.test(document.querySelector('.cx-state').textContent)")
    assert page.locator(".cx").get_attribute("data-theme") == "dark"
    page.close()
    assert errors == []
