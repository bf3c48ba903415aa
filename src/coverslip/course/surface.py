"""Loss surface of a network with two weights on real images, and gradient descent on it."""

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
MIN_REACH = 3.0  # the map shows both weights from -reach to reach, and at least this far
START_ANGLE = 40.0  # degrees between the start of a walk and the steepest direction, so that the walk has to turn
GRID = 90  # points per side of the map
DIVERGED = 1e3  # a walk with a weight this large never returns


def two_features(x: npt.NDArray[np.uint8]) -> Floats:
    """Return two correlated features per image: mean redness of its middle, and mean redness of the whole image.

    Args:
        x: images, uint8 (N, H, W, 3).

    Returns:
        Features, shape (N, 2), each column standardized to mean 0 and standard deviation 1.

    Raises:
        UserError: `x` is not an array of at least two color images.
    """
    if x.ndim != 4 or x.shape[-1] != 3 or len(x) < 2:
        raise UserError(f"x has the shape {x.shape}", "give two or more color images: (N, height, width, 3)")
    top, left = x.shape[1] // 4, x.shape[2] // 4
    red = x[..., 0].astype(np.float64)
    middle = red[:, top : x.shape[1] - top, left : x.shape[2] - left]
    features = np.stack([middle.mean(axis=(1, 2)), red.mean(axis=(1, 2))], axis=1)
    return np.asarray((features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9))


@dataclass(frozen=True, eq=False)
class Walk:
    """Record of one gradient descent on a `Surface`.

    Attributes:
        points: weights before the first step and after each step, shape (S + 1, 2).
        losses: loss of all images at these weights, shape (S + 1,).
        lr: learning rate.
        batch_size: images per step; 0 means all images.
    """

    points: Floats = field(repr=False)
    losses: Floats = field(repr=False)
    lr: float
    batch_size: int = 0

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return len(self.points) - 1

    def __repr__(self) -> str:
        batch = "all images per step" if self.batch_size == 0 else f"batch size {self.batch_size}"
        first, last = self.losses[0], self.losses[-1]
        return f"Walk: {self.steps} steps, learning rate {self.lr:g}, {batch}: loss {first:.3f} to {last:.3f}"


