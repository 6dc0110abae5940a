"""The tools/study command: its options, and the order of its steps."""

import argparse
import dataclasses
import fcntl
import pathlib
import sys
import traceback

from . import items, ranks as mpi, runner, tasks, timing
from .aggregate import aggregate, write_tables
from .networks import FORMATS, NETWORKS, PARTS
from .store import StudyError, write_json

ROOT = tasks.TOOLS.parent
FULL = {"networks": tuple(NETWORKS), "formats": tuple(FORMATS), "parts": PARTS, "samples": 50,
        "seeds": 3, "kl_seeds": 5, "clean_images": 0, "types": items.CORRUPTIONS,
        "severities": items.SEVERITIES, "images": 2000, "shift_samples": 50, "shift_fp32_seeds": 2,
        "corruption_seed": 0, "convergence_samples": (1, 2, 5, 10, 20, 50, 100),
        "convergence_images": 1000, "convergence_seeds": 3, "timing_images": 200}
QUICK = FULL | {"networks": ("lenet5", "resnet20"),
                "formats": ("fp32", "sigma8", "sigma1", "affine1", "det_fp32", "det_int8"),
                "samples": 20, "seeds": 2, "kl_seeds": 2, "clean_images": 300,
                "types": ("gaussian_noise", "gaussian_blur", "fog", "contrast"),
                "severities": (1, 3, 5), "images": 100, "shift_samples": 10,
                "shift_fp32_seeds": 2, "convergence_samples": (1, 5, 20),
                "convergence_images": 100, "convergence_seeds": 2, "timing_images": 50}


def names_of(known):
    def parse(text):
        names = tuple(dict.fromkeys(text.split(",")))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(known)}")
        return names
    return parse


def numbers(least, most):
    def parse(text):
        try:
            values = tuple(dict.fromkeys(int(part) for part in text.split(",")))
        except ValueError:
            values = (least - 1,)
        if not all(least <= value <= most for value in values):
            raise argparse.ArgumentTypeError(f"'{text}': expected whole numbers from {least} to "
                                             f"{most}, several with commas")
        return values
    return parse


def number(least, most=1000000):
    return lambda text: numbers(least, most)(text.replace(",", " "))[0]


def parse_arguments(arguments):
    """(settings, options)"""
    parser = argparse.ArgumentParser(
        prog="study", description="Reproduces the quantization study of Subedar et al. 2021 with "
        "mu8 and writes OUT/report.html. An interrupted run goes on where it stopped; under mpirun "
        "the ranks share the work. See tools/studies/README.md.")
    add = parser.add_argument
    add("--data", type=pathlib.Path, required=True, metavar="DIR",
        help="holds mnist/, cifar10/ and ood/")
    add("--models", type=pathlib.Path, required=True, metavar="DIR",
        help="holds NAME.pt, or NAME.onnx and NAME.npz, of each network")
    add("-o", "--output", type=pathlib.Path, default=ROOT / "build" / "study", metavar="OUT",
        help="default: build/study")
    add("--quick", action="store_true", help="a subset in minutes; the options below still count")
    add("--network", dest="networks", type=names_of(NETWORKS), metavar="LIST",
        help=f"of {', '.join(NETWORKS)}")
    add("--formats", type=names_of(FORMATS), metavar="LIST", help=f"of {', '.join(FORMATS)}")
    add("--parts", type=names_of(PARTS), metavar="LIST", help=f"of {', '.join(PARTS)}")
    add("--samples", type=number(1, 65536), help="T of Table 1 [50]")
    add("--seeds", type=number(1), help="for mean and deviation [3]")
    add("--kl-seeds", type=number(2), help="for the KL ratio [5]")
    add("--clean-images", type=number(0), help="first images of the test set, 0: all [0]")
    add("--types", type=names_of(items.CORRUPTIONS), metavar="LIST", help="corruptions [all 16]")
    add("--severities", type=numbers(1, 5), metavar="LIST", help="[1,2,3,4,5]")
    add("--images", type=number(0), help="per shifted cell, 0: all [2000]")
    add("--shift-samples", type=number(1, 65536), help="T of the shift study [50]")
    add("--shift-fp32-seeds", type=number(1),
        help="2 shows how much FP32 differs from itself [2]")
    add("--corruption-seed", type=number(0), help="[0]")
    add("--convergence-samples", type=numbers(1, 65536), metavar="LIST",
        help="[1,2,5,10,20,50,100]")
    add("--convergence-images", type=number(0), help="[1000]")
    add("--convergence-seeds", type=number(1), help="[3]")
    add("--timing-images", type=number(0), help="for seconds per image; 0 leaves it out [200]")
    add("--jobs", type=number(1), default=1, help="mu8 processes at a time, per rank [1]")
    add("--plan", action="store_true", help="prints what there is to run, and runs nothing")
    add("--report-only", action="store_true", help="reports on what is there, and runs nothing")
    add("--no-report", action="store_true", help="makes the tables alone")
    add("--any-build", action="store_true",
        help="keeps results that another build of mu8 made; otherwise they are made again")
    add("--mu8", type=pathlib.Path, default=ROOT / "build" / "release" / "mu8",
        help="the program; default: build/release/mu8")
    add("--fp32", choices=("mu8", "torch"), default="mu8",
        help="what predicts in FP32: mu8's own reference, or PyTorch (independent of it, on a GPU "
        "where there is one); times are always mu8's [mu8]")
    add("--corrupt", type=pathlib.Path, default=ROOT / "tools" / "corrupt",
        help="the program that makes shifted images; default: tools/corrupt")
    options = parser.parse_args(arguments)
    chosen = {key: value for key, value in vars(options).items() if value is not None}
    chosen = (QUICK if options.quick else FULL) | chosen
    names = [field.name for field in dataclasses.fields(items.Settings)]
    options.timing_images = chosen["timing_images"]
    return items.Settings(**{name: chosen[name] for name in names}), options


