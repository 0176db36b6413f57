"""Writes the PyTorch files of this folder and what PyTorch itself reads from them.

    python make.py        (made with torch 2.15, safetensors 0.8)

expected.safetensors holds every tensor of the readable files as float32 or integers, under FILE/PATH.
"""
import argparse
import collections
import datetime
import enum
import fractions
import functools
import os
import pathlib
import random
import types
import zipfile

import numpy
import torch
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent
torch.manual_seed(7)
expected = {}


def note(name, tensors):
    """Notes tensors, nested in dictionaries, under their paths."""
    for key, value in tensors.items():
        path = f"{name}/{key}"
        if isinstance(value, dict):
            note(path, value)
        elif isinstance(value, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in value):
            note(path, dict(enumerate(value)))
        elif isinstance(value, torch.Tensor):
            value = value.detach()
            value = value.float() if value.is_floating_point() else value
            # Flat copies: nothing of how the tensor was stored is left.
            expected[path] = value.clone().contiguous()


def save(name, value, **options):
    torch.save(value, here / name, **options)
    note(name, value)


def values(*shape):
    return torch.randn(shape)


# --- a module's state_dict, an OrderedDict with an attribute ---
module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
save("state_dict.pth", module.state_dict())
save("protocol4.pt", module.state_dict(), pickle_protocol=4)
save("legacy.pth", module.state_dict(), _use_new_zipfile_serialization=False)

# --- a training checkpoint ---
optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
module(values(4, 3)).sum().backward()
optimizer.step()
ema = {name: value * 0.5 for name, value in module.state_dict().items()}
arguments = argparse.Namespace(
    model="drift_ar_base", batch_size=16, lr=None, cfg=1.5, resume="", seed=2**64 - 1, big=2**40, negative=-5,
    bf16=False, pin_mem=True, best=numpy.float64(0.5), names={"a"}, raw=b"\x00\xff", counts=collections.defaultdict(list), R=[0.02, 0.05], path=pathlib.PurePosixPath("a/b"), device=torch.device("cuda", 0))
save("checkpoint.pth", {
    "model": module.state_dict(), "model_ema": ema, "optimizer": optimizer.state_dict(), "epoch": 3, "args": arguments,
    "history": list(range(40)), "scaler": {}})

