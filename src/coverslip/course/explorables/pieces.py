"""The five pieces: what a learner reads first, what can be set, and what a notebook can read back."""

from __future__ import annotations

from coverslip.course.explorables.options import Choice, Number, Piece, Point, Result, Rows, Suggestion

RATES = tuple(float(f"{10 ** (k / 10 - 3):.2g}") for k in range(41))  # 0.001 to 10, ten to a decade
EDGE = ((10.0, 10.0, 10.0, 0.0, 0.0, 0.0),) * 6
VERTICAL = ((1.0, 0.0, -1.0),) * 3
FUNCTIONS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "leaky_relu": "Leaky ReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "softplus": "Softplus",
    "linear": "None (linear)",
}
SHAPES = {"moons": "Two moons", "rings": "Disk and ring", "corners": "Four corners"}
SEED = Number(value=0, low=0, high=9999, whole=True, step=1)

DESCENT = Piece(
    name="descent",
    short="Gradient descent",
    title="Downhill, step by step",
    opening="Click on the map to choose where to start, press Run, and watch where the steps lead.",
    suggestions=(
        Suggestion(
            text="The ravine at three rates: 0.01, 0.1 and 0.25. Which gets to the bottom, and what do the others do?",
            set={"surface": "ravine", "learning_rate": 0.01, "batch_size": 64, "start": [-2.4, 0.6]},
        ),
        Suggestion(
            text="One example a step: what does the path do near the bottom? Then make the rate ten times smaller.",
            set={"surface": "bowl", "learning_rate": 0.4, "batch_size": 1, "start": [-2.2, 1.8]},
        ),
        Suggestion(
            text="All 64 examples stop on the saddle, though the loss is not the lowest. Do 4 examples stop there too?",
            set={"surface": "saddle", "learning_rate": 0.1, "batch_size": 64, "start": [0, 2.5]},
        ),
    ),
    options={
        "surface": Choice(
            value="bowl",
            names={
                "bowl": "Bowl",
                "ravine": "Ravine",
                "saddle": "Saddle",
                "valleys": "Two valleys",
                "dents": "Dents",
            },
        ),
        "learning_rate": Number(value=0.1, low=0.001, high=10, stops=RATES),
        "batch_size": Number(value=64, low=1, high=64, whole=True, stops=(1, 2, 4, 8, 16, 32, 64)),
        "start": Point(value=(-2.2, 1.8), low=-3, high=3),
        "seed": SEED,
    },
    results={
        "position": Result(value=[], says="the two weights now"),
        "steps": Result(value=0, says="steps taken"),
        "loss": Result(value=None, says="loss of all examples here; None once the walk is lost"),
        "verdict": Result(value="", says="of the rate: too small, right, too large, or empty"),
    },
)

KERNEL = Piece(
    name="kernel",
    short="Kernel",
    title="A kernel on an image",
    opening="Drag the kernel over the left image: every place it stands gives one number of the right one.",
    suggestions=(
        Suggestion(
            text="A vertical edge. At which places is the answer not 0? Turn the kernel's signs round: what changes?",
            set={"image": "numbers", "weights": VERTICAL, "stride": 1, "padding": 0},
        ),
        Suggestion(
            text="With padding 1 the new image is as large as the old one. Which numbers come from the padding?",
            set={"image": "numbers", "weights": VERTICAL, "stride": 1, "padding": 1},
        ),
        Suggestion(
            text="Outlines of a leaf at stride 3: how many numbers are left of 2,304? Can you still see the spots?",
            set={
                "image": "leaf",
                "weights": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
                "stride": 3,
                "padding": 0,
            },
        ),
    ),
    options={
        "image": Choice(value="numbers", names={"numbers": "Numbers", "leaf": "A leaf"}),
        "numbers": Rows(value=EDGE, smallest=(3, 3), largest=(12, 12)),
        "weights": Rows(value=VERTICAL, smallest=(3, 3), largest=(3, 3)),
        "stride": Number(value=1, low=1, high=3, whole=True, step=1),
        "padding": Number(value=0, low=0, high=2, whole=True, step=1),
    },
    results={
        "place": Result(value=[0, 0], says="row and column of the new image, from 0"),
        "answer": Result(value=None, says="the number at this place"),
        "size": Result(value=[], says="rows and columns of the new image"),
        "output": Result(value=[], says="of numbers: the new image so far, None where the kernel has not been"),
        "seen": Result(value=0, says="places the kernel has been to"),
    },
)

