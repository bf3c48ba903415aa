# ---
# title: What deep learning can do, and what a network is
# number: 0
# minutes: 30
# needs: []
# ---
# %% [markdown]
# # What deep learning can do, and what a network is
#
# Welcome. By this evening you will have trained your own networks, looked inside them, improved them, and written down
# a result that you can defend. You need no mathematics beyond school, and no software except this one.
#
# Most of today is about one question: *how do I know that it works?* It is easy to get a network that is right on the
# images it was trained on. A network that is right on tomorrow's images, with a score that you can publish under your
# name, needs more care. This course is about that care.
# %% [markdown]
# ## This page is a notebook
#
# A notebook is a sequence of **cells**. Some contain text, like this one. The others contain code: click into a cell
# and press **Shift + Enter** to run it. Its result appears below it. While a cell is running, its bracket shows a star;
# afterwards it shows a number.
#
# Try it with the next cell.
# %%
3 * 4
# %% [markdown]
# The cells share one memory: a name that one cell defines can be used in the cells that you run later. `=` gives a
# value a name:
# %%
rows_of_discs = 12
discs_in_a_row = 8
# %%
rows_of_discs * discs_in_a_row
# %% [markdown]
# Two problems that everybody meets once:
#
# * The **order in which you run** the cells counts, not their order on the page. A name is known only after its cell
#   has run. If you see a `NameError`, run the cells above.
# * If nothing makes sense any more, choose *Kernel → Restart Kernel and Run All Above Selected Cell*. This breaks
#   nothing, and everything you typed stays.
#
# Some cells are tasks. They contain three dots `...` in place of your answer, and end with a `check`. You can try as
# often as you like. An orange box gives you a hint; the next try gives a stronger hint. You may move cells, copy them
# and run them again.
#
# Python code is organized in packages, which must be imported before they are used. The next cell imports `check`; it
# shows no output.
# %%
from coverslip.course import check

# %% [markdown] task="0.1"
# **Task 0.1** Leaf discs are stored in trays of 12 rows with 8 discs each. There are 5 trays. Replace the dots with the
# number of discs, and let Python do the arithmetic: use the names from above.
# %% task="0.1"
discs = ...
check("0.1", discs)
# %% solution="0.1"
discs = 5 * rows_of_discs * discs_in_a_row
check("0.1", discs)
# %% wrong="0.1" says="one tray"
discs = rows_of_discs * discs_in_a_row
check("0.1", discs)
# %% wrong="0.1" says="text"
discs = "5 * rows_of_discs * discs_in_a_row"
check("0.1", discs)
# %% check="0.1"
HINTS = (
    "Replace the three dots, and run the cell again with Shift + Enter. * multiplies.",
    "discs = 5 * rows_of_discs * discs_in_a_row",
)


def grade(discs: int):
    """The number of discs on five trays."""
    if discs == 96:
        return "This is one tray; there are five."
    if discs == 25:
        return "This is a sum. Each row has 8 discs and each tray has 12 rows, so multiply; the sign is *."
    if discs != 480:
        return f"{discs:,} is not correct. There are five trays with twelve rows of eight discs."
    return Passed("480 discs. All tasks work like this one; now come the interesting ones.")


