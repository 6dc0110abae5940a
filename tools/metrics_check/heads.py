"""Figures of the heads that are not a softmax: labels, each true or not, and values."""

import numpy as np
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.calibration
import sklearn.metrics
import torch
import torchmetrics.functional.classification as tm

from .calibration import BINS, in_bins
from .figures import NUMPY

FLOOR = 1e-6  # of the fitted noise


def label_figures(figures, p, targets):
    """All figures of probabilities and targets [images, labels]."""
    figures.tree["labels"] = [{} for _ in p.T]
    for label, (column, target) in enumerate(zip(p.T, targets.T)):
        one_label(figures, f"labels/{label}/", column, target)
    ranked = targets.any(0) & (1 - targets).any(0)  # labels with targets of both kinds
    of_sklearn = {
        "accuracy": 1 - sklearn.metrics.hamming_loss(targets, p >= 0.5),
        "auroc": sklearn.metrics.roc_auc_score(targets[:, ranked], p[:, ranked]),
        "average_precision": sklearn.metrics.average_precision_score(targets[:, ranked],
                                                                     p[:, ranked])}
    for key in figures.tree["labels"][0]:
        values = [label[key] for label in figures.tree["labels"] if label[key] is not None]
        others = {"scikit_learn": of_sklearn[key]} if key in of_sklearn else {}
        figures.add(f"macro/{key}", np.mean(values), "numpy", **others)
    figures.add("exact_match", sklearn.metrics.accuracy_score(targets, p >= 0.5), "scikit-learn",
                numpy=((p >= 0.5) == targets).all(1).mean())
    clipped, other = np.clip(p, 1e-9, 1 - 1e-9), np.clip(np.roll(p, 1, axis=0), 1e-9, 1 - 1e-9)
    divergence = (scipy.special.rel_entr(other, clipped)
                  + scipy.special.rel_entr(1 - other, 1 - clipped))
    figures.add("bernoulli_kl", divergence.sum(1).mean(), "scipy rel_entr of the row above")


def one_label(figures, at, p, y):
    tensor, target = torch.tensor(p), torch.tensor(y)
    figures.add(at + "prevalence", y.mean(), "numpy")
    figures.add(at + "accuracy", sklearn.metrics.accuracy_score(y, p >= 0.5), "scikit-learn")
    figures.add(at + "nll", -(scipy.special.xlogy(y, np.maximum(p, 1e-12))
                              + scipy.special.xlogy(1 - y, np.maximum(1 - p, 1e-12))).mean(), NUMPY,
                scikit_learn=(sklearn.metrics.log_loss(y, p, eps=1e-12, labels=[0, 1]), 1e-6))
    figures.add(at + "brier", sklearn.metrics.brier_score_loss(y, p), "scikit-learn",
                numpy=((p - y)**2).mean())
    count, predicted, observed = in_bins(p, y, BINS)
    true, mean = sklearn.calibration.calibration_curve(y, p, n_bins=BINS)  # closed on the right
    figures.add(at + "ece", np.nansum(count * np.abs(observed - predicted)) / len(p),
                "numpy.digitize",
                scikit_learn=(count[count > 0] * np.abs(true - mean)).sum() / len(p))
    if y.any() and not y.all():
        figures.add(at + "auroc", sklearn.metrics.roc_auc_score(y, p), "scikit-learn",
                    torchmetrics=(tm.binary_auroc(tensor, target).item(), 2e-6))
        figures.add(at + "average_precision", sklearn.metrics.average_precision_score(y, p),
                    "scikit-learn",
                    torchmetrics=(tm.binary_average_precision(tensor, target).item(), 2e-6))
    else:
        for key in ("auroc", "average_precision"):
            figures.add(at + key, np.nan, "undefined with targets of one kind")


def value_figures(figures, mean, variance, targets, noise):
    """All figures of [inputs, outputs]."""
    figures.tree["outputs"] = [{} for _ in mean.T]
    for output in range(mean.shape[1]):
        at = f"outputs/{output}/"
        column = (mean[:, output], variance[:, output], targets[:, output])
        errors(figures, at, *column)
        fitted = fit_noise(column[0] - column[2], column[1])
        figures.add(at + "fitted_noise", fitted, "scipy.optimize.brentq of the derivative")
        for key, more in [("noise_per_input", noise[:, output]), ("noise_per_output", fitted)]:
            gaussian(figures, f"{at}{key}/", column[0], np.sqrt(column[1] + more), column[2])


