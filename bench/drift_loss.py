"""The anti-symmetric drift loss (Eq. 8), in float32 whatever the precision of the model."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DriftLoss:
    loss: Tensor
    scale: Tensor
    squared_force: Tensor
    """Mean squared force of each radius before it is scaled to unit size [n]."""


def drift_loss(gen: Tensor, positive: Tensor, radii: Tensor, negative: Tensor | None = None) -> DriftLoss:
    """gen [B, G, S], positive [B, P, S], radii [n], negative [B, N, S]. The field is a constant to the gradient."""
    with torch.autocast(gen.device.type, enabled=False):
        return _drift_loss(gen.float(), positive.float(), radii, negative)


def _drift_loss(gen: Tensor, positive: Tensor, radii: Tensor, negative: Tensor | None) -> DriftLoss:
    with torch.no_grad():
        samples, width = gen.shape[1:]
        targets = torch.cat([gen, positive] if negative is None else [gen, negative, positive], 1)
        repelling = targets.shape[1] - positive.shape[1]

        products = gen @ targets.transpose(1, 2)
        square = (gen * gen).sum(-1)[:, :, None] + (targets * targets).sum(-1)[:, None] - 2 * products
        distance = square.clamp_min(1e-8).sqrt()
        scale = distance.mean()
        unit = (scale / width**0.5).clamp_min(1e-3)
        distance = distance / scale.clamp_min(1e-3) + 100 * torch.eye(samples, targets.shape[1], device=gen.device)

        logits = -distance / radii[:, None, None, None]
        affinity = (logits.softmax(-1) * logits.softmax(-2)).clamp_min(1e-6).sqrt()
        repelled, attracted = affinity[..., :repelling], affinity[..., repelling:]
        coefficient = torch.cat(
            [-repelled * attracted.sum(-1, keepdim=True), attracted * repelled.sum(-1, keepdim=True)], -1
        )
        force = (coefficient @ targets - coefficient.sum(-1, keepdim=True) * gen) / unit
        squared_force = (force * force).mean((1, 2, 3))
        norm = squared_force.clamp_min(1e-8).sqrt()
        goal = gen / unit + (force / norm[:, None, None, None]).sum(0)
    return DriftLoss(((gen / unit - goal) ** 2).mean(), scale, squared_force)
