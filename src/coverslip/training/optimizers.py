"""Optimizers with decoupled weight decay, and an L2 penalty.

``l2`` adds the term l2 * sum(w^2) to the loss, as in Keras; its gradient, 2 * l2 * w, passes through the optimizer.
``weight_decay`` is decoupled from the loss: each step first multiplies the weights by 1 - lr * weight_decay. For plain
SGD both are equivalent (weight_decay = 2 * l2). Adam divides each gradient by its typical magnitude, so an L2 term
barely affects weights with large gradients, while decoupled decay shrinks all weights at the same rate. Decoupled decay
is therefore the default for every optimizer. ``adam`` with it is the same as ``adamw``; ``adam`` with
``weight_decay=0`` is Adam as published.

Neither is applied to biases and the parameters of normalization layers (1-dimensional tensors): these barely overfit,
and shrinking the scale of a norm is compensated by larger weights of the next layer.

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
    """Return the trainable parameters in two lists: those with weight decay, and biases and norms without it."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [weight for weight in trained if weight.ndim > 1], [vector for vector in trained if vector.ndim <= 1]


def add_l2(parameters: Sequence[nn.Parameter], l2: float) -> None:
    """Add the gradient of l2 * sum(w^2) to the parameters' gradients."""
    used = [parameter for parameter in parameters if parameter.grad is not None]
    gradients: list[Tensor] = [parameter.grad for parameter in used if parameter.grad is not None]
    torch._foreach_add_(gradients, [parameter.detach() for parameter in used], alpha=2 * l2)


class DecoupledSGD(torch.optim.SGD):
    """SGD with decoupled weight decay (the ``weight_decay`` of `torch.optim.SGD` is an L2 penalty)."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Multiply the weights by 1 - lr * decay, then update them."""
        for group in self.param_groups:
            if group["decay"]:
                used = [parameter for parameter in group["params"] if parameter.grad is not None]
                torch._foreach_mul_(used, 1 - group["lr"] * group["decay"])
        return super().step(closure)


@OPTIMIZERS.register("sgd")
def sgd(groups: Groups, lr: float, momentum: float, nesterov: bool) -> Optimizer:
    """Return stochastic gradient descent with (Nesterov) momentum."""
    renamed = [{"params": group["params"], "decay": group["weight_decay"]} for group in groups]
    return DecoupledSGD(renamed, lr=lr, momentum=momentum, nesterov=nesterov, foreach=True)


@OPTIMIZERS.register("adam")
@OPTIMIZERS.register("adamw")
def adamw(groups: Groups, lr: float, momentum: float, nesterov: bool) -> Optimizer:
    """Return Adam with decoupled weight decay; the fused implementation is the fastest on a CPU."""
    fused = groups[0]["params"][0].device.type in FUSED
    return torch.optim.AdamW(groups, lr=lr, fused=fused)
