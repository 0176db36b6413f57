"""Compares TransDiff's decoder with recorded results of the reference."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from recorded import Case, GoldenModel, judged
from transdiff import FallingSchedule, FlowDecoder, Shape
from workloads import compiled

FAMILIES = ("trans", "transdiff")


class GoldenTransDiff(GoldenModel):
    """Cases have a condition for each image: L labels of one image."""

    def cases(self, wanted: Callable[[Case], bool]) -> Iterator[Case]:
        return chain.from_iterable(self.recorded.cases(family, wanted) for family in FAMILIES)

    def decoder(self, parent: Case) -> FlowDecoder:
        config = parent.config
        shape = Shape(
            tokens=config["seq"], token_width=config["target"], embed=config["width"], heads=config["heads"], encoder_depth=0,
            decoder_depth=config["depth"], buffer=0, classes=0, mlp_ratio=config["mlp_ratio"], epsilon=config["layer_norm_eps"], noises=1,
        )  # fmt: skip
        return self.loaded(FlowDecoder(shape, config["zc"]), parent)

    def networks(self) -> Iterator[Case]:
        for case in self.cases(lambda case: bool(case.role("param"))):
            decoder = self.decoder(case)
            x, z, times, weights = self.inputs(case, "x", "c", "t", "G")
            x.requires_grad_()
            z.requires_grad_()

            def run(x: Tensor, z: Tensor) -> Tensor:
                return decoder(x[:, None], decoder.keys(z), decoder.timing(times[:, None]))[:, 0]

            y = compiled(run, self.mode)(x, z)
            loss = (y * weights).sum()
            loss.backward()
            case.compare("out", "y", y)
            modulation, embedded = decoder.time_embed(times)
            case.compare("out", "temb", embedded)
            case.compare("out", "timestep_proj", modulation)
            if case.has("out", "loss"):
                case.compare("out", "loss", loss)
            self.compare_gradients(case, decoder, {"x": x, "c": z})
            yield case

    def losses(self) -> Iterator[Case]:
        for case in self.cases(lambda case: case.has("in", "target")):
            z, target, noise = self.inputs(case, "z", "target", "noise")
            decoder, times = self.decoder(self.parent(case)), self.times(case)
            z.requires_grad_()
            loss, noisy = self.loss(decoder, z, target[:, None], times[:, None], noise[:, None])
            case.compare("out", "loss", loss)
            for name, value in (("t", times), ("x_t", noisy)):
                if case.has("out", name):
                    case.compare("out", name, value)
            self.compare_gradients(case, decoder, {"z": z})
            if case.config.get("batch_mul", 1) > 1:
                self.compare_shared(case, case.config["batch_mul"])
            yield case

    def compare_shared(self, case: Case, tiles: int) -> None:
        """The same loss where the noises of an image share its z: of tiled rows those of an image are brought together."""

        def together(x: Tensor) -> Tensor:
            return x.unflatten(0, (tiles, -1)).transpose(0, 1)

        rows, targets, noise = (together(x.detach()) for x in self.inputs(case, "z", "target", "noise"))
        decoder, times = self.decoder(self.parent(case)), together(self.times(case))
        z = rows[:, 0].clone().requires_grad_()
        loss, _ = self.loss(decoder, z, targets[:, :1].repeat_interleave(tiles, 1), times, noise)
        case.compare("out", "loss", loss)
        case.judge("grad/z", z.grad, together(case["grad", "z"]).sum(1), tiles * case.tolerance("grad", "z"))
        for name, parameter in decoder.named_parameters():
            case.compare("grad", name, parameter.grad)

    def loss(self, decoder: FlowDecoder, z: Tensor, target: Tensor, times: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        def run(z: Tensor) -> tuple[Tensor, Tensor]:
            errors, noisy = decoder.errors(z, target, times, noise)
            return errors.mean(), noisy

        loss, noisy = compiled(run, self.mode)(z)
        loss.backward()
        return loss, noisy

    def times(self, case: Case) -> Tensor:
        """Given, or made of given normal numbers."""
        if case.has("in", "t"):
            return self.inputs(case, "t")[0].float()
        return FlowDecoder.times(self.inputs(case, "normal")[0])

    @torch.inference_mode()
    def drawings(self) -> Iterator[Case]:
        for case in self.cases(lambda case: case.has("out", "sample")):
            decoder, config = self.decoder(self.parent(case)), case.config
            decoder.step = compiled(decoder.step, self.mode)
            schedule = FallingSchedule(config["num_steps"], config["scale_0"], config["scale_1"], self.device)
            z, first, later = self.inputs(case, "c", "latents", "noises")
            # The last step adds nothing random; what it is given must not matter.
            noise = [first, *later, torch.full_like(first, 100)]
            cfg = None if config["cfg_scale"] == 1 else config["cfg_scale"]
            states = [first]
            for x in decoder.draws(z, schedule, (len(first), 1, *first.shape[1:]), lambda number, size: noise[number].view(size), cfg):
                states.append(x[:, 0])
            for step, x in enumerate(states):
                if case.has("out", f"x_after_{step}"):
                    case.compare("out", f"x_after_{step}", x)
            case.compare("out", "sample", states[-1])
            if case.has("out", "trajectory"):
                case.compare("out", "trajectory", torch.stack(states[:-1]))
                case.compare("out", "t1000", schedule.times)
            yield case


def check(folder: Path, device: torch.device, mode: str) -> bool:
    """Prints a line for each case; true when every result lies within its tolerance."""
    golden = GoldenTransDiff(folder, device, mode)
    families = (golden.networks, golden.losses, golden.drawings)
    return judged(f"{folder}, {mode}: TransDiff's decoder", {family.__name__: family() for family in families})
