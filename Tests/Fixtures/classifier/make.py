"""The answers of a classifier by convolutions, its loss and gradients in PyTorch, double precision: python3 make.py (needs torch and safetensors)."""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

IMAGES, CHANNELS, HEIGHT, COLUMNS = 4, 3, 19, 14
STRIDE, WIDTH, LEVELS, FEATURES, CLASSES, EPSILON = 2, 8, 2, 6, 3, 1e-6
torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
parameters = {}


def parameter(name, shape, centre=0.0, deviation=0.1):
    if name not in parameters:
        parameters[name] = (centre + deviation * torch.randn(shape)).requires_grad_()
    return parameters[name]


def convolution(x, name, outputs, taps=3, stride=1):
    shape = (outputs, x.shape[1], taps, taps)
    weight = parameter(name + ".weight", shape, deviation=(x.shape[1] * taps * taps) ** -0.5)
    return F.conv2d(x, weight, parameter(name + ".bias", (outputs,)), stride, taps // 2)


def scales(x, name):
    return parameter(name + ".weight", (x.shape[1],), 1, 0.2), parameter(name + ".bias", (x.shape[1],))


def norm(x, name):
    return F.silu(F.group_norm(x, 8, *scales(x, name), EPSILON))


def linear(x, name, outputs):
    return F.linear(x, parameter(name + ".weight", (outputs, x.shape[1]), deviation=0.3), parameter(name + ".bias", (outputs,)))


images = torch.rand(IMAGES, CHANNELS, HEIGHT, COLUMNS) * 2 - 1
labels = torch.tensor([2, 0, 1, 2])
x = convolution(images, "first", WIDTH, 2 * STRIDE - 1, STRIDE)
for level in range(LEVELS):
    width = WIDTH * min(2**level, 4)
    if level > 0:
        x = convolution(x, f"levels.{level}.down", width, stride=2)
    name = f"levels.{level}.block"
    h = convolution(norm(x, name + ".norm1"), name + ".conv1", width)
    x = x + convolution(norm(h, name + ".norm2"), name + ".conv2", width)
x = norm(x, "norm").mean((2, 3))
x = F.layer_norm(x, (x.shape[1],), *scales(x, "mean_norm"), EPSILON)
features = F.gelu(linear(x, "hidden", FEATURES))
logits = linear(features, "classes", CLASSES)
loss = F.cross_entropy(logits, labels)
loss.backward()

out = {"images": images, "features": features, "logits": logits, "loss": loss.reshape(1)}
for name, p in parameters.items():
    out["parameter/" + name] = p
    out["gradient/" + name] = p.grad
save_file(
    {name: t.detach().float().contiguous() for name, t in out.items()}, pathlib.Path(__file__).with_name("expected.safetensors")
)
