"""The sections of the report, each a function of the summary of aggregate.py.

`keep(name, png)` notes a figure for OUT/figures and returns it. README.md here explains how to
read each section.
"""

from . import paper, plots
from .html import figure, paragraph, section, table
from .networks import FORMATS, NETWORKS, is_converted
from .plots import select

PERCENT = ("accuracy", "ece", "uce", "adaptive_ece", "mce", "top5_accuracy")


def title(form):
    return FORMATS[form].title


def heading(network):
    return f"<h3>{NETWORKS[network].title}</h3>"


def networks_of(rows):
    return list(dict.fromkeys(row["network"] for row in rows))


def bayesian(summary):
    return [f for f in summary["settings"]["formats"] if not FORMATS[f].deterministic]


def kind(form):
    return "moments" if FORMATS[form].by_moments else FORMATS[form].quantizer


def groups(summary):
    """FP32 with the weighted formats, with the affine ones, and with moments; groups of FP32 alone
    are left out."""
    forms = bayesian(summary)
    found = [(name, [f for f in forms if f == "fp32" or kind(f) == name])
             for name in ("weighted", "affine", "moments")]
    found = [(name, group) for name, group in found if len(group) > 1]
    return found or ([("all", forms)] if forms else [])


def number(value, digits, sign=False):
    return None if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def measured(row, key):
    """Mean ± deviation; accuracy and calibration errors in percent. None where missing."""
    scale, digits = (100, 3) if key in PERCENT else (1, 4)
    if row[key] is None:
        return None
    deviation = row[f"{key}_sd"]
    return f"{scale * row[key]:.{digits}f}" + (
        f" ± {scale * deviation:.{digits}f}" if deviation is not None else "")


def difference(row, key):
    value, scale = row[f"{key}_diff"], 100 if key in PERCENT else 1
    return number(value and value * scale if value is not None else None,
                  3 if key in PERCENT else 4, sign=True)


def kl_text(row):
    if FORMATS[row["format"]].deterministic:
        return "–"
    if row["format"] == "fp32":
        return "1" if row["kl"] is not None else None
    if row["kl_ratio"] is None:
        return None
    interval = (f" ({row['kl_low']:.2f} to {row['kl_high']:.2f})"
                if row["kl_low"] is not None else "")
    return f"{row['kl_ratio']:.3f}{interval}"


# ---- Table 1 and targets -------------------------------------------------------------------------

def paper_cells(network, form):
    """The paper's size, accuracy, ECE, NLL and 1 + Brier; "–" where it has no such row."""
    published = paper.TABLE1.get(network, {}).get(form)
    if published is None:
        return ["–"] * 5
    _, size, figures = published
    return [f"{size:.2f} MB", *(f"{mean:.{digits}f} ± {deviation:g}" for digits, (mean, deviation)
                                in zip((2, 3, 3, 3), figures))]


def table1(summary):
    parts = []
    for network in networks_of(summary["table1"]):
        rows = select(summary["table1"], network=network)
        base = next((r["file_bytes"] for r in rows if r["format"] == "fp32"), None)
        body = []
        for row in rows:
            size = row["file_bytes"]
            ratio = ("–" if FORMATS[row["format"]].deterministic else
                     None if not size or not base else f"{base / size:.2f}")
            body.append([title(row["format"]), None if size is None else f"{size:,}", ratio,
                         *(measured(row, key) for key in ("accuracy", "ece", "nll", "brier")),
                         kl_text(row), *paper_cells(network, row["format"])])
        first = rows[0]
        parts.append(heading(network))
        parts.append(table(
            ["format", "bytes", "FP32 / this", "accuracy %", "ECE %", "NLL", "Brier",
             "KL ratio (95 %)", "paper: size", "accuracy %", "ECE %", "NLL", "1 + Brier"], body))
        seeds = sorted({r["seeds"] for r in rows if not FORMATS[r["format"]].one_pass})
        parts.append(paragraph(
            f"T = {first['samples']}; mean ± standard deviation over "
            f"{' to '.join(map(str, seeds))} seeds; moments are one pass without a seed.", "note"))
        parts.append(table(
            ["difference to FP32", "accuracy", "ECE", "NLL", "Brier", "UCE", "AURC", "entropy",
             "mutual information"],
            [[title(r["format"]), *(difference(r, key) for key in
              ("accuracy", "ece", "nll", "brier", "uce", "aurc", "mean_entropy",
               "mean_mutual_information"))] for r in rows]))
    parts.append(paragraph(
        "The KL ratio is the mean KL divergence from FP32 to the format, over all pairs of seeds, "
        "in units of that between FP32 seeds; its interval is a bootstrap over images and seeds. "
        "Accuracy, ECE and UCE are in percent (their differences in points).", "note"))
    parts += [paragraph(paper.SIZE_NOTE, "note"), paragraph(paper.BRIER_NOTE, "note")]
    return section("table1", "Table 1, beside the paper's", *parts)


