"""A prediction by moments, one pass with means and variances: formats/FORMAT.md section 13, bit by
bit.

Written from that page alone; the functions of 13.1 are in moments_math.py, triangles, draws and
heads in moments_prediction.py. Integer sums run as float64 products where they stay below 2^53.
"""

import typing

import numpy as np

from .arithmetic import accumulate, average, gather, residual, run_layer, slice_part, taps
from .file_format import (ADD, AVERAGE_POOL, CONCAT, CONSTANT, DENSE, GATHER, LOOKUP, MAX_POOL,
                          MAXIMUM, MINIMUM, MULTIPLY, NO_TENSOR, SLICE, SOFTMAX)
from .moments_math import F, Target, bound, clip, larger, store, through
from .real_math import f32
from .sampling import EPSILON
from .scales import multipliers, product_multiplier, scale_ratio, sum_factors

MOST_COVARIANT = 64  # classes; the logits of more count as independent
VARIANCE_OF_EPS = f32(0x447F6400)  # 1021.5625


class Value(typing.NamedTuple):
    """A tensor, u8 [H][W][C]."""
    mean: np.ndarray      # codes of section 4
    variance: np.ndarray  # codes of step[i]


class Logits(typing.NamedTuple):
    """Section 13.5, f32."""
    mean: np.ndarray        # l, [P][C]
    covariance: np.ndarray  # K, [P][C][C]; None: only the variances count
    variance: np.ndarray    # K[c][c], [P][C]


class Squares(typing.NamedTuple):
    """Section 13.2; of a layer that is not Bayesian levels, W and Wb are 0."""
    mu: np.ndarray      # M, int [O][inputs]
    levels: np.ndarray  # S, int [O][inputs]
    weight: np.ndarray  # W, f32 [O]
    bias: np.ndarray    # Wb, f32 [O]


def top_levels(layer):
    """top of section 13.2, int [S]"""
    p, slots = layer.parameters, layer.parameters.layout.slots
    if layer.sigma_bits == 8:
        return np.full(slots, 255)
    if layer.sigma_bits == 4:
        return np.repeat(p.codebook.reshape(-1, 16).max(1).astype(np.int64), p.layout.width)
    return p.codebook.reshape(1 << layer.sigma_bits, -1).max(0).astype(np.int64)


def weight_variance(top, shift):
    """W of one slot."""
    y = F(top) * F(2.0 ** -shift)
    y = (y * y) * VARIANCE_OF_EPS
    if y >= F(0.25):
        return y + f32(0x3DAAAAAB)
    n = (top * EPSILON + (1 << (shift - 1))) >> shift
    return F(int((n * n).sum())) * F(2.0 ** -8)


