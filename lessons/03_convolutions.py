# ---
# title: Convolutions
# number: 3
# minutes: 70
# needs: []
# ---
# %% [markdown]
# # Convolutions
#
# The networks of this morning had a separate weight for every pixel; their layers are called **dense**. If the leaf
# moves by one pixel, all these weights see something else. But a spot of rust is the same spot at every position on the
# leaf, so it should be enough to learn it **once** and then to look for it **everywhere**. This is the idea of a
# **convolution**: a small set of weights that slides over the image.
#
# In this lesson you compute a convolution by hand, count its parameters, build a convolutional network, compare it with
# a dense network, and look inside.
# %%
import numpy as np
import torch
from torch import nn

import coverslip
from coverslip.course import check, explorables, images
from coverslip.course.comparison import compare_on_test
from coverslip.course.inspection import cam_figure, class_map, ideal_images_figure, shuffled_weights
from coverslip.course.kernels import LIGHT_AND_DARK, VERTICAL_EDGE, convolution_figure, maps_figure, pool, slide_kernel

folder = None  # your own images: put the path of a folder here
# %% [markdown]
# ## One filter, by hand
#
# Here is an image of 6 x 6 pixels with a light half (10), a dark half (0), and a vertical edge between them. The
# **kernel** (or **filter**) is a table of 3 x 3 weights. Place it on the image, multiply each weight by the pixel below
# it, and add up the nine products. The sum is *one* pixel of the output. Then move the kernel by one pixel, and so on.
#
# The sum for the framed position is written out below the figure.
# %%
convolution_figure(LIGHT_AND_DARK, VERTICAL_EDGE, position=(1, 2))


# %% [markdown]
# In a uniform region, light or dark, the left and the right column of the kernel cancel: the output is 0. It is
# different from 0 only where the two sides differ: positive where the left side is lighter, negative where it is
# darker. This kernel *detects vertical edges*.
# %% [markdown] task="3.1"
# **Task 3.1** Write this as a function. Its arguments are an image and a kernel (NumPy arrays with rows and columns),
# and it returns the table of all sums. You write three lines: `rows`, `columns`, and the sum at one position. The
# function must also work for other sizes, so compute them from `image.shape` and from `h` and `w`, the height and width
# of the kernel.
#
# The window below the kernel at row `r`, column `c` is `image[r : r + h, c : c + w]`; `*` multiplies two tables element
# by element, and `.sum()` adds up.
# %% task="3.1"
def convolve(image, kernel):
    h, w = kernel.shape
    rows = ...  # number of positions of the kernel from top to bottom
    columns = ...  # and from left to right
    if rows is ... or columns is ...:
        return ...  # you may delete these two lines
    output = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            output[r, c] = 0  # the sum at this position
    return output


check("3.1", convolve)


# %% solution="3.1"
def convolve(image, kernel):
    h, w = kernel.shape
    rows = image.shape[0] - h + 1
    columns = image.shape[1] - w + 1
    output = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            output[r, c] = (image[r : r + h, c : c + w] * kernel).sum()
    return output


check("3.1", convolve)


# %% wrong="3.1" says="one row and one column"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h, image.shape[1] - w
    output = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            output[r, c] = (image[r : r + h, c : c + w] * kernel).sum()
    return output


check("3.1", convolve)


# %% wrong="3.1" says="flipped"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    output = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            output[r, c] = (image[r : r + h, c : c + w] * kernel[::-1, ::-1]).sum()
    return output


check("3.1", convolve)


# %% wrong="3.1" says="mean"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    output = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            output[r, c] = (image[r : r + h, c : c + w] * kernel).mean()
    return output


check("3.1", convolve)


# %% wrong="3.1" says="as it was given"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    output = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            output[r, c] = 0
    return output


check("3.1", convolve)


# %% wrong="3.1" says="fixed numbers"
def convolve(image, kernel):
    output = np.zeros((4, 4))
    for r in range(4):
        for c in range(4):
            output[r, c] = (image[r : r + 3, c : c + 3] * kernel).sum()
    return output


check("3.1", convolve)


# %% wrong="3.1" says="add them up"
def convolve(image, kernel):
    h, w = kernel.shape
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    output = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            output[r, c] = image[r : r + h, c : c + w] * kernel
    return output


check("3.1", convolve)
# %% check="3.1"
from collections.abc import Callable

import numpy as np

from coverslip.course.kernels import LIGHT_AND_DARK, VERTICAL_EDGE, slide_kernel

HINTS = (
    "A kernel of 3 on a side of 6 can start at pixel 0, 1, 2 or 3: these are 6 - 3 + 1 positions.",
    "rows = image.shape[0] - h + 1, columns likewise; output[r, c] = (image[r : r + h, c : c + w] * kernel).sum()",
)


