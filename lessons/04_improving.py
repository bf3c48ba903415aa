# ---
# title: Improving a network
# number: 4
# minutes: 65
# needs: []
# ---
# %% [markdown]
# # Improving a network
#
# A network can be improved in a hundred ways, and somebody on the internet recommends each of them. In this
# lesson you try eight, and you do what is rarely done: you ask of each whether it **really** helped, or whether
# that was chance.
#
# The order of work is old and good: **first overfit, then regularize.** A network that cannot even learn its
# training images by heart is too small, or trained badly; there is nothing to hold back yet. Once it can, hold
# it back, so that it learns what is common to the images and not each one's peculiarities.
# %%
import numpy as np
import torch
from torch import nn

import coverslip
from coverslip import figures
from coverslip.course import check, explorables, images
from coverslip.course.frozen import frozen_features
from coverslip.course.trials import Normalize, compare_on, curves, repeat

folder = None  # your own images: put the path of a folder here
# %% [markdown]
# Stained tissue this time, healthy or tumor, one field of each slide. We learn from *few* slides, as one does,
# and test on *many*, as one never can: a program drew them. So we can see how much a test with few would have
# told. (A *group* is one slide here.)
# %%
tissue = images(folder, look="tissue", classes=2, size=48, leaves=150, shots=1, most=150)
train, test = tissue.split(seed=0, share=0.73)
classes = len(tissue.names)
print(tissue)
print(f"\n{len(train)} images to learn from, {len(test)} to test on")
figures.examples(train.x, train.y, train.names, most=12)


# %% [markdown]
# A word on what follows. We will look at the test set many times, since we compare *recipes* and want to know
# the truth about them. In your own work you choose with the validation set, and look at the test set once; that
# is what lesson 5 and `coverslip train` do.
#
# Here is the network, three blocks and a dense layer, with a knob for each thing we are going to try. You need not
# follow every line: `network()` is the plain one, and each argument changes one thing.
# %%
def network(first=None, norm=False, filters=(16, 32, 64), units=128, dropout=0.0):
    layers, channels, side = [first] if first else [], 3, 48
    for each in filters:
        layers += [nn.Conv2d(channels, each, 3, padding=1), *([nn.BatchNorm2d(each)] if norm else [])]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels, side = each, side // 2
    layers += [nn.Flatten(), nn.Linear(channels * side * side, units), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(units, classes))


usual = {"epochs": 30, "lr": 1e-3, "batch_size": 16, "validation_split": 0.25, "keep_best": False}


def tried(make, **settings):
    """Train a recipe three times, each time from other first weights."""
    return repeat(make, train, times=3, **{**usual, **settings})


# %% [markdown]
# Each recipe is trained **three times**. One training tells you about one network; two trainings of the same
# recipe differ by chance alone. (`keep_best=False`: the network keeps the weights of the last epoch. Otherwise
# `coverslip.fit` takes those of the best one; we come to that.)
#
# ## Input normalization
#
# The network sees numbers from 0 to 1, and in bright images all of them are large: every weight of the first
# layer is pushed in the same direction at once. It is easier to learn from numbers around 0. So take away each
# color's mean and divide by its spread, **both measured on the training images**. (In lesson 3, `colors()` did
# it on the way.)
# %% [markdown] task="4.1"
# **Task 4.1** Measure them: `mean` and `spread` (the standard deviation), three numbers each, one for every
# color, on the scale from 0 to 1. `train.x` holds the training images as (images, height, width, color),
# numbers from 0 to 255. NumPy's `.mean(axis=(0, 1, 2))` averages over the first three.
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


def judge(mean, spread, train, tissue):
    """Three means and three standard deviations of the training images' colors, 0 to 1."""
    mean, spread = np.asarray(mean, float), np.asarray(spread, float)
    if mean.size == 1:
        return "That is one number for all three colors together. Stains differ in color: keep the last axis."
    if mean.shape != (3,) or spread.shape != (3,):
        return f"Three numbers each are wanted; these are of shape {mean.shape} and {spread.shape}."
    if mean.max() > 1:
        return "Those are on the scale 0 to 255; the network sees numbers from 0 to 1. Divide by 255."
    x, whole = train.x / 255, tissue.x / 255
    axes = (0, 1, 2)
    if np.allclose(mean, x.mean(axis=axes), atol=1e-3):
        if np.allclose(spread, x.var(axis=axes), atol=1e-4):
            return "The means are right. The spread is the variance: take its square root, or .std."
        if not np.allclose(spread, x.std(axis=axes), atol=1e-3):
            return "The means are right, the spreads are not: the standard deviation of each color, .std."
        if np.array_equal(mean, whole.mean(axis=axes)) and len(train.x) < len(whole):
            return "Those are of all images, the test images too."
        return Passed("Right. From now on these six numbers belong to the network, whatever images it is shown.")
    if np.allclose(mean, whole.mean(axis=axes), atol=1e-6):
        return "Those were measured on all images, the test images too. A small leak, but a leak: use train.x only."
    return "The means are not those of the training images' colors."


