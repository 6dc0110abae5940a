"""Pictures of predictions and evaluations, by matplotlib, which the extra `mu8[plot]` brings."""

import numpy as np

from ._library import Error


def new_axes(axes, count=1):
    if axes is not None:
        return axes
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError:
        raise Error("plots need matplotlib: pip install mu8[plot]") from None
    return plt.subplots(1, count, figsize=(4.5 * count, 3.2), constrained_layout=True)[1]


def prediction_plot(prediction, index, axes):
    """Mean of each output of input `index`, and one standard deviation over the networks."""
    axes = new_axes(axes)
    mean = prediction.mean[index].ravel()
    deviation = np.sqrt(prediction.variance[index].ravel())
    places = np.arange(len(mean))
    is_share = prediction.head in ("softmax", "sigmoid")
    axes.bar(places, mean, color="#1b6ca8", alpha=0.6)
    axes.errorbar(places, mean, deviation, fmt="none", ecolor="#222222", capsize=3)
    if is_share:
        axes.set_ylim(0, 1)
    if len(mean) <= 30 and prediction.mean[index].ndim == 1:
        axes.set_xticks(places, [prediction.name_of(i) for i in places])
    axes.set_ylabel("probability" if is_share else "value")
    title = f"input {index}, {prediction.samples_used[index]} networks"
    if prediction.mutual_information is not None:
        title += (f"\nentropy {prediction.predictive_entropy[index]:.3f} nats, of it epistemic "
                  f"{prediction.mutual_information[index]:.3f}")
    axes.set_title(title, fontsize=9)
    return axes


def report_plot(report, axes):
    """Reliability, and histograms of the predictive entropy: of evaluate(..., curves=True)."""
    if "curves" not in report or "reliability" not in report["curves"]:
        raise Error("a plot needs mu8.evaluate(..., curves=True), of classes with labels")
    axes = new_axes(axes, 2)
    bins = report["curves"]["reliability"]
    width = 1 / len(bins["count"])
    accuracy = [np.nan if value is None else value for value in bins["accuracy"]]
    axes[0].bar(np.arange(len(accuracy)) * width, accuracy, width * 0.95, align="edge", color="#1b6ca8", alpha=0.6)
    axes[0].plot([0, 1], [0, 1], "--", color="#d1495b")
    axes[0].set(xlabel="probability of the predicted class", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    histograms = report["curves"]["histograms"]
    edges = np.linspace(histograms["low"], histograms["high"], histograms["bins"] + 1)
    sets = [("data", histograms["in_distribution"])]
    sets += [(f"foreign {i + 1}", foreign) for i, foreign in enumerate(histograms["ood"])]
    for name, counts in sets:
        share = np.array(counts["entropy"]) / max(sum(counts["entropy"]), 1)
        axes[1].stairs(share, edges, label=name)
    axes[1].set(xlabel="predictive entropy, nats", ylabel="share of the inputs")
    axes[1].legend(frameon=False)
    return axes
