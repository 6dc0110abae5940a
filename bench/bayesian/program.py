"""Runs mu8 and reads what it says."""

import json
import subprocess

BITS = (8, 4, 1)  # of sigma, where a study does not name its own
REFUSED = 3  # exit status of `mu8 convert` where its verdict is against the file


class Refusal(ValueError):
    """The verdict of `mu8 convert` is against the file; the message says why."""


def call(mu8, *arguments):
    """What `mu8 ARGUMENTS --json` prints."""
    run = subprocess.run([mu8, *map(str, arguments), "--json"], capture_output=True, text=True)
    if run.returncode == 0:
        return json.loads(run.stdout)
    message = f"{' '.join(map(str, arguments))}: {run.stderr.strip()}"
    if run.returncode == REFUSED:
        raise Refusal(message)
    raise ValueError(message)


def posterior(folder):
    """The options of a posterior that `variational.export` wrote to `folder`."""
    return "--model", folder / "net.onnx", "--posterior", folder / "net.npz"


def convert(mu8, folder, calibration, bits, *options):
    """(folder / sigmaBITS.mu8 of its posterior, what `mu8 convert` said)."""
    file = folder / f"sigma{bits}.mu8"
    return file, call(mu8, "convert", *posterior(folder), "--calibration", calibration,
                      "--sigma-bits", bits, *options, "-o", file)