# %% [markdown] teacher="4.1"
# **What it is for.** Preparation is part of the model, and is *learned from the training set only*. The leak is
# tiny here; in a study with two scanners it is not.
#
# **Typical answers.** One mean for all colors; all images instead of `train`. Forgetting the 255 gives a
# network that sees everything near -0.5.
# %%
# lambda: a function without a name, called for each of the three trainings, so that each gets a new network
plain = tried(lambda: network())
normalized = tried(lambda: network(Normalize(mean, spread)))
curves({"plain": plain, "input normalized": normalized})
# %% [markdown]
# The line is the mean of three trainings, the band goes from the lowest of them to the highest. The normalized
# network needs fewer epochs to learn its training images. Does that help on the *test* images?
# %%
compare_on(test, {"plain": plain, "normalized": normalized})
# %% [markdown]
# Read the last sentence aloud. If it says *better*, you may say so, with the difference and its interval. If it says
# *not distinguishable*, you may say neither "it helped" nor "it did not help", only that these slides do not tell,
# and how many would.
# %% [markdown] slide
# "It helped" is a claim about a difference. It needs an interval, and a test on the same images.
# %% [markdown]
# ## First overfit
#
# Look at one of the three trainings in full. The blue line, of the images it learns from, reaches the ground: it
# knows them by heart. The orange one, of images held out, ends above it. The gap between them is overfitting.
# %%
normalized[0].plot()
# %% [markdown] task="4.2"
# **Task 4.2** Train a network that knows its training images by heart: at least 0.98 of them right in the last
# epoch. Hand in the **history**, of a training with a part held out, so that one can see what happens on the
# other side. The line behind `#` is a start; if it does not get there, change a setting. With 10 epochs instead of
# 30 you would write `**{**usual, "epochs": 10}`.
# %% task="4.2"
history = ...  # coverslip.fit(network(Normalize(mean, spread)), train.x, train.y, **usual)
check("4.2", history)
# %% solution="4.2"
torch.manual_seed(1)
history = coverslip.fit(
    network(Normalize(mean, spread)), train.x, train.y, **{**usual, "epochs": 40}, groups=train.groups, verbose=0
)
check("4.2", history)
# %% wrong="4.2" says="a history"
check("4.2", network(Normalize(mean, spread)))
# %% wrong="4.2" says="epochs"
history = coverslip.fit(network(), train.x, train.y, **{**usual, "epochs": 2}, verbose=0)
check("4.2", history)
# %% wrong="4.2" says="held out"
history = coverslip.fit(
    network(Normalize(mean, spread)), train.x, train.y, **{**usual, "validation_split": 0}, verbose=0
)
check("4.2", history)
# %% check="4.2"
from coverslip.training.outcome import History

HINTS = (
    "More epochs, until the training accuracy is 1; keep the part that is held out.",
    'history = coverslip.fit(network(Normalize(mean, spread)), train.x, train.y, **{**usual, "epochs": 40})',
)


def judge(history: History):
    """A history whose last training accuracy is 0.98 or more, with a part held out."""
    frame = history.frame
    if not len(history.validation_rows):
        return "Nothing was held out, so nobody sees what happens on other images. Leave validation_split at 0.25."
    reached = frame["train_accuracy"][-1]
    if reached < 0.98:
        more = "More epochs" if frame["train_accuracy"][-1] > frame["train_accuracy"][0] else "A smaller learning rate"
        return f"It has {reached:.2f} of its training images right after {frame.height} epochs. {more} will do it."
    losses = frame["validation_loss"].to_list()
    best = losses.index(min(losses)) + 1
    rise = losses[-1] / max(min(losses), 1e-9)
    after = f"the loss on held-out images was smallest after epoch {best} and has risen to {rise:.1f} times that"
    if best == frame.height:
        after = "the loss on held-out images is lowest after the last epoch, so it has not risen yet"
    return Passed(f"By heart: {reached:.2f} of the training images. Meanwhile {after}.")


