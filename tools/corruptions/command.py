"""The tools/corrupt command: corrupted CIFAR-10 files, a manifest, or a page of samples."""

import argparse
import concurrent.futures
import ctypes
import multiprocessing
import pathlib
import signal
import sys
import time

import cv2

from data_files.atomic import write_atomic

from . import OVADIA, SEVERITIES, TYPES, apply_batch, manifest, parameters
from .records import find_test_batch, read_records, record_bytes
from .samples import write_samples

_data = None  # (images, labels) of this process: inherited by the workers, not sent


def parse_types(text):
    """Names from "all", "ovadia" or a list with commas; unknown ones raise."""
    names = {"all": list(TYPES), "ovadia": list(OVADIA)}.get(text, text.split(","))
    for name in names:
        parameters(name, 1)
    return list(dict.fromkeys(names))


def parse_severities(text):
    """Severities from "all" or a list with commas."""
    try:
        severities = list(SEVERITIES) if text == "all" else [int(s) for s in text.split(",")]
    except ValueError:
        severities = [0]
    if not set(severities) <= set(SEVERITIES):
        raise ValueError(f"severity '{text}': expected 1 to 5, several with commas, or all")
    return sorted(set(severities))


def cell_file(name, severity):
    return f"{name}_{severity}.bin"


def make_cell(folder, name, severity, seed):
    """Writes the file of one type and severity; returns its manifest entry and the seconds taken.
    """
    start = time.perf_counter()
    images, labels = _data
    data = record_bytes(apply_batch(images, name, severity, seed), labels)
    write_atomic(folder / cell_file(name, severity), data)
    entry = {"type": name, "severity": severity, "parameters": parameters(name, severity),
             "bytes": len(data), "sha256": manifest.sha256(data)}
    return entry, time.perf_counter() - start


def start_worker():
    """Ties a worker to the command: it leaves Ctrl-C to it and ends with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pr_set_pdeathsig = 1  # prctl(2), Linux
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def corrupt(folder, wanted, cells, jobs, force):
    """Makes the files of `cells`, pairs of (type, severity), that `folder` lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    had = manifest.read(folder)
    manifest.check_settings(folder, had, wanted)
    todo = [c for c in cells if force or not manifest.is_complete(folder, had, cell_file(*c))]
    if len(todo) < len(cells):
        print(f"{len(cells) - len(todo)} files are complete and kept")
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(jobs, context, start_worker) as pool:
        running = {pool.submit(make_cell, folder, *cell, wanted["seed"]): cell for cell in todo}
        try:
            for done, future in enumerate(concurrent.futures.as_completed(running), 1):
                file = cell_file(*running[future])
                entry, seconds = future.result()
                manifest.add_file(folder, wanted, file, entry)
                print(f"{done:3d}/{len(todo)} {file:24s} {wanted['images']} images "
                      f"{seconds:6.2f} s", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # finishes the files under way
            raise


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="corrupt", description="Make corrupted copies of CIFAR-10 images. Interrupted runs go "
        "on where they stopped. See tools/corruptions/README.md.")
    parser.add_argument("--data", required=True, type=pathlib.Path,
                        help="CIFAR-10 binary file (.bin, .gz, .xz) or folder with test_batch.bin")
    parser.add_argument("--type", default="all",
                        help="type, several with commas, ovadia (16) or all (19, default): "
                        + ", ".join(TYPES))
    parser.add_argument("--severity", default="all", help="1 to 5, several with commas, or all")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    parser.add_argument("--limit", type=int, help="the first N images only")
    parser.add_argument("--jobs", type=int, default=1, help="processes; changes no byte")
    parser.add_argument("--force", action="store_true", help="make complete files again too")
    parser.add_argument("-o", "--output", type=pathlib.Path,
                        help="folder of TYPE_SEVERITY.bin and manifest.json")
    parser.add_argument("--samples", type=pathlib.Path, metavar="PAGE",
                        help="write a page of samples (.png or .jpg) of all types")
    parser.add_argument("--image", type=int, default=0, help="the image on that page")
    options = parser.parse_args(arguments)
    if options.output is None and options.samples is None:
        parser.error("expected -o OUT_DIR or --samples PAGE")
    for name in ("limit", "jobs"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: expected 1 or more")
    if not 0 <= options.seed < 2**64:
        parser.error(f"--seed {options.seed}: expected 0 to 2^64 - 1")
    return options


def main(arguments=None):
    """Runs the command; returns 0, 2 for bad input, 1 where a worker died, 130 on Ctrl-C."""
    global _data
    options = parse_arguments(arguments)
    cv2.setNumThreads(1)  # small images: threads cost more than they give
    try:
        cells = [(t, s) for t in parse_types(options.type)
                 for s in parse_severities(options.severity)]
        source = find_test_batch(options.data)
        _data = read_records(source, options.limit)
        if options.samples is not None:
            write_samples(options.samples, _data[0], options.seed, options.image)
        if options.output is not None:
            wanted = manifest.settings(source.name, *_data, options.seed)
            corrupt(options.output, wanted, cells, options.jobs, options.force)
    except (OSError, ValueError) as e:
        print(f"corrupt: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("corrupt: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except concurrent.futures.BrokenExecutor:
        print("corrupt: a worker process died (out of memory?); the same command goes on from here",
              file=sys.stderr)
        return 1
    return 0
