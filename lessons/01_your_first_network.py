# ---
# title: Your first network
# number: 1
# minutes: 70
# needs: []
# ---
# %% [markdown]
# # Your first network
#
# Healthy or diseased? In this lesson you build the smallest network that can answer this question. You train it, read
# its curves, evaluate it on leaves it has never seen, and look at what it has learned. Then you add a hidden layer,
# make the network memorize its training images, and find out what that is worth.
# %%
import numpy as np
import torch
from torch import nn

import coverslip
from coverslip import figures
from coverslip.course import check, images
from coverslip.course.centering import Center
from coverslip.course.inspection import ideal_images_figure
from coverslip.course.lesson_figures import average_figure

folder = None  # your own images: put the path of a folder here
leaves = images(folder, leaves=100)
train, test = leaves.split()  # whole leaves: no leaf is in both sets
print("train:", train)
print("test: ", test)
# %%
figures.examples(train.x, train.y, train.names, most=12)
# %% [markdown]
# ## From image to logits
#
# The simplest network puts all numbers of an image into one long row (**flatten**). For each class it multiplies every
# number by a **weight** and adds the products. It also adds one more number, the **bias**, which can make a class more
# likely for every image. The sum is called the **logit** of the class: the larger the logit, the more the network
# favors this class.
#
# | image | | one long row | | logits |
# | :-: | :-: | :-: | :-: | :-: |
# | 128 × 128 × 3 | *flatten* → | ? numbers | *weights and bias* → | 2, one for each class |
#
# A positive weight for "diseased" means: the brighter this pixel in this color, the more likely is the disease. This is
# a very simple rule. Let us see how far it gets.
# %% [markdown] task="1.1"
# **Task 1.1** How many numbers does one image have after flattening?
# %% task="1.1"
inputs = ...
check("1.1", inputs, train)
# %% solution="1.1"
inputs = 128 * 128 * 3
check("1.1", inputs, train)
# %% wrong="1.1" says="three colors"
inputs = 128 * 128
check("1.1", inputs, train)
# %% wrong="1.1" says="one image"
inputs = train.x.size
check("1.1", inputs, train)
# %% check="1.1"
from coverslip.course.image_set import Images

HINTS = ("Flattening loses nothing: count rows, columns and colors.", "128 * 128 * 3")


def grade(inputs: int, train: Images):
    """The count of numbers in one image of the lesson."""
    _, height, width, colors = train.x.shape
    if inputs == height * width:
        return "This is the number of pixels. Each pixel has three colors."
    if inputs == train.x.size:
        return "This is the number for all images together. The question is about one image."
    if inputs != height * width * colors:
        return f"{inputs:,} is not correct."
    return Passed(f"The network has {inputs:,} inputs.")


# %% [markdown] teacher="1.1"
# **Purpose.** The number 49,152 returns in every parameter count of the day. **Typical answer.** 16,384: the colors
# were forgotten.
# %% [markdown]
# One step comes first. All numbers of an image are positive, and the images have much in common (the built-in leaves
# are green in the middle and grey-brown around it). So the network first subtracts the **mean** of the training images,
# which is the image *all* in the figure. The rest is what is special about an image, with values above and below zero.
# `Center` does this; it has nothing to learn. (Lesson 2 shows what happens without it.)
# %%
average_figure(train.x, train.y, train.names)
# %%
torch.manual_seed(0)
classes = len(train.names)

network = nn.Sequential(
    Center(train.x),
    nn.Flatten(),
    nn.Linear(128 * 128 * 3, classes),
)
# %% [markdown]
# The image passes through the three layers from top to bottom. `nn.Linear(a, b)` is the layer with the weights: it
# computes `b` outputs, here the logits, from `a` numbers.
# %% [markdown] task="1.2"
# **Task 1.2** How many **parameters** (knobs that training can turn) does this network have? Count weights *and* biases
# by hand, for two classes, before you look at the next cell.
# %% task="1.2"
parameters = ...
check("1.2", parameters)
# %% solution="1.2"
parameters = 128 * 128 * 3 * 2 + 2
check("1.2", parameters)
# %% wrong="1.2" says="biases"
parameters = 128 * 128 * 3 * 2
check("1.2", parameters)
# %% wrong="1.2" says="one class"
parameters = 128 * 128 * 3 + 1
check("1.2", parameters)
# %% wrong="1.2" says="each class has one bias"
parameters = 128 * 128 * 3 * 2 + 1
check("1.2", parameters)
# %% wrong="1.2" says="itself has no parameters"
parameters = 128 * 128 * 3 * 3 + 2
check("1.2", parameters)
# %% check="1.2"
HINTS = (
    "There is a weight from every input to every class, and each class has a bias.",
    "49,152 weights for each of 2 classes, and 2 biases.",
)


