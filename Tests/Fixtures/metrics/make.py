#!/usr/bin/env python3
"""Writes features.safetensors, expected.json and two .npz files beside this script: features drawn at random, and what NumPy,
SciPy and PyTorch calculate from them. Needs numpy, scipy, torch, safetensors.

frechet          as pytorch-fid: scipy.linalg.sqrtm of the product of the covariances, 1e-6 on both diagonals if not finite
frechet_svd      the same by the singular values of the product of the centred features: exact for singular covariances too
kernel           unbiased squared MMD of all rows, (x y / D + 1)^3
precision,recall torch.cdist and the third nearest neighbour
inception_score  exp of the mean KL divergence of softmax(logits) from its mean
"""
import json
import pathlib

import numpy
import safetensors.numpy
import scipy.linalg
import torch

folder = pathlib.Path(__file__).parent
random = numpy.random.default_rng(20261121)
D = 24


def draw(count, width, mean, mix):
    return (random.normal(size=(count, width)) @ mix + mean).astype(numpy.float32)


mix = random.normal(size=(D, D)) / D**0.5
sets = {
    "x": draw(300, D, 0.2, mix + 0.5 * numpy.eye(D)),
    "y": draw(257, D, 0.0, mix),
    # Fewer images than features: covariances without full rank.
    "few": draw(20, D, 0.1, mix),
    "fewer": draw(13, D, 0.0, mix * 1.2),
    # Two of a row: neighbours at a distance of 0.
    "twins": numpy.repeat(draw(40, D, 0.1, mix), 2, axis=0),
    "logits": (3 * random.normal(size=(103, 10))).astype(numpy.float32),
}


def frechet(a, b):
    (m, s), (n, t) = ((v.mean(axis=0), numpy.cov(v, rowvar=False)) for v in (a, b))
    root = scipy.linalg.sqrtm(s @ t)
    if not numpy.isfinite(root).all():
        offset = 1e-6 * numpy.eye(len(s))
        root = scipy.linalg.sqrtm((s + offset) @ (t + offset))
    return float((m - n) @ (m - n) + numpy.trace(s) + numpy.trace(t) - 2 * numpy.trace(root.real))


def frechet_svd(a, b):
    x, y = ((v - v.mean(axis=0)) / (len(v) - 1) ** 0.5 for v in (a, b))
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + (x * x).sum() + (y * y).sum() - 2 * numpy.linalg.svd(x @ y.T, compute_uv=False).sum())


def kernel(a, b):
    k = lambda u, v: (u @ v.T / u.shape[1] + 1) ** 3
    aa, bb, m, n = k(a, a), k(b, b), len(a), len(b)
    same = (aa.sum() - aa.trace()) / (m * (m - 1)) + (bb.sum() - bb.trace()) / (n * (n - 1))
    return float(same - 2 * k(a, b).mean())


def precision_recall(real, generated, k=3):
    def radii(v):
        return torch.cdist(v, v, compute_mode="donot_use_mm_for_euclid_dist").kthvalue(k + 1, dim=1).values

    between = torch.cdist(generated, real, compute_mode="donot_use_mm_for_euclid_dist")
    precision = (between <= radii(real)[None, :]).any(dim=1).double().mean()
    recall = (between <= radii(generated)[:, None]).any(dim=0).double().mean()
    return [float(precision), float(recall)]


def inception_score(logits):
    p = torch.softmax(logits, dim=1)
    return float((p * (torch.log(p) - torch.log(p.mean(dim=0, keepdim=True)))).sum(dim=1).mean().exp())


double = {name: torch.from_numpy(value).double() for name, value in sets.items()}
expected = {"inception_score": inception_score(double["logits"])}
for a, b in [("x", "y"), ("x", "x"), ("few", "y"), ("few", "fewer"), ("x", "fewer"), ("twins", "y")]:
    u, v = sets[a].astype(float), sets[b].astype(float)
    expected[f"{a} {b}"] = {
        "frechet": frechet(u, v), "frechet_svd": frechet_svd(u, v), "kernel": kernel(double[a], double[b]),
        "precision_recall": precision_recall(double[b], double[a]),
    }
mean, covariance = sets["x"].astype(float).mean(axis=0), numpy.cov(sets["x"].astype(float), rowvar=False)
numpy.savez(folder / "stored.npz", mu=mean, sigma=covariance)
numpy.savez_compressed(folder / "deflated.npz", mu=mean.astype(numpy.float32), sigma=covariance, other=numpy.arange(3))
safetensors.numpy.save_file(sets, folder / "features.safetensors")
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
