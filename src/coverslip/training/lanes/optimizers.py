"""Optimizers over lanes: each lane has its own rate, decay, momentum and gradient clipping, and takes the very step
that the optimizer of `coverslip.training.optimizers` would take with it alone.

Small parameters of all lanes are updated together: Adam's fused kernel writes the step of rate 1 beside the
parameters, which is then scaled lane by lane. Large ones (`LARGE`) are updated a lane at a time, as soon as that
lane's gradient is there and while it still lies in the processor's cache; so the gradients of all lanes never exist
at once, and the step is PyTorch's own to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from coverslip.training.lanes.layers import Pile

LARGE = 2**15  # numbers of one parameter in one lane
BETAS, EPSILON = (0.9, 0.999), 1e-8  # PyTorch's own
CLIP_EPSILON = 1e-6  # of `torch.nn.utils.clip_grad_norm_`

Made = Callable[[int, int], Tensor]  # the gradient of lanes start to end, (end - start, ...)


def begin_moments(pile: Pile, names: list[str], optimizer: str) -> None:
    """Put what the optimizer remembers into the pile."""
    kinds = ("velocity",) if optimizer == "sgd" else ("first", "second")
    for kind in kinds:
        for name in names:
            pile[f"{kind}/{name}"] = torch.zeros_like(pile[name])


def update(
    pile: Pile,
    gradients: Mapping[str, Tensor | tuple[Made, int]],
    rates: Tensor,
    *,
    sgd: bool,
    nesterov: bool = False,
    l2: bool = True,
    clip: bool = True,
    even: bool = True,
    scratch: Pile | None = None,
) -> None:
    """One step of all lanes; see the module.

    Args:
        pile: parameters, moments, and float32 (L,) "decay", "momentum", "l2", "clip" and "steps".
        gradients: of each parameter (L, ...), which is written into; or a function that makes it for a few lanes, and
            for how many at a time.
        rates: float64 (L,), learning rates of this step.
        sgd: else Adam.
        nesterov: of SGD.
        l2: some lane has an L2 term.
        clip: some lane's gradient is clipped, for which all gradients must be given whole.
        even: all lanes have taken the same number of steps.
        scratch: memory that is used again by the next call with the same lanes.
    """
    whole = {name: each for name, each in gradients.items() if isinstance(each, Tensor)}
    if l2:
        for name, gradient in whole.items():
            if _decayed(pile[name]):
                gradient.addcmul_(pile[name], _along(2 * pile["l2"], gradient))
    if clip:
        _clip(pile["clip"], list(whole.values()))
    pile["steps"].add_(1)
    if sgd:
        step: Callable[..., None] = _sgd
    else:
        step = _adam
        small = {name: each for name, each in whole.items() if pile[name][0].numel() < LARGE}
        _small_adam(pile, small, rates.float(), even, {} if scratch is None else scratch)
        gradients = {name: each for name, each in gradients.items() if name not in small}
    numbers = rates.tolist()
    for name, given in gradients.items():
        if isinstance(given, Tensor):
            step(pile, name, given, numbers, 0, nesterov)
            continue
        make, size = given
        for start in range(0, len(rates), size):
            gradient = make(start, min(start + size, len(rates)))
            if l2:
                own = slice(start, start + len(gradient))
                gradient.addcmul_(pile[name][own], _along(2 * pile["l2"][own], gradient))
            step(pile, name, gradient, numbers, start, nesterov)


def _sgd(pile: Pile, name: str, gradient: Tensor, rates: list[float], start: int, nesterov: bool) -> None:
    own = slice(start, start + len(gradient))
    parameter, velocity = pile[name][own], pile[f"velocity/{name}"][own]
    rate = torch.tensor(rates[own])
    momentum = _along(pile["momentum"][own], gradient)
    velocity.mul_(momentum).add_(gradient)
    moved = gradient.addcmul(velocity, momentum) if nesterov else velocity
    if _decayed(pile[name]):
        parameter.mul_(_along((1 - rate.double() * pile["decay"][own].double()).float(), parameter))
    parameter.addcmul_(moved, _along(-rate, parameter))


def _adam(pile: Pile, name: str, gradient: Tensor, rates: list[float], start: int, nesterov: bool) -> None:
    """Lane by lane, by PyTorch's fused kernel."""
    parameter, first, second = pile[name], pile[f"first/{name}"], pile[f"second/{name}"]
    decay = pile["decay"].tolist() if _decayed(parameter) else [0.0] * len(parameter)
    for place, own in enumerate(gradient, start):
        _fused(
            *([each] for each in (parameter[place], own, first[place], second[place])),
            [],
            [pile["steps"][place]],
            lr=rates[place],
            weight_decay=decay[place],
        )


def _small_adam(pile: Pile, gradients: Mapping[str, Tensor], rates: Tensor, even: bool, scratch: Pile) -> None:
    """All lanes at once: steps of rate 1 are made beside the parameters, then scaled by each lane's own rate.

    A decay of 1 at a rate of 1 first takes away all that was there, so that nothing has to be set to 0.
    """
    if not gradients:
        return
    for name in gradients:
        if name not in scratch or len(scratch[name]) != len(rates):
            scratch[name] = torch.zeros_like(pile[name])
    moved = [scratch[name] for name in gradients]
    lists = [
        moved,
        list(gradients.values()),
        [pile[f"first/{name}"] for name in gradients],
        [pile[f"second/{name}"] for name in gradients],
    ]
    if even:
        steps = [pile["steps"][0]] * len(moved)
    else:
        lists = [[lane for each in tensors for lane in each] for tensors in lists]
        steps = [lane for _ in moved for lane in pile["steps"]]
    _fused(*lists, [], steps, lr=1.0, weight_decay=1.0)
    kept = 1 - rates * pile["decay"]
    for name, each in zip(gradients, moved, strict=True):
        parameter = pile[name]
        if _decayed(parameter):
            parameter.mul_(_along(kept, parameter))
        parameter.addcmul_(each, _along(rates, parameter))


def _fused(*lists: list[Tensor], lr: float, weight_decay: float) -> None:
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


def _clip(longest: Tensor, gradients: list[Tensor]) -> None:
    """Shorten each lane's gradient, over all parameters, to its longest; 0 leaves it as it is."""
    squares = torch.stack([each.flatten(1).square().sum(1) for each in gradients]).sum(0)
    share = (longest / (squares.sqrt() + CLIP_EPSILON)).clamp_max(1.0)
    share = torch.where(longest > 0, share, 1.0)
    for each in gradients:
        each.mul_(_along(share, each))


def _decayed(parameter: Tensor) -> bool:
    """Whether a stacked parameter is one that is decayed: not a bias or a norm (see `optimizers.decay_groups`)."""
    return parameter.ndim > 2


def _along(values: Tensor, other: Tensor) -> Tensor:
    """(L,) -> (L, 1, ...), to be multiplied with a stacked tensor."""
    return values.view(-1, *[1] * (other.ndim - 1))