# %% [markdown] teacher="4.2"
# **What it is for.** It feels wrong to overfit on purpose. It is the proof that images, labels, network and
# learning rate work together.
#
# **Misconception.** "The accuracy on held-out images did not fall, so it does not overfit." Let them look at
# the *loss*: the network becomes surer of its mistakes. Its probabilities are worth less and less, which matters
# to whoever has to decide by them.
# %% [markdown] slide
# First overfit, then regularize.
# %% [markdown]
# ## Early stopping
#
# The simplest way to hold a network back: stop while it is good. After each epoch look at the held-out part. If
# it has not become better for some epochs (the **patience**), stop, and take the weights of the best epoch.
# %% [markdown] task="4.3"
# **Task 4.3** By hand. The loss on held-out images, epoch by epoch, is below. With a patience of 3 (stop after
# three epochs in a row without a new best): after which epoch does training **stop**, and the weights of which
# epoch are **kept**? Epochs count from 1.
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
    "Go along the list and note each new best. When has there been none for three epochs in a row?",
    "0.47 in epoch 5 is a new best; epochs 6, 7 and 8 bring none.",
)


def judge(stopped: int, kept: int):
    """The epoch after which training stops, and the epoch whose weights are kept."""
    if (stopped, kept) == (7, 4):
        return "You count epochs from 0; here they count from 1."
    if kept == 9 or stopped > 8:
        return "Epoch 9 would have been the best, but training never gets there. That is the price of patience 3."
    if kept == 3:
        return "After epoch 3 there comes a new best within three epochs: the count begins again at epoch 5."
    if kept == 8 and stopped == 8:
        return "It stops after epoch 8, but the weights that are kept are not the last ones."
    if (stopped, kept) != (8, 5):
        return f"Stopping after {stopped} and keeping {kept} it is not."
    return Passed("Stopped after 8, kept 5. And it never saw epoch 9: patience is a bet.")


# %% [markdown] teacher="4.3"
# **What it is for.** "Early stopping" is two things: when to stop, and which weights to take. Epoch 9 is there to
# show that it is a heuristic.
# %%
early = tried(lambda: network(Normalize(mean, spread)), keep_best=True, patience=6)
print(
    "epochs trained:", [history.frame.height for history in early], " best:", [history.best_epoch for history in early]
)
compare_on(test, {"normalized": normalized, "early stopping": early}, score="log_loss")
# %% [markdown]
# This time we compared the **log loss**: it asks not only whether the answer is right but how sure the network
# was of it, and punishes being sure and wrong. Overfitting shows there first. Lower is better; *ahead* means lower,
# then.
#
# ## Simpler, L2, dropout
#
# Three more ways to hold back:
#
# * **Simplify**: fewer filters and units. What is not there cannot learn by heart.
# * **L2** (weight decay): add the sum of squared weights to the loss. Large weights have to be worth it.
# * **Dropout**: in training, switch off a random half of the units in every step. No unit can rely on a certain
#   other one. When the network is used, all are on.
#
# Below, two equal networks learn from the same points. Press *Run*: only the right one is held back. Then move *L2*
# or *Dropout* and run again.
# %%
explorables.regularization()
# %% [markdown] task="4.4"
# **Task 4.4** Where does dropout go? Build a small network on 100 numbers: a dense layer of 50 units, ReLU,
# dropout of one half, and two outputs. The check feeds it the same input twice, once as in training and once as
# in use.
# %% task="4.4"
small = ...
check("4.4", small)
# %% solution="4.4"
small = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 2))
check("4.4", small)
# %% wrong="4.4" says="its answers"
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
    "It belongs behind the hidden layer: those are the units that should not rely on one another.",
    "nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 2))",
)


