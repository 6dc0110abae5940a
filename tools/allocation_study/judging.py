"""What a plan is worth: the file that `mu8 convert` makes by it, and what `mu8 eval` says of it."""

import json
import pathlib
import statistics
import subprocess
import tempfile


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
        converted = call([options.mu8, "convert", *source(options), *chosen, "-o", model,
                          "--accept", "--json"])
        text = widths_text([layer for layer in converted["layers"] if layer["weights"]])
        return {"average_bits": converted["average_mu_bits"],
                "file_bytes": converted["file_bytes"], **judge(options, folder, model),
                "plan": text}
