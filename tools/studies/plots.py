"""The figures of the report. Each function takes the summary of aggregate.py and returns a PNG as
bytes, or None where nothing of what it shows has been run.
"""

import io

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from .networks import FORMATS  # noqa: E402

COLORS = {"fp32": "#222222", "sigma8": "#1b6ca8", "sigma4": "#2a9d8f", "sigma2": "#e9a03b",
          "sigma1": "#d1495b", "sigma0": "#8d5a97", "affine8": "#7fb2d6", "affine4": "#8ccfc5",
          "affine2": "#f2cd94", "affine1": "#e79aa5", "moments8": "#1b6ca8",
          "moments4": "#2a9d8f", "moments2": "#e9a03b", "moments1": "#d1495b", "det_fp32": "#222222",
          "det_int8": "#1b6ca8"}
LABELS = {"accuracy": "accuracy", "ece": "ECE", "nll": "NLL (nats)", "uce": "UCE", "brier": "Brier",
          "mean_mutual_information": "mutual information (nats)", "mean_entropy": "entropy (nats)"}
PLAIN = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9,
         "axes.titlesize": 10, "legend.frameon": False, "legend.fontsize": 8}


def png(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, bbox_inches="tight",
                   metadata={"Software": None})
    plt.close(figure)
    return content.getvalue()


def panels(rows, columns, width, height, **more):
    """A figure of rows x columns axes of that many inches each."""
    with plt.rc_context(PLAIN):
        return plt.subplots(rows, columns, figsize=(width * columns, height * rows),
                            squeeze=False, constrained_layout=True, **more)


def select(rows, **wanted):
    return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


def title(form):
    return FORMATS[form].title


# ---- Shift ---------------------------------------------------------------------------------------

def severity_boxes(summary, network, forms, metrics):
    """Per severity and format a box over the types: quartiles, whiskers at least and most."""
    severities = summary["settings"]["severities"]
    figure, axes = panels(len(metrics), 1, 9.5, 2.7)
    drawn = False
    for axis, metric in zip(axes[:, 0], metrics):
        for index, form in enumerate(forms):
            boxes = [[r[metric] for r in select(summary["shift"], network=network, format=form,
                                                severity=s, seed=1) if r[metric] is not None]
                     for s in severities]
            drawn |= any(boxes)
            at = np.arange(len(severities)) + (index - (len(forms) - 1) / 2) * 0.8 / len(forms)
            parts = axis.boxplot(boxes, positions=at, widths=0.65 / len(forms), whis=(0, 100),
                                 patch_artist=True, medianprops={"linewidth": 2})
            for box in parts["boxes"]:
                box.set(facecolor=COLORS[form] + "55", edgecolor=COLORS[form])
            for line in parts["whiskers"] + parts["caps"] + parts["medians"]:
                line.set_color(COLORS[form])
            axis.plot([], [], color=COLORS[form], linewidth=6, label=title(form))
        axis.set_xticks(range(len(severities)), severities)
        axis.set_ylabel(LABELS[metric])
        axis.grid(axis="y", alpha=0.3)
    axes[0, 0].legend(ncol=len(forms), loc="lower left", bbox_to_anchor=(0, 1))
    axes[-1, 0].set_xlabel("severity")
    return png(figure) if drawn else discard(figure)


def discard(figure):
    plt.close(figure)


