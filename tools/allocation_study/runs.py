"""The rows of a study: which there are, the plan of each, and where they are kept.

OUT/plans holds what `mu8 allocate` found, OUT/runs the rows; both carry the settings that made
them, and only what is missing or of other settings is made.
"""

import concurrent.futures
import json
import pathlib
import sys
import tempfile

from data_files.atomic import write_atomic

from .judging import call, judge_plan, source, widths_text
from .table import JUDGED

METHODS = ("uniform", "quantile-inform", "random-bits", "snr", "posterior-variance", "greedy",
           "sensitivity", "random-search")
RANDOM = ("random-bits", "random-search")  # their seed matters


def settings(options):
    """What a row depends on besides its method, bits and seed."""
    return [str(part) for part in (*source(options), options.data, options.limit, options.samples,
                                   options.evaluations, options.simulated, options.unit,
                                   *options.ood)]


def name_of(item):
    method, bits, seed = item
    return f"{method}.{bits:g}.seed{seed}.json"


def wanted_items(options):
    """(method, bits, seed) of every row."""
    wanted = [("int8", 8.0, 1)]
    for method in options.methods:
        for bits in options.bits:
            if method == "uniform" and bits != int(bits):
                continue  # it would be the row of fewer bits again
            seeds = options.seeds if method in RANDOM else 1
            wanted += [(method, bits, seed) for seed in range(1, seeds + 1)]
    return wanted


def kept_json(path, options):
    """What a run of the same settings wrote there, or None."""
    if not path.is_file():
        return None
    row = json.loads(path.read_text(encoding="utf-8"))
    return row if row.get("settings") == settings(options) else None


def write_json(path, value):
    write_atomic(path, json.dumps(value, indent=1) + "\n")


def allocate(options, items):
    """Plans of the items in OUT/plans, by one call, which quantizes the layers once for all."""
    folder = options.output / "plans"
    folder.mkdir(exist_ok=True)
    items = [item for item in items if item[0] != "int8"]
    missing = [item for item in items if not kept_json(folder / name_of(item), options)]
    if missing:
        methods, bits, seeds = (sorted({item[i] for item in missing}) for i in range(3))
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            call([options.mu8, "allocate", *source(options), "--method", ",".join(methods),
                  "--average-bits", ",".join(f"{b:g}" for b in bits), "--seed",
                  ",".join(map(str, seeds)), "--evaluations", options.evaluations, "--unit",
                  options.unit, "-o", fresh, "--json"])
            for item in missing:
                plan = json.loads((pathlib.Path(fresh) / name_of(item)).read_text(encoding="utf-8"))
                write_json(folder / name_of(item), plan | {"settings": settings(options)})
    return {item: kept_json(folder / name_of(item), options) for item in items}


def rows_of(options):
    """All rows, those that are missing made and kept in OUT/runs."""
    folder = options.output / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = wanted_items(options)
    rows = {item: kept_json(folder / name_of(item), options) for item in wanted}
    judged = {row["plan"]: {key: row[key] for key in JUDGED} for row in rows.values() if row}
    missing = [item for item in wanted if not rows[item]]
    plans = allocate(options, missing)
    layers = len(next(iter(plans.values()))["layers"]) if plans else 0
    items_by_plan = {}
    for item in missing:
        text = widths_text(plans[item]["layers"]) if item in plans else " ".join(["8"] * layers)
        items_by_plan.setdefault(text, []).append(item)

    def finish(text):
        items = items_by_plan[text]
        figures = judged.get(text) or judge_plan(options, plans.get(items[0]))
        for item in items:
            found = plans.get(item, {"divergence": None, "seconds": None})
            rows[item] = {"settings": settings(options), "method": item[0], "bits": item[1],
                          "seed": item[2], "divergence": found["divergence"],
                          "seconds": found["seconds"], **figures}
            write_json(folder / name_of(item), rows[item])
        done = sum(row is not None for row in rows.values())
        print(f"{done} of {len(wanted)}: {items[0][0]} {items[0][1]:g}: "
              f"{100 * figures['accuracy']:.2f} %", file=sys.stderr, flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in [pool.submit(finish, text) for text in items_by_plan]:
            future.result()
    return [rows[item] for item in wanted]
