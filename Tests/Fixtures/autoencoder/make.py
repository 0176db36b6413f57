"""The loss of an autoencoder and its gradients in PyTorch, double precision: python3 make.py (needs torch and safetensors)."""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

CHANNELS, WIDTH, MULTIPLIERS, BLOCKS, LATENT = 3, 4, (1, 2), 1, 2
IMAGES, HEIGHT, COLUMNS, SCALES = 2, 8, 12, 2
DIVERGENCE, GRADIENT = 0.01, 0.7
torch.manual_seed(5)
torch.set_default_dtype(torch.float64)
parameters = {}


class Scope:
    """Parameters under a name, made when they are first asked for."""

    def __init__(self, prefix=""):
        self.prefix = prefix

    def __truediv__(self, name):
        return Scope(f"{self.prefix}{name}.")

    def get(self, name, shape, values):
        key = self.prefix + name
        if key not in parameters:
            parameters[key] = values().reshape(shape).requires_grad_()
        return parameters[key]

    def convolution(self, x, outputs, taps=3, stride=1, padding=None):
        inputs = x.shape[1]
        w = self.get("weight", (outputs, inputs, taps, taps), lambda: torch.randn(outputs * inputs * taps * taps) / (inputs * taps * taps) ** 0.5)
        b = self.get("bias", (outputs,), lambda: 0.1 * torch.randn(outputs))
        return F.conv2d(x, w, b, stride, taps // 2 if padding is None else padding)

    def norm(self, x):
        n = x.shape[1]
        w = self.get("weight", (n,), lambda: 1 + 0.2 * torch.randn(n))
        b = self.get("bias", (n,), lambda: 0.1 * torch.randn(n))
        return F.group_norm(x, 4, w, b, 1e-6)


def residual(x, outputs, s):
    h = (s / "conv1").convolution(F.silu((s / "norm1").norm(x)), outputs)
    h = (s / "conv2").convolution(F.silu((s / "norm2").norm(h)), outputs)
    return h + (x if x.shape[1] == outputs else (s / "nin_shortcut").convolution(x, outputs, 1))


def middle(x, s):
    n = x.shape[1]
    x = residual(x, n, s / "block_1")
    a = s / "attn_1"
    h = (a / "norm").norm(x)
    q, k, v = ((a / name).convolution(h, n, 1).flatten(2).transpose(1, 2) for name in "qkv")
    h = torch.softmax(q @ k.transpose(1, 2) / n**0.5, -1) @ v
    x = x + (a / "proj_out").convolution(h.transpose(1, 2).reshape(x.shape), n, 1)
    return residual(x, n, s / "block_2")


def encode(x):
    s = Scope("encoder.")
    x = (s / "conv_in").convolution(x, WIDTH)
    for level, multiplier in enumerate(MULTIPLIERS):
        down = s / f"down.{level}"
        for block in range(BLOCKS):
            x = residual(x, WIDTH * multiplier, down / f"block.{block}")
        if level + 1 < len(MULTIPLIERS):
            x = (down / "downsample.conv").convolution(F.pad(x, (0, 1, 0, 1)), x.shape[1], stride=2, padding=0)
    x = middle(x, s / "mid")
    x = (s / "conv_out").convolution(F.silu((s / "norm_out").norm(x)), 2 * LATENT)
    return Scope("quant_conv.").convolution(x, 2 * LATENT, 1)


def decode(z):
    x = Scope("post_quant_conv.").convolution(z, LATENT, 1)
    s = Scope("decoder.")
    x = (s / "conv_in").convolution(x, WIDTH * MULTIPLIERS[-1])
    x = middle(x, s / "mid")
    for level in reversed(range(len(MULTIPLIERS))):
        up = s / f"up.{level}"
        for block in range(BLOCKS + 1):
            x = residual(x, WIDTH * MULTIPLIERS[level], up / f"block.{block}")
        if level > 0:
            x = (up / "upsample.conv").convolution(F.interpolate(x, scale_factor=2, mode="nearest"), x.shape[1])
    return (s / "conv_out").convolution(F.silu((s / "norm_out").norm(x)), CHANNELS)


def gradients(x):
    right, below = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return (right.abs().sum() + below.abs().sum()) / x.numel()


images = torch.rand(IMAGES, CHANNELS, HEIGHT, COLUMNS) * 2 - 1
eps = torch.randn(IMAGES, LATENT, HEIGHT // 2, COLUMNS // 2)
mean, log_variance = encode(images).chunk(2, 1)
difference = decode(mean + (log_variance / 2).exp() * eps) - images
l1 = difference.abs().mean()
gradient = GRADIENT * sum(gradients(F.avg_pool2d(difference, 2**s)) for s in range(SCALES)) / SCALES
nats = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() / images.numel()
(l1 + gradient + DIVERGENCE * nats).backward()

out = {"images": images, "eps": eps, "reconstruction": decode(mean)}
out["losses"] = torch.stack([l1, gradient, DIVERGENCE * nats, nats])
for name, p in parameters.items():
    out["parameter/" + name] = p
    out["gradient/" + name] = p.grad
save_file(
    {name: t.detach().float().contiguous() for name, t in out.items()}, pathlib.Path(__file__).with_name("expected.safetensors")
)