def squares(source):
    """Of a layer's sampling.WeightSource."""
    layer, p = source.layer, source.layer.parameters
    mu = p.mu.astype(np.int64)[source.byte_of_weight]
    m = (mu * mu + 128) >> 8
    nothing = np.zeros(layer.output_channels, F)
    if not layer.bayesian:
        return Squares(m, np.zeros_like(m), nothing, nothing)
    tops, level = top_levels(layer), source.levels
    if layer.sigma_bits == 8:
        s = (level * level + 512) >> 10
    else:
        square = (tops * tops)[source.slot_of_byte]
        s = (level * level * 64 + square // 2) // np.maximum(square, 1)  # level is 0 where top is
    slots = source.slot_of_channel
    w = [weight_variance(int(tops[slot]), int(p.shift[slot])) for slot in slots]
    bias = p.bias_level[slots].astype(F) * np.ldexp(F(1), -p.bias_shift[slots].astype(np.int32))
    return Squares(m, s[source.byte_of_weight], np.array(w, F), (bias * bias) * VARIANCE_OF_EPS)


def second_moments(zero_point, step, value):
    """e of section 13.3, int [H][W][C], and C."""
    c = 16711680 // max(zero_point, 255 - zero_point) ** 2
    h = int(np.rint(np.minimum(step * F(128), F(65535))))
    d = value.mean.astype(np.int64) - zero_point
    t = np.minimum((d * d >> 1) + (value.variance.astype(np.int64) * h >> 8), 32767)
    return np.minimum((t * c + 16384) >> 15, 255), c


def windows(layer, plane, height, width):
    """[H][W][C], 0 outside -> [P][G][inputs of a channel], in the order of weights."""
    if layer.op == DENSE:
        return plane.reshape(1, 1, -1)
    found = [tap.reshape(height * width, layer.groups, -1)
             for _, _, tap in taps(plane, layer, height, width)]
    return np.concatenate(found, axis=2)


def products(inputs, weights):
    """Exact sums of [P][G][n] times [O][n], float64 [P][O]."""
    positions, groups, count = inputs.shape
    weights = weights.reshape(groups, -1, count).transpose(0, 2, 1).astype(np.float64)
    sums = inputs.transpose(1, 0, 2).astype(np.float64) @ weights
    return sums.transpose(1, 0, 2).reshape(positions, -1)


class Pass:
    """The values of one image, layer by layer."""

    def __init__(self, model, sources, image):
        self.model, self.sources = model, sources
        self.values = [Value(image, np.zeros_like(image))]

    def step(self, tensor):
        """What a code of the tensor's variance is worth, f32."""
        return self.model.moments[tensor - 1, 0] if tensor else F(0)

    def factor(self, index):
        return self.model.moments[index, 1]

    def target(self, index, clamps=True):
        layer, tensor = self.model.layers[index], self.model.tensors[index + 1]
        ends = (layer.clamp_min, layer.clamp_max) if clamps else (0, 255)
        low, high = (F(end - tensor.zero_point) for end in ends)
        return Target(tensor.zero_point, low, high, self.step(index + 1))

    def pair(self, tensor):
        """f32 means less zero_point and variances."""
        value = self.values[tensor]
        x = value.mean.astype(np.int64) - self.model.tensors[tensor].zero_point
        return x.astype(F), value.variance.astype(F) * self.step(tensor)

    def run(self):
        """All layers; the Logits."""
        model = self.model
        for index, layer in enumerate(model.layers[:-1]):
            if index < model.first_pass_layer:
                means = [value.mean for value in self.values]
                weights = self.sources[index].means() if layer.weighted else None
                result = run_layer(model, index, means, weights)
                self.values.append(Value(result, np.zeros_like(result)))
                continue
            shape = model.output_shape(index)
            mean, variance = self.weighted(index) if layer.weighted else self.operator(index)
            self.values.append(Value(mean.reshape(shape), variance.reshape(shape)))
        return self.logits()

    def accumulators(self, index):
        """(acc float64 [P][O], A1, A2, m f32 [O], k1, k2, k3) of section 13.3"""
        layer = self.model.layers[index]
        source, value = self.model.tensors[layer.input], self.values[layer.input]
        height, width, _ = self.model.output_shape(index)
        acc = accumulate(layer, source, value.mean, *self.sources[index].means(), height, width)
        if layer.input2 != NO_TENSOR:
            acc = acc + residual(self.model, index, self.values[layer.input2].mean)
        e, c = second_moments(source.zero_point, self.step(layer.input), value)
        parts = squares(self.sources[index])
        a1 = products(windows(layer, e, height, width), parts.levels)
        a2 = products(windows(layer, value.variance, height, width), parts.mu)
        g = self.factor(index)
        m = multipliers(self.model, index)[self.sources[index].slot_of_channel]
        with np.errstate(over="ignore", under="ignore"):
            m2 = bound(m * m)
            k1 = bound(g * (m2 * ((parts.weight * F(2.0 ** -6)) * (F(65536) / F(c)))))
            k2 = bound(g * (m2 * (F(256) * self.step(layer.input))))
            k3 = bound(g * (m2 * parts.bias))
        return acc, a1.astype(F), a2.astype(F), m, k1, k2, k3

    def weighted(self, index):
        layer = self.model.layers[index]
        acc, a1, a2, m, k1, k2, k3 = self.accumulators(index)
        v = (a1 * k1 + a2 * k2) + k3
        if layer.input2 != NO_TENSOR:
            ratio = self.ratio(layer.input2, index)
            k4 = bound(self.factor(index) * ((ratio * ratio) * self.step(layer.input2)))
            code = self.values[layer.input2].variance.reshape(v.shape)
            v = v + code.astype(F) * k4
        return clip(self.target(index), acc.astype(F) * m, v)

    def ratio(self, tensor, index):
        return self.model.tensors[tensor].scale / self.model.tensors[index + 1].scale

    def operator(self, index):
        """The operators of section 13.4."""
        layer = self.model.layers[index]
        value = self.values[layer.input]
        if layer.op == MAX_POOL:
            return self.max_pool(index)
        if layer.op == AVERAGE_POOL:
            return self.average_pool(index)
        if layer.op in (ADD, MULTIPLY):
            return self.elementwise(index)
        if layer.op in (SLICE, GATHER):
            return self.moved(index)
        if layer.op == CONSTANT:
            return layer.parameters, np.zeros_like(layer.parameters)
        first, v1 = self.looked_up(value, layer.input, index, 0)
        if layer.op == LOOKUP:
            return self.stored(index, first, v1)
        second, v2 = self.looked_up(self.values[layer.input2], layer.input2, index, 1)
        if layer.op == CONCAT:
            return self.stored(index, np.concatenate([first, second], 2),
                               np.concatenate([v1, v2], 2))
        if layer.op == MAXIMUM:
            return self.stored(index, *larger((first, v1), (second, v2)))
        assert layer.op == MINIMUM
        x, v = larger((-first, v1), (-second, v2))
        return self.stored(index, -x, v)

    def looked_up(self, value, tensor, index, table):
        """The pair that Through makes of a tensor with a table of the layer's."""
        layer = self.model.layers[index]
        tables = layer.parameters
        channels = np.arange(value.mean.shape[2])

        def look_up(codes):
            return tables[channels if layer.op == LOOKUP and layer.by_channel else table, codes]
        return through(look_up, value.mean, value.variance.astype(F) * self.step(tensor))

    def stored(self, index, x, v):
        """Store of looked-up values, without clamps."""
        target = self.target(index, clamps=False)
        return store(target, x - F(target.zero), v * self.factor(index))

    def max_pool(self, index):
        layer = self.model.layers[index]
        x, v = self.pair(layer.input)
        height, width, _ = self.model.output_shape(index)
        inside = np.ones((*x.shape[:2], 1), bool)
        found = (np.zeros((height, width, x.shape[2]), F),) * 2
        has = np.zeros((height, width, 1), bool)
        for (_, _, here), (_, _, mean), (_, _, variance) in zip(
                *(taps(plane, layer, height, width) for plane in (inside, x, v))):
            both = larger(found, (mean, variance))
            found = tuple(np.where(here & has, b, np.where(here, new, old))
                          for b, new, old in zip(both, (mean, variance), found))
            has = has | here
        x, v = found[0], found[1] * self.factor(index)
        return (clip if layer.clamp_min else store)(self.target(index), x, v)

    def average_pool(self, index):
        layer = self.model.layers[index]
        source, value = self.model.tensors[layer.input], self.values[layer.input]
        total, m = average(self.model, index, value.mean)
        height, width, _ = self.model.output_shape(index)
        variances = value.variance.astype(np.int64)
        codes = sum(tap for _, _, tap in taps(variances, layer, height, width))
        with np.errstate(under="ignore"):
            k = bound(self.factor(index) * ((m * m) * self.step(layer.input)))
        how = clip if source.zero_point else store
        return how(self.target(index), total.astype(F) * m, codes.astype(F) * k)

    def elementwise(self, index):
        layer, g = self.model.layers[index], self.factor(index)
        zeros = [self.model.tensors[t].zero_point for t in (layer.input, layer.input2)]
        a, b = (self.values[t].mean.astype(np.int64) - zero
                for t, zero in zip((layer.input, layer.input2), zeros))
        va, vb = (self.values[t].variance.astype(F) for t in (layer.input, layer.input2))
        if layer.op == MULTIPLY:
            m = product_multiplier(self.model, index)[1]
            va, vb = va * self.step(layer.input), vb * self.step(layer.input2)
            v = (((b * b).astype(F) * va + (a * a).astype(F) * vb) + va * vb) * bound(g * (m * m))
            how = clip if any(zeros) else store
            return how(self.target(index), (a * b).astype(F) * m, v)
        factor_a, factor_b, shift = sum_factors(self.model, index)
        ratios = scale_ratio(self.model, index), self.ratio(layer.input2, index)
        ka, kb = (bound(g * ((ratio * ratio) * self.step(t)))
                  for ratio, t in zip(ratios, (layer.input, layer.input2)))
        x = (a * factor_a + b * factor_b).astype(F) * F(2.0 ** -shift)
        return clip(self.target(index), x, va * ka + vb * kb)

    def moved(self, index):
        """slice and gather"""
        layer, value = self.model.layers[index], self.values[self.model.layers[index].input]

        def move(codes, outside):
            if layer.op == GATHER:
                return gather(layer, outside, codes)
            return slice_part(layer, outside, self.model.output_shape(index), codes)
        zero_point = self.model.tensors[layer.input].zero_point
        with np.errstate(under="ignore"):
            ratio = self.step(layer.input) / self.step(index + 1)
        variance = np.rint(np.minimum(move(value.variance, 0).astype(F) * ratio, F(255)))
        return move(value.mean, zero_point), variance.astype(np.uint8)

    def logits(self):
        """Section 13.5"""
        model, index = self.model, len(self.model.layers) - 1
        layer, source = model.layers[index], self.sources[index]
        acc, a1, _, m, k1, _, k3 = self.accumulators(index)
        height, width, channels = model.output_shape(index)
        v = windows(layer, self.values[layer.input].variance, height, width).astype(np.int64)
        mu = source.means()[0]
        b = products(v, mu * mu)
        with np.errstate(over="ignore", under="ignore"):
            k = bound(self.factor(index) * ((m[:, None] * m) * self.step(layer.input)))
        each = np.arange(channels)
        variance = b.astype(F) * k[each, each] + (a1 * k1 + k3)
        covariance = None
        if model.head == SOFTMAX and channels <= MOST_COVARIANT:
            covariance = covariances(v, mu).astype(F) * k
            covariance[:, each, each] = variance
        return Logits(acc.astype(F) * m, covariance, variance)


def covariances(v, mu):
    """B of section 13.5, int [P][C][C], of v [P][G][n] and mu [C][n]; channels of two groups have
    no input in common."""
    positions, groups, count = v.shape
    channels = len(mu)
    b = np.zeros((positions, channels, channels), np.int64)
    for group, weights in enumerate(mu.reshape(groups, -1, count)):
        part = slice(group * len(weights), (group + 1) * len(weights))
        b[:, part, part] = (v[:, group, None] * weights) @ weights.T
    return b