def grade(parameters: int):
    """Weights and biases of one linear layer from 49,152 inputs to 2 classes."""
    if parameters == 98_304:
        return "These are the weights. The biases are missing."
    if parameters == 98_305:
        return "Almost: each class has one bias."
    if parameters in (49_152, 49_153):
        return "This is enough for one class only. There are two logits, and each needs its own weights."
    if parameters == 147_458:
        return "Center stores a mean image of 49,152 numbers, but they are fixed: it itself has no parameters to learn."
    if parameters != 98_306:
        return f"{parameters:,} is not correct."
    return Passed("98,306: 49,152 weights for each of two classes, and two biases.")


# %% [markdown] teacher="1.2"
# **Purpose.** Parameters are not mysterious: one can count them. In lesson 3 the same count shows why convolutions are
# so cheap.
#
# **Typical answers.** 98,304 (no biases), 49,153 (one class). Somebody will say that one logit is enough, since the two
# probabilities add up to 1. This is right: two logits for two classes are one more than necessary. They are used
# because the same network then works for ten classes without a change.
# %%
coverslip.summary(network, (3, 128, 128))


# %% [markdown]
# The table has one row for each layer: the shape of its *output*, and its number of parameters. The other columns are
# explained in lesson 3.
# %% [markdown] slide
# The smallest network has a weight for every pixel, color and class: 128 × 128 × 3 × 2 + 2 = 98,306 parameters.
# %% [markdown]
# ## From logits to probabilities: softmax
#
# Logits can be any numbers. Probabilities must be between 0 and 1 and add up to 1. The function **softmax** converts
# logits to probabilities in two steps: compute $e^{\text{logit}}$ for each logit (the results are positive, and a
# larger logit gives a larger number), then divide by their sum.
#
# Below are the two logits of the untrained network for the first image. Its weights are small random numbers, so the
# logits have no meaning yet.
# %%
def logits_of(network, x):
    inputs = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255  # values 0 to 1, colors first, as PyTorch expects
    with torch.no_grad():
        return network(inputs).numpy()


first_logits = logits_of(network, train.x[:1])[0]
first_logits


# %% [markdown] task="1.3"
# **Task 1.3** Write softmax as a function: its input are the logits of one image, its result are the probabilities.
# `np.exp(logits)` computes $e^{\text{logit}}$ for each of them, and `.sum()` adds them up.
# %% task="1.3"
def softmax(logits):
    return ...


check("1.3", softmax)


# %% solution="1.3"
def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


check("1.3", softmax)


# %% wrong="1.3" says="add up to"
def softmax(logits):
    return np.exp(logits)


check("1.3", softmax)


# %% wrong="1.3" says="negative"
def softmax(logits):
    return logits / logits.sum()


check("1.3", softmax)


# %% wrong="1.3" says="largest"
def softmax(logits):
    return np.exp(-logits) / np.exp(-logits).sum()


check("1.3", softmax)


# %% wrong="1.3" says="only prints"
def softmax(logits):
    np.exp(logits) / np.exp(logits).sum()


check("1.3", softmax)
# %% check="1.3"
from collections.abc import Callable

import numpy as np

HINTS = (
    "First np.exp(logits), then divide by the sum of that.",
    "return np.exp(logits) / np.exp(logits).sum()",
)