def grade(convolve: Callable):
    """A function of an image and a kernel that returns the table of sums."""
    try:
        output = convolve(LIGHT_AND_DARK, VERTICAL_EDGE)
    except ValueError as error:
        if "sequence" in str(error):
            return "One position of the output is one number, but you assign all nine products to it: add them up."
        raise
    if output is ... or output is None:
        return ""
    output = np.asarray(output, float)
    expected = slide_kernel(LIGHT_AND_DARK, VERTICAL_EDGE)
    if output.shape == (3, 3):
        return "The output is 3 x 3: one row and one column are missing. Where can a kernel of 3 start on a side of 6?"
    if output.shape != expected.shape:
        size = " x ".join(map(str, output.shape))
        return f"The output for the 6 x 6 image is {size or 'a single number'}; it should be 4 x 4."
    if not output.any():
        return "The output is the table of zeros, as it was given: replace the zeros with the sums of the products."
    if np.allclose(output, -expected):
        return "The signs are reversed: the kernel was flipped. Use it as it is."
    if np.allclose(output, expected / 9):
        return "This is the mean of the nine products; the task asks for the sum."
    rng = np.random.default_rng(3)
    image, kernel = rng.integers(0, 9, (7, 5)), rng.integers(-2, 3, (3, 2))
    other_expected = slide_kernel(image, kernel)
    try:
        other_output = np.asarray(convolve(image, kernel), float)
    except (ValueError, IndexError):
        other_output = np.zeros(0)
    if np.allclose(output, expected) and other_output.shape != other_expected.shape:
        return (
            "It is right for the 6 x 6 image, but not for an image of 7 x 5 and a kernel of 3 x 2: it contains fixed "
            "numbers, or rows and columns are exchanged. Compute rows from image.shape[0] and h, and columns from "
            "image.shape[1] and w."
        )
    if not np.allclose(output, expected) or not np.allclose(other_output, other_expected):
        flipped = slide_kernel(image, kernel[::-1, ::-1])
        if other_output.shape == flipped.shape and np.allclose(other_output, flipped):
            return "The kernel is flipped before it is used; here it is used as it is."
        return "Some sums are not right yet. The check also tries a 7 x 5 image and a 3 x 2 kernel: check h and w."
    return Passed(
        "0, 30, 30, 0 in each of four rows: your function detects the edge, and works for any image and kernel."
    )


# %% [markdown] teacher="3.1"
# **Purpose.** After writing these two lines no learner is afraid of the word convolution. It is the only loop that
# learners write in the whole course.
#
# **Typical answers.** `6 - 3 = 3`: an off-by-one error; let the learners point at the pixels where a kernel can
# *start*. A learner who knows signal processing flips the kernel: in mathematics this is the convolution, and the
# operation of all deep learning libraries is called cross-correlation. For learned weights it makes no difference: the
# network would learn the flipped ones.
#
# **If it takes long.** Draw the four starting positions of the first row on the board.
# %% [markdown] slide
# A convolution is one small table of weights that slides over the whole image: learned once, used everywhere.
# %% [markdown]
# Now try it yourself. Drag the kernel over the image; each position gives one number of the output. Choose another
# kernel in the list below its weights, then choose the leaf. (Do not change stride and padding yet: they come next.)
# %%
explorables.kernel()
# %% [markdown]
# ## Stride, padding, "same" and "valid"
#
# You can choose two settings of a convolution:
#
# * **stride**: the number of pixels by which the kernel moves. With stride 2 it skips every second position, and the
#   output is about half as wide.
# * **padding**: a border of zeros around the image. Without padding (called **valid**) the output is smaller than the
#   image, since the kernel must stay inside. With the right padding the output is as large as the image (called
#   **same**): a kernel of 3 needs a padding of 1, a kernel of 5 a padding of 2.
#
# Below are the same image and kernel with stride 2 and padding 1. Note the effect of the padding: the kernel now also
# detects an "edge" at the left side of the image, where the zeros begin.
# %%
convolution_figure(LIGHT_AND_DARK, VERTICAL_EDGE, stride=2, padding=1, position=(1, 1))


# %% [markdown] task="3.2"
# **Task 3.2** Complete the formula for the size of the output, for an image of `side` pixels and a kernel of `kernel`
# pixels. (`//` divides and drops the remainder, since the kernel must not extend beyond the padded image.)
#
# Examples: 6 pixels and a kernel of 3 give 4; with stride 2 and padding 1 they give 3.
# %% task="3.2"
def output_size(side, kernel, stride=1, padding=0):
    return ...


print(output_size(6, 3), output_size(6, 3, stride=2, padding=1))
check("3.2", output_size)


# %% solution="3.2"
def output_size(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel) // stride + 1


