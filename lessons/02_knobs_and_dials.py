# ---
# title: Knobs and dials
# number: 2
# minutes: 75
# needs: []
# ---
# %% [markdown]
# # Knobs and dials
#
# Training turns the weights. But who chooses the rest: the number of units, the size of a step, the number of images in
# a step? These knobs are called **hyperparameters**, and you set them. In this lesson you change them one at a time, by
# powers of ten if necessary, and see their effects in curves and confidence intervals. At the end you test the rules of
# thumb that everybody repeats.
#
# This time there are ten classes, and images of 32 × 32 pixels, so that a training takes only a second or two.
# %%
import numpy as np
import torch
from torch import nn

import coverslip
from coverslip import figures
from coverslip.course import check, explorables, images
from coverslip.course.centering import Center
from coverslip.course.lesson_figures import activation_figure
from coverslip.course.surface import Surface, two_features
from coverslip.course.sweeps import sweep

folder = None  # your own images: put the path of a folder here
leaves = images(folder, classes=10, size=32, leaves=60)
train, test = leaves.split()
classes = len(train.names)
print("train:", train)
# %%
figures.examples(train.x, train.y, train.names, most=20, columns=10)
# %% [markdown]
# ## A network that learns nothing
#
# We begin with a failure: a hidden layer of 16 units, a learning rate of 0.1, and the pixels as they are, from 0 to 1,
# without `Center` in front. This looks reasonable. Watch the accuracy.
# %%
torch.manual_seed(0)
failing = nn.Sequential(
    nn.Flatten(),
    nn.Linear(32 * 32 * 3, 16),
    nn.ReLU(),
    nn.Linear(16, classes),
)
failed = coverslip.fit(failing, train.x, train.y, groups=train.groups, classes=train.names, epochs=8, lr=0.1)
# %%
failed_scores = coverslip.evaluate(failing, test.x, test.y, groups=test.groups, classes=test.names)
print(failed_scores)
failed_scores.plot()


# %% [markdown]
# One column is full and all others are empty: the network predicts the same class for *every* image. With ten classes
# of the same size this is an accuracy of exactly 0.1, and more epochs change nothing. (The loss has no interval here,
# since it is the same for all leaves of a class.) To see the reason, look inside: what are the outputs of the 16 hidden
# units for our images?
# %%
def hidden_outputs(network, x):
    """Return the outputs of the hidden units: a row for each image, a column for each unit."""
    inputs = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    first_relu = next(index for index, layer in enumerate(network) if isinstance(layer, nn.ReLU))
    with torch.no_grad():
        return network[: first_relu + 1](inputs).numpy()


outputs = hidden_outputs(failing, train.x)
outputs.shape  # images, units
# %% [markdown] task="2.1"
# **Task 2.1** How many of the 16 units are **silent**: their output is 0 for **every** image? (`outputs == 0` is a
# table of True and False; `.all(axis=0)` is True for each column in which all values are True; `.sum()` counts them.)
# %% task="2.1"
silent = ...
check("2.1", silent, outputs)
# %% solution="2.1"
silent = (outputs == 0).all(axis=0).sum()
check("2.1", silent, outputs)
# %% wrong="2.1" says="not silent"
silent = (outputs > 0).any(axis=0).sum()
check("2.1", silent, outputs)
# %% wrong="2.1" says="a whole number"
silent = (outputs == 0).all(axis=0)
check("2.1", silent, outputs)
# %% wrong="2.1" says="counts images"
silent = (outputs == 0).all(axis=1).sum()
check("2.1", silent, outputs)
# %% wrong="2.1" says="image by image"
silent = (outputs == 0).sum()
check("2.1", silent, outputs)
# %% check="2.1"
import numpy as np

HINTS = ("Ask for each column: are all values in it 0? Then count the columns.", "(outputs == 0).all(axis=0).sum()")


def grade(silent: int, outputs):
    """The number of hidden units whose output is 0 for every training image."""
    table = np.asarray(outputs)
    correct, units = int((table == 0).all(axis=0).sum()), table.shape[1]
    if silent == correct:
        if correct == units:
            return Passed(
                f"All {units}. The output of every unit is 0 for every image: no image makes a difference, so the "
                "network cannot learn any more."
            )
        return Passed(f"{correct} of {units}. Their output is 0 for every image.")
    if silent == units - correct:
        return "These are the units that are not silent; the task asks for the silent ones."
    if silent == int((table == 0).all(axis=1).sum()):
        return "This counts images (rows). axis=0 goes along the columns, the units."
    if silent == int((table == 0).sum()):
        return "This counts all zeros, image by image. Here each unit counts once at most."
    return f"{silent} is not correct."