# --- element types, scalars, nothing ---
save("types.pt", {
    "f32": values(3), "f64": values(3).double() / 3, "f16": torch.tensor([1, -2.5, 6e-8, 65504, float("inf")]).half(),
    "bf16": values(4).bfloat16(), "i64": torch.tensor([-2**62, 0, 5]), "i32": torch.tensor([-7, 2**31 - 1], dtype=torch.int32),
    "u8": torch.tensor([0, 255], dtype=torch.uint8), "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(1.25), "empty": torch.zeros(0, 3)})
torch.save({"i16": torch.tensor([-300], dtype=torch.int16), "i8": torch.tensor([-3], dtype=torch.int8)}, here / "short.pt")

# --- views: strides, offsets, shared storages, parameters ---
base = values(4, 6)
shared = values(10)
views = {
    "transposed": base.t(), "columns": base[:, 1:5:2], "rows": base[1:3], "channels_last":
    values(2, 3, 4, 5).contiguous(memory_format=torch.channels_last), "permuted": values(2, 3, 4).permute(2, 0, 1),
    "shared": shared, "tail": shared[7:], "diagonal": base.diagonal(), "element": base[2, 3], "tied": shared,
    "parameter": torch.nn.Parameter(values(2, 2)), "buffer": torch.nn.Buffer(values(2)),
    "list": [values(2), values(1)], "one": values(1, 5).t()}
save("views.ckpt", views)
torch.serialization.set_crc32_options(False)
save("unchecked.pt", views)
torch.serialization.set_crc32_options(True)

# --- files that must be refused ---
torch.save({"expanded": torch.ones(1).expand(1000, 1000)}, here / "expanded.pt")
torch.save({"complex": torch.ones(2, dtype=torch.complex64)}, here / "complex.pt")
torch.save(module, here / "module.pt")


class Malicious:
    def __reduce__(self):
        return os.system, ("touch /tmp/driftgpu-was-fooled",)


class Innocent:
    """Builds a dictionary, but through a name that is no part of a tensor."""

    def __reduce__(self):
        return eval, ("{}",)


torch.save({"model": {"weight": torch.ones(2), "bias": Malicious()}}, here / "malicious.pth")
torch.save(Malicious(), here / "malicious_legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"weight": torch.ones(2), "other": Innocent()}, here / "innocent.pth")
deep = []
for _ in range(300):
    deep = [deep, 1, torch.ones(1)] if _ == 0 else [deep]
torch.save(deep, here / "deep.pt")
with torch.no_grad():
    torch.jit.script(torch.nn.Linear(2, 1)).save(here / "script.pt")


# --- tiny models under the reference's names ---
def linear(name, inputs, outputs):
    return {f"{name}.weight": values(outputs, inputs), f"{name}.bias": values(outputs)}


def norm(name, width):
    return {f"{name}.weight": values(width), f"{name}.bias": values(width)}


def attention_block(name, width, hidden):
    return (norm(f"{name}.norm1", width) | linear(f"{name}.attn.qkv", width, 3 * width)
            | linear(f"{name}.attn.proj", width, width) | norm(f"{name}.norm2", width)
            | linear(f"{name}.mlp.fc1", width, hidden) | linear(f"{name}.mlp.fc2", hidden, width))


def cross_block(name, width, hidden):
    tensors = {f"{name}.scale_shift_table": values(1, 6, width)}
    tensors |= norm(f"{name}.norm1", width) | linear(f"{name}.attn1.qkv", width, 3 * width)
    tensors |= linear(f"{name}.attn1.proj", width, width) | norm(f"{name}.norm2", width)
    for part in ("wq", "wk", "wv", "proj"):
        tensors |= linear(f"{name}.attn2.{part}", width, width)
    tensors |= norm(f"{name}.norm3", width)
    return tensors | linear(f"{name}.mlp.fc1", width, hidden) | linear(f"{name}.mlp.fc2", hidden, width)


def encoder(width, hidden, blocks, tokens, buffer, token_width, classes):
    tensors = {
        "fake_latent": values(1, width), "mask_token": values(1, 1, width),
        "encoder_pos_embed_learned": values(1, buffer + tokens, width),
        "diffusion_pos_embed_learned": values(1, tokens, width), "class_emb.weight": values(classes, width)}
    tensors |= linear("z_proj", token_width, width) | norm("z_proj_ln", width)
    for block in range(blocks):
        tensors |= attention_block(f"encoder_blocks.{block}", width, hidden)
    return tensors | norm("encoder_norm", width)


def drift_ar(width=4, hidden=8, blocks=2, tokens=4, buffer=3, token_width=4, classes=3):
    tensors = encoder(width, hidden, blocks, tokens, buffer, token_width, classes)
    tensors |= attention_block("draft_model.blocks.0", width, hidden)
    tensors |= norm("draft_model.norm", width) | linear("draft_model.out_proj", width, width)
    net = "drift_decoder.net"
    tensors |= {f"{net}.level_embed": values(1, 6, width), f"{net}.pos_embed": values(1, tokens, width)}
    tensors |= linear(f"{net}.input_proj", token_width, width) | linear(f"{net}.cond_embed", width, width)
    for name, outputs in (("global_mlp", 6 * width), ("spatial_mlp", 2 * width)):
        tensors |= linear(f"{net}.entropy_adaln.{name}.0", 1, width)
        tensors |= linear(f"{net}.entropy_adaln.{name}.2", width, outputs)
    tensors |= cross_block(f"{net}.res_blocks.0", width, hidden)
    tensors |= norm(f"{net}.final_layer.norm_final", width) | linear(f"{net}.final_layer.linear", width, token_width)
    tensors |= linear("token_to_enc_proj", token_width, width) | linear("enc_to_token_proj", width, token_width)
    return tensors | attention_block("feature_encoder.block", width, hidden)


def trans_diff(width=4, hidden=8, blocks=2, tokens=4, buffer=3, token_width=2, classes=3):
    tensors = encoder(width, hidden, blocks, tokens, buffer, token_width, classes)
    net = "diffdecoder.net"
    tensors |= {f"{net}.diffusion_pos_embed_learned": values(1, tokens, width)}
    tensors |= linear(f"{net}.time_embed.time_embedder.linear_1", 256, width)
    tensors |= linear(f"{net}.time_embed.time_embedder.linear_2", width, width)
    tensors |= linear(f"{net}.time_embed.time_proj", width, 6 * width)
    tensors |= linear(f"{net}.cond_embed", width, width) | linear(f"{net}.input_proj", token_width, width)
    tensors |= cross_block(f"{net}.res_blocks.0", width, hidden)
    tensors |= {f"{net}.final_layer.scale_shift_table": values(1, 2, width)}
    return tensors | linear(f"{net}.final_layer.linear", width, token_width)


def half(tensors):
    """Smaller files; the values become float32 again when they are read."""
    return collections.OrderedDict((name, tensor.bfloat16()) for name, tensor in tensors.items())


def convolution(name, inputs, outputs, kernel):
    return {f"{name}.weight": values(outputs, inputs, kernel, kernel), f"{name}.bias": values(outputs)}


def residual(name, inputs, outputs):
    tensors = norm(f"{name}.norm1", inputs) | convolution(f"{name}.conv1", inputs, outputs, 3)
    tensors |= norm(f"{name}.norm2", outputs) | convolution(f"{name}.conv2", outputs, outputs, 3)
    return tensors | (convolution(f"{name}.nin_shortcut", inputs, outputs, 1) if inputs != outputs else {})


def attention(name, width):
    tensors = norm(f"{name}.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        tensors |= convolution(f"{name}.{part}", width, width, 1)
    return tensors


def middle(name, width):
    return residual(f"{name}.block_1", width, width) | attention(f"{name}.attn_1", width) | residual(f"{name}.block_2", width, width)


def autoencoder(widths=(2, 4), latent=3, embed=2):
    first, last = widths[0], widths[-1]
    tensors = convolution("encoder.conv_in", 3, first, 3)
    width = first
    for level, out in enumerate(widths):
        tensors |= residual(f"encoder.down.{level}.block.0", width, out)
        width = out
        if level == len(widths) - 1:
            tensors |= attention(f"encoder.down.{level}.attn.0", width)
        else:
            tensors |= convolution(f"encoder.down.{level}.downsample.conv", width, width, 3)
    tensors |= middle("encoder.mid", last) | norm("encoder.norm_out", last) | convolution("encoder.conv_out", last, 2 * latent, 3)
    tensors |= convolution("decoder.conv_in", latent, last, 3) | middle("decoder.mid", last)
    for level in reversed(range(len(widths))):
        for block in range(2):
            tensors |= residual(f"decoder.up.{level}.block.{block}", width, widths[level])
            width = widths[level]
        if level > 0:
            tensors |= convolution(f"decoder.up.{level}.upsample.conv", width, width, 3)
    tensors |= norm("decoder.norm_out", first) | convolution("decoder.conv_out", first, 3, 3)
    return tensors | convolution("quant_conv", 2 * latent, 2 * embed, 1) | convolution("post_quant_conv", embed, latent, 1)


wrapped = {f"module._orig_mod.{name}": tensor for name, tensor in drift_ar().items()}
save("drift_ar.pth", {
    "model": half(wrapped), "model_ema": half(drift_ar()), "epoch": 7,
    "args": argparse.Namespace(model="tiny", num_heads=2, patch_size=2, label_drop_prob=0.2, attn_dropout=0.05)})
save("transdiff.pth", {"model": half(trans_diff()), "args": argparse.Namespace(model="transdiff_tiny", num_heads=2)})
stage = {f"first_stage_model.{name}": tensor for name, tensor in autoencoder().items()}
stage |= {"first_stage_model.loss.logvar": values(), "model.diffusion_model.out.weight": values(2)}
save("kl16.ckpt", {"state_dict": half(stage), "global_step": 11})

# --- legacy files of other protocols ---
for protocol in (3, 4, 5):
    save(f"legacy{protocol}.pth", {"model": module.state_dict(), "args": argparse.Namespace(num_heads=2)},
         pickle_protocol=protocol, _use_new_zipfile_serialization=False)

# --- 8-bit floats: every pattern, in a zip and in the form before ---
patterns = torch.arange(256, dtype=torch.uint8)
floats8 = {"e4m3": patterns.view(torch.float8_e4m3fn), "e5m2": patterns.view(torch.float8_e5m2).reshape(16, 16),
           "tail": patterns.view(torch.float8_e5m2)[250:], "plain": values(2)}
save("float8.pth", floats8)
save("float8_legacy.pth", floats8, _use_new_zipfile_serialization=False)
save_file({key: value.clone() for key, value in floats8.items()}, here / "float8.safetensors")

# --- types that are not read beside one that is ---
foreign = {"complex": torch.ones(2, 3, dtype=torch.complex64), "quantized": torch.quantize_per_tensor(values(2, 2), 0.1, 0, torch.qint8),
           "e8m0": patterns[:4].view(torch.float8_e8m0fnu), "sparse": torch.eye(3).to_sparse()}
torch.save(foreign | {"plain": floats8["plain"]}, here / "foreign.pth")
torch.save({"complex": foreign["complex"], "plain": floats8["plain"]}, here / "foreign_legacy.pth", _use_new_zipfile_serialization=False)
note("foreign.pth", {"plain": floats8["plain"]})
note("foreign_legacy.pth", {"plain": floats8["plain"]})


# --- side data of every kind beside the weights: nothing of it is needed ---
class Settings(dict):
    """A dictionary of a class of its own."""


class Colour(enum.Enum):
    RED = 1


class Tracker:
    def __init__(self):
        self.best, self.history = 0.5, [1, 2, 3]


class Tight:
    __slots__ = ("a",)

    def __new__(cls, *, a):
        made = super().__new__(cls)
        made.a = a
        return made

    def __getnewargs_ex__(self):
        return (), {"a": self.a}


def side_data():
    return {
        "array": numpy.arange(6.0).reshape(2, 3), "names": numpy.array(["a", "b"]), "rng": numpy.random.RandomState(1).get_state(),
        "generator": numpy.random.default_rng(1), "python_rng": random.Random(1).getstate(), "torch_rng": torch.Generator().get_state(),
        "counter": collections.Counter("abca"), "deque": collections.deque([1, 2]), "bytearray": bytearray(b"xy"), "range": range(3),
        "slice": slice(1, 2), "when": datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc), "took": datetime.timedelta(3),
        "part": fractions.Fraction(1, 3), "norm": functools.partial(torch.nn.LayerNorm, eps=1e-6), "function": torch.nn.functional.relu,
        "settings": Settings(width=3), "tracker": Tracker(), "tight": Tight(a=1), "simple": types.SimpleNamespace(width=4),
        "dtype": torch.float16, "device": torch.device("cpu"), "layout": torch.strided, "set": {1, 2}, "frozen": frozenset([3]),
        "complex": 1 + 2j, "tuple": (1, (2, 3)), "colour": Colour.RED, "class": Tracker, "bytes": b"\0\xff"}


for name, options in (("side.pth", {}), ("side4.pth", {"pickle_protocol": 4}), ("side5.pth", {"pickle_protocol": 5}),
                      ("side_legacy.pth", {"_use_new_zipfile_serialization": False})):
    torch.save({"model": module.state_dict(), "args": argparse.Namespace(num_heads=2), "extra": side_data()}, here / name, **options)
    note(name, {"model": module.state_dict(), "extra": {"torch_rng": torch.Generator().get_state()}})


# --- a tensor that no name leads to, because it lies inside of an object ---
class Holder:
    def __init__(self):
        self.weight = values(3)


torch.save({"epoch": 1, "model": Holder()}, here / "hidden.pth")


# --- a file of torch.save unpacked and zipped again ---
with zipfile.ZipFile(here / "checkpoint.pth") as source, zipfile.ZipFile(here / "again.pth", "w", zipfile.ZIP_DEFLATED) as target:
    target.writestr("unpacked/", b"")
    for entry in source.namelist():
        target.writestr("unpacked/" + entry, source.read(entry))
note("again.pth", {"model": module.state_dict(), "model_ema": ema, "optimizer": optimizer.state_dict()})

save_file(expected, here / "expected.safetensors")