def grade(softmax: Callable):
    """A function from logits to probabilities that are positive, add up to 1 and keep the order of the logits."""
    logits = np.array([2.0, 0.0, -1.0])
    result = softmax(logits)
    if result is ...:
        return ""
    if result is None:
        return "The function has no result: it computes (or only prints) a value, but does not return it. Use return."
    result = np.asarray(result, float)
    if result.shape != logits.shape:
        return f"For three logits it should return three probabilities; it returns {result.size}."
    if (result < 0).any():
        return (
            f"For the logits 2, 0, -1 it returns {result.round(2).tolist()}: a probability cannot be negative. Apply "
            "np.exp first."
        )
    if abs(result.sum() - 1) > 1e-6:
        return f"For the logits 2, 0, -1 the probabilities add up to {result.sum():.2f}, not to 1."
    if result.argmax() != 0:
        return "The largest logit should have the largest probability; here it has the smallest."
    expected = np.exp(logits) / np.exp(logits).sum()
    if np.abs(result - expected).max() > 1e-6:
        return (
            f"For the logits 2, 0, -1 it returns {result.round(3).tolist()}; softmax is {expected.round(3).tolist()}."
        )
    return Passed(
        "For the logits 2, 0, -1 it returns 0.844, 0.114 and 0.042. Only the differences between logits matter: add 5 "
        "to all of them and see."
    )


# %% [markdown] teacher="1.3"
# **Purpose.** The last step of every classifier. Ask: what happens if 5 is added to all logits? (Nothing.) What happens
# if all are doubled? (The network becomes more confident without knowing more. A number between 0 and 1 is not
# automatically a reliable probability.)
#
# **Typical answers.** No division; dividing the logits themselves (negative probabilities); `print` instead of
# `return`.
# %% [markdown]
# From now on the program applies softmax for us: in training it is part of the loss, and it is applied whenever you ask
# for probabilities.
#
# ## Training
#
# Training is one call, `coverslip.fit`. In every program for deep learning, these things must be chosen:
#
# * the **loss**: the measure of the error. Ours is the loss of lesson 0, minus the logarithm of the probability of the
#   true class, which is also called *cross-entropy*;
# * the **optimizer**: the method that changes the weights. Ours is called *Adam*, and the **learning rate** `lr` sets
#   the size of its steps (lesson 2);
# * the **metrics** that are shown during training: loss and accuracy;
# * the **batch size**: the network looks at a batch of 32 images and then changes its weights a little; this is one
#   **step**. Then it takes the next 32 images, and so on. The last batch may be smaller; it is a step, too;
# * the number of **epochs**: one pass through all training images is one epoch. We use 25.
#
# In addition, a fifth of the training leaves is **held out** during training, to monitor the network on leaves that it
# does not learn from. These images are the **validation set** (`val_` in the output). The *test set* stays in the
# drawer.
# %%
history = coverslip.fit(
    network, train.x, train.y, groups=train.groups, classes=train.names, epochs=25, batch_size=32, lr=1e-4
)
# %% [markdown] task="1.4"
# **Task 1.4** How many **steps** (changes of the weights) did this training do in total? The first line of the output
# shows the number of images that the network learned from.
# %% task="1.4"
steps = ...
check("1.4", steps, history)
# %% solution="1.4"
steps_per_epoch = int(np.ceil(len(history.train_rows) / 32))  # the last batch may be smaller; it is a step, too
steps = steps_per_epoch * 25
check("1.4", steps, history)
# %% wrong="1.4" says="epochs"
steps = 25
check("1.4", steps, history)
# %% wrong="1.4" says="one epoch"
steps = int(np.ceil(len(history.train_rows) / 32))
check("1.4", steps, history)
# %% wrong="1.4" says="held out"
steps = int(np.ceil(len(train) / 32)) * 25
check("1.4", steps, history)
# %% wrong="1.4" says="shorter batch"
steps = len(history.train_rows) // 32 * 25
check("1.4", steps, history)
# %% check="1.4"
import math

from coverslip.training.outcome import History

HINTS = (
    "Divide the number of images to learn from by 32 and round up: this is one epoch.",
    "np.ceil(240 / 32) is 8 steps per epoch (if you have 240 images to learn from); multiply by 25 epochs.",
)