# %% [markdown] teacher="0.1"
# **Purpose.** Only the mechanics: a cell, Shift + Enter, a name, a check that may fail. Walk around and make sure that
# *everybody* has a green box before you continue; a learner who is stuck here will be stuck all day.
#
# **Typical answers.** 96 (one tray). The expression in quotation marks is text, not a number; point out that text is
# shown in red. A `NameError` means that the cells above were not run.
# %% [markdown] teacher
# The first lesson is for learners who have never programmed. Go through it together on the projector, cell by cell, and
# let them say what they expect before each Shift + Enter. Discuss *what deep learning can do* with the learners' own
# images: ask two or three of them what a computer should recognize for them, and return to these examples during the
# day.
# %% [markdown]
# ## What it can do
#
# Today's networks can do four kinds of work with images:
#
# | task | for example |
# | --- | --- |
# | **classify** an image | healthy or early blight; normal epithelium or carcinoma |
# | **find** objects in it | the lesions on a leaf, the mitoses on a slide |
# | **measure** something | the diseased fraction of a leaf's area, the size of nuclei |
# | **compare** images | is this field known already? is this slide stained like the others? |
#
# A network learns from examples, not from rules: no one writes down what blight looks like. And it knows *only* its
# examples. If all healthy leaves were photographed on grey paper and all diseased leaves on soil, the network may learn
# to distinguish paper from soil. It will then be right almost always, until somebody puts a diseased leaf on paper.
#
# Today is about **classification**: the network assigns each image to one of several **classes**, such as "healthy" and
# "early blight". It is the simplest task, and its problems occur in all other tasks, too.
# %% [markdown]
# ## The images
#
# The course has built-in images: leaves that the program *draws* with formulas, including veins, spots, light and
# background. So everybody has the same images without an internet connection, and we know the truth about each. Drawing
# them takes some seconds the first time.
#
# **To use your own images**, replace `None` with the path of a folder in quotation marks, such as `folder =
# "C:/Users/me/leaves"`. The folder should contain one folder for each class. Everything below then uses your images.
# %%
import math

from coverslip import figures
from coverslip.course import check, images
from coverslip.course.hierarchy import hierarchy_figure
from coverslip.course.lesson_figures import (
    accuracy_text,
    average_figure,
    interval_figure,
    numbers_figure,
    threshold_figure,
)

folder = None  # your own images: put the path of a folder here
leaves = images(folder, leaves=100)
leaves
# %% [markdown] slide
# A network learns from examples, and it knows only its examples.
# %%
figures.examples(leaves.x, leaves.y, leaves.names, most=12)
# %% [markdown]
# Each built-in leaf was photographed twice: the second time it was rotated, and in another light. (The first and the
# third image above show the same leaf.) Two photographs of one leaf are **not** two independent leaves, and we keep
# that in mind all day: images of the same leaf form a **group**. So "400 images of 200 groups" means 200 leaves.
#
# ## An image is a block of numbers
#
# The computer stores no leaf. It stores pixels, and a pixel is three numbers: the amounts of red, green and blue, each
# from 0 (none) to 255 (the maximum). Below is a small window of one image, 8 pixels wide and 8 pixels high (the orange
# square), as the network receives it.
# %% [markdown] slide
# An image is a block of numbers with three axes: row, column, color. It is a tensor of third order.
# %%
middle = leaves.size // 2
numbers_figure(leaves.x[0], row=middle, column=middle)
# %% [markdown]
# One number is a *scalar*. A row of numbers is a *vector*, and a table with rows and columns is a *matrix*. An image
# has one axis more: rows, columns **and** colors. Such a block with three axes is called a **tensor of third order**.
# It is simply a box of numbers, and every number has an address: its row, its column and its color.
# %%
leaves.x[0].shape  # rows, columns, colors
# %% [markdown]
# All images together are a block with one more axis: image, row, column, color.
# %%
leaves.x.shape
# %% [markdown]
# An address is written in square brackets, in the order of the axes, and **counting starts at 0**: the first image is
# number 0; red is 0, green is 1, blue is 2. The next cell shows the red value of the pixel in the upper left corner of
# the first image. (`np.uint8` is only the type of the number: an integer from 0 to 255.)
# %%
leaves.x[0, 0, 0, 0]
# %% [markdown] task="0.2"
# **Task 0.2** Read one number: the **green** value of the pixel in **row 10, column 20** of the **first** image. Rows
# and columns are counted from 0, as in Python.
# %% task="0.2"
green = ...
check("0.2", green, leaves)
# %% solution="0.2"
green = leaves.x[0, 10, 20, 1]
check("0.2", green, leaves)
# %% wrong="0.2" says="row comes first"
green = leaves.x[0, 20, 10, 1]
check("0.2", green, leaves)
# %% wrong="0.2" says="blue"
green = leaves.x[0, 10, 20, 2]
check("0.2", green, leaves)
# %% wrong="0.2" says="second image"
green = leaves.x[1, 10, 20, 1]
check("0.2", green, leaves)
# %% check="0.2"
from coverslip.course.image_set import Images

