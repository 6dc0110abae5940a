"""Compares the methods of `mu8 allocate`: average bits against accuracy, NLL, ECE and file size.

    tools/study_allocation --model M.onnx --posterior P.npz --calibration TRAINING_IMAGES \\
      --data TEST_IMAGES -o OUT [--methods LIST] [--bits LIST] [--unit panel] [--seeds N] \\
      [--samples T] [--ood IMAGES]... [--simulated]

Writes OUT/allocation.csv (a row a run), allocation.md (means over seeds), and, where matplotlib is
installed, allocation.png (curves; bars are deviations over seeds) and bits.png (bits by layer). INT8
(8 bits, all layers) is always among the rows. Plans are kept in OUT/plans, rows in OUT/runs: the same
command goes on where it was interrupted, and what other options made is made again. Equal plans are
judged once. `seconds` are those of finding the plan, without quantizing the layers.

--simulated also runs every file's weights in FP32 arithmetic (mu8 eval --engine-weights):
kl_simulated is mean KL(simulated || engine) over the images, in nats, kl_seeds that of the engine's
seed 1 from its seed 2, which chance alone makes.
"""

import argparse
import concurrent.futures
import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHODS = ("uniform", "quantile-inform", "random-bits", "snr", "posterior-variance", "greedy",
           "sensitivity", "random-search")
RANDOM = ("random-bits", "random-search")  # their seed matters
COLUMNS = ("method", "bits", "seed", "average_bits", "file_bytes", "accuracy", "nll", "ece", "brier",
           "mean_entropy", "auroc_errors", "auroc_ood", "kl_simulated", "kl_seeds", "divergence",
           "seconds", "plan")
MEASURED = COLUMNS[3:-1]
JUDGED = (*COLUMNS[3:-3], "plan")  # what a plan's file says


class Failed(Exception):
    """A command of mu8 failed: what it said."""


def call(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command[:2]))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def source(options):
    arguments = ["--model", options.model, "--posterior", options.posterior, "--calibration",
                 options.calibration, "--calibration-limit", options.calibration_limit,
                 "--sigma-bits", options.sigma_bits]
    for name in ("mean", "std"):
        if getattr(options, name):
            arguments += [f"--{name}", getattr(options, name)]
    return arguments


def judge(options, folder, model):
    """What `mu8 eval` says of a file."""
    limit = ["--limit", options.limit] if options.limit else []
    common = ["--data", options.data, *limit, "--samples", options.samples, "--json"]
    engine = folder / "engine.f32"
    sets = [part for path in options.ood for part in ("--ood", path)]
    against = []
    if options.simulated:
        normalization = [part for name in ("mean", "std") if getattr(options, name)
                         for part in (f"--{name}", getattr(options, name))]
        call([options.mu8, "eval", "--model", options.model, *normalization, "--engine-weights",
              model, *common, "--predictions", folder / "simulated.f32"])
        against = ["--against", folder / "simulated.f32"]
    judged = call([options.mu8, "eval", model, *common, *sets, *against, "--predictions", engine])
    said = {key: judged[key] for key in ("accuracy", "nll", "ece", "brier", "mean_entropy")}
    said["auroc_errors"] = (judged["misclassification"]["by_entropy"] or {}).get("auroc")
    aurocs = [one["by_entropy"]["auroc"] for one in judged.get("ood", [])]
    said["auroc_ood"] = statistics.mean(aurocs) if aurocs else None
    said["kl_simulated"], said["kl_seeds"] = judged.get("kl_against"), None
    if options.simulated:
        said["kl_seeds"] = call([options.mu8, "eval", model, *common, "--seed", 2, "--against",
                                 engine])["kl_against"]
        (folder / "simulated.f32").unlink()
    engine.unlink()
    return said


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
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    temporary.rename(path)


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


def widths_text(layers):
    """Layers with blanks between them, the panels of one with commas."""
    bits = [layer["mu_bits"] for layer in layers]
    return " ".join(",".join(map(str, b)) if isinstance(b, list) else str(b) for b in bits)


def judge_plan(options, plan):
    """The figures of a plan's file; without a plan of the converter's own, 8 bits everywhere."""
    with tempfile.TemporaryDirectory(dir=options.output) as scratch:
        folder = pathlib.Path(scratch)
        model, chosen = folder / "model.mu8", []
        if plan:
            chosen = ["--bits", folder / "plan.json"]
            chosen[1].write_text(json.dumps(plan), encoding="utf-8")
        converted = call([options.mu8, "convert", *source(options), *chosen, "-o", model, "--json"])
        text = widths_text([layer for layer in converted["layers"] if layer["weights"]])
        return {"average_bits": converted["average_mu_bits"],
                "file_bytes": converted["file_bytes"], **judge(options, folder, model),
                "plan": text}


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


def groups(rows):
    """Rows by method and bits: those of several seeds together."""
    found = {}
    for row in rows:
        found.setdefault((row["method"], row["bits"]), []).append(row)
    return found


