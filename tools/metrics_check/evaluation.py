"""Every figure of `mu8 eval`, of a labelled set and of foreign images beside it.

Trees have the keys of `mu8 eval --json --curves`.
"""

import math

import numpy as np
import scipy.special
import scipy.stats
import sklearn.metrics
import torch
import torchmetrics.functional.classification as tm

from .calibration import calibration
from .conformal import conformal
from .figures import NUMPY, torch_uncertainty
from .ranking import detection, scores_of, selection

HISTOGRAM_BINS = 50


def uncertainty_means(figures, path, p, uncertainty):
    entropy = scipy.stats.entropy(p, axis=1)
    figures.add(f"{path}mean_entropy", np.mean(scipy.special.entr(p).sum(1)), "scipy entr",
                scipy_entropy=(entropy.mean(), 1e-6),
                uncertainty_file=(uncertainty[:, 0].mean(), 1e-6))
    figures.add(f"{path}mean_aleatoric_entropy", uncertainty[:, 1].mean(), "numpy",
                entropy_minus_mutual_information=((uncertainty[:, 0] - uncertainty[:, 2]).mean(),
                                                  1e-5))
    figures.add(f"{path}mean_mutual_information", uncertainty[:, 2].mean(), "numpy")


def histograms(figures, path, p, uncertainty):
    edges = np.linspace(0, math.log(p.shape[1]), HISTOGRAM_BINS + 1)
    for key, column in [("entropy", 0), ("mutual_information", 2)]:
        index = np.clip(np.digitize(uncertainty[:, column], edges, right=True), 1, HISTOGRAM_BINS)
        figures.add(f"{path}/{key}", np.bincount(index - 1, minlength=HISTOGRAM_BINS),
                    "numpy.digitize")


def labelled_figures(figures, p, uncertainty, labels):
    """All figures of a labelled set."""
    classes = p.shape[1]
    confidence, top = p.max(1), p.argmax(1)
    correct = (top == labels).astype(float)
    tensor, target = torch.tensor(p), torch.tensor(labels)
    of_label = p[np.arange(len(p)), labels]
    figures.add("accuracy", sklearn.metrics.accuracy_score(labels, top), "scikit-learn",
                torchmetrics=(tm.multiclass_accuracy(tensor, target, classes, "micro").item(),
                              1e-6))
    # scikit-learn prefers the highest index among equals, we the lowest: mirrored columns.
    figures.add("top5_accuracy", sklearn.metrics.top_k_accuracy_score(
        classes - 1 - labels, p[:, ::-1], k=5, labels=np.arange(classes)), "scikit-learn",
        numpy=np.mean([y in np.lexsort((np.arange(classes), -row))[:5]
                       for row, y in zip(p, labels)]))
    figures.add("nll", -np.log(np.maximum(of_label, 1e-12)).mean(), NUMPY,
                scikit_learn=(sklearn.metrics.log_loss(labels, p, eps=1e-12,
                                                       labels=np.arange(classes)), 1e-6))
    brier = torch_uncertainty("brier_score").BrierScore(num_classes=classes)
    brier.update(tensor, target)
    figures.add("brier", ((p - np.eye(classes)[labels])**2).sum(1).mean(), NUMPY,
                torch_uncertainty=(brier.compute().item(), 2e-6),
                one_plus_ovadia=1 + ((p**2).sum(1) - 2 * of_label).mean())
    calibration(figures, p, labels, confidence, correct)
    selection(figures, confidence, correct)
    figures.add("misclassification/errors", (1 - correct).sum(), "numpy")
    for key, scores in scores_of(p, uncertainty).items():
        detection(figures, f"misclassification/{key}", scores[correct == 1], scores[correct == 0],
                  "aupr_error", "aupr_correct")
    conformal(figures, p, labels)
    uncertainty_means(figures, "", p, uncertainty)
    clipped, other = np.maximum(p, 1e-9), np.maximum(np.roll(p, 1, axis=0), 1e-9)
    figures.add("kl_against", scipy.special.rel_entr(other, clipped).sum(1).mean(),
                "scipy rel_entr of the row above")
    figures.add("label_agreement", (other.argmax(1) == clipped.argmax(1)).mean(), NUMPY,
                scikit_learn=sklearn.metrics.accuracy_score(other.argmax(1), clipped.argmax(1)))
    figures.add("curves/histograms/high", scipy.stats.entropy(np.ones(classes)), "scipy entropy")
    histograms(figures, "curves/histograms/in_distribution", p, uncertainty)


def ood_figures(figures, inside, outside, name):
    """Those of one set of foreign images beside the labelled one."""
    p, uncertainty, _ = outside
    figures.tree.setdefault("ood", []).append({"data": name})
    sets = figures.tree["curves"]["histograms"].setdefault("ood", [])
    sets.append({"data": name})
    at = len(sets) - 1
    figures.add(f"ood/{at}/images", len(p), "numpy")
    uncertainty_means(figures, f"ood/{at}/", p, uncertainty)
    within = scores_of(*inside[:2])
    for key, scores in scores_of(p, uncertainty).items():
        detection(figures, f"ood/{at}/{key}", within[key], scores, "aupr_out", "aupr_in")
    histograms(figures, f"curves/histograms/ood/{at}", p, uncertainty)
