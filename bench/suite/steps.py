"""The runs themselves: each gives plain data, without host names and paths of this machine."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

DATA = "tests/data"
MODELS = {  # name -> its files, calibration
    "lenet5": (f"{DATA}/lenet5_mnist",
               ["--calibration", f"{DATA}/mnist/calibration-images-idx3-ubyte.gz"]),
    "resnet20": (f"{DATA}/resnet20_cifar10",
                 ["--calibration", f"{DATA}/cifar10/train_subset.bin.gz",
                  "--calibration-limit", "128", "--calibration-passes", "4"]),
}
QUICK_LAYERS = r"conv/[^/]*/(1x6x5x5@28|64x64x3x3@8|64x10x1x1@1)$"
QUICK_KERNELS = rf"peak/.*|read/L1|sample/.*/sigma4|{QUICK_LAYERS}"


class Failed(Exception):
    """A program that did not do its work."""


class Programs:
    """Runs what a build folder holds, from the repository's root, with one thread."""

    def __init__(self, root, build):
        self.root, self.build = root, build
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def has(self, name):
        return (self.build / name).is_file()

    def run(self, name, *arguments):
        program = self.build / name
        if not program.is_file():
            raise Failed(f"{name} is not built: run tools/bench without --build-folder")
        return self.check(name, [str(program), *map(str, arguments)])

    def check(self, name, command):
        done = subprocess.run(command, cwd=self.root, env=self.environment, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise Failed(f"{name} failed with {done.returncode}:\n{done.stderr.strip()}")
        return done.stdout

    def google_benchmark(self, name, *arguments):
        """Rows of {name, label, ns per iteration, counters...} and the program's own context."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.json"
            self.run(name, *arguments, f"--benchmark_out={out}", "--benchmark_out_format=json")
            whole = json.loads(out.read_text(encoding="utf-8"))
        drop = {"family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
                "repetition_index", "threads"}
        rows = [{key: value for key, value in row.items() if key not in drop}
                for row in whole["benchmarks"]]
        return rows, whole["context"]


def convert(programs, folder, quick):
    """Name -> {"bayesian": path, "deterministic": path}."""
    files = {}
    for name, (source, calibration) in MODELS.items():
        if quick and name != "lenet5":
            continue
        if quick:
            calibration = [*calibration, "--calibration-limit", "16", "--calibration-passes", "1"]
        kinds = {"bayesian": ["--posterior", f"{source}.npz", "--sigma-bits", "4"],
                 "deterministic": ["--deterministic"]}
        files[name] = {kind: folder / f"{name}_{kind}.mu8" for kind in kinds}
        for kind, extra in kinds.items():
            programs.run("mu8", "convert", "--model", f"{source}.onnx", *extra, *calibration, "-o",
                         files[name][kind])
    return files


def kernels(programs, quick):
    options = ["--benchmark_min_time=0.2"]
    if quick:
        options = ["--benchmark_min_time=0.002", f"--benchmark_filter={QUICK_KERNELS}"]
    rows, context = programs.google_benchmark("bench/mu8_bench", *options)
    return {"rows": rows, "checked": int(context["layers_checked"])}


def models(programs, files, quick, seconds):
    arguments = [f"{pair['bayesian']}={pair['deterministic']}" for pair in files.values()]
    if quick:
        turns = [("batch1$|^pass", 0.02)]
    else:
        # A percentile of 99.9 needs 1,000 calls.
        turns = [("batch1$", seconds), ("batch64$|^pass", seconds / 3)]
    result = {"rows": [], "checked": 0}
    for pattern, least in turns:
        rows, context = programs.google_benchmark(
            "bench/mu8_bench_models", f"--benchmark_min_time={least}",
            f"--benchmark_filter={pattern}", *arguments)
        result["rows"] += rows
        result["checked"] = int(context["models_checked"])
    return result


def memory(programs, files):
    rows = []
    for name, pair in files.items():
        for batch in (1, 64):
            line = programs.run("bench/mu8_bench_memory", pair["bayesian"], batch)
            rows.append({"model": name, **json.loads(line)})
    return rows


def peers(programs, files, quick, folder):
    out = folder / "peers.json"
    options = ["--json", out]
    for name, pair in files.items():
        options += [f"--{name}", pair["bayesian"], f"--{name}-deterministic", pair["deterministic"]]
    if quick:
        options += ["--quick", "--rounds", "2", "--turn", "0.0002"]
    table = programs.run("bench/peers/mu8_bench_peers", *options)
    result = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return {**result, "markdown": table}


def torch(programs, files, folder):
    """The comparison with PyTorch, or {"left_out": why}."""
    out = folder / "bayesian_torch.json"
    script = programs.root / "bench" / "bayesian_torch.py"
    command = [sys.executable, str(script), "--mu8", str(programs.build / "mu8"), "--model",
               str(files["resnet20"]["bayesian"]), "--json", str(out)]
    done = subprocess.run(command, cwd=programs.root, env=programs.environment, check=False,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode == 3:
        return {"left_out": done.stderr.strip()}
    if done.returncode != 0:
        raise Failed(f"bench/bayesian_torch.py failed:\n{done.stderr.strip()}")
    result = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return result
