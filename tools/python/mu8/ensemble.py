"""Several models as one: a deep ensemble (Lakshminarayanan et al. 2017), as `mu8 eval A.mu8 B.mu8` judges it."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np
import numpy.typing as npt

from ._library import Error
from .model import Model
from .prediction import Prediction


class Ensemble:
    """Models that answer the same question about the same inputs; load() of several files. Each counts alike
    and draws `samples` networks of its own."""

    def __init__(self, members: Sequence[Model]) -> None:
        self.members = list(members)
        if not self.members:
            raise Error("an ensemble of no models")
        first = self.members[0]
        for i, other in enumerate(self.members[1:], 1):
            for what, mine, theirs in (
                    ("input", (first.input_shape, first.input_kind), (other.input_shape, other.input_kind)),
                    ("layout of arrays", first.metadata("input_layout"), other.metadata("input_layout")),
                    ("head", first.head, other.head),
                    ("outputs", (first.outputs, first.positions), (other.outputs, other.positions)),
                    ("names of the outputs", first.labels, other.labels)):
                if mine != theirs:
                    raise Error(f"member {i}: differs from member 0 in its {what}, expected members of an ensemble "
                                "to be alike in it")
            if other.hash in [member.hash for member in self.members[:i]]:
                raise Error(f"member {i}: is the same model as another, expected members of an ensemble to be "
                            "different ones")

    def predict(self, inputs: npt.ArrayLike, samples: int = 50, *, seed: int = 1, method: str = "sampling",
                noise: str = "independent", threads: int = 1, batch: int = 64, logits: bool = False,
                kernels: str = "auto", layout: Optional[str] = None, progress: bool = False) -> Prediction:
        """Predicts with each member, with options as Model.predict has them: one Prediction of all networks.

        The mean is that of the members' means, the variance the mean of theirs plus that of the means; entropies
        are those of the mixture, so that mutual_information holds what networks and members disagree about.
        samples_used and the other counts are sums, logits [N, members x T, row] one member after the other;
        ended, abstains and replay have a column for each member, whose thresholds and records are its own.
        """
        if method == "auto":
            raise Error("method \"auto\" decides about the networks of one model: sampling or moments")
        return together([
            member.predict(inputs, samples, seed=seed, method=method, noise=noise, threads=threads, batch=batch,
                           logits=logits, kernels=kernels, layout=layout, progress=progress)
            for member in self.members])

    def predict_proba(self, inputs: npt.ArrayLike, samples: int = 50, **options: Any) -> np.ndarray:
        """Mean probabilities [N, classes], as scikit-learn's classifiers give them."""
        self.members[0].check_probabilities()
        return self.predict(inputs, samples, **options).mean

    def close(self) -> None:
        """Gives the members' memory back."""
        for member in self.members:
            member.close()

    def __enter__(self) -> Ensemble:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self):
        return "\n  ".join([f"<mu8.Ensemble of {len(self.members)}>", *map(repr, self.members)])


def together(predictions: Sequence[Prediction]) -> Prediction:
    """The mixture of the predictions' networks, of the same inputs by different models."""
    def all_of(name):
        values = [getattr(prediction, name) for prediction in predictions]
        return None if any(value is None for value in values) else np.stack(values)

    def mean_of(name):
        values = all_of(name)
        return None if values is None else values.mean(axis=0, dtype=np.float64).astype(np.float32)

    def variance_of(mean, variance):  # the law of total variance
        means, inside = all_of(mean), mean_of(variance)
        return None if inside is None else inside + means.var(axis=0, dtype=np.float64).astype(np.float32)

    def sum_of(name):
        values = all_of(name)
        return None if values is None else values.sum(axis=0, dtype=values.dtype)

    first, logits = predictions[0], all_of("logits")
    made = {"head": first.head, "labels": first.labels, "variance": variance_of("mean", "variance"),
            "error_variance": variance_of("error", "error_variance"),
            "logits": None if logits is None else np.concatenate(list(logits), axis=1)}
    made.update((name, mean_of(name)) for name in ("mean", "noise_variance", "error", "target"))
    made.update((name, sum_of(name)) for name in ("samples_used", "clamped_scales"))
    made.update((name, np.stack([getattr(prediction, name) for prediction in predictions], axis=1))
                for name in ("ended", "abstains", "replay"))
    made["clamped_inputs"] = all_of("clamped_inputs").max(axis=0)
    if first.label is not None:
        made["label"] = made["mean"].argmax(axis=1)
    if first.head in ("softmax", "sigmoid"):
        made.update(entropies(all_of("mean").mean(axis=0, dtype=np.float64), first.head,
                              all_of("expected_entropy").mean(axis=0, dtype=np.float64)))
        made["output_expected_entropy"] = mean_of("output_expected_entropy")
        if first.output_entropy is None:
            made["output_entropy"] = None
    return Prediction(**made)


def entropies(p: np.ndarray, head: str, expected: np.ndarray) -> dict[str, np.ndarray]:
    """Of mean probabilities [N, ..., outputs] in double precision: a float32 mean would drown what members differ
    by. Of a softmax the means over the positions, of labels the sums."""
    each = surprise(p).sum(axis=-1) if head == "softmax" else surprise(p) + surprise(1 - p)
    flat = each.reshape(len(p), -1)
    total = flat.mean(axis=1) if head == "softmax" else flat.sum(axis=1)
    found = {"output_entropy": each, "predictive_entropy": total, "expected_entropy": expected,
             "mutual_information": np.maximum(total - expected, 0)}
    return {name: value.astype(np.float32) for name, value in found.items()}


def surprise(p):
    """-p ln p, 0 at 0."""
    return -p * np.log(np.where(p > 0, p, 1))
