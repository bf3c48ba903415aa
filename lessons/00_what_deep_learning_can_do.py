# ---
# title: What deep learning can do, and what a network is
# number: 0
# minutes: 30
# needs: []
# ---
# %% [markdown]
# # What deep learning can do, and what a network is
#
# Welcome. By this evening you will have trained networks of your own, looked inside them, made them better, and
# written down a result that you can defend. You need no mathematics beyond school, and no program but this one.
#
# Most of the time today goes into one question: *how do I know that it works?* A network that is right on the
# images it was shown is easy to have. One that is right on tomorrow's images, and whose score you can put your
# name to, takes some care. That care is what the day is about.
# %% [markdown]
# ## This page is a notebook
#
# A notebook is a row of **cells**. Some hold text, like this one. The others hold code: click into one and press
# **Shift + Enter**, and it runs; what it has to say appears below it. While it runs there is a star in its bracket,
# afterwards a number.
#
# Try it with the next cell.
# %%
3 * 4
# %% [markdown]
# What a cell learns, the cells that you run after it remember. `=` gives a value a name:
# %%
rows_of_discs = 12
discs_in_a_row = 8
# %%
rows_of_discs * discs_in_a_row
# %% [markdown]
# Two things that trip everybody once:
#
# * The **order in which you run** cells counts, not the order on the page. A name is known only after its cell has
#   run. If something says `NameError`, run the cells above it.
# * If nothing makes sense any more: *Kernel → Restart Kernel and Run All Above Selected Cell*. Nothing breaks, and
#   what you typed stays.
#
# Some cells are tasks. They hold three dots `...` where your answer goes, and end in a `check`. You can try as often
# as you like; an orange box gives a hint, the second one a stronger hint. Cells may be moved, copied and run again.
#
# Programs come in pieces that have to be fetched before they are used. This fetches `check`; nothing is seen of it.
# %%
from coverslip.course import check

# %% [markdown] task="0.1"
# **Task 0.1** Leaf discs lie in trays of 12 rows with 8 discs each. There are 5 trays. Put the number of discs in
# place of the dots, and let Python do the arithmetic: use the names from above.
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


def judge(discs: int):
    """The number of discs on five trays."""
    if discs == 96:
        return "That is one tray; there are five."
    if discs == 25:
        return "That adds them up. Every row holds 8 discs and every tray 12 rows, so multiply: the sign is *."
    if discs != 480:
        return f"{discs:,} it is not. Five trays of twelve rows of eight discs."
    return Passed("480 discs. This is how all tasks work; now for the interesting ones.")


# %% [markdown] teacher="0.1"
# **What it is for.** Nothing but the mechanics: a cell, Shift + Enter, a name, a check that may fail. Go round and
# see that *everybody* has a green box before you go on; whoever is stuck here is stuck all day.
#
# **Typical answers.** 96 (one tray). The expression in quotation marks: text, not a number; say that code is black
# and text is red. A `NameError`: the cells above were not run.
# %% [markdown] teacher
# The first lesson is for those who have never programmed. Do it together, on the projector, cell by cell, and let
# them say what they expect before each Shift + Enter. Keep the discussion of *what deep learning can do* to the
# learners' own images: ask two or three of them what they would like a computer to see for them, and come back to
# these examples during the day.
# %% [markdown]
# ## What it can do
#
# A network of today can do four kinds of work with images:
#
# | | for example |
# | --- | --- |
# | **name** what an image shows | healthy or early blight; normal epithelium or carcinoma |
# | **find** where something is | the lesions on a leaf, the mitoses on a slide |
# | **measure** it | the diseased share of a leaf's area, the size of nuclei |
# | **compare** images | has this field been seen before? is this slide stained like the others? |
#
# It does so by example, not by rule: nobody writes down what blight looks like. And it knows *only* its examples. A
# network that saw healthy leaves on grey paper and diseased ones on soil may have learned to tell paper from soil,
# and will be right nearly always, until the day somebody lays a diseased leaf on paper.
#
# Today is about the first kind, naming. It is the simplest, and whatever goes wrong there goes wrong everywhere.
# %% [markdown]
# ## The images
#
# The course brings its own images: leaves that the program *draws* by formula, veins, spots, light, background and
# all. That way everybody has the same ones, without a connection, and we know the truth about each. The first time it
# takes some seconds to draw them.
#
# **To use your own**, put the path of a folder in place of `None`, in quotation marks, such as `folder =
# "C:/Users/me/leaves"`. It should have a folder for each class inside. Everything below then runs on yours.
# %%
import math

