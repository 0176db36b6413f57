"""A training step and a batch of sampling in PyTorch, each a callable that does the work once."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from drift_ar import DriftAR
from drift_loss import drift_loss
from recipe import Recipe

# Modes of torch.compile by the name they have in tables; eager is not compiled.
MODES: dict[str, str | None] = {
    "eager": None,
    "compiled": "default",
    "cudagraphs": "reduce-overhead",
    "autotuned": "max-autotune-no-cudagraphs",
}
PRECISIONS = ("fp32", "tf32", "bf16")


def compiled(function: Callable[..., Tensor], mode: str) -> Callable[..., Tensor]:
    """A method compiled for fixed shapes, exported to ONNX for these, or itself in eager mode."""
    if mode.startswith("onnx"):
        # Nothing else here needs ONNX Runtime.
        from exported import Exported

        owner = function.__self__
        return Exported(owner if isinstance(owner, nn.Module) else owner.model, function, mode)
    name = MODES[mode]
    if name is None:
        return function
    # The same methods are compiled for every model, mode and precision; beyond the usual limit of 8 that is an error.
    torch._dynamo.config.recompile_limit = 64
    return torch.compile(function, mode=name, dynamic=False, fullgraph=True)


def begin_step(mode: str) -> None:
    """Says that what the last step gave is not needed any more: a CUDA graph may write there."""
    if mode == "cudagraphs":
        torch.compiler.cudagraph_mark_step_begin()


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Also sets whether float32 products may be computed in tf32, which is global."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


class Optimizer:
    """Clipping, AdamW and the weights' EMA. Nothing decays whose name begins with one of `undecayed`."""

    def __init__(self, model: nn.Module, recipe: Recipe, mode: str, undecayed: tuple[str, ...] = ()) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in named]
        decays = [p.ndim > 1 and not name.endswith(".bias") and not name.startswith(undecayed) for name, p in named]
        decay = [p for (_, p), does in zip(named, decays) if does]
        plain = [p for (_, p), does in zip(named, decays) if not does]
        self.average = [p.detach().clone() for p in self.parameters]
        self.clip, self.ema = recipe.clip, recipe.ema
        self.adamw = torch.optim.AdamW(
            [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=recipe.learning_rate,
            betas=recipe.betas,
            eps=recipe.adam_epsilon,
            fused=True,
        )
        self._zeros = {p: torch.zeros_like(p) for p in self.parameters}

    def step(self) -> Tensor:
        """Returns the norm of the gradient before clipping."""
        # A parameter the loss does not reach still decays, as in the reference.
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = self._zeros[parameter]
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - self.ema)
        return norm


class TrainingStep:
    """One step of phase I on random images: what a step costs does not depend on what they show."""

    images_per_class = 144

    def __init__(
        self, recipe: Recipe, encode_once: bool, device: torch.device, precision: str = "fp32", mode: str = "eager"
    ) -> None:
        self.recipe, self.device, self.precision = recipe, device, precision
        shape = recipe.shape
        self.model = DriftAR(shape).to(device)
        self.optimizer = Optimizer(self.model, recipe, mode)
        self.encode_once = encode_once
        self.images = torch.rand(
            shape.classes, self.images_per_class, recipe.channels, recipe.height, recipe.width, device=device
        ) * 2 - 1
        self.radii = torch.tensor(recipe.radii, device=device)
        self.alpha = torch.tensor(recipe.alpha, device=device)
        self.mode = mode
        self.run = compiled(self.loss, mode)

    def __call__(self) -> None:
        begin_step(self.mode)
        recipe = self.recipe
        labels = torch.randperm(recipe.shape.classes, device=self.device)[: recipe.labels]
        is_dropped = torch.rand(recipe.labels, device=self.device) < recipe.label_drop
        noise = torch.randn(
            recipe.labels, recipe.samples, recipe.shape.tokens, recipe.shape.token_width, device=self.device
        )
        chosen = torch.randint(self.images_per_class, (recipe.labels, recipe.positives), device=self.device)
        real = self.images[labels[:, None], chosen]
        with autocast(self.device, self.precision):
            loss = self.run(labels, is_dropped, noise, real)
        loss.backward()
        self.optimizer.step()

    def loss(self, labels: Tensor, is_dropped: Tensor, noise: Tensor, real: Tensor) -> Tensor:
        """labels, is_dropped [L], noise [L, G, R, C], real [L, P, channels, height, width]."""
        recipe = self.recipe
        if not self.encode_once:
            labels, is_dropped = (x.repeat_interleave(recipe.samples) for x in (labels, is_dropped))
            noise = noise.flatten(0, 1)[:, None]
        z, entropy = self.model.encode(self.model.embed(labels, is_dropped))
        generated = self.model.generate(z, entropy, noise)
        drift = drift_loss(
            generated.reshape(recipe.labels, recipe.samples, -1), patchify(real, recipe.patch), self.radii
        )
        regression = self.model.draft_loss(z, recipe.draft_shift)
        return self.alpha * (regression - entropy.mean()) + (1 - self.alpha) * drift.loss


class Sampling:
    """`per_label` images of each label, with both halves of guidance where asked for, brought to the host."""

    def __init__(
        self,
        recipe: Recipe,
        encode_once: bool,
        is_guided: bool,
        labels: int,
        per_label: int,
        device: torch.device,
        precision: str = "fp32",
        mode: str = "eager",
        cfg: float = 1.5,
    ) -> None:
        self.shape, self.device, self.precision = recipe.shape, device, precision
        self.encode_once, self.is_guided, self.cfg = encode_once, is_guided, cfg
        self.model = DriftAR(recipe.shape).to(device).eval()
        self.labels = torch.arange(labels, device=device) % recipe.shape.classes
        self.per_label = per_label
        self.mode = mode
        self.run = compiled(self.sample, mode)

    def __call__(self) -> Tensor:
        begin_step(self.mode)
        with torch.inference_mode():
            noise = torch.randn(
                len(self.labels), self.per_label, self.shape.tokens, self.shape.token_width, device=self.device
            )
            with autocast(self.device, self.precision):
                return self.run(self.labels, noise).cpu()

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:
        """labels [L], noise [L, G, R, C] -> tokens [L, G, R, C]."""
        model, size = self.model, noise.shape
        if not self.encode_once:
            labels, noise = labels.repeat_interleave(size[1]), noise.flatten(0, 1)[:, None]
        embedding = model.embed(labels)
        if not self.is_guided:
            return model.generate(*model.encode(embedding), noise).view(size)
        # The unconditional image is one more label; the reference encodes it once for each image.
        others = 1 if self.encode_once else len(labels)
        z, entropy = model.encode(torch.cat([embedding, model.fake_latent.expand(others, -1)]))
        if self.encode_once:
            z, entropy = (torch.cat([x[:-1], x[-1:].expand(x[:-1].shape)]) for x in (z, entropy))
        conditional, unconditional = model.generate(z, entropy, torch.cat([noise, noise])).chunk(2)
        return (unconditional + self.cfg * (conditional - unconditional)).view(size)


def patchify(images: Tensor, patch: int) -> Tensor:
    """[L, P, channels, H, W] -> [L, P, S]: rows of patches, a patch as (channel, row, column)."""
    x = images.unflatten(-1, (-1, patch)).unflatten(-3, (-1, patch))
    return x.permute(0, 1, 3, 5, 2, 4, 6).flatten(2)
