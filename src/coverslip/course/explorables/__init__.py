"""Explorables: interactive figures for a notebook or a page of their own, without a kernel or the internet.

In a notebook each function returns a widget, whose values can be read later:

    walk = explorables.descent(surface="ravine", learning_rate=0.02)
    walk                    # the last line of a cell shows it
    walk.position           # later, in another cell: the current two weights
    walk.learning_rate      # as the learner set it; Python may set it, too

To add an explorable, describe its texts, options and results in `catalog` and write its module ``static/NAME.js``,
based on ``running.js`` if it has a clock, else on ``stage.js``. The mathematics is in separate modules
(``surfaces.js``, ``convolution.js``, ``activation.js``, ``network.js``, ``clouds.js``) and tested against NumPy.
"""

from __future__ import annotations

from typing import Any

from coverslip.course.explorables.bundle import pages, write_pages
from coverslip.course.explorables.widgets import show

__all__ = ["activations", "capacity", "descent", "kernel", "pages", "regularization", "write_pages"]


def descent(**options: Any) -> Any:
    """Show gradient descent on a loss surface over two weights.

    Args:
        options: ``surface`` (bowl, ravine, saddle, valleys, dents), ``learning_rate`` (0.001 to 10), ``batch_size``
            (1 to 64, of 64 examples), ``start`` (two numbers from -3 to 3), ``seed``.

    Returns:
        A widget with these values, and ``position``, ``steps``, ``loss`` (None once the walk diverged) and ``verdict``.

    Raises:
        UserError: an option or value is not possible, or anywidget is not installed.
    """
    return show("descent", **options)


def kernel(**options: Any) -> Any:
    """Show a 3 x 3 kernel that is dragged over an image.

    Args:
        options: ``image`` (numbers, leaf), ``numbers`` (rows of the small image, 3 x 3 to 12 x 12), ``weights``
            (3 x 3), ``stride`` (1 to 3), ``padding`` (0 to 2).

    Returns:
        A widget with these values, and ``position``, ``response``, ``size``, ``output`` and ``visited``.

    Raises:
        UserError: an option or value is not possible, or anywidget is not installed.
    """
    return show("kernel", **options)


def activations(**options: Any) -> Any:
    """Show activation functions and their slopes at an input that can be moved.

    Args:
        options: ``function`` and ``compare`` (sigmoid, tanh, relu, leaky_relu, elu, gelu, softplus, linear;
            ``compare`` also none), ``input`` (-6 to 6), ``spread`` of the inputs of 40 images around it (0 to 2).

    Returns:
        A widget with these values, and ``output``, ``slope`` and ``silent`` (number of images with a slope below 0.05).

    Raises:
        UserError: an option or value is not possible, or anywidget is not installed.
    """
    return show("activations", **options)


def capacity(**options: Any) -> Any:
    """Show a small network trained on points of two classes, with too few hidden units, enough, or too many.

    Args:
        options: ``data`` (moons, rings, corners), ``units`` (0 to 64), ``points`` (20 to 400), ``noise`` (0 to 1),
            ``seed``.

    Returns:
        A widget with these values, and ``epoch``, ``train_loss``, ``validation_loss``, ``train_accuracy``,
        ``validation_accuracy``, ``best_epoch`` and ``parameters``.

    Raises:
        UserError: an option or value is not possible, or anywidget is not installed.
    """
    return show("capacity", **options)


def regularization(**options: Any) -> Any:
    """Show two identical networks side by side, one of them regularized with L2 and dropout.

    Args:
        options: ``l2`` (0 to 1), ``dropout`` (0 to 0.8), ``data`` (moons, rings, corners), ``points`` (20 to 400),
            ``noise`` (0 to 1), ``seed``.

    Returns:
        A widget with these values, and ``epoch``, ``weight_size``, ``validation_loss``, ``validation_accuracy`` and the
        same three of the unregularized network (``weight_size_free`` ...).

    Raises:
        UserError: an option or value is not possible, or anywidget is not installed.
    """
    return show("regularization", **options)
