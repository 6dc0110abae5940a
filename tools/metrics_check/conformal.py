"""Split conformal prediction sets, by MAPIE and by numpy."""

import math

import numpy as np
from mapie.classification import SplitConformalClassifier

from .figures import NUMPY


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
