# ---
# title: Improving a network
# number: 4
# minutes: 65
# needs: []
# ---
# %% [markdown]
# # Improving a network
#
# There are a hundred ways to improve a network, and each of them is recommended somewhere on the internet. In this
# lesson you try eight of them, and you do what is rarely done: for each, you ask whether it **really** helped, or
# whether the improvement was chance.
#
# The order of work is old and good: **first overfit, then regularize.** A network that cannot even memorize its
# training images is too small, or trained badly. Once it can, **regularize** it: limit it, so that it learns what the
# images have in common and not the details of single images.
# %%
import numpy as np
import torch
from torch import nn

import coverslip
from coverslip import figures
from coverslip.course import check, explorables, images
from coverslip.course.comparison import Normalize, compare_on_test, curves, repeat
from coverslip.course.frozen import frozen_features

folder = None  # your own images: put the path of a folder here
# %% [markdown]
# This time the images are stained tissue, healthy or tumor, with one field of view per slide. We train on *few* slides,
# as usual in practice, and test on *many*, which is rarely possible: a program drew them. So we can see how much a test
# with few slides would have shown. (Here a *group* is one slide.)
# %%
tissue = images(folder, look="tissue", classes=2, size=48, leaves=150, shots=1, max_per_class=150)
train, test = tissue.split(seed=0, test_fraction=0.73)
classes = len(tissue.names)
print(tissue)
print(f"\n{len(train)} training images, {len(test)} test images")
figures.examples(train.x, train.y, train.names, most=12)


# %% [markdown]
# Note: in this lesson we use the test set many times, since we compare *variants* of the training and want to know the
# truth about them. In your own work, choose with the validation set and use the test set once; lesson 5 and `coverslip
# train` do this.
#
# Here is the network, three blocks and a dense layer, with a knob for each method that we will try. You need not
# understand every line: `network()` is the plain network, and each argument changes one thing.
# %%
def network(first=None, norm=False, filters=(16, 32, 64), units=128, dropout=0.0):
    layers, channels, side = [first] if first else [], 3, 48
    for count in filters:
        layers += [nn.Conv2d(channels, count, 3, padding=1), *([nn.BatchNorm2d(count)] if norm else [])]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels, side = count, side // 2
    layers += [nn.Flatten(), nn.Linear(channels * side * side, units), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(units, classes))


settings = {"epochs": 30, "lr": 1e-3, "batch_size": 16, "validation_split": 0.25, "keep_best": False}


def train_three(make, **changes):
    """Train a variant three times, each time with other initial weights."""
    return repeat(make, train, times=3, **{**settings, **changes})


# %% [markdown]
# Each variant is trained **three times**. One training tells you about one network, but two trainings of the same
# variant already differ by chance. (With `keep_best=False` the network keeps the weights of the last epoch; otherwise
# `coverslip.fit` would keep the weights of the best epoch. We return to this below.)
#
# ## Input normalization
#
# The inputs of the network are numbers from 0 to 1, and in bright images all of them are large: every weight of the
# first layer is pushed in the same direction at once. It is easier to learn from numbers around 0. So subtract the mean
# of each color and divide by its spread, **both measured on the training images**. (In lesson 3, `colors()` did this
# during training.)
# %% [markdown] task="4.1"
# **Task 4.1** Compute `mean` and `spread` (the standard deviation): three numbers each, one for every color, on the
# scale from 0 to 1. `train.x` contains the training images with the axes (image, height, width, color) and values from
# 0 to
# 255. NumPy's `.mean(axis=(0, 1, 2))` averages over the first three axes.
# %% task="4.1"
mean = ...
spread = ...
check("4.1", mean, spread, train, tissue)
# %% solution="4.1"
mean = (train.x / 255).mean(axis=(0, 1, 2))
spread = (train.x / 255).std(axis=(0, 1, 2))
check("4.1", mean, spread, train, tissue)
# %% wrong="4.1" says="one number for all"
mean = (train.x / 255).mean()
spread = (train.x / 255).std()
check("4.1", mean, spread, train, tissue)
# %% wrong="4.1" says="test images"
mean = (tissue.x / 255).mean(axis=(0, 1, 2))
spread = (tissue.x / 255).std(axis=(0, 1, 2))
check("4.1", mean, spread, train, tissue)
# %% wrong="4.1" says="0 to 255"
mean = train.x.mean(axis=(0, 1, 2))
spread = train.x.std(axis=(0, 1, 2))
check("4.1", mean, spread, train, tissue)
# %% wrong="4.1" says="variance"
mean = (train.x / 255).mean(axis=(0, 1, 2))
spread = (train.x / 255).var(axis=(0, 1, 2))
check("4.1", mean, spread, train, tissue)
# %% check="4.1"
import numpy as np

