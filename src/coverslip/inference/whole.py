"""The network of a predictor in one piece, for whoever needs its gradients or what happens inside."""

from __future__ import annotations

import torch
from torch import nn

from coverslip.inference.predictor import Predictor
from coverslip.models.stages import CLASSIFIER, Staged


def whole_network(predictor: Predictor) -> Staged:
    """Frozen part and head as one network: prepared images, float32 (N, C, H, W) -> scores (N, K).

    The temperature is in the classifier, so that ``softmax`` of the scores gives the predictor's probabilities. It is
    in evaluation mode, its weights want no gradients, and nothing in it works in place, so that every output on the way
    can be looked at. The weights of the frozen part are copies; the predictor is left as it is.

    Returns:
        A network of its own each time, on the CPU; its last stage is ``classifier``, one linear layer.
    """
    body = predictor.extractor.frozen.module().stages
    classes, features = predictor.weight.shape
    classifier = nn.Linear(features, classes)
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(predictor.weight) / predictor.task.temperature)
        classifier.bias.copy_(torch.from_numpy(predictor.bias) / predictor.task.temperature)
    network = Staged({**dict(body.named_children()), CLASSIFIER: classifier})
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return network.requires_grad_(False).eval()
