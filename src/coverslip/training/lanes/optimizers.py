"""Optimizers over lanes: each lane has its own learning rate, decay, momentum and gradient clipping.

A lane takes the same step as with the optimizers of `coverslip.training.optimizers` in a separate training.

Small parameters of all lanes are updated together: Adam's fused kernel writes the step for learning rate 1 to a
separate tensor, which is then scaled lane by lane. Large parameters (`LARGE`) are updated one lane at a time, as soon
as the gradient of that lane is computed and still in the CPU cache. So the gradients of all lanes never exist at once,
and the step is bit-identical to that of PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from coverslip.training.lanes.layers import StackedTensors

LARGE = 2**15  # values per parameter and lane
BETAS, EPSILON = (0.9, 0.999), 1e-8  # the defaults of PyTorch
CLIP_EPSILON = 1e-6  # as in `torch.nn.utils.clip_grad_norm_`

GradientFunction = Callable[[int, int], Tensor]  # (start, end) -> gradient of lanes start to end, (end - start, ...)


def add_moments(tensors: StackedTensors, names: list[str], optimizer: str) -> None:
    """Add the moments of the optimizer, initially zero, to the tensors of a stack."""
    kinds = ("velocity",) if optimizer == "sgd" else ("first", "second")
    for kind in kinds:
        for name in names:
            tensors[f"{kind}/{name}"] = torch.zeros_like(tensors[name])


def update(
    tensors: StackedTensors,
    gradients: Mapping[str, Tensor | tuple[GradientFunction, int]],
    lrs: Tensor,
    *,
    sgd: bool,
    nesterov: bool = False,
    l2: bool = True,
    clip: bool = True,
    even: bool = True,
    scratch: StackedTensors | None = None,
) -> None:
    """Update the parameters of all lanes by one step.

    Args:
        tensors: parameters, moments, and float32 (L,) "decay", "momentum", "l2", "clip" and "steps".
        gradients: gradient of each parameter (L, ...), which is overwritten; or a function that computes it for a range
            of lanes, and the number of lanes per call.
        lrs: learning rate of each lane in this step, float64 (L,).
        sgd: whether the optimizer is SGD, else Adam.
        nesterov: whether SGD uses Nesterov momentum.
        l2: whether any lane has an L2 penalty.
        clip: whether any lane clips its gradient; all gradients must then be tensors.
        even: whether all lanes have completed the same number of steps.
        scratch: buffers that the next call with the same lanes reuses.
    """
    computed = {name: gradient for name, gradient in gradients.items() if isinstance(gradient, Tensor)}
    if l2:
        for name, gradient in computed.items():
            if _has_decay(tensors[name]):
                gradient.addcmul_(tensors[name], _expand(2 * tensors["l2"], gradient))
    if clip:
        _clip(tensors["clip"], list(computed.values()))
    tensors["steps"].add_(1)
    if sgd:
        step: Callable[..., None] = _sgd
    else:
        step = _adam
        small = {name: gradient for name, gradient in computed.items() if tensors[name][0].numel() < LARGE}
        _small_adam(tensors, small, lrs.float(), even, {} if scratch is None else scratch)
        gradients = {name: gradient for name, gradient in gradients.items() if name not in small}
    lr_list = lrs.tolist()
    for name, source in gradients.items():
        if isinstance(source, Tensor):
            step(tensors, name, source, lr_list, 0, nesterov)
            continue
        function, size = source
        for start in range(0, len(lrs), size):
            gradient = function(start, min(start + size, len(lrs)))
            if l2:
                lanes = slice(start, start + len(gradient))
                gradient.addcmul_(tensors[name][lanes], _expand(2 * tensors["l2"][lanes], gradient))
            step(tensors, name, gradient, lr_list, start, nesterov)


def _sgd(tensors: StackedTensors, name: str, gradient: Tensor, lrs: list[float], start: int, nesterov: bool) -> None:
    lanes = slice(start, start + len(gradient))
    parameter, velocity = tensors[name][lanes], tensors[f"velocity/{name}"][lanes]
    lr = torch.tensor(lrs[lanes])
    momentum = _expand(tensors["momentum"][lanes], gradient)
    velocity.mul_(momentum).add_(gradient)
    moved = gradient.addcmul(velocity, momentum) if nesterov else velocity
    if _has_decay(tensors[name]):
        parameter.mul_(_expand((1 - lr.double() * tensors["decay"][lanes].double()).float(), parameter))
    parameter.addcmul_(moved, _expand(-lr, parameter))


def _adam(tensors: StackedTensors, name: str, gradient: Tensor, lrs: list[float], start: int, nesterov: bool) -> None:
    """Update one lane after another with PyTorch's fused kernel."""
    parameter, first, second = tensors[name], tensors[f"first/{name}"], tensors[f"second/{name}"]
    decay = tensors["decay"].tolist() if _has_decay(parameter) else [0.0] * len(parameter)
    for lane, lane_gradient in enumerate(gradient, start):
        _fused_adamw(
            *([tensor] for tensor in (parameter[lane], lane_gradient, first[lane], second[lane])),
            [],
            [tensors["steps"][lane]],
            lr=lrs[lane],
            weight_decay=decay[lane],
        )