HINTS = (
    "Write four numbers in the brackets: image, row, column, color. The first image is number 0.",
    "leaves.x[0, 10, 20, ...]: red is 0, green is 1, blue is 2.",
)


def grade(green: int, leaves: Images):
    """The green value of the pixel in row 10, column 20 of the first image."""
    x = leaves.x
    if green == int(x[0, 10, 20, 1]):
        return Passed(f"{green} is correct. Every number of every image has such an address.")
    mistakes = {
        (0, 20, 10, 1): "This is row 20, column 10: the row comes first, then the column.",
        (0, 10, 20, 2): "This is the blue value. Counting starts at 0: red 0, green 1, blue 2.",
        (0, 10, 20, 0): "This is the red value: red is 0, green is 1.",
        (1, 10, 20, 1): "This is the second image; the first one is number 0.",
        (0, 9, 19, 1): "This is row 9, column 19. The task already counts from 0, so row 10 is simply 10.",
    }
    for address, message in mistakes.items():
        if green == int(x[address]):
            return message
    return f"The value at this address is not {green}."


# %% [markdown] teacher="0.2"
# **Purpose.** Rows before columns, counting from 0, and that an image really consists of numbers. The same three
# mistakes return in every lesson, so it is good to make them here.
#
# **Typical answers.** Row and column exchanged (people think x, y). `[..., 2]` for green (counting from 1). If a value
# happens to be equal at two positions and the check passes by chance, accept it.
# %% [markdown] task="0.3"
# **Task 0.3** Networks from the internet often expect images of 224 × 224 pixels. How many numbers does one such color
# image contain?
# %% task="0.3"
numbers = ...
check("0.3", numbers)
# %% solution="0.3"
numbers = 224 * 224 * 3
check("0.3", numbers)
# %% wrong="0.3" says="one color"
numbers = 224 * 224
check("0.3", numbers)
# %% wrong="0.3" says="one side"
numbers = 224 * 3
check("0.3", numbers)
# %% check="0.3"
HINTS = ("Rows times columns is the number of pixels; each pixel is three numbers.", "224 * 224 * 3")


def grade(numbers: int):
    """The count of numbers in a color image of 224 x 224 pixels."""
    if numbers == 224 * 224:
        return "This is the number of pixels: one number each, as if there were only one color."
    if numbers == 224 * 3:
        return "This is one side of the image. An image has 224 rows of 224 pixels."
    if numbers == 224 + 224 + 3:
        return "Multiply the three sizes of the box; do not add them."
    if numbers != 150_528:
        return f"{numbers:,} is not correct."
    return Passed("150,528 numbers for an image the size of a stamp. Networks are large because images are large.")


# %% [markdown] teacher="0.3"
# **Purpose.** A feeling for size; it is needed again in tasks 1.1 and 1.2. **Typical answer.** 50,176: the colors were
# forgotten.
# %% [markdown]
# ## A classifier made by hand
#
# Before we use a network, let us build a classifier ourselves, with a single knob that we can turn.
#
# First we put a quarter of the *leaves*, with all their photographs, into a drawer. We look at them only at the end, to
# see whether our idea also works for leaves that we did not use. These images are the **test set**. The other images,
# which we may look at as long as we like, are the **training set**.
# %%
train, test = leaves.split()
print("train:", train)
print("test: ", test)
# %% [markdown]
# Here are the mean of all training images and the mean of each class. Nothing was learned yet: each pixel is simply the
# mean of this pixel over the images. Look at the middle, where the leaves are: do the classes differ there?
# %%
average_figure(train.x, train.y, train.names)