# %% [markdown] teacher="2.1"
# **Purpose.** To look inside the network instead of guessing. A unit that is silent for all images has slope 0
# everywhere (next section): no gradient reaches its weights, so it stays silent permanently. It is called a *dead
# ReLU*.
#
# **Typical answers.** 0 (the units that are not silent); a count over rows.
#
# **When results differ.** On some machines, or with other images, one or two units survive: then the accuracy is a
# little above guessing. The conclusion is the same.
# %% [markdown] teacher
# The lesson is long. If time is short, leave out task 2.2, the section on batch size, and all but two of the rules. The
# most important tasks are 2.3 to 2.5 (gradient descent, learning rate) and 2.6 to 2.7 (capacity, overfitting).
# %% [markdown]
# What happened? All pixel values are positive, and all images are similar. So the first steps push *all* weights of a
# unit in the *same* direction. With a learning rate of 0.1 and 3,072 weights pushed at once, a single step moves the
# sum far below zero, for every image. Below zero the output of this kind of unit is 0, and the unit cannot recover. To
# understand why, we must look at the function inside a unit.
#
# ## Activation functions
#
# A unit adds up its inputs and then applies a nonlinear function, the **activation function**. Without it, many layers
# would be no more than one layer, since sums of sums are sums. In the figure the full line is the output, and the
# dashed line is its **slope**: how much the output changes when the input changes. *Learning uses the slope.* Where it
# is 0, nothing is learned.
# %% [markdown] slide
# Learning uses the slope. A ReLU below zero has slope 0: if all images push it there, it stays silent permanently.
# %%
activation_figure(
    {
        "ReLU": torch.relu,
        "leaky ReLU": lambda x: nn.functional.leaky_relu(x, 0.1),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "GELU": nn.functional.gelu,
    }
)
# %% [markdown]
# Move the input in the next figure, and watch the slope. What happens to the learning of a sigmoid at 5? And of a ReLU
# at -1?
# %%
explorables.activations(function="relu", compare="sigmoid")


# %% [markdown] task="2.2"
# **Task 2.2** The slope of a **leaky** ReLU is never 0: below zero it passes on a tenth of its input. Write this
# function: above zero it is `x`, below zero `0.1 * x`. Here `x` contains many numbers at once; `torch.where(condition,
# a, b)` takes `a` where the condition is true, and `b` elsewhere.
# %% task="2.2"
def leaky(x):
    return ...


check("2.2", leaky)


# %% solution="2.2"
def leaky(x):
    return torch.where(x > 0, x, 0.1 * x)


check("2.2", leaky)


# %% wrong="2.2" says="plain ReLU"
def leaky(x):
    return torch.relu(x)


check("2.2", leaky)


# %% wrong="2.2" says="the wrong way round"
def leaky(x):
    return torch.where(x > 0, 0.1 * x, x)


check("2.2", leaky)


# %% wrong="2.2" says="below zero it should stay below zero"
def leaky(x):
    return torch.where(x > 0, x, -0.1 * x)


check("2.2", leaky)


# %% wrong="2.2" says="many numbers at once"
def leaky(x):
    return x if x > 0 else 0.1 * x


check("2.2", leaky)
# %% check="2.2"
from collections.abc import Callable

import torch

HINTS = (
    "torch.where(x > 0, ..., ...): first the value above zero, then the value below zero.",
    "return torch.where(x > 0, x, 0.1 * x)",
)


def grade(leaky: Callable):
    """A function of a tensor: x above zero, 0.1 x below."""
    x = torch.tensor([-10.0, -1.0, 0.0, 1.0, 10.0])
    try:
        result = leaky(x)
    except RuntimeError as error:
        if "ambiguous" not in str(error):
            raise
        return "x contains many numbers at once, and 'if' can test only one. torch.where decides for each of them."
    if result is ...:
        return ""
    if result is None:
        return "The function has no result: add the word return."
    result = torch.as_tensor(result).float()
    if result.shape != x.shape:
        return f"For five numbers it should return five numbers; it returns {result.numel()}."
    if torch.allclose(result, torch.relu(x)):
        return "This is the plain ReLU: below zero its output and its slope are 0."
    if torch.allclose(result, torch.where(x > 0, 0.1 * x, x)):
        return "This is the wrong way round: use the tenth below zero."
    if (result[:2] > 0).any():
        return f"For -10 it returns {float(result[0]):g}; below zero it should stay below zero."
    if not torch.allclose(result, torch.where(x > 0, x, 0.1 * x), atol=1e-5):
        values = [round(value, 2) for value in result.tolist()]
        return f"For -10, -1, 0, 1, 10 it returns {values}; it should return -1, -0.1, 0, 1, 10."
    return Passed("Right. A leaky unit can be pushed below zero and still recover.")


