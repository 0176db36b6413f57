"""Outputs and gradients of DiT in PyTorch, double precision: python3 make.py (needs torch and safetensors)."""

import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

ROWS, COLUMNS, TOKEN, WIDTH, HEADS, DEPTH, CLASSES, LABELS, IMAGES = 2, 3, 4, 16, 2, 2, 3, 2, 2
torch.manual_seed(4)
torch.set_default_dtype(torch.float64)


def guidance(strengths):
    frequency = 0.1 * 100.0 ** (torch.arange(16) / 15)
    angle = strengths[:, None] * frequency
    return torch.stack([angle.cos(), angle.sin()], -1).flatten(1)


def rotate(x):
    """x [B, heads, N, size]: half of the pairs turn with the row, half with the column."""
    pairs = x.shape[-1] // 2
    half = (pairs + 1) // 2
    position = torch.arange(ROWS * COLUMNS)
    place = torch.stack([position // COLUMNS] * half + [position % COLUMNS] * (pairs - half), -1)
    angle = place * 100.0 ** (-(torch.arange(pairs) % half) / half)
    even, odd = x[..., 0::2], x[..., 1::2]
    c, s = angle.cos(), angle.sin()
    return torch.stack([even * c - odd * s, odd * c + even * s], -1).flatten(-2)


def forward(p, noise, labels, strengths, plain):
    def linear(x, name):
        return F.linear(x, p[name + ".weight"], p[name + ".bias"])

    def modulated(x, shift, scale):
        return F.layer_norm(x, (WIDTH,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]

    x = linear(noise, "x_embedder.proj") + p["pos_embed"]
    t = linear(F.silu(linear(guidance(strengths), "t_embedder.mlp.0")), "t_embedder.mlp.2")
    c = F.silu(p["y_embedder.embedding_table.weight"][labels] + t).repeat_interleave(IMAGES, 0)
    for i in range(DEPTH):
        b = f"blocks.{i}."
        shift1, scale1, gate1, shift2, scale2, gate2 = linear(c, b + "adaLN_modulation.1").chunk(6, -1)
        qkv = linear(modulated(x, shift1, scale1), b + "attn.qkv")
        q, k, v = qkv.unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        if not plain:
            w = p[b + "attn.qk_norm.weight"]
            q, k = (rotate(y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[j]) for j, y in enumerate((q, k)))
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
        x = x + gate1[:, None] * linear(a, b + "attn.proj")
        h = linear(modulated(x, shift2, scale2), b + "mlp.fc1")
        h = F.gelu(h) if plain else F.silu(h.chunk(2, -1)[0]) * h.chunk(2, -1)[1]
        x = x + gate2[:, None] * linear(h, b + "mlp.fc2")
    shift, scale = linear(c, "final_layer.adaLN_modulation.1").chunk(2, -1)
    return linear(modulated(x, shift, scale), "final_layer.linear")


def parameters(plain):
    shapes = {}

    def linear(name, n_in, n_out):
        shapes[name + ".weight"], shapes[name + ".bias"] = (n_out, n_in), (n_out,)

    linear("x_embedder.proj", TOKEN, WIDTH)
    shapes["pos_embed"] = (1, ROWS * COLUMNS, WIDTH)
    shapes["y_embedder.embedding_table.weight"] = (CLASSES + 1, WIDTH)
    linear("t_embedder.mlp.0", 32, WIDTH)
    linear("t_embedder.mlp.2", WIDTH, WIDTH)
    hidden = 4 * WIDTH if plain else 4 * WIDTH * 2 // 3 // 8 * 8
    for i in range(DEPTH):
        b = f"blocks.{i}."
        linear(b + "attn.qkv", WIDTH, 3 * WIDTH)
        if not plain:
            shapes[b + "attn.qk_norm.weight"] = (2, WIDTH // HEADS)
        linear(b + "attn.proj", WIDTH, WIDTH)
        linear(b + "mlp.fc1", WIDTH, hidden if plain else 2 * hidden)
        linear(b + "mlp.fc2", hidden, WIDTH)
        linear(b + "adaLN_modulation.1", WIDTH, 6 * WIDTH)
    linear("final_layer.adaLN_modulation.1", WIDTH, 2 * WIDTH)
    linear("final_layer.linear", WIDTH, TOKEN)
    # Values that single precision holds exactly, so that both sides start from the same.
    return {
        name: (torch.randn(shape) / (math.sqrt(shape[-1]) if len(shape) > 1 else 4)).float().double().requires_grad_()
        for name, shape in shapes.items()
    }


tensors = {}
for case in ("plain", "modern"):
    p = parameters(case == "plain")
    noise = torch.randn(LABELS * IMAGES, ROWS * COLUMNS, TOKEN).float().double().requires_grad_()
    seed = torch.randn(noise.shape).float().double()
    labels, strengths = torch.tensor([2, 3]), torch.tensor([1.0, 2.5])
    output = forward(p, noise, labels, strengths, case == "plain")
    (output * seed).sum().backward()
    tensors |= {f"{case}/parameter/{name}": value.detach() for name, value in p.items()}
    tensors |= {f"{case}/gradient/{name}": value.grad for name, value in p.items()}
    tensors |= {f"{case}/noise": noise.detach(), f"{case}/seed": seed, f"{case}/output": output.detach()}
    tensors |= {f"{case}/dnoise": noise.grad, f"{case}/labels": labels.int(), f"{case}/strengths": strengths}
tensors = {name: (value if value.dtype == torch.int32 else value.float()).contiguous() for name, value in tensors.items()}
save_file(tensors, pathlib.Path(__file__).with_name("expected.safetensors"))
