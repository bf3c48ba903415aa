"""Optimizers, and two ways to keep weights small.

``l2`` is a term of the loss, l2 * sum(w^2), as in Keras: its gradient, 2 * l2 * w, goes through the optimizer like any
other. ``weight_decay`` is decoupled from the loss: each step first takes the share rate * weight_decay off each
weight. For plain SGD the two are one (weight_decay = 2 * l2). For Adam they are not: it divides each weight's gradient
by its usual size, so that an L2 term hardly holds back those weights whose gradients are large, while decoupled decay
shrinks all alike. So decoupled decay is the default for every optimizer here, and ``adam`` with it is ``adamw``;
``adam`` without it (``weight_decay=0``) is Adam as published.

Neither touches biases and the weights of normalization layers (tensors of one dimension): they cannot overfit much,
and a norm whose weights are shrunk only makes the next layer's larger.

References: Kingma and Ba, Adam, ICLR 2015; Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coverslip.core.errors import UserError
from coverslip.core.registry import Registry

Groups = list[dict[str, Any]]  # {"params": [...], "weight_decay": ...}
OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry("optimizer")
FUSED = ("cpu", "cuda", "mps")


def build_optimizer(
    network: nn.Module,
    name: str,
    *,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> Optimizer:
    """Return an optimizer for the trainable parameters; the schedule sets the learning rate before every step.

    Args:
        network: its parameters with ``requires_grad`` are trained.
        name: one of `OPTIMIZERS`.
        lr: peak learning rate.
        weight_decay: decoupled; not applied to biases and normalization layers.
        momentum: of ``sgd``.
        nesterov: of ``sgd``.

    Raises:
        UserError: every parameter is frozen.
    """
    decayed, others = decay_groups(network)
    if not decayed and not others:
        raise UserError("the network has no trainable parameters", "set requires_grad on the parameters to train")
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return OPTIMIZERS[name]([group for group in groups if group["params"]], lr, momentum, nesterov)


def decay_groups(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trained parameters: those that are decayed, and biases and norms, which are not."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [each for each in trained if each.ndim > 1], [each for each in trained if each.ndim <= 1]


def add_l2(parameters: Sequence[nn.Parameter], l2: float) -> None:
    """Add the gradient of l2 * sum(w^2) to the parameters' gradients."""
    used = [each for each in parameters if each.grad is not None]
    gradients: list[Tensor] = [each.grad for each in used if each.grad is not None]
    torch._foreach_add_(gradients, [each.detach() for each in used], alpha=2 * l2)


class Sgd(torch.optim.SGD):
    """PyTorch's SGD with decoupled weight decay (its own ``weight_decay`` is an L2 term)."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take rate * decay off the weights, then step."""
        for group in self.param_groups:
            if group["decay"]:
                used = [each for each in group["params"] if each.grad is not None]
                torch._foreach_mul_(used, 1 - group["lr"] * group["decay"])
        return super().step(closure)


@OPTIMIZERS.register("sgd")
def sgd(groups: Groups, lr: float, momentum: float, nesterov: bool) -> Optimizer:
    """Return stochastic gradient descent with (Nesterov) momentum."""
    own = [{"params": group["params"], "decay": group["weight_decay"]} for group in groups]
    return Sgd(own, lr=lr, momentum=momentum, nesterov=nesterov, foreach=True)


@OPTIMIZERS.register("adam")
@OPTIMIZERS.register("adamw")
def adamw(groups: Groups, lr: float, momentum: float, nesterov: bool) -> Optimizer:
    """Return Adam with decoupled weight decay, in PyTorch's fused form, which is the fastest on a CPU."""
    fused = groups[0]["params"][0].device.type in FUSED
    return torch.optim.AdamW(groups, lr=lr, fused=fused)
