"""Networks of the benchmarks in the style of each peer's documentation; independent of Coverslip.

`cnn`: three blocks of convolution 3 x 3 (32, 64, 128 filters), ReLU and max pool, then 128 dense units. `cnn-norm`:
the same with batch norm before each ReLU, and no bias before a norm. `mlp`: two layers of 128. `resnet18`: as
published.
"""

from __future__ import annotations

from typing import Any

FILTERS = (32, 64, 128)
UNITS = 128


def torch_network(name: str, size: int, classes: int) -> Any:
    """Of plain PyTorch."""
    import torchvision
    from torch import nn

    if name == "resnet18":
        return torchvision.models.resnet18(num_classes=classes)
    layers: list[nn.Module] = []
    if name == "mlp":
        layers += [nn.Flatten(), nn.Linear(3 * size * size, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(UNITS, classes))
    norm = name == "cnn-norm"
    for inputs, outputs in zip((3, *FILTERS), FILTERS, strict=False):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(FILTERS[-1] * (size // 8) ** 2, UNITS, bias=not norm)]
    layers += [nn.BatchNorm1d(UNITS)] if norm else []
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(UNITS, classes))


def keras_network(name: str, size: int, classes: int, before: Any = None) -> Any:
    """Return a Keras network, compiled with Adam at its default learning rate; ``before`` preprocesses the images."""
    import keras
    from keras import layers

    given = keras.Input((size, size, 3))
    x = given if before is None else before(given)
    if name == "mlp":
        x = layers.Flatten()(x)
        for _ in range(2):
            x = layers.Dense(UNITS, activation="relu")(x)
    elif name == "resnet18":
        x = _keras_resnet(x)
    else:
        norm = name == "cnn-norm"
        for filters in FILTERS:
            x = layers.Conv2D(filters, 3, padding="same", use_bias=not norm)(x)
            x = layers.BatchNormalization()(x) if norm else x
            x = layers.MaxPooling2D()(layers.ReLU()(x))
        x = layers.Dense(UNITS, use_bias=not norm)(layers.Flatten()(x))
        x = layers.BatchNormalization()(x) if norm else x
        x = layers.ReLU()(x)
    network = keras.Model(given, layers.Dense(classes, dtype="float32")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=keras.optimizers.Adam(), loss=loss, metrics=["accuracy"])
    return network


def _keras_resnet(x: Any) -> Any:
    from keras import layers

    def convolve(x: Any, filters: int, side: int, stride: int) -> Any:
        x = layers.Conv2D(filters, side, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = layers.MaxPooling2D(3, 2, padding="same")(layers.ReLU()(convolve(x, 64, 7, 2)))
    for filters in (64, 128, 256, 512):
        for stride in (1 if filters == 64 else 2, 1):
            y = convolve(layers.ReLU()(convolve(x, filters, 3, stride)), filters, 3, 1)
            x = convolve(x, filters, 1, stride) if stride > 1 else x
            x = layers.ReLU()(layers.Add()([x, y]))
    return layers.GlobalAveragePooling2D()(x)
