"""Runs tasks by calling mu8 and the scripts beside it; each writes its own record when it is done.

The results of an item hold nothing of the run itself (no time, no path, no kernel set), so that any
number of ranks and any number of interruptions give the same bytes. Times go to a folder of their
own.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from data_files import packed

from . import machine, tasks
from .items import deal
from .networks import NETWORKS, FORMATS, is_converted
from .ranks import merged
from .store import StudyError, sha256, write_json

PROGRESS_SECONDS = 30  # between lines where stderr is no terminal


def call(command):
    """stdout of a command; StudyError with the end of stderr where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        program = pathlib.Path(str(command[0])).name
        raise StudyError(f"{program}: exit {done.returncode}: {done.stderr.strip()[:2000]}")
    return done.stdout


def call_mu8(places, *arguments):
    return json.loads(call([places.mu8, *arguments, "--json"]))


# ---- One function per kind of task; each returns (outputs, result) -------------------------------

def run_export(places, task):
    checkpoint, arch = task.detail
    prefix = places.out / "models" / checkpoint
    call([sys.executable, tasks.TOOLS / "export_posterior.py",
          places.models / f"{checkpoint}.pt", "--arch", arch, "--output-prefix", prefix])
    made = [prefix.with_suffix(suffix) for suffix in (".onnx", ".npz")]
    return [path for path in made if path.is_file()], {}


def fp32_arguments(places, network, form):
    """The FP32 network on a command line of mu8."""
    known = NETWORKS[network]
    if FORMATS[form].deterministic:
        return ["--model", tasks.onnx_path(places, known.twin)]
    onnx = tasks.onnx_path(places, known.checkpoint)
    return ["--model", onnx, "--posterior", onnx.with_suffix(".npz")]


def run_convert(places, task):
    network, form = task.detail
    target = tasks.model_path(places, network, form)
    report = call_mu8(places, "convert", *fp32_arguments(places, network, form), "--calibration",
                      packed.find(places.data, NETWORKS[network].calibration), "-o", target,
                      *tasks.convert_options(form), "--accept")
    report.pop("file")
    return [target], report


def run_corrupt(places, task):
    test, folder, kind, severity, images, seed = task.detail
    target = places.out / "cells" / folder
    limit = ["--limit", images] if images else []
    call([sys.executable, places.corrupt, "--data", test, "--type", kind, "--severity", severity,
          "--seed", seed, *limit, "--force", "-o", target])
    return [target / f"{kind}_{severity}.bin"], {}


def model_arguments(places, item):
    """The network of an item on the command line of mu8 eval."""
    if is_converted(item.format):
        return [tasks.model_path(places, item.network, item.format)]
    return fp32_arguments(places, item.network, item.format)


def deterministic(result, set_names):
    """The results of mu8 eval without paths, times and kernels; sets by their names."""
    result = {key: value for key, value in result.items()
              if key not in ("model", "data", "kernels", "seconds", "images_per_second")}
    for entry, name in zip(result.get("ood", []), set_names):
        entry["data"] = name
        entry.pop("seconds", None)
    histograms = result.get("curves", {}).get("histograms", {})
    for entry, name in zip(histograms.get("ood", []), set_names):
        entry["data"] = name
    return result


def run_in_torch(places, item, paths, folder):
    """Predicts the FP32 network of an item in PyTorch, and gives mu8 eval's options to judge that."""
    checkpoint = tasks.checkpoint_of(item.network, item.format)
    command = [sys.executable, tasks.PREDICT_IN_TORCH, places.models / f"{checkpoint}.pt",
               "--arch", NETWORKS[item.network].arch, "--samples", item.samples, "--seed",
               item.seed, "-o", folder / "set"]
    for path in paths:
        command += ["--data", path]
    if item.images:
        command += ["--limit", item.images]
    call(command)
    arguments = ["--model", tasks.onnx_path(places, checkpoint)]
    for index in range(len(paths)):
        arguments += ["--recorded", folder / f"set.{index}.f32",
                      "--recorded-uncertainty", folder / f"set.{index}.uncertainty.f32"]
    return arguments