def difference_maps(summary, network, forms, metric):
    """Type x severity, difference to FP32 per format; grey where a cell is missing. The pair
    ("fp32", 2) is FP32 with another seed."""
    settings = summary["settings"]
    types, severities = settings["types"], settings["severities"]
    maps = {}
    for form, seed in forms:
        cells = {(r["type"], r["severity"]): r[f"{metric}_diff"] for r in
                 select(summary["shift"], network=network, format=form, seed=seed)}
        maps[form, seed] = np.array([[np.nan if cells.get((t, s)) is None else 100 * cells[t, s]
                                      for s in severities] for t in types])
    if not maps or all(np.isnan(m).all() for m in maps.values()):
        return None
    limit = max(np.nanmax(np.abs(m)) for m in maps.values() if not np.isnan(m).all()) or 1.0
    columns = min(len(maps), 6)
    rows = -(-len(maps) // columns)
    figure, axes = panels(rows, columns, 1.75, max(2.2, 0.6 + 0.22 * len(types)), sharey=True)
    colors = matplotlib.colormaps["RdBu" if metric == "accuracy" else "RdBu_r"].copy()
    colors.set_bad("#b0b0b0")
    for axis in axes.flat[len(maps):]:
        axis.axis("off")
    for axis, ((form, seed), values) in zip(axes.flat, maps.items()):
        image = axis.imshow(values, cmap=colors, vmin=-limit, vmax=limit, aspect="auto")
        axis.set_title(title(form) if seed == 1 else f"{title(form)}, seed {seed}")
        axis.set_xticks(range(len(severities)), severities)
        axis.set_yticks(range(len(types)), types)
    figure.colorbar(image, ax=axes, label=f"{LABELS[metric]} minus FP32's, points", shrink=0.8)
    return png(figure)


# ---- Curves of single runs -----------------------------------------------------------------------

def curves_of(summary, network, cell, forms):
    """format -> the curves of its first seed over that cell, where it was run."""
    return {item.format: curves for form in forms for item, curves in summary["curves"].items()
            if item.network == network and item.format == form and item.cell == cell
            and item.seed == 1}


def accuracy_at_confidence(summary, network, cell, forms):
    """Accuracy of the images at or above a confidence, and how many these are."""
    found = curves_of(summary, network, cell, forms)
    if not found:
        return None
    figure, axes = panels(1, 2, 4.8, 3.4)
    for form, curves in found.items():
        curve = curves["accuracy_at_confidence"]
        accuracy = [np.nan if a is None else a for a in curve["accuracy"]]
        most = max(curve["images"])
        axes[0, 0].plot(curve["confidence"], accuracy, color=COLORS[form], label=title(form))
        axes[0, 1].plot(curve["confidence"], [n / most for n in curve["images"]],
                        color=COLORS[form])
    axes[0, 0].set(xlabel="confidence at least", ylabel="accuracy of these images")
    axes[0, 1].set(xlabel="confidence at least", ylabel="share of images", ylim=(0, 1.02))
    axes[0, 0].legend()
    return png(figure)


def reliability(summary, network, forms):
    """Accuracy per bin of confidence on the clean test set, and the share of images in it."""
    found = curves_of(summary, network, "clean", forms)
    if not found:
        return None
    columns = min(len(found), 6)
    figure, axes = panels(-(-len(found) // columns), columns, 1.9, 2.0, sharex=True, sharey=True)
    for axis in axes.flat[len(found):]:
        axis.axis("off")
    for axis, (form, curves) in zip(axes.flat, found.items()):
        bins = curves["reliability"]
        count = len(bins["count"])
        edges = (np.arange(count) + 0.5) / count
        heights = [0 if a is None else a for a in bins["accuracy"]]
        shares = np.array(bins["count"]) / sum(bins["count"])
        axis.bar(edges, heights, width=0.9 / count, color=COLORS[form], alpha=0.75)
        axis.plot(edges, shares, color="#777777", linewidth=1, drawstyle="steps-mid")
        axis.plot([0, 1], [0, 1], color="#d1495b", linewidth=1, linestyle="--")
        axis.set_title(title(form))
    figure.supxlabel("confidence", fontsize=9)
    figure.supylabel("accuracy (bars), share (line)", fontsize=9)
    return png(figure)


def risk_coverage(summary, network, forms):
    """Error of the most confident share of the clean test set."""
    found = curves_of(summary, network, "clean", forms)
    if not found:
        return None
    figure, axes = panels(1, 1, 5.5, 3.4)
    for form, curves in found.items():
        curve = curves["risk_coverage"]
        axes[0, 0].plot(curve["coverage"], np.array(curve["risk"]) * 100, color=COLORS[form],
                        label=title(form))
    axes[0, 0].set(xlabel="coverage: share of most confident images", ylabel="their error, %")
    axes[0, 0].legend()
    return png(figure)


def uncertainty_histograms(summary, network, forms):
    """Entropy and mutual information, in against out of distribution, one row per set."""
    found = {f: c["histograms"] for f, c in curves_of(summary, network, "clean", forms).items()}
    if not found or not next(iter(found.values()))["ood"]:
        return None
    names = [entry["data"] for entry in next(iter(found.values()))["ood"]]
    figure, axes = panels(len(names), 2, 4.8, 2.3)
    for row, name in enumerate(names):
        for column, key in enumerate(("entropy", "mutual_information")):
            axis = axes[row, column]
            for form, histograms in found.items():
                edges = np.linspace(histograms["low"], histograms["high"],
                                    histograms["bins"] + 1)[:-1]
                for counts, style in ((histograms["in_distribution"][key], ":"),
                                      (histograms["ood"][row][key], "-")):
                    axis.step(edges, np.array(counts) / max(sum(counts), 1), where="post",
                              color=COLORS[form], linestyle=style, linewidth=1.2)
            axis.set(yscale="log", ylabel="share of images",
                     title=f"{name}: {key.replace('_', ' ')}")
    for form in found:
        axes[0, 0].plot([], [], color=COLORS[form], label=f"{title(form)} (dotted: test set)")
    axes[0, 0].legend()
    for axis in axes[-1]:
        axis.set_xlabel("nats")
    return png(figure)


def convergence(summary, network, forms):
    """Figures against T, mean and deviation over the seeds."""
    metrics = ("accuracy", "nll", "ece", "mean_mutual_information")
    figure, axes = panels(1, len(metrics), 3.0, 3.0)
    drawn = False
    for axis, metric in zip(axes[0], metrics):
        for form in forms:
            rows = [r for r in select(summary["convergence"], network=network, format=form)
                    if r[metric] is not None]
            drawn |= bool(rows)
            axis.errorbar([r["samples"] for r in rows], [r[metric] for r in rows],
                          yerr=[r[f"{metric}_sd"] or 0 for r in rows], color=COLORS[form],
                          label=title(form), marker="o", markersize=3, linewidth=1, capsize=2)
        axis.set(xscale="log", xlabel="samples T", title=LABELS[metric])
        ticks = summary["settings"]["convergence_samples"]
        axis.set_xticks(ticks, ticks)
        axis.minorticks_off()
    axes[0, 0].legend()
    return png(figure) if drawn else discard(figure)