def _small_adam(
    tensors: StackedTensors, gradients: Mapping[str, Tensor], lrs: Tensor, even: bool, scratch: StackedTensors
) -> None:
    """Update all lanes at once: compute steps for learning rate 1 in scratch tensors, then scale them per lane.

    A weight decay of 1 at learning rate 1 first multiplies the scratch tensors by 0, so they need not be cleared.
    """
    if not gradients:
        return
    for name in gradients:
        if name not in scratch or len(scratch[name]) != len(lrs):
            scratch[name] = torch.zeros_like(tensors[name])
    moved = [scratch[name] for name in gradients]
    lists = [
        moved,
        list(gradients.values()),
        [tensors[f"first/{name}"] for name in gradients],
        [tensors[f"second/{name}"] for name in gradients],
    ]
    if even:
        steps = [tensors["steps"][0]] * len(moved)
    else:
        lists = [[lane for stacked in group for lane in stacked] for group in lists]
        steps = [lane for _ in moved for lane in tensors["steps"]]
    _fused_adamw(*lists, [], steps, lr=1.0, weight_decay=1.0)
    kept = 1 - lrs * tensors["decay"]
    for name, step in zip(gradients, moved, strict=True):
        parameter = tensors[name]
        if _has_decay(parameter):
            parameter.mul_(_expand(kept, parameter))
        parameter.addcmul_(step, _expand(lrs, parameter))


def _fused_adamw(*lists: list[Tensor], lr: float, weight_decay: float) -> None:
    torch._fused_adamw_(
        *lists,
        lr=lr,
        beta1=BETAS[0],
        beta2=BETAS[1],
        weight_decay=weight_decay,
        eps=EPSILON,
        amsgrad=False,
        maximize=False,
    )


def _clip(max_norm: Tensor, gradients: list[Tensor]) -> None:
    """Clip the gradient of each lane, over all parameters, to its maximum norm (L,); 0 disables clipping."""
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factor = (max_norm / (squares.sqrt() + CLIP_EPSILON)).clamp_max(1.0)
    factor = torch.where(max_norm > 0, factor, 1.0)
    for gradient in gradients:
        gradient.mul_(_expand(factor, gradient))


def _has_decay(parameter: Tensor) -> bool:
    """Return whether weight decay applies to a stacked parameter: not to biases and norms (see `decay_groups`)."""
    return parameter.ndim > 2


def _expand(values: Tensor, other: Tensor) -> Tensor:
    """Return values (L,) as (L, 1, ...), to be multiplied with a stacked tensor."""
    return values.view(-1, *[1] * (other.ndim - 1))
