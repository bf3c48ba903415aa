"""Small things to move and to watch, in a notebook or as a page of their own: no kernel, no network needed.

In a notebook each function returns a widget; what the learner does with it can be read back:

    walk = explorables.descent(surface="ravine", learning_rate=0.02)
    walk                    # the last line of a cell shows it
    walk.position           # later, in another cell: the two weights now
    walk.learning_rate      # as the learner left it; may be set from Python too

How a piece is made: `pieces` holds its words, options and results; ``static/NAME.js`` is its module, on top of
``running.js`` where it has a clock, else of ``stage.js``. The mathematics stands apart in ``surfaces.js``,
``convolution.js``, ``activation.js``, ``network.js`` and ``clouds.js``, and is tested against NumPy.
"""

from __future__ import annotations

from typing import Any

from coverslip.course.explorables.bundle import pages, write_pages
from coverslip.course.explorables.widgets import show

__all__ = ["activations", "capacity", "descent", "kernel", "pages", "regularization", "write_pages"]


def descent(**options: Any) -> Any:
    """Gradient descent on a surface over two weights.

    Args:
        options: ``surface`` (bowl, ravine, saddle, valleys, dents), ``learning_rate`` (0.001 to 10), ``batch_size``
            (1 to 64, of 64 examples), ``start`` (two numbers from -3 to 3), ``seed``.

    Returns:
        A widget with those values, and ``position``, ``steps``, ``loss`` (None once the walk is lost) and ``verdict``.

    Raises:
        UserError: an unknown option or value; without anywidget, what to install.
    """
    return show("descent", **options)


def kernel(**options: Any) -> Any:
    """A 3 x 3 kernel dragged over an image.

    Args:
        options: ``image`` (numbers, leaf), ``numbers`` (rows of the small image, 3 x 3 to 12 x 12), ``weights``
            (3 x 3), ``stride`` (1 to 3), ``padding`` (0 to 2).

    Returns:
        A widget with those values, and ``place``, ``answer``, ``size``, ``output`` (of numbers) and ``seen``.

    Raises:
        UserError: an unknown option or value; without anywidget, what to install.
    """
    return show("kernel", **options)


def activations(**options: Any) -> Any:
    """Activation functions and their slopes, at an input that can be moved.

    Args:
        options: ``function`` and ``compare`` (sigmoid, tanh, relu, leaky_relu, elu, gelu, softplus, linear;
            ``compare`` also none), ``input`` (-6 to 6), ``spread`` of the inputs of 40 images about it (0 to 2).

    Returns:
        A widget with those values, and ``output``, ``slope`` and ``silent`` (images whose slope is under 0.05).

    Raises:
        UserError: an unknown option or value; without anywidget, what to install.
    """
    return show("activations", **options)


def capacity(**options: Any) -> Any:
    """A small network trained on points of two classes: too few hidden units, enough, too many.

    Args:
        options: ``data`` (moons, rings, corners), ``units`` (0 to 64), ``points`` (20 to 400), ``noise`` (0 to 1),
            ``seed``.

    Returns:
        A widget with those values, and ``epoch``, ``train_loss``, ``validation_loss``, ``train_accuracy``,
        ``validation_accuracy``, ``best_epoch`` and ``parameters``.

    Raises:
        UserError: an unknown option or value; without anywidget, what to install.
    """
    return show("capacity", **options)


def regularization(**options: Any) -> Any:
    """Two equal networks, one of them held back by L2 and dropout: boundaries, units and weights side by side.

    Args:
        options: ``l2`` (0 to 1), ``dropout`` (0 to 0.8), ``data`` (moons, rings, corners), ``points`` (20 to 400),
            ``noise`` (0 to 1), ``seed``.

    Returns:
        A widget with those values, and ``epoch``, ``weight_size``, ``validation_loss``, ``validation_accuracy`` and the
        same three of the free network (``weight_size_free`` ...).

    Raises:
        UserError: an unknown option or value; without anywidget, what to install.
    """
    return show("regularization", **options)