def run_eval(places, task, settings):
    item = task.detail
    data, sets = tasks.item_data(places, settings, item)
    outputs = []
    arguments = ["--data", data, "--curves", *task.inputs["options"]]
    for _, path in sets:
        arguments += ["--ood", path]
    if item.clean:
        outputs = [places.out / tasks.predictions_name(item)]
        outputs[0].parent.mkdir(exist_ok=True)
        arguments += ["--predictions", outputs[0]]
    if tasks.in_torch(places, item.format):
        with tempfile.TemporaryDirectory() as folder:
            recorded = run_in_torch(places, item, [data, *(path for _, path in sets)],
                                    pathlib.Path(folder))
            result = call_mu8(places, "eval", *recorded, *arguments)
    else:
        result = call_mu8(places, "eval", *model_arguments(places, item), *arguments)
        write_json(places.out / "times" / f"{item.name}.json",
                   {"seconds_per_image": result["seconds"] / result["images"],
                    "images": result["images"], "samples": result["samples"],
                    "kernels": result["kernels"], "machine": machine.machine()})
    return outputs, deterministic(result, [name for name, _ in sets])


def run_task(places, task, settings):
    """Makes what the task is for, then writes its record."""
    record = tasks.record_path(places, task)
    record.parent.mkdir(parents=True, exist_ok=True)
    if task.kind == "eval":
        outputs, result = run_eval(places, task, settings)
    else:
        run = {"export": run_export, "convert": run_convert, "corrupt": run_corrupt}[task.kind]
        outputs, result = run(places, task)
    write_json(record, {"name": task.name, "inputs": task.inputs,
                        "outputs": {path.relative_to(places.out).as_posix(): sha256(path)
                                    for path in outputs},
                        "result": result})


# ---- All tasks of a kind -------------------------------------------------------------------------

def duration(seconds):
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else (
        f"{minutes} min" if seconds >= 90 else f"{seconds:.0f} s")


class Progress:
    """One line on a terminal, otherwise a line now and then; counts the records of every rank."""

    def __init__(self, places, todo, label, shown):
        self.places, self.todo, self.label, self.shown = places, todo, label, shown
        self.start, self.last = time.time(), time.time()

    def is_done(self, task):
        try:
            return tasks.record_path(self.places, task).stat().st_mtime >= self.start - 1
        except FileNotFoundError:
            return False

    def show(self, final=False):
        terminal = sys.stderr.isatty()
        now = time.time()
        if not self.shown or not self.todo or not (final or terminal or
                                                   now - self.last >= PROGRESS_SECONDS):
            return
        self.last = now
        done = [task for task in self.todo if self.is_done(task)]
        cost, total = sum(t.cost for t in done), sum(t.cost for t in self.todo)
        left = f", {duration((now - self.start) * (total - cost) / cost)} left" if (
            cost and len(done) < len(self.todo)) else ""
        text = f"{self.label}: {len(done)} of {len(self.todo)} done{left}"
        print(f"\r{text:70s}" if terminal else text, end="\n" if final or not terminal else "",
              file=sys.stderr, flush=True)


def run_all(places, settings, todo, ranks, jobs, label):
    """Runs this rank's share of the tasks; returns every rank's failures, name -> message."""
    mine = deal(todo, lambda t: t.cost, lambda t: t.name, ranks.size)[ranks.rank]
    progress = Progress(places, todo, label, ranks.rank == 0)
    failures = {}
    with concurrent.futures.ThreadPoolExecutor(max(jobs, 1)) as pool:
        running = {pool.submit(run_task, places, task, settings): task for task in mine}
        try:
            for future in concurrent.futures.as_completed(running):
                try:
                    future.result()
                except (StudyError, OSError, ValueError, KeyError) as problem:
                    failures[running[future].name] = f"{type(problem).__name__}: {problem}" if (
                        not isinstance(problem, StudyError)) else str(problem)
                progress.show()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failures = merged(ranks, failures)
    progress.show(final=True)
    return failures
