"""A prediction and its uncertainty over T networks: formats/FORMAT.md section 10, bit by bit.

Written from that page alone. Float operations are float32 numpy operations or Python's floats
(f64), one rounding each.
"""

import typing

import numpy as np

from .arithmetic import quantize_input, run_pass
from .sampling import WeightSource, stream_of_pass


def f32(bits):
    return np.uint32(bits).view(np.float32)


SOFTMAX, SIGMOID, VALUES = range(3)  # heads
NO_LABEL = 0xFFFFFFFF


class Prediction(typing.NamedTuple):
    """Section 10; C outputs, T passes. Floats are f32, label is an int."""
    mean: np.ndarray                # [C]
    variance: np.ndarray            # [C]
    predictive_entropy: np.float32  # nats, as the next two
    expected_entropy: np.float32
    mutual_information: np.float32
    logits: np.ndarray              # [T][C]
    label: int                      # NO_LABEL: the head has none
    output_entropy: np.ndarray      # [C], SIGMOID; else None, as the next one
    output_expected_entropy: np.ndarray
    clamped_inputs: int             # 5.1


def exp(x):
    """Exp(x) for f32 x <= 0, any shape."""
    far = x < np.float32(-87)
    x = np.where(far, np.float32(0), x)
    magic = f32(0x4B400000)
    k = (x * f32(0x3FB8AA3B) + magic) - magic
    r = (x - k * f32(0x3F317200)) - k * f32(0x35BFBE8E)
    p = np.full_like(x, f32(0x39500D01))
    for a in (0x3AB60B61, 0x3C088889, 0x3D2AAAAB, 0x3E2AAAAB, 0x3F000000, 0x3F800000, 0x3F800000):
        p = p * r + f32(a)
    return np.where(far, np.float32(0), np.ldexp(p, k.astype(np.int32)))


def log(x):
    """Log(x) for one positive normal f32."""
    bits = int(np.float32(x).view(np.uint32))
    difference = (bits - 0x3F3504F3) % 2 ** 32
    k = (difference - 2 ** 32 if difference >= 2 ** 31 else difference) >> 23
    m, one = f32((bits - (k << 23)) % 2 ** 32), np.float32(1)
    u = (m - one) / (m + one)
    s = u * u
    p = f32(0x3E638E39)
    for a in (0x3E924925, 0x3ECCCCCD, 0x3F2AAAAB, 0x40000000):
        p = p * s + f32(a)
    k = np.float32(k)
    return k * f32(0x3F317200) + (k * f32(0x35BFBE8E) + u * p)


def fixed(x):
    """Fixed(x) = floor(x * 2^40) of f32 x >= 0 as a Python int; exact, f64 holds the product."""
    return int(float(x) * 2.0 ** 40)


def statistics(logits):
    """f32 [T][C] -> (mean, variance, the three entropies, label)."""
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
    expected = float(sum_entropy) * unit
    mutual = entropy - expected if entropy > expected else 0.0
    return (mean, variance, np.float32(entropy), np.float32(expected), np.float32(mutual),
            sum_p.index(max(sum_p)))


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


def value_statistics(accumulators, multipliers):
    """s32 [T][C], f32 [C] -> (mean, variance), section 10.3."""
    passes = len(accumulators)
    results = []
    for column, m in zip(accumulators.T, multipliers):
        column, m = [int(acc) for acc in column], float(m)
        total = sum(column)
        spread = passes * sum(acc * acc for acc in column) - total * total  # Python's: exact
        high, low = divmod(spread, 2 ** 64)
        spread = float(high) * 2.0 ** 64 + float(low)
        results.append((np.float32(float(total) / float(passes) * m),
                        np.float32(spread / (float(passes) * float(passes)) * (m * m))))
    mean, variance = np.array(results, np.float32).T
    return mean, variance


def predict(model, image, mc_samples, seed, antithetic=False):
    """u8 or float image [H][W][C] -> Prediction over T = mc_samples networks of ensemble `seed`."""
    if not 1 <= mc_samples <= 65536 or not 0 <= seed < 2 ** 64:
        raise ValueError("mc_samples is 1 to 65536, seed a u64")
    stored, clamped = quantize_input(model, image)
    sources = {i: WeightSource(model, i) for i, layer in enumerate(model.layers) if layer.weighted}
    passes = [run_pass(model, sources, stored, seed, *stream_of_pass(t, antithetic))[1:]
              for t in range(mc_samples)]
    logits = np.stack([row for row, _, _ in passes])
    if model.head == SIGMOID:
        *scalars, entropy, expected = sigmoid_statistics(logits)
        return Prediction(*scalars, logits, NO_LABEL, entropy, expected, clamped)
    if model.head == VALUES:
        moments = value_statistics(np.stack([acc for _, acc, _ in passes]), passes[0][2])
        return Prediction(*moments, *3 * [np.float32(0)], logits, NO_LABEL, None, None,
                          clamped)
    *scalars, label = statistics(logits)
    return Prediction(*scalars, logits, label, None, None, clamped)