HINTS = (
    "Divide by 255 first. Then average over images, rows and columns, but not over colors.",
    "mean = (train.x / 255).mean(axis=(0, 1, 2)), and the same with .std",
)


def grade(mean, spread, train, tissue):
    """Three means and three standard deviations of the training images' colors, 0 to 1."""
    mean, spread = np.asarray(mean, float), np.asarray(spread, float)
    if mean.size == 1:
        return "This is one number for all three colors together. The stains differ in color: keep the last axis."
    if mean.shape != (3,) or spread.shape != (3,):
        return f"Both need three numbers; their shapes are {mean.shape} and {spread.shape}."
    if mean.max() > 1:
        return "These are on the scale 0 to 255; the network's inputs are numbers from 0 to 1. Divide by 255."
    x, all_x = train.x / 255, tissue.x / 255
    axes = (0, 1, 2)
    if np.allclose(mean, x.mean(axis=axes), atol=1e-3):
        if np.allclose(spread, x.var(axis=axes), atol=1e-4):
            return "The means are right. The spread is the variance: use its square root, or .std."
        if not np.allclose(spread, x.std(axis=axes), atol=1e-3):
            return "The means are right, but the spreads are not: use .std, the standard deviation of each color."
        if np.array_equal(mean, all_x.mean(axis=axes)) and len(train.x) < len(all_x):
            return "These are the means of all images, including the test images."
        return Passed("Right. From now on these six numbers are part of the network, for all images.")
    if np.allclose(mean, all_x.mean(axis=axes), atol=1e-6):
        return "These are measured on all images, including the test images. This is a small leak: use only train.x."
    return "These are not the means of the training images' colors."


# %% [markdown] teacher="4.1"
# **Purpose.** Preprocessing is part of the model, and it is *learned from the training set only*. The leak is tiny
# here; in a study with two scanners it is not.
#
# **Typical answers.** One mean for all colors; all images instead of `train`. If the 255 is forgotten, all inputs of
# the network are almost the same number.
# %%
# lambda: a function without a name; it is called for each of the three trainings to build a new network
plain = train_three(lambda: network())
normalized = train_three(lambda: network(Normalize(mean, spread)))
curves({"plain": plain, "normalized": normalized})
# %% [markdown]
# The line is the mean of three trainings, and the band is the range from the lowest to the highest. The normalized
# network needs fewer epochs to learn its training images. Does this help on the *test* images?
# %%
compare_on_test(test, {"plain": plain, "normalized": normalized})
# %% [markdown]
# Read the last sentence aloud. If it says *better*, you may claim it, with the difference and its interval. If it says
# *not distinguishable*, you may claim neither "it helped" nor "it did not help", only that this number of slides is not
# enough, and how many would be.
# %% [markdown] slide
# "It helped" is a claim about a difference. It needs a confidence interval, and a test on the same images.
# %% [markdown]
# ## First overfit
#
# Look at one of the three trainings in detail. The blue line, for the training images, goes down to zero: the network
# has memorized them. The orange line, for the held-out images, ends above it. The gap between the two lines is
# overfitting.
# %%
normalized[0].plot()
# %% [markdown] task="4.2"
# **Task 4.2** Train a network that memorizes its training images: its training accuracy in the last epoch is at least
# 0.98. The answer is the **history** of a training with held-out images, so that one can see what happens on other
# images. The text after `#` is a start; if it does not reach 0.98, change a setting. For 10 epochs instead of 30 you
# would write `**{**settings, "epochs": 10}`.
# %% task="4.2"
history = ...  # coverslip.fit(network(Normalize(mean, spread)), train.x, train.y, **settings)
check("4.2", history)
# %% solution="4.2"
torch.manual_seed(1)
history = coverslip.fit(
    network(Normalize(mean, spread)), train.x, train.y, **{**settings, "epochs": 40}, groups=train.groups, verbose=0
)
check("4.2", history)
# %% wrong="4.2" says="a history"
check("4.2", network(Normalize(mean, spread)))
# %% wrong="4.2" says="epochs"
history = coverslip.fit(network(), train.x, train.y, **{**settings, "epochs": 2}, verbose=0)
check("4.2", history)
# %% wrong="4.2" says="held out"
history = coverslip.fit(
    network(Normalize(mean, spread)), train.x, train.y, **{**settings, "validation_split": 0}, verbose=0
)
check("4.2", history)
# %% check="4.2"
from coverslip.training.outcome import History

