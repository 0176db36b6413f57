"""Functions of models as ONNX graphs, which ONNX Runtime runs on the CPU."""

import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime
import torch
from torch import Tensor, nn
from torch.utils import _pytree as trees

# By the name of the mode: the set of ONNX's operators that graphs are of. 23 has attention as one operator.
OPSETS = {"onnx": 20, "onnx-attention": 23}


class _Graph(nn.Module):
    """What is exported: the function, of tensors alone."""

    def __init__(self, function: Callable[..., Any], form: trees.TreeSpec, leaves: list[Any]) -> None:
        super().__init__()
        owner = function.__self__
        # Its parameters are those of the graph.
        self.owner = owner if isinstance(owner, nn.Module) else owner.model
        self.function, self.form = [function], form
        self.leaves = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        flat, self.result = trees.tree_flatten(self.function[0](*trees.tree_unflatten(leaves, self.form)))
        return tuple(flat)


class _Session(NamedTuple):
    run: onnxruntime.InferenceSession
    inputs: dict[int, str]
    result: trees.TreeSpec


class Exported:
    """A method of a model, exported at its first call with arguments of a form, as torch.compile compiles it.

    Tensors are the graph's inputs, and so are floats, which may differ from call to call; what else is among the arguments is fixed in
    a graph. So are sizes, save those in `varying`: (number among the tensors, dimension). Graphs take as many threads as PyTorch.
    """

    def __init__(self, function: Callable[..., Any], mode: str, varying: tuple[tuple[int, int], ...] = ()) -> None:
        self.function, self.opset, self.varying = function, OPSETS[mode], varying
        self.sessions: dict[Any, _Session] = {}

    def __call__(self, *arguments: Any) -> Any:
        leaves, form = trees.tree_flatten(arguments)
        leaves = [torch.tensor(leaf) if isinstance(leaf, float) else leaf for leaf in leaves]
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        sizes = [list(tensor.shape) for tensor in tensors]
        varying = [(number, dimension) for number, dimension in self.varying if number < len(tensors)]
        for number, dimension in varying:
            # An exported size of 0 or 1 always is that; one above stands for all of these.
            sizes[number][dimension] = min(sizes[number][dimension], 2)
        key = str(form), str(sizes), tuple(None if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        if key not in self.sessions:
            self.sessions[key] = self._session(form, leaves, tensors, varying)
        session = self.sessions[key]
        # Neither this nor the way back copies.
        found = session.run.run(None, {name: tensors[number].numpy() for number, name in session.inputs.items()})
        return trees.tree_unflatten([torch.from_numpy(array) for array in found], session.result)

    def _session(self, form: trees.TreeSpec, leaves: list[Any], tensors: list[Tensor], varying: list[tuple[int, int]]) -> _Session:
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            # Of the exporter's own deprecated calls, and of operators that nothing here has.
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            graph, file = _Graph(self.function, form, leaves).eval(), Path(folder) / "graph.onnx"
            shapes: list[dict[int, Any]] = [{} for _ in tensors]
            for number, dimension in varying:
                if tensors[number].shape[dimension] > 1:
                    shapes[number][dimension] = torch.export.Dim.DYNAMIC
            examples = tuple(torch.zeros_like(tensor) for tensor in tensors)
            names = [f"input_{number}" for number in range(len(tensors))]
            program = torch.onnx.export(
                graph, examples, input_names=names, opset_version=self.opset, dynamo=True, verbose=False,
                dynamic_shapes=(tuple(shapes),) if varying else None,
            )  # fmt: skip
            program.save(file, external_data=True)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        used = {entry.name for entry in session.get_inputs()}
        return _Session(session, {number: name for number, name in enumerate(names) if name in used}, graph.result)