def judge(small: nn.Module):
    """A network of 100 numbers, 50 units with dropout of a half, and two outputs."""
    layers = [layer for layer in small.modules() if isinstance(layer, nn.Linear | nn.Dropout | nn.ReLU)]
    kinds = [type(layer).__name__ for layer in layers]
    if "Dropout" not in kinds:
        return "There is no dropout in it yet."
    if kinds[-1] == "Dropout":
        return "The dropout is behind the last layer: it switches off its answers, half of the time, at random."
    if kinds[0] == "Dropout":
        return "The dropout stands before anything was learned: it hides half of the input. Put it behind the ReLU."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in small.modules()):
        return "Leave the softmax away, as in lesson 3: two scores are wanted."
    share = next(layer.p for layer in layers if isinstance(layer, nn.Dropout))
    if share != 0.5:
        return f"It drops {share:g} of the units; one half is wanted."
    given = torch.ones(4, 100)
    with torch.no_grad():
        answer = small.eval()(given)
        again = small(given)
        small.train()
        noisy = [small(given) for _ in range(4)]
    if tuple(answer.shape) != (4, 2):
        return f"It answers with shape {tuple(answer.shape)}; two outputs a row are wanted."
    if not torch.equal(answer, again) or all(torch.equal(each, noisy[0]) for each in noisy):
        return "In training its answers to the same input should differ, and in use they should not."
    return Passed("In training it answers differently each time, in use always the same: that is dropout.")


# %% [markdown] teacher="4.4"
# **What it is for.** Two modes of one network, training and use. Most "my results change each time I run predict"
# are a forgotten `.eval()`.
# %%
held_back = {
    "simpler": tried(lambda: network(Normalize(mean, spread), filters=(8, 8, 8), units=16)),
    "L2": tried(lambda: network(Normalize(mean, spread)), l2=1e-2),
    "dropout": tried(lambda: network(Normalize(mean, spread), dropout=0.5)),
}
compare_on(test, {"normalized": normalized, **held_back}, score="log_loss", reference="normalized")
# %% [markdown]
# ## Batch normalization
#
# Normalizing the input was good for the first layer. **Batch normalization** does the same between the layers: in
# training, each map is brought to mean 0 and spread 1 *over the images of the batch*; in use, with the means
# that were seen on the way. It makes deep networks easier to train. With few images, the means of small batches
# are noisy: look whether its loss jumps in single epochs.
# %%
batch_norm = tried(lambda: network(Normalize(mean, spread), norm=True))
curves({"normalized": normalized, "batch normalization": batch_norm}, "validation_loss")
# %% [markdown]
# ## More images than you have: augmentation
#
# A mirrored slide is still the same diagnosis. **Augmentation** shows the network another version of each image
# in every epoch: mirrored, turned, a little brighter. It is the cheapest way to more data, and the only one here
# that adds *knowledge*: yours, about what does not matter. So it is you who has to say what does not.
# %% [markdown] task="4.5"
# **Task 4.5** Tissue under the microscope, tumor or healthy, all at one magnification. Which of these leave the
# diagnosis as it is? Replace each `...` by `True` or `False`.
# %% task="4.5"
keeps_the_label = {
    "mirrored": ...,
    "turned by a quarter": ...,
    "stained a little more weakly": ...,
    "nuclei enlarged to twice their size": ...,
    "nuclei painted over": ...,
}
check("4.5", keeps_the_label)
# %% solution="4.5"
keeps_the_label = {
    "mirrored": True,
    "turned by a quarter": True,
    "stained a little more weakly": True,
    "nuclei enlarged to twice their size": False,
    "nuclei painted over": False,
}
check("4.5", keeps_the_label)
# %% wrong="4.5" says="size of nuclei"
check("4.5", {"mirrored": True, "turned by a quarter": True, "stained a little more weakly": True,
              "nuclei enlarged to twice their size": True, "nuclei painted over": False})  # fmt: skip
# %% wrong="4.5" says="laborator"
check("4.5", {"mirrored": True, "turned by a quarter": True, "stained a little more weakly": False,
              "nuclei enlarged to twice their size": False, "nuclei painted over": False})  # fmt: skip
# %% wrong="4.5" says="no up and down"
check("4.5", {"mirrored": True, "turned by a quarter": False, "stained a little more weakly": True,
              "nuclei enlarged to twice their size": False, "nuclei painted over": False})  # fmt: skip
# %% check="4.5"
HINTS = (
    "Imagine the changed image on a colleague's desk. Would she name it as before?",
    "A slide has no up or down, and laboratories stain differently. But how large nuclei are is part of the diagnosis.",
)


