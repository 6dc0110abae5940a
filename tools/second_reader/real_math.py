"""Exp, Log and Softplus of formats/FORMAT.md section 10, bit by bit: float32 numpy operations, one
rounding each.

Written from that page alone.
"""

import numpy as np


def f32(bits):
    return np.uint32(bits).view(np.float32)


def exp(x):
    """Exp(x) for f32 of any shape."""
    x = np.asarray(x, np.float32)
    below, above = x < np.float32(-87), x > np.float32(87)
    x = np.where(below | above, np.float32(0), x)
    magic = f32(0x4B400000)
    k = (x * f32(0x3FB8AA3B) + magic) - magic
    r = (x - k * f32(0x3F317200)) - k * f32(0x35BFBE8E)
    p = np.full_like(x, f32(0x39500D01))
    for a in (0x3AB60B61, 0x3C088889, 0x3D2AAAAB, 0x3E2AAAAB, 0x3F000000, 0x3F800000, 0x3F800000):
        p = p * r + f32(a)
    p = np.ldexp(p, k.astype(np.int32))
    return np.where(below, np.float32(0), np.where(above, np.float32(np.inf), p))


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


def softplus(x):
    """Softplus(x) for f32 of any shape."""
    x = np.asarray(x, np.float32)
    e = exp(-np.abs(x))
    u = e / (np.float32(2) + e)
    s = u * u
    p = np.full_like(x, f32(0x3E088889))
    for a in (0x3E1D89D9, 0x3E3A2E8C, 0x3E638E39, 0x3E924925, 0x3ECCCCCD, 0x3F2AAAAB, 0x40000000):
        p = p * s + f32(a)
    return np.where(x > 0, x + u * p, u * p)
