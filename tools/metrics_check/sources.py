"""Every figure of `mu8 eval`, by libraries that know nothing of mu8: see tools/check_metrics.

Trees have the keys of `mu8 eval --json --curves`. Sources that need a torch newer than Debian's
are loaded as single modules, without their package's own imports.
"""

import importlib
import importlib.util
import math
import sys
import types
import warnings

import numpy as np
import scipy.special
import scipy.stats
import sklearn.metrics
import torch
import torchmetrics.functional.classification as tm
from mapie.classification import SplitConformalClassifier
from netcal.metrics import ECE, MCE

BINS = 15
HISTOGRAM_BINS = 50
NUMPY = "numpy, typed from the paper"
warnings.filterwarnings("ignore")


def torch_uncertainty(module):
    """torch_uncertainty.metrics.classification.MODULE, without the packages' __init__."""
    name = ""
    for part in ["torch_uncertainty", "metrics", "classification"]:
        parent, name = name, f"{name}.{part}".strip(".")
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = (importlib.util.find_spec(name).submodule_search_locations
                                if not parent else
                                [f"{path}/{part}" for path in sys.modules[parent].__path__])
            sys.modules[name] = package
    return importlib.import_module(f"{name}.{module}")


class Figures:
    """A tree of figures, each agreed on by its sources."""

    def __init__(self, name):
        self.name, self.tree, self.problems, self.lines = name, {}, [], []

    def add(self, path, value, source, **others):
        """`value` at "a/b/c"; others: source=value, or source=(value, tolerance)."""
        value = np.asarray(value, float)
        texts = [source]
        for other, found in others.items():
            found, tolerance = found if isinstance(found, tuple) else (found, 1e-9)
            gap = float(np.max(np.abs(np.asarray(found, float) - value)))
            texts.append(f"{other.replace('_', '-')} (off by {gap:.0e})")
            if not gap <= tolerance:
                self.problems.append(f"{self.name}/{path}: {source} has {value.tolist()}, "
                                     f"{other} has {np.asarray(found).tolist()}")
        shown = f"{value:.6g}" if value.ndim == 0 else f"[{value.size}]"
        self.lines.append((path, shown, "; ".join(texts)))
        *parents, key = path.split("/")
        node = self.tree
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
        node[key] = [None if math.isnan(v) else v for v in value.tolist()] if value.ndim else float(
            value)

    def print_table(self):
        print(f"{self.name}: {len(self.lines)} figures")
        for path, shown, sources in self.lines:
            print(f"  {path:52} {shown:>12}  {sources}")


def mean_of_ties(scores, values):
    """`values` replaced by their mean over images of equal score."""
    _, group = np.unique(scores, return_inverse=True)
    return (np.bincount(group, values) / np.bincount(group))[group]


def shuffled_mean(scores, values, figure, draws=4000):
    """Mean of figure(values in falling order of score) over random orders of equal scores."""
    random = np.random.default_rng(0)
    return np.mean([figure(values[np.lexsort((random.random(len(scores)), -scores))])
                    for _ in range(draws)])


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


class Given:
    """A fitted classifier, for MAPIE, whose predictions for image i are row i."""

    def __init__(self, p):
        self.p, self.classes_ = p, np.arange(p.shape[1])

    def fit(self, images, labels):
        return self

    def predict_proba(self, images):
        return self.p[images[:, 0]]

    def predict(self, images):
        return self.predict_proba(images).argmax(1)

    def __sklearn_is_fitted__(self):
        return True


def conformal(figures, p, labels):
    index = np.arange(len(p))[:, None]
    scores = 1 - p[np.arange(len(p)), labels]
    calibration_scores, n = scores[::2], len(scores[::2])
    figures.tree["conformal"] = [{}, {}]
    for i, alpha in enumerate([0.1, 0.05]):
        level = math.ceil((n + 1) * (1 - alpha) - 1e-9) / n
        threshold = np.quantile(calibration_scores, level - 1e-12, method="inverted_cdf")
        sets, others = 1 - p[1::2] <= threshold, {}
        # MAPIE wants every class among the calibration labels, which 100 classes do not give it.
        if len(np.unique(labels[::2])) == p.shape[1]:
            mapie = SplitConformalClassifier(Given(p), confidence_level=1 - alpha, prefit=True,
                                             conformity_score="lac")
            mapie.conformalize(index[::2], labels[::2])
            others["mapie"] = mapie.predict_set(index[1::2])[1][:, :, 0]
        test = np.arange(len(sets))
        at = f"conformal/{i}/"
        figures.add(at + "alpha", alpha, "given")
        figures.add(at + "calibration_images", n, "given")
        figures.add(at + "test_images", len(sets), "given")
        figures.add(at + "threshold", threshold, "numpy.quantile inverted_cdf")
        figures.add(at + "coverage", sets[test, labels[1::2]].mean(), NUMPY,
                    **{k: v[test, labels[1::2]].mean() for k, v in others.items()})
        figures.add(at + "mean_set_size", sets.sum(1).mean(), NUMPY,
                    **{k: v.sum(1).mean() for k, v in others.items()})


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
