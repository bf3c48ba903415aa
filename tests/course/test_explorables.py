"""Mathematics of the explorables compared with NumPy, and their Python side: options, traits, pages."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from scipy.special import erf

from coverslip.core.errors import UserError
from coverslip.course import explorables
from coverslip.course.explorables.bundle import joined, module, order, static
from coverslip.course.explorables.catalog import EXPLORABLES
from coverslip.course.explorables.widgets import _widget

from ..chromium import chromium_path

NODE = shutil.which("node")
SURFACES = ("bowl", "ravine", "saddle", "valleys", "dents")


def javascript(names, code):
    """Return the result of ``code`` with the named modules of ``static/`` loaded, in node or else in Chromium."""
    program = f"{joined(*names.split())}\nconst result = JSON.stringify((() => {{ {code} }})());"
    if NODE:
        program += "\nconsole.log(result)"
        done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    browser = chromium_path()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(f"<script>{program}\ndocument.title = encodeURIComponent(result)</script>", encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/user", "--dump-dom"]
        done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, check=True)
    return json.loads(unquote(re.search("<title>(.*)</title>", done.stdout)[1]))


def losses(name, x, y):
    """Return the loss of one of the five surfaces, in NumPy."""
    if name == "bowl":
        return (x**2 + y**2) / 2
    if name == "ravine":
        along, across = np.cos(0.45) * x + np.sin(0.45) * y, np.cos(0.45) * y - np.sin(0.45) * x
        return 0.125 * along**2 + 4 * across**2
    wells = (x**2 - 4) ** 2 / 16 + y**2 / 2
    if name == "dents":
        return 0.2 * (x**2 + y**2) + 0.4 * (2 - np.cos(3 * x) - np.cos(3 * y))
    return wells if name == "saddle" else wells + 0.25 * x + 0.5147536


def slope(name, point, small=1e-6):
    x, y = point
    across = losses(name, x + small, y) - losses(name, x - small, y)
    return np.array([across, losses(name, x, y + small) - losses(name, x, y - small)]) / (2 * small)


def convolve(image, kernel, stride, padding):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, padding), kernel.shape)
    return (windows[::stride, ::stride] * kernel).sum((2, 3))


def test_the_output_of_a_kernel_equals_numpys_for_every_stride_and_padding():
    rng = np.random.default_rng(0)
    image, kernel = rng.integers(-9, 256, (7, 10)), rng.normal(size=(3, 3))
    given = [(stride, padding) for stride in (1, 2, 3) for padding in (0, 1, 2)]
    code = f"const [p, k] = {json.dumps([image.tolist(), kernel.tolist()])};"
    outputs = javascript("convolution.js", code + f"return {json.dumps(given)}.map(([s, a]) => convolve(p, k, s, a));")
    for (stride, padding), rows in zip(given, outputs, strict=True):
        np.testing.assert_allclose(rows, convolve(image, kernel, stride, padding), atol=1e-9)


def test_the_vertical_edge_of_the_course_and_the_padding_at_its_corner():
    code = (
        "const p = Array(6).fill([10, 10, 10, 0, 0, 0]), k = Array(3).fill([1, 0, -1]);"
        "return [convolve(p, k), productsAt(p, k, 0, 0, 1, 1).terms.flat().map((term) => term.outside)];"
    )
    edges, outside = javascript("convolution.js", code)
    assert edges == [[0, 30, 30, 0]] * 4
    assert outside == [True, True, True, True, False, False, True, False, False]


@pytest.mark.parametrize("name", SURFACES)
def test_descent_with_all_examples_equals_numpys(name):
    code = (
        f"const walk = startWalk('{name}', [-2.2, 1.8], 5);"
        f"for (let n = 0; n < 30; n++) stepDown(walk, 0.07, 64);"
        f"return [walk.path, walk.losses, SURFACES.{name}.lowest];"
    )
    path, path_losses, lowest = javascript("surfaces.js", code)
    at = np.array([-2.2, 1.8])
    for step in path[1:]:
        at = at - 0.07 * slope(name, at)
        np.testing.assert_allclose(step, at, atol=1e-6)
    np.testing.assert_allclose(path_losses, [losses(name, *place) for place in path], atol=1e-9)
    grid = np.linspace(-3, 3, 601)
    assert losses(name, *lowest) == pytest.approx(losses(name, *np.meshgrid(grid, grid)).min(), abs=1e-3)
    assert losses(name, *lowest) == pytest.approx(0, abs=1e-4)


def test_a_small_batch_follows_its_own_examples_and_an_epoch_uses_each_once():
    code = (
        "const walk = startWalk('valleys', [1, 1], 3), batches = [];"
        "for (let n = 0; n < 16; n++) batches.push(stepDown(walk, 0.1, 8).batch);"
        "return [walk.path, batches, walk.tilts, walk.examplesUsed];"
    )
    path, batches, tilts, used = javascript("surfaces.js", code)
    np.testing.assert_allclose(np.sum(tilts, 0), 0, atol=1e-9)  # together they do not change the surface
    for before, after, batch in zip(path, path[1:], batches, strict=False):
        expected = np.array(before) - 0.1 * (
            slope("valleys", before) + np.mean([tilts[example] for example in batch], 0)
        )
        np.testing.assert_allclose(after, expected, atol=1e-6)
    assert used == 128
    for epoch in (batches[:8], batches[8:]):
        assert sorted(np.ravel(epoch)) == list(range(64))


def test_a_learning_rate_just_above_two_over_the_curvature_diverges_and_just_below_converges():
    code = (
        "const end = (rate) => { const walk = startWalk('ravine', [-2.4, 0.6], 0);"
        "for (let n = 0; n < 300; n++) stepDown(walk, rate, 64); return [walk.lost, walk.losses.at(-1)]; };"
        "return [end(0.24), end(0.26)];"
    )
    (below, loss), (above, _) = javascript("surfaces.js", code)  # the ravine's largest curvature is 8
    assert not below and loss < 1e-4 and above


def test_full_batches_stop_on_the_saddle_and_small_batches_leave_it_for_every_seed():
    code = (
        "return [64, 4].map((batch) => [0, 1, 2, 3, 4].map((seed) => {"
        "const walk = startWalk('saddle', [0, 2.5], seed);"
        "for (let n = 0; n < 200; n++) stepDown(walk, 0.1, batch); return walk.losses.at(-1); }));"
    )
    full, small = javascript("surfaces.js", code)
    np.testing.assert_allclose(full, 1, atol=1e-6)
    assert max(small) < 0.3


def test_learning_rates_are_classified_as_too_small_right_and_too_large():
    code = (
        "const rates = [0.001, 0.01, 0.1, 1, 1.9, 3, 10];"
        "const ends = sweepLearningRates('bowl', [-2.2, 1.8], rates, 64, 0);"
        "return [ends.map(String), goodLearningRates(ends, 4.04)];"
    )
    ends, right = javascript("surfaces.js", code)
    assert ends[-1] == ends[-2] == "Infinity"
    assert right == [2, 4]


def test_activations_and_their_slopes():
    code = (
        "const xs = Array.from({ length: 121 }, (_, n) => -6.02 + n / 10);"
        "return Object.fromEntries(Object.entries(ACTIVATIONS)"
        ".map(([name, each]) => [name, [xs.map(each.value), xs.map(each.slope)]]));"
    )
    x = -6.02 + np.arange(121) / 10
    known = {
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "tanh": np.tanh,
        "relu": lambda x: np.maximum(x, 0),
        "leaky_relu": lambda x: np.where(x > 0, x, 0.1 * x),
        "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
        "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
        "softplus": lambda x: np.log1p(np.exp(x)),
        "linear": lambda x: x,
    }
    results = javascript("activation.js", code)
    assert set(results) == set(known) == set(EXPLORABLES["activations"].options["function"].names)
    for name, (values, slopes) in results.items():
        np.testing.assert_allclose(values, known[name](x), atol=1e-6, err_msg=name)
        numeric = (known[name](x + 1e-5) - known[name](x - 1e-5)) / 2e-5
        np.testing.assert_allclose(slopes, numeric, atol=2e-6, err_msg=name)


def forward(all_, units, x, kept):
    """Return the logits of the page's network, in NumPy."""
    if units == 0:
        return x @ all_[:2] + all_[2]
    first, bias = all_[: 2 * units].reshape(units, 2), all_[2 * units : 3 * units]
    hidden = np.tanh(x @ first.T + bias) * kept
    return hidden @ all_[3 * units : 4 * units] + all_[4 * units]


