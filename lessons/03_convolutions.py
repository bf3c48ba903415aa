# ---
# title: Convolutions
# number: 3
# minutes: 70
# needs: []
# ---
# %% [markdown]
# # Convolutions
#
# The dense networks of this morning gave every pixel a weight of its own. Move the leaf by one pixel, and all
# those weights look at something else. A spot of rust is a spot of rust wherever it lies on the leaf, so it
# should be enough to learn it **once**, and then to look for it **everywhere**. That is all a convolution is: a
# small set of weights that is slid over the image.
#
# In this lesson you slide one by hand, count what it costs, build a network of them, compare it with a dense one,
# and look inside.
# %%
import numpy as np
import torch
from torch import nn

import coverslip
from coverslip.course import check, explorables, images
from coverslip.course.kernels import LIGHT_AND_DARK, VERTICAL_EDGE, maps_figure, pool, slide, sum_figure
from coverslip.course.looking import class_map, ideal_of, scrambled, where_it_looks
from coverslip.course.trials import compare_on

folder = None  # your own images: put the path of a folder here
# %% [markdown]
# ## One filter, by hand
#
# Here is an image of 6 x 6 pixels: a light half (10), a dark half (0), and an upright edge between them. The
# **kernel** (or **filter**) is a table of 3 x 3 weights: lay it on the image, multiply each weight with the
# pixel under it, and add up the nine products. That sum is *one* pixel of the answer. Then move the kernel on by
# one pixel, and so on.
#
# The framed place is spelled out below the drawing.
# %%
sum_figure(LIGHT_AND_DARK, VERTICAL_EDGE, place=(1, 2))


# %% [markdown]
# On even ground, light or dark, the left column of the kernel and the right one cancel each other: the answer is
# 0. Something is left over only where the two sides differ: a number above 0 where it is lighter to the left, below
# 0 where it is darker. This kernel *finds upright edges*.
# %% [markdown] task="3.1"
# **Task 3.1** Write that down as a function. It gets an image and a kernel (two tables of numbers, NumPy arrays)
# and gives back the table of all sums. Three lines are yours: `rows`, `columns`, and the sum at one place. It has to
# work for other sizes too, so compute them from `image.shape` and from `h` and `w`, the kernel's height and width.
#
# The window under the kernel at row `r`, column `c` is `image[r : r + h, c : c + w]`; `*` multiplies two tables
# place by place, and `.sum()` adds up.
# %% task="3.1"
def convolve(image, kernel):
    h, w = kernel.shape
    rows = ...  # how many places the kernel finds from top to bottom
    columns = ...  # and from left to right
    if rows is ... or columns is ...:
        return ...  # you may delete these two lines
    answer = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            answer[r, c] = 0  # the sum at this place
    return answer


check("3.1", convolve)


# %% solution="3.1"
def convolve(image, kernel):
    h, w = kernel.shape
    rows = image.shape[0] - h + 1
    columns = image.shape[1] - w + 1
    answer = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            answer[r, c] = (image[r : r + h, c : c + w] * kernel).sum()
    return answer


check("3.1", convolve)


# %% wrong="3.1" says="one row and one column"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h, image.shape[1] - w
    answer = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            answer[r, c] = (image[r : r + h, c : c + w] * kernel).sum()
    return answer


check("3.1", convolve)


# %% wrong="3.1" says="turned round"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    answer = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            answer[r, c] = (image[r : r + h, c : c + w] * kernel[::-1, ::-1]).sum()
    return answer


check("3.1", convolve)


# %% wrong="3.1" says="mean"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    answer = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            answer[r, c] = (image[r : r + h, c : c + w] * kernel).mean()
    return answer


check("3.1", convolve)


# %% wrong="3.1" says="as it was given"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    answer = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            answer[r, c] = 0
    return answer


check("3.1", convolve)


# %% wrong="3.1" says="fixed numbers"
def convolve(image, kernel):
    answer = np.zeros((4, 4))
    for r in range(4):
        for c in range(4):
            answer[r, c] = (image[r : r + 3, c : c + 3] * kernel).sum()
    return answer


check("3.1", convolve)


# %% wrong="3.1" says="add them up"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    answer = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            answer[r, c] = image[r : r + h, c : c + w] * kernel
    return answer


check("3.1", convolve)
# %% check="3.1"
from collections.abc import Callable

import numpy as np

from coverslip.course.kernels import LIGHT_AND_DARK, VERTICAL_EDGE, slide

HINTS = (
    "A kernel of 3 on a side of 6 can begin at pixel 0, 1, 2 or 3: that is 6 - 3 + 1 places.",
    "rows = image.shape[0] - h + 1, columns likewise; answer[r, c] = (image[r : r + h, c : c + w] * kernel).sum()",
)