HINTS = (
    "Use more epochs, until the training accuracy is 1, and keep the held-out images.",
    'history = coverslip.fit(network(Normalize(mean, spread)), train.x, train.y, **{**settings, "epochs": 40})',
)


def grade(history: History):
    """A history of a training with held-out images whose last training accuracy is 0.98 or more."""
    frame = history.frame
    if not len(history.validation_rows):
        return "No images were held out, so one cannot see other images. Leave validation_split at 0.25."
    accuracy = frame["train_accuracy"][-1]
    if accuracy < 0.98:
        rising = frame["train_accuracy"][-1] > frame["train_accuracy"][0]
        advice = "Use more epochs." if rising else "Use a smaller learning rate."
        return f"The training accuracy is {accuracy:.2f} after {frame.height} epochs. {advice}"
    losses = frame["validation_loss"].to_list()
    best = losses.index(min(losses)) + 1
    rise = losses[-1] / max(min(losses), 1e-9)
    change = f"The validation loss was lowest after epoch {best} and has risen to {rise:.1f} times this value."
    if best == frame.height:
        change = "The validation loss is lowest after the last epoch, so it has not risen yet."
    return Passed(f"The network memorized {accuracy:.2f} of its training images. {change}")


# %% [markdown] teacher="4.2"
# **Purpose.** It feels wrong to overfit on purpose. But it proves that images, labels, network and learning rate work
# together.
#
# **Misconception.** "The accuracy on held-out images did not fall, so there is no overfitting." Let the learners look
# at the *loss*: the network becomes more confident in its errors. Its probabilities become less and less reliable,
# which matters to everybody who bases decisions on them.
# %% [markdown] slide
# First overfit, then regularize.
# %% [markdown]
# ## Early stopping
#
# The simplest regularization is **early stopping**: stop while the network is good. After each epoch evaluate it on the
# held-out images. If it has not improved for some epochs (the **patience**), stop, and use the weights of the best
# epoch.
# %% [markdown] task="4.3"
# **Task 4.3** Do it by hand. The loss on the held-out images after each epoch is given below. With a patience of 3
# (stop after three epochs in a row without a new minimum): after which epoch does the training **stop**, and the
# weights of which epoch are **kept**? Epochs are counted from 1.
# %% task="4.3"
losses = [0.69, 0.55, 0.48, 0.50, 0.47, 0.49, 0.52, 0.51, 0.44, 0.60]
stopped = ...
kept = ...
check("4.3", stopped, kept)
# %% solution="4.3"
losses = [0.69, 0.55, 0.48, 0.50, 0.47, 0.49, 0.52, 0.51, 0.44, 0.60]
stopped = 8
kept = 5
check("4.3", stopped, kept)
# %% wrong="4.3" says="never gets there"
check("4.3", 10, 9)
# %% wrong="4.3" says="not the last"
check("4.3", 8, 8)
# %% wrong="4.3" says="from 1"
check("4.3", 7, 4)
# %% wrong="4.3" says="new best"
check("4.3", 6, 3)
# %% check="4.3"
HINTS = (
    "Go through the list and note each new minimum. When was there none for three epochs in a row?",
    "0.47 in epoch 5 is a new minimum; there is none in epochs 6, 7 and 8.",
)


def grade(stopped: int, kept: int):
    """The epoch after which training stops, and the epoch whose weights are kept."""
    if (stopped, kept) == (7, 4):
        return "You counted epochs from 0; here they are counted from 1."
    if kept == 9 or stopped > 8:
        return "Epoch 9 would have been the best, but with a patience of 3 training never gets there."
    if kept == 3:
        return "Within three epochs after epoch 3 there is a new best: the count starts again at epoch 5."
    if kept == 8 and stopped == 8:
        return "It stops after epoch 8, but the weights that are kept are not the last ones."
    if (stopped, kept) != (8, 5):
        return f"Stopping after epoch {stopped} and keeping epoch {kept} is not correct."
    return Passed("Stopped after epoch 8, kept epoch 5. Epoch 9 was never reached: patience is a heuristic.")


