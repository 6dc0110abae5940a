"""Seconds per image of the FP32 reference and of mu8, side by side in one run.

Items run beside each other, so their own times say little. Here one process at a time predicts the
same few images in every format, the formats taking turns, and the median of the rounds counts.
"""

import statistics

from data_files import packed

from . import machine, runner, tasks
from .networks import FORMATS, NETWORKS, formats_of, is_converted
from .store import StudyError, read_json, write_json

ROUNDS = 3


def measured_formats(places, network, settings):
    """Those whose model is there; the affine files are as fast as the others."""
    return [f for f in formats_of(network, settings.formats) if not f.startswith("affine")
            and (not is_converted(f) or tasks.model_path(places, network, f).is_file())]


def time_once(places, network, form, images, samples):
    """(seconds per image, kernels)"""
    arguments = (["--mean-weights"] if form == "det_fp32" else
                 ["--method", "moments"] if FORMATS[form].by_moments else
                 ["--samples", 1 if form == "det_int8" else samples, "--seed", 1])
    model = ([tasks.model_path(places, network, form)] if is_converted(form)
             else runner.fp32_arguments(places, network, form))
    result = runner.call_mu8(places, "eval", *model, "--data",
                             packed.find(places.data, NETWORKS[network].test), "--limit", images,
                             *arguments)
    return result["seconds"] / result["images"], result["kernels"]


def measure_network(places, settings, network, images):
    rounds, kernels = {}, {}
    for _ in range(ROUNDS):
        for form in measured_formats(places, network, settings):
            try:
                seconds, kernels[form] = time_once(places, network, form, images, settings.samples)
            except (StudyError, OSError):  # told where its items failed
                continue
            rounds.setdefault(form, []).append(seconds)
    return [{"network": network, "format": form, "kernels": kernels[form], "images": images,
             "samples": 1 if FORMATS[form].one_pass else settings.samples,
             "seconds_per_image": statistics.median(values), "rounds": values}
            for form, values in rounds.items()]


def measure(places, settings, images):
    """Writes timing.json; keeps one that the same program made on such a machine."""
    path = places.out / "timing.json"
    models = {f"{n}.{f}": tasks.sha256(tasks.model_path(places, n, f)) for n in settings.networks
              for f in measured_formats(places, n, settings) if is_converted(f)}
    inputs = {"program": tasks.sha256(places.mu8), "images": images, "samples": settings.samples,
              "networks": list(settings.networks), "formats": list(settings.formats),
              "models": models}
    had = read_json(path)
    if had and had.get("inputs") == inputs and had.get("machine") == machine.machine():
        return
    rows = [row for network in settings.networks
            for row in measure_network(places, settings, network, images)]
    write_json(path, {"inputs": inputs, "machine": machine.machine(), "rows": rows})


def read(places):
    return read_json(places.out / "timing.json") or {"rows": [], "machine": {}}
