"""A prediction and its uncertainty over T networks: formats/FORMAT.md section 10, bit by bit.

Written from that page alone. Float operations are float32 numpy operations or Python's floats
(f64), one rounding each.
"""

import typing

import numpy as np

from .arithmetic import quantize_input, run_pass
from .file_format import GAUSSIAN, NUMBERS, RECONSTRUCTION, SIGMOID, VALUES
from .outputs import exponent, variance_of
from .real_math import exp, f32, log
from .sampling import WeightSource, stream_of_pass


NO_LABEL = 0xFFFFFFFF


class Prediction(typing.NamedTuple):
    """Section 10; N outputs, T passes, P positions. Floats are f32, label is an int."""
    mean: np.ndarray                # [N]
    variance: np.ndarray            # [N]
    predictive_entropy: np.float32  # nats, as the next two
    expected_entropy: np.float32
    mutual_information: np.float32
    logits: np.ndarray              # [T][P C]
    label: int                      # NO_LABEL: the head has none
    output_entropy: np.ndarray      # [N], SIGMOID; [P], SOFTMAX at several positions; else None
    output_expected_entropy: np.ndarray  # the same
    clamped_inputs: int             # 5.1
    noise_variance: np.ndarray = None  # [N], GAUSSIAN, and VALUES with section 7
    clamped_scales: int = 0            # GAUSSIAN
    error: np.float32 = None           # RECONSTRUCTION, as the next one
    error_variance: np.float32 = None


def fixed(x):
    """Fixed(x) = floor(x * 2^40) of f32 x >= 0 as a Python int; exact, f64 holds the product."""
    return int(float(x) * 2.0 ** 40)


def statistics(logits):
    """f32 [T][C] of one position -> (mean, variance, H, X, label); H and X are Python floats."""
    passes, classes = logits.shape
    sum_p, sum_squares, sum_entropy = [0] * classes, [0] * classes, 0
    for row in logits:
        top = row.max()
        total = sum(fixed(e) for e in exp(row - top))
        n = np.int64(total).astype(np.float32) * np.float32(2.0 ** -40)
        sum_entropy += fixed(log(n))
        d = top - row
        p = exp(-d) / n
        for c in range(classes):
            sum_p[c] += fixed(p[c])
            sum_squares[c] += fixed(p[c] * p[c])
            if p[c] > 0:
                sum_entropy += fixed(p[c] * d[c])

    unit = 2.0 ** -40 / float(passes)
    mean, variance = np.zeros(classes, np.float32), np.zeros(classes, np.float32)
    entropy = 0.0
    for c in range(classes):  # Python floats: f64, one rounding an operation
        a = float(sum_p[c]) * unit
        v = float(sum_squares[c]) * unit - a * a
        mean[c] = a
        variance[c] = v if v > 0 else 0
        if mean[c] >= f32(0x02081CEA):
            entropy = entropy - a * float(log(mean[c]))
    entropy = max(entropy, 0.0)
    return mean, variance, entropy, float(sum_entropy) * unit, sum_p.index(max(sum_p))


def softmax_statistics(logits):
    """f32 [T][P][C] -> (mean, variance, the three entropies, label, entropies of positions or None,
    expected ones or None), section 10.1."""
    positions = logits.shape[1]
    means, variances, entropies, expected, labels = zip(
        *(statistics(logits[:, p]) for p in range(positions)))
    total, aleatoric = (sum(values, 0.0) / float(positions) for values in (entropies, expected))
    mutual = total - aleatoric if total > aleatoric else 0.0
    several = positions > 1
    return (np.concatenate(means), np.concatenate(variances), np.float32(total),
            np.float32(aleatoric), np.float32(mutual), NO_LABEL if several else labels[0],
            *(np.array(v, np.float32) if several else None for v in (entropies, expected)))


def sigmoid_statistics(logits):
    """f32 [T][C] -> the fields of a Prediction but for logits and label, section 10.2."""
    passes, outputs = logits.shape
    one = np.float32(1)
    distance = np.abs(logits)
    e = exp(-distance)
    less = e / (one + e)
    p = np.where(logits >= 0, one / (one + e), less)
    unit = 2.0 ** -40 / float(passes)
    moments, entropies, expected = [], [], []
    for c in range(outputs):
        sum_p = sum(fixed(x) for x in p[:, c])
        sum_squares = sum(fixed(x * x) for x in p[:, c])
        sum_entropy = sum(fixed(log(one + e[t, c])) + fixed(less[t, c] * distance[t, c])
                          for t in range(passes))
        a = float(sum_p) * unit
        v = float(sum_squares) * unit - a * a
        moments.append((np.float32(a), np.float32(v if v > 0 else 0)))
        entropy = 0.0
        for share in (a, 1.0 - a):
            if np.float32(share) >= f32(0x02081CEA):
                entropy = entropy - share * float(log(np.float32(share)))
        entropies.append(entropy)
        expected.append(float(sum_entropy) * unit)
    mean, variance = np.array(moments, np.float32).T
    total, aleatoric = sum(entropies, 0.0), sum(expected, 0.0)
    mutual = total - aleatoric if total > aleatoric else 0.0
    return (mean, variance, np.float32(total), np.float32(aleatoric), np.float32(mutual),
            np.array(entropies, np.float32), np.array(expected, np.float32))


