# ---
# title: A tiny lesson
# number: 1
# minutes: 5
# needs: []
# ---
# %% [markdown]
# # A tiny lesson
#
# Two classes of leaves, and one number to count.
# %%
import numpy as np
from torch import nn

from coverslip.course import check, images

folder = None  # your own images: put the path of a folder here
leaves = images(folder, leaves=2, shots=1, size=32)
leaves
# %% [markdown] slide
# An image is a block of numbers: height x width x colors.
# %%
from coverslip import figures

figures.examples(leaves.x, leaves.y, leaves.names)
# %% [markdown] task="1.1"
# **Task 1.1** How many numbers is one image made of?
# %% task="1.1"
numbers = ...
check("1.1", numbers)
# %% solution="1.1"
numbers = 32 * 32 * 3
check("1.1", numbers)
# %% wrong="1.1" says="one color"
numbers = 32 * 32
check("1.1", numbers)
# %% wrong="1.1" says="four images"
numbers = 4 * 32 * 32 * 3
check("1.1", numbers)
# %% check="1.1"
HINTS = ("Height times width is not enough: an image has colors.", "It is 32 times 32 times 3.")


def grade(numbers: int):
    """The count of numbers in one image of 32 x 32 pixels."""
    if numbers == 1024:
        return "This counts one color of three."
    if numbers == 4 * 3072:
        return "This counts all four images; the task asks for one."
    if numbers != 3072:
        return f"{numbers:,} is not correct."
    return Passed("3,072 is correct: 32 x 32 pixels with three numbers each.")


# %% [markdown] teacher="1.1"
# **Purpose.** An image consists of numbers that one can count.
#
# **Typical answers.** 1,024: the colors were forgotten.
# %% [markdown] task="1.2"
# **Task 1.2** Build a network with one linear layer and two outputs.
# %% task="1.2"
network = ...
check("1.2", network)
# %% solution="1.2"
network = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, 2))
check("1.2", network)
# %% wrong="1.2" says="3 outputs"
network = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, 3))
check("1.2", network)
# %% wrong="1.2" says="expected a network"
network = np.zeros(3)
check("1.2", network)
# %% check="1.2"
from torch import nn

HINTS = ("nn.Sequential(nn.Flatten(), ...) is a start.", "nn.Linear(3072, 2) follows nn.Flatten().")


def grade(network: nn.Module):
    """A network of one linear layer and two outputs."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if len(layers) != 1:
        return f"It has {len(layers)} linear layers; the task asks for one."
    if layers[0].out_features != 2:
        return f"It has {layers[0].out_features} outputs, and there are two classes."


# %% [markdown] teacher="1.2"
# **Purpose.** The smallest possible network.
