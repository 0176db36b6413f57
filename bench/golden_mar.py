"""Compares MAR and its token heads with recorded results of the references (MAR's, EAR's for the energy head)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mar import MAR, Round, Shape, at
from recorded import Case, GoldenModel, judged, patchify
from token_heads import DiffusionNet, EnergyNet, HeadShape, Schedule, sinusoid
from workloads import Optimizer, compiled


def head_shape(config: dict[str, Any], head: str) -> HeadShape:
    return HeadShape(
        kind=head, token_width=config["channels"], condition_width=config["z"], width=config["head_width"], depth=config["head_depth"],
        noise_width=config.get("noise_channels", 64),
    )  # fmt: skip


def model_shape(config: dict[str, Any]) -> Shape:
    return Shape(
        tokens=config["seq_len"], embed=config["embed"], heads=config["heads"], encoder_depth=config["encoder_depth"],
        decoder_depth=config["decoder_depth"], buffer=config["buffer"], classes=config["class_num"], mlp_ratio=config["mlp_ratio"],
        epsilon=config["layer_norm_eps"], head=head_shape(config | {"z": config["embed"]}, "diffusion"),
    )  # fmt: skip


class GoldenMAR(GoldenModel):
    # MARK: Tables

    def schedules(self) -> Iterator[Case]:
        names = {
            "alphas_cumprod": "bars", "log_betas": "most", "posterior_log_variance_clipped": "least", "posterior_mean_coef1": "c1",
            "posterior_mean_coef2": "c2",
        }  # fmt: skip
        for case in self.recorded.cases("mar_head", lambda case: "noise_schedule" in case.config):
            schedule = Schedule(case.config["steps"], self.device)
            case.compare("out", "timestep_map", schedule.times)
            for name, table in names.items():
                case.compare("out", name, schedule.tables[table])
            case.compare("out", "log_sqrt_recip_alphas_cumprod", schedule.tables["inverse"].log())
            case.compare("out", "log_sqrt_recipm1_alphas_cumprod", schedule.tables["inverse_rest"].log())
            yield case

    def sinusoids(self) -> Iterator[Case]:
        for case in self.recorded.cases("mar_head", lambda case: case.has("out", "embedding")):
            case.compare("out", "embedding", sinusoid(case["in", "t"].to(self.device)))
            yield case

    def counts(self) -> Iterator[Case]:
        for case in self.recorded.cases("mar_sample", lambda case: isinstance(case.config.get("R"), list)):
            for tokens, rounds in zip(case.config["R"], case.config["T"]):
                plan = list(Round.plan(tokens, rounds, case.config["cfg"], case.config["cfg_schedule"]))
                suffix = f"R{tokens}_T{rounds}"
                case.compare("out", f"count_{suffix}", torch.tensor([step.unknown - step.left for step in plan]))
                case.compare("out", f"cfg_{suffix}", torch.tensor([step.cfg for step in plan]))
            yield case

    # MARK: Heads

    def diffusion_heads(self) -> Iterator[Case]:
        for case in self.recorded.cases("mar_head", lambda case: bool(case.role("param"))):
            net = self.loaded(DiffusionNet(head_shape(case.config, "diffusion")), case)
            x, t, z, weights = self.inputs(case, "x", "t", "z", "G")
            x.requires_grad_(), z.requires_grad_()
            y = net(x, net.time_embed(t), net.cond_embed(z))
            self.finish(case, y, (y * weights).sum(), net, {"x": x, "z": z})
            yield case

    def diffusion_losses(self) -> Iterator[Case]:
        schedule = Schedule(1000, self.device)
        for case in self.recorded.cases("mar_head", lambda case: case.has("out", "vb")):
            parent = self.parent(case)
            net = self.loaded(DiffusionNet(head_shape(parent.config, "diffusion")), parent)
            target, z, t, noise, mask = self.inputs(case, "target", "z", "t", "noise", "mask")
            z.requires_grad_()
            x, error, bound = compiled(net.terms, self.mode)(z, target, t, noise, schedule)
            loss = ((error + bound) * mask).sum() / mask.sum()
            loss.backward()
            for name, value in (("x_t", x), ("mse", error), ("vb", bound), ("row_loss", error + bound), ("loss", loss)):
                case.compare("out", name, value)
            self.compare_gradients(case, net, {"z": z})
            yield case

    @torch.inference_mode()
    def diffusion_draws(self) -> Iterator[Case]:
        for case in self.recorded.cases("mar_head", lambda case: case.has("in", "noise_init")):
            parent = self.parent(case)
            net = self.loaded(DiffusionNet(head_shape(parent.config, "diffusion")), parent)
            z, first, later = self.inputs(case, "z", "noise_init", "noise_steps")
            cfg = case.config["cfg"] if len(z) > len(first) else None
            schedule, wanted = Schedule(case.config["steps"], self.device), torch.arange(len(first))[:, None]
            noise = [first, *later]
            for step, x in enumerate(net.draws(z, wanted, lambda k, _: noise[k], schedule, cfg, case.config["temperature"]), 1):
                if case.has("out", f"x_after_{step}"):
                    case.compare("out", f"x_after_{step}", x)
            case.compare("out", "sample", x)
            yield case

    def energy_heads(self) -> Iterator[Case]:
        for case in self.recorded.cases("energy", lambda case: bool(case.role("param"))):
            net = self.loaded(EnergyNet(head_shape(case.config, "energy")), case)
            z, noise, weights = self.inputs(case, "z", "noise", "G")
            z.requires_grad_(), noise.requires_grad_()
            y = net(z, noise)
            self.finish(case, y, (y * weights).sum(), net, {"z": z, "noise": noise})
            yield case

    def energy_losses(self) -> Iterator[Case]:
        # The distances' power is 1 here and in driftgpu.
        for case in self.recorded.cases("energy", lambda case: case.config.get("alpha") == 1):
            parent = self.parent(case)
            shape = replace(head_shape(parent.config, "energy"), repulsion=case.config["train_temperature"])
            net = self.loaded(EnergyNet(shape), parent)
            z, target, noise, mask = self.inputs(case, "z", "target", "noise", "mask")
            z.requires_grad_()
            score, *distances, samples = compiled(net.terms, self.mode)(z, target, noise.flatten(0, 1))
            loss = (score * mask).sum() / mask.sum()
            loss.backward()
            names = ("samples", "distance_1", "distance_2", "distance_12", "row_loss", "loss")
            for name, value in zip(names, (samples, *distances, score, loss), strict=True):
                case.compare("out", name, value)
            self.compare_gradients(case, net, {"z": z})
            yield case

    @torch.inference_mode()
    def energy_draws(self) -> Iterator[Case]:
        for case in self.recorded.cases("energy", lambda case: case.has("out", "sample")):
            parent = self.parent(case)
            net = self.loaded(EnergyNet(head_shape(parent.config, "energy")), parent)
            z, noise = self.inputs(case, "z", "noise")
            cfg = case.config["cfg"] if len(z) > len(noise) else None
            (sample,) = net.draws(z, torch.empty(0), lambda *_: noise, None, cfg, case.config["infer_temperature"])
            case.compare("out", "sample", sample)
            yield case

    # MARK: Training

    def model(self, case: Case) -> MAR:
        return self.loaded(MAR(model_shape(case.config)), case)

    def step(self, case: Case, parent: Case, model: MAR, suffix: str = "") -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the recorded orders, times and noise, and what leads to it, by the names of the index."""
        images, labels = self.inputs(parent, "imgs", "labels")
        order, t, noise, u, rate = self.inputs(case, *(name + suffix for name in ("orders", "t", "noise", "u", "mask_rate")))
        tokens = patchify(images, parent.config["patch_size"])
        drop = u < parent.config["label_drop_prob"]
        masked = int(torch.ceil(rate * model.shape.tokens))
        schedule = Schedule(1000, self.device)

        def run(times: Tensor, noises: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            z, target, wanted = model.rows(labels, drop, tokens, order, masked)
            _, error, bound = model.net.terms(z.repeat(len(t), 1), target.repeat(len(t), 1), times, noises, schedule)
            return (error + bound).mean(), error, bound

        wanted = order[:, :masked].sort(1).values
        times = torch.cat([of.gather(1, wanted).flatten() for of in t])
        error_loss, error, bound = compiled(run, self.mode)(times, torch.cat([at(of, wanted).flatten(0, 1) for of in noise]))

        def placed(values: Tensor) -> Tensor:
            parts = values.detach().view(len(t), *wanted.shape)
            return torch.zeros(t.shape, device=self.device).scatter(2, wanted.expand(len(t), -1, -1), parts)

        with torch.no_grad():
            every = torch.arange(model.shape.tokens, device=self.device).expand(len(labels), -1)
            known = order[:, masked:].sort(1).values
            encoded = model.encode(model.embed(labels, drop), tokens, known)
            mask = torch.zeros_like(order).scatter(1, wanted, 1)
            z = model.decode(encoded, known, every)
        return error_loss, {
            "mask": mask, "dropped": drop.int(), "encoder": encoded, "z": z, "mse": placed(error), "vb": placed(bound), "loss": error_loss,
        }  # fmt: skip

    def training(self) -> Iterator[Case]:
        for case in self.recorded.cases("mar", lambda case: case.has("in", "orders")):
            parent = self.parent(case)
            model = self.model(parent)
            loss, results = self.step(case, parent, model)
            loss.backward()
            for name, value in results.items():
                case.compare("out", name, value)
            self.compare_gradients(case, model)
            yield case

    def two_steps(self) -> Iterator[Case]:
        """Clipping, AdamW and EMA after a whole forward and backward."""
        for case in self.recorded.cases("mar", lambda case: "lr" in case.config):
            parent, config = self.parent(case), case.config
            model = self.model(parent)
            recipe = SimpleNamespace(
                clip=config["clip"], ema=config["ema"], weight_decay=config["wd"], learning_rate=config["lr"], betas=tuple(config["betas"]),
                adam_epsilon=config["eps"],
            )  # fmt: skip
            optimizer = Optimizer(model, recipe, self.mode, MAR.undecayed)
            for number in (1, 2):
                loss, _ = self.step(case, parent, model, str(number))
                loss.backward()
                norm = optimizer.step()
                case.compare("out", f"step{number}.losses", loss)
                case.compare("out", f"step{number}.grad_norm", norm)
                parameters = dict(model.named_parameters())
                average = dict(zip(parameters, optimizer.average, strict=True))
                for role, values in ((f"step{number}", parameters), (f"ema{number}", average)):
                    for name in case.role(role):
                        case.compare(role, name, values[name])
            yield case

    # MARK: Sampling

    @torch.inference_mode()
    def sampling(self) -> Iterator[Case]:
        shared = self.recorded.case("mar_sample/shared")
        for case in self.recorded.cases("mar_sample", lambda case: case.has("out", "latents")):
            parent, config = self.parent(case), case.config
            model = self.model(parent)
            given = case if case.has("in", "labels") else shared
            labels, order, first, later = self.inputs(given, "labels", "orders", "noise_init", "noise_steps")
            noise = [first, *later]
            plan = list(Round.plan(model.shape.tokens, config["rounds"], config["cfg"], config["cfg_schedule"]))
            case.compare("out", "count", torch.tensor([step.unknown - step.left for step in plan]))
            case.compare("out", "cfg_iter", torch.tensor([step.cfg for step in plan]))
            predicted = [torch.zeros_like(order).scatter(1, order[:, step.left : step.unknown], 1) for step in plan]
            case.compare("out", "predicted", torch.stack(predicted))
            states = model.after_rounds(
                labels, order, iter(plan), Schedule(config["steps"], self.device),
                lambda number, wanted: at(noise[number], wanted).flatten(0, 1), config["cfg"] != 1, config["temperature"],
            )  # fmt: skip
            for number, tokens in enumerate(states, 1):
                case.compare("out", f"tokens_{number}", tokens)
            case.compare_latents(tokens, parent.config["patch_size"])
            yield case


def check(folder: Path, device: torch.device, mode: str) -> bool:
    """Prints a line for each case; true when every result lies within its tolerance."""
    golden = GoldenMAR(folder, device, mode)
    families = (
        golden.schedules, golden.sinusoids, golden.counts, golden.diffusion_heads, golden.diffusion_losses, golden.diffusion_draws,
        golden.energy_heads, golden.energy_losses, golden.energy_draws, golden.training, golden.two_steps, golden.sampling,
    )  # fmt: skip
    return judged(f"{folder}, {mode}: MAR and its heads", {family.__name__: family() for family in families})