print(output_size(6, 3), output_size(6, 3, stride=2, padding=1))
check("3.2", output_size)


# %% wrong="3.2" says="both ends"
def output_size(side, kernel, stride=1, padding=0):
    return (side + padding - kernel) // stride + 1


check("3.2", output_size)


# %% wrong="3.2" says="whole number"
def output_size(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel) / stride + 1


check("3.2", output_size)


# %% wrong="3.2" says="first position"
def output_size(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel) // stride


check("3.2", output_size)


# %% wrong="3.2" says="after"
def output_size(side, kernel, stride=1, padding=0):
    return (side + 2 * padding - kernel + 1) // stride


check("3.2", output_size)
# %% check="3.2"
from collections.abc import Callable

from coverslip.course.kernels import output_size as correct_size

HINTS = (
    "Count the first position, and then how often the kernel can move before it leaves the image.",
    "The padded side is side + 2 * padding. The kernel moves (padded side - kernel) // stride times; add 1.",
)
CASES = [
    (6, 3, 1, 0, "6 pixels, a kernel of 3"),
    (6, 3, 1, 1, "6 pixels, a kernel of 3, padding 1"),
    (6, 3, 2, 1, "6 pixels, a kernel of 3, stride 2, padding 1"),
    (48, 5, 1, 2, "48 pixels, a kernel of 5, padding 2"),
    (224, 11, 4, 2, "224 pixels, a kernel of 11, stride 4, padding 2"),
]


def grade(output_size: Callable):
    """A function of side, kernel, stride and padding that returns the size of the output."""
    for side, kernel, stride, padding, case in CASES:
        size = output_size(side, kernel, stride, padding)
        if size is ... or size is None:
            return ""
        expected = correct_size(side, kernel, stride=stride, padding=padding)
        if size == expected and isinstance(size, float):
            return "The number is right, but a size is a whole number: divide with // instead of /."
        if isinstance(size, float) and int(size) == expected:
            return f"For {case} it returns {size:g}: a size is a whole number. Divide with // instead of /."
        if padding and stride == 1 and size != expected and size == (side + padding - kernel) // stride + 1:
            return f"For {case} it returns {size}: the padding is added at both ends."
        if size == expected - 1:
            return f"For {case} it returns {size}: the first position is not counted. Add 1 *after* dividing."
        if size != expected:
            return f"For {case} it returns {size}, but the kernel has {expected} positions."
    return Passed(
        "Right, also for the first layer of AlexNet: 224 pixels, a kernel of 11, stride 4 and padding 2 give 55."
    )


# %% [markdown] teacher="3.2"
# **Purpose.** Shapes that do not match cause the most common error message of a first network. With this formula the
# learners can understand the message.
#
# **Typical answers.** Padding counted once; `/` instead of `//`. The last case is the first layer of AlexNet, which
# returns at the end of the lesson.
# %% [markdown]
# ## Pooling
#
# After a convolution, often only the largest number of each square of 2 x 2 pixels is kept: this is **max pooling**.
# The output is half as wide and half as high, so the next layer has only a quarter of the work, and a spot that is one
# pixel further to the right gives almost the same output. Pooling has no weights, so nothing is learned here.
#
# First, here are the images of this lesson: fifteen classes of leaves, 50 leaves per class, two photographs of each
# leaf (a *group* is one leaf). The figure shows one of the leaves, and the outputs of three kernels for its grey
# version: light means positive, dark means negative, and medium grey is 0. The last image shows the absolute values of
# the spot kernel after pooling.
# %%
leaves = images(folder, classes=15, size=48, leaves=50, shots=2, max_per_class=100)
train, test = leaves.split(seed=0)
print(leaves)
print(f"\n{len(train)} training images, {len(test)} test images of other leaves")
# %%
grey = train.x[0].mean(axis=2)
vertical = slide_kernel(grey, VERTICAL_EDGE)
horizontal = slide_kernel(grey, VERTICAL_EDGE.T)
spots = slide_kernel(grey, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
maps_figure(
    [train.x[0], vertical, horizontal, spots, pool(np.abs(spots))],
    ["image", "vertical edges", "horizontal edges", "spots", "spots, pooled"],
)
# %% [markdown]
# These kernels were designed by people, a long time ago. A network **learns** its kernels: it starts with random
# weights, and gradient descent finds kernels that help to distinguish the classes.
# %% [markdown] slide
# In a convolutional network the filters are not designed. They are learned.
# %% [markdown]
# ## The parameters of a block
#
# A color image has three numbers per pixel, so a filter has 3 x 3 x 3 = 27 weights, and a bias. A convolutional layer
# has many filters. Each filter gives one output image, which is called a **feature map**, or short a **map**. The maps
# are stacked like the three colors of an image. A filter of the *next* layer therefore has weights for all of them.
#
# A **block** consists of a convolution (3 x 3, same), ReLU and max pooling. We write it as a function, since we need it
# often.
# %%
classes = len(leaves.names)


def block(channels, filters):
    return nn.Sequential(nn.Conv2d(channels, filters, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2))


def colors():
    return nn.BatchNorm2d(3, affine=False)  # normalizes the colors to mean 0 and standard deviation 1, see lesson 4


# %% [markdown] task="3.3"
# **Task 3.3** Count the parameters (weights *and* biases) by hand, before the computer does:
#
# * `first`: a block with 16 filters on a color image, `block(3, 16)`
# * `second`: a block with 32 filters on these 16 maps, `block(16, 32)`
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
    "A filter has 3 x 3 weights for each input map (or color), and one bias. Count one filter, then multiply.",
    "first is (3 * 3 * 3 + 1) * 16. The filters of the second block have 16 input maps instead of 3 colors.",
)