# %% [markdown] teacher="2.2"
# **Purpose.** An activation function is one line of code. **Typical answers.** The branches exchanged; `if x > 0:` with
# a whole tensor, which the check explains.
# %% [markdown]
# ## Gradient descent: walking downhill in fog
#
# How does training know in which direction to turn a hundred thousand knobs? Imagine a landscape: each position is one
# setting of the weights, and its height is the loss of this setting. You stand somewhere in the fog and want to go
# down. You cannot see the valley. But you can feel the **slope** under your feet; so you take a step downhill, feel the
# slope again, and take the next step. This is **gradient descent**. The *gradient* is the slope in all directions at
# once, and the length of a step is the slope times the **learning rate**.
#
# A landscape over 98,306 weights cannot be drawn, but one over two weights can. So here is the smallest possible
# network: one unit with two weights, for two classes of our images. Its inputs are two numbers per image: the redness
# of its middle, and the redness of the whole image. Its output should be 1 for one class and -1 for the other class.
# Its loss is the mean *squared* distance from this target (simpler than our loss, so that the landscape is one smooth
# valley). On the map dark means low, lines join positions of equal height, and the diamond is the lowest point.
# %%
pair = np.isin(train.y, np.argsort(-np.bincount(train.y), kind="stable")[:2])  # two classes, the largest
first = train.y[pair].min()
surface = Surface(two_features(train.x[pair]), (train.y[pair] == first).astype(int))
surface.plot()


# %% [markdown] task="2.3"
# **Task 2.3** Write one step of gradient descent. You are at `weights` and feel the `slope` (both are arrays of two
# numbers; the slope points *uphill*). Return the weights after a step with the learning rate `lr`.
# %% task="2.3"
def one_step(weights, slope, lr):
    return ...


check("2.3", one_step)


# %% solution="2.3"
def one_step(weights, slope, lr):
    return weights - lr * slope


check("2.3", one_step)


# %% wrong="2.3" says="uphill"
def one_step(weights, slope, lr):
    return weights + lr * slope


check("2.3", one_step)


# %% wrong="2.3" says="learning rate"
def one_step(weights, slope, lr):
    return weights - slope


check("2.3", one_step)


# %% wrong="2.3" says="where you were"
def one_step(weights, slope, lr):
    return -lr * slope


check("2.3", one_step)
# %% check="2.3"
from collections.abc import Callable

import numpy as np

HINTS = ("Go against the slope, but only lr times the slope.", "return weights - lr * slope")


def grade(one_step: Callable):
    """A function that moves the weights against the slope, by lr times the slope."""
    weights, slope, lr = np.array([1.0, -2.0]), np.array([0.5, 4.0]), 0.1
    result = one_step(weights, slope, lr)
    if result is ...:
        return ""
    if result is None:
        return "The function has no result: add the word return."
    result = np.asarray(result, float)
    if result.shape != (2,):
        return "It should return two numbers, the new weights."
    for value, message in (
        (weights + lr * slope, "This goes uphill: the slope points to where the loss increases. Go against it."),
        (weights - slope, "The learning rate is missing: the step is lr times the slope."),
        (weights + slope, "This goes uphill, and the learning rate is missing."),
        (-lr * slope, "This is the step alone. Add it to where you were."),
        (lr * slope, "This is the step alone, and uphill. Subtract it from where you were."),
        (weights, "This stays where you were."),
    ):
        if np.allclose(result, value):
            return message
    if not np.allclose(result, weights - lr * slope):
        expected = (weights - lr * slope).tolist()
        return f"From (1, -2) with slope (0.5, 4) and lr 0.1 it goes to {result.tolist()}; it should go to {expected}."
    return Passed("This is all. Every optimizer is a variation of this line.")