def judge(convolve: Callable):
    """A function of an image and a kernel that gives the table of sums."""
    try:
        got = convolve(LIGHT_AND_DARK, VERTICAL_EDGE)
    except ValueError as error:
        if "sequence" in str(error):
            return "At one place the answer has room for one number, and you put all nine products there: add them up."
        raise
    if got is ... or got is None:
        return ""
    got = np.asarray(got, float)
    wanted = slide(LIGHT_AND_DARK, VERTICAL_EDGE)
    if got.shape == (3, 3):
        return "The answer is 3 x 3: one row and one column are missing. Where can a kernel of 3 begin on a side of 6?"
    if got.shape != wanted.shape:
        size = " x ".join(map(str, got.shape))
        return f"The answer to the 6 x 6 image is {size or 'a single number'}; it has room for 4 x 4 sums."
    if not got.any():
        return "The answer is the table of zeros, as it was given: put the sum of the products in its place."
    if np.allclose(got, -wanted):
        return "The signs are turned round: lay the kernel on as it is, without turning it over."
    if np.allclose(got, wanted / 9):
        return "That is the mean of the nine products; the sum is wanted."
    chance = np.random.default_rng(3)
    image, kernel = chance.integers(0, 9, (7, 5)), chance.integers(-2, 3, (3, 2))
    other = slide(image, kernel)
    try:
        tried = np.asarray(convolve(image, kernel), float)
    except (ValueError, IndexError):
        tried = np.zeros(0)
    if np.allclose(got, wanted) and tried.shape != other.shape:
        return (
            "It is right for the 6 x 6 image, but not for one of 7 x 5 and a kernel of 3 x 2: there are fixed "
            "numbers in it, or rows and columns are mixed up. Compute rows from image.shape[0] and h, columns from "
            "image.shape[1] and w."
        )
    if not np.allclose(got, wanted) or not np.allclose(tried, other):
        if tried.shape == other.shape and np.allclose(tried, slide(image, kernel[::-1, ::-1])):
            return "The kernel is turned round before it is laid on; here it is used as it is."
        return "Some sums are not right yet. Tried with an image of 7 x 5 and a kernel of 3 x 2 too: mind h and w."
    return Passed(
        "0, 30, 30, 0 in each of four rows: your function finds the edge, and works for any image and kernel."
    )


# %% [markdown] teacher="3.1"
# **What it is for.** Nobody who wrote these two lines is afraid of the word convolution again. It is the only
# loop that learners write in the whole course.
#
# **Typical answers.** `6 - 3 = 3`: the fence-post error; let them point at the pixels where a kernel can *begin*.
# Somebody who knows signal processing turns the kernel round: in mathematics that is the convolution, and what
# all libraries of networks do is called cross-correlation. For learned weights it makes no difference: the
# network would learn the turned ones.
#
# **If it takes long.** Draw the four starting places of the first row on the board.
# %% [markdown] slide
# A convolution is one small table of weights, slid over the whole image: learned once, used everywhere.
# %% [markdown]
# Now take it in your hands. Drag the kernel over the image; each place gives one number of the new image. Choose
# another kernel in the list below its numbers, then the leaf. (Leave stride and padding alone for now: they come next.)
# %%
explorables.kernel()
# %% [markdown]
# ## Stride, padding, "same" and "valid"
#
# Two things can be chosen when a kernel is slid:
#
# * **stride**: how far it moves on. With stride 2 it skips every other place, and the answer is about half as
#   wide.
# * **padding**: a border of zeros around the image. Without one (called **valid**) the answer shrinks, since
#   the kernel cannot stand on the edge. With just enough of it, the answer is as large as the image (called
#   **same**); a kernel of 3 needs a border of 1, a kernel of 5 a border of 2.
#
# The same image and kernel with stride 2 and padding 1. Note what the border does: the kernel now finds an
# "edge" at the left rim, where the zeros begin.
# %%
sum_figure(LIGHT_AND_DARK, VERTICAL_EDGE, stride=2, padding=1, place=(1, 1))


# %% [markdown] task="3.2"
# **Task 3.2** Complete the formula for the size of the answer: `side` pixels, a kernel of `kernel` pixels, and
# how it is slid. (`//` divides and drops the remainder: a kernel that would hang over the edge finds no place.)
#
# Try it: 6 with a kernel of 3 gives 4; with stride 2 and padding 1 it gives 3.
# %% task="3.2"
def places(side, kernel, stride=1, padding=0):
    return ...


print(places(6, 3), places(6, 3, stride=2, padding=1))
check("3.2", places)


# %% solution="3.2"
def places(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel) // stride + 1


print(places(6, 3), places(6, 3, stride=2, padding=1))
check("3.2", places)


# %% wrong="3.2" says="both ends"
def places(side, kernel, stride=1, padding=0):
    return (side + padding - kernel) // stride + 1


check("3.2", places)


# %% wrong="3.2" says="whole number"
def places(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel) / stride + 1


check("3.2", places)


# %% wrong="3.2" says="first place"
def places(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel) // stride


check("3.2", places)


# %% wrong="3.2" says="after"
def places(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel + 1) // stride


check("3.2", places)
# %% check="3.2"
from collections.abc import Callable

from coverslip.course.kernels import side_after

HINTS = (
    "Count the first place, and then how often the kernel can move on before it leaves the image.",
    "The padded side is side + 2 * padding. The kernel moves on (padded side - kernel) // stride times: and 1.",
)
CASES = [
    (6, 3, 1, 0, "6 pixels, a kernel of 3"),
    (6, 3, 1, 1, "6 pixels, a kernel of 3, padding 1"),
    (6, 3, 2, 1, "6 pixels, a kernel of 3, stride 2, padding 1"),
    (48, 5, 1, 2, "48 pixels, a kernel of 5, padding 2"),
    (224, 11, 4, 2, "224 pixels, a kernel of 11, stride 4, padding 2"),
]