@pytest.mark.parametrize(("units", "l2", "drop"), [(0, 0.1, 0), (5, 0, 0), (5, 0.2, 0), (6, 0.05, 0.5)])
def test_the_networks_gradient_equals_numerical_derivatives_of_its_loss(units, l2, drop):
    code = (
        f"const points = cloud('moons', 30, 0.5, 1), net = newNetwork({units}, seeded(2));"
        f"const kept = {drop} ? dropoutMask({units}, 30, {drop}, seeded(3)) : null;"
        f"const weights = Array.from(net.all, (_, at) => isWeight(net, at));"
        "return [[...points.x], [...points.y], [...net.all], kept && [...kept],"
        f"[...gradientOf(net, points, {l2}, kept)], weights, evaluate(net, points)];"
    )
    x, y, all_, kept, gradient, weights, metrics = javascript("clouds.js network.js", code)
    x, y, all_ = np.reshape(x, (30, 2)), np.array(y), np.array(all_)
    kept = np.ones((30, units)) if kept is None else np.reshape(kept, (30, units))

    def loss(values, kept=kept, l2=l2):
        score = forward(values, units, x, kept)
        penalty = l2 / 2 * (values[np.array(weights)] ** 2).sum()
        return np.mean(np.logaddexp(0, score) - score * y) + penalty

    numeric = [(loss(all_ + step) - loss(all_ - step)) / 2e-6 for step in 1e-6 * np.eye(len(all_))]
    np.testing.assert_allclose(gradient, numeric, atol=1e-7)
    whole = np.ones_like(kept)
    assert metrics["loss"] == pytest.approx(loss(all_, whole, 0))  # evaluation uses neither dropout nor penalty
    assert metrics["accuracy"] == np.mean((forward(all_, units, x, whole) > 0) == (y == 1))
    assert sum(weights) == (2 if units == 0 else 3 * units)


