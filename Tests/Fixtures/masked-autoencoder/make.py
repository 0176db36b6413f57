"""A masked autoencoder in PyTorch, double precision: its loss, gradients and features, and the drift loss in the features of its encoder.

python3 make.py (needs torch and safetensors)."""

import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "bench"))
from drift_loss import _drift_loss  # noqa: E402

IMAGES, CHANNELS, HEIGHT, COLUMNS, PATCH = 3, 3, 4, 8, 2
WIDTH, HEADS, HIDDEN, BLOCKS, DECODER_BLOCKS, EPSILON = 8, 2, 16, 2, 1, 1e-6
LABELS, SAMPLES, POSITIVES, WINDOW, RADII = 2, 3, 4, 2, (0.05, 0.2)
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


def patchify(images):
    """A token has its channels first, then rows and columns of the patch."""
    split = images.reshape(len(images), CHANNELS, ROWS, PATCH, ACROSS, PATCH)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(len(images), TOKENS, VALUES)


def embed(tokens):
    return linear(tokens, "patch_embed.proj", WIDTH) + parameter("pos_embed", (1, TOKENS, WIDTH))


images = torch.rand(IMAGES, CHANNELS, HEIGHT, COLUMNS) * 2 - 1
tokens = patchify(images)
order = torch.stack([torch.randperm(TOKENS) for _ in range(IMAGES)])
hidden, seen = (part.sort(1).values for part in (order[:, :MASKED], order[:, MASKED:]))


def chosen(x, places):
    return torch.gather(x, 1, places[..., None].expand(-1, -1, x.shape[-1]))


embedded = embed(tokens)
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
    out["gradient/" + name] = p.grad.clone()


def vectors(tokens):
    """What images are compared by, [n, V, D] each: the rows after each block, their means and deviations over windows and over the image."""
    rows, made = embed(tokens), []
    for index in range(BLOCKS):
        rows = block(rows, f"blocks.{index}")
        normed = norm(rows, "norm")
        made.append(normed)
        for down, across in ((WINDOW, WINDOW), (ROWS, ACROSS)):
            parts = normed.reshape(-1, ROWS // down, down, ACROSS // across, across, WIDTH).transpose(2, 3).flatten(3, 4).flatten(1, 2)
            made += [parts.mean(2), (parts.var(2, unbiased=False) + 1e-6).sqrt()]
    return made


def groups(x, width):
    """[L n, V, D] -> [L V, n, D]"""
    return x.reshape(LABELS, -1, x.shape[1], width).transpose(1, 2).reshape(-1, len(x) // LABELS, width)


generated = patchify(torch.rand(LABELS * SAMPLES, CHANNELS, HEIGHT, COLUMNS) * 2 - 1).requires_grad_()
positive = patchify(torch.rand(LABELS * POSITIVES, CHANNELS, HEIGHT, COLUMNS) * 2 - 1)
whole = [x.reshape(len(x), 1, -1) for x in (generated, positive)]
pairs = [whole, *zip(vectors(generated), vectors(positive))]
losses = torch.stack([_drift_loss(*(groups(x, x.shape[2]) for x in pair), torch.tensor(RADII), None).loss for pair in pairs])
losses.sum().backward()
out |= {"generated": generated, "positive": positive, "drift": losses.sum().reshape(1), "gradient_generated": generated.grad}
out = {name: t.detach().float().contiguous() for name, t in out.items()}
out["order"] = order.int()
save_file(out, pathlib.Path(__file__).with_name("expected.safetensors"))