# %% [markdown] teacher="4.3"
# **Purpose.** "Early stopping" consists of two decisions: when to stop, and which weights to keep. Epoch 9 shows that
# it is a heuristic.
# %%
early = train_three(lambda: network(Normalize(mean, spread)), keep_best=True, patience=6)
print(
    "epochs trained:", [history.frame.height for history in early], " best:", [history.best_epoch for history in early]
)
compare_on_test(test, {"normalized": normalized, "early stopping": early}, score="log_loss")
# %% [markdown]
# This time we compared the **log loss**, which is the loss on the test set. It depends not only on whether a prediction
# is right but also on its probability, and it penalizes confident errors. Overfitting is visible there first. A lower
# log loss is better.
#
# ## Smaller networks, L2, dropout
#
# Here are three more ways to regularize a network:
#
# * **A smaller network** with fewer filters and units has less capacity to memorize.
# * **L2** (also called **weight decay**) adds the sum of the squared weights to the loss, so that a weight only becomes
#   large if it helps.
# * **Dropout** switches off a random half of the units in every training step, so that no unit can rely on a particular
#   other one. When the network is used, all units are active.
#
# In the next figure, two identical networks learn from the same points. Press *Run*: only the network on the right is
# regularized. Then change *L2* or *Dropout* and run again.
# %%
explorables.regularization()
# %% [markdown] task="4.4"
# **Task 4.4** Where do you put dropout? Build a small network for 100 inputs: a dense layer of 50 units, ReLU, dropout
# of one half, and two outputs. The check runs it on the same input several times, in training mode and in evaluation
# mode.
# %% task="4.4"
small = ...
check("4.4", small)
# %% solution="4.4"
small = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 2))
check("4.4", small)
# %% wrong="4.4" says="its outputs"
small = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 2), nn.Dropout(0.5))
check("4.4", small)
# %% wrong="4.4" says="no dropout"
small = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 2))
check("4.4", small)
# %% wrong="4.4" says="before anything"
small = nn.Sequential(nn.Dropout(0.5), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 2))
check("4.4", small)
# %% wrong="4.4" says="softmax"
small = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 2), nn.Softmax(dim=1))
check("4.4", small)
# %% wrong="4.4" says="0.05"
small = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.05), nn.Linear(50, 2))
check("4.4", small)
# %% check="4.4"
import torch
from torch import nn

HINTS = (
    "Put it after the hidden layer: these are the units that should not rely on each other.",
    "nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 2))",
)


def grade(small: nn.Module):
    """A network with 100 inputs, 50 units with dropout of one half, and two outputs."""
    layers = [layer for layer in small.modules() if isinstance(layer, nn.Linear | nn.Dropout | nn.ReLU)]
    kinds = [type(layer).__name__ for layer in layers]
    if "Dropout" not in kinds:
        return "There is no dropout in this network."
    if kinds[-1] == "Dropout":
        return "The dropout is after the last layer: it switches off its outputs, half of the time, at random."
    if kinds[0] == "Dropout":
        return "The dropout is before anything was learned: it hides half of the inputs. Put it after the ReLU."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in small.modules()):
        return "Omit the softmax, as in lesson 3: the outputs should be two logits."
    rate = next(layer.p for layer in layers if isinstance(layer, nn.Dropout))
    if rate != 0.5:
        return f"It drops {rate:g} of the units; the task asks for one half."
    inputs = torch.ones(4, 100)
    with torch.no_grad():
        first = small.eval()(inputs)
        second = small(inputs)
        small.train()
        in_training = [small(inputs) for _ in range(4)]
    if tuple(first.shape) != (4, 2):
        return f"Its output has the shape {tuple(first.shape)}; it should have two outputs per row."
    if not torch.equal(first, second) or all(torch.equal(output, in_training[0]) for output in in_training):
        return "In training mode its outputs for the same input should differ; in evaluation mode they should not."
    return Passed("In training mode its output differs each time, in evaluation mode it is always the same.")


