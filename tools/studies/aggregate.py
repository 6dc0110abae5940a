"""From items to tables: means and deviations over seeds, differences to FP32, targets, worst cells.

Every figure is one that `mu8 eval` gave, but the KL ratio (divergence.py), which takes predictions
of many runs. What has not been run is None, and counted: a table has a row for each thing that was
asked for.
"""

import csv
import io

import numpy as np

from . import items, tasks
from .divergence import between_seeds, divergence
from .networks import (FORMATS, NETWORKS, TARGET_FORMATS, formats_of, is_converted, reference_of)
from .store import read_json, write_file, write_json

TABLE_METRICS = ("accuracy", "ece", "nll", "brier", "uce", "adaptive_ece", "mce", "ece_10",
                 "top5_accuracy", "aurc", "mean_entropy", "mean_aleatoric_entropy",
                 "mean_mutual_information")
SHIFT_METRICS = ("accuracy", "ece", "nll", "uce", "brier", "mean_entropy",
                 "mean_mutual_information")
SCORES = ("by_entropy", "by_mutual_information", "by_confidence")
DETECTION = ("auroc", "aupr_out", "aupr_in", "fpr95")
LIMITS = {"accuracy": 0.001, "nll": 0.003, "ece": 0.002, "kl_ratio": 1.15, "auroc": 0.005}


# ---- Reading -------------------------------------------------------------------------------------

def load(places, settings):
    """Item -> the results of mu8 eval; None where there is no fresh record."""
    found = {}
    for item in items.all_items(settings):
        task = tasks.eval_task(places, settings, item)
        fresh = task is not None and tasks.is_fresh(places, task)
        found[item] = read_json(tasks.record_path(places, task))["result"] if fresh else None
    return found


def predictions(places, item, result):
    """float64 [images, classes]"""
    values = np.fromfile(places.out / tasks.predictions_name(item), "<f4")
    return values.reshape(result["images"], result["classes"]).astype(np.float64)


def model_bytes(places, network, form):
    """Bytes of the .mu8 file, or of the ONNX file and the sigmas; None where it was not made."""
    known = NETWORKS[network]
    if is_converted(form):
        files = [tasks.model_path(places, network, form)]
    elif FORMATS[form].deterministic:
        files = [tasks.onnx_path(places, known.twin)]
    else:
        onnx = tasks.onnx_path(places, known.checkpoint)
        files = [onnx, onnx.with_suffix(".npz")]
    return sum(f.stat().st_size for f in files) if all(f.is_file() for f in files) else None


def spread(values):
    """(mean, standard deviation, count); the deviation (n - 1) is None of fewer than two."""
    values = [v for v in values if v is not None]
    if not values:
        return None, None, 0
    return (float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None,
            len(values))


def minus(a, b):
    return None if a is None or b is None else a - b


def add_differences(rows, keys, same):
    """Adds KEY_diff: to the first seed of the row's FP32, among rows that agree in `same`."""
    base = {(row["format"], *(row[k] for k in same)): row
            for row in rows if row.get("seed", 1) == 1}
    for row in rows:
        reference = base.get((reference_of(row["format"]), *(row[k] for k in same)))
        for key in keys:
            row[f"{key}_diff"] = minus(row[key], reference[key]) if reference else None


# ---- Tables --------------------------------------------------------------------------------------

def kl_columns(places, settings, results, network, form):
    """kl, kl_ratio, kl_low, kl_high; all None unless every seed is there."""
    empty = dict.fromkeys(("kl", "kl_ratio", "kl_low", "kl_high"))
    if FORMATS[form].deterministic:
        return empty
    runs = []
    for each in dict.fromkeys(("fp32", form)):
        wanted = items.clean_items(settings, network, each, settings.kl_seeds)
        if any(results.get(item) is None for item in wanted):
            return empty
        runs.append([predictions(places, item, results[item]) for item in wanted])
    if form == "fp32":
        return {**empty, "kl": between_seeds(runs[0])}
    return divergence(*runs)


def table_rows(places, settings, results):
    rows = []
    for network in settings.networks:
        if not items.runs_part(settings, network, "table"):
            continue
        for form in formats_of(network, settings.formats):
            wanted = items.clean_items(settings, network, form, settings.seeds)
            found = [results[item] for item in wanted if results[item]]
            row = {"network": network, "format": form, "samples": wanted[0].samples,
                   "seeds": len(found), "seeds_wanted": len(wanted),
                   "file_bytes": model_bytes(places, network, form)}
            for key in TABLE_METRICS:
                row[key], row[f"{key}_sd"], _ = spread([r[key] for r in found])
            rows.append(row | kl_columns(places, settings, results, network, form))
    add_differences(rows, TABLE_METRICS, ("network",))
    return rows