# %% [markdown] teacher="2.3"
# **Purpose.** The core of training is a subtraction. Let the learners say it in words: *new weights are old weights
# minus learning rate times slope.*
#
# **Misconception.** "It searches for the lowest point." It does not search; it only uses the slope at its position.
# %% [markdown]
# Now let us walk with four learning rates, 30 steps each, from the same position (the orange square).
# %% [markdown] slide
# With a learning rate that is too small the walk never arrives; with one that is too large it jumps across the valley.
# Search for it by powers of ten.
# %%
lr_limit = surface.lr_limit  # above it every walk here diverges; it can be computed for two weights, but not for many
learning_rates = [round(lr_limit * factor, 3) for factor in (0.004, 0.4, 0.97, 1.05)]
surface.plot({f"learning rate {lr:g}": surface.walk(lr, steps=30) for lr in learning_rates})
# %% [markdown]
# * **Too small**: the direction is right, but it would take an extremely long time.
# * **About right**: quickly down, then along the valley.
# * **Too large**: it jumps from one side of the valley to the other.
# * **A little larger still**: each jump ends higher than the one before; the walk **diverges** and never returns.
#
# The learning rates of the third and the fourth walk differ by less than a tenth: the limit is between them, and it
# cannot be known in advance. So learning rates are tried **by powers of ten**: 0.0001, 0.001, 0.01 ... Choose one well
# below the first that fails. There a factor of 2 hardly matters; a factor of 100 decides everything.
# %% [markdown] task="2.4"
# **Task 2.4** Find a learning rate with which **12 steps** go down at least 95 % of the height between the start and
# the lowest point. Try some values, and look at the walk with `surface.plot(walk)`.
# %% task="2.4"
lr = ...
walk = ... if lr is ... else surface.walk(lr, steps=12)
check("2.4", walk, surface)
# %% solution="2.4"
lr = round(0.6 * lr_limit, 1)  # more than half of the limit
walk = surface.walk(lr, steps=12)
check("2.4", walk, surface)
# %% wrong="2.4" says="too small"
check("2.4", surface.walk(0.01 * lr_limit, steps=12), surface)
# %% wrong="2.4" says="too large"
check("2.4", surface.walk(1.1 * lr_limit, steps=12), surface)
# %% wrong="2.4" says="12 are allowed"
check("2.4", surface.walk(0.4 * lr_limit, steps=200), surface)
# %% check="2.4"
import numpy as np

from coverslip.course.surface import Surface, Walk

HINTS = (
    "Try 0.01, then 0.1, then 1: with which does the walk hardly move, with which does it jump from side to side?",
    "Half of the limit is good: surface.lr_limit / 2.",
)


def grade(walk: Walk, surface: Surface):
    """A walk of 12 steps with all images that goes down 95 % of the height."""
    if walk.steps > 12:
        return f"This walk has {walk.steps} steps; 12 are allowed."
    if walk.batch_size:
        return "Use all images for each step here (batch_size=0); smaller batches come next."
    lowest = surface.loss(surface.bottom)
    progress = (walk.losses[0] - walk.losses[-1]) / (walk.losses[0] - lowest)
    if progress >= 0.95:
        return Passed(
            f"With the learning rate {walk.lr:g} the walk goes down {100 * progress:.0f} % of the height, to a loss of "
            f"{walk.losses[-1]:.3f} (minimum: {lowest:.3f})."
        )
    moves = np.diff(walk.points, axis=0)
    turns = int(((moves[1:] * moves[:-1]).sum(axis=1) < 0).sum())
    if turns > walk.steps / 2 or walk.losses[-1] > walk.losses[0]:
        return (
            f"The learning rate {walk.lr:g} is too large: the walk reversed its direction {turns} times, as it jumps "
            "from one side of the valley to the other."
        )
    return (
        f"The learning rate {walk.lr:g} is too small: the walk goes down {100 * progress:.0f} % of the height in "
        f"{walk.steps} steps."
    )


# %% [markdown] teacher="2.4"
# **Purpose.** A feeling for the limit between too small and too large. Let the learners increase the learning rate
# until the walk jumps; a third of this value is a good one.
#
# **When results differ.** With other images the landscape is different; the check measures the height, not the learning
# rate.
# %% [markdown]
# ### All images, some, or one at a time
#
# To compute the true slope you need *all* images for each step: this is **batch** gradient descent. With many images it
# is slow. Instead you can use the slope for a **mini-batch** of 16 or 32 images. It points approximately in the right
# direction, and you can take many steps in the same time. With a single image per step, which is called **stochastic**
# gradient descent, the walk is erratic. But it goes downhill, and then it moves around the lowest point without
# stopping.
# %%
surface.plot(
    {
        "batch: all": surface.walk(lr_limit / 10, steps=60),
        "mini-batch: 16": surface.walk(lr_limit / 10, steps=60, batch_size=16),
        "stochastic: 1": surface.walk(lr_limit / 10, steps=60, batch_size=1),
    }
)
# %% [markdown]
# In the next figure you can try this yourself, also on more difficult landscapes: a ravine, a saddle, two valleys. Can
# you find a learning rate and a batch size that lead out of the wrong valley?
# %%
explorables.descent()


# %% [markdown]
# ## Orders of magnitude, in one sweep
#
# Back to our ten classes. Was the learning rate the problem? We train the failing network again with six learning
# rates, from 0.00001 to 1. Such a series is called a **sweep**. All six networks start with the same weights, learn
# from the same images, and are evaluated on the same held-out leaves.
#
# The argument `plain` of `sweep` is a *function*, so it has no parentheses: `sweep` calls it to build a new network for
# every value. One setting is a list, here `lr`; all others are fixed. The table has a row for each value: the accuracy
# on the training images, the accuracy on the held-out leaves with its confidence interval, and the loss on the held-out
# leaves.
# %%
def plain(units=16):
    return nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, units), nn.ReLU(), nn.Linear(units, classes))