def grade(first: int, second: int, dense: int):
    """Three counts of weights and biases."""
    if (first, second) == (432, 4_608):
        return "Close: one bias is missing for each filter (and for each unit)."
    if first == (9 + 1) * 16:
        return "first: this is a filter for a grey image. It needs weights for all three colors."
    if first == 48 * 48 * 3 * 16 + 16:
        return "first: this is a dense layer of 16 units. A filter's weights do not depend on the size of the image."
    if first != 448:
        return f"first: {first:,} is not correct. One filter has 3 x 3 x 3 weights and a bias, and there are 16."
    if second in ((9 + 1) * 32, (27 + 1) * 32):
        return "second: each of its filters has weights for all 16 maps of the first block."
    if second != 4_640:
        return f"second: {second:,} is not correct. One filter has 3 x 3 x 16 weights and a bias, and there are 32."
    if dense == 48 * 48 * 3 * 64:
        return "dense: each of the 64 units has a bias, too."
    if dense != 442_432:
        return f"dense: {dense:,} is not correct. Every unit has a weight for each of the 48 x 48 x 3 numbers."
    return Passed(
        "448, 4,640 and 442,432: the first block has about a thousandth of the parameters of the dense layer."
    )


# %% [markdown] teacher="3.3"
# **Purpose.** Where parameters come from, and where they do not: pooling and ReLU have none, and the size of the image
# plays no role in a convolution.
#
# **Typical answers.** `(9 + 1) * 16`: the learner imagines a flat filter. Draw it as a small block that extends through
# all maps.
# %% [markdown]
# ## A dense network, one block, three blocks
#
# Now we compare three networks. All three begin with `colors()` and end with the same two dense layers, and all are
# trained in the same way. Only the layers in between differ. Here are the first two networks, and the summary of the
# second. (*Multiply-adds* is the number of multiplications and additions for one image; the last column is explained
# below.)
# %%
def dense_network():
    return nn.Sequential(colors(), nn.Flatten(), nn.Linear(48 * 48 * 3, 64), nn.ReLU(), nn.Linear(64, classes))


def one_block():
    return nn.Sequential(
        colors(), block(3, 16), nn.Flatten(), nn.Linear(24 * 24 * 16, 64), nn.ReLU(), nn.Linear(64, classes)
    )


coverslip.summary(one_block(), (3, 48, 48))


# %% [markdown] task="3.4"
# **Task 3.4** Build the third network: `colors()`, blocks with 16, 32 and 64 filters, flatten, 64 units with ReLU, and
# one output for each class. Each block halves the side of the image: 48, 24, 12, ... What is the output size of the
# last block?
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


# %% wrong="3.4" says="do not match"
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


# %% wrong="3.4" says="expected a network"
def three_blocks():
    return nn.Sequential(colors(), block(3, 16), block(16, 32), block(32, 64), nn.Flatten(), nn.Linear(2304, classes))


check("3.4", three_blocks, classes)
# %% check="3.4"
import re

import torch
from torch import nn

HINTS = (
    "Look at one_block: put three blocks one after the other; the maps of one block are the channels of the next.",
    "After three halvings the output is 6 x 6 with 64 maps: nn.Flatten() then gives 6 * 6 * 64 numbers.",
)


