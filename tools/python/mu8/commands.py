"""The `mu8` command that the package carries: what it converts and measures, from Python."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from typing import Any, Iterator, Optional

import numpy as np

from ._library import FOLDER, Error
from .ensemble import Ensemble
from .model import Model, load

EXECUTABLE = FOLDER / "bin" / "mu8"


class Report(dict):
    """What a command found, as its --json has it, and `notes`: what it said beside it. Of convert() also
    `file`, where it wrote, or `data`, the file's bytes."""

    def __init__(self, command: str, figures: dict[str, Any], notes: list[str], file: Optional[str] = None,
                 data: Optional[bytes] = None) -> None:
        super().__init__(figures)
        self.command, self.notes, self.file, self.data = command, notes, file, data

    def load(self) -> Model:
        """convert(): the Model."""
        if self.file is not None:
            return load(self.file)
        if self.data is not None:
            return load(self.data)
        raise Error(f"a report of {self.command} has no file")

    def save(self, path: str | os.PathLike) -> None:
        """convert(): writes the file; whole or not at all."""
        if self.data is None:
            raise Error("the file is written already" if self.file else f"a report of {self.command} has no file")
        write_whole(path, self.data)
        self.file = os.fspath(path)

    def plot(self, axes: Any = None) -> Any:
        """evaluate(..., curves=True): reliability and histograms of the entropy, by matplotlib; its Axes."""
        from ._plots import report_plot
        return report_plot(self, axes)

    def __repr__(self):
        lines = [f"<mu8.Report of {self.command}>"]
        lines += [f"  {key}: {value}" for key, value in self.items() if not isinstance(value, (dict, list))]
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def _repr_html_(self):
        from ._html import report_html
        return report_html(self)


def write_whole(path, data):
    temporary = f"{os.fspath(path)}.{os.getpid()}.{threading.get_ident()}.tmp"
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def run(command, *arguments, progress=False):
    """`mu8 COMMAND ARGUMENTS --json`: what it printed, and its notes. Raises Error with what it said."""
    line = [str(EXECUTABLE), command, *map(str, arguments), "--json"]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=None if progress else subprocess.PIPE, check=False)
    said = "" if progress else done.stderr.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        raise Error(said or f"mu8 {command} ended with {done.returncode}")
    return json.loads(done.stdout), [line for line in said.splitlines() if line]


def as_arguments(options):
    """{sigma_bits: 4, moments: True, mean: [0.1, 0.2]} as --sigma-bits 4 --moments --mean 0.1,0.2."""
    arguments = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(option)
        elif isinstance(value, (list, tuple, np.ndarray)):
            arguments += [option, ",".join(map(str, value))]
        elif isinstance(value, dict):
            arguments += [option, ",".join(f"{key}={each}" for key, each in value.items())]
        else:
            arguments += [option, str(value)]
    return arguments


def is_path(value):
    return isinstance(value, (str, os.PathLike))


def to_numpy(value):
    """A numpy array of an array, tensor or picture."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def arrays_of(data, limit):
    """(inputs, targets or None) of arrays, a pair of them, or a data set or loader of PyTorch's kind, at most
    `limit` inputs of the last two."""
    if isinstance(data, tuple) and len(data) == 2:
        return to_numpy(data[0]), to_numpy(data[1])
    if isinstance(data, np.ndarray) or hasattr(data, "detach"):
        return to_numpy(data), None
    if hasattr(data, "dataset") and hasattr(data, "__iter__"):
        return from_loader(data, limit)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        count = len(data) if limit is None else min(limit, len(data))
        return stacked([data[i] for i in range(count)], np.stack)
    raise Error(f"data is {type(data).__name__}, expected a path, an array, (inputs, targets), a data set or a "
                "loader")


def from_loader(loader, limit):
    batches, count = [], 0
    for batch in loader:
        batches.append(batch)
        count += len(batch[0] if isinstance(batch, (list, tuple)) else batch)
        if limit is not None and count >= limit:
            break
    inputs, targets = stacked(batches, np.concatenate)
    return inputs[:limit], None if targets is None else targets[:limit]


def stacked(items, join):
    if not items:
        raise Error("the data set is empty")
    if not isinstance(items[0], (list, tuple)):
        return join([to_numpy(item) for item in items]), None
    if len(items[0]) != 2:
        raise Error(f"the data set's items have {len(items[0])} parts, expected an input or (input, target)")
    return join([to_numpy(item[0]) for item in items]), join([to_numpy(item[1]) for item in items])


class Files:
    """Paths of what the command reads; arrays and bytes go to a temporary folder."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def data(self, data, limit, name="data.npz"):
        if is_path(data):
            return os.fspath(data)
        inputs, targets = arrays_of(data, limit)
        arrays = {"x": inputs} if targets is None else {"x": inputs, "y": targets}
        np.savez(self.path(name), **arrays)
        return self.path(name)

    def onnx(self, model):
        if is_path(model):
            return os.fspath(model)
        data = model.SerializeToString() if hasattr(model, "SerializeToString") else model
        if not isinstance(data, (bytes, bytearray)):
            raise Error(f"the network is {type(model).__name__}, expected a path to an ONNX file, its bytes, an "
                        "onnx.ModelProto or what mu8.torch.posterior gives")
        with open(self.path("model.onnx"), "wb") as stream:
            stream.write(data)
        return self.path("model.onnx")

    def sigmas(self, posterior):
        if is_path(posterior):
            return os.fspath(posterior)
        arrays = {name if name.endswith((".sigma", ".mean")) else f"{name}.sigma": to_numpy(value)
                  for name, value in dict(posterior).items()}
        np.savez(self.path("posterior.npz"), **arrays)
        return self.path("posterior.npz")

    def network(self, model, posterior):
        """--model and --posterior of a network and its sigmas."""
        if hasattr(model, "onnx") and hasattr(model, "sigmas"):
            if posterior is not None:
                raise Error("a posterior beside a network that has one: expected one of them")
            model, posterior = model.onnx, model.sigmas
        arguments = ["--model", self.onnx(model)]
        return arguments if posterior is None else [*arguments, "--posterior", self.sigmas(posterior)]

    def model(self, model, name="model.mu8"):
        """A .mu8 file's path."""
        if is_path(model):
            return os.fspath(model)
        data = model.data if isinstance(model, Report) else model
        if isinstance(model, Model):
            data = model.to_bytes()
        with open(self.path(name), "wb") as stream:
            stream.write(data)
        return self.path(name)


