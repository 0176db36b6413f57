#!/usr/bin/env python3
"""Writes inception.safetensors beside this script: random weights of the FID's InceptionV3, every layer a sixteenth as wide,
under pytorch-fid's names; two images; and the features and logits (without bias) that PyTorch calculates from them.

Needs torch, safetensors. The network is pytorch-fid's: torchvision's inception_v3 with 1008 classes, mean pools that leave out
the padding (count_include_pad=False), a maximum in the last block's pool, and bilinear resizing to 299 x 299.
"""
import pathlib

import safetensors.torch
import torch
import torch.nn.functional as F

torch.manual_seed(5)
weights = {}


def width(channels):
    return max(1, channels // 16)


def unit(name, x, outputs, kernel, stride=1, padding=None):
    """Convolution, norm in evaluation mode, ReLU."""
    kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (kh // 2, kw // 2) if padding is None else padding
    outputs, inputs = width(outputs), x.shape[1]
    w = torch.randn(outputs, inputs, kh, kw) * (2 / (inputs * kh * kw)) ** 0.5
    norm = {
        "weight": 0.5 + torch.rand(outputs), "bias": 0.2 * torch.randn(outputs),
        "running_mean": 0.2 * torch.randn(outputs), "running_var": 0.5 + torch.rand(outputs),
    }
    weights[f"{name}.conv.weight"] = w
    weights.update({f"{name}.bn.{key}": value for key, value in norm.items()})
    y = F.conv2d(x, w.double(), stride=stride, padding=padding)
    n = {key: value.double() for key, value in norm.items()}
    return F.relu(F.batch_norm(y, n["running_mean"], n["running_var"], n["weight"], n["bias"], eps=1e-3))


def mean_pool(x):
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def block_a(name, x, pool):
    one = unit(f"{name}.branch1x1", x, 64, 1)
    five = unit(f"{name}.branch5x5_2", unit(f"{name}.branch5x5_1", x, 48, 1), 64, 5)
    three = unit(f"{name}.branch3x3dbl_2", unit(f"{name}.branch3x3dbl_1", x, 64, 1), 96, 3)
    three = unit(f"{name}.branch3x3dbl_3", three, 96, 3)
    return torch.cat([one, five, three, unit(f"{name}.branch_pool", mean_pool(x), pool, 1)], 1)


def block_b(name, x):
    three = unit(f"{name}.branch3x3", x, 384, 3, 2, 0)
    double = unit(f"{name}.branch3x3dbl_2", unit(f"{name}.branch3x3dbl_1", x, 64, 1), 96, 3)
    double = unit(f"{name}.branch3x3dbl_3", double, 96, 3, 2, 0)
    return torch.cat([three, double, F.max_pool2d(x, 3, 2)], 1)


def block_c(name, x, c7):
    one = unit(f"{name}.branch1x1", x, 192, 1)
    seven = unit(f"{name}.branch7x7_1", x, c7, 1)
    seven = unit(f"{name}.branch7x7_2", seven, c7, (1, 7))
    seven = unit(f"{name}.branch7x7_3", seven, 192, (7, 1))
    double = unit(f"{name}.branch7x7dbl_1", x, c7, 1)
    double = unit(f"{name}.branch7x7dbl_2", double, c7, (7, 1))
    double = unit(f"{name}.branch7x7dbl_3", double, c7, (1, 7))
    double = unit(f"{name}.branch7x7dbl_4", double, c7, (7, 1))
    double = unit(f"{name}.branch7x7dbl_5", double, 192, (1, 7))
    return torch.cat([one, seven, double, unit(f"{name}.branch_pool", mean_pool(x), 192, 1)], 1)


def block_d(name, x):
    three = unit(f"{name}.branch3x3_2", unit(f"{name}.branch3x3_1", x, 192, 1), 320, 3, 2, 0)
    seven = unit(f"{name}.branch7x7x3_1", x, 192, 1)
    seven = unit(f"{name}.branch7x7x3_2", seven, 192, (1, 7))
    seven = unit(f"{name}.branch7x7x3_3", seven, 192, (7, 1))
    seven = unit(f"{name}.branch7x7x3_4", seven, 192, 3, 2, 0)
    return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


def block_e(name, x, pool):
    one = unit(f"{name}.branch1x1", x, 320, 1)
    three = unit(f"{name}.branch3x3_1", x, 384, 1)
    three = [unit(f"{name}.branch3x3_2a", three, 384, (1, 3)), unit(f"{name}.branch3x3_2b", three, 384, (3, 1))]
    double = unit(f"{name}.branch3x3dbl_2", unit(f"{name}.branch3x3dbl_1", x, 448, 1), 384, 3)
    double = [unit(f"{name}.branch3x3dbl_3a", double, 384, (1, 3)), unit(f"{name}.branch3x3dbl_3b", double, 384, (3, 1))]
    return torch.cat([one, *three, *double, unit(f"{name}.branch_pool", pool, 192, 1)], 1)


images = torch.rand(2, 3, 20, 24) * 2 - 1
x = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False).double()
x = unit("Conv2d_1a_3x3", x, 32, 3, 2, 0)
x = unit("Conv2d_2a_3x3", x, 32, 3, 1, 0)
x = F.max_pool2d(unit("Conv2d_2b_3x3", x, 64, 3), 3, 2)
x = unit("Conv2d_3b_1x1", x, 80, 1)
x = F.max_pool2d(unit("Conv2d_4a_3x3", x, 192, 3, 1, 0), 3, 2)
for name, pool in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)]:
    x = block_a(name, x, pool)
x = block_b("Mixed_6a", x)
for name, c7 in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)]:
    x = block_c(name, x, c7)
x = block_d("Mixed_7a", x)
x = block_e("Mixed_7b", x, mean_pool(x))
x = block_e("Mixed_7c", x, F.max_pool2d(x, 3, 1, 1))
features = x.mean(dim=(2, 3))
weights["fc.weight"] = torch.randn(63, features.shape[1]) / features.shape[1] ** 0.5
print(features.shape, features.abs().mean(), features.std(), sum(w.numel() for w in weights.values()))
safetensors.torch.save_file(
    {**weights, "images": images, "features": features.float(), "logits": (features @ weights["fc.weight"].double().T).float()},
    pathlib.Path(__file__).parent / "inception.safetensors")