# %% [markdown] teacher="4.4"
# **Purpose.** The two modes of a network, training and evaluation. "My results change each time I run predict" is
# usually a forgotten `.eval()`.
# %%
regularized = {
    "smaller": train_three(lambda: network(Normalize(mean, spread), filters=(8, 8, 8), units=16)),
    "L2": train_three(lambda: network(Normalize(mean, spread)), l2=1e-2),
    "dropout": train_three(lambda: network(Normalize(mean, spread), dropout=0.5)),
}
compare_on_test(test, {"normalized": normalized, **regularized}, score="log_loss", reference="normalized")
# %% [markdown]
# ## Batch normalization
#
# Normalizing the inputs was good for the first layer. **Batch normalization** does the same between the layers: in
# training, each map is normalized to mean 0 and standard deviation 1 *over the images of the batch*; in evaluation mode
# the layer uses the averages of the means seen in training. It makes deep networks easier to train. With few images,
# the means of small batches are noisy: look whether the loss jumps in single epochs.
# %%
batch_norm = train_three(lambda: network(Normalize(mean, spread), norm=True))
curves({"normalized": normalized, "batch normalization": batch_norm}, "validation_loss")
# %% [markdown]
# ## More images than you have: augmentation
#
# A mirrored slide has the same diagnosis. **Augmentation** shows the network another version of each image in every
# epoch: mirrored, rotated, a little brighter. It is the cheapest way to more data, and the only method here that adds
# *knowledge*: your knowledge about what does not matter. So you must decide what does not matter.
# %% [markdown] task="4.5"
# **Task 4.5** The images show tissue under the microscope, tumor or healthy, all at the same magnification. Which of
# these changes keep the diagnosis? Replace each `...` with `True` or `False`.
# %% task="4.5"
keeps_the_label = {
    "mirrored": ...,
    "rotated by 90 degrees": ...,
    "stained a little more weakly": ...,
    "nuclei enlarged to twice their size": ...,
    "nuclei painted over": ...,
}
check("4.5", keeps_the_label)
# %% solution="4.5"
keeps_the_label = {
    "mirrored": True,
    "rotated by 90 degrees": True,
    "stained a little more weakly": True,
    "nuclei enlarged to twice their size": False,
    "nuclei painted over": False,
}
check("4.5", keeps_the_label)
# %% wrong="4.5" says="size of nuclei"
check("4.5", {"mirrored": True, "rotated by 90 degrees": True, "stained a little more weakly": True,
              "nuclei enlarged to twice their size": True, "nuclei painted over": False})  # fmt: skip
# %% wrong="4.5" says="laborator"
check("4.5", {"mirrored": True, "rotated by 90 degrees": True, "stained a little more weakly": False,
              "nuclei enlarged to twice their size": False, "nuclei painted over": False})  # fmt: skip
# %% wrong="4.5" says="no up and down"
check("4.5", {"mirrored": True, "rotated by 90 degrees": False, "stained a little more weakly": True,
              "nuclei enlarged to twice their size": False, "nuclei painted over": False})  # fmt: skip
# %% check="4.5"
HINTS = (
    "Imagine that a colleague sees the changed image. Would she make the same diagnosis?",
    "A slide has no up or down, and laboratories stain differently. But the size of nuclei is part of the diagnosis.",
)


def grade(keeps: dict):
    """True or False for each change: does it keep the diagnosis?"""
    missing = [name for name, answer in keeps.items() if answer is ...]
    if missing:
        return "" if len(missing) == len(keeps) else f"Still missing: {', '.join(missing)}."
    if not keeps.get("mirrored"):
        return "mirrored: no diagnosis depends on the left and right of a slide."
    if not keeps.get("rotated by 90 degrees"):
        return "rotated: a slide has no up and down; its orientation under the microscope is arbitrary."
    if not keeps.get("stained a little more weakly"):
        return "stained more weakly: laboratories differ by more than that, and your network should tolerate it."
    if keeps.get("nuclei enlarged to twice their size"):
        return "enlarged: at one magnification the size of nuclei is a sign of a tumor. Such a zoom changes the label."
    if keeps.get("nuclei painted over"):
        return "painted over: this removes the basis of the diagnosis, and the network learns to guess."
    return Passed("Three changes keep it, two do not. For other images the list is different: it is your decision.")


