"""The prediction that moments make of logits: formats/FORMAT.md 13.5 and 13.6, bit by bit.

Written from that page alone; moments.py computes the logits.
"""

import numpy as np

from .arithmetic import quantize_input
from .file_format import GAUSSIAN, RECONSTRUCTION, SIGMOID, SOFTMAX
from .moments import Pass
from .moments_math import F, ROOT_OF_3, SIXTH, root
from .outputs import variance_of
from .prediction import NO_LABEL, Prediction, sigmoid_statistics, softmax_statistics
from .real_math import f32
from .sampling import WeightSource

NUMBERS = [np.array(text.split(), F) for text in ("""
   2  10  10   2  -6  -6   2   2  -2  -2 -10   6  -2   6 -10  -2
  -6   2  10   2   2   2   2   2  -2  -2  14  -2  -2   6  -2   6""", """
   0  12  12   0   8  -4  -4  -8   0  -4  -4 -16  -8  12  -4   8
  -4  -8   8  12   4  -8   8   4  -4   8  -8  -4   4  -8  -8   4
  -8  -4  -4   8  -8  20   4   8  -8 -20  -4   8   8   4 -12   8
   4  -8   8   4   4   0   0   4   4   8   8   4   4   0   0  20""")]
UNITS = f32(0x3E3504F3), F(.125)
MOST_FACTOR = F(2.0 ** 60)


def lower_triangle(k):
    """L of section 13.5, f32 [C][C]"""
    found = np.zeros_like(k)
    for j in range(len(k)):
        p = k[j, j]
        for i in range(j):
            p = p - found[j, i] * found[j, i]
        if not p > k[j, j] * F(2.0 ** -20):
            continue
        found[j, j] = root(p)
        column = k[j + 1:, j]
        for i in range(j):
            column = column - found[j + 1:, i] * found[j, i]
        if found[j, j] > 0:
            found[j + 1:, j] = np.clip(column / found[j, j], -MOST_FACTOR, MOST_FACTOR)
    return found


def normals(channels):
    """x of section 13.6, f32 [2 N][channels]"""
    numbers, unit = [pair[channels > 32] for pair in (NUMBERS, UNITS)]
    n, c = np.arange(len(numbers))[:, None], np.arange(channels)
    x = numbers[(n * (2 * (c // 64) + 1) ^ c) % len(numbers)] * unit
    return np.stack([x, -x], 1).reshape(-1, channels)


def rows_of(logits, x):
    """The rows that stand for passes, f32 [2 N][P][C]"""
    if logits.covariance is None:
        return logits.mean + root(logits.variance) * x[:, None]
    found = np.empty((len(x), *logits.mean.shape), F)
    for position, (mean, k) in enumerate(zip(logits.mean, logits.covariance)):
        triangle = lower_triangle(k)
        for c in range(len(mean)):
            total = np.zeros(len(x), F)
            for i in range(c + 1):
                total = total + triangle[c, i] * x[:, i]
            found[:, position, c] = mean[c] + total
    return found


def noise(outputs, r, variance):
    """f32 [P][K] -> (noise_variance [P K], clamped_scales), head gaussian"""
    least, most = (variance_of(outputs.form, end) for end in (outputs.low, outputs.high))

    def v(at):
        return np.clip(variance_of(outputs.form, np.clip(at, outputs.low, outputs.high)), least,
                       most)
    w = root(variance) * ROOT_OF_3
    found = ((v(r - w) + v(r + w)) + F(4) * v(r)) * SIXTH
    return found.ravel(), int(((r < outputs.low) | (r > outputs.high)).sum())


def predict_moments(model, image):
    """u8 or float image [H][W][C] -> Prediction by moments."""
    if model.moments is None or model.head == RECONSTRUCTION:
        raise ValueError("no predictions by moments of this file, or of its head (error 78)")
    stored, clamped = quantize_input(model, image)
    sources = {i: WeightSource(model, i) for i, layer in enumerate(model.layers) if layer.weighted}
    logits = Pass(model, sources, stored).run()
    if model.head in (SOFTMAX, SIGMOID):
        rows = rows_of(logits, normals(model.class_count))
        flat = rows.reshape(len(rows), -1)
        if model.head == SIGMOID:
            *scalars, entropy, expected = sigmoid_statistics(flat)
            return Prediction(*scalars, flat, NO_LABEL, entropy, expected, clamped)
        *scalars, label, entropy, expected = softmax_statistics(rows)
        return Prediction(*scalars, flat, label, entropy, expected, clamped)
    count, others = model.output_count, ()
    if model.head == GAUSSIAN:
        others = noise(model.outputs, logits.mean[:, count:], logits.variance[:, count:])
    elif model.outputs is not None:
        others = np.tile(model.outputs.noise_variance, model.positions), 0
    return Prediction(logits.mean[:, :count].ravel(), logits.variance[:, :count].ravel(),
                      *3 * [F(0)], logits.mean.reshape(1, -1), NO_LABEL, None, None, clamped,
                      *others)
