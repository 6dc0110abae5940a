"""The command line of tools/bench."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

from suite import machine, report, steps

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Builds mu8 and its benchmarks, runs them pinned to one "
        "core and writes results.json and results.md. bench/README.md says how to read them.")
    parser.add_argument("--cpu", type=int, help="the core to run on (default: the last allowed)")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=ROOT / "build" / "bench",
                        help="folder of the results (default: build/bench)")
    parser.add_argument("--quick", action="store_true",
                        help="a few seconds, to see that everything runs: its times say little")
    parser.add_argument("--build-folder", type=pathlib.Path,
                        help="install and build nothing, use the programs in this folder")
    parser.add_argument("--model-seconds", type=float, default=60,
                        help="least time for each model at batch 1 (default: 60)")
    return parser.parse_args(arguments)


def build():
    """The folder of the programs, after installing and building what is missing."""
    subprocess.run([ROOT / "tools" / "setup", "bench"], cwd=ROOT, check=True)
    commands = (["cmake", "--preset", "release", "-DMU8_BUILD_TESTS=OFF"],
                ["cmake", "--build", "--preset", "release", "--target", "mu8_command", "mu8_bench",
                 "mu8_bench_models", "mu8_bench_memory", "mu8_bench_peers"])
    for command in commands:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / "build" / "release"


def say(text):
    print(f"tools/bench: {text}", file=sys.stderr, flush=True)


def measure(options, programs, out):
    results = {}
    say("converting the models")
    files = steps.convert(programs, out, options.quick)
    say("kernels")
    results["kernels"] = steps.kernels(programs, options.quick)
    say("models")
    results["models"] = steps.models(programs, files, options.quick, options.model_seconds)
    results["memory"] = steps.memory(programs, files)
    say("peers")
    results["peers"] = steps.peers(programs, files, options.quick, out)
    if not options.quick:
        say("PyTorch")
        results["torch"] = steps.torch(programs, files, out)
    return results


def main(arguments=None):
    options = parse(arguments)
    try:
        clock_step = machine.check_clock()
        if options.cpu is not None and options.cpu not in os.sched_getaffinity(0):
            machine.pin(options.cpu)  # says why not, before anything is built
        folder = options.build_folder.resolve() if options.build_folder else build()
        cpu = machine.pin(options.cpu)
        out = options.output.resolve()
        out.mkdir(parents=True, exist_ok=True)
        described = machine.describe(ROOT, folder, cpu, clock_step)
        results = measure(options, steps.Programs(ROOT, folder), out)
    except (machine.Refused, steps.Failed, subprocess.CalledProcessError, OSError) as error:
        print(f"tools/bench: {error}", file=sys.stderr)
        return 1
    described["load_after"] = list(os.getloadavg())
    results = {"quick": options.quick, "machine": described, **results}
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = report.markdown(results)
    (out / "results.md").write_text(text, encoding="utf-8")
    print(text)
    say(f"wrote {options.output / 'results.json'} and results.md")
    return 0
