"""The rows as pictures: allocation.png, figures over average bits, and bits.png, bits by layer."""

import statistics
import sys

from .table import groups, mean_and_deviation


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