def grade(steps: int, history: History):
    """The steps of the whole training: batches per epoch, including the last one, times epochs."""
    correct, epochs = int(history.frame["step"][-1]), history.frame.height
    learned, held_out = len(history.train_rows), len(history.validation_rows)
    if steps == correct:
        return Passed(f"{correct} steps: {correct // epochs} batches in each of {epochs} epochs.")
    mistakes = {
        epochs: "This is the number of epochs. Each epoch has many steps, one per batch.",
        correct // epochs: "This is one epoch.",
        math.ceil((learned + held_out) / 32) * epochs: (
            "This includes the images that were held out, but the network does not learn from them."
        ),
        learned // 32 * epochs: "The last, shorter batch of an epoch is a step, too: round up.",
        learned * epochs: "This would be one step per image. Here one step uses 32 images.",
    }
    return mistakes.get(steps, f"{steps:,} is not correct.")


# %% [markdown] teacher="1.4"
# **Purpose.** Epoch, batch and step are confused in half of all methods sections. Write the three words on the board.
#
# **Typical answers.** 25; the held-out images are included; the last short batch is forgotten.
# %% [markdown]
# ## Reading the curves
# %% [markdown] slide
# When the training loss keeps falling and the validation loss does not, the network memorizes its images: overfitting.
# %%
history.plot()
# %% [markdown]
# The left figure shows the loss, the right figure the accuracy after each epoch. One line is for the training images,
# the other for the held-out images.
#
# * The **training** loss keeps falling. This is expected, since the training minimizes it.
# * The **validation** loss falls at first; then it stays at its level, or even rises. From where the two lines
#   separate, the network memorizes its training images instead of learning what is true for all leaves. This is called
#   **overfitting**.
# * The ring marks the epoch with the lowest validation loss. The network now has the weights of *that* epoch.
# * A curve of few images is jagged. Do not interpret single peaks.
#
# How much of this is chance? Go back to the cell that builds the network, write another number into
# `torch.manual_seed`, run this cell and the training cell again, and see what changes and what stays the same.
# %% [markdown]
# ## The test
#
# Now open the drawer with the test set: leaves that were not used for anything so far.
# %%
scores = coverslip.evaluate(network, test.x, test.y, groups=test.groups, classes=test.names)
scores
# %%
guessing = np.bincount(test.y).max() / len(test)  # always predicting the class with the most images
print(f"accuracy of guessing: {guessing:.2f}")
scores.plot()
# %% [markdown]
# This table is called the **confusion matrix**: its rows are the true classes, its columns the predicted classes. Each
# field shows the number of images and, below it, their fraction of the row; *n* is the number of images of the class.
# The bracket after the accuracy is its confidence interval: the true accuracies that are compatible with this small
# test.
# %% [markdown] task="1.5"
# **Task 1.5** Can you claim that this network is **better than guessing**? Look at the confidence interval of the
# accuracy and at the accuracy of guessing, and answer `"yes"` or `"no"`.
# %% task="1.5"
better_than_guessing = ...
check("1.5", better_than_guessing, scores)
# %% solution="1.5"
low = scores.accuracy["low"]
better_than_guessing = "yes" if low > guessing else "no"
check("1.5", better_than_guessing, scores)
# %% wrong="1.5" says="lower end"
better_than_guessing = "no" if scores.accuracy["low"] > guessing else "yes"
check("1.5", better_than_guessing, scores)
# %% wrong="1.5" says="yes or no"
better_than_guessing = "perhaps"
check("1.5", better_than_guessing, scores)
# %% check="1.5"
from coverslip.training.outcome import Scores

HINTS = (
    "A claim must be true for every accuracy in the interval, also for its lower end.",
    "If the lower end is above guessing: yes. If guessing is inside the interval: no, this test cannot show it.",
)