# %% [markdown] teacher="4.5"
# **Purpose.** Augmentation is domain knowledge. Here a histologist knows more than any computer scientist: let the
# learners discuss.
#
# **Good examples.** A rotated digit 6; a mirrored chest X-ray (the heart is on the left); a leaf photographed from
# below; a color chart.
# %%
augmented = train_three(lambda: network(Normalize(mean, spread)), augment="flips")
compare_on_test(test, {"normalized": normalized, "augmented": augmented}, score="log_loss")
# %% [markdown]
# The sentence says *better* only if **two** tests agree: the confidence interval does not contain 0, and exchanging the
# predictions of the two networks at random gives a difference of this size in less than 5 % of tries. If only the first
# condition is true, the sentence says so. The 0.02 is not a measured value: it is the difference that we want to be
# able to detect.
#
# ## Transfer learning
#
# Other people have trained networks on more than a million photographs of a thousand different things. None of these
# photographs shows tissue, but edges, textures and shapes are everywhere. **Transfer learning** uses such a network,
# removes its last layer, and keeps the rest **frozen**: its weights do not change. Each image passes through it once,
# and its 1,280 outputs, the **features**, are the inputs of one new layer. Only this layer is trained. (The weights are
# included in Coverslip and need no download.)
# %%
features, test_features = frozen_features(train.x), frozen_features(test.x)
print(f"an image of {train.x[0].size} numbers has {features.shape[1]} features")
# %% [markdown] task="4.6"
# **Task 4.6** The frozen network has about 3.4 million weights. How many parameters are **trained** if one dense layer
# computes an output for each class from the 1,280 features?
# %% task="4.6"
trained_parameters = ...
check("4.6", trained_parameters, classes)
# %% solution="4.6"
trained_parameters = 1280 * classes + classes
check("4.6", trained_parameters, classes)
# %% wrong="4.6" says="frozen"
check("4.6", 3_400_000 + 1280 * classes + classes, classes)
# %% wrong="4.6" says="bias"
check("4.6", 1280 * classes, classes)
# %% wrong="4.6" says="for each class"
check("4.6", 1281, classes)
# %% check="4.6"
HINTS = (
    "A dense layer has a weight from each input to each output, and a bias for each output. Ignore frozen weights.",
    "1280 * classes weights and classes biases.",
)


def grade(count: int, classes: int):
    """The weights and biases of the trained layer."""
    if count > 1_000_000:
        return "The weights of the frozen network are not trained: they are frozen."
    if count == 1280 * classes:
        return "Close: each output has a bias, too."
    if count == 1281 and classes > 1:
        return "This is one output; there is one for each class."
    if count != 1281 * classes:
        return f"{count:,} is not correct: it is one dense layer from 1,280 features to {classes} outputs."
    return Passed(f"{count:,}: far fewer than in the dense layer of lesson 1, and so they need fewer images.")


# %% [markdown] teacher="4.6"
# **Purpose.** Why transfer learning works with 80 images: the trained layer is small, and the large network was trained
# by others.
#
# **Misconception.** "It must have seen my images." It has seen no tissue at all. Ask which images would be too
# different: spectra, sonograms, gels? (Try it with your own folder.)
# %%
def head(seed):
    torch.manual_seed(seed)
    return coverslip.fit(
        nn.Linear(1280, classes),
        features,
        train.y,
        **{**settings, "epochs": 60, "keep_best": True},
        groups=train.groups,
        seed=seed,
        verbose=0,
    )


