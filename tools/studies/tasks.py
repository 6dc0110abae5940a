"""What a study has to make, with the hash of everything that each piece is made from.

Four kinds of task: `export` a checkpoint to ONNX and sigmas, `convert` to a .mu8 file, `corrupt`
the test images, `eval` an item. Each leaves a record (JSON) of its inputs and of its outputs'
hashes; it is fresh, and not run again, as long as both are what they were. runner.py runs them.
"""

import dataclasses
import pathlib

from data_files import packed

from . import items
from .networks import FORMATS, NETWORKS, formats_of, is_converted
from .store import StudyError, read_json, sha256, sha256_of_files

TOOLS = pathlib.Path(__file__).resolve().parent.parent
PREDICT_IN_TORCH = TOOLS / "predict_in_torch"


@dataclasses.dataclass(frozen=True)
class Places:
    out: pathlib.Path
    data: pathlib.Path
    models: pathlib.Path
    mu8: pathlib.Path
    corrupt: pathlib.Path
    any_build: bool  # keep what another build of mu8 made
    torch: bool  # FP32 predictions by PyTorch


@dataclasses.dataclass(frozen=True)
class Task:
    kind: str
    name: str
    cost: float
    inputs: dict
    detail: object  # export: checkpoint, arch; convert: network, format; eval: the Item


def record_path(places, task):
    folder = {"export": "models", "convert": "models", "corrupt": "cells", "eval": "items"}
    return places.out / folder[task.kind] / f"{task.name}.json"


def is_fresh(places, task):
    """Whether the task's record is there, its inputs are today's and its outputs are intact."""
    record = read_json(record_path(places, task))
    if not record or not {"inputs", "outputs"} <= record.keys():
        return False
    ignored = {"program"} if places.any_build else set()
    had = {k: v for k, v in record["inputs"].items() if k not in ignored}
    if had != {k: v for k, v in task.inputs.items() if k not in ignored}:
        return False
    files = {places.out / name: digest for name, digest in record["outputs"].items()}
    return all(path.is_file() and sha256(path) == digest for path, digest in files.items())


def is_stale(places, task):
    """Whether there is a record, but not a fresh one."""
    return record_path(places, task).exists() and not is_fresh(places, task)


# ---- Where files are -----------------------------------------------------------------------------

def onnx_path(places, checkpoint):
    """As given, or exported from the checkpoint."""
    given = places.models / f"{checkpoint}.onnx"
    return given if given.is_file() else places.out / "models" / f"{checkpoint}.onnx"


def model_path(places, network, form):
    return places.out / "models" / f"{network}.{form}.mu8"


def predictions_name(item):
    return f"predictions/{item.name}.f32"


def cells_name(places, network, settings):
    """The folder of shifted images; its name holds all that its files have in common."""
    test = packed.find(places.data, NETWORKS[network].test)
    images = f"n{settings.images}" if settings.images else "all"
    stem = test.name.split(".")[0]
    return f"{stem}-{sha256(test)[:8]}-{images}-seed{settings.corruption_seed}"


def labels_path(images):
    """The label file beside an IDX image file, None for other data."""
    if "images-idx3" not in images.name:
        return None
    path = images.with_name(images.name.replace("images-idx3", "labels-idx1"))
    return path if path.is_file() else None


def data_hash(path):
    """Of the images and, where they are in a file of their own, the labels."""
    return sha256_of_files([p for p in (path, labels_path(path)) if p])


# ---- Exports, conversions, shifted images --------------------------------------------------------

def checkpoints(settings):
    """Pairs (checkpoint, arch), each once."""
    found = {}
    for network in settings.networks:
        known = NETWORKS[network]
        forms = formats_of(network, settings.formats)
        if any(not FORMATS[f].deterministic for f in forms):
            found[known.checkpoint] = known.arch
        if any(FORMATS[f].deterministic for f in forms):
            found[known.twin] = known.arch
    return list(found.items())


def export_tasks(places, settings):
    """Those checkpoints that the folder of models does not hold as ONNX already."""
    exporter = sha256_of_files([TOOLS / "export_posterior.py", TOOLS / "train" / "networks.py"])
    tasks = []
    for checkpoint, arch in checkpoints(settings):
        if onnx_path(places, checkpoint).parent == places.models:
            continue
        source = places.models / f"{checkpoint}.pt"
        if not source.is_file():
            raise StudyError(f"{places.models}: holds neither {checkpoint}.onnx nor {source.name}; "
                             "--network and --formats choose what to run")
        inputs = {"checkpoint": sha256(source), "arch": arch, "exporter": exporter}
        tasks.append(Task("export", checkpoint, 1.0, inputs, (checkpoint, arch)))
    return tasks


def checkpoint_of(network, form):
    known = NETWORKS[network]
    return known.twin if FORMATS[form].deterministic else known.checkpoint


def source_inputs(places, network, form):
    """Hashes of the FP32 network that a format is made from."""
    twin = FORMATS[form].deterministic
    onnx = onnx_path(places, checkpoint_of(network, form))
    inputs = {"program": sha256(places.mu8), "model": sha256(onnx)}
    if not twin:
        inputs["posterior"] = sha256(onnx.with_suffix(".npz"))
    return inputs