learning_rates = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
common = {"groups": train.groups, "validation_split": 0.2}  # the same for all sweeps; **common below passes both

without_center = sweep(plain, train.x, train.y, lr=learning_rates, epochs=20, **common)
print(without_center)
without_center.plot()


# %% [markdown]
# Hardly any learning rate helps (on the built-in leaves none does). So the learning rate was not the only problem. The
# other one is that all inputs are positive and similar. This is easy to fix: subtract the mean image first, as in
# lesson 1. Here is the same sweep with `Center` in front:
# %%
def network(units=16):
    return nn.Sequential(
        Center(train.x), nn.Flatten(), nn.Linear(32 * 32 * 3, units), nn.ReLU(), nn.Linear(units, classes)
    )


with_center = sweep(network, train.x, train.y, lr=learning_rates, epochs=20, **common)
print(with_center)
with_center.plot()
# %%
with_center.curves()
# %% [markdown]
# This is the typical result. On the left the learning rate is too small: after 20 epochs the network has hardly started
# to learn. In the middle it learns. On the right it learns less; and look at its *loss* in the table. It is far above
# the loss of guessing (2.3), although the accuracy is not so bad: when the network is wrong, it is wrong with full
# confidence.
#
# Knobs interact. With a learning rate of 0.1 the network fails without `Center` and learns, though badly, with it. So
# do not turn only one knob, see that it does not help, and conclude that the network cannot learn.
# %% [markdown] task="2.5"
# **Task 2.5** Choose a learning rate from the table `with_center`: the confidence interval of its accuracy **held out**
# must overlap that of the best one, and its **loss** must be below the loss of guessing (for ten classes ln 10, which
# is 2.30).
# %% task="2.5"
good_lr = ...
check("2.5", good_lr, with_center)
# %% solution="2.5"
good_lr = 1e-3
check("2.5", good_lr, with_center)
# %% wrong="2.5" says="hardly started"
good_lr = 1e-5
check("2.5", good_lr, with_center)
# %% wrong="2.5" says="confidently wrong"
good_lr = 1.0
check("2.5", good_lr, with_center)
# %% wrong="2.5" says="not in this sweep"
good_lr = 0.005
check("2.5", good_lr, with_center)
# %% check="2.5"
import math

from coverslip.course.sweeps import Sweep

HINTS = (
    "Look in the table: which values have a high accuracy held out, and a loss below that of guessing?",
    "0.001 is the rule of thumb for Adam, and it is good here.",
)


def grade(good_lr: float, with_center: Sweep):
    """A learning rate whose accuracy reaches the interval of the best, and whose loss is below guessing."""
    if good_lr not in with_center.values:
        return (
            f"{good_lr:g} is not in this sweep; choose one of "
            f"{', '.join(f'{value:g}' for value in with_center.values)}."
        )
    chosen, best = with_center[good_lr], with_center[with_center.best]
    if chosen.held_out is None:
        return f"With {good_lr:g} the training diverged."
    guessing, accuracy = math.log(with_center.classes), chosen.held_out["value"]
    if chosen.loss["value"] >= guessing:
        return (
            f"With {good_lr:g} the loss is {chosen.loss['value']:.2f}, above that of guessing ({guessing:.2f}): the "
            "network is confidently wrong."
        )
    low = best.held_out["low"] if best.held_out["low"] is not None else best.held_out["value"]
    high = chosen.held_out["high"] if chosen.held_out["high"] is not None else accuracy
    if high < low or accuracy < low - 0.05:
        started = " After these epochs it has hardly started to learn." if good_lr < with_center.best else ""
        return (
            f"With {good_lr:g} the accuracy on the held-out leaves is {accuracy:.2f}; {with_center.best:g} reaches "
            f"{best.held_out['value']:.2f}.{started}"
        )
    return Passed(
        f"{good_lr:g}: an accuracy of {accuracy:.2f} on the held-out leaves, with a loss of {chosen.loss['value']:.2f}."
    )