def moments(integers, scale):
    """Mean and variance of Python's integers, exact until the end, in units of scale, an f64."""
    passes, total = len(integers), sum(integers)
    high, low = divmod(passes * sum(i * i for i in integers) - total * total, 2 ** 64)
    spread = float(high) * 2.0 ** 64 + float(low)
    return (np.float32(float(total) / float(passes) * scale),
            np.float32(spread / (float(passes) * float(passes)) * (scale * scale)))


def error_statistics(outputs, image, logits):
    """The input, f32 [N], and f32 [T][N] -> (error, error_variance), section 10.5."""
    gain, offset = np.tile(outputs.targets, (image.size // len(outputs.targets), 1)).T
    with np.errstate(over="ignore", under="ignore"):
        d = logits - (image * gain + offset)
        q = np.minimum(d * d / outputs.unit, np.float32(2.0 ** 40))
    errors = [min(sum(int(x) for x in row), 2 ** 47) for row in q]
    return moments(errors, float(outputs.unit) / float(image.size))


def value_statistics(accumulators, multipliers):
    """s32 [T][C], f32 [C] -> (mean, variance), section 10.3."""
    columns = ([int(acc) for acc in column] for column in accumulators.T)
    mean, variance = np.array([moments(column, float(m))
                               for column, m in zip(columns, multipliers)], np.float32).T
    return mean, variance


def noise_statistics(outputs, scales):
    """r, f32 [T][P][K] -> (noise_variance [P K], clamped_scales), section 10.4."""
    passes, positions, count = scales.shape
    least, most = (variance_of(outputs.form, bound) for bound in (outputs.low, outputs.high))
    v = variance_of(outputs.form, np.clip(scales, outputs.low, outputs.high))
    v = np.clip(v, least, most)
    units = [2.0 ** (first - 127 - 23) for first in exponent(least).tolist()]
    found = []
    for p in range(positions):
        for k in range(count):
            total = sum(int(float(x) / units[k]) for x in v[:, p, k])  # Python's: exact
            high, low = divmod(total, 2 ** 64)
            found.append((float(high) * 2.0 ** 64 + float(low)) / float(passes) * units[k])
    clamped = int(((scales < outputs.low) | (scales > outputs.high)).sum())
    return np.array(found, np.float32), min(clamped, 2 ** 32 - 1)


def abstains(model, p):
    """Whether a Prediction abstains, section 10.6."""
    if model.abstain is None:
        return False
    with np.errstate(over="ignore"):
        found = {1: lambda: p.predictive_entropy, 2: lambda: p.mutual_information,
                 3: lambda: p.variance, 4: lambda: p.variance + p.noise_variance,
                 5: lambda: p.error}[model.abstain.measure]()
    thresholds = model.abstain.thresholds
    return bool((np.reshape(found, (-1, len(thresholds))) > thresholds).any())


def predict(model, image, mc_samples, seed, antithetic=False):
    """u8 or float image [H][W][C] -> Prediction over T = mc_samples networks of ensemble `seed`."""
    if not 1 <= mc_samples <= 65536 or not 0 <= seed < 2 ** 64:
        raise ValueError("mc_samples is 1 to 65536, seed a u64")
    if (model.head == RECONSTRUCTION and model.input != NUMBERS
            and np.asarray(image).dtype != np.uint8):
        raise ValueError("the model reconstructs u8 pixels")
    stored, clamped = quantize_input(model, image)
    sources = {i: WeightSource(model, i) for i, layer in enumerate(model.layers) if layer.weighted}
    passes = [run_pass(model, sources, stored, seed, *stream_of_pass(t, antithetic))[1:]
              for t in range(mc_samples)]
    logits = np.stack([rows for rows, _, _ in passes])  # [T][P][C]
    flat = logits.reshape(mc_samples, -1)
    if model.head == SIGMOID:
        *scalars, entropy, expected = sigmoid_statistics(flat)
        return Prediction(*scalars, flat, NO_LABEL, entropy, expected, clamped)
    if model.head in (VALUES, GAUSSIAN, RECONSTRUCTION):
        count, positions = model.output_count, model.positions
        accumulators = np.stack([acc[:, :count] for _, acc, _ in passes])
        found = value_statistics(accumulators.reshape(mc_samples, -1),
                                 np.tile(passes[0][2][:count], positions))
        others = ()
        if model.head == GAUSSIAN:
            others = noise_statistics(model.outputs, logits[:, :, count:])
        elif model.head == RECONSTRUCTION:
            given = np.asarray(image).astype(np.float32).ravel()
            others = None, 0, *error_statistics(model.outputs, given, flat)
        elif model.outputs is not None:
            others = np.tile(model.outputs.noise_variance, positions), 0
        return Prediction(*found, *3 * [np.float32(0)], flat, NO_LABEL, None, None, clamped,
                          *others)
    *scalars, label, entropy, expected = softmax_statistics(logits)
    return Prediction(*scalars, flat, label, entropy, expected, clamped)
