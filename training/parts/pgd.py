"""Adversarial images by projected gradient ascent within an L-infinity ball (Madry et al., arXiv:1706.06083, eq. 2.1).

Only the gradient of the images is asked for, so an attack costs no gradient of a weight and leaves none behind. What
it costs is for the caller to name: `with lab.ledger.within("attack")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Objective = Callable[[Tensor], Tensor]
"""images[B, C, H, W] to what the attacker raises, [B]; differentiable."""


def pgd(
    objective: Objective, images: Tensor, *, eps: float, step: float, steps: int, random_start: bool = False
) -> Tensor:
    """Images[B, C, H, W] within `eps` of the given ones and within [0, 1], after `steps` signed steps of size `step`.

    A random start is uniform over the ball, from torch's global generator.
    """
    low, high = (images - eps).clamp(min=0), (images + eps).clamp(max=1)
    found = torch.lerp(low, high, torch.rand_like(images)) if random_start else images
    for _ in range(steps):
        found = torch.clamp(found + step * gradient(objective, found).sign(), low, high)
    return found.detach()


def fgsm(objective: Objective, images: Tensor, *, eps: float) -> Tensor:
    """One step to the ball's border (Goodfellow et al., arXiv:1412.6572, section 4)."""
    return pgd(objective, images, eps=eps, step=eps, steps=1)


def gradient(objective: Objective, images: Tensor) -> Tensor:
    """The objective's gradient with respect to the images, and to nothing else."""
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        (found,) = torch.autograd.grad(objective(leaf).sum(), leaf)
    return found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Attack the network as it predicts: in evaluation mode, each module back in its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