# %% [markdown]
# On the built-in leaves, blight makes the middle a little browner: more red, less green. So we reduce every image to
# **one number**: how much more red than green there is in its middle. The cell below does this with a **function**:
# `def` gives a piece of code a name, and `return` defines its result.
# %%
def redness(x):
    side = x.shape[1]
    middle = x[:, side // 3 : -side // 3, side // 3 : -side // 3].astype(float)  # the middle third of all images
    return (middle[..., 0] - middle[..., 1]).mean(axis=(1, 2))  # red minus green, the mean of each image


red = redness(train.x)
sign = 1 if red[train.y == 0].mean() > red[train.y == 1].mean() else -1
red = sign * red  # so that the first class is on the right, also for your own images
threshold_figure(red, train.y, train.names, threshold=0)


# %% [markdown]
# Each dot is an image, and each row is a class. The horizontal position of a dot is the number of its image. Our
# classifier has one knob, the **threshold** (the black line): for images to the right of it, it predicts the first
# class; for images to the left, the second. At the start the threshold is 0, which means equal red and green. On the
# built-in leaves this is not a good value. The fraction of images that are classified correctly is the **accuracy**:
# %%
def accuracy(threshold):
    predicted_first = red >= threshold  # True or False for every image
    is_first = train.y == 0  # True or False: the true class
    return (predicted_first == is_first).mean()  # the fraction of images where the two agree


accuracy(0)
# %% [markdown] task="0.4"
# **Task 0.4** Turn the knob: find the threshold with the highest accuracy on the training images. Try values by hand:
# the button **+** at the top adds a new cell, and `accuracy(-10)` in it returns the accuracy for a threshold of -10. Or
# let Python try many values. (An accuracy within 0.01 of the best is good enough.)
# %% task="0.4"
threshold = ...
# accuracy(threshold) returns its accuracy, once the dots are a number
check("0.4", threshold, red, train)
# %% solution="0.4"
threshold = max(red, key=accuracy)  # try the number of each image as the threshold, keep the best
print(accuracy(threshold))
check("0.4", threshold, red, train)
# %% wrong="0.4" says="there are better thresholds"
threshold = red.max()
check("0.4", threshold, red, train)
# %% wrong="0.4" says="this is an accuracy"
threshold = max(accuracy(value) for value in red)
check("0.4", threshold, red, train)
# %% check="0.4"
from coverslip.course.image_set import Images

HINTS = (
    "Look at the figure: move the line so that most images of the first class are to its right and most images of "
    "the second class to its left.",
    "max(red, key=accuracy) tries the number of every image as a threshold and returns the best one.",
)


def grade(threshold: float, red, train: Images):
    """A threshold whose accuracy on the training images is within 0.01 of the best."""
    first = train.y == 0

    def accuracy(value):
        return float(((red >= value) == first).mean())

    best = max(accuracy(value) for value in red)
    reached = accuracy(threshold)
    if reached >= best - 0.01:
        return Passed(
            f"Accuracy {reached:.3f}, and no threshold reaches more than {best:.3f}. You have just trained a "
            "classifier: you turned one knob until as many examples as possible were correct."
        )
    if abs(threshold - best) < 1e-9:
        return (
            f"{threshold:.3f}: this is an accuracy, not a threshold. The threshold is the position on the horizontal "
            "axis at which this accuracy is reached."
        )
    return (
        f"A threshold of {threshold:.1f} has an accuracy of {reached:.3f}; there are better thresholds "
        f"(up to {best:.3f})."
    )


# %% [markdown] teacher="0.4"
# **Purpose.** Training *is* exactly this: knobs, a measure of the error, and turning the knobs. It makes everything
# that follows less mysterious. Let some learners do it by hand and others with a loop, and ask what happens with a
# million knobs (it is impossible to try all combinations: one must know in which direction to turn, see lesson 2).
#
# **Typical answers.** The mean (close enough on the built-in leaves); the accuracy instead of the threshold. On the
# learners' own images redness may be uninformative: then 0.6 is the best value, and that is a finding, too.
# %% [markdown]
# How good is the classifier on the leaves in the drawer, the test set? This is the only number that counts, and it is
# printed with its **confidence interval**: the range of true accuracies that are compatible with such a small test.
# %%
best_threshold = max(red, key=accuracy)
correct_on_train = (red >= best_threshold) == (train.y == 0)
correct_on_test = (sign * redness(test.x) >= best_threshold) == (test.y == 0)
print("accuracy on the training set:", accuracy_text(correct_on_train, train.groups))
print("accuracy on the test set:    ", accuracy_text(correct_on_test, test.groups))
# %% [markdown]
# Machine learning consists of these four parts:
#
# * a **rule with knobs** that turns an image into a prediction (here: one number and one threshold);
# * a **measure of its error** on examples;
# * a way to **turn the knobs** so that the error becomes smaller;
# * and a **test set**, to find out whether the rule is true in general or only memorizes the training images.
#
# A neural network is such a rule. It has a hundred thousand knobs, or a hundred million, which are called **weights**.
# And it finds out by itself what to measure in an image; we had to invent redness.
# %% [markdown] slide
# A classifier is a rule with knobs, a measure of its error, and a way to turn the knobs. It is evaluated on a test set.
# %% [markdown]
# ## The measure of the error: the loss
#
# Accuracy is a coarse measure: a prediction is right or wrong. If you turn a knob a little, usually *nothing* changes,
# so the accuracy does not show in which direction to turn. Therefore a network does not just answer "blight". It
# answers with a **probability**, "blight, 0.8", and its error is measured by the probability of the true class. This
# measure is called the **loss**:
#
# $$ \text{loss} = -\ln(\text{predicted probability of the true class}) $$
#
# If the network is completely certain of the true class, the loss is 0. For a coin toss between two classes it is 0.69.
# If the network is almost certain of a wrong class, the loss is large: *confident errors* cost most. The loss of a set
# of images is the mean of their losses.
# %%
for probability in (1.0, 0.9, 0.5, 0.1, 0.01):
    # log(1 / p) is the same number as -log(p)
    print(f"probability of the true class {probability:4.2f}   loss {math.log(1 / probability):.3f}")
# %% [markdown] task="0.5"
# **Task 0.5** For one leaf a network predicts: healthy 0.2, early blight 0.8. The leaf **has** early blight. What is
# the loss of this image? (`math.log` is the natural logarithm.)
# %% task="0.5"
loss = ...
check("0.5", loss)
# %% solution="0.5"
loss = -math.log(0.8)
check("0.5", loss)
# %% wrong="0.5" says="the other class"
loss = -math.log(0.2)
check("0.5", loss)
# %% wrong="0.5" says="logarithm"
loss = 1 - 0.8
check("0.5", loss)
# %% wrong="0.5" says="below zero"
loss = math.log(0.8)
check("0.5", loss)
# %% wrong="0.5" says="base 10"
loss = -math.log10(0.8)
check("0.5", loss)
# %% check="0.5"
import math

HINTS = (
    "Which of the two probabilities belongs to the true class?",
    "-math.log(0.8): the leaf is diseased, and the probability of this class is 0.8.",
)


def grade(loss: float):
    """Minus the natural logarithm of the probability of the true class."""
    mistakes = (
        (-math.log(0.2), "This uses 0.2, the probability of the other class. The leaf has early blight."),
        (math.log(0.8), "The number is right, the sign is not: a loss is never below zero. Put a minus before it."),
        (0.2, "This is the distance to 1. The loss is minus the logarithm of the probability of the true class."),
        (-math.log10(0.8), "This is the logarithm to base 10; math.log is the natural logarithm."),
        (-math.log(0.2) - math.log(0.8), "Only the probability of the true class counts; the other one does not."),
    )
    if abs(loss + math.log(0.8)) < 0.006:
        return Passed(
            f"{-math.log(0.8):.3f}. For a healthy leaf the same prediction would have a loss of {-math.log(0.2):.3f}."
        )
    for value, message in mistakes:
        if abs(loss - value) < 1e-3:
            return message
    return f"{loss:.3f} is not correct."


# %% [markdown] teacher="0.5"
# **Purpose.** The number that every training prints. Let the learners say in words what a loss of 0.69 means with two
# classes (a coin toss), and which loss is a random guess with ten classes (ln 10 = 2.30).
#
# **Typical answers.** 1.609 (the other class), 0.2 (the distance to 1), 0.097 (base 10), -0.223 (the sign).
# %% [markdown]
# ## How certain is a number?
#
# Somebody tells you that a network is correct on 90 % of the images. Your first question should be: *how many images?*
#
# All dots below are an accuracy of 90 %. The bars are the 95 % **confidence intervals**: the true accuracies that are
# compatible with these counts.
# %% [markdown] slide
# A score without a confidence interval is half a result. With nine of ten correct, the true accuracy may be 0.55 or
# 0.99.
# %%
interval_figure(0.9)
# %% [markdown]
# Nine of ten correct predictions say very little: the bar goes down to 0.55, so a network that is hardly better than a
# coin toss can have this result by chance. Nine hundred of a thousand say much more.
#
# These intervals are for independent images. Four photographs of one leaf are not four independent tests, so a set of
# leaves that were photographed several times has a *wider* interval than its number of images suggests. The program
# takes this into account if it knows the groups. This is why you saw *"images of ... groups"* above.
#
# Every score in this course that supports a conclusion has such an interval. If a score has none, do not trust it.
# %% [markdown] task="0.6"
# **Task 0.6** A colleague tested a network on 10 slides, and **all ten** predictions were correct: "100 %!" How low may
# the true accuracy still be? Give the **lower end** of the 95 % interval; `interval(correct, tested)` returns both.
# %%
from coverslip.course.lesson_figures import interval

interval(9, 10)  # nine of ten correct: from ... to ...
# %% task="0.6"
lower_end = ...
check("0.6", lower_end)
# %% solution="0.6"
lower_end = interval(10, 10)[0]
check("0.6", lower_end)
# %% wrong="0.6" says="two numbers"
lower_end = interval(10, 10)
check("0.6", lower_end)
# %% wrong="0.6" says="upper end"
lower_end = interval(10, 10)[1]
check("0.6", lower_end)
# %% wrong="0.6" says="nine of ten"
lower_end = interval(9, 10)[0]
check("0.6", lower_end)
# %% check="0.6"
HINTS = ("interval(10, 10) returns two numbers, the lower end first.", "interval(10, 10)[0] is the first of the two.")


def grade(lower_end):
    """The lower end of the exact 95 % interval for 10 correct predictions of 10."""
    if isinstance(lower_end, tuple | list):
        return "These are two numbers, the lower end and the upper end. Write [0] after the call to take the first."
    value = float(lower_end)
    if abs(value - 0.6915) < 0.006 or abs(value - 69.15) < 0.6:
        return Passed("0.69. With ten of ten correct, the network may still be wrong on almost every third slide.")
    if abs(value - 1) < 1e-9:
        return "This is the upper end. How low could the true accuracy be?"
    if abs(value - 0.555) < 0.001:
        return "This is for nine of ten; your colleague had ten of ten."
    return f"{value:.3f} is not correct."


# %% [markdown] teacher="0.6"
# **Purpose.** Confidence intervals from the first hour. It is the number that learners will tell at home. Ask: how many
# correct predictions in a row would you want? (With 60 of 60 the lower end is 0.94, with 100 of 100 it is 0.96.)
#
# **Misconception.** "The interval contains 95 % of the images." No: it is about the one true accuracy, and how far the
# result of ten slides can be from it.
# %% [markdown]
# ## Why "deep"?
#
# We had to invent *redness*. For spots with a yellow halo, for rings, or for mold on the underside, we would have to
# invent something new every time. A **deep** network has many layers, one after the other, and each layer measures
# something in the output of the layer before. The layers are not programmed to measure anything specific; they learn it
# in training.
#
# The figure shows a network that was trained on a million photographs of a thousand different things. Each square is an
# *ideal image*: the image that activates one measurement of the network, a **filter**, most strongly. (The next lesson
# shows how ideal images are made.)
# %% [markdown] slide
# Early layers respond to colors and fine lines, later layers to patterns of patterns. This was not programmed; the
# network learned it.
# %%
hierarchy_figure()
# %% [markdown]
# The first layer responds to plain **colors**, and to lines that are so fine that their squares look grey. The second
# row responds to **stripes** and grids, and the last row to patterns of patterns, which look like scales, feathers or
# cells. This, too, was learned. It is called the **hierarchy of features**, and it is the reason why a network that was
# trained on cats and cars is useful for leaves and tissue: stripes and patterns are everywhere.
# %% [markdown]
# ## Summary
#
# * An image is a block of numbers; a network is a rule with many knobs, the weights.
# * Training turns the knobs so that the loss on the training images becomes small.
# * What counts is the score on a test set of other leaves, **with its confidence interval**.
#
# In the next lesson the knobs turn by themselves.