from coverslip import figures
from coverslip.course import check, images
from coverslip.course.hierarchy import hierarchy_figure
from coverslip.course.seeing import average_figure, cut_figure, luck_figure, numbers_figure, share_right

folder = None  # your own images: put the path of a folder here
leaves = images(folder, leaves=100)
leaves
# %% [markdown] slide
# A network learns from examples, and it knows only its examples.
# %%
figures.examples(leaves.x, leaves.y, leaves.names, most=12)
# %% [markdown]
# Each built-in leaf was photographed twice: the second time turned, and in another light. (The first and the third
# image above show one and the same leaf.) Two photographs of one leaf are **not** two independent leaves, and we
# shall keep that in mind all day: the leaf is the *group*. So "400 images of 200 groups" means 200 leaves.
#
# ## An image is a block of numbers
#
# Inside the computer there is no leaf. There are pixels, and a pixel is three numbers: how much red, how much green,
# how much blue, each from 0 (none) to 255 (all there is). Here is a small window of one image, 8 pixels wide and 8
# high (the orange square in it), as the network gets to see it.
# %% [markdown] slide
# An image is a block of numbers with three directions: row, column, color. A tensor of third order.
# %%
middle = leaves.size // 2
numbers_figure(leaves.x[0], row=middle, column=middle)
# %% [markdown]
# One number is a *scalar*. A row of numbers is a *vector*, a table of rows and columns a *matrix*. An image is one
# table more: rows, columns, **and** colors. Such a block with three directions is called a **tensor of third order**.
# It is nothing but numbers in a box, and every number has an address: its row, its column, its color.
# %%
leaves.x[0].shape  # rows, columns, colors
# %% [markdown]
# All images together are a block with one direction more: image, row, column, color.
# %%
leaves.x.shape
# %% [markdown]
# An address goes into square brackets, from the outside to the inside, and **counting begins at 0**: the first
# image is number 0; red is 0, green is 1, blue is 2. The red value in the upper left corner of the first image
# (`np.uint8` in front of it only says what kind of number it is, a whole one from 0 to 255):
# %%
leaves.x[0, 0, 0, 0]
# %% [markdown] task="0.2"
# **Task 0.2** Read off one number: in the **first** image, the **green** value of the pixel in **row 10, column
# 20** (counted from 0, as Python does).
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
    "Four numbers go into the brackets: image, row, column, color. The first image is 0.",
    "leaves.x[0, 10, 20, ...]: red is 0, green is 1, blue is 2.",
)


def judge(green: int, leaves: Images):
    """The green value of the pixel in row 10, column 20 of the first image."""
    x = leaves.x
    if green == int(x[0, 10, 20, 1]):
        return Passed(f"{green} it is. Every number of every image has such an address.")
    slips = {
        (0, 20, 10, 1): "That is row 20, column 10: the row comes first, then the column.",
        (0, 10, 20, 2): "That is the blue value. Counting begins at 0: red 0, green 1, blue 2.",
        (0, 10, 20, 0): "That is the red value: red is 0, green is 1.",
        (1, 10, 20, 1): "That is the second image; the first one is number 0.",
        (0, 9, 19, 1): "That is row 9, column 19. Rows and columns are counted from 0 here, too, so row 10 is just 10.",
    }
    for address, word in slips.items():
        if green == int(x[address]):
            return word
    return f"{green} is not at that address."


# %% [markdown] teacher="0.2"
# **What it is for.** Rows before columns, counting from 0, and that an image is really numbers. The same three slips
# return in every lesson, so it pays to make them here.
#
# **Typical answers.** Row and column exchanged (people think x, y). `[..., 2]` for green (counting from 1). If
# somebody's value happens to be equal in two places and the check passes by luck: let it.
# %% [markdown] task="0.3"
# **Task 0.3** Networks that come from the internet often want images of 224 × 224 pixels. How many numbers is one
# such image in color?
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
HINTS = ("Rows times columns gives the pixels; each pixel is three numbers.", "224 * 224 * 3")