def grade(answer: str, scores: Scores):
    """Yes if the whole confidence interval is above guessing, otherwise no."""
    word = answer.strip().lower().rstrip(".!")
    if word not in ("yes", "no"):
        return "Answer yes or no, in quotation marks."
    guessing = float(scores.confusion.sum(axis=1).max() / scores.confusion.sum())
    low, value = scores.accuracy["low"], scores.accuracy["value"]
    if low is None:
        no_claim = "There is no interval here, since there are too few leaves: nothing can be claimed."
        return Passed(no_claim) if word == "no" else no_claim
    better = low > guessing
    comparison = f"it is {low:.2f}, and guessing reaches {guessing:.2f}"
    if (word == "yes") == better:
        inside = f"This is inside the interval, however good {value:.2f} looks."
        conclusion = "The whole interval is above guessing." if better else inside
        return Passed(f"Right. Look at the lower end: {comparison}. {conclusion}")
    return f"Look at the lower end of the interval: {comparison}. Can you make the claim?"


# %% [markdown] teacher="1.5"
# **Purpose.** The habit of the day: base a claim on the interval, not on the number. On other machines the last digits
# differ a little, and in a borderline case one group may have "yes" and another "no": a good occasion to explain what a
# borderline case is.
#
# **Misconception.** "0.66 is more than 0.5, so yes." It would be the same 0.66 with 12 images.
# %% [markdown]
# How does the network compare with the *single* knob of lesson 0, the redness of the middle? On the built-in leaves the
# two intervals overlap: we cannot say that 98,306 knobs are better than one good idea. (But the network did not need
# the idea.)
#
# If the network is almost perfect on your own images, be suspicious: a network that cannot even recognize a spot may
# have learned the paper, the light, or the day on which each class was photographed. Lesson 5 is about this.
#
# Which images does it get wrong? Looking at the errors is the cheapest way to improve a network. The text above each
# image shows the predicted class with its probability, and the true class.
# %%
mistakes = np.flatnonzero(scores.probabilities.argmax(axis=1) != test.y)
shown = mistakes[:: max(len(mistakes) // 12, 1)][:12] if len(mistakes) else np.arange(12)
figures.examples(test.x[shown], test.y[shown], test.names, predicted=scores.probabilities[shown])
# %% [markdown]
# ## What has it learned? Ideal images
#
# Training can be reversed: keep the weights fixed, and change the *image* until the network is as certain as possible
# of a class. The result is called the **ideal image** of the class. It is not a real image; it shows what the network
# looks for.
# %% [markdown] slide
# An ideal image shows what a network looks for. Ours looks for red in the middle. It does not know what a spot is.
# %%
ideal_images_figure(network, 128, train.names)
# %% [markdown]
# The colors are extreme because nothing limits the image: each pixel changes as far as it helps. On the built-in
# leaves, red in the middle is evidence for blight, green-blue in the middle is evidence for a healthy leaf, and the
# rest is mostly noise. The network has found something true: spots are browner, and so redder, than the leaf, and the
# leaves are in the middle. But it has **not** found spots; there is no spot in the image. Every position has its own
# weights, so the network does not recognize a spot at another position. It has learned where *these* leaves had their
# spots.
# %% [markdown]
# ## A hidden layer
#
# The network above can only add up pixels. Now we insert a **hidden layer** between the image and the logits. It
# consists of **units**: each unit adds up all pixels with its own weights, and passes the sum on *only if it is above
# zero* (this function is called ReLU, see lesson 2). The logits are then computed from the outputs of these units. A
# network with more units can represent more complex rules: it has a higher **capacity**.
# %%
torch.manual_seed(0)
deeper = nn.Sequential(
    Center(train.x),
    nn.Flatten(),
    nn.Linear(128 * 128 * 3, 8),  # 8 hidden units
    nn.ReLU(),
    nn.Linear(8, classes),
)
coverslip.summary(deeper, (3, 128, 128))
# %% [markdown]
# A first attempt with only five epochs:
# %%
first_try = coverslip.fit(
    deeper, train.x, train.y, groups=train.groups, classes=train.names, epochs=5, lr=1e-4, keep_best=False, verbose=0
)
first_try
# %% [markdown] task="1.6"
# **Task 1.6** Make the network learn its training images: reach an accuracy of **0.97 on the images it learns from**,
# with a hidden layer of **fewer than 256 units**. You may change the number of units, the epochs, and the learning rate
# (`lr=` in the cell). With `keep_best=False` the network keeps the weights of the last epoch; otherwise it would keep
# the weights that were best on the held-out images.
# %% task="1.6"
units = ...
epochs = ...

if units is not ... and epochs is not ...:
    torch.manual_seed(0)
    deeper = nn.Sequential(
        Center(train.x), nn.Flatten(), nn.Linear(128 * 128 * 3, units), nn.ReLU(), nn.Linear(units, classes)
    )
    learned = coverslip.fit(
        deeper, train.x, train.y, groups=train.groups, classes=train.names, epochs=epochs, lr=1e-4, keep_best=False
    )
else:
    learned = ...

check("1.6", learned, train)
# %% solution="1.6"
torch.manual_seed(0)
deeper = nn.Sequential(Center(train.x), nn.Flatten(), nn.Linear(128 * 128 * 3, 32), nn.ReLU(), nn.Linear(32, classes))
learned = coverslip.fit(
    deeper, train.x, train.y, groups=train.groups, classes=train.names, epochs=30, lr=3e-4, keep_best=False, verbose=0
)
check("1.6", learned, train)
# %% wrong="1.6" says="more epochs"
torch.manual_seed(0)
small = nn.Sequential(Center(train.x), nn.Flatten(), nn.Linear(128 * 128 * 3, 16), nn.ReLU(), nn.Linear(16, classes))
little = coverslip.fit(small, train.x, train.y, groups=train.groups, epochs=2, lr=1e-5, keep_best=False, verbose=0)
check("1.6", little, train)
# %% wrong="1.6" says="fewer than 256"
wide = nn.Sequential(Center(train.x), nn.Flatten(), nn.Linear(128 * 128 * 3, 256), nn.ReLU(), nn.Linear(256, classes))
check("1.6", coverslip.fit(wide, train.x, train.y, groups=train.groups, epochs=1, verbose=0, keep_best=False), train)
# %% wrong="1.6" says="no hidden layer"
check("1.6", history, train)
# %% wrong="1.6" says="a history"
check("1.6", deeper, train)
# %% check="1.6"
from torch import nn

import coverslip
from coverslip.course.image_set import Images
from coverslip.training.outcome import History

HINTS = (
    "More epochs help most reliably. Watch the column accuracy in the output, not val_accuracy.",
    "units = 32 and epochs = 40 are enough for the built-in leaves; for other images try more epochs or lr=3e-4.",
)
TARGET, MAX_UNITS = 0.97, 256


def grade(learned: History, train: Images):
    """A history of a network with fewer than 256 hidden units and an accuracy of 0.97 on its training images."""
    layers = [layer for layer in learned.network.modules() if isinstance(layer, nn.Linear)]
    units = sum(layer.out_features for layer in layers[:-1])
    if len(layers) < 2:
        return (
            "This network has no hidden layer: add one more nn.Linear, followed by nn.ReLU(), between nn.Flatten() "
            "and the layer that computes the logits."
        )
    if units >= MAX_UNITS:
        return f"It has {units} hidden units; the task asks for fewer than {MAX_UNITS}. Fewer are enough."
    if max(learned.train_rows.tolist(), default=0) >= len(train):
        return "These are not the training images of this lesson."
    seen = train.take(learned.train_rows)
    scores = coverslip.evaluate(learned.network, seen.x, seen.y, groups=seen.groups, classes=seen.names)
    accuracy = scores.accuracy["value"]
    if accuracy < TARGET:
        if learned.best_epoch < learned.frame.height and (learned.frame["train_accuracy"].max() or 0) >= TARGET:
            return (
                f"Its accuracy on the images it learned from is {accuracy:.3f}: it has the weights of epoch "
                f"{learned.best_epoch}, which was best on the held-out images. Use keep_best=False to keep the weights "
                "of the last epoch."
            )
        return f"Its accuracy on the images it learned from is {accuracy:.3f}. Use more epochs or more units."
    return Passed(
        f"An accuracy of {accuracy:.3f} on the images it learned from, with {units} hidden units. What is that worth?"
    )


# %% [markdown] teacher="1.6"
# **Purpose.** First overfit: if a network cannot even learn its training images, something is wrong (data, learning
# rate, a bug). Experienced people try this first. Only then do they regularize (lesson 4).
#
# **Typical answers.** Watching `val_accuracy` instead of `accuracy`. Forgetting `keep_best=False`, or giving the
# network instead of the history: the check explains both. Some learners will be pleased with 0.97; do not spoil it
# before task 1.7.
#
# **When results differ.** Between machines the last epochs may differ by an image or two. If somebody stays at 0.5, the
# learning rate is too high.
# %% [markdown]
# Here are the scores of the same network on the leaves it learned from and on the test set.
# %%
if learned is not ...:
    seen = train.take(learned.train_rows)
    on_seen = coverslip.evaluate(learned.network, seen.x, seen.y, groups=seen.groups, classes=seen.names)
    on_test = coverslip.evaluate(learned.network, test.x, test.y, groups=test.groups, classes=test.names)
    print("leaves it learned from:        ", on_seen)
    print("test set:                      ", on_test)
    print("test set, without hidden layer:", scores)
# %% [markdown] task="1.7"
# **Task 1.7** What does an accuracy of 0.97 on the training images show, and what does it **not** show? Which of these
# statements follow from it? Answer with their letters, such as `"BC"`.
#
# * **A** The network has enough capacity to learn these images.
# * **B** It will be correct on about 97 of 100 new leaves.
# * **C** It knows what a spot is.
# * **D** Its accuracy on new leaves must be measured on other leaves, with a confidence interval.
# * **E** It is better than the network without a hidden layer.
# %% task="1.7"
follows = ...
check("1.7", follows)
# %% solution="1.7"
follows = "AD"
check("1.7", follows)
# %% wrong="1.7" says="new leaves"
follows = "ABD"
check("1.7", follows)
# %% wrong="1.7" says="memorized"
follows = "ACD"
check("1.7", follows)
# %% wrong="1.7" says="overlap"
follows = "ADE"
check("1.7", follows)
# %% wrong="1.7" says="also follows"
follows = "D"
check("1.7", follows)
# %% check="1.7"
HINTS = (
    "Ask for each statement: could it be false although the 0.97 is true? Look at the scores printed above.",
    "Two of the five follow. One is about the capacity, the other about where to measure.",
)


def grade(follows: str):
    """A and D follow from a training accuracy; B, C and E do not."""
    letters = {letter for letter in follows.upper() if letter.isalpha()}
    if not letters or not letters <= set("ABCDE"):
        return 'Answer with letters from A to E in quotation marks, such as "BC".'
    if "B" in letters:
        return (
            "B: the 0.97 does not show this. Only new leaves can show it: compare the first two scores printed above "
            "(for the built-in leaves they are far apart)."
        )
    if "C" in letters:
        return "C: it may have memorized these leaves with their background, without knowing what a spot is."
    if "E" in letters:
        return (
            "E: on the images it learned from, yes. The 0.97 says nothing about other leaves (for the built-in leaves "
            "the intervals of the two networks overlap)."
        )
    missing = sorted({"A", "D"} - letters)
    if missing:
        return f"{' and '.join(missing)} also follows."
    return Passed(
        "Exactly these two. The network could learn its training images, so it is large enough. How good it is must be "
        "measured on other leaves, with a confidence interval."
    )


# %% [markdown] teacher="1.7"
# **Purpose.** The most important question of the morning. Let two groups argue about B. The score on the test set is
# printed directly above.
#
# **Misconceptions.** "Overfitting means that the training accuracy is high." No: a high training accuracy is fine; the
# *gap* is what matters. "A larger network is better": here it is not, and the training accuracy does not show it.
#
# **When results differ.** The test accuracy is between 0.55 and 0.7, depending on machine and settings; all these
# values are within one confidence interval.
# %% [markdown] slide
# A high score on the training images shows that the network can memorize them. It says nothing about other leaves.
# %% [markdown]
# ## Summary
#
# * A network: center, flatten, weights, logits, softmax; and you counted its parameters.
# * Training in epochs and batches, and curves that show when the network begins to overfit.
# * A test score with a confidence interval, and a habit: compare the *lower end* with guessing.
# * An ideal image, and a suspicion: this kind of network does not know what a spot is. The networks of lesson 3 will.
#
# The next lesson is about all the knobs that you can set.