# %% [markdown] teacher="2.5"
# **Purpose.** To read a sweep with its confidence intervals and both scores. 0.001 and (usually) 0.01 are not
# distinguishable; then choose the smaller one, because its loss is lower and its training is more stable.
#
# **When results differ.** 0.01 may pass or fail because of its loss (after 20 epochs it is close to guessing, since the
# network already overfits). Both cases are worth a discussion.
# %% [markdown]
# For a folder of your own images you can do the same with one command, which also writes a page with all curves:
# `coverslip tune FOLDER --sweep lr=1e-5..1:log:6`. You can interrupt it and resume it later.
#
# ## Capacity: how many units?
#
# Each additional unit has 3,072 additional weights. A network with too few units cannot represent the task; this is
# called **underfitting**. A network with many units can memorize every single image, with its dust and shadows; this is
# **overfitting**.
# %% [markdown] slide
# Too few units underfit: both scores are low. Too many units overfit: the gap grows, and the held-out loss rises again.
# %%
by_units = sweep(network, train.x, train.y, units=[1, 2, 4, 8, 16, 64, 256], epochs=40, lr=1e-3, **common)
print(by_units)
by_units.plot()
# %%
by_units.curves()
# %% [markdown]
# The full line, for the training images, rises to 1. The dashed line, for the held-out leaves, also rises, and then
# stays at its level. The distance between them is the **gap**. Now look at the curves of the loss. With few units both
# losses fall together. With many units the dashed line rises again (the ring marks its minimum) while the full line
# goes to zero.
#
# Many people are surprised: with 256 units, which have 800,000 weights for 720 images, the accuracy on other leaves
# does not collapse. But the *loss* becomes worse: the network is more confident in its errors.
# %% [markdown]
# In the next figure you can try this in two dimensions. How many units are needed for the two moons? What do 64 units
# do with twenty points?
# %%
explorables.capacity()
# %% [markdown] task="2.6"
# **Task 2.6** Look at the table of `by_units`: what is the **smallest** number of units with an accuracy of at least
# **0.95** on the training images? And which number of units has the **lowest loss** on the held-out leaves?
# %% task="2.6"
enough_units = ...
lowest_loss = ...
check("2.6", enough_units, lowest_loss, by_units)
# %% solution="2.6"
enough_units = next(
    (result.value for result in by_units.trained if result.train["value"] >= 0.95), max(by_units.values)
)
lowest_loss = min(by_units.trained, key=lambda result: result.loss["value"]).value
check("2.6", enough_units, lowest_loss, by_units)
# %% wrong="2.6" says="smaller"
check("2.6", 256, min(by_units.trained, key=lambda result: result.loss["value"]).value, by_units)
# %% wrong="2.6" says="lowest loss"
correct = next((result.value for result in by_units.trained if result.train["value"] >= 0.95), max(by_units.values))
check("2.6", correct, 1, by_units)
# %% wrong="2.6" says="training images"
check("2.6", 1, 64, by_units)
# %% check="2.6"
from coverslip.course.sweeps import Sweep

HINTS = (
    "The first answer is in the column 'training', the second in the column 'loss'.",
    "Go down the column 'training' to the first number of 0.95 or more. Then look for the smallest number in the "
    "column 'loss'.",
)


def grade(enough_units: int, lowest_loss: int, by_units: Sweep):
    """The smallest number of units with a training accuracy of 0.95, and the one with the lowest held-out loss."""
    accuracies = {result.value: result.train["value"] for result in by_units.trained}
    losses = {result.value: result.loss["value"] for result in by_units.trained}
    for units in (enough_units, lowest_loss):
        if units not in accuracies:
            return f"{units} units are not in this sweep; choose from {', '.join(map(str, accuracies))}."
    enough = next((units for units, accuracy in accuracies.items() if accuracy >= 0.95), max(accuracies))
    best = min(losses, key=losses.get)
    if enough_units != enough:
        if enough_units > enough:
            return f"{enough_units} units are enough, but a smaller number is enough, too."
        return (
            f"With {enough_units} units the accuracy on the training images is {accuracies[enough_units]:.2f}; the "
            "task asks for 0.95."
        )
    if lowest_loss != best:
        return (
            f"With {lowest_loss} units the loss on the held-out leaves is {losses[lowest_loss]:.2f}. The task asks for "
            "the lowest loss; there is a lower one."
        )
    return Passed(
        f"{enough} units are enough to memorize the training images; {best} units have the lowest loss on other leaves "
        f"({losses[best]:.2f})."
    )


# %% [markdown] teacher="2.6"
# **Purpose.** Underfitting and overfitting as the two ends of one table. Draw the two curves on the board and let the
# learners mark where they would stop.
#
# **Misconception.** "More parameters than images is always wrong." It is not: see the accuracy with 256 units. The loss
# becomes worse, and with it the probabilities.
# %% [markdown]
# ## Where overfitting begins
#
# Now we train one network for many epochs. With `keep_best=False` it does not go back to its best epoch, so that we see
# the whole development.
# %%
torch.manual_seed(0)
history = coverslip.fit(
    network(64),
    train.x,
    train.y,
    groups=train.groups,
    classes=train.names,
    epochs=60,
    lr=1e-3,
    keep_best=False,
    verbose=0,
)
figures.history(history.frame)
# %% [markdown] task="2.7"
# **Task 2.7** After which **epoch** should the training have stopped? Read it from the curve or from the table
# `history.frame` (one epoch more or less does not matter). The table is a Polars table, not a pandas table;
# `history.frame["validation_loss"].to_numpy()` is its column with the validation loss as an array, with a number for
# each epoch, starting with epoch 1.
# %% task="2.7"
stop_after = ...
check("2.7", stop_after, history)
# %% solution="2.7"
losses = history.frame["validation_loss"].to_numpy()
stop_after = int(losses.argmin()) + 1  # rows are counted from 0, epochs from 1
check("2.7", stop_after, history)
# %% wrong="2.7" says="training loss"
stop_after = int(history.frame["train_loss"].to_numpy().argmin()) + 1
check("2.7", stop_after, history)
# %% wrong="2.7" says="underfits"
stop_after = 1
check("2.7", stop_after, history)
# %% check="2.7"
import numpy as np