def targets(summary):
    rows = []
    for entry in summary["targets"]:
        percent = entry["target"] in PERCENT
        scale, unit = (100, " points") if percent else (1, "")
        verdict = {True: ("met", "met"), False: ("not met", "unmet"), None: None}[entry["met"]]
        rows.append([NETWORKS[entry["network"]].title, title(entry["format"]),
                     entry["target"].replace("_", " "),
                     None if entry["value"] is None else f"{scale * entry['value']:.4f}{unit}",
                     f"{scale * entry['limit']:g}{unit}", verdict])
    intro = ("Every width of sigma from 8 to 1 bit is to stay within these distances of FP32: "
             "absolute differences of the means over the seeds, and the KL ratio.")
    return section("targets", "Targets", paragraph(intro),
                   table(["network", "format", "target", "value", "at most", "verdict"], rows)
                   if rows else paragraph("No format with a target was run.", "missing"))


# ---- Shift ---------------------------------------------------------------------------------------

def section_or_missing(name, text, parts):
    if not parts:
        parts = [paragraph("Missing: not among the parts that were run.", "missing")]
    return section(name, text, *parts)


def shift(summary, keep):
    parts = []
    for network in networks_of(summary["shift"]):
        for name, forms in groups(summary):
            for number_there, metrics in ((3, ("accuracy", "ece", "nll")), (4, ("uce", "brier"))):
                drawn = plots.severity_boxes(summary, network, forms, metrics)
                parts.append(figure(
                    keep(f"{network}_figure{number_there}_{name}", drawn),
                    f"{NETWORKS[network].title}, {name}: each box spans the types of corruption at "
                    "one severity (quartiles, median, least and most)."))
    return section_or_missing("shift", "Shifted images, Bayesian network (figures 3 and 4)", parts)


def shift_dnn(summary, keep):
    forms = [f for f in summary["settings"]["formats"] if FORMATS[f].deterministic]
    parts = [figure(keep(f"{network}_figure5", plots.severity_boxes(
        summary, network, forms, ("accuracy", "ece", "nll", "uce", "brier"))),
        f"{NETWORKS[network].title}, the deterministic twin.")
        for network in networks_of(summary["shift"]) if forms]
    return section_or_missing("shift_dnn", "Shifted images, deterministic network (figure 5)",
                              parts)


def confidence(summary, keep):
    parts = [figure(keep(f"{network}_figure2_{name}", plots.accuracy_at_confidence(
        summary, network, "gaussian_blur_3", forms)),
        f"{NETWORKS[network].title}, {name}, gaussian_blur at severity 3, seed 1.")
        for network in networks_of(summary["shift"]) for name, forms in groups(summary)]
    return section_or_missing("confidence",
                              "Accuracy against confidence at gaussian_blur 3 (figure 2)", parts)


def map_forms(summary, network):
    """Pairs (format, seed) that have a difference to FP32: the quantized ones, and further seeds
    of FP32."""
    rows = select(summary["shift"], network=network)
    pairs = dict.fromkeys((r["format"], r["seed"]) for r in rows)
    return [(f, s) for f, s in pairs if s > 1 or is_converted(f)]


