"""What the engine says about inputs, as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Optional, Union

import numpy as np


@dataclass
class Prediction:
    """What the networks say about N inputs. Arrays have N rows; entropies are in nats.

    mean, variance [N, outputs], of several positions [N, height, width, outputs]: over the networks, of
        probabilities, or of numbers in their unit.
    predictive_entropy = expected_entropy (aleatoric) + mutual_information (epistemic) [N]; the last grows with
        the samples: compare at equal T. None of heads of numbers, whose `variance` is epistemic.
    noise_variance [N, outputs]: aleatoric, of an observation; head gaussian, and values where the file has it.
    label [N]: the most probable class; head softmax alone.
    samples_used, ended, clamped_inputs [N]: how many networks, why no more, and how many of the input's values
        lay beyond the range that the file can store.
    abstains [N]: the file's measure of uncertainty is above its threshold.
    output_entropy, output_expected_entropy: of each label (sigmoid) or position (softmax of several).
    error, error_variance [N], target [N, outputs]: head reconstruction.
    decisions [N, outputs] of a stop rule about thresholds: 0 not chosen, 1 undecided, 2 above, 3 below.
    logits [N, T, row]: where asked for; rows beyond samples_used are NaN; by moments [N, 1, row], their mean, and
        logit_covariance.
    replay [N]: records that compute the prediction again, bit for bit (mu8 replay).
    """
    head: str
    labels: Optional[list[str]]
    mean: np.ndarray
    variance: np.ndarray
    samples_used: np.ndarray
    ended: np.ndarray
    clamped_inputs: np.ndarray
    abstains: np.ndarray
    replay: np.ndarray
    label: Optional[np.ndarray] = None
    predictive_entropy: Optional[np.ndarray] = None
    expected_entropy: Optional[np.ndarray] = None
    mutual_information: Optional[np.ndarray] = None
    noise_variance: Optional[np.ndarray] = None
    output_entropy: Optional[np.ndarray] = None
    output_expected_entropy: Optional[np.ndarray] = None
    error: Optional[np.ndarray] = None
    error_variance: Optional[np.ndarray] = None
    target: Optional[np.ndarray] = None
    decisions: Optional[np.ndarray] = None
    clipped_passes: Optional[np.ndarray] = None
    clamped_scales: Optional[np.ndarray] = None
    logits: Optional[np.ndarray] = None
    logit_covariance: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, index: Union[int, slice, np.ndarray]) -> Prediction:
        """The same of some inputs; an int gives a Prediction of one."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"input {index} of {len(self)}")
            index = slice(int(index) % len(self), int(index) % len(self) + 1)
        taken: dict[str, Any] = {}
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            taken[name] = value[index] if isinstance(value, np.ndarray) else value
        return Prediction(**taken)

    def name_of(self, output: int) -> str:
        """The output's name, or its index as text."""
        return self.labels[output] if self.labels else str(output)

    def __repr__(self):
        rows = self.rows(8)
        widths = [max(len(row[column]) for row in rows if len(row) > column) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n  ".join([f"<mu8.Prediction: {len(self)} inputs, head {self.head}>", *lines])

    def _repr_html_(self) -> str:
        from ._html import prediction_html
        return prediction_html(self)

    def plot(self, index: int = 0, axes: Any = None) -> Any:
        """Mean and deviation of each output of an input, by matplotlib (the extra `plot`); its Axes."""
        from ._plots import prediction_plot
        return prediction_plot(self, index, axes)

    def _head_line(self):
        if self.head == "softmax" and self.label is not None:
            return ("input", "label", "probability", "entropy", "mutual information", "samples")
        if self.head == "sigmoid":
            return ("input", "labels above 0.5", "entropy", "mutual information", "samples")
        if self.head == "reconstruction":
            return ("input", "error", "its deviation", "samples")
        return ("input", "mean", "deviation", "samples")

    def rows(self, most: int) -> list[tuple[str, ...]]:
        """A table of text: a head line, and a line for each of the first `most` inputs."""
        rows = [self._row(i) for i in range(min(len(self), most))]
        more = [(f"... {len(self) - most} more",)] if len(self) > most else []
        return [self._head_line(), *rows, *more]

    def _row(self, i):
        used = str(self.samples_used[i])
        if self.head == "softmax" and self.label is not None:
            label = int(self.label[i])
            return (str(i), self.name_of(label), f"{self.mean[i][label]:.3f}",
                    f"{self.predictive_entropy[i]:.3f}", f"{self.mutual_information[i]:.3f}", used)
        if self.head == "sigmoid":
            found = [self.name_of(c) for c in np.flatnonzero(self.mean[i].reshape(-1) > 0.5)[:4]]
            return (str(i), ", ".join(found) or "none", f"{self.predictive_entropy[i]:.3f}",
                    f"{self.mutual_information[i]:.3f}", used)
        if self.head == "reconstruction":
            return (str(i), f"{self.error[i]:.4g}", f"{np.sqrt(self.error_variance[i]):.2g}", used)
        total = self.variance[i] if self.noise_variance is None else self.variance[i] + self.noise_variance[i]
        mean, deviation = self.mean[i].ravel()[:4], np.sqrt(total).ravel()[:4]
        dots = " ..." if self.mean[i].size > 4 else ""
        return (str(i), " ".join(f"{value:.4g}" for value in mean) + dots,
                " ".join(f"{value:.2g}" for value in deviation) + dots, used)