from coverslip.training.outcome import History

HINTS = (
    "Look at the validation loss in the left figure: where is it lowest?",
    "history.frame['validation_loss'].to_numpy().argmin() + 1",
)


def grade(stop_after: int, history: History):
    """The epoch with the lowest validation loss, or one that is equally good."""
    losses = history.frame["validation_loss"].to_numpy()
    if not 1 <= stop_after <= len(losses):
        return f"The epochs are 1 to {len(losses)}."
    best = int(losses.argmin()) + 1
    loss = float(losses[stop_after - 1])
    if abs(stop_after - best) <= 1 or loss <= losses.min() * 1.01:
        return Passed(
            f"After epoch {stop_after} the validation loss is {loss:.3f}; at the end it is {losses[-1]:.3f}. The "
            "setting patience=... stops training in this way."
        )
    if stop_after == int(history.frame["train_loss"].to_numpy().argmin()) + 1 or stop_after > best:
        return (
            f"At this epoch the network has already been overfitting for {stop_after - best} epochs: the validation "
            "loss was lowest before. The training loss does not show this."
        )
    return f"At epoch {stop_after} the validation loss is still falling ({loss:.3f}): the network underfits."


# %% [markdown] teacher="2.7"
# **Purpose.** Early stopping by hand; in lesson 4 the program does it (`patience`).
#
# **Typical answers.** The last epoch (lowest *training* loss). The epoch with the highest validation *accuracy*: accept
# it if its loss is almost as low, and explain that the accuracy on so few leaves is jagged, so that its highest peak is
# chance.
# %% [markdown]
# ## Batch size
#
# Here is the same number of epochs with 4, 16, 64 or 256 images per step, and with all images at once.
# %% [markdown] slide
# The batch size is the number of images in one step. Larger batches mean fewer steps, so use a larger learning rate or
# more epochs.
# %%
by_batch = sweep(network, train.x, train.y, batch_size=[4, 16, 64, 256, 0], epochs=15, lr=1e-3, **common)
print(by_batch)
by_batch.curves()
# %% [markdown]
# Small batches have many steps per epoch, large batches few: with all images at once there are only 15 steps in total,
# and the network has hardly started to learn. So the batch size and the learning rate belong together: for a larger
# batch, use a larger learning rate or more epochs.
# %% [markdown]
# ## Rules of thumb, put to the test
#
# You will hear the following rules from everybody. We test each of them on our leaves: the choice of the rule against
# other choices, all else equal, on the same held-out leaves. The differences are **paired** (leaf by leaf), and each
# has a confidence interval. A choice is called *better* only if two conditions are true: the interval does not contain
# 0, and in fewer than 5 % of random exchanges of the predictions the difference is as large (a permutation test).
# Otherwise the result is *not distinguishable*: no claim can be made. The sentence then ends with the number of
# *groups*, here leaves, that would be needed to detect a difference of 0.02.
#
# The next cell is long; it builds and trains the networks. You need not read it. Read what it prints.
# %%
activations = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def general(units=64, center=True, activation="relu", layers=1):
    """Return a dense network with these knobs."""
    modules = [Center(train.x)] if center else []
    width = 32 * 32 * 3
    modules.append(nn.Flatten())
    for _ in range(layers):
        modules += [nn.Linear(width, units), activations[activation]()]
        width = units
    return nn.Sequential(*modules, nn.Linear(width, classes))


def try_values(**varied):
    (name,) = varied
    if name in ("lr", "batch_size", "optimizer"):
        return sweep(general, train.x, train.y, epochs=15, **common, **varied)
    return sweep(lambda value: general(**{name: value}), train.x, train.y, epochs=15, **common, **varied)