def mean_and_deviation(own, key):
    """Over the seeds; None where there is nothing, and no deviation of one."""
    values = [row[key] for row in own if row[key] is not None]
    if not values:
        return None, None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def shown(key, value, deviation=None):
    if value is None:
        return ""
    if key in ("accuracy", "ece"):
        more = "" if deviation is None else f" ± {100 * deviation:.2f}"
        return f"{100 * value:.2f}{more} %"
    if key == "file_bytes":
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_tables(out, rows):
    with open(out / "allocation.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    columns = ["method", "bits", "seeds", *MEASURED, "plan"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for (method, bits), own in groups(rows).items():
        plans = list(dict.fromkeys(row["plan"] for row in own))
        cells = [method, f"{bits:g}", str(len(own)),
                 *(shown(key, *mean_and_deviation(own, key)) for key in MEASURED),
                 plans[0] if len(plans) == 1 else f"{len(plans)} plans"]
        lines.append("| " + " | ".join(cells) + " |")
    (out / "allocation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_curves(plt, out, rows):
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5))
    for axis, key, name in zip(axes, ("accuracy", "nll", "ece"), ("accuracy", "NLL", "ECE")):
        for method in dict.fromkeys(row["method"] for row in rows):
            points = sorted((mean_and_deviation(own, "average_bits")[0],
                             *mean_and_deviation(own, key))
                            for (of, _), own in groups(rows).items() if of == method)
            axis.errorbar([p[0] for p in points], [p[1] for p in points],
                          yerr=[p[2] or 0 for p in points], fmt="o-", label=method,
                          markersize=4, linewidth=1, capsize=2)
        axis.set(xlabel="average bits of mu", ylabel=name)
        axis.grid(alpha=.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(out / "allocation.png", dpi=100)
    plt.close(figure)


def draw_bits(plt, out, rows):
    """Every plan as a row of bits, layer by layer: of panels their plain mean."""
    plans = list(dict.fromkeys((f"{row['method']} {row['bits']:g}", row["plan"]) for row in rows))
    bits = [[statistics.mean(map(int, layer.split(","))) for layer in plan.split()]
            for _, plan in plans]
    figure, axis = plt.subplots(figsize=(3 + .4 * len(bits[0]), 1 + .22 * len(bits)))
    image = axis.imshow(bits, aspect="auto", vmin=1, vmax=8, cmap="viridis")
    for y, row in enumerate(bits):
        for x, value in enumerate(row):
            axis.text(x, y, f"{value:.2g}", ha="center", va="center", fontsize=7,
                      color="white" if value < 5 else "black")
    axis.set_yticks(range(len(plans)), [name for name, _ in plans], fontsize=7)
    axis.set_xticks(range(len(bits[0])), range(1, len(bits[0]) + 1), fontsize=7)
    axis.set_xlabel("layer with weights")
    figure.colorbar(image, label="bits of mu")
    figure.tight_layout()
    figure.savefig(out / "bits.png", dpi=100)
    plt.close(figure)


def draw(out, rows):
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("study_allocation: no matplotlib, no pictures", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    draw_curves(plt, out, rows)
    draw_bits(plt, out, rows)


def parse():
    parser = argparse.ArgumentParser(
        prog="study_allocation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    for name in ("model", "posterior", "calibration", "data"):
        add(f"--{name}", required=True)
    add("-o", "--output", type=pathlib.Path, required=True)
    add("--methods", default=",".join(METHODS))
    add("--bits", default="2,2.5,3,3.5,4,5,6,8")
    add("--seeds", type=int, default=3, help="of the random methods (3)")
    add("--samples", type=int, default=50)
    add("--sigma-bits", type=int, default=4)
    add("--evaluations", type=int, default=200, help="plans that the searches may judge (200)")
    add("--unit", choices=("layer", "panel"), default="layer", help="what has a width of its own")
    add("--limit", type=int, help="first N test images")
    add("--ood", action="append", default=[],
        help="images of something else: AUROC by entropy, mean over these sets")
    add("--simulated", action="store_true", help="see above; costs FP32 passes")
    add("--calibration-limit", type=int, default=512)
    add("--mean")
    add("--std")
    add("--jobs", type=int, default=1, help="plans converted and judged at a time (1)")
    add("--mu8", type=pathlib.Path, default=ROOT / "build" / "release" / "mu8")
    options = parser.parse_args()
    options.methods = options.methods.split(",")
    unknown = sorted(set(options.methods) - set(METHODS))
    if unknown:
        parser.error(f"--methods: '{unknown[0]}' is none of {', '.join(METHODS)}")
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    try:
        options.bits = [float(part) for part in options.bits.split(",")]
    except ValueError:
        parser.error(f"--bits: is '{options.bits}', expected numbers with commas")
    if not options.mu8.is_file():
        parser.error(f"--mu8: there is no {options.mu8}")
    return options


def main():
    options = parse()
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        rows = rows_of(options)
    except Failed as e:
        sys.exit(f"study_allocation: {e}")
    write_tables(options.output, rows)
    draw(options.output, rows)
    print(options.output / "allocation.md")
    return 0
