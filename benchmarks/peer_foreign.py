"""Train small classifiers with Keras, TensorFlow and scikit-learn, and export them as documented.

    python peer_foreign.py FOLDER OUT

``FOLDER`` contains ``train`` and ``test``, each with one folder per class, with images of one size. Writes
``NAME/model.onnx`` and ``NAME/own.npy`` (the framework's predictions for the test images, sorted by name) to ``OUT``,
and prints the inputs and outputs of each file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
Told = dict[str, Any]
"""Return the fields of ``model.json`` for input and output."""


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 (N, H, W, 3), and labels, sorted by name."""
    classes = sorted(each.name for each in folder.iterdir())
    files = [(path, number) for number, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
    return np.stack([np.asarray(Image.open(path)) for path, _ in files]), np.array([number for _, number in files])


def keras_network(size: int, classes: int, last: str) -> Any:
    """Return a convolutional network with rescaling of 0 to 255 and a softmax, one sigmoid or no output function."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    outputs = 1 if last == "sigmoid" else classes
    stack = [keras.Input((size, size, 3)), layers.Rescaling(1 / 255)]
    for filters in (16, 32):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(outputs, activation=last)]
    network = keras.Sequential(stack)
    from_logits = last == "linear"
    loss = {"sigmoid": "binary_crossentropy"}.get(last) or keras.losses.SparseCategoricalCrossentropy(from_logits)
    network.compile(keras.optimizers.Adam(0.01), loss)
    return network


def from_keras(x: np.ndarray, y: np.ndarray, test: np.ndarray, out: Path, last: str) -> Told:
    """Export with ``model.export(format="onnx")``.

    With ``linear`` the network is exported through a SavedModel and the tf2onnx command, as TensorFlow's users do.
    """
    network = keras_network(x.shape[1], int(y.max()) + 1, last)
    network.fit(x.astype(np.float32), y, epochs=20, verbose=0)
    if last == "linear":
        network.export(str(out / "saved"), verbose=False)
        command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(out / "saved")]
        subprocess.run([*command, "--output", str(out / "model.onnx")], check=True, capture_output=True)
    else:
        network.export(str(out / "model.onnx"), format="onnx", verbose=False)
    predicted = network.predict(test.astype(np.float32), verbose=0).astype(np.float64)
    if last == "sigmoid":
        predicted = np.hstack([1 - predicted, predicted])
    elif last == "linear":
        predicted = np.exp(predicted - predicted.max(1, keepdims=True))
        predicted /= predicted.sum(1, keepdims=True)
    np.save(out / "own.npy", predicted)
    taken = {"range": [0, 255], "layout": "NHWC", "channels": "RGB"}
    return {"input": taken, "output": {"kind": "scores" if last == "linear" else "probabilities"}}


def from_sklearn(x: np.ndarray, y: np.ndarray, test: np.ndarray, out: Path, model: Any) -> Told:
    """Export with ``skl2onnx.to_onnx``, whose probabilities are a list of dictionaries by default."""
    from skl2onnx import to_onnx

    flat, others = (each.reshape(len(each), -1).astype(np.float32) for each in (x, test))
    model.fit(flat, y)
    (out / "model.onnx").write_bytes(to_onnx(model, flat[:1]).SerializeToString())
    np.save(out / "own.npy", model.predict_proba(others))
    return {
        "input": {"range": [0, 255], "layout": "flat", "channels": "RGB"},
        "output": {"kind": "probabilities", "name": "output_probability"},
    }


def main() -> None:
    warnings.filterwarnings("ignore")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    (x, y), (test, truth) = read(folder / "train"), read(folder / "test")
    two, two_test = y < 2, truth < 2
    settings: dict[str, Told] = {}

    def make(name: str, train: Any, what: Any, classes: int = 0) -> None:
        (out / name).mkdir(parents=True)
        batch = (x[two], y[two], test[two_test]) if classes == 2 else (x, y, test)
        settings[name] = train(*batch, out / name, what) | {"classes": classes or int(y.max()) + 1}

    make("Keras, softmax", from_keras, "softmax")
    make("Keras, one sigmoid", from_keras, "sigmoid", 2)
    make("TensorFlow, SavedModel by tf2onnx", from_keras, "linear")
    make("scikit-learn, logistic regression", from_sklearn, make_pipeline(StandardScaler(), LogisticRegression()))
    make("scikit-learn, random forest", from_sklearn, RandomForestClassifier(100, random_state=0))
    names = {"keras": "keras", "tensorflow": "tensorflow-cpu", "tf2onnx": "tf2onnx", "skl2onnx": "skl2onnx"}
    versions = {name: version(package) for name, package in names.items()} | {"scikit-learn": version("scikit-learn")}
    print("answer " + json.dumps({"told": settings, "versions": versions}))


if __name__ == "__main__":
    main()