tested = {
    "Center the inputs": (try_values(center=[True, False]), True),
    "Start with Adam at 0.001": (try_values(lr=[1e-3, 1e-4, 1e-1]), 1e-3),
    "Better too many units than too few": (try_values(units=[64, 4]), 64),
    "ReLU in the hidden layer": (try_values(activation=["relu", "sigmoid", "tanh"]), "relu"),
    "Deeper is better": (try_values(layers=[2, 1]), 2),
    "A batch of 32": (try_values(batch_size=[32, 8, 128]), 32),
}
for rule, (result, choice) in tested.items():
    print(f"\n{rule}")
    for sentence in result.compare(choice):
        print("   ", sentence)
# %% [markdown] task="2.8"
# **Task 2.8** Which rules were **confirmed** here against *every* other choice? Write their names into a list, as they
# are printed. A rule whose choice is "not distinguishable" from another choice is not confirmed (and it is not refuted
# either).
# %% task="2.8"
confirmed = ...  # such as ["Deeper is better", "A batch of 32"]
check("2.8", confirmed, tested)
# %% solution="2.8"
confirmed = [rule for rule, (result, choice) in tested.items() if result.wins(choice)]
check("2.8", confirmed, tested)
# %% wrong="2.8" says="not distinguishable"
confirmed = list(tested)
check("2.8", confirmed, tested)
# %% wrong="2.8" says="is missing"
confirmed = []
check("2.8", confirmed, tested)
# %% wrong="2.8" says="there is no rule"
confirmed = ["Always use 32"]
check("2.8", confirmed, tested)
# %% check="2.8"
HINTS = (
    "Look for rules below which every sentence says that the rule's choice is better.",
    "'... is better than ...' confirms the rule if its choice is named first; 'not distinguishable' does not.",
)


def grade(confirmed, tested: dict):
    """The names of the rules whose choice is better than all other choices that were tried."""
    answer = [confirmed] if isinstance(confirmed, str) else list(confirmed)
    correct = [rule for rule, (result, choice) in tested.items() if result.wins(choice)]
    for rule in answer:
        if rule not in tested:
            return f"There is no rule {rule!r}; use the names printed above, in quotation marks."
    for rule in answer:
        if rule not in correct:
            return f"{rule!r}: it is not distinguishable from another choice, or worse. Read the sentences again."
    missing = [rule for rule in correct if rule not in answer]
    if missing:
        return (
            f"A confirmed rule is missing (there are {len(correct)}). Look for rules without 'not distinguishable' "
            "below them."
        )
    if not correct:
        return Passed("No rule was confirmed against all other choices on these images. So none can be claimed.")
    return Passed(
        f"{len(correct)} of {len(tested)} rules were confirmed here. The others may still be true: a few dozen leaves "
        "cannot show it, and the sentences say how many could."
    )


# %% [markdown] teacher="2.8"
# **Purpose.** Absence of evidence is not evidence of absence; and most rules of thumb are about differences far smaller
# than a small data set can show. The sentences say how many leaves would be needed (often thousands). Let the learners
# think about this for a moment.
#
# **Typical answers.** All rules whose score is higher. **Misconception.** "Not distinguishable means equal." No: it
# means that this number of leaves is not enough to decide.
#
# **When results differ.** Which rules are confirmed depends on the last digits, and so on the machine. Where this was
# written, *Center* and *many units* were confirmed; 0.001 was better than 0.0001, but not distinguishable from 0.1.
# %% [markdown] slide
# Most rules of thumb are about differences that a hundred leaves cannot show. "Not distinguishable" is a result.
# %% [markdown]
# ## The test set, once
#
# All choices of this lesson were made with leaves held out from the *training set*. Selecting the best of many results
# also selects by chance, so that the score of the winner on these leaves is too optimistic. The test leaves did not
# influence any choice. (The failing network at the beginning was evaluated on them, but nothing was chosen with this
# result.) Now we evaluate our choice on the test set, once: 64 units, a learning rate of 0.001, and `patience=8`, which
# stops the training when the validation loss has not improved for 8 epochs.
# %%
torch.manual_seed(0)
final = coverslip.fit(
    network(64), train.x, train.y, groups=train.groups, classes=train.names, epochs=40, lr=1e-3, patience=8, verbose=0
)
final_scores = coverslip.evaluate(final.network, test.x, test.y, groups=test.groups, classes=test.names)
print("failing network:      ", failed_scores)
print("after turning knobs:  ", final_scores)
final_scores.plot()
# %% [markdown]
# ## Summary
#
# * Search for the learning rate by powers of ten; near a good value a factor of two does not matter.
# * A unit that every image pushes below zero stays silent permanently; centered inputs and smaller steps prevent this.
# * Capacity: with too little the network underfits, with too much it overfits; the held-out loss shows where this
#   begins.
# * Claim a difference only if its confidence interval supports it.
#
# Still, many leaves are classified incorrectly. More knobs of this kind will not help, since this network does not know
# that a spot is the same at every position. The networks of the next lesson do.
