"""Random changes of training images, drawn on their device from torch's global generator: a resume repeats them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PAD = 4
"""Black pixels around an image that is cropped (He et al. 2016, section 4.2)."""


def augmented(images: Tensor, kind: str) -> Tensor:
    """images[B, C, H, W] changed as a spec's `data.augment` says: `none`, `flip` or `flip-crop`."""
    for change in ({"flip": flipped, "crop": cropped}[name] for name in kind.split("-") if name != "none"):
        images = change(images)
    return images


def flipped(images: Tensor) -> Tensor:
    """Each image left to right with probability one half."""
    chosen = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def cropped(images: Tensor) -> Tensor:
    """Each image moved by up to PAD pixels up or down and left or right, black moving in."""
    count, _, height, width = images.shape
    padded = F.pad(images, (PAD,) * 4)
    top, left = torch.randint(2 * PAD + 1, (2, count, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    every = torch.arange(count, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2).contiguous()
