"""Functions of models as ONNX graphs, which ONNX Runtime runs on the CPU."""

import hashlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import Any, NamedTuple

import onnxruntime
import torch
from torch import Tensor, nn
from torch.utils import _pytree as trees

from token_heads import DrawingSchedule, FlowSchedule, Noise, TokenModel
from transdiff import FallingSchedule, FlowDecoder

# By the name of the mode: the set of ONNX's operators that graphs are of. 23 has attention as one operator.
OPSETS = {"onnx": 20, "onnx-attention": 23}


class _Graph(nn.Module):
    """What is exported: the function, of tensors alone. The owner's parameters are those of the graph."""

    def __init__(self, owner: nn.Module, function: Callable[..., Tensor], form: trees.TreeSpec, leaves: list[Any]) -> None:
        super().__init__()
        self.owner, self.function, self.form = owner, [function], form
        self.leaves = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def forward(self, *tensors: Tensor) -> Tensor:
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        return self.function[0](*trees.tree_unflatten(leaves, self.form))


class _Session(NamedTuple):
    run: onnxruntime.InferenceSession
    # By the numbers of tensors. What nothing depends on is no input.
    inputs: dict[int, str]


class Exported:
    """A function of a model, exported at its first call with arguments of a form and of sizes, as torch.compile compiles it.

    Tensors are the graph's inputs, and so are floats, which may differ from call to call; what else is among the arguments is fixed in
    a graph. Graphs take as many threads as PyTorch.
    """

    # Where graphs are kept from run to run, if anywhere.
    folder: Path | None = None

    def __init__(self, owner: nn.Module, function: Callable[..., Tensor], mode: str) -> None:
        self.owner, self.function, self.opset = owner, function, OPSETS[mode]
        self.sessions: dict[Any, _Session] = {}

    def __call__(self, *arguments: Any) -> Tensor:
        leaves, form = trees.tree_flatten(arguments)
        leaves = [torch.tensor(leaf) if isinstance(leaf, float) else leaf for leaf in leaves]
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        key = form, tuple(leaf.shape if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        if key not in self.sessions:
            self.sessions[key] = self._session(form, leaves, tensors, str(key))
        session = self.sessions[key]
        # Neither this nor the way back copies.
        (found,) = session.run.run(None, {name: tensors[number].numpy() for number, name in session.inputs.items()})
        return torch.from_numpy(found)

    def _session(self, form: trees.TreeSpec, leaves: list[Any], tensors: list[Tensor], key: str) -> _Session:
        names = [f"input_{number}" for number in range(len(tensors))]
        with torch.inference_mode(False), torch.no_grad(), tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            kept = self.folder / self._name(key) if self.folder else Path(scratch) / "graph"
            if not kept.exists():
                # Under its name only when it is whole.
                part = Path(scratch) / "part"
                part.mkdir()
                self._export(_Graph(self.owner, self.function, form, leaves).eval(), tensors, names, part / "graph.onnx")
                shutil.move(part, kept)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
            session = onnxruntime.InferenceSession(kept / "graph.onnx", options, providers=["CPUExecutionProvider"])
        used = {entry.name for entry in session.get_inputs()}
        return _Session(session, {number: name for number, name in enumerate(names) if name in used})

    def _export(self, graph: _Graph, tensors: list[Tensor], names: list[str], file: Path) -> None:
        with warnings.catch_warnings():
            # Of the exporter's own deprecated calls, and of operators that nothing here has.
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.onnx.export(
                graph, tuple(torch.zeros_like(tensor) for tensor in tensors), input_names=names, opset_version=self.opset,
                dynamo=True, verbose=False,
            )  # fmt: skip
            program.save(file, external_data=True)

    def _name(self, key: str) -> str:
        """Another graph has another name: of another model, other weights, other sizes, another program."""
        weights = [(name, tuple(value.shape), value.double().sum().item()) for name, value in self.owner.state_dict().items()]
        # Ways to draw the same images are told apart by what a method's object or a function's scope holds.
        if isinstance(self.function, MethodType):
            held = vars(self.function.__self__).items()
        else:
            held = ((name, cell.cell_contents) for name, cell in zip(self.function.__code__.co_freevars, self.function.__closure__))
        settings = [(name, value) for name, value in held if isinstance(value, (bool, int, float, str))]
        what = self.function.__qualname__, repr(self.owner), settings, weights, key, self.opset, torch.__version__
        sources = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
        return hashlib.sha256(repr(what).encode() + sources).hexdigest()[:16]


def export_flow(net: FlowDecoder, schedule: FallingSchedule, mode: str) -> None:
    """Makes a drawing of TransDiff's decoder one graph, all steps of it: what a run of a graph costs comes once."""
    drawn, rows = Exported(net, net.drawn, mode), fixed_rows(net, schedule)

    def draws(z: Tensor, schedule: FallingSchedule, size: tuple[int, ...], noise: Noise, cfg: float | None = None) -> Iterator[Tensor]:
        yield drawn(z, noise(0, size), noise(1, (len(rows[0]), *size)), rows, cfg)

    net.draws = draws


def fixed_rows(net: nn.Module, schedule: object) -> tuple[Tensor, ...]:
    """They depend on the weights alone."""
    with torch.no_grad():
        return net.rows(schedule)


def loop_within(model: TokenModel, schedule: DrawingSchedule) -> None:
    """Makes the steps of a head a loop of the graph that draws with it."""
    net = model.net
    if schedule is not None:
        rows = fixed_rows(net, schedule)
        net.draws = lambda z, wanted, noise, schedule, cfg=None, temperature=1: [net.drawn(z, noise(0, wanted), noise(1, wanted), rows, cfg)]


def noise_of(model: TokenModel, schedule: DrawingSchedule, wanted: Tensor) -> list[Tensor]:
    """What a drawing at these positions takes: where it starts, and of a head of many steps the noise of each [steps, n, C]."""
    start = model.net.random(0, wanted)
    if schedule is None:
        return [start]
    steps = len(schedule.times)
    # The last step of most schedules has no noise.
    noisy = sum(schedule.is_noisy) if isinstance(schedule, FlowSchedule) else steps - 1
    more = model.net.random(1, wanted.flatten().repeat(noisy))
    more = torch.cat([more, more.new_zeros((steps - noisy) * len(start), more.shape[1])])
    return [start, more.unflatten(0, (steps, -1))]
