"""Ranking by uncertainty: selective prediction, and telling errors or foreign images apart."""

import math

import numpy as np
import scipy.stats
import sklearn.metrics
import torch
import torchmetrics.functional.classification as tm

from .figures import NUMPY, mean_of_ties, torch_uncertainty


def shuffled_mean(scores, values, figure, draws=4000):
    """Mean of figure(values in falling order of score) over random orders of equal scores."""
    random = np.random.default_rng(0)
    return np.mean([figure(values[np.lexsort((random.random(len(scores)), -scores))])
                    for _ in range(draws)])


def selection(figures, confidence, correct):
    images = len(confidence)
    risk_of = torch_uncertainty("risk_coverage")._aurc_rejection_rate_compute
    fair = 1 - mean_of_ties(confidence, correct)
    risk = risk_of(torch.tensor(confidence), torch.tensor(fair)).numpy()
    steps = np.arange(1, images + 1)
    area = shuffled_mean(confidence, 1 - correct, lambda e: (e.cumsum() / steps).mean())
    figures.add("aurc", risk.mean(), "mean of torch-uncertainty's risks",
                shuffled_ties=(area, 2e-3))
    coverages = [0.5, 0.8, 0.9, 0.95]
    figures.add("selective_accuracy/coverage", coverages, "given")
    order = np.argsort(-confidence, kind="stable")
    figures.add("selective_accuracy/accuracy",
                [1 - risk[math.ceil(images * c) - 1] for c in coverages],
                "torch-uncertainty's risks",
                numpy=[1 - fair[order][:math.ceil(images * c)].mean() for c in coverages])
    percent = np.arange(1, 101)
    figures.add("curves/risk_coverage/coverage", percent / 100, "given")
    figures.add("curves/risk_coverage/risk", risk[-(-images * percent // 100) - 1],
                "torch-uncertainty's risks")
    for path, thresholds in [("", [0, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .99]),
                             ("curves/", np.arange(101) / 100)]:
        above = [correct[confidence >= t] for t in thresholds]
        figures.add(f"{path}accuracy_at_confidence/confidence", thresholds, "given")
        figures.add(f"{path}accuracy_at_confidence/images", [len(a) for a in above], NUMPY)
        figures.add(f"{path}accuracy_at_confidence/accuracy",
                    [a.mean() if len(a) else np.nan for a in above], NUMPY)


def scores_of(p, uncertainty):
    return {"by_entropy": uncertainty[:, 0], "by_mutual_information": uncertainty[:, 2],
            "by_confidence": 1 - p.max(1)}


def detection(figures, path, negatives, positives, positive_key, negative_key):
    scores = np.concatenate([negatives, positives])
    truth = np.repeat([0, 1], [len(negatives), len(positives)])
    unit = torch.tensor(scores / max(scores.max(), 1))  # torchmetrics takes others for logits
    target = torch.tensor(truth)
    auroc = sklearn.metrics.roc_auc_score(truth, scores)
    pairs = positives[:, None] - negatives[None]
    figures.add(f"{path}/auroc", auroc, "scikit-learn",
                torchmetrics=(tm.binary_auroc(unit, target).item(), 2e-6),
                scipy_mannwhitneyu=scipy.stats.mannwhitneyu(positives, negatives).statistic
                / pairs.size)
    figures.add(f"{path}/{positive_key}", sklearn.metrics.average_precision_score(truth, scores),
                "scikit-learn",
                torchmetrics=(tm.binary_average_precision(unit, target).item(), 2e-6))
    figures.add(f"{path}/{negative_key}",
                sklearn.metrics.average_precision_score(1 - truth, -scores), "scikit-learn",
                torchmetrics=(tm.binary_average_precision(1 - unit, 1 - target).item(), 2e-6))
    false, true, _ = sklearn.metrics.roc_curve(truth, scores, drop_intermediate=False)
    threshold = np.quantile(positives, 0.05 - 1e-12, method="inverted_cdf")
    if (positives >= threshold).mean() < 0.95:
        threshold = positives[positives < threshold].max()
    figures.add(f"{path}/fpr95", false[true >= 0.95].min(), "scikit-learn's roc_curve",
                numpy_quantile=(negatives >= threshold).mean())
