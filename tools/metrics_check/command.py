"""Checks the metrics of `mu8 eval` against independent implementations, on recorded predictions.

    tools/check_metrics                 compares the libraries with each other and with golden.json
    tools/check_metrics --update        writes tests/data/metrics/golden.json
    tools/check_metrics --record MU8    makes the recorded predictions anew with the program MU8

Each figure is computed from tests/data/metrics by at least one published library, or, where none
has the definition, by a few lines of numpy typed from the paper; all of them must agree. The test
tests/tools/test_metrics_golden.cpp holds mu8's own code against golden.json. Needs Debian's
packages of `tools/setup metrics`; the other libraries come from PyPI, into
build/check_metrics/venv, without their dependencies. tools/mu8/METRICS.md has the definitions.
"""

import argparse
import json
import os
import pathlib
import sys
import warnings

from data_files.atomic import write_atomic

from .evaluation import labelled_figures, ood_figures
from .figures import Figures
from .heads import label_figures, value_figures
from .recorded import (DATA, read_labels, read_set, read_values, record_labels, record_lenet,
                       record_synthetic, record_values)

warnings.filterwarnings("ignore")  # of what the libraries will change one day


def differences(expected, found, path=""):
    """Lines on what differs between two JSON trees by more than 1e-9."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            yield from differences(expected.get(key), found.get(key), f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, (a, b) in enumerate(zip(expected, found)):
            yield from differences(a, b, f"{path}/{i}")
    elif isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        if abs(expected - found) > 1e-9:
            yield f"{path}: golden.json has {expected}, the libraries say {found}"
    elif expected != found:
        yield f"{path}: golden.json has {expected}, the libraries say {found}"


def classes(name, ood):
    """The figures of a recorded set, and of foreign images beside it."""
    figures, inside = Figures(name), read_set(name)
    labelled_figures(figures, *inside)
    for other in ood:
        ood_figures(figures, inside, read_set(other), other)
    return figures


def labels():
    figures = Figures("labels")
    label_figures(figures, *read_labels())
    return figures


def values():
    figures = Figures("values")
    value_figures(figures, *read_values())
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write golden.json")
    parser.add_argument("--record", metavar="MU8", type=pathlib.Path,
                        help="make the recorded predictions with this program")
    settings = parser.parse_args()
    if settings.record:
        if not os.access(settings.record, os.X_OK):
            parser.error(f"--record: there is no program {settings.record}")
        DATA.mkdir(parents=True, exist_ok=True)
        record_lenet(settings.record)
        record_synthetic()
        record_labels()
        record_values()
    golden, problems = {}, []
    for figures in (classes("digits", ["fashion"]), classes("synthetic", []), labels(), values()):
        figures.print_table()
        problems += figures.problems
        golden[figures.name] = figures.tree
    path = DATA / "golden.json"
    if settings.update and not problems:
        write_atomic(path, json.dumps(golden, indent=1) + "\n")
    elif not settings.update:
        if not path.exists():
            sys.exit(f"check_metrics: {path} is missing; --update writes it")
        problems += differences(json.loads(path.read_text()), golden)
    for problem in problems:
        print(f"check_metrics: {problem}", file=sys.stderr)
    return 1 if problems else 0
