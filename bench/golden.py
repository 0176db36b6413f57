"""Compares Drift-AR with recorded results of the reference."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drift_ar import DriftAR, Shape
from drift_loss import drift_loss
from recipe import Recipe
from recorded import Case, Recorded, judged
from workloads import Optimizer, Sampling, TrainingStep, compiled


@dataclass(frozen=True)
class Forward:
    """Results of a training forward, by the names of the index."""

    loss_drift: Tensor
    drift_scale: Tensor
    drift_loss_R: Tensor
    loss_reg: Tensor
    loss_entropy: Tensor
    total: Tensor
    z_AR: Tensor
    entropy_map: Tensor
    gen_tokens: Tensor


class Golden:
    def __init__(self, folder: Path, device: torch.device, mode: str) -> None:
        self.recorded, self.device, self.mode = Recorded(folder), device, mode
        self.cases = self.recorded.cases
        models = list(self.cases("model", lambda case: bool(case.role("param"))))
        if len(models) != 1:
            raise ValueError(f"{folder}: {len(models)} models in the index, one is needed")
        self.model_case = models[0]

    @property
    def shape(self) -> Shape:
        config = self.model_case.config
        return Shape(
            tokens=config["seq_len"],
            token_width=config["vae_embed_dim"] * config["patch_size"] ** 2,
            embed=config["embed"],
            heads=config["heads"],
            encoder_depth=config["encoder_depth"],
            decoder_depth=config["decoder_depth"],
            draft_depth=config["draft_depth"],
            buffer=config["buffer"],
            classes=config["class_num"],
            mlp_ratio=config["mlp_ratio"],
            epsilon=config["layer_norm_eps"],
            sigma_max=config["sigma_max"],
            sigma_tau=config["tau_sigma"],
        )

    def model(self) -> DriftAR:
        model = DriftAR(self.shape)
        # Strict: a parameter too many, too few, or of another shape is an error.
        model.load_state_dict(self.model_case.role("param"), strict=True)
        return model.to(self.device)

    def on_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    # MARK: Drift loss

    def drift(self) -> Iterator[Case]:
        # Weights of samples are not part of the measured step.
        for case in self.cases("drift", lambda case: not case.config["weights"]):
            gen = self.on_device(case["in", "gen"]).requires_grad_()
            negative = self.on_device(case["in", "neg"]) if case.has("in", "neg") else None
            radii = torch.tensor(case.config["R_list"], device=self.device)
            result = drift_loss(gen, self.on_device(case["in", "pos"]), radii, negative)
            result.loss.backward()
            case.compare("out", "loss", result.loss)
            case.compare("out", "scale", result.scale)
            case.compare("out", "loss_R", result.squared_force)
            case.compare("grad", "gen", gen.grad)
            yield case

    # MARK: Training

    def forward(self, model: DriftAR, noise: Tensor, is_second_phase: bool) -> Forward:
        """The reference's step: the tokens of an image are a group, phi of given images the targets."""
        case = self.model_case
        labels, positive, negative = (
            self.on_device(case["in", name]) for name in ("labels", "pos_features", "neg_features")
        )
        radii = torch.tensor(case.config["R"], device=self.device)
        alpha = 0 if is_second_phase else case.config["alpha"]

        def run(noise: Tensor) -> tuple[Tensor, ...]:
            z, entropy = model.encode(model.embed(labels))
            regression, entropy_loss = model.draft_loss(z, shift=1), -entropy.mean()
            fixed = (z.detach(), entropy.detach()) if is_second_phase else (z, entropy)
            tokens = model.generate(*fixed, noise[:, None])[:, 0]
            drift = drift_loss(model.features(tokens), positive, radii, negative)
            total = alpha * (regression + entropy_loss) + (1 - alpha) * drift.loss
            if is_second_phase:
                total = drift.loss
            return drift.loss, drift.scale, drift.squared_force, regression, entropy_loss, total, z, entropy, tokens

        return Forward(*compiled(run, self.mode)(self.on_device(noise)))

    def phases(self) -> Iterator[Case]:
        for case in self.cases("model", lambda case: "phase2" in case.config and "lr" not in case.config):
            is_second = case.config["phase2"]
            model = self.model()
            result = self.forward(model, self.model_case["in", "noise2" if is_second else "noise1"], is_second)
            result.total.backward()
            for name, value in vars(result).items():
                if case.has("out", name):
                    case.compare("out", name, value)
            gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            for name in case.role("grad"):
                if name in gradients:
                    case.compare("grad", name, gradients[name])
                else:
                    case.failures.append(f"{name} has no gradient")
            # A compiled step fills in zeros where eager leaves none.
            none = [name for name in case.entry["grad_none"] if name in gradients and gradients[name].any()]
            case.failures += [f"{name} has a gradient, the reference has none" for name in none]
            norm = torch.stack([g.norm() for g in gradients.values()]).norm()
            case.compare("out", "grad_norm", norm)
            yield case

    def label_drop(self) -> Iterator[Case]:
        for case in self.cases("model", lambda case: case.has("in", "u")):
            model = self.model()
            is_dropped = self.on_device(case["in", "u"] < case.config["label_drop_prob"])
            z, entropy = model.encode(model.embed(self.on_device(self.model_case["in", "labels"]), is_dropped))
            case.compare("out", "z_AR", z)
            case.compare("out", "entropy_map", entropy)
            yield case

    def steps(self) -> Iterator[Case]:
        """Clipping, AdamW and EMA after a whole forward and backward."""
        for case in self.cases("model", lambda case: "lr" in case.config):
            config = case.config
            model = self.model()
            optimizer = Optimizer(model, self.recipe(config), self.mode)
            for step in (1, 2):
                result = self.forward(model, self.model_case["in", f"noise{step}"], config["phase2"])
                result.total.backward()
                norm = optimizer.step()
                losses = [result.loss_drift, result.loss_reg, result.loss_entropy, result.total]
                case.compare("out", f"step{step}.losses", torch.stack(losses))
                case.compare("out", f"step{step}.grad_norm", norm)
                names = [name for name, p in model.named_parameters() if p.requires_grad]
                parameters = dict(model.named_parameters())
                # phi does not change, so its average is itself.
                average = parameters | dict(zip(names, optimizer.average))
                for role, values in ((f"step{step}", parameters), (f"ema{step}", average)):
                    for name in case.role(role):
                        case.compare(role, name, values[name])
            yield case

    def recipe(self, config: dict[str, Any], labels: int = 1, samples: int = 1) -> Recipe:
        shape = self.shape
        side = math.isqrt(shape.tokens)
        return Recipe(
            shape=shape, channels=shape.token_width, height=side, width=side, patch=1, labels=labels, samples=samples,
            positives=8, radii=(0.05, 0.2), label_drop=0.5, draft_shift=0, learning_rate=config.get("lr", 1e-3),
            betas=tuple(config.get("betas", (0.9, 0.95))), adam_epsilon=config.get("eps", 1e-8),
            weight_decay=config.get("wd", 0.02), clip=config.get("clip", 2.0), ema=config.get("ema", 0.99), alpha=0.5,
        )  # fmt: skip

    # MARK: Sampling

    def sampling(self) -> Iterator[Case]:
        (shared,) = self.cases("sample", lambda case: case.has("in", "labels"))
        labels, noise = self.on_device(shared["in", "labels"]), self.on_device(shared["in", "noise"])
        for case in self.cases("sample", lambda case: "cfg" in case.config):
            cfg = case.config["cfg"]
            model = self.model()
            recipe = self.recipe({})
            for encode_once in (True, False):
                sampling = Sampling(recipe, encode_once, cfg != 1, len(labels), 1, self.device, mode=self.mode, cfg=cfg)
                sampling.model = model
                with torch.inference_mode():
                    tokens = sampling.run(labels, noise[:, None])[:, 0]
                case.compare("out", "latents", tokens.transpose(1, 2))
            with torch.inference_mode():
                z, entropy = model.encode(model.embed(labels))
            for name, value in (("z_cond", z), ("entropy_cond", entropy)):
                if case.has("out", name):
                    case.compare("out", name, value)
            yield case

    # MARK: One encoding for the images of a label

    def shared(self) -> Iterator[Case]:
        """Encoding each label once against encoding every image: losses, gradients and samples are the same."""
        case = Case({"id": "shared encoding"}, {})
        recipe = self.recipe({}, labels=4, samples=3)
        random = torch.Generator().manual_seed(1)
        labels = torch.tensor([1, 3, 0, 7], device=self.device)
        is_dropped = torch.tensor([False, True, False, False], device=self.device)
        noise = torch.randn(4, 3, recipe.shape.tokens, recipe.shape.token_width, generator=random)
        real = torch.rand(4, 8, recipe.channels, recipe.height, recipe.width, generator=random) * 2 - 1
        results: list[dict[str, Tensor]] = []
        for encode_once in (True, False):
            step = TrainingStep(recipe, encode_once, self.device, mode=self.mode)
            step.model.load_state_dict(self.model_case.role("param"))
            loss = step.run(labels, is_dropped, self.on_device(noise), self.on_device(real))
            loss.backward()
            result = {name: p.grad for name, p in step.model.named_parameters() if p.grad is not None}
            result["loss"] = loss
            for is_guided in (False, True):
                sampling = Sampling(recipe, encode_once, is_guided, 4, 3, self.device, mode=self.mode)
                sampling.model = step.model
                with torch.inference_mode():
                    result[f"samples, guided {is_guided}"] = sampling.run(labels, self.on_device(noise))
            results.append(result)
        once, each = results
        if once.keys() != each.keys():
            case.failures.append("not the same parameters have a gradient")
        for name in once.keys() & each.keys():
            # The bias of a key has no gradient but rounding noise.
            if not name.endswith("wk.bias"):
                largest = each[name].abs().max().item()
                case.judge(name, once[name], each[name], 1e-4 * largest + 1e-7)
        yield case


def check(folder: Path, device: torch.device, mode: str) -> bool:
    """Prints a line for each case; true when every result lies within its tolerance."""
    golden = Golden(folder, device, mode)
    count = sum(value.numel() for value in golden.model_case.role("param").values())
    families = (golden.drift, golden.phases, golden.label_drop, golden.steps, golden.sampling, golden.shared)
    return judged(f"{folder}, {mode}: the model of {count} parameters", {family.__name__: family() for family in families})