def errors(figures, at, mean, variance, y):
    error = mean - y
    figures.add(at + "rmse", sklearn.metrics.mean_squared_error(y, mean, squared=False),
                "scikit-learn", numpy=np.sqrt((error**2).mean()))
    figures.add(at + "mae", sklearn.metrics.mean_absolute_error(y, mean), "scikit-learn",
                numpy=np.abs(error).mean())
    figures.add(at + "bias", error.mean(), "numpy")
    if np.ptp(y):
        figures.add(at + "r2", sklearn.metrics.r2_score(y, mean), "scikit-learn",
                    numpy=1 - (error**2).mean() / y.var())
    else:
        figures.add(at + "r2", np.nan, "undefined with constant targets")
    ranks = [scipy.stats.rankdata(np.abs(error)), scipy.stats.rankdata(np.sqrt(variance))]
    figures.add(at + "error_correlation",
                scipy.stats.spearmanr(np.abs(error), np.sqrt(variance)).statistic,
                "scipy spearmanr", pearson_of_ranks=np.corrcoef(*ranks)[0, 1])


def fit_noise(error, variance):
    """The likeliest noise variance, at least FLOOR: all zeros of the derivative are tried."""
    def nll(noise):
        return -scipy.stats.norm.logpdf(error, 0, np.sqrt(variance + noise)).mean()

    def derivative(noise):
        total = variance + noise
        return ((total - error**2) / total**2).mean()

    grid = np.geomspace(FLOOR, max((error**2).max(), FLOOR), 20000)
    signs = np.sign([derivative(noise) for noise in grid])
    zeros = [scipy.optimize.brentq(derivative, grid[i], grid[i + 1], xtol=1e-18, rtol=1e-14)
             for i in np.flatnonzero((signs[:-1] < 0) & (signs[1:] >= 0))]
    return min([FLOOR, *zeros], key=nll)


def crps_by_integral(mean, deviation, y):
    """The definition: the integral of the squared gap between the distribution and the target's."""
    def gap(x):
        return (scipy.special.ndtr((x - mean) / deviation) - (x >= y))**2

    ends = sorted([mean - 12 * deviation, mean, y, mean + 12 * deviation])
    return sum(scipy.integrate.quad(gap, low, high, epsabs=1e-12)[0]
               for low, high in zip(ends, ends[1:]))


def gaussian(figures, at, mean, deviation, y):
    normal = scipy.stats.norm(mean, deviation)
    figures.add(at + "nll", -normal.logpdf(y).mean(), "scipy norm.logpdf")
    # E|X - y| - E|X - X'| / 2: the same another way (Gneiting and Raftery 2007, sec. 4.2).
    to_target = scipy.stats.foldnorm.mean(np.abs(y - mean) / deviation, scale=deviation)
    figures.add(at + "crps", (to_target - deviation / np.sqrt(np.pi)).mean(), "scipy foldnorm",
                scipy_integral=np.mean([crps_by_integral(*one)
                                        for one in zip(mean, deviation, y)]))
    for key, levels in [("intervals", [0.5, 0.9, 0.95]), ("curve", np.arange(1, 20) / 20)]:
        low, high = np.transpose([normal.interval(level) for level in levels], (1, 2, 0))
        coverage = ((low <= y[:, None]) & (y[:, None] <= high)).mean(0)
        within = np.abs(2 * normal.cdf(y) - 1)  # the level of the interval that ends at the target
        figures.add(f"{at}{key}/level", levels, "given")
        figures.add(f"{at}{key}/coverage", coverage, "scipy norm.interval",
                    scipy_cdf=[(within <= level).mean() for level in levels])
        figures.add(f"{at}{key}/mean_width", (high - low).mean(0), "scipy norm.interval")
    figures.add(at + "calibration_error", np.abs(coverage - levels).mean(), "mean gap of the curve")
