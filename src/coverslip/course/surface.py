"""A loss that can be drawn: the smallest network, with two weights, on real images, and walks down its surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.seeds import generator
from coverslip.figures.style import ACCENT, CARD, DASHES, INK, LINE, MARKERS, MUTED, OKABE_ITO, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
REACH, ASIDE = 3.0, 40.0  # of the map; degrees that a walk begins beside the steepest way
GRID = 90  # points a side that are computed for the contours
LOST = 1e3  # a weight this large has left the surface for good


def two_numbers(x: npt.NDArray[np.uint8]) -> Floats:
    """Each image as two numbers that go together: how red its middle is, and how red all of it is.

    Args:
        x: uint8 (N, H, W, 3).

    Returns:
        (N, 2), each column with mean 0 and standard deviation 1.

    Raises:
        UserError: other arrays, or fewer than two images.
    """
    if x.ndim != 4 or x.shape[-1] != 3 or len(x) < 2:
        raise UserError(f"these are numbers of shape {x.shape}", "give color images: (N, height, width, 3)")
    high, wide = x.shape[1] // 4, x.shape[2] // 4
    red = x[..., 0].astype(np.float64)
    inner = red[:, high : x.shape[1] - high, wide : x.shape[2] - wide]
    both = np.stack([inner.mean(axis=(1, 2)), red.mean(axis=(1, 2))], axis=1)
    return np.asarray((both - both.mean(axis=0)) / np.maximum(both.std(axis=0), 1e-9))


@dataclass(frozen=True, eq=False)
class Walk:
    """One way down.

    Attributes:
        points: (S + 1, 2), the weights before the first step and after each.
        losses: (S + 1,), of all images there.
        rate: learning rate.
        batch_size: images a step; 0 is all.
    """

    points: Floats = field(repr=False)
    losses: Floats = field(repr=False)
    rate: float
    batch_size: int = 0

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.points) - 1

    def __repr__(self) -> str:
        who = "all images a step" if self.batch_size == 0 else f"{self.batch_size} a step"
        return (
            f"Walk: {self.steps} steps at rate {self.rate:g}, {who}: loss {self.losses[0]:.3f} to {self.losses[-1]:.3f}"
        )


class Surface:
    """The loss of the smallest network, one unit with the score w0 a + w1 b, over its two weights.

    The score should be 1 for one class and -1 for the other; the loss is the mean square of how far it is from that. A
    square, unlike a cross-entropy, bends alike everywhere, so that a rate is too large in every place or in none.

    Args:
        numbers: (N, 2), two numbers an image, such as `two_numbers` gives.
        y: (N,) of 0 and 1.

    Raises:
        UserError: shapes that do not fit, other labels than 0 and 1, or one class only.

    >>> bowl = Surface(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1, 0]))
    >>> bowl.loss((0.0, 0.0)), bowl.gradient((0.0, 0.0)).tolist(), bowl.limit
    (1.0, [-2.0, 0.0], 1.0)
    """

    def __init__(self, numbers: Any, y: Any) -> None:
        self.numbers, self.y = np.asarray(numbers, np.float64), np.asarray(y, np.float64)
        if self.numbers.ndim != 2 or self.numbers.shape[1] != 2 or self.y.shape != (len(self.numbers),):
            raise UserError(
                f"numbers of shape {self.numbers.shape} and labels of shape {self.y.shape} make no surface",
                "give two numbers and one label an image",
            )
        if set(self.y.tolist()) != {0.0, 1.0}:
            raise UserError("a surface over two weights needs images of two classes", "keep rows with y 0 or 1")
        self.wanted = 2 * self.y - 1

    def loss(self, weights: Any, rows: npt.NDArray[np.int64] | None = None) -> float:
        """Mean square at one place, of all images or of some rows."""
        return float(self._losses(np.asarray(weights, np.float64)[None], rows)[0])

    def gradient(self, weights: Any, rows: npt.NDArray[np.int64] | None = None) -> Floats:
        """(2,): the direction in which the loss of these images grows fastest, and how fast."""
        numbers, wanted = (self.numbers, self.wanted) if rows is None else (self.numbers[rows], self.wanted[rows])
        off = numbers @ np.asarray(weights, np.float64) - wanted
        return np.asarray(2 * off @ numbers / len(numbers))

    def walk(
        self,
        rate: float,
        *,
        steps: int = 40,
        batch_size: int = 0,
        start: Any = None,
        seed: int = 0,
    ) -> Walk:
        """Gradient descent: from the start, so many steps against the gradient of so many images each.

        It ends early where the weights leave all bounds.

        Args:
            rate: learning rate, above 0.
            steps: 1 or more.
            batch_size: images that each gradient is computed from; 0 is all (batch gradient descent), 1 is
                stochastic gradient descent. Each image comes once before any comes again.
            start: the first weights, two numbers; without them `start`.
            seed: of the order of the images.

        Raises:
            UserError: a number out of its range.
        """
        if not 0 < rate < np.inf or steps < 1 or batch_size < 0:
            raise UserError(f"rate={rate}, steps={steps}, batch_size={batch_size} make no walk", "try rate=0.2")
        chance, queue = generator(seed, "walk"), np.zeros(0, np.int64)
        points = [self.start if start is None else np.asarray(start, np.float64)]
        for _ in range(steps):
            rows = None
            if 0 < batch_size < len(self.y):
                while len(queue) < batch_size:
                    queue = np.concatenate([queue, chance.permutation(len(self.y))])
                rows, queue = queue[:batch_size], queue[batch_size:]
            points.append(points[-1] - rate * self.gradient(points[-1], rows))
            if np.abs(points[-1]).max() > LOST:
                break
        way = np.stack(points)
        return Walk(way, self._losses(way, None), rate, batch_size)

    @property
    def bottom(self) -> Floats:
        """(2,): where the loss is smallest, by least squares."""
        return np.asarray(np.linalg.lstsq(self.numbers, self.wanted, rcond=None)[0])

    @property
    def limit(self) -> float:
        """The learning rate above which a walk with all images never settles: 2 over the sharpest bend."""
        bend = 2 * self.numbers.T @ self.numbers / len(self.numbers)
        return float(2 / max(np.linalg.eigvalsh(bend).max(), 1e-9))

    @property
    def reach(self) -> float:
        """How far the map goes in both weights, so that the bottom is on it."""
        return max(REACH, 1.4 * float(np.abs(self.bottom).max()))

    @property
    def start(self) -> Floats:
        """(2,): where a walk begins: high up, and a little beside the steepest way, so that it has to turn."""
        angles = np.radians(np.arange(0, 360, 5))
        ring = 0.85 * self.reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.asarray(ring[(int(self._losses(ring, None).argmax()) + round(ASIDE / 5)) % len(ring)])

    def plot(self, walks: Mapping[str, Walk] | Walk | None = None) -> Figure:
        """The surface from above, a panel a walk, and the loss by step.

        Args:
            walks: name -> walk, or one; none shows the surface alone. Steps beyond the map are not seen.

        Returns:
            A figure; dark is low, a line joins places of equal loss, a diamond marks the lowest place.
        """
        shown = {} if walks is None else {"": walks} if isinstance(walks, Walk) else dict(walks)
        panels = max(len(shown), 1)
        with style():
            figure = new_figure(figsize=(2.75 * panels + 0.5, 4.3 if shown else 3.2), layout="constrained")
            grid = figure.add_gridspec(2 if shown else 1, panels, height_ratios=[2.6, 1] if shown else None)
            below: Axes | None = None
            for place, (name, walk) in enumerate(shown.items() if shown else [("", None)]):
                ax = figure.add_subplot(grid[0, place])
                self._draw_map(ax)
                ax.set_title(name, pad=5)
                ax.set_ylabel("second weight" if place == 0 else "")
                if walk is None:
                    continue
                _draw_way(ax, walk)
                below = figure.add_subplot(grid[1, place], sharey=below)
                _draw_losses(below, walk, place)
            return figure

    def _draw_map(self, ax: Axes) -> None:
        reach = self.reach
        along = np.linspace(-reach, reach, GRID)
        places = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
        heights = self._losses(places, None).reshape(GRID, GRID)
        least, most = float(heights.min()), float(heights.max())
        levels = least + (most - least) * np.linspace(0, 1, 13) ** 2
        ax.contourf(along, along, heights, levels=levels, cmap="cividis")
        ax.contour(along, along, heights, levels=levels, colors="white", linewidths=0.4, alpha=0.6)
        ax.plot(*self.bottom, "D", color=CARD, markeredgecolor=INK, markersize=6, zorder=5)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="first weight", aspect="equal")

    def _losses(self, places: Floats, rows: npt.NDArray[np.int64] | None) -> Floats:
        numbers, wanted = (self.numbers, self.wanted) if rows is None else (self.numbers[rows], self.wanted[rows])
        return np.asarray(((places @ numbers.T - wanted) ** 2).mean(axis=1))


def _draw_way(ax: Axes, walk: Walk) -> None:
    ax.plot(*walk.points.T, color=INK, linewidth=2.6, zorder=3)
    ax.plot(*walk.points.T, color="#ffffff", linewidth=1.2, marker=MARKERS[0], markersize=2.6, zorder=4)
    ax.plot(*walk.points[0], "s", color=OKABE_ITO[4], markeredgecolor=INK, markersize=7, zorder=6)


def _draw_losses(ax: Axes, walk: Walk, place: int) -> None:
    ax.plot(range(len(walk.losses)), walk.losses, color=ACCENT, linestyle=DASHES[0])
    ax.set(xlabel="step", ylim=(0, 1.4 * float(walk.losses[0])))
    if place == 0:
        ax.set_ylabel("loss")
    else:
        ax.tick_params(labelleft=False)
    ax.grid(axis="y", color=LINE)
    ax.set_title(f"ends at {walk.losses[-1]:.2f}", fontsize=8, color=MUTED, pad=3)