def judge(numbers: int):
    """The count of numbers in a color image of 224 x 224 pixels."""
    if numbers == 224 * 224:
        return "That counts the pixels: one number each, as if there were one color only."
    if numbers == 224 * 3:
        return "That is one side of the image. An image has 224 rows of 224 pixels."
    if numbers == 224 + 224 + 3:
        return "The three sizes of a box are multiplied, not added."
    if numbers != 150_528:
        return f"{numbers:,} it is not."
    return Passed("150,528 numbers, for an image the size of a stamp. Networks are large because images are.")


# %% [markdown] teacher="0.3"
# **What it is for.** A feeling for size; it is needed again in task 1.1 and 1.2. **Typical answer.** 50,176: the
# colors are forgotten.
# %% [markdown]
# ## A learner, made by hand
#
# Before we hand over to a network, let us *be* one, with a single knob.
#
# First of all, a quarter of the *leaves* goes into a drawer, with all their photographs. We shall look at them only
# at the end, to see whether our idea holds for leaves that had no part in it. They are called the **test** part; the
# rest, which we may look at as long as we like, the **training** part.
# %%
train, test = leaves.split()
print("train:", train)
print("test: ", test)
# %% [markdown]
# Here are the average of all training images and the average of each class. Nothing was learned, each pixel is
# simply the mean of that pixel. Look at the middle, where the leaves are: do the classes differ there?
# %%
average_figure(train.x, train.y, train.names)