class Surface:
    """Loss surface of the smallest network: one unit with two weights and the output w0 a + w1 b.

    The target output is 1 for one class and -1 for the other; the loss is the mean squared error. Unlike a
    cross-entropy, it has the same curvature everywhere, so that a learning rate is too large at every point or at none.

    Args:
        features: two features per image, shape (N, 2), such as `two_features` returns.
        y: class ids, shape (N,), 0 or 1.

    Raises:
        UserError: the shapes do not match, or the labels are not exactly 0 and 1.

    >>> bowl = Surface(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1, 0]))
    >>> bowl.loss((0.0, 0.0)), bowl.gradient((0.0, 0.0)).tolist(), bowl.lr_limit
    (1.0, [-2.0, 0.0], 1.0)
    """

    def __init__(self, features: Any, y: Any) -> None:
        self.features, self.y = np.asarray(features, np.float64), np.asarray(y, np.float64)
        if self.features.ndim != 2 or self.features.shape[1] != 2 or self.y.shape != (len(self.features),):
            raise UserError(
                f"features of shape {self.features.shape} and labels of shape {self.y.shape} do not match",
                "give two features and one label per image",
            )
        if set(self.y.tolist()) != {0.0, 1.0}:
            raise UserError(
                "a surface over two weights needs images of two classes", "keep the rows whose label is 0 or 1"
            )
        self.targets = 2 * self.y - 1

    def loss(self, weights: Any, rows: npt.NDArray[np.int64] | None = None) -> float:
        """Return the mean squared error at the given weights, of all images or of some rows."""
        return float(self._losses(np.asarray(weights, np.float64)[None], rows)[0])

    def gradient(self, weights: Any, rows: npt.NDArray[np.int64] | None = None) -> Floats:
        """Return the gradient of the loss at the given weights, shape (2,), of all images or of some rows."""
        features, targets = (self.features, self.targets) if rows is None else (self.features[rows], self.targets[rows])
        errors = features @ np.asarray(weights, np.float64) - targets
        return np.asarray(2 * errors @ features / len(features))

    def walk(
        self,
        lr: float,
        *,
        steps: int = 40,
        batch_size: int = 0,
        start: Any = None,
        seed: int = 0,
    ) -> Walk:
        """Run gradient descent and return the walk; it stops early if the weights diverge.

        Args:
            lr: learning rate, above 0.
            steps: number of steps, 1 or more.
            batch_size: images per step; 0 means all images (batch gradient descent), 1 is stochastic gradient descent.
                Every image is used once before any is used again.
            start: initial weights, two numbers; by default the property `start`.
            seed: seed of the order of the images.

        Raises:
            UserError: a value is out of range.
        """
        if not 0 < lr < np.inf or steps < 1 or batch_size < 0:
            raise UserError(f"lr={lr}, steps={steps}, batch_size={batch_size} is not possible", "try lr=0.2")
        rng, queue = generator(seed, "walk"), np.zeros(0, np.int64)
        points = [self.start if start is None else np.asarray(start, np.float64)]
        for _ in range(steps):
            rows = None
            if 0 < batch_size < len(self.y):
                while len(queue) < batch_size:
                    queue = np.concatenate([queue, rng.permutation(len(self.y))])
                rows, queue = queue[:batch_size], queue[batch_size:]
            points.append(points[-1] - lr * self.gradient(points[-1], rows))
            if np.abs(points[-1]).max() > DIVERGED:
                break
        path = np.stack(points)
        return Walk(path, self._losses(path, None), lr, batch_size)

    @property
    def bottom(self) -> Floats:
        """Weights of the smallest loss, shape (2,), by least squares."""
        return np.asarray(np.linalg.lstsq(self.features, self.targets, rcond=None)[0])

    @property
    def lr_limit(self) -> float:
        """Learning rate above which gradient descent with all images diverges: 2 over the largest curvature."""
        hessian = 2 * self.features.T @ self.features / len(self.features)
        return float(2 / max(np.linalg.eigvalsh(hessian).max(), 1e-9))

    @property
    def reach(self) -> float:
        """Half the width of the map, large enough that the bottom is on it."""
        return max(MIN_REACH, 1.4 * float(np.abs(self.bottom).max()))

    @property
    def start(self) -> Floats:
        """Default initial weights, shape (2,): a high point, next to the steepest direction."""
        angles = np.radians(np.arange(0, 360, 5))
        ring = 0.85 * self.reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.asarray(ring[(int(self._losses(ring, None).argmax()) + round(START_ANGLE / 5)) % len(ring)])

    def plot(self, walks: Mapping[str, Walk] | Walk | None = None) -> Figure:
        """Draw the surface as a contour map, one panel per walk, with the loss by step below.

        Args:
            walks: name -> walk, or one walk; None draws the surface alone. Steps outside the map are not visible.

        Returns:
            A figure; dark is low, lines join points of equal loss, and a diamond marks the lowest point.
        """
        named = {} if walks is None else {"": walks} if isinstance(walks, Walk) else dict(walks)
        panels = max(len(named), 1)
        with style():
            figure = new_figure(figsize=(2.75 * panels + 0.5, 4.3 if named else 3.2), layout="constrained")
            grid = figure.add_gridspec(2 if named else 1, panels, height_ratios=[2.6, 1] if named else None)
            loss_ax: Axes | None = None
            for panel, (name, walk) in enumerate(named.items() if named else [("", None)]):
                ax = figure.add_subplot(grid[0, panel])
                self._draw_map(ax)
                ax.set_title(name, pad=5)
                ax.set_ylabel("second weight" if panel == 0 else "")
                if walk is None:
                    continue
                _draw_path(ax, walk)
                loss_ax = figure.add_subplot(grid[1, panel], sharey=loss_ax)
                _draw_losses(loss_ax, walk, panel)
            return figure

    def _draw_map(self, ax: Axes) -> None:
        reach = self.reach
        axis = np.linspace(-reach, reach, GRID)
        points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        losses = self._losses(points, None).reshape(GRID, GRID)
        lowest, highest = float(losses.min()), float(losses.max())
        levels = lowest + (highest - lowest) * np.linspace(0, 1, 13) ** 2  # denser near the bottom
        ax.contourf(axis, axis, losses, levels=levels, cmap="cividis")
        ax.contour(axis, axis, losses, levels=levels, colors="white", linewidths=0.4, alpha=0.6)
        ax.plot(*self.bottom, "D", color=CARD, markeredgecolor=INK, markersize=6, zorder=5)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="first weight", aspect="equal")

    def _losses(self, points: Floats, rows: npt.NDArray[np.int64] | None) -> Floats:
        features, targets = (self.features, self.targets) if rows is None else (self.features[rows], self.targets[rows])
        return np.asarray(((points @ features.T - targets) ** 2).mean(axis=1))


def _draw_path(ax: Axes, walk: Walk) -> None:
    ax.plot(*walk.points.T, color=INK, linewidth=2.6, zorder=3)
    ax.plot(*walk.points.T, color="#ffffff", linewidth=1.2, marker=MARKERS[0], markersize=2.6, zorder=4)
    ax.plot(*walk.points[0], "s", color=OKABE_ITO[4], markeredgecolor=INK, markersize=7, zorder=6)


def _draw_losses(ax: Axes, walk: Walk, panel: int) -> None:
    ax.plot(range(len(walk.losses)), walk.losses, color=ACCENT, linestyle=DASHES[0])
    ax.set(xlabel="step", ylim=(0, 1.4 * float(walk.losses[0])))
    if panel == 0:
        ax.set_ylabel("loss")
    else:
        ax.tick_params(labelleft=False)
    ax.grid(axis="y", color=LINE)
    ax.set_title(f"ends at {walk.losses[-1]:.2f}", fontsize=8, color=MUTED, pad=3)