def judge(places: Callable):
    """A function of side, kernel, stride and padding that gives the side of the answer."""
    for side, kernel, stride, padding, said in CASES:
        got = places(side, kernel, stride, padding)
        if got is ... or got is None:
            return ""
        wanted = side_after(side, kernel, stride=stride, padding=padding)
        if got == wanted and isinstance(got, float):
            return "The number is right, but a size is a whole number: divide with // instead of /."
        if isinstance(got, float) and int(got) == wanted:
            return f"For {said} it gives {got:g}: only a whole number of places counts. Divide with // instead of /."
        if padding and stride == 1 and got != wanted and got == (side + padding - kernel) // stride + 1:
            return f"For {said} it gives {got}: the border is added at both ends."
        if got == wanted - 1:
            return f"For {said} it gives {got}: the first place is not counted yet. It is 1 more, *after* dividing."
        if got != wanted:
            return f"For {said} it gives {got}, and the kernel finds {wanted} places."
    return Passed(
        "Right, also for the first layer of AlexNet: 224 pixels, a kernel of 11, stride 4 and padding 2 give 55."
    )


# %% [markdown] teacher="3.2"
# **What it is for.** Sizes that do not fit are the most common error message of anybody's first network. Who has
# this formula reads the message instead of fearing it.
#
# **Typical answers.** Padding counted once; `/` instead of `//`. The last case is AlexNet's first layer, which
# comes up again at the end.
# %% [markdown]
# ## Pooling
#
# After a convolution one often keeps only the largest number of each square of 2 x 2 pixels: **max pooling**. The
# image becomes half as wide, a quarter of the work is left for the next layer, and a spot that lies a pixel
# further to the right gives nearly the same answer. Nothing is learned here: pooling has no weights.
#
# First the images of this lesson: fifteen kinds of leaves, 50 leaves of each kind, two photographs of each leaf (a
# *group* is one leaf). Then one of the leaves, and the answers that three kernels give to it, computed on its grey
# version: light is above 0, dark below 0, and plain grey is 0. The last one is pooled, without its minus signs.
# %%
leaves = images(folder, classes=15, size=48, leaves=50, shots=2, most=100)
train, test = leaves.split(seed=0)
print(leaves)
print(f"\n{len(train)} images to learn from, {len(test)} of other leaves to test on")
# %%
grey = train.x[0].mean(axis=2)
upright = slide(grey, VERTICAL_EDGE)
flat = slide(grey, VERTICAL_EDGE.T)
spots = slide(grey, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
maps_figure(
    [train.x[0], upright, flat, spots, pool(np.abs(spots))],
    ["the image", "upright edges", "level edges", "spots", "spots, pooled to half"],
)
# %% [markdown]
# These kernels were thought up by people, a long time ago. A network **learns** its kernels: it starts from
# chance, and gradient descent finds those that help to tell the classes apart.
# %% [markdown] slide
# In a convolutional network the filters are not designed. They are learned.
# %% [markdown]
# ## What a block costs
#
# An image in color has three numbers a pixel, so a filter has three layers of weights: 3 x 3 x 3 = 27, and a
# bias. A layer of convolutions has many filters; each gives one **map**, and the maps lie on one another like the
# colors did. A filter of the *next* layer therefore reaches through all of them.
#
# A **block** is: convolution (3 x 3, same), ReLU, max pooling. We write it as a function, since it comes again
# and again.
# %%
classes = len(leaves.names)


def block(channels, filters):
    return nn.Sequential(nn.Conv2d(channels, filters, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2))


def colors():
    return nn.BatchNorm2d(3, affine=False)  # brings the three colors to mean 0 and spread 1: lesson 4 says why


# %% [markdown] task="3.3"
# **Task 3.3** Count by hand, before the computer does (weights *and* biases):
#
# * `first`: a block with 16 filters on an image in color, `block(3, 16)`
# * `second`: a block with 32 filters on those 16 maps, `block(16, 32)`
# * `dense`: a dense layer of 64 units on an image of 48 x 48 x 3, as in the morning
# %% task="3.3"
first = ...
second = ...
dense = ...
check("3.3", first, second, dense)
# %% solution="3.3"
first = (3 * 3 * 3 + 1) * 16
second = (3 * 3 * 16 + 1) * 32
dense = 48 * 48 * 3 * 64 + 64
check("3.3", first, second, dense)
# %% wrong="3.3" says="three colors"
first = (3 * 3 + 1) * 16
second = (3 * 3 * 16 + 1) * 32
dense = 48 * 48 * 3 * 64 + 64
check("3.3", first, second, dense)
# %% wrong="3.3" says="all 16 maps"
first = (3 * 3 * 3 + 1) * 16
second = (3 * 3 + 1) * 32
dense = 48 * 48 * 3 * 64 + 64
check("3.3", first, second, dense)
# %% wrong="3.3" says="bias"
first = 3 * 3 * 3 * 16
second = 3 * 3 * 16 * 32
dense = 48 * 48 * 3 * 64
check("3.3", first, second, dense)
# %% wrong="3.3" says="not depend on the size"
first = 48 * 48 * 3 * 16 + 16
second = (3 * 3 * 16 + 1) * 32
dense = 48 * 48 * 3 * 64 + 64
check("3.3", first, second, dense)
# %% check="3.3"
HINTS = (
    "A filter has 3 x 3 weights for each map (or color) below it, and one bias. Count one filter, then times filters.",
    "first is (3 * 3 * 3 + 1) * 16. The second block's filters reach through 16 maps instead of 3 colors.",
)


def judge(first: int, second: int, dense: int):
    """Three counts of weights and biases."""
    if (first, second) == (432, 4_608):
        return "Close: one bias is missing for each filter (and for each unit)."
    if first == (9 + 1) * 16:
        return "first: that is a filter for a grey image. It reaches through all three colors."
    if first == 48 * 48 * 3 * 16 + 16:
        return "first: that is a dense layer of 16 units. A filter's weights do not depend on the size of the image."
    if first != 448:
        return f"first: {first:,} it is not. One filter has 3 x 3 x 3 weights and a bias, and there are 16."
    if second in ((9 + 1) * 32, (27 + 1) * 32):
        return "second: each of its filters reaches through all 16 maps of the first block."
    if second != 4_640:
        return f"second: {second:,} it is not. One filter has 3 x 3 x 16 weights and a bias, and there are 32."
    if dense == 48 * 48 * 3 * 64:
        return "dense: each of the 64 units has a bias too."
    if dense != 442_432:
        return f"dense: {dense:,} it is not. Every unit has a weight for each of the 48 x 48 x 3 numbers."
    return Passed("448, 4,640 and 442,432: the first block costs about a thousandth of the dense layer.")


# %% [markdown] teacher="3.3"
# **What it is for.** Where parameters come from, and where they do not: pooling and ReLU have none, and the size
# of the image plays no role in a convolution.
#
# **Typical answers.** `(9 + 1) * 16`: a filter is imagined flat. Draw it as a small brick that reaches through
# all maps.
# %% [markdown]
# ## A dense network, one block, three blocks
#
# Now the comparison this lesson is about. All three begin with `colors()` and end with the same two dense layers;
# all are trained in the same way. Only what lies between differs. Here are the first two, and the summary of the
# second. (*multiply-adds* are the products that one image costs; *sees* is explained below.)
# %%
def dense_network():
    return nn.Sequential(colors(), nn.Flatten(), nn.Linear(48 * 48 * 3, 64), nn.ReLU(), nn.Linear(64, classes))


def one_block():
    return nn.Sequential(
        colors(), block(3, 16), nn.Flatten(), nn.Linear(24 * 24 * 16, 64), nn.ReLU(), nn.Linear(64, classes)
    )


coverslip.summary(one_block(), (3, 48, 48))


# %% [markdown] task="3.4"
# **Task 3.4** Build the third: `colors()`, then blocks with 16, 32 and 64 filters, then flat, 64 units with ReLU,
# and one output for each class. Each block halves the image: 48, 24, 12, ... What comes out of the last one?
# %% task="3.4"
def three_blocks():
    return ...


check("3.4", three_blocks(), classes)


# %% solution="3.4"
def three_blocks():
    return nn.Sequential(
        colors(),
        block(3, 16),
        block(16, 32),
        block(32, 64),
        nn.Flatten(),
        nn.Linear(6 * 6 * 64, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


check("3.4", three_blocks(), classes)


# %% wrong="3.4" says="6 x 6"
def three_blocks():
    return nn.Sequential(
        block(3, 16), block(16, 32), block(32, 64), nn.Flatten(), nn.Linear(12 * 12 * 64, 64), nn.Linear(64, classes)
    )


check("3.4", three_blocks(), classes)


# %% wrong="3.4" says="do not fit on one another"
def three_blocks():
    return nn.Sequential(
        block(3, 16), block(3, 32), block(3, 64), nn.Flatten(), nn.Linear(6 * 6 * 64, 64), nn.Linear(64, classes)
    )


check("3.4", three_blocks(), classes)


# %% wrong="3.4" says="softmax"
def three_blocks():
    return nn.Sequential(
        colors(), block(3, 16), block(16, 32), block(32, 64), nn.Flatten(), nn.Linear(2304, classes), nn.Softmax(dim=1)
    )


check("3.4", three_blocks(), classes)


# %% wrong="3.4" says="a network is wanted"
def three_blocks():
    return nn.Sequential(colors(), block(3, 16), block(16, 32), block(32, 64), nn.Flatten(), nn.Linear(2304, classes))


check("3.4", three_blocks, classes)
# %% check="3.4"
import re

import torch
from torch import nn

HINTS = (
    "Look at one_block: three blocks stand one after the other, and the number of maps of one is what the next takes.",
    "After three halvings the image is 6 x 6 with 64 maps: nn.Flatten() then gives 6 * 6 * 64 numbers.",
)


def judge(network: nn.Module, classes: int):
    """Three blocks of 16, 32 and 64 filters, 64 units, one output a class."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    try:
        with torch.no_grad():
            scores = network.eval()(torch.rand(2, 3, 48, 48))
    except RuntimeError as error:
        if "channels" in str(error):
            return "Two blocks do not fit on one another: the maps that one gives are the channels that the next takes."
        found = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error))
        if found:
            given, wanted = (f"{int(each):,}" for each in found.groups())
            shape = " Three halvings of 48 leave 6 x 6 places with 64 maps." if given == "2,304" else ""
            return f"nn.Flatten() gives {given} numbers, and the dense layer after it takes {wanted}.{shape}"
        return f"It does not take an image of 3 x 48 x 48: {error}"
    if len(convolutions) != 3:
        return f"It has {len(convolutions)} convolutions; three blocks are wanted."
    filters = [layer.out_channels for layer in convolutions]
    if filters != [16, 32, 64]:
        return f"Its blocks have {', '.join(map(str, filters))} filters; 16, 32 and 64 are wanted."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in network.modules()):
        return "Leave the softmax away: coverslip.fit takes scores, and applies it itself."
    if tuple(scores.shape) != (2, classes):
        return (
            f"It answers an image with {tuple(scores.shape[1:])} numbers; one for each of {classes} classes is wanted."
        )
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if len(dense) != 2 or dense[0].out_features != 64:
        return (
            "Let it end as the other two do, so that they can be compared: a dense layer of 64 units, then the classes."
        )
    activations = sum(isinstance(layer, nn.ReLU) for layer in network.modules())
    if activations < 4:
        return "A ReLU is missing behind the layer of 64 units: without it two dense layers are worth no more than one."
    numbers = sum(each.numel() for each in network.parameters())
    return Passed(f"Three blocks, {numbers:,} parameters, most of them in the first dense layer.")


# %% [markdown] teacher="3.4"
# **What it is for.** The first network that learners build layer by layer. The sizes are task 3.2 put to use.
#
# **Typical answers.** 12 * 12 * 64: one halving forgotten. `block(3, 32)`: channels are taken for colors all the
# way. Both give PyTorch's error message about shapes; the check translates it.
# %% [markdown]
# Three trainings with the same images, epochs and learning rate (which climbs and falls again: `"one-cycle"`);
# half a minute in all, the last takes longest. `coverslip.fit` keeps whole leaves together when it holds out
# images (`groups=`), and gives the network the weights of its best epoch.
# %%
def built(make, task):
    network = make()
    if network is ...:
        raise coverslip.UserError("this network is not built yet", f"solve task {task} first")
    return network


def trained(make):
    torch.manual_seed(0)
    network = built(make, "3.4")
    how = {"epochs": 16, "lr": 2e-3, "schedule": "one-cycle", "groups": train.groups}
    return coverslip.fit(network, train.x, train.y, **how, verbose=0)


history_dense = trained(dense_network)
history_one = trained(one_block)
# %%
history_three = trained(three_blocks)
history_three.plot()
# %% [markdown]
# Now the test images, of leaves that none of them has seen. A comparison is **paired**: all three answered the
# same images, so what counts is where they differ. And its intervals are over *leaves*, not images.
# %% [markdown] slide
# Dense, one block, three blocks: same images, same training, and a difference with an interval.
# %%
rivals = {"dense": history_dense, "one block": history_one, "three blocks": history_three}
contest = compare_on(test, rivals)
contest.plot()
# %%
contest
# %% [markdown] task="3.5"
# **Task 3.5** Which sentence may stand in your report? (With images of your own the table may say *not
# distinguishable*. Then answer as if it said *better*.)
#
# * `"A"`: Three blocks are better than a dense network, by the difference given above with its interval, on
#   leaves like these.
# * `"B"`: Convolutional networks are better than dense networks.
# * `"C"`: Three blocks are better than a dense network because their two bars on the left do not touch; if they
#   touched, one could not say so.
# * `"D"`: Three blocks name the share of leaves given above rightly, whatever leaves come.
# %% task="3.5"
sentence = ...
check("3.5", sentence)
# %% solution="3.5"
sentence = "A"
check("3.5", sentence)
# %% wrong="3.5" says="these leaves"
sentence = "B"
check("3.5", sentence)
# %% wrong="3.5" says="paired"
sentence = "C"
check("3.5", sentence)
# %% wrong="3.5" says="other leaves"
sentence = "D"
check("3.5", sentence)
# %% check="3.5"
HINTS = (
    "What was compared: all networks, or three of them on one set of leaves?",
    "A result is a difference with its interval, and for what it holds. Only one of the four has both.",
)


def judge(sentence: str):
    """The letter of the sentence that may stand in a report."""
    answer = sentence.strip().strip("\"'.").upper()
    if answer == "B":
        return "B speaks of all networks and all images. You compared three networks on these leaves."
    if answer == "C":
        return (
            "C asks too much: the bars on the left may touch while the paired difference on the right is clear, since "
            "both networks find the same leaves hard. Look at the interval of the difference."
        )
    if answer == "D":
        return "D promises a number for other leaves: that is what the interval says you cannot."
    if answer != "A":
        return f"There is no sentence {sentence!r}; they are A, B, C and D."
    return Passed(
        "A: a difference, its interval, and what it holds for. One training each, so it is about these three networks."
    )


# %% [markdown] teacher="3.5"
# **What it is for.** The habit of the whole course: a claim is a difference with an interval, and it has a scope.
#
# **Typical answers.** C, from statistics courses: overlapping intervals. It is the common mistake the other way
# round; pairing removes what all networks share, the difficulty of each leaf. Lesson 4 trains each recipe several
# times.
#
# **If results differ.** On the machine we tried it on, three blocks were told apart from one and from the dense
# network. If a learner's own folder says "not distinguishable", that is the right answer there: too few leaves,
# or color alone tells the classes.
# %% [markdown]
# ## What the network looks at
#
# How much of the image can *one* number of the last block have seen? After one convolution of 3 x 3 it has seen
# 3 x 3 pixels. Pooling and further convolutions widen that: this is its **receptive field**. The column *sees* of
# the summary lists it.
# %%
coverslip.summary(history_three.network, (3, 48, 48))
# %% [markdown] task="3.6"
# **Task 3.6** After its pooling, a map of the last block has 6 x 6 places. (Two different numbers; the summary above
# helps.)
#
# * `apart`: go on by one place in that map. By how many pixels have you moved in the image?
# * `sees`: how many pixels wide is the piece of the image that one of these places has seen?
# %% task="3.6"
apart = ...
sees = ...
check("3.6", apart, sees)
# %% solution="3.6"
apart = 48 // 6
sees = 22
check("3.6", apart, sees)
# %% wrong="3.6" says="overlap"
apart = 8
sees = 8
check("3.6", apart, sees)
# %% wrong="3.6" says="whole image"
apart = 8
sees = 48
check("3.6", apart, sees)
# %% wrong="3.6" says="halved three times"
apart = 6
sees = 22
check("3.6", apart, sees)
# %% check="3.6"
HINTS = (
    "Each block halves the image, and there are three. For `sees`, look at the last pooling layer in the summary.",
    "48 pixels on 6 places are 8 each. The row of the last MaxPool2d says in its last column what a place sees.",
)


def judge(apart: int, sees: int):
    """Pixels between two places of the last map, and pixels that one of them sees."""
    if apart in (6, 3, 2):
        return f"apart: {apart} it is not. The image was halved three times: 2 x 2 x 2 pixels."
    if apart != 8:
        return f"apart: {apart} it is not: 6 places share 48 pixels."
    if sees == 8:
        return "sees: neighboring places see pieces that overlap, so each sees more than the distance between them."
    if sees == 48:
        return "sees: only the dense layers after the last block see the whole image."
    if sees == 18:
        return "sees: that is before the last pooling, which takes in its neighbors too."
    if sees != 22:
        return f"sees: {sees} it is not; look at the row of the last MaxPool2d."
    return Passed("8 apart, and 22 pixels wide: what is finer than 8 pixels no map of the last block can point at.")


# %% [markdown] teacher="3.6"
# **What it is for.** It takes the magic out of the heat maps that follow: a yellow blob of the last block is 8
# pixels coarse and has seen 22. Nobody can read a vein off it.
#
# **Worked out.** 3, pool 4, then + 2 x 2 = 8, pool 10, then + 2 x 4 = 18, pool 22.
# %% [markdown]
# ### Class activation maps, for every block and class
#
# For which class does each place speak? The maps of a block are weighted by how much each raises the score of a
# class, and added up (Grad-CAM; each block's maps are taken before its pooling, so the last has 12 x 12 places).
# Rows are classes, the three that the network finds likeliest; columns are blocks. We take a test image that the
# network named rightly.
# %%
probabilities = history_three.predict(test.x)
right = probabilities.argmax(axis=1) == test.y
sick = np.array(["healthy" not in test.names[number].lower() for number in test.y])
chosen = int(np.argmax(np.where(right & sick, probabilities.max(axis=1), 0)))
print(f"image {chosen} of the test set: {test.names[test.y[chosen]]}")
likeliest = np.argsort(-probabilities[chosen])[:3]
where_it_looks(history_three.network, test.x[chosen], test.names, classes=likeliest)
# %% [markdown]
# The first block answers to edges and colors in fine grain, the last to larger pieces, coarsely. Beautiful, but
# does it *mean* anything? One test you should always ask for: the same maps from the same network with its
# weights **in random order**. It knows nothing: what its maps show comes from the image, not from learning. The
# rows are the same three classes.
# %%
where_it_looks(scrambled(history_three.network), test.x[chosen], test.names, classes=likeliest)
# %% [markdown]
# Go through the columns. What lights up in both figures, such as a bright vein or an outline, is a strong edge of
# the image: random weights answer to it, too. Only what is there in the first figure and not in the second *can* be
# something the network has learned.
#
# (`coverslip explain RUN IMAGE` does this test, and three others, by itself.)
# %% [markdown] slide
# A heat map is a hypothesis. Ask for the same map from a network that knows nothing.
# %% [markdown]
# ### Ideal images
#
# The other way to look inside: begin with grey, and change the *image* so that a filter answers as strongly as
# possible. First for filters of the second block (16 of its 32), which still like simple textures ...
# %%
ideal_of(history_three.network, 48, layer="2")
# %% [markdown]
# ... and for the last layer, the classes themselves.
# %%
ideal_of(history_three.network, 48, test.names, units=range(min(6, classes)))


# %% [markdown]
# Caricatures: the colors and textures that raise the score of this class and lower that of the others. Nobody
# ever rewarded this network for knowing what a leaf is, only for telling classes apart. Is there anything in
# these images that no plant pathologist would look at?
# %% [markdown]
# ## Fully convolutional
#
# Our networks take images of 48 x 48 and nothing else. The culprit is the dense layer behind `nn.Flatten()`: it
# has a weight for each of the 6 x 6 places. But a dense layer on 6 x 6 places *is* a convolution, with a kernel
# of 6 x 6 that finds exactly one place. Written as a convolution it has the same weights, and on a larger image
# it simply finds more places. Then let a convolution of 1 x 1 give the classes at each place, and **average over
# all places** (`nn.AdaptiveAvgPool2d(1)`): no layer depends on the size any more.
# %% [markdown] task="3.7"
# **Task 3.7** Build it: `colors()`, the three blocks, a convolution from 64 to 64 maps with a kernel of 6 and
# ReLU (both convolutions without padding), a convolution with a kernel of 1 from 64 maps to one map for each class,
# then the average, then `nn.Flatten()`. The check tries it with images of 48 and of 96 pixels.
# %% task="3.7"
def fully_convolutional():
    return ...


check("3.7", fully_convolutional(), classes)


# %% solution="3.7"
def fully_convolutional():
    return nn.Sequential(
        colors(),
        block(3, 16),
        block(16, 32),
        block(32, 64),
        nn.Conv2d(64, 64, kernel_size=6),
        nn.ReLU(),
        nn.Conv2d(64, classes, kernel_size=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


check("3.7", fully_convolutional(), classes)


# %% wrong="3.7" says="dense layer"
def fully_convolutional():
    return nn.Sequential(colors(), block(3, 16), block(16, 32), block(32, 64), nn.Flatten(), nn.Linear(2304, classes))


check("3.7", fully_convolutional(), classes)


# %% wrong="3.7" says="nn.Flatten"
def fully_convolutional():
    return nn.Sequential(
        colors(), block(3, 16), block(16, 32), block(32, 64), nn.Conv2d(64, classes, 1), nn.AdaptiveAvgPool2d(1)
    )


check("3.7", fully_convolutional(), classes)


# %% wrong="3.7" says="average"
def fully_convolutional():
    return nn.Sequential(colors(), block(3, 16), block(16, 32), block(32, 64), nn.Conv2d(64, classes, 6), nn.Flatten())


check("3.7", fully_convolutional(), classes)


# %% wrong="3.7" says="without padding"
def fully_convolutional():
    return nn.Sequential(
        *(colors(), block(3, 16), block(16, 32), block(32, 64), nn.Conv2d(64, 64, 6, padding=1), nn.ReLU()),
        *(nn.Conv2d(64, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


check("3.7", fully_convolutional(), classes)


# %% wrong="3.7" says="comes last"
def fully_convolutional():
    return nn.Sequential(
        *(colors(), block(3, 16), block(16, 32), block(32, 64), nn.Conv2d(64, 64, 6), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(64, classes, 1), nn.Flatten()),
    )


check("3.7", fully_convolutional(), classes)
# %% check="3.7"
import torch
from torch import nn

HINTS = (
    "Up to the third block it is the network of task 3.4; no nn.Linear follows.",
    "Then nn.Conv2d(64, 64, 6), nn.ReLU(), nn.Conv2d(64, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()",
)


def judge(network: nn.Module, classes: int):
    """A network without dense layers that answers images of any size with one score a class."""
    if any(isinstance(layer, nn.Linear) for layer in network.modules()):
        return "There is a dense layer in it, which wants images of one size. A convolution takes its place."
    shapes = {}
    for side in (48, 96):
        try:
            with torch.no_grad():
                shapes[side] = tuple(network.eval()(torch.rand(2, 3, side, side)).shape)
        except RuntimeError as error:
            return f"It does not take images of {side} x {side}: {error}"
    if not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in network.modules()):
        small, large = shapes[48][1:], shapes[96][1:]
        return f"It gives {small} numbers at 48 pixels and {large} at 96: the average over places is missing."
    if len(shapes[48]) != 2:
        return f"It answers with shape {shapes[48][1:]}: an nn.Flatten() at the end makes a row of scores of it."
    if shapes[48] != (2, classes):
        return f"It answers with {shapes[48][1]} numbers; {classes} classes are wanted."
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    kernels = [layer.kernel_size[0] for layer in convolutions]
    if kernels != [3, 3, 3, 6, 1]:
        said = ", ".join(map(str, kernels))
        return f"It takes any size. Its kernels are {said}; to be the twin of task 3.4, they have to be 3, 3, 3, 6, 1."
    if sum(isinstance(layer, nn.ReLU) for layer in network.modules()) < 4:
        return "A ReLU is missing behind the convolution with the kernel of 6."
    if any(layer.padding != (0, 0) or layer.stride != (1, 1) for layer in convolutions[-2:]):
        return "The last two convolutions stand without padding and move by 1: 6 then finds one place on 6 x 6."
    order = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.AdaptiveAvgPool2d)]
    if not isinstance(order[-1], nn.AdaptiveAvgPool2d):
        return "The average comes last: first the classes at each place, since we want to see those, then the average."
    numbers = sum(each.numel() for each in network.parameters())
    return Passed(f"{numbers:,} parameters, as many as the three blocks with dense layers, and it takes any size.")


# %% [markdown] teacher="3.7"
# **What it is for.** A dense layer is a convolution that finds one place. It is the step from "what" to "where",
# and the bridge to segmentation.
#
# **Typical answers.** `nn.Flatten()` left away or put before the average.
# %% [markdown]
# It is the twin of your trained network: the same weights in another shape. So it need not be trained; we hand
# them over, one by one, and see whether it gives the same answers.
# %%
twin = built(fully_convolutional, "3.7")
for new, old in zip(twin.parameters(), history_three.network.parameters(), strict=True):
    new.data = old.data.reshape(new.shape)
twin[0] = history_three.network[0]  # the colors' means and spreads
with torch.no_grad():
    some = torch.from_numpy(test.x[:32]).permute(0, 3, 1, 2) / 255
    apart = twin.eval()(some) - history_three.network.eval()(some)
print(f"largest difference between the scores of the two: {apart.abs().max():.1e}")
# %% [markdown]
# Now show it something larger than it has ever seen: nine test images laid out like a herbarium sheet, 144 x
# 144 pixels. Before the average it has an answer at each of 13 x 13 places, as if the whole network had been slid
# over the sheet. Light is where a class is probable. Only nine of these places look at exactly one leaf: the four
# corners of the map, the middles of its four sides, and its center. Compare those with the names first.
# %%
sure = np.argsort(-np.where(right, probabilities.max(axis=1), 0))[:60]
some = np.random.default_rng(0).permutation(sure)[:9]
sheet = test.x[some].reshape(3, 3, 48, 48, 3).transpose(0, 2, 1, 3, 4).reshape(144, 144, 3)
scores = torch.from_numpy(class_map(twin, sheet))
maps = scores.softmax(dim=0).numpy()
there = list(dict.fromkeys(test.y[some].tolist()))[:4]
print("on the sheet, row by row:", ", ".join(test.names[number] for number in test.y[some]))
maps_figure([sheet, *maps[there]], ["the sheet", *(test.names[number] for number in there)])
# %% [markdown]
# All other places lie across two or four leaves. They have to say something, too, and are often sure of a leaf that
# is not there: the network was never shown what "nothing" looks like. Whoever slides a network over a field has to
# teach it the soil.
# %% [markdown] slide
# Without dense layers a network takes images of any size, and says where.
# %% [markdown]
# ## Two networks everybody cites
#
# **AlexNet** (Krizhevsky, Sutskever and Hinton, 2012) is your network of task 3.4, larger: five convolutions with
# ReLU, three of them with pooling, then three dense layers. It won the ImageNet contest by a margin that made
# everybody change over. (Here it is as PyTorch's library has it, a little smaller than in the paper.) Where are its
# parameters?
# %%
from torchvision.models import alexnet, resnet18

summary = coverslip.summary(alexnet(weights=None), (3, 224, 224))
in_dense = sum(layer.parameters for layer in summary.layers if layer.kind == "Linear")
print(f"{summary.parameters:,} parameters, {in_dense / summary.parameters:.0%} of them in three dense layers")
summary


# %% [markdown]
# Deeper is better, one would think. But with many layers stacked plainly, the gradient that reaches the first
# ones fades away: each layer passes on only a part of it. **ResNet** (He, Zhang, Ren and Sun, 2016) lets the
# image pass *around* each pair of layers, and the layers only add something to it: `x + layers(x)`. A layer
# that has nothing to say can say zero, and the gradient has a way that nothing shrinks. The next cell measures how
# much gradient reaches the first layer, in networks of 2 to 24 layers that are not trained yet.
# %%
class Around(nn.Module):
    """Two convolutions, and a way around them."""

    def __init__(self, maps):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU(), nn.Conv2d(maps, maps, 3, padding=1))

    def forward(self, x):
        return torch.relu(x + self.layers(x))


def plain(maps):
    return nn.Sequential(nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU(), nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU())


def first_gradient(pair, depth):
    """How large the gradient is that reaches the first layer of a network that was not trained yet."""
    torch.manual_seed(0)
    start = nn.Conv2d(3, 16, 3, padding=1)
    deep = nn.Sequential(
        start, *(pair(16) for _ in range(depth // 2)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes)
    )
    some = torch.from_numpy(train.x[:16]).permute(0, 3, 1, 2) / 255
    nn.functional.cross_entropy(deep(some), torch.from_numpy(train.y[:16])).backward()
    return float(start.weight.grad.norm())


for depth in (2, 6, 12, 24):
    print(f"{depth:3} layers: plain {first_gradient(plain, depth):.1e}, way around {first_gradient(Around, depth):.1e}")
print(f"\nResNet-18: {coverslip.summary(resnet18(weights=None), (3, 224, 224)).total()}")
# %% [markdown]
# With every two layers the plain network loses most of what is left of its gradient; with a way around it does
# not. That is why networks of 50 and 150 layers can be trained at all. ResNet ends with an average over places
# too, so it has a fifth of AlexNet's parameters.
#
# ## What to take home
#
# * A filter is learned once and used everywhere; that saves parameters, and it is what images are like.
# * Sizes: `(side + 2 * padding - kernel) // stride + 1`.
# * Deeper layers see more of the image, more coarsely.
# * A claim about networks is a paired difference with an interval, for images like these.
#
# The next lesson asks what to do when a network learns its training images by heart.
# %% [markdown] teacher
# The core is tasks 3.1 to 3.4 and the comparison. If time is short, leave out 3.7 and the two famous networks;
# the maps and ideal images are what learners talk about in the break, so do not leave those out. The three
# trainings take under a minute together: let learners predict the order of the three, by show of hands, before
# the figure appears.
