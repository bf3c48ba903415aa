"""The freeze point: a network is cut in a frozen part, which runs once a picture, and a part that is trained."""

from __future__ import annotations

from torch import Tensor, nn

from coverslip.storage import digest


class Prefix(nn.Module):
    """The frozen part of a network, cut at its end: float32 (N, C, H, W) -> (N, D) features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """The pooled output of the last convolutional stage, before any classifier."""
        network = self.network
        return network.forward_head(network.forward_features(images), pre_logits=True)  # type: ignore[operator, no-any-return]


def weights_key(module: nn.Module) -> str:
    """A name for a network's weights: the same numbers under the same names give the same key."""
    parts: list[object] = []
    for name, tensor in sorted(module.state_dict().items()):
        parts += [name, tuple(tensor.shape), tensor.detach().cpu().contiguous().numpy().tobytes()]
    return digest(*parts)