def test_training_uses_adam():
    code = (
        "const points = cloud('rings', 20, 0.2, 1), net = newNetwork(3, seeded(2)), slopes = [], path = [[...net.all]];"
        "for (let n = 0; n < 4; n++) { slopes.push([...gradientOf(net, points, 0.01)]);"
        "train(net, points, { lr: 0.03, l2: 0.01 }); path.push([...net.all]); } return [slopes, path];"
    )
    slopes, path = javascript("clouds.js network.js", code)
    first = second = 0.0
    for step, (gradient, before, after) in enumerate(zip(np.array(slopes), path, path[1:], strict=False), 1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        move = 0.03 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(after, np.array(before) - move, atol=1e-12)


def test_the_suggested_effects_occur_for_several_seeds():
    """64 units overfit, and L2 and dropout regularize, as the texts of the explorables say."""
    code = """
      const run = (units, points, seed, l2 = 0, rate = 0, epochs = 600) => {
        const shown = cloud("moons", points, 0.6, 3 * seed + 1), others = cloud("moons", 400, 0.6, 3 * seed + 2);
        const net = newNetwork(units, seeded(3 * seed + 3), 1.5), random = seeded(3 * seed + 4);
        let best = Infinity;
        for (let epoch = 1; epoch <= epochs; epoch++) {
          train(net, shown, { l2, kept: rate ? dropoutMask(units, points, rate, random) : null });
          if (epoch % 20 === 0) best = Math.min(best, evaluate(net, others).loss);
        }
        const size = Math.sqrt(weightsOf(net).reduce((sum, each) => sum + each * each, 0) / weightsOf(net).length);
        const top = Math.max(...unitStrengths(net, shown));
        return { best, size, top, train: evaluate(net, shown), validation: evaluate(net, others) };
      };
      const all = (seed) => [run(64, 40, seed), run(32, 40, seed), run(32, 40, seed, 0.003), run(32, 40, seed, 0, 0.5)];
      return [0, 1, 2].map(all);
    """
    for large, free, l2, dropout in javascript("clouds.js network.js", code):
        assert large["train"]["accuracy"] == 1 and large["validation"]["loss"] > 1.25 * large["best"]
        assert l2["size"] < 0.5 * free["size"] and l2["validation"]["loss"] < free["validation"]["loss"]
        assert dropout["top"] < 0.6 * free["top"] and dropout["validation"]["loss"] < free["validation"]["loss"]


def test_clouds_are_reproducible_and_have_both_classes():
    code = (
        "const made = (shape, seed) => { const c = cloud(shape, 60, 0, seed); return [[...c.x], [...c.y]]; };"
        "return ['moons', 'rings', 'corners'].map((shape) => [1, 1, 2].map((seed) => made(shape, seed)));"
    )
    for first, again, other in javascript("clouds.js", code):
        assert first == again != other
        assert sum(first[1]) == 30
        assert np.abs(first[0]).max() < 1.6  # all on the map


def test_dropout_keeps_the_mean_and_drops_the_given_fraction():
    kept = np.array(javascript("network.js", "return [...dropoutMask(100, 200, 0.3, seeded(1))];"))
    assert set(kept.round(6)) == {0, round(1 / 0.7, 6)}
    assert np.mean(kept == 0) == pytest.approx(0.3, abs=0.015)


def test_the_boundary_of_a_disk_is_its_circle():
    code = (
        "const scores = []; for (let y = 0; y <= 40; y++) for (let x = 0; x <= 40; x++)"
        " scores.push((x - 20) ** 2 + (y - 20) ** 2 - 144); return boundaryOf(scores, 40);"
    )
    places = np.reshape(javascript("boundary.js", code), (-1, 2))
    np.testing.assert_allclose(np.hypot(*(places - 20).T), 12, atol=0.05)


def test_numbers_are_formatted_with_true_minus_signs_and_separators():
    values = "[0.05, -12, 1500, 0.123456, -0.0001, null, Infinity]"
    code = f"return {values}.map((each) => format(each)).concat(fixed(-0.001));"
    assert javascript("numbers.js", code) == ["0.05", "−12", "1,500", "0.123", "−0.0001", "–", "∞", "0.00"]


@pytest.mark.parametrize("name", EXPLORABLES)
def test_the_joined_modules_have_unique_names_and_one_export(name):
    text = module(name)
    names = re.findall(r"^(?:async )?(?:const|let|function|class) (\w+)", text, re.MULTILINE)
    names += re.findall(r"^const \[(.*?)\] =", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert text.count("export default") == 1 and "import {" not in text
    assert order(f"{name}.js")[-1] == f"{name}.js"
    for each in order(f"{name}.js"):  # every imported name is exported
        for imported, source in re.findall(r'^import \{([^}]*)\} from "\./(.*?)"', static(each), re.MULTILINE):
            for imported_name in filter(None, re.split(r"[\s,]+", imported)):
                assert re.search(
                    rf"^export (?:const|function|class) {imported_name}\b", static(source), re.MULTILINE
                ), imported_name


@pytest.mark.parametrize("name", EXPLORABLES)
def test_an_explorable_has_an_opening_sentence_and_three_suggestions_with_valid_settings(name):
    explorable = EXPLORABLES[name]
    assert len(explorable.suggestions) == 3 and explorable.opening.count(".") == 1
    for suggestion in explorable.suggestions:
        assert "?" in suggestion.text and len(suggestion.text) < 120
        explorable.values(**suggestion.set)


@pytest.mark.parametrize("name", EXPLORABLES)
def test_a_widget_carries_its_module_style_and_values(name):
    pytest.importorskip("anywidget")
    widget = getattr(explorables, name)()
    assert "export default" in widget._esm and ".cx" in widget._css
    for key, value in EXPLORABLES[name].values().items():
        assert getattr(widget, key) == value
        assert widget.traits()[key].metadata["sync"]


def test_options_reach_the_widget_and_can_be_changed_from_python():
    pytest.importorskip("anywidget")
    walk = explorables.descent(surface="ravine", learning_rate=0.02, start=np.array([1, -1]))
    assert (walk.surface, walk.learning_rate, walk.start) == ("ravine", 0.02, [1, -1])
    walk.learning_rate = 0.3
    with pytest.raises(UserError, match="choose from"):
        walk.surface = "mountain"
    with pytest.raises(UserError, match=r"number from 0\.001 to 10"):
        walk.learning_rate = 50
    assert (walk.surface, walk.learning_rate) == ("ravine", 0.3)
    assert explorables.kernel(weights=np.eye(3)).weights == np.eye(3).tolist()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("descent", {"learnig_rate": 0.1}, "did you mean 'learning_rate'"),
        ("descent", {"learning_rate": 0}, "number from 0.001 to 10"),
        ("descent", {"learning_rate": "fast"}, "not a number"),
        ("descent", {"learning_rate": float("nan")}, "number from 0.001 to 10"),
        ("descent", {"batch_size": 2.5}, "whole number from 1 to 64"),
        ("descent", {"batch_size": True}, "not a number"),
        ("descent", {"surface": "bowel"}, "did you mean 'bowl'"),
        ("descent", {"start": [1, 2, 3]}, "two numbers from -3 to 3"),
        ("descent", {"start": 4}, "not two numbers"),
        ("descent", {"position": [0, 0]}, "no option 'position'"),
        ("kernel", {"weights": [[1, 0], [0, 1]]}, "is 2 x 2"),
        ("kernel", {"weights": [[1, 0, 1], [0, 1]]}, "different lengths"),
        ("kernel", {"weights": "edge"}, "not a table of numbers"),
        ("kernel", {"numbers": []}, "different lengths|not finite"),
        ("kernel", {"numbers": np.zeros((13, 3))}, "3 x 3 to 12 x 12"),
        ("kernel", {"weights": np.full((3, 3), np.inf)}, "not finite"),
        ("activations", {"function": "selu"}, "function='selu' is unknown"),
        ("capacity", {"units": 65}, "from 0 to 64"),
    ],
)
def test_an_invalid_option_is_refused_with_a_fix(name, options, message):
    with pytest.raises(UserError, match=message):
        getattr(explorables, name)(**options)


def test_the_pages_work_without_anywidget(monkeypatch, tmp_path):
    _widget.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(UserError, match=r"pip install 'coverslip\[course\]'"):
        explorables.descent()
    _widget.cache_clear()
    paths = explorables.write_pages(tmp_path / "new" / "explorables")
    assert sorted(path.name for path in paths) == sorted(explorables.pages())
    assert len(paths) == 6


def test_pages_load_nothing_external_and_link_to_each_other():
    pages = explorables.pages()
    for name, text in pages.items():
        assert not re.search(r"""https?://|src=|@import|url\(|<link""", text), name
        for link in re.findall(r'href="([^"]+)"', text):
            assert link in pages
    for explorable in EXPLORABLES.values():
        assert explorable.opening in pages[f"{explorable.name}.html"] and explorable.opening in pages["index.html"]


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="cannot write pages"):
        explorables.write_pages(tmp_path / "taken")