def convert_options(form):
    known = FORMATS[form]
    if known.deterministic:
        return ["--deterministic"]
    moments = ["--moments"] if known.by_moments else []
    return ["--sigma-bits", str(known.sigma_bits), "--sigma-quantizer", known.quantizer, *moments]


def convert_tasks(places, settings):
    tasks = []
    for network in settings.networks:
        data = packed.find(places.data, NETWORKS[network].calibration)
        for form in filter(is_converted, formats_of(network, settings.formats)):
            try:
                source = source_inputs(places, network, form)
            except FileNotFoundError:
                continue  # its export failed, which has been told
            inputs = {**source, "calibration": sha256(data), "options": convert_options(form)}
            tasks.append(Task("convert", f"{network}.{form}", NETWORKS[network].cost, inputs,
                              (network, form)))
    return tasks


def generator_hash(places):
    """Of the program that makes shifted images, with the packages beside it."""
    packages = [places.corrupt.parent / name for name in ("corruptions", "data_files")]
    return sha256_of_files([places.corrupt, *(path for package in packages
                                              for path in sorted(package.glob("*.py")))])


def corrupt_tasks(places, settings):
    tasks = {}
    for network in items.shift_networks(settings):
        test = packed.find(places.data, NETWORKS[network].test)
        folder = cells_name(places, network, settings)
        inputs = {"data": sha256(test), "generator": generator_hash(places)}
        for kind, severity in items.shift_cells(settings):
            name = f"{folder}/{kind}_{severity}"
            tasks[name] = Task("corrupt", name, 1.0, inputs,
                               (test, folder, kind, severity, settings.images,
                                settings.corruption_seed))
    return list(tasks.values())


def in_torch(places, form):
    """Whether PyTorch predicts that format."""
    return places.torch and not is_converted(form)


def torch_hash():
    """Of the program that predicts in PyTorch, with the modules that it reads networks and data by."""
    return sha256_of_files([TOOLS / "studies" / "torch_reference.py",
                            *(TOOLS / "train" / f"{name}.py" for name in
                              ("networks", "variational", "augment")),
                            *sorted((TOOLS / "data_files").glob("*.py"))])


# ---- Items ---------------------------------------------------------------------------------------

def item_data(places, settings, item):
    """The images of an item, and its out-of-distribution sets as pairs (name, path)."""
    known = NETWORKS[item.network]
    if item.shifted:
        folder = places.out / "cells" / cells_name(places, item.network, settings)
        return folder / f"{item.cell}.bin", []
    sets = known.ood if item.clean else ()
    return (packed.find(places.data, known.test),
            [(name, packed.find(places.data, file)) for name, file, _ in sets])


def eval_options(item, has_ood, recorded):
    """The options of `mu8 eval` that name no file."""
    options = []
    if item.images:
        options += ["--limit", str(item.images)]
        options += ["--ood-limit", str(item.images)] if has_ood else []
    if item.format == "det_fp32" and not recorded:
        return [*options, "--mean-weights"]
    if FORMATS[item.format].by_moments:
        return [*options, "--method", "moments"]
    return [*options, "--samples", str(item.samples), "--seed", str(item.seed)]


def eval_task(places, settings, item):
    """The task of an item; None where its model or its images could not be made."""
    try:
        data, sets = item_data(places, settings, item)
        inputs = source_inputs(places, item.network, item.format)
        if is_converted(item.format):
            converted = model_path(places, item.network, item.format)
            inputs = {"program": inputs["program"], "model": sha256(converted)}
        elif in_torch(places, item.format):
            checkpoint = places.models / f"{checkpoint_of(item.network, item.format)}.pt"
            inputs |= {"torch": torch_hash(), "checkpoint": sha256(checkpoint)}
        inputs["data"] = data_hash(data)
        inputs["ood"] = {name: data_hash(path) for name, path in sets}
    except FileNotFoundError:
        return None
    inputs["options"] = eval_options(item, bool(sets), in_torch(places, item.format))
    return Task("eval", item.name, items.cost(item), inputs, item)


def check_inputs(places, settings):
    """Raises unless the programs and all data that the settings need are there."""
    if not places.mu8.is_file():
        raise StudyError(f"{places.mu8}: there is no such program; cmake --preset release && "
                         "cmake --build --preset release makes it")
    if items.shift_networks(settings) and not places.corrupt.is_file():
        raise StudyError(f"{places.corrupt}: there is no such program to make shifted images; "
                         "--parts leaves them out")
    for checkpoint, _ in checkpoints(settings) if places.torch else ():
        if not (places.models / f"{checkpoint}.pt").is_file():
            raise StudyError(f"{places.models}: holds no {checkpoint}.pt, which --fp32 torch needs")
    try:
        for network in settings.networks:
            known = NETWORKS[network]
            for name in (known.test, known.calibration, *(file for _, file, _ in known.ood)):
                packed.find(places.data, name)
    except FileNotFoundError as missing:
        raise StudyError(f"{missing}; --network chooses what to run") from None