@contextlib.contextmanager
def temporary_files() -> Iterator[Files]:
    with tempfile.TemporaryDirectory(prefix="mu8-") as folder:
        yield Files(folder)


def convert(model: Any, posterior: Any = None, calibration: Any = None, output: str | os.PathLike | None = None, *,
            sigma_bits: int = 4, progress: bool = False, **options: Any) -> Report:
    """Makes a .mu8 file of a trained posterior; a Report, whose load() is the Model.

    model: an ONNX file (path, bytes, onnx.ModelProto) of the network with mean weights, or what
        mu8.torch.posterior gives, which has the sigmas as well.
    posterior: an .npz or .safetensors file, or {initializer: sigma} with arrays of the initializers' shapes; None
        only with deterministic=True.
    calibration: training inputs: a path (mu8 convert --help), an array, a data set or a loader; uint8 are pixels, and
        the file then predicts pixels; floats are numbers, in whose units it then predicts.
    output: the file to write, whole or not at all; None keeps it in the report's `data`.
    options: those of `mu8 convert --help`, with underscores: head="softmax", mean=[0.1307], moments=True ...
        sigma_bits is 4 unless given, where the command has 8.
    Raises Error where the input is bad, or the converted network is not what the FP32 network was.
    """
    if calibration is None:
        raise Error("convert needs calibration data: inputs like those of training")
    with temporary_files() as files:
        target = files.path("out.mu8") if output is None else os.fspath(output)
        data = files.data(calibration, int(options.get("calibration_limit", 512)))
        figures, notes = run("convert", *files.network(model, posterior), "--calibration", data, "-o", target,
                             *as_arguments({"sigma_bits": None if options.get("deterministic") else sigma_bits,
                                            **options}), progress=progress)
        if output is not None:
            return Report("convert", figures, notes, file=target)
        with open(target, "rb") as stream:
            return Report("convert", figures, notes, data=stream.read())


def evaluate(model: Any, data: Any, ood: Any = None, *, progress: bool = False, **options: Any) -> Report:
    """Accuracy, calibration and uncertainty over data with or without targets; a Report (tools/mu8/METRICS.md).

    model: a .mu8 file, a Model, or a Report of convert(); a list of them is an ensemble, as an Ensemble is. data,
    ood: as convert()'s calibration; (inputs, targets) or a data set or loader with them. options: those of `mu8 eval
    --help`, with underscores.
    """
    limit = options.get("limit")
    with temporary_files() as files:
        foreign = [] if ood is None else ["--ood", files.data(ood, options.get("ood_limit"), "ood.npz")]
        given = model.members if isinstance(model, Ensemble) else model
        members = given if isinstance(given, (list, tuple)) else [given]
        paths = [files.model(member, f"model{i}.mu8") for i, member in enumerate(members)]
        figures, notes = run("eval", *paths, "--data", files.data(data, limit), *foreign,
                             *as_arguments(options), progress=progress)
    return Report("eval", figures, notes)


def diff(model: Any, data: Any, network: Any = None, posterior: Any = None, *, progress: bool = False,
         **options: Any) -> Report:
    """Where a model leaves its FP32 reference, by layer; a Report. network, posterior: as convert()'s; none with
    method="moments". options: those of `mu8 diff --help`, with underscores."""
    with temporary_files() as files:
        reference = [] if network is None else files.network(network, posterior)
        figures, notes = run("diff", files.model(model), *reference, "--data",
                             files.data(data, options.get("limit", 128)), *as_arguments(options),
                             progress=progress)
    return Report("diff", figures, notes)


def inspect(model: Any) -> Report:
    """What a .mu8 file holds; a Report."""
    with temporary_files() as files:
        figures, notes = run("inspect", files.model(model))
    return Report("inspect", figures, notes)


def main() -> None:
    """The `mu8` command itself."""
    os.execv(EXECUTABLE, [str(EXECUTABLE), *sys.argv[1:]])
