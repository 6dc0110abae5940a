"""The functions of moments, formats/FORMAT.md 13.1, bit by bit: float32 numpy operations, one
rounding each, for arrays of any shape.

Written from that page alone. A pair (x, V) is a mean and a variance.
"""

import typing

import numpy as np

from .real_math import f32

F = np.float32
ROOT_OF_3, SIXTH = f32(0x3FDDB3D7), f32(0x3E2AAAAB)

INVERSE_ROOTS = np.array([int(word, 16) for word in """
5f32416a 5f2d166c 5f285835 5f23f8a2 5f1fec04 5f1c2896 5f18a61f 5f155da2
5f124925 5f0f6381 5f0ca83f 5f0a137d 5f07a1d2 5f05503e 5f031c1a 5f01030a
5efc1764 5ef4c867 5eee133e 5ee7e3ed 5ee229ed 5edcd76e 5ed7e0cf 5ed33c2e
5ecee116 5ecac83f 5ec6eb5a 5ec344e6 5ebfd012 5ebc889f 5eb96ace 5eb6734a""".split()], np.uint32)
MEANS = np.array("""
    0     1     2     5    12    28    63   133   269   515   938
 1626  2689  4247  6421  9317 13004  9317  6421  4247  2689  1626
  938   515   269   133    63    28    12     5     2     1     0""".split(), F)
VARIANCES = np.array("""
    0     0     1     2     6    16    37    84   179   364   701
 1277  2203  3592  5538  8073 11138 14575 18146 21586 24656 27199
29157 30558 31493 32075 32413 32597 32690 32735 32755 32762 32768""".split(), F)
PROBABILITIES = np.array("""
    0     3     7    18    42    93   196   388   727  1287  2156
 3423  5157  7387 10080 13133 16384 19635 22688 25381 27611 29345
30612 31481 32041 32380 32572 32675 32726 32750 32761 32765 32768""".split(), F)


def bound(x):
    x = np.asarray(x, F)
    return np.where(x < F(2.0 ** -126), F(0), np.where(x > F(2.0 ** 64), F(2.0 ** 64), x))


def inverse_root(x):
    bits = np.asarray(x, F).view(np.uint32)
    place, halved = bits >> np.uint32(19) & np.uint32(31), bits >> np.uint32(24) << np.uint32(23)
    return (INVERSE_ROOTS[place] - halved).view(F)


def root(x):
    x = np.asarray(x, F)
    small = x < F(2.0 ** -126)
    x = np.where(small, F(1), x)
    y = ((x.view(np.uint32) >> np.uint32(1)) + np.uint32(0x1FBD1DF5)).view(F)
    for _ in range(3):
        y = F(0.5) * (y + x / y)
    return np.where(small, F(0), y)


def shape(z):
    """(U, G, P)"""
    t = (np.asarray(z, F) + F(4)) * F(4)
    t = np.minimum(np.maximum(t, F(0)), f32(0x41FFFFFF))
    j = np.floor(t).astype(np.int64)
    f = t - j.astype(F)
    return tuple((table[j] + f * (table[j + 1] - table[j])) * F(2.0 ** -15)
                 for table in (MEANS, VARIANCES, PROBABILITIES))


def certain(v):
    """(whether a variance counts as none, the variance or, where it does, a harmless one)"""
    none = v < F(2.0 ** -24)
    return none, np.where(none, F(1), v)


class Target(typing.NamedTuple):
    """Where values are stored: zero, lo, hi and step of section 13."""
    zero: int
    low: np.float32
    high: np.float32
    step: np.float32


def store(target, x, v):
    """(codes of means, codes of variances), u8"""
    q = target.zero + np.rint(np.clip(x, target.low, target.high)).astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        code = np.rint(np.minimum(v * (F(1) / target.step), F(255)))
    return q.astype(np.uint8), code.astype(np.uint8)


def clip_moments(low, high, x, v):
    """The pair that Clip stores, of x and v of one shape."""
    none, safe = certain(v)
    r = inverse_root(safe)
    s, d = safe * r, x - low
    u, g, _ = shape(d * r)
    mean, variance = np.maximum(d, F(0)) + s * u, safe * g
    d = x - high
    u, g, _ = shape(d * r)
    b = np.maximum(d, F(0)) + s * u
    less = (variance - safe * g) - (F(2) * b) * (((high - low) + b) - mean)
    near = x + F(4) * s > high
    variance = np.where(near, np.where(less < 0, F(0), less), variance)
    mean = np.where(near, mean - b, mean)
    return np.where(none, x, low + mean), np.where(none, F(0), variance)


def clip(target, x, v):
    return store(target, *clip_moments(target.low, target.high, x, v))


def larger(first, second):
    """Two pairs -> the pair of the larger."""
    (x1, v1), (x2, v2) = first, second
    none, safe = certain(v1 + v2)
    r = inverse_root(safe)
    s = safe * r
    u, g, p = shape((x1 - x2) * r)
    variance = safe * g + v2 * (F(1) - (p + p))
    variance = np.where(variance < 0, F(0), variance)
    is_first = x1 >= x2
    return (np.where(none, np.where(is_first, x1, x2), np.maximum(x1, x2) + s * u),
            np.where(none, np.where(is_first, v1, v2), variance))


def through(look_up, q, v):
    """The pair of a table's value; look_up(codes) gives its entries, of codes as q is shaped."""
    def between(x):
        j = np.minimum(np.floor(x).astype(np.int64), 254)
        low, high = look_up(j).astype(F), look_up(j + 1).astype(F)
        return low + (x - j.astype(F)) * (high - low)

    none, safe = certain(v)
    w = safe * inverse_root(safe) * ROOT_OF_3
    code = q.astype(F)
    a, b = between(np.maximum(code - w, F(0))), between(np.minimum(code + w, F(255)))
    c = look_up(q).astype(F)
    x = ((a + b) + F(4) * c) * SIXTH
    a, b, less = a - x, b - x, c - x
    variance = ((a * a + b * b) + (F(4) * less) * less) * SIXTH
    return np.where(none, c, x), np.where(none, F(0), variance)
