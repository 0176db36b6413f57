"""The loss of a masked autoencoder, its gradients and features in PyTorch, double precision: python3 make.py (needs torch and safetensors)."""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

IMAGES, CHANNELS, HEIGHT, COLUMNS, PATCH = 3, 3, 6, 8, 2
WIDTH, HEADS, HIDDEN, BLOCKS, DECODER_BLOCKS, EPSILON = 8, 2, 16, 2, 1, 1e-6
ROWS, ACROSS = HEIGHT // PATCH, COLUMNS // PATCH
TOKENS, VALUES = ROWS * ACROSS, CHANNELS * PATCH * PATCH
MASKED = round(0.75 * TOKENS)
torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
parameters = {}


def parameter(name, shape, centre=0.0, deviation=0.3):
    if name not in parameters:
        parameters[name] = (centre + deviation * torch.randn(shape)).requires_grad_()
    return parameters[name]


def linear(x, name, outputs):
    return F.linear(x, parameter(name + ".weight", (outputs, x.shape[-1])), parameter(name + ".bias", (outputs,), deviation=0.1))


def norm(x, name):
    return F.layer_norm(
        x, (x.shape[-1],), parameter(name + ".weight", (x.shape[-1],), 1, 0.2), parameter(name + ".bias", (x.shape[-1],), deviation=0.1), EPSILON
    )


def block(x, name):
    batch, count, width = x.shape
    q, k, v = linear(norm(x, name + ".norm1"), name + ".attn.qkv", 3 * width).reshape(batch, count, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    attended = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v
    x = x + linear(attended.transpose(1, 2).reshape(x.shape), name + ".attn.proj", width)
    return x + linear(F.gelu(linear(norm(x, name + ".norm2"), name + ".mlp.fc1", HIDDEN)), name + ".mlp.fc2", width)


def encode(x):
    for index in range(BLOCKS):
        x = block(x, f"blocks.{index}")
    return norm(x, "norm")


images = torch.rand(IMAGES, CHANNELS, HEIGHT, COLUMNS) * 2 - 1
# A token has its channels first, then rows and columns of the patch.
tokens = images.reshape(IMAGES, CHANNELS, ROWS, PATCH, ACROSS, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(IMAGES, TOKENS, VALUES)
order = torch.stack([torch.randperm(TOKENS) for _ in range(IMAGES)])
hidden, seen = (part.sort(1).values for part in (order[:, :MASKED], order[:, MASKED:]))


def chosen(x, places):
    return torch.gather(x, 1, places[..., None].expand(-1, -1, x.shape[-1]))


embedded = linear(tokens, "patch_embed.proj", WIDTH) + parameter("pos_embed", (1, TOKENS, WIDTH))
encoded = linear(encode(chosen(embedded, seen)), "decoder_embed", WIDTH)
masks = parameter("mask_token", (1, 1, WIDTH)).expand(IMAGES, TOKENS, WIDTH)
x = torch.scatter(masks, 1, seen[..., None].expand(-1, -1, WIDTH), encoded) + parameter("decoder_pos_embed", (1, TOKENS, WIDTH))
for index in range(DECODER_BLOCKS):
    x = block(x, f"decoder_blocks.{index}")
made = linear(norm(chosen(x, hidden), "decoder_norm"), "decoder_pred", VALUES)
loss = F.smooth_l1_loss(made, chosen(tokens, hidden))
loss.backward()

out = {"images": images, "loss": loss.reshape(1), "features": encode(embedded)}
for name, p in parameters.items():
    out["parameter/" + name] = p
    out["gradient/" + name] = p.grad
out = {name: t.detach().float().contiguous() for name, t in out.items()}
out["order"] = order.int()
save_file(out, pathlib.Path(__file__).with_name("expected.safetensors"))