def judge(keeps: dict):
    """For each change True or False: does the diagnosis stay?"""
    open_ones = [name for name, answer in keeps.items() if answer is ...]
    if open_ones:
        return "" if len(open_ones) == len(keeps) else f"Still open: {', '.join(open_ones)}."
    if not keeps.get("mirrored"):
        return "mirrored: nobody's diagnosis depends on left and right of a slide."
    if not keeps.get("turned by a quarter"):
        return "turned: a slide has no up and down; somebody laid it under the microscope that way."
    if not keeps.get("stained a little more weakly"):
        return "stained more weakly: laboratories differ by more than that, and your network should not mind."
    if keeps.get("nuclei enlarged to twice their size"):
        return "enlarged: at one magnification the size of nuclei is a sign of a tumor. Such a zoom changes the label."
    if keeps.get("nuclei painted over"):
        return "painted over: then what the diagnosis rests on is gone, and the network is taught to guess."
    return Passed("Three keep it, two do not. For leaves, mail or X-rays the list is another one: it is yours to make.")


# %% [markdown] teacher="4.5"
# **What it is for.** Augmentation is domain knowledge. This is where a histologist knows more than any computer
# scientist: let them argue.
#
# **Good discussions.** A digit 6 turned; a chest X-ray mirrored (the heart is on the left); a leaf photographed
# from below; a color chart.
# %%
augmented = tried(lambda: network(Normalize(mean, spread)), augment="flips")
compare_on(test, {"normalized": normalized, "augmented": augmented}, score="log_loss")
# %% [markdown]
# *Better* stands there only if **two** tests agree: the interval does not hold 0, and exchanging the answers of the
# two networks at random gives as large a difference in less than 5% of tries. If only the first holds, the sentence
# says so ("though exchanging ..."). The 0.02 is not what was measured: it is the difference we would like to be able
# to see.
#
# ## Standing on shoulders: transfer learning
#
# Somebody has trained a network on more than a million photographs of a thousand things. None of them was tissue,
# but edges, textures and shapes are everywhere. **Transfer learning** takes that network, throws away its last
# layer, and keeps the rest **frozen**: its weights do not change. Each image goes through it once, and what
# comes out, 1,280 numbers, is the input of one new layer, which is all we train. (The weights came along with
# Coverslip: no download.)
# %%
features, features_of_test = frozen_features(train.x), frozen_features(test.x)
print(train.x[0].size, "numbers of an image become", features.shape[1])
# %% [markdown] task="4.6"
# **Task 4.6** The frozen network has about 3.4 million weights. How many numbers are **trained**, if one dense
# layer stands on the 1,280 features and has an output for each class?
# %% task="4.6"
trained_numbers = ...
check("4.6", trained_numbers, classes)
# %% solution="4.6"
trained_numbers = 1280 * classes + classes
check("4.6", trained_numbers, classes)
# %% wrong="4.6" says="frozen"
check("4.6", 3_400_000 + 1280 * classes + classes, classes)
# %% wrong="4.6" says="bias"
check("4.6", 1280 * classes, classes)
# %% wrong="4.6" says="for each class"
check("4.6", 1281, classes)
# %% check="4.6"
HINTS = (
    "A dense layer has a weight from each input to each output, and a bias for each output. Frozen ones do not count.",
    "1280 * classes weights and classes biases.",
)


def judge(count: int, classes: int):
    """Weights and biases of the one layer that is trained."""
    if count > 1_000_000:
        return "The frozen numbers are there, but they are frozen: nothing trains them."
    if count == 1280 * classes:
        return "Close: an output has a bias, too."
    if count == 1281 and classes > 1:
        return "That is one output; there is one for each class."
    if count != 1281 * classes:
        return f"{count:,} it is not: one dense layer from 1,280 numbers to {classes}."
    return Passed(f"{count:,}: fewer than the dense layer of lesson 1 by a long way, and so they need fewer images.")


# %% [markdown] teacher="4.6"
# **What it is for.** Why transfer learning works with 80 images: what is trained is small, and what is large
# was paid for by others.
#
# **Misconception.** "It must have seen my images." It has seen no tissue at all. Ask what would be too far
# away: spectra, sonograms, gels? (Try it: with your own folder.)
# %%
def head(seed):
    torch.manual_seed(seed)
    return coverslip.fit(
        nn.Linear(1280, classes),
        features,
        train.y,
        **{**usual, "epochs": 60, "keep_best": True},
        groups=train.groups,
        seed=seed,
        verbose=0,
    )