def lock(out):
    """Keeps a second study out of the folder as long as the returned file is open."""
    out.mkdir(parents=True, exist_ok=True)
    file = open(out / ".lock", "w", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StudyError(f"{out}: another study is running in this folder") from None
    return file


def print_plan(settings):
    """Items and images x passes of each part and network."""
    every = items.all_items(settings)
    print(f"{len(every)} items, each one `mu8 eval`")
    for network in settings.networks:
        for part in PARTS:
            own = [i for i in every if i.network == network and
                   part == ("shift" if i.shifted else "table" if i.clean else i.cell)]
            passes = {fp32: sum(items.image_passes(i) for i in own
                                if (i.format in ("fp32", "det_fp32")) == fp32) / 1e6
                      for fp32 in (True, False)}
            if own:
                shown = "table, ood" if part == "table" else part
                print(f"{network:15s} {shown:12s} {len(own):5d} items, million image passes: "
                      f"FP32 {passes[True]:.1f}, mu8 {passes[False]:.1f}")


def tell(ranks, text):
    if ranks.rank == 0:
        print(text, file=sys.stderr, flush=True)


def tell_failures(ranks, failures):
    for name, message in sorted(failures.items())[:5]:
        tell(ranks, f"study: {name} failed: {message.splitlines()[0][:300]}")
    if len(failures) > 5:
        tell(ranks, f"study: {len(failures) - 5} more failed; failures.json has all messages")


def run_stage(places, settings, ranks, options, label, find):
    """Runs what is not fresh of the tasks that find() gives; returns failures."""
    def wanted():
        found = find(places, settings)
        todo = [task for task in found if not tasks.is_fresh(places, task)]
        stale = [task.name for task in todo if tasks.is_stale(places, task)]
        return len(found), todo, stale
    count, todo, stale = mpi.from_root(ranks, wanted)
    if count:
        tell(ranks, f"{label}: {count - len(todo)} of {count} done before"
             + (f"; {len(stale)} made from other inputs are made again, such as {min(stale)}"
                if stale else ""))
    if options.report_only:
        return {}
    failures = runner.run_all(places, settings, todo, ranks, options.jobs, label)
    tell_failures(ranks, failures)
    return failures


def eval_tasks(places, settings):
    found = [tasks.eval_task(places, settings, item) for item in items.all_items(settings)]
    return [task for task in found if task is not None]


def finish(places, settings, options, failures):
    """Times, tables and the report, by one rank; returns the exit status."""
    if options.timing_images and not options.report_only:
        timing.measure(places, settings, options.timing_images)
    summary = aggregate(places, settings)
    write_tables(places.out, summary)
    write_json(places.out / "failures.json", failures)
    made = "results.json"
    if not options.no_report:
        from . import report  # matplotlib takes a second to load
        report.write(places, settings, summary, failures)
        made = "report.html"
    missing = len(summary["missing"])
    print(f"{places.out / made}: {summary['items'] - missing} of {summary['items']} items"
          + (f", {missing} missing" if missing else ""), flush=True)
    return 1 if missing else 0


def study(settings, options, ranks):
    """All steps; returns the exit status."""
    places = tasks.Places(options.output.resolve(), options.data.resolve(),
                          options.models.resolve(), options.mu8.resolve(),
                          options.corrupt.resolve(), options.any_build,
                          options.fp32 == "torch")
    guard = []  # rank 0's lock, held until the end

    def begin():
        tasks.check_inputs(places, settings)
        guard.append(lock(places.out))
    mpi.from_root(ranks, begin)
    failures = {}
    for label, find in [("exports", tasks.export_tasks), ("conversions", tasks.convert_tasks),
                        ("shifted images", tasks.corrupt_tasks), ("items", eval_tasks)]:
        failures |= run_stage(places, settings, ranks, options, label, find)
    return mpi.from_root(ranks, lambda: finish(places, settings, options, failures))


def main(arguments=None):
    """Runs the command; 0: complete, 1: items are missing, 2: bad input."""
    settings, options = parse_arguments(arguments)
    if options.plan:
        print_plan(settings)
        return 0
    ranks = mpi.connect()
    try:
        return study(settings, options, ranks)
    except StudyError as problem:
        tell(ranks, f"study: {problem}")
        return 2
    except BaseException:
        if ranks.size > 1:  # the others would wait for ever
            traceback.print_exc()
            ranks.comm.Abort(1)
        raise
