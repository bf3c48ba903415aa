"""The five explorables: their texts, the options that can be set, and the results that a notebook can read."""

from __future__ import annotations

from coverslip.course.explorables.options import Choice, Explorable, Number, Point, Result, Rows, Suggestion

LEARNING_RATES = tuple(float(f"{10 ** (k / 10 - 3):.2g}") for k in range(41))  # 0.001 to 10, ten per decade
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

DESCENT = Explorable(
    name="descent",
    short="Gradient descent",
    title="Gradient descent, step by step",
    opening="Click on the map to choose the start, press Run, and watch where the steps lead.",
    suggestions=(
        Suggestion(
            text="Ravine: learning rates of 0.01, 0.1 and 0.25. Which one reaches the bottom, what do the others do?",
            set={"surface": "ravine", "learning_rate": 0.01, "batch_size": 64, "start": [-2.4, 0.6]},
        ),
        Suggestion(
            text="One example per step: what does the path do near the bottom? Then use a tenth of the learning rate.",
            set={"surface": "bowl", "learning_rate": 0.4, "batch_size": 1, "start": [-2.2, 1.8]},
        ),
        Suggestion(
            text="With all 64 examples the walk stops on the saddle. Does it stop there with 4 examples per step?",
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
        "learning_rate": Number(value=0.1, low=0.001, high=10, stops=LEARNING_RATES),
        "batch_size": Number(value=64, low=1, high=64, whole=True, stops=(1, 2, 4, 8, 16, 32, 64)),
        "start": Point(value=(-2.2, 1.8), low=-3, high=3),
        "seed": SEED,
    },
    results={
        "position": Result(value=[], meaning="the current two weights"),
        "steps": Result(value=0, meaning="steps taken"),
        "loss": Result(value=None, meaning="loss of all examples at this position; None once the walk has diverged"),
        "verdict": Result(value="", meaning="verdict on the learning rate: too small, right, too large, or empty"),
    },
)

KERNEL = Explorable(
    name="kernel",
    short="Kernel",
    title="A kernel on an image",
    opening="Drag the kernel over the image on the left: each position gives one number of the output on the right.",
    suggestions=(
        Suggestion(
            text="A vertical edge: at which positions is the output not 0? Reverse the kernel's signs: what changes?",
            set={"image": "numbers", "weights": VERTICAL, "stride": 1, "padding": 0},
        ),
        Suggestion(
            text="With padding 1 the output is as large as the image. Which of its numbers depend on the padding?",
            set={"image": "numbers", "weights": VERTICAL, "stride": 1, "padding": 1},
        ),
        Suggestion(
            text="Outlines of a leaf, stride 3: how many of the 2,304 numbers are left? Are the spots still visible?",
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
        "position": Result(value=[0, 0], meaning="row and column of the output, counted from 0"),
        "response": Result(value=None, meaning="the output at this position"),
        "size": Result(value=[], meaning="rows and columns of the output"),
        "output": Result(value=[], meaning="the output so far, None where the kernel has not been; empty for the leaf"),
        "visited": Result(value=0, meaning="number of positions the kernel has visited"),
    },
)

ACTIVATIONS = Explorable(
    name="activations",
    short="Activation functions",
    title="Outputs and slopes of a unit",
    opening="Drag the inputs left and right: the upper curve shows the output of the unit, the lower one its slope.",
    suggestions=(
        Suggestion(
            text="Move a sigmoid from 0 to 6. What happens to its slope, and how much is left of it after ten layers?",
            set={"function": "sigmoid", "compare": "none", "input": 0, "spread": 0.5},
        ),
        Suggestion(
            text="Move a ReLU's inputs to the left until the slope is 0 for every image. What could revive this unit?",
            set={"function": "relu", "compare": "none", "input": 1, "spread": 0.7},
        ),
        Suggestion(
            text="Compare ReLU and leaky ReLU at −2: how many layers can a gradient pass if each keeps a tenth?",
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
        "output": Result(value=None, meaning="output of the unit at the input"),
        "slope": Result(value=None, meaning="slope at the input"),
        "silent": Result(value=0, meaning="number of the 40 images whose slope is below 0.05"),
    },
)

CAPACITY = Explorable(
    name="capacity",
    short="Capacity",
    title="Too little capacity, enough, too much",
    opening="Choose the number of hidden units, press Run, and watch the decision boundary.",
    suggestions=(
        Suggestion(
            text="0 units give a straight line. What is the smallest number of units that can separate the two moons?",
            set={"data": "moons", "units": 0, "points": 100, "noise": 0.3},
        ),
        Suggestion(
            text="64 units, 40 noisy points: in the end every training point is correct. Which epoch was the best one?",
            set={"data": "moons", "units": 64, "points": 40, "noise": 0.6},
        ),
        Suggestion(
            text="The same 64 units with 400 points: is the gap smaller? Try all sizes with 40 points, then with 400.",
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
        "epoch": Result(value=0, meaning="epochs trained"),
        "train_loss": Result(value=None, meaning="loss on the training points"),
        "validation_loss": Result(value=None, meaning="loss on 400 validation points"),
        "train_accuracy": Result(value=None, meaning="accuracy on the training points"),
        "validation_accuracy": Result(value=None, meaning="accuracy on the validation points"),
        "best_epoch": Result(value=0, meaning="epoch with the lowest validation loss so far"),
        "parameters": Result(value=0, meaning="number of weights and biases"),
    },
)

REGULARIZATION = Explorable(
    name="regularization",
    short="L2 and dropout",
    title="Regularization: L2 and dropout",
    opening="Two identical networks learn from the same points, one with regularization: press Run and compare.",
    suggestions=(
        Suggestion(
            text="L2 of 0.003, then 0.03, then 0.3: watch the weights and the boundary. When is it too strong?",
            set={"l2": 0.003, "dropout": 0, "points": 40, "noise": 0.6},
        ),
        Suggestion(
            text="Dropout of 0.5: is any unit as strong as the strongest unit of the network without dropout?",
            set={"l2": 0, "dropout": 0.5, "points": 40, "noise": 0.6},
        ),
        Suggestion(
            text="Now 400 points: how much do the two networks still differ? What helped more, L2 or more data?",
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
        "epoch": Result(value=0, meaning="epochs trained"),
        "weight_size": Result(value=None, meaning="root mean square of the weights of the regularized network"),
        "weight_size_free": Result(value=None, meaning="root mean square of the weights of the unregularized network"),
        "validation_loss": Result(value=None, meaning="loss on 400 validation points, regularized"),
        "validation_loss_free": Result(value=None, meaning="loss on 400 validation points, unregularized"),
        "validation_accuracy": Result(value=None, meaning="accuracy on the validation points, regularized"),
        "validation_accuracy_free": Result(value=None, meaning="accuracy on the validation points, unregularized"),
    },
)

EXPLORABLES = {explorable.name: explorable for explorable in (DESCENT, KERNEL, ACTIVATIONS, CAPACITY, REGULARIZATION)}