transfer = [head(seed).predict(test_features) for seed in range(3)]
compare_on_test(test, {"normalized": normalized, "transfer": transfer})
# %% [markdown]
# Both networks saw the same 48 x 48 pixels. With larger images the frozen network gets more details, and is usually
# even better.
#
# `coverslip train FOLDER` does exactly this, and more carefully. It is almost always the first method to try.
# %% [markdown] slide
# With few images, start with a network that was trained on many.
# %% [markdown]
# ## All variants in one table
#
# Now we compare every variant with the one that overfitted ("normalized"), paired on the same slides. If you look at
# eight differences, you easily find one by chance. So the intervals on the right are wider, to be valid for all rows at
# the same time: a variant that was *better* when it was compared alone may be *not distinguishable* here. First comes
# the accuracy, then the log loss. For the accuracy, points to the right of 0 are better than "normalized"; for the log
# loss, points to the left are better.
# %%
variants = {
    "normalized": normalized,
    "plain": plain,
    "batch norm": batch_norm,
    "early stopping": early,
    **regularized,
    "augmented": augmented,
    "transfer": transfer,
}
comparison = compare_on_test(test, variants, reference="normalized")
comparison.plot()
# %%
print(comparison)
# %%
loss_comparison = compare_on_test(test, variants, score="log_loss", reference="normalized")
loss_comparison.plot()
# %% [markdown]
# Count the filled points on the right: only these variants are distinguishable from "normalized" *with this number of
# slides*. The others may help or harm a little; you would need more slides to know. This is not a failure of the test:
# it is the purpose of the test.
#
# ## How many slides are needed?
#
# The width of a confidence interval decreases with the square root of the number of slides. Each sentence above that
# says *not distinguishable* also says how many groups are needed to detect a difference of 0.02. The next cell compares
# one training of "normalized" and one of "transfer", on fewer slides and on all:
# %%
test_slides = len(set(test.groups))
for number in (10, 20, 50, 100, test_slides):
    if number <= test_slides // 2 or number == test_slides:
        subset = test if number == test_slides else test.split(seed=1, test_fraction=number / test_slides)[1]
        rows = [test.paths.index(path) for path in subset.paths]
        pair = compare_on_test(subset, {"normalized": normalized[0], "transfer": transfer[0][rows]})
        gain = pair.difference("normalized", "transfer")
        interval = "no interval" if gain["low"] is None else f"[{gain['low']:+.3f}, {gain['high']:+.3f}]"
        print(f"{pair.result['groups']:4} slides: accuracy of transfer {gain['difference']:+.3f} {interval}")
# %% [markdown] task="4.7"
# **Task 4.7** You tested two networks on **100** slides and found a difference of 0.02, with an interval of plus or
# minus **0.06**: this is not distinguishable from 0. You want an interval of plus or minus **0.02**. About how many
# slides do you need?
# %% task="4.7"
slides = ...
check("4.7", slides)
# %% solution="4.7"
slides = 100 * (0.06 / 0.02) ** 2
check("4.7", slides)
# %% wrong="4.7" says="square"
check("4.7", 300)
# %% wrong="4.7" says="more slides"
check("4.7", 33)
# %% wrong="4.7" says="same slides"
check("4.7", 100)
# %% check="4.7"
HINTS = (
    "Twice as many slides make an interval narrower by the square root of two. Here it must be three times narrower.",
    "For an interval that is three times narrower you need 3 * 3 times as many slides.",
)


def grade(slides: float):
    """The number of slides."""
    if 290 <= slides <= 310:
        return "300 slides make it narrower only by the square root of 3, to about 0.035."
    if slides < 100:
        return f"{slides:g} slides make the interval wider: more slides make it narrower."
    if slides == 100:
        return "With 100 slides the interval stays the same, even with more photographs of the same slides."
    if not 850 <= slides <= 950:
        return f"{slides:,.0f} is not correct: for a third of the width you need three times three as many slides."
    return Passed("900: nine times as many slides for an interval a third as wide. Good to know before the study.")


# %% [markdown] teacher="4.7"
# **Purpose.** The square-root law, and the habit of asking before the study. More images *of the same slides* hardly
# help: the number of groups counts.
#
# **When results differ.** They will, in this lesson more than in any other: which variants are distinguishable depends
# on the three trainings. Let the learners compare their tables: a result on which all agree (usually transfer learning)
# is a finding; the rest is chance.
# %% [markdown] slide
# An interval of a third of the width needs nine times as many slides. More images of the same slides do not count.
# %% [markdown]
# ## Summary
#
# * First overfit, then regularize. Normalize the inputs first, since this makes everything else easier.
# * With few images use transfer learning, augmentation that you can justify, and early stopping, in this order.
# * Look at the loss as well as the accuracy: a confident error is worse than an uncertain one.
# * Most methods change less than a test with few slides can show. Say so.
# %% [markdown] teacher
# The lesson trains two dozen small networks, in about a minute altogether. While a cell is running, let the learners
# *predict* the sentence that it will print: better, worse, or not distinguishable? Count the correct predictions on the
# board. The result is usually sobering.
#
# Only transfer learning helps reliably. Do not promise more for the other methods than the table shows.