# %% [markdown]
# On the built-in leaves, blight makes the middle a little browner: more red, less green. So we boil every image
# down to **one number**: how much more red than green there is in its middle. The cell below does that with a
# **function**: `def` gives a piece of code a name, and `return` says what comes out of it.
# %%
def redness(x):
    side = x.shape[1]
    inner = x[:, side // 3 : -side // 3, side // 3 : -side // 3].astype(float)  # the middle third, of all images
    return (inner[..., 0] - inner[..., 1]).mean(axis=(1, 2))  # red minus green, the mean of each image


red = redness(train.x)
sign = 1 if red[train.y == 0].mean() > red[train.y == 1].mean() else -1
red = sign * red  # so that the first class lies to the right, also on your own images
cut_figure(red, train.y, train.names, cut=0)


# %% [markdown]
# Each dot is an image, each row a class; how far to the right a dot lies is the number of its image. Our learner
# has one knob, the **cut** (the black line): from there on to the right it says the first class, left of it the
# second. It stands at 0 for a start, as much red as green: on the built-in leaves not a good place. The share of
# images that it names rightly is its **accuracy**:
# %%
def accuracy(cut):
    says_first = red >= cut  # a yes or no for every image
    is_first = train.y == 0  # likewise: what is true
    return (says_first == is_first).mean()  # the share of images where the two agree


accuracy(0)
# %% [markdown] task="0.4"
# **Task 0.4** Turn the knob: find a cut with the highest accuracy you can get on the training images. Try values by
# hand: the button **+** above makes a new cell, and `accuracy(-10)` in it says how good a cut at -10 is. Or let
# Python try many. (Within a hundredth of the best is good enough.)
# %% task="0.4"
cut = ...
# accuracy(cut) tells how good it is, once the dots are a number
check("0.4", cut, red, train)
# %% solution="0.4"
cut = max(red, key=accuracy)  # try each image's own number as the cut, keep the best
print(accuracy(cut))
check("0.4", cut, red, train)
# %% wrong="0.4" says="there are better cuts"
cut = red.max()
check("0.4", cut, red, train)
# %% wrong="0.4" says="that is an accuracy"
cut = max(accuracy(each) for each in red)
check("0.4", cut, red, train)
# %% check="0.4"
from coverslip.course.image_set import Images

HINTS = (
    "Look at the figure: move the line to where most of the first class is to its right and most of the second to "
    "its left.",
    "max(red, key=accuracy) tries the number of every image as a cut and gives back the best one.",
)


def judge(cut: float, red, train: Images):
    """A cut whose accuracy on the training images is within 0.01 of the best there is."""
    first = train.y == 0

    def share(at):
        return float(((red >= at) == first).mean())

    best = max(share(at) for at in red)
    if share(cut) >= best - 0.01:
        return Passed(
            f"Accuracy {share(cut):.3f}, and no cut reaches more than {best:.3f}. You have just trained a learner: "
            "one knob, turned until the examples come out as right as they can."
        )
    if abs(cut - best) < 1e-9:
        return (
            f"{cut:.3f}: that is an accuracy, not a cut. The cut is the place on the line under the figure where it "
            "is reached."
        )
    return f"A cut at {cut:.1f} is right for {share(cut):.3f} of the images; there are better cuts (up to {best:.3f})."


# %% [markdown] teacher="0.4"
# **What it is for.** Training *is* this: knobs, a measure of how wrong, and turning. It takes the mystery out of
# everything that follows. Let some do it by hand and others with a loop, and ask what happens with a million knobs
# (nobody can try all combinations: one needs to know in which direction to turn, lesson 2).
#
# **Typical answers.** The mean (near enough on the built-in leaves); the accuracy in place of the cut. On their own
# images redness may tell nothing: then 0.6 is the best there is, and that is a finding too.
# %% [markdown]
# How good is it on the leaves that we put aside? This is the only honest number, and it comes with an **interval**:
# the range of true accuracies that such a small test does not rule out.
# %%
best_cut = max(red, key=accuracy)
right_on_train = (red >= best_cut) == (train.y == 0)
right_on_test = (sign * redness(test.x) >= best_cut) == (test.y == 0)
print("on what it learned from:", share_right(right_on_train, train.groups))
print("on other leaves:        ", share_right(right_on_test, test.groups))
# %% [markdown]
# That is all there is to a learner:
#
# * a **rule with knobs** that turns an image into an answer (here: one number, one cut);
# * a **measure of how wrong** it is on examples;
# * a way to **turn the knobs** so that it gets less wrong;
# * and images that were **put aside**, to find out whether it learned something or only learned them by heart.
#
# A neural network is such a rule. It has a hundred thousand knobs, or a hundred million, which are called
# **weights**; and it finds out by itself what to measure in an image, where we had to think of redness.
# %% [markdown] slide
# A learner is a rule with knobs, a measure of how wrong it is, and a way to turn the knobs. The score is taken on
# images put aside.
# %% [markdown]
# ## How wrong? The loss
#
# Accuracy is a crude measure: an answer is right or wrong. Turn a knob a little, and mostly *nothing* changes, so
# accuracy does not tell in which direction to turn. Networks therefore do not answer "blight"; they answer with a
# **probability**, "blight, 0.8", and are measured by how much of it they gave to the truth. The measure is called
# **loss**:
#
# $$ \text{loss} = -\ln(\text{probability given to the true class}) $$
#
# All certainty on the truth: loss 0. A coin toss between two classes: 0.69. Quite sure of the wrong thing: a large
# number. To be *confidently wrong* is what costs most. The loss of a whole set of images is the mean over all of
# them.
# %%
for probability in (1.0, 0.9, 0.5, 0.1, 0.01):
    # log(1 / p) is the same number as -log(p)
    print(f"probability of the truth {probability:4.2f}   loss {math.log(1 / probability):.3f}")
# %% [markdown] task="0.5"
# **Task 0.5** A network looks at a leaf and says: healthy 0.2, early blight 0.8. It **is** early blight. What is the
# loss of this image? (`math.log` is the natural logarithm.)
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
    "Which of the two probabilities is that of the truth?",
    "-math.log(0.8): the leaf is diseased, and that got 0.8.",
)


def judge(loss: float):
    """Minus the natural logarithm of the probability that the truth was given."""
    slips = (
        (-math.log(0.2), "That takes the 0.2, which went to the other class. The leaf has early blight."),
        (math.log(0.8), "The number is right, the sign is not: a loss is never below zero. Put a minus before it."),
        (0.2, "That is how much is missing to 1. The loss is minus the logarithm of what the truth was given."),
        (-math.log10(0.8), "That is the logarithm to base 10; math.log is the natural one."),
        (-math.log(0.2) - math.log(0.8), "Only the probability of the true class counts; the other one does not."),
    )
    if abs(loss + math.log(0.8)) < 0.006:
        return Passed(
            f"{-math.log(0.8):.3f}. Had the leaf been healthy, the same answer would have cost {-math.log(0.2):.3f}."
        )
    for value, word in slips:
        if abs(loss - value) < 1e-3:
            return word
    return f"{loss:.3f} it is not."