ACTIVATIONS = Piece(
    name="activations",
    short="Activation functions",
    title="What a unit lets through, and what it learns from",
    opening="Drag the inputs left and right: the upper curve is what the unit gives, the lower one its slope.",
    suggestions=(
        Suggestion(
            text="Move a sigmoid from 0 to 6. What becomes of its slope, and what is left of it after ten layers?",
            set={"function": "sigmoid", "compare": "none", "input": 0, "spread": 0.5},
        ),
        Suggestion(
            text="Move a ReLU's inputs left until no image has a slope any more. What could bring this unit back?",
            set={"function": "relu", "compare": "none", "input": 1, "spread": 0.7},
        ),
        Suggestion(
            text="At −2, compare ReLU with leaky ReLU: through how many layers does a tenth of the slope carry?",
            set={"function": "leaky_relu", "compare": "relu", "input": -2, "spread": 0.5},
        ),
    ),
    options={
        "function": Choice(value="relu", names=FUNCTIONS),
        "compare": Choice(value="none", names={"none": "nothing"} | FUNCTIONS),
        "input": Number(value=1, low=-6, high=6, step=0.1),
        "spread": Number(value=0.7, low=0, high=2, step=0.1),
    },
    results={
        "output": Result(value=None, says="what the unit gives at the input"),
        "slope": Result(value=None, says="its slope there"),
        "silent": Result(value=0, says="of 40 images, those whose slope is under 0.05"),
    },
)

CAPACITY = Piece(
    name="capacity",
    short="Capacity",
    title="Too little, enough, too much",
    opening="Choose how many hidden units the network has, press Run, and see which boundary it draws.",
    suggestions=(
        Suggestion(
            text="0 units draw a straight line. What is the smallest number that follows the two moons?",
            set={"data": "moons", "units": 0, "points": 100, "noise": 0.3},
        ),
        Suggestion(
            text="64 units, 40 noisy points: every training point is right in the end. At which epoch was it best?",
            set={"data": "moons", "units": 64, "points": 40, "noise": 0.6},
        ),
        Suggestion(
            text="The same 64 units with 400 points: is the gap smaller? Try all sizes with 40 points, then 400.",
            set={"data": "moons", "units": 64, "points": 400, "noise": 0.6},
        ),
    ),
    options={
        "data": Choice(value="moons", names=SHAPES),
        "units": Number(value=4, low=0, high=64, whole=True, stops=(0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)),
        "points": Number(value=100, low=20, high=400, whole=True, stops=(20, 40, 60, 100, 200, 400)),
        "noise": Number(value=0.5, low=0, high=1, step=0.1),
        "seed": SEED,
    },
    results={
        "epoch": Result(value=0, says="epochs trained"),
        "train_loss": Result(value=None, says="loss on the training points"),
        "validation_loss": Result(value=None, says="loss on 400 other points"),
        "train_accuracy": Result(value=None, says="share of training points on their side"),
        "validation_accuracy": Result(value=None, says="share of the other points on their side"),
        "best_epoch": Result(value=0, says="the epoch with the lowest validation loss so far"),
        "parameters": Result(value=0, says="weights and biases of the network"),
    },
)

REGULARIZATION = Piece(
    name="regularization",
    short="L2 and dropout",
    title="Held back: L2 and dropout",
    opening="Two equal networks learn from the same points, one of them held back: press Run and compare.",
    suggestions=(
        Suggestion(
            text="L2 at 0.003, then 0.03, then 0.3: follow the weights, then the boundary. When is it too much?",
            set={"l2": 0.003, "dropout": 0, "points": 40, "noise": 0.6},
        ),
        Suggestion(
            text="Dropout of a half: is any single unit as strong as the strongest one without it?",
            set={"l2": 0, "dropout": 0.5, "points": 40, "noise": 0.6},
        ),
        Suggestion(
            text="Now 400 points. How much do the two networks still differ, and what has helped more: L2 or data?",
            set={"l2": 0.003, "dropout": 0, "points": 400, "noise": 0.6},
        ),
    ),
    options={
        "l2": Number(value=0.003, low=0, high=1, stops=(0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)),
        "dropout": Number(value=0, low=0, high=0.8, step=0.1),
        "data": Choice(value="moons", names=SHAPES),
        "points": Number(value=40, low=20, high=400, whole=True, stops=(20, 40, 60, 100, 200, 400)),
        "noise": Number(value=0.6, low=0, high=1, step=0.1),
        "seed": SEED,
    },
    results={
        "epoch": Result(value=0, says="epochs trained"),
        "weight_size": Result(value=None, says="typical size of a weight (root mean square), held back"),
        "weight_size_free": Result(value=None, says="the same of the free network"),
        "validation_loss": Result(value=None, says="loss on 400 other points, held back"),
        "validation_loss_free": Result(value=None, says="the same of the free network"),
        "validation_accuracy": Result(value=None, says="share of the other points on their side, held back"),
        "validation_accuracy_free": Result(value=None, says="the same of the free network"),
    },
)

PIECES = {piece.name: piece for piece in (DESCENT, KERNEL, ACTIVATIONS, CAPACITY, REGULARIZATION)}
