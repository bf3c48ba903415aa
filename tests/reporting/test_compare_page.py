import json
from pathlib import Path

import numpy as np
import pytest

from coverslip.core.errors import UserError
from coverslip.evidence.compare import compare
from coverslip.figures import DifferenceRow, comparison_figure
from coverslip.reporting.compare_page import write_comparison

from .fake_run import HOSTILE
from .page import Page, need_offline

CLASSES = ["healthy", "rust", "scab"]
LABELS, GROUPS = np.arange(240) % 3, np.arange(240) // 4


def answers(wrong: float, seed: int) -> np.ndarray:
    """Return probabilities, (240, 3), that misclassify a fraction of about ``wrong``."""
    rng = np.random.default_rng(seed)
    predicted = (LABELS + (rng.random(240) < wrong)) % 3
    return 0.3 * rng.dirichlet(np.ones(3), 240) + 0.7 * np.eye(3)[predicted]


def write(folder: Path, models: dict[str, np.ndarray], **more: object) -> Path:
    result = compare(LABELS, models, GROUPS, CLASSES, resamples=200, group_word="leaves")
    runs = [{"name": name, "path": f"runs/{number}", "network": "lite0"} for number, name in enumerate(models)]
    content = {"runs": runs, "result": result, "shared": {"images": 240, "groups": 60, "dropped": {}}, "notes": []}
    folder.mkdir(exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps(content | more), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = {"first": answers(0.2, 1), HOSTILE: answers(0.18, 2), "worse": answers(0.6, 3)}
    shared = {"images": 240, "groups": 60, "dropped": {"first": 12, "worse": ["a.jpg"]}}
    return write(tmp_path_factory.mktemp("home") / "c", models, shared=shared, notes=["two splits"])


def test_the_page_begins_with_the_sentences_of_the_comparison(three: Path) -> None:
    html = write_comparison(three).read_text("utf-8")
    need_offline(html)
    page, pairs = Page(html), json.loads((three / "comparison.json").read_text("utf-8"))["result"]["comparisons"]
    for pair in pairs:
        assert pair["sentence"] in page.text
    assert page.text.index(pairs[0]["sentence"]) < page.text.rindex("Differences")
    assert HOSTILE not in html and HOSTILE in page.text
    assert "two splits" in page.text and "12 images of first; 1 image of worse" in page.text
    assert "ada" not in page.text  # part of an absolute path


def test_the_table_has_pairwise_and_simultaneous_intervals_and_p_values(three: Path) -> None:
    html = write_comparison(three).read_text("utf-8")
    text = Page(html).text
    pairs = json.loads((three / "comparison.json").read_text("utf-8"))["result"]["comparisons"]
    pair = next(pair for pair in pairs if pair["better"])
    for low, high in (("low", "high"), ("low_all", "high_all")):
        assert f"[{pair[low]:+.3f}, {pair[high]:+.3f}]".replace("-", "−") in text
    shown = [f"{pair[key]:.3f}" if pair[key] >= 0.001 else "&lt; 0.001" for key in ("p", "p_adjusted")]
    assert f'<td class="n">{shown[0]}</td><td class="n">{shown[1]}</td>' in html and "p (Holm)" in text


def test_a_single_pair_has_no_simultaneous_interval(tmp_path: Path) -> None:
    text = Page(
        write_comparison(write(tmp_path / "c", {"a": answers(0.3, 1), "b": answers(0.1, 2)})).read_text("utf-8")
    ).text
    assert "Holm" not in text and "imultaneous" not in text


def test_a_comparison_without_a_result_shows_the_reason_and_no_number(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", {"a": answers(0.3, 1), "b": answers(0.1, 2)})
    content = json.loads((folder / "comparison.json").read_text("utf-8"))
    nothing = dict.fromkeys(("difference", "low", "high", "low_all", "high_all", "p", "p_adjusted", "better", "needed"))
    content["result"]["comparisons"][0] |= {**nothing, "reason": "2 leaves are too few", "test": ""}
    (folder / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    text = Page(write_comparison(folder).read_text("utf-8")).text
    assert "2 leaves are too few" in text and "not available" in text and "None" not in text


def test_an_empty_comparison_is_a_page_and_a_missing_one_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no comparison\.json"):
        write_comparison(tmp_path)
    (tmp_path / "comparison.json").write_text("{}", encoding="utf-8")
    assert "contains no comparison" in Page(write_comparison(tmp_path).read_text("utf-8")).text


def test_the_figure_shows_the_line_of_no_difference_and_the_better_side() -> None:
    rows = [DifferenceRow("a", "b", 0.004, 0.003, 0.005, 0.002, 0.006, "b"), DifferenceRow("a", "c", *[None] * 5)]
    for lower, right in ((False, "second is better"), (True, "first is better")):
        ax = comparison_figure(rows, smallest=0.02, lower=lower).axes[0]
        low, high = ax.get_xlim()
        assert low < -0.02 and high > 0.02  # a small difference is not magnified
        assert any(line.get_xdata()[0] == line.get_xdata()[-1] == 0 for line in ax.lines)
        words = {text.get_text(): text.get_position()[0] for text in ax.texts}
        assert words[f"{right} →"] > 0 and "not available" in words
