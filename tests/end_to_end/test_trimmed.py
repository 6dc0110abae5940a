"""Builds that leave out what a model does not need (mu8/config.h): with the configuration of `mu8
embed` the library compiles without a warning, predicts the same bytes, and refuses the models and
options that it lacks; so does each part alone.

    /usr/bin/python3 tests/end_to_end/test_trimmed.py MU8

The library is the one file of tools/amalgamate, compiled by g++ and clang++ with warnings as errors.
Prints each failure and "N passed, N failed"; exits 1 if anything failed, 77 without clang++.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from bare_metal import ROOT, execute
from mu8_command import Checks, Mu8

SKIPPED = 77
DATA = ROOT / "tests" / "data"
GOLDEN = sorted((DATA / "golden").glob("*.mu8"))
OPERATOR_MISSING, BAD_OPTION = 76, 62
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow",
            "-Wundef", "-Werror"]
COMPILERS = ("g++", "clang++")
# Operators whose switch has another name; the first two cannot be left out.
SWITCHES = {"conv2d": None, "dense": None, "maximum": "OP_EXTREMUM", "minimum": "OP_EXTREMUM"}


def needs(mu8, model, folder):
    """The parts that a model needs, of its configuration by `mu8 embed`."""
    mu8.run("embed", model, "--name", "needs", "-o", folder)
    text = (folder / "needs_config.h").read_text(encoding="utf-8")
    return {part for part, value in re.findall(r"#define MU8_WITH_(\w+) ([01])\n", text)
            if value == "1"}


def build(compiler, folder, options):
    program = folder / f"trimmed_{compiler}_{len(options)}"
    execute([compiler, "-std=c++20", "-O2", *WARNINGS, *options, "-I", folder,
             folder / "mu8.cpp", ROOT / "tests" / "end_to_end" / "trimmed.cpp", "-o", program])
    return program


def opened(program, models):
    """{model: (status, offset, layer, found, bytes, statuses of options)}"""
    found, last = {}, None
    for line in execute([program, *models]).splitlines():
        words = line.split(" ")
        if words[0] == "options":
            last.append([int(word) for word in words[1:]])
        else:
            last = [*map(int, words[1:5]), words[5]]
            found[pathlib.Path(words[0])] = last
    return found


def check_refusal(check, mu8, model, record, left_out):
    """The first layer with an operator or bits that were left out, or else the head."""
    _, offset, layer, found, data = record[:5]
    layers = mu8.run("inspect", model)["layers"]
    lacking = [i for i, each in enumerate(layers) if parts_of(each) & left_out]
    check(layer == (lacking[0] if lacking else -1),
          f"{model.name}: layer {layer}, expected the first of {lacking}")
    if lacking:
        check(model.read_bytes()[offset] == found, f"{model.name}: {found} is at {offset}")
    check(data == "", f"{model.name}: refused, and yet {data}")


def parts_of(layer):
    """Those that a layer needs."""
    parts = {SWITCHES.get(layer["op"], f"OP_{layer['op'].upper()}")}
    if is_depthwise(layer):
        parts.add("OP_DEPTHWISE")
    if layer.get("residual"):
        parts.add("OP_RESIDUAL")
    if layer.get("mu_bits", 8) != 8:
        parts.add("MEAN_CODES")
    if layer.get("bayesian"):
        parts.add(f"SIGMA_{layer['sigma_bits']}")
    return parts


def is_depthwise(layer):
    """A kernel of its own for channels that are each a group."""
    return (layer["op"] == "conv2d" and layer["groups"] > 1 and
            layer["groups"] == layer["input_shape"][2] == layer["output_shape"][2])


def check_model(check, mu8, model, folder):
    """A build for one model beside the whole library."""
    mu8.run("embed", model, "--name", "model", "-o", folder)
    kept = needs(mu8, model, folder)
    models = [model, *(each for each in GOLDEN if each != model)]
    required = {each: needs(mu8, each, folder) for each in models}
    for compiler in COMPILERS:
        whole = opened(build(compiler, folder, []), models)
        trimmed = opened(build(compiler, folder, ["-DMU8_CONFIG=model_config.h"]), models)
        check(len(whole) == len(trimmed) == len(models), f"{compiler}: every model was opened")
        check(len(whole[model][4]) > 0, f"{compiler}: {model.name} has predictions")
        refused = 0
        for each in models:
            missing = required[each] - kept
            status = trimmed[each][0]
            check(status == (OPERATOR_MISSING if missing else 0),
                  f"{compiler}: {each.name} without {missing}: status {status}")
            check(whole[each][0] == 0, f"{compiler}: the whole library opens {each.name}")
            if missing:
                refused += 1
                check_refusal(check, mu8, each, trimmed[each], missing)
            else:
                check(trimmed[each][4] == whole[each][4], f"{compiler}: {each.name}: same bytes")
                check(trimmed[each][5] == [BAD_OPTION] * 5,
                      f"{compiler}: {each.name}: options are refused: {trimmed[each][5]}")
                check(whole[each][5][0] == whole[each][5][3] == 0, f"{compiler}: and else taken: {whole[each][5]}")
        check(0 < refused < len(models), f"{compiler}: {refused} of {len(models)} refused")


def check_switches(check, folder):
    """Without any one part the library compiles without a warning; -O0, since 56 builds take minutes by -O2."""
    page = (ROOT / "engine" / "include" / "mu8" / "config.h").read_text(encoding="utf-8")
    switches = re.findall(r"#if !defined\((MU8_WITH_\w+)\)", page)
    check(len(switches) >= 20, f"{len(switches)} switches")

    def compiled(choice):
        compiler, switch = choice
        done = subprocess.run([compiler, "-std=c++20", "-O0", *WARNINGS, f"-D{switch}=0", "-c",
                               folder / "mu8.cpp", "-o", os.devnull], capture_output=True, text=True,
                              check=False)
        return done.returncode == 0, f"{compiler} -D{switch}=0:\n{done.stderr[:2000]}"

    with ThreadPoolExecutor(2) as pool:
        for good, what in pool.map(compiled, [(compiler, switch) for compiler in COMPILERS
                                              for switch in switches]):
            check(good, what)


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    if shutil.which("clang++") is None:
        print("skipped: clang++ is not installed (tools/setup all)")
        return SKIPPED
    check, mu8 = Checks(), Mu8(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as holder:
        folder = pathlib.Path(holder)
        execute([ROOT / "tools" / "amalgamate", folder])
        (folder / "mu8").mkdir()
        (folder / "mu8" / "mu8.h").write_text('#include "../mu8.h"\n', encoding="utf-8")
        lenet = folder / "lenet5.mu8"
        mu8.run("convert", "--model", DATA / "lenet5_mnist.onnx", "--posterior",
                DATA / "lenet5_mnist.npz", "--calibration",
                DATA / "mnist" / "calibration-images-idx3-ubyte.gz", "--calibration-limit", 64,
                "--sigma-bits", 4, "-o", lenet)
        for model in (lenet, DATA / "golden" / "tiny_gaussian.mu8"):
            check_model(check, mu8, model, folder)
        check_switches(check, folder)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
