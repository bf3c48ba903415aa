"""The network of a predictor as one module, for gradients and for access to inner layers."""

from __future__ import annotations

import torch
from torch import nn

from coverslip.inference.predictor import Predictor
from coverslip.models.stages import CLASSIFIER, Staged
from coverslip.tasks.classification import require_classification


def full_network(predictor: Predictor) -> Staged:
    """Return the frozen stages and the head as one network: images, float32 (N, C, H, W) -> logits (N, K).

    The weights of the classifier are divided by the temperature, so ``softmax`` of the logits equals the predictor's
    probabilities. The network is in evaluation mode, its weights do not require gradients, and no layer works in place,
    so hooks can read every intermediate output.

    Returns:
        A new network on the CPU that shares no weights with the predictor; its last stage is ``classifier``, a linear
        layer.
    """
    body = predictor.extractor.frozen.module().stages
    classes, features = predictor.weight.shape
    classifier = nn.Linear(features, classes)
    temperature = require_classification(predictor.task, "a network with calibrated logits").temperature
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(predictor.weight) / temperature)
        classifier.bias.copy_(torch.from_numpy(predictor.bias) / temperature)
    network = Staged({**dict(body.named_children()), CLASSIFIER: classifier})
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return network.requires_grad_(False).eval()