# %% [markdown] teacher="0.5"
# **What it is for.** The number that every training prints. Have them say in words what a loss of 0.69 means with two
# classes (a coin toss), and with ten (ln 10 = 2.30).
#
# **Typical answers.** 1.609 (the other class), 0.2 (the distance to 1), 0.097 (base 10), -0.223 (the sign).
# %% [markdown]
# ## How sure is a number?
#
# Somebody tells you that a network is right on 90 % of images. Your first question should be: *of how many?*
#
# The dots below all are 90 % right answers. The bars are the 95 % **intervals**: all true accuracies that could well
# have led to this count.
# %% [markdown] slide
# A score without an interval is half a result. Nine of ten right answers: the true accuracy may be 0.55, or 0.99.
# %%
luck_figure(0.9)
# %% [markdown]
# Nine right answers of ten say very little: the bar goes down to 0.55, so a network that is hardly better than a coin
# toss can be that lucky. Nine hundred of a thousand say much.
#
# These intervals are for images that have nothing to do with each other. Four photographs of one leaf are not four
# independent answers, so a set of leaves photographed several times has a *wider* interval than its number of
# images suggests. The program takes care of that wherever it knows the groups: that is what you saw above,
# *"images of ... groups"*.
#
# Every score on which this course builds a conclusion has such a bracket. If one has not, do not believe it.
# %% [markdown] task="0.6"
# **Task 0.6** A colleague tested on 10 slides, and **all ten** answers were right: "100 %!" How low may the true
# accuracy be all the same? Give the **lower end** of the 95 % interval. `interval(right, tested)` gives both ends.
# %%
from coverslip.course.seeing import interval

interval(9, 10)  # nine of ten right: from ... to ...
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
HINTS = ("interval(10, 10) gives two numbers, the lower end first.", "interval(10, 10)[0] is the first of the two.")


def judge(lower_end):
    """The lower end of the exact 95 % interval of 10 right answers of 10."""
    if isinstance(lower_end, tuple | list):
        return "These are two numbers, the lower end and the upper end. [0] behind it takes the first."
    value = float(lower_end)
    if abs(value - 0.6915) < 0.006 or abs(value - 69.15) < 0.6:
        return Passed("0.69. Ten right answers of ten: and it may still be wrong on nearly every third slide.")
    if abs(value - 1) < 1e-9:
        return "That is the upper end. How bad could it still be?"
    if abs(value - 0.555) < 0.001:
        return "That is for nine of ten; your colleague had ten of ten."
    return f"{value:.3f} it is not."


# %% [markdown] teacher="0.6"
# **What it is for.** Intervals from the first hour. It is the number they will tell at home. Ask: how many right
# answers in a row would you want? (With 60 of 60 the lower end is 0.94, with 100 of 100 0.96.)
#
# **Misconception.** "The interval is where 95 % of the images lie." No: it is about the one true accuracy, and how
# far ten slides can mislead about it.
# %% [markdown]
# ## Why "deep"?
#
# We had to think of *redness*. For spots with a yellow halo, rings, mould on the underside, we would have to think of
# something else every time. A **deep** network has many layers, one after the other, and each makes its own
# measurements of what the layer before it measured. What they measure is not told; it comes out of the training.
#
# The figure shows a network that was trained on a million photographs of a thousand things. Each square is an *ideal
# image*: the image that one single measurement of the network, a **filter**, answers most strongly. (How these are
# made you will see in the next lesson.)
# %% [markdown] slide
# Early layers answer to colors and fine lines, later ones to patterns of patterns. Nobody told them to: it pays.
# %%
hierarchy_figure()
# %% [markdown]
# The first layer answers to plain **colors**, and to lines so fine that their squares look grey; the next one shown to
# **stripes** and nets; the last one to patterns of patterns, which remind of scales, feathers, cells. Nobody asked for
# that. It is called the **hierarchy of features**, and it is the reason why a network that learned on cats and cars is
# of use for leaves and tissue: stripes and patterns are everywhere.
# %% [markdown]
# ## What you have now
#
# * An image is a block of numbers; a network is a rule with many knobs, the weights.
# * Training turns the knobs so that the loss on the training images gets small.
# * What counts is the score on images put aside, whole leaves at a time, **with its interval**.
#
# In the next lesson the knobs turn by themselves.