transfer = [head(seed).predict(features_of_test) for seed in range(3)]
compare_on(test, {"normalized": normalized, "transfer": transfer})
# %% [markdown]
# Both saw the same 48 x 48 pixels. On larger images the frozen network sees more, and is usually better still.
#
# `coverslip train FOLDER` does exactly this, and more carefully. It is nearly always the first thing to try.
# %% [markdown] slide
# With few images, begin with a network that has seen many.
# %% [markdown]
# ## All of it in one table
#
# Every recipe against the one that learned by heart ("normalized"), on the same slides, paired. Who looks at eight
# differences easily finds one by chance. So the intervals on the right are made wider, to hold for all rows at once:
# a recipe that was *better* when it was compared alone may be *not distinguishable* here. First the accuracy, then
# the log loss; in the accuracy, points to the right of 0 are ahead of "normalized", in the log loss those to the left.
# %%
recipes = {
    "normalized": normalized,
    "plain": plain,
    "batch norm": batch_norm,
    "early stopping": early,
    **held_back,
    "augmented": augmented,
    "transfer": transfer,
}
contest = compare_on(test, recipes, reference="normalized")
contest.plot()
# %%
print(contest)
# %%
contest_of_loss = compare_on(test, recipes, score="log_loss", reference="normalized")
contest_of_loss.plot()
# %% [markdown]
# Count the filled points on the right: only these recipes can be told from "normalized" *with this many slides*. The
# others may help, or harm, a little; you would need more slides to know. That is not a failure of the test: it is
# what the test is for.
#
# ## How many would settle it?
#
# The width of an interval shrinks with the square root of the number of slides. Each sentence above that says
# *not distinguishable* adds how many it would take to see a difference of 0.02. Here are one training of
# "normalized" and one of "transfer", compared on fewer slides and on all:
# %%
test_slides = len(set(test.groups))
for number in (10, 20, 50, 100, test_slides):
    if number <= test_slides // 2 or number == test_slides:
        some = test if number == test_slides else test.split(seed=1, share=number / test_slides)[1]
        rows = [test.paths.index(path) for path in some.paths]
        few = compare_on(some, {"normalized": normalized[0], "transfer": transfer[0][rows]})
        told = few.difference("normalized", "transfer")
        width = "no interval" if told["low"] is None else f"[{told['low']:+.3f}, {told['high']:+.3f}]"
        print(f"{few.found['groups']:4} slides: transfer ahead by {told['difference']:+.3f} {width}")
# %% [markdown] task="4.7"
# **Task 4.7** You tested two networks on **100** slides and found a difference of 0.02, with an interval of plus
# or minus **0.06**: nothing can be told. You want the interval to be plus or minus **0.02**. About how many
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
    "Twice as many slides make an interval narrower by the square root of two. Here: three times narrower.",
    "Three times narrower takes 3 * 3 times as many slides.",
)


def judge(slides: float):
    """The number of slides."""
    if 290 <= slides <= 310:
        return "300 would make it narrower by the square root of 3 only, to about 0.035."
    if slides < 100:
        return f"{slides:g} would make the interval wider: more slides make it narrower."
    if slides == 100:
        return "With as many the interval stays as it is, even if the same slides are photographed more often."
    if not 850 <= slides <= 950:
        return f"{slides:,.0f} it is not: three times narrower takes three times three as many."
    return Passed("900: nine times as many slides for an interval a third as wide. Good to know before the study.")


# %% [markdown] teacher="4.7"
# **What it is for.** The square-root law, and the habit of asking before the study. More images *of the same
# slides* hardly help: groups count.
#
# **If results differ.** They will, in this lesson more than in any other: which recipes are told apart depends on
# the three trainings. Have learners compare their tables: what all of them agree on (transfer, as a rule) is a
# finding; the rest is weather.
# %% [markdown] slide
# Three times narrower takes nine times as many. More images of the same slides do not count.
# %% [markdown]
# ## What to take home
#
# * First overfit, then regularize. Normalize first, since everything is easier then.
# * With few images: transfer learning, augmentation that you can justify, early stopping. In that order.
# * Look at the loss as well as the accuracy: being sure and wrong is a mistake of its own.
# * Most tricks change less than a test with few slides can see. Say so.
# %% [markdown] teacher
# The lesson trains two dozen small networks, about a minute altogether. While a cell runs, let learners *predict*
# the sentence it will print: better, worse, or not distinguishable? Keep the tally on the board. It is usually
# sobering.
#
# Only transfer learning is a safe bet. Do not sell the others harder than the table does.