def shift_rows(settings, results):
    rows = []
    for network in items.shift_networks(settings):
        for form in formats_of(network, settings.formats):
            for seed in range(1, settings.shift_fp32_seeds + 1 if form == "fp32" else 2):
                for kind, severity in items.shift_cells(settings):
                    item = items.shift_item(settings, network, form, kind, severity, seed)
                    result = results[item] or {}
                    rows.append({"network": network, "format": form, "seed": seed, "type": kind,
                                 "severity": severity, "samples": item.samples,
                                 "images": result.get("images"),
                                 **{key: result.get(key) for key in SHIFT_METRICS}})
    add_differences(rows, SHIFT_METRICS, ("network", "type", "severity"))
    return rows


def ood_rows(settings, results):
    rows = []
    for network in settings.networks:
        if not items.runs_part(settings, network, "ood"):
            continue
        for form in formats_of(network, settings.formats):
            wanted = items.clean_items(settings, network, form, settings.seeds)
            found = [results[item]["ood"] for item in wanted if results[item]]
            for index, (name, *_) in enumerate(NETWORKS[network].ood):
                for score in SCORES:
                    row = {"network": network, "format": form, "set": name, "score": score,
                           "samples": wanted[0].samples, "seeds": len(found)}
                    for key in DETECTION:
                        row[key], row[f"{key}_sd"], _ = spread(
                            [(sets[index][score] or {}).get(key) for sets in found])
                    rows.append(row)
    add_differences(rows, DETECTION, ("network", "set", "score"))
    return rows


def convergence_rows(settings, results):
    rows = []
    for network in settings.networks:
        if not items.runs_part(settings, network, "convergence"):
            continue
        for form in formats_of(network, settings.formats):
            if FORMATS[form].one_pass:
                continue
            for samples in settings.convergence_samples:
                wanted = items.convergence_items(settings, network, form, samples)
                found = [results[item] for item in wanted if results[item]]
                row = {"network": network, "format": form, "samples": samples, "seeds": len(found)}
                for key in SHIFT_METRICS:
                    row[key], row[f"{key}_sd"], _ = spread([r[key] for r in found])
                rows.append(row)
    add_differences(rows, SHIFT_METRICS, ("network", "samples"))
    return rows


# ---- Judgements ----------------------------------------------------------------------------------

def target(row, name, value, limit):
    """met: None where the value is missing."""
    return {"network": row["network"], "format": row["format"], "target": name, "value": value,
            "limit": limit, "met": None if value is None else bool(value <= limit)}


def targets(table, ood):
    """Every target with its value: absolute differences to FP32, and the KL ratio."""
    found = []
    for row in table:
        if row["format"] in TARGET_FORMATS:
            for key in ("accuracy", "nll", "ece"):
                difference = row[f"{key}_diff"]
                found.append(target(row, key, None if difference is None else abs(difference),
                                    LIMITS[key]))
            found.append(target(row, "kl_ratio", row["kl_ratio"], LIMITS["kl_ratio"]))
    for row in ood:
        if row["format"] in TARGET_FORMATS and row["score"] != "by_confidence":
            difference = row["auroc_diff"]
            found.append(target(row, f"auroc {row['set']} {row['score']}",
                                None if difference is None else abs(difference),
                                LIMITS["auroc"]))
    return found


def worst_cells(shift):
    """Per network, format and seed: the cell that loses most accuracy, and that gains most ECE."""
    groups = {}
    for row in shift:
        if row["format"] != reference_of(row["format"]) or row["seed"] > 1:
            groups.setdefault((row["network"], row["format"], row["seed"]), []).append(row)
    found = []
    for (network, form, seed), rows in groups.items():
        for key, sign in (("accuracy", 1), ("ece", -1)):
            known = [r for r in rows if r[f"{key}_diff"] is not None]
            worst = min(known, key=lambda r: sign * r[f"{key}_diff"], default=None)
            found.append({"network": network, "format": form, "seed": seed, "metric": key,
                          "cell": worst and f"{worst['type']} {worst['severity']}",
                          "difference": worst and worst[f"{key}_diff"],
                          "mean_difference": spread([r[f"{key}_diff"] for r in rows])[0],
                          "cells": len(known), "cells_missing": len(rows) - len(known)})
    return found


def aggregate(places, settings):
    """Everything that the tables and results.json hold, and under "curves" what plots need."""
    results = load(places, settings)
    table, ood = table_rows(places, settings, results), ood_rows(settings, results)
    shift = shift_rows(settings, results)
    return {"settings": {k: list(v) if isinstance(v, tuple) else v
                         for k, v in vars(settings).items()},
            "items": len(results),
            "missing": sorted(item.name for item, result in results.items() if result is None),
            "table1": table, "targets": targets(table, ood), "shift": shift,
            "worst_cells": worst_cells(shift), "ood": ood,
            "convergence": convergence_rows(settings, results),
            "results": {item.name: result and {k: v for k, v in result.items() if k != "curves"}
                        for item, result in results.items()},
            "curves": {item: result["curves"] for item, result in results.items() if result}}


def csv_text(rows):
    """Columns as in the first row; a missing figure is an empty cell."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def write_tables(out, summary):
    for name in ("table1", "shift", "ood", "convergence"):
        write_file(out / f"{name}.csv", csv_text(summary[name]))
    write_json(out / "results.json", {k: v for k, v in summary.items() if k != "curves"})