def differences(summary, keep):
    parts = []
    for network in networks_of(summary["shift"]):
        parts.append(heading(network))
        rows = [[title(w["format"]) + (f", seed {w['seed']}" if w["seed"] > 1 else ""),
                 "accuracy" if w["metric"] == "accuracy" else "ECE", w["cell"],
                 number(w["difference"] and 100 * w["difference"], 3, sign=True)
                 if w["difference"] is not None else None,
                 number(100 * w["mean_difference"], 3, sign=True)
                 if w["mean_difference"] is not None else None,
                 w["cells"], w["cells_missing"]]
                for w in select(summary["worst_cells"], network=network)]
        parts.append(table(["format", "figure", "worst cell", "its difference, points",
                            "mean difference, points", "cells", "missing"], rows))
        for metric in ("accuracy", "ece"):
            drawn = plots.difference_maps(summary, network, map_forms(summary, network), metric)
            parts.append(figure(
                keep(f"{network}_map_{metric}", drawn),
                f"{metric}: format minus FP32, in points; red is worse, grey is missing. FP32 with "
                "another seed shows what chance alone does."))
    return section_or_missing("differences", "Difference to FP32 in every shifted cell", parts)


# ---- The clean test set --------------------------------------------------------------------------

def clean_networks(summary):
    return list(dict.fromkeys(item.network for item in summary["curves"] if item.clean))


def reliability(summary, keep):
    parts = [figure(keep(f"{network}_reliability", plots.reliability(
        summary, network, summary["settings"]["formats"])),
        f"{NETWORKS[network].title}: 15 bins of confidence, clean test set, seed 1.")
        for network in clean_networks(summary)]
    return section_or_missing("reliability", "Reliability diagrams", parts)


def risk(summary, keep):
    parts = [figure(keep(f"{network}_risk_{name}", plots.risk_coverage(summary, network, forms)),
                    f"{NETWORKS[network].title}, {name}: clean test set, seed 1.")
             for network in clean_networks(summary) for name, forms in groups(summary)]
    return section_or_missing("risk", "Risk against coverage", parts)


def ood(summary, keep):
    parts = []
    for network in networks_of(summary["ood"]):
        parts.append(heading(network))
        rows = []
        for row in select(summary["ood"], network=network):
            deviation = row["auroc_sd"]
            rows.append([title(row["format"]), row["set"], row["score"][3:].replace("_", " "),
                         None if row["auroc"] is None else f"{row['auroc']:.4f}" + (
                             f" ± {deviation:.4f}" if deviation is not None else ""),
                         number(row["auroc_diff"], 4, sign=True), number(row["aupr_out"], 4),
                         number(row["fpr95"], 4)])
        parts.append(table(["format", "set", "score", "AUROC", "difference to FP32", "AUPR",
                            "FPR95"], rows))
        shown = [f for f in ("fp32", "sigma8", "sigma1", "moments4")
                 if f in summary["settings"]["formats"]]
        parts.append(figure(
            keep(f"{network}_uncertainty", plots.uncertainty_histograms(summary, network, shown)),
            "Entropy and mutual information of foreign images (lines) and of the test set "
            "(dotted), seed 1."))
    return section_or_missing("ood", "Out of distribution", parts)


def convergence(summary, keep):
    parts = [figure(keep(f"{network}_convergence_{name}", plots.convergence(summary, network,
                                                                            forms)),
                    f"{NETWORKS[network].title}, {name}: mean and deviation over seeds.")
             for network in networks_of(summary["convergence"]) for name, forms in groups(summary)
             if name != "moments"]
    return section_or_missing("convergence", "Convergence in T", parts)


def times(summary, measured_times):
    rows = []
    for network in summary["settings"]["networks"]:
        own = [r for r in measured_times["rows"] if r["network"] == network]
        base = {r["format"]: r["seconds_per_image"] for r in own}
        for r in own:
            fp32 = base.get("det_fp32" if FORMATS[r["format"]].deterministic else "fp32")
            rows.append([NETWORKS[network].title, title(r["format"]), r["samples"], r["kernels"],
                         f"{1e3 * r['seconds_per_image']:.4f}",
                         f"{fp32 / r['seconds_per_image']:.1f}" if fp32 else None])
    if not rows:
        return section("times", "Seconds per image", paragraph("Missing: not measured.", "missing"))
    note = ("Prediction alone, one process and one thread, the formats taking turns over the same "
            "images, median of the rounds. The FP32 reference predicts 200 images a call, mu8 64; "
            "the reference is there to be right, not to be fast.")
    return section("times", "Seconds per image", table(
        ["network", "format", "T", "kernels", "ms per image", "FP32 / this"], rows),
        paragraph(note, "note"))