def grade(network: nn.Module, classes: int):
    """A network of three blocks with 16, 32 and 64 filters, 64 units, and one output per class."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    try:
        with torch.no_grad():
            logits = network.eval()(torch.rand(2, 3, 48, 48))
    except RuntimeError as error:
        if "channels" in str(error):
            return "Two blocks do not match: the number of maps of a block must be the number of channels of the next."
        shapes = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error))
        if shapes:
            given, expected = (f"{int(size):,}" for size in shapes.groups())
            size = " Three halvings of 48 give 6 x 6 positions with 64 maps." if given == "2,304" else ""
            return f"nn.Flatten() gives {given} numbers, but the dense layer after it expects {expected}.{size}"
        return f"It does not accept an image of 3 x 48 x 48: {error}"
    if len(convolutions) != 3:
        return f"It has {len(convolutions)} convolutions; the task asks for three blocks."
    filters = [layer.out_channels for layer in convolutions]
    if filters != [16, 32, 64]:
        return f"Its blocks have {', '.join(map(str, filters))} filters; the task asks for 16, 32 and 64."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in network.modules()):
        return "Omit the softmax: coverslip.fit expects logits, and applies softmax itself."
    if tuple(logits.shape) != (2, classes):
        return (
            f"Its output for one image has the shape {tuple(logits.shape[1:])}; it needs one logit for each of "
            f"{classes} classes."
        )
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if len(dense) != 2 or dense[0].out_features != 64:
        return "End it like the other two networks, for a fair comparison: a dense layer of 64 units, then the classes."
    activations = sum(isinstance(layer, nn.ReLU) for layer in network.modules())
    if activations < 4:
        return "A ReLU is missing after the layer of 64 units: without it two dense layers are no more than one."
    count = sum(parameter.numel() for parameter in network.parameters())
    return Passed(f"Three blocks, {count:,} parameters, most of them in the first dense layer.")


# %% [markdown] teacher="3.4"
# **Purpose.** The first network that learners build layer by layer. It applies the sizes of task 3.2.
#
# **Typical answers.** 12 * 12 * 64: one halving was forgotten. `block(3, 32)`: every layer is given three channels.
# Both cause PyTorch's error message about shapes; the check explains it.
# %% [markdown]
# Now we do three trainings with the same images, epochs and learning rate (which rises and falls again: `"one-cycle"`).
# They take half a minute in total; the last one takes longest. `coverslip.fit` keeps leaves together when it holds out
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
    settings = {"epochs": 16, "lr": 2e-3, "schedule": "one-cycle", "groups": train.groups}
    return coverslip.fit(network, train.x, train.y, **settings, verbose=0)


history_dense = trained(dense_network)
history_one = trained(one_block)
# %%
history_three = trained(three_blocks)
history_three.plot()
# %% [markdown]
# Now we evaluate them on the test images, of leaves that no network has seen. The comparison is **paired**: all three
# networks predict the same images, so only the images on which they differ count. Its confidence intervals are over
# *leaves*, not images.
# %% [markdown] slide
# Dense, one block, three blocks: the same images, the same training, and a difference with a confidence interval.
# %%
networks = {"dense": history_dense, "one block": history_one, "three blocks": history_three}
comparison = compare_on_test(test, networks)
comparison.plot()
# %%
comparison
# %% [markdown] task="3.5"
# **Task 3.5** Which sentence can you write in your report? (For your own images the table may say *not
# distinguishable*. Then answer as if it said *better*.)
#
# * `"A"`: Three blocks are better than a dense network, by the difference above with its interval, on leaves like
#   these.
# * `"B"`: Convolutional networks are better than dense networks.
# * `"C"`: Three blocks are better than a dense network because their two bars on the left do not overlap; if they
#   overlapped, one could not claim it.
# * `"D"`: Three blocks classify the above fraction of leaves correctly, for any leaves.
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
    "What was compared: all networks, or three networks on one set of leaves?",
    "A result is a difference with its confidence interval and its scope. Only one of the four has both.",
)


def grade(sentence: str):
    """The letter of the sentence that the comparison supports."""
    answer = sentence.strip().strip("\"'.").upper()
    if answer == "B":
        return "B is about all networks and all images. You compared three networks on these leaves."
    if answer == "C":
        return (
            "C is too strict: the bars on the left may overlap although the paired difference on the right is clear, "
            "since the same leaves are difficult for both networks. Look at the interval of the difference."
        )
    if answer == "D":
        return "D promises a number for other leaves. The test measured leaves like these, and only with an interval."
    if answer != "A":
        return f"There is no sentence {sentence!r}; choose A, B, C or D."
    return Passed(
        "A: a difference, its interval and its scope. Each was trained once, so it is about these three networks."
    )


# %% [markdown] teacher="3.5"
# **Purpose.** The habit of the whole course: a claim is a difference with a confidence interval, and it has a scope.
#
# **Typical answers.** C, which learners know from statistics courses: overlapping intervals. Pairing removes what all
# networks share, the difficulty of each leaf. Lesson 4 trains each variant several times.
#
# **When results differ.** On our machine, three blocks were distinguishable from one block and from the dense network.
# If a learner's own folder gives "not distinguishable", this is the right answer there: there are too few leaves, or
# color alone determines the class.
# %% [markdown]
# ## What the network looks at
#
# How much of the image influences *one* number of the last block? After one convolution of 3 x 3 it is a window of 3 x
# 3 pixels. Pooling and further convolutions enlarge this window, which is called the **receptive field**. The last
# column of the summary lists it.
# %%
coverslip.summary(history_three.network, (3, 48, 48))
# %% [markdown] task="3.6"
# **Task 3.6** After pooling, a map of the last block has 6 x 6 positions. Find two different numbers; the summary above
# helps.
#
# * `distance`: if you move by one position in this map, by how many pixels do you move in the image?
# * `receptive_field`: how many pixels wide is the receptive field of one of these positions?
# %% task="3.6"
distance = ...
receptive_field = ...
check("3.6", distance, receptive_field)
# %% solution="3.6"
distance = 48 // 6
receptive_field = 22
check("3.6", distance, receptive_field)
# %% wrong="3.6" says="overlap"
distance = 8
receptive_field = 8
check("3.6", distance, receptive_field)
# %% wrong="3.6" says="whole image"
distance = 8
receptive_field = 48
check("3.6", distance, receptive_field)
# %% wrong="3.6" says="halved three times"
distance = 6
receptive_field = 22
check("3.6", distance, receptive_field)
# %% check="3.6"
HINTS = (
    "There are three blocks, and each halves the image. Find the last pooling layer in the summary.",
    "48 pixels divided by 6 positions are 8. The receptive field is in the last column of the last MaxPool2d.",
)


def grade(distance: int, receptive_field: int):
    """The distance of two positions of the last map in pixels, and their receptive field."""
    if distance in (6, 3, 2):
        return f"distance: {distance} is not correct. The image was halved three times: 2 x 2 x 2 pixels."
    if distance != 8:
        return f"distance: {distance} is not correct: 6 positions share 48 pixels."
    if receptive_field == 8:
        return "receptive_field: the receptive fields of neighboring positions overlap, so they are wider than 8."
    if receptive_field == 48:
        return "receptive_field: only the dense layers after the last block see the whole image."
    if receptive_field == 18:
        return "receptive_field: this is before the last pooling, which includes its neighbors, too."
    if receptive_field != 22:
        return f"receptive_field: {receptive_field} is not correct; look at the row of the last MaxPool2d."
    return Passed("A distance of 8 and a receptive field of 22 pixels: the last block cannot locate finer details.")


# %% [markdown] teacher="3.6"
# **Purpose.** It explains the limits of the heat maps that follow: a yellow region of the last block has a resolution
# of 8 pixels and a receptive field of 22. It cannot show a vein.
#
# **Solution.** 3, pool 4, then + 2 x 2 = 8, pool 10, then + 2 x 4 = 18, pool 22.
# %% [markdown]
# ### Class activation maps, for every block and class
#
# Which positions are evidence for a class? A **class activation map** shows this: the maps of a block are weighted by
# how much each of them increases the logit of the class, and added up (this method is called Grad-CAM; the maps are
# taken before pooling, so those of the last block have 12 x 12 positions). The rows of the figure are the three classes
# with the highest probabilities, and the columns are the blocks. We use a test image that the network classifies
# correctly.
# %%
probabilities = history_three.predict(test.x)
correct = probabilities.argmax(axis=1) == test.y
diseased = np.array(["healthy" not in test.names[number].lower() for number in test.y])
chosen = int(np.argmax(np.where(correct & diseased, probabilities.max(axis=1), 0)))
print(f"image {chosen} of the test set: {test.names[test.y[chosen]]}")
likeliest = np.argsort(-probabilities[chosen])[:3]
cam_figure(history_three.network, test.x[chosen], test.names, classes=likeliest)
# %% [markdown]
# The first block responds to fine edges and colors, the last block to larger regions with a coarse resolution. This
# looks nice, but does it *mean* anything? Always ask for this **sanity check**: the same maps from the same network
# with its weights **in random order**. This network knows nothing, so its maps show the image and nothing that was
# learned. The rows are the same three classes.
# %%
cam_figure(shuffled_weights(history_three.network), test.x[chosen], test.names, classes=likeliest)
# %% [markdown]
# Compare the columns. A region that is bright in both figures, such as a light vein or an outline, is a strong edge of
# the image: random weights respond to it, too. Only regions that are bright in the first figure and not in the second
# *can* be something that the network has learned.
#
# (`coverslip explain RUN IMAGE` does this check, and three others, automatically.)
# %% [markdown] slide
# A heat map is a hypothesis. Ask for the same map from a network that knows nothing.
# %% [markdown]
# ### Ideal images
#
# Here is another way to look inside: start with a grey image, and change the *image* so that a filter responds as
# strongly as possible. First we do this for filters of the second block (16 of its 32), which respond to simple
# textures.
# %%
ideal_images_figure(history_three.network, 48, layer="2")
# %% [markdown]
# Now we do the same for the last layer, the classes themselves.
# %%
ideal_images_figure(history_three.network, 48, test.names, units=range(min(6, classes)))


# %% [markdown]
# These images are caricatures: they show the colors and textures that increase the logit of one class and decrease the
# logits of the others. The network was never trained to know what a leaf is, only to distinguish the classes. Do these
# images contain anything that a plant pathologist would not look at?
# %% [markdown]
# ## Fully convolutional networks
#
# Our networks accept only images of 48 x 48. The reason is the dense layer after `nn.Flatten()`: it has weights for
# each of the 6 x 6 positions. But a dense layer on 6 x 6 positions *is* a convolution, with a kernel of 6 x 6 that has
# exactly one position. Written as a convolution it has the same weights, and on a larger image it simply has more
# positions. Then a convolution of 1 x 1 computes the logits of the classes at each position, and the network **averages
# over all positions** (`nn.AdaptiveAvgPool2d(1)`). Now no layer depends on the size of the image.
# %% [markdown] task="3.7"
# **Task 3.7** Build this network: `colors()`, the three blocks, a convolution from 64 to 64 maps with a kernel of 6,
# then ReLU, a convolution from 64 maps to one map per class with a kernel of 1, then the average, then `nn.Flatten()`.
# Both convolutions have no padding. The check tries the network with images of 48 and of 96 pixels.
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


def grade(network: nn.Module, classes: int):
    """A network without dense layers that returns one logit per class for images of any size."""
    if any(isinstance(layer, nn.Linear) for layer in network.modules()):
        return "It contains a dense layer, which accepts images of one size only. Replace it with a convolution."
    shapes = {}
    for side in (48, 96):
        try:
            with torch.no_grad():
                shapes[side] = tuple(network.eval()(torch.rand(2, 3, side, side)).shape)
        except RuntimeError as error:
            return f"It does not accept images of {side} x {side}: {error}"
    if not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in network.modules()):
        small, large = shapes[48][1:], shapes[96][1:]
        return f"Its output is {small} for 48 pixels and {large} for 96: the average over positions is missing."
    if len(shapes[48]) != 2:
        return f"Its output has the shape {shapes[48][1:]}: add nn.Flatten() at the end to get a row of logits."
    if shapes[48] != (2, classes):
        return f"Its output has {shapes[48][1]} numbers; it needs one for each of {classes} classes."
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    kernels = [layer.kernel_size[0] for layer in convolutions]
    if kernels != [3, 3, 3, 6, 1]:
        found = ", ".join(map(str, kernels))
        return (
            f"It accepts any size. But its kernels are {found}; to have the weights of task 3.4, they must be "
            "3, 3, 3, 6, 1."
        )
    if sum(isinstance(layer, nn.ReLU) for layer in network.modules()) < 4:
        return "A ReLU is missing after the convolution with the kernel of 6."
    if any(layer.padding != (0, 0) or layer.stride != (1, 1) for layer in convolutions[-2:]):
        return "Use the last two convolutions without padding and with stride 1: 6 then has one position on 6 x 6."
    order = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.AdaptiveAvgPool2d)]
    if not isinstance(order[-1], nn.AdaptiveAvgPool2d):
        return "The average comes last: first compute the logits at each position, since we want to see them."
    count = sum(parameter.numel() for parameter in network.parameters())
    return Passed(f"{count:,} parameters, as many as the three blocks with dense layers, and it accepts any size.")


# %% [markdown] teacher="3.7"
# **Purpose.** A dense layer is a convolution with one position. This is the step from "what" to "where", and to
# segmentation.
#
# **Typical answers.** `nn.Flatten()` is omitted, or put before the average.
# %% [markdown]
# This network has the same weights as your trained network, in another shape. So it need not be trained: we copy the
# weights one by one, and check that the outputs are the same.
# %%
fully_conv = built(fully_convolutional, "3.7")
for new, old in zip(fully_conv.parameters(), history_three.network.parameters(), strict=True):
    new.data = old.data.reshape(new.shape)
fully_conv[0] = history_three.network[0]  # the means and standard deviations of the colors
with torch.no_grad():
    batch = torch.from_numpy(test.x[:32]).permute(0, 3, 1, 2) / 255
    difference = fully_conv.eval()(batch) - history_three.network.eval()(batch)
print(f"largest difference between the logits of the two networks: {difference.abs().max():.1e}")
# %% [markdown]
# Now we use it on an image that is larger than any it has seen: nine test images arranged as one sheet of 144 x 144
# pixels. Before the average, the network has an output at each of 13 x 13 positions, as if the whole network slides
# over the sheet. Light means that a class is probable. Only nine of these positions look at exactly one leaf: the four
# corners of the map, the middles of its four sides, and its center. First compare these with the names.
# %%
confident = np.argsort(-np.where(correct, probabilities.max(axis=1), 0))[:60]
nine = np.random.default_rng(0).permutation(confident)[:9]
sheet = test.x[nine].reshape(3, 3, 48, 48, 3).transpose(0, 2, 1, 3, 4).reshape(144, 144, 3)
logits = torch.from_numpy(class_map(fully_conv, sheet))
maps = logits.softmax(dim=0).numpy()
shown = list(dict.fromkeys(test.y[nine].tolist()))[:4]
print("on the sheet, row by row:", ", ".join(test.names[number] for number in test.y[nine]))
maps_figure([sheet, *maps[shown]], ["sheet", *(test.names[number] for number in shown)])
# %% [markdown]
# All other positions look at parts of two or four leaves. They must predict a class, too, and are often certain of a
# leaf that is not there: the network was never trained with images of "nothing". To use a network on photographs of a
# field, you must also train it with images of the soil.
# %% [markdown] slide
# A network without dense layers accepts images of any size, and shows where a class is.
# %% [markdown]
# ## Two famous networks
#
# **AlexNet** (Krizhevsky, Sutskever and Hinton, 2012) is a larger version of your network of task 3.4: five
# convolutions with ReLU, three of them with pooling, and three dense layers. It won the ImageNet competition by such a
# large margin that the whole field changed to convolutional networks. (Below is PyTorch's version, which is a little
# smaller than in the paper.) Where are its parameters?
# %%
from torchvision.models import alexnet, resnet18

summary = coverslip.summary(alexnet(weights=None), (3, 224, 224))
in_dense = sum(layer.parameters for layer in summary.layers if layer.kind == "Linear")
print(f"{summary.parameters:,} parameters, {in_dense / summary.parameters:.0%} of them in three dense layers")
summary


# %% [markdown]
# One might think that deeper is better. But in a plain stack of many layers, the gradient that reaches the first layers
# becomes very small, since each layer passes on only a fraction of it. In **ResNet** (He, Zhang, Ren and Sun, 2016) a
# **skip connection** leads *around* each pair of layers, and the layers only add something to it: `x + layers(x)`. If a
# layer has nothing to contribute, its output can be zero, and the gradient can pass through the skip connection without
# becoming smaller. The next cell measures the gradient of the first layer in untrained networks of 2 to 24 layers.
# %%
class ResidualBlock(nn.Module):
    """Two convolutions with a skip connection around them."""

    def __init__(self, maps):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU(), nn.Conv2d(maps, maps, 3, padding=1))

    def forward(self, x):
        return torch.relu(x + self.layers(x))


def plain(maps):
    return nn.Sequential(nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU(), nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU())


def first_gradient(pair, depth):
    """Return the norm of the gradient of the first layer of an untrained network."""
    torch.manual_seed(0)
    first = nn.Conv2d(3, 16, 3, padding=1)
    deep = nn.Sequential(
        first, *(pair(16) for _ in range(depth // 2)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes)
    )
    batch = torch.from_numpy(train.x[:16]).permute(0, 3, 1, 2) / 255
    nn.functional.cross_entropy(deep(batch), torch.from_numpy(train.y[:16])).backward()
    return float(first.weight.grad.norm())


for depth in (2, 6, 12, 24):
    without, with_skip = first_gradient(plain, depth), first_gradient(ResidualBlock, depth)
    print(f"{depth:3} layers: plain {without:.1e}, with skip connections {with_skip:.1e}")
print(f"\nResNet-18: {coverslip.summary(resnet18(weights=None), (3, 224, 224)).total()}")
# %% [markdown]
# In the plain network, every two layers remove most of the remaining gradient; with skip connections they do not. This
# is the reason why networks of 50 and 150 layers can be trained. ResNet also ends with an average over positions, so it
# has only a fifth of the parameters of AlexNet.
#
# ## Summary
#
# * A filter is learned once and used everywhere; this saves parameters, and it suits images.
# * Sizes: `(side + 2 * padding - kernel) // stride + 1`.
# * Deeper layers see a larger region of the image with a coarser resolution.
# * A claim about networks is a paired difference with a confidence interval, for images like these.
#
# The next lesson is about networks that overfit, and what to do about it.
# %% [markdown] teacher
# The most important tasks are 3.1 to 3.4 and the comparison. If time is short, leave out 3.7 and the two famous
# networks. Do not leave out the maps and ideal images: learners talk about them in the break. The three trainings
# together take less than a minute: let the learners predict the order of the three networks, by show of hands, before
# the figure appears.
