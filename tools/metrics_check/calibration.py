"""Calibration: ECE, MCE, adaptive ECE, UCE and the reliability curves, by other libraries."""

import math

import numpy as np
import scipy.special
import torch
import torchmetrics.functional.classification as tm
from netcal.metrics import ECE, MCE

from .figures import NUMPY, mean_of_ties, torch_uncertainty

BINS = 15


def in_bins(predicted, observed, bins):
    """(count, mean predicted, mean observed) of right-closed equal-width bins; NaN if empty."""
    index = np.clip(np.digitize(predicted, np.linspace(0, 1, bins + 1), right=True), 1, bins) - 1
    count = np.bincount(index, minlength=bins)
    return (count, np.bincount(index, predicted, bins) / np.where(count, count, np.nan),
            np.bincount(index, observed, bins) / np.where(count, count, np.nan))


def calibration(figures, p, labels, confidence, correct):
    tensor, target, classes = torch.tensor(p), torch.tensor(labels), p.shape[1]

    def torchmetrics_error(bins, norm):
        return (tm.multiclass_calibration_error(tensor, target, classes, bins, norm).item(), 2e-6)

    for key, bins in [("ece", BINS), ("ece_10", 10)]:
        count, mean, accuracy = in_bins(confidence, correct, bins)
        ece = np.nansum(count / len(p) * np.abs(accuracy - mean))
        # The libraries close their bins on the left, which differs once a confidence below one
        # lies on an edge, as 0.5 does with ten bins.
        if np.any(np.isin(confidence[confidence < 1] * bins, np.arange(bins))):
            figures.add(key, ece, "numpy.digitize, as uq_benchmark_2019")
        else:
            figures.add(key, ECE(bins).measure(p, labels), "netcal", numpy_digitize=ece,
                        torchmetrics=torchmetrics_error(bins, "l1"))
    count, mean, accuracy = in_bins(confidence, correct, BINS)
    figures.add("mce", MCE(BINS).measure(p, labels), "netcal",
                numpy_digitize=np.nanmax(np.abs(accuracy - mean)),
                torchmetrics=torchmetrics_error(BINS, "max"))
    adaptive = torch_uncertainty("adaptive_calibration_error")._ace_compute
    split = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    fair = mean_of_ties(confidence, correct)
    figures.add("adaptive_ece", adaptive(torch.tensor(confidence), torch.tensor(fair), BINS).item(),
                "torch-uncertainty", numpy_array_split=sum(
                    abs((fair[part] - confidence[part]).sum()) for part in split) / len(p))
    # Laves et al.'s uceloss: bins (low, high]; their first bin leaves out zero, ours holds it.
    u = scipy.special.entr(p).sum(1) / math.log(classes)  # rows are not renormalized
    edges, uce = np.linspace(0, 1, BINS + 1), 0
    for low, high in zip([-1, *edges[1:-1]], [*edges[1:-1], 2]):
        part = (u > low) & (u <= high)
        if part.any():
            uce += part.mean() * abs((1 - correct)[part].mean() - u[part].mean())
    figures.add("uce", uce, NUMPY)
    for key, columns, predicted, observed in [
            ("reliability", in_bins(confidence, correct, BINS), "confidence", "accuracy"),
            ("uncertainty_calibration", in_bins(u, 1 - correct, BINS), "uncertainty", "error")]:
        for column, values_of in zip(["count", predicted, observed], columns):
            figures.add(f"curves/{key}/{column}", values_of, "numpy.digitize")
