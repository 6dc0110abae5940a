"""Predicts with a .mu8 model exactly as formats/FORMAT.md sections 5, 9 and 10 say, bit by bit.

Written from that page alone, as a second opinion on the C++ kernels. Integer sums run as float64
products, which is exact: every sum stays below 2^31 (6.4). Float operations are float32 numpy
operations, one rounding each.
"""

import typing

import numpy as np

from .file_format import ADD, CONCAT, DENSE, LOOKUP, MAX_POOL, MULTIPLY, NO_TENSOR, SLICE
from .layers import (fixed_point, fixed_point_shift, multipliers, product_multiplier,
                     residual_factors, sum_factors, unpack_plane)

MAGNITUDE = np.array("""
  1  1  1  1  1  1  3  3  3  3  3  3  3  5  5  5
  5  5  5  7  7  7  7  7  7  9  9  9  9  9  9 11
 11 11 11 11 11 13 13 13 13 13 13 15 15 15 15 15
 15 17 17 17 17 17 17 19 19 19 19 19 21 21 21 21
 21 23 23 23 23 23 25 25 25 25 25 27 27 27 27 29
 29 29 29 31 31 31 31 33 33 33 33 35 35 35 35 37
 37 37 39 39 39 41 41 41 43 43 45 45 45 47 47 49
 49 51 51 53 55 55 57 59 61 63 65 67 71 75 81 93""".split(), np.int64)
EPSILON = np.concatenate([MAGNITUDE, -MAGNITUDE])  # eps of a byte, section 9.2
MASK32 = np.uint64(0xFFFFFFFF)


def f32(bits):
    return np.uint32(bits).view(np.float32)


class Prediction(typing.NamedTuple):
    """Section 10; C classes, T passes. Floats are f32, label is an int."""
    mean: np.ndarray                # [C]
    variance: np.ndarray            # [C]
    predictive_entropy: np.float32  # nats, as the next two
    expected_entropy: np.float32
    mutual_information: np.float32
    logits: np.ndarray              # [T][C]
    label: int


# ---- Section 9: random numbers and weights

def philox(counter, key):
    """Philox4x32-10. counter: four u64 arrays below 2^32, key: two numbers; four u32 arrays."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    half = np.uint64(32)
    for _ in range(10):
        p, q = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = ((q >> half) ^ c1 ^ np.uint64(k0), q & MASK32,
                          (p >> half) ^ c3 ^ np.uint64(k1), p & MASK32)
        k0, k1 = (k0 + 0x9E3779B9) % 2 ** 32, (k1 + 0xBB67AE85) % 2 ** 32
    return [c.astype(np.uint32) for c in (c0, c1, c2, c3)]


def first_states(seed, mc_pass, layer, panel_count):
    """The first states of the 16 lanes of each panel: four u32 [P][16]."""
    panel, lane = (a.astype(np.uint64) for a in np.indices((panel_count, 16)))
    constant = np.zeros_like(panel)
    state = philox((constant + np.uint64(mc_pass), constant + np.uint64(layer), panel, lane),
                   (seed % 2 ** 32, seed >> 32))
    state[0][(state[0] | state[1] | state[2] | state[3]) == 0] = 1
    return state


def rotate_left(value, count):
    return value << np.uint32(count) | value >> np.uint32(32 - count)


def lane_outputs(state, count):
    """xoshiro128++: the first `count` outputs of all lanes, u32 [P][count][16]."""
    s0, s1, s2, s3 = state
    outputs = np.empty((s0.shape[0], count, 16), "<u4")
    for n in range(count):
        outputs[:, n] = rotate_left(s0 + s3, 7) + s0
        t = s1 << np.uint32(9)
        s2 = s2 ^ s0
        s3 = s3 ^ s1
        s1 = s1 ^ s2
        s0 = s0 ^ s3
        s2 = s2 ^ t
        s3 = rotate_left(s3, 11)
    return outputs


def unpack_levels(layer, panel, slot):
    """Section 6.3: the level of every byte of mu, int [M]; panel and slot of each are given."""
    p, bits = layer.parameters, layer.sigma_bits
    if bits == 0:
        return p.codebook.astype(np.int64)[slot]
    codes = unpack_plane(p.sigma.reshape(-1, 8 * bits), bits).ravel().astype(np.int64)
    if bits == 8:
        return codes
    if bits == 4:
        return p.codebook.reshape(-1, 16).astype(np.int64)[panel, codes]
    return p.codebook.reshape(1 << bits, -1).astype(np.int64)[codes, slot]


class WeightSource:
    """The weights and biases of one conv2d or dense layer, pass by pass.

    Weights of inputs that do not exist (6.2), 0 whatever mu_table says, are not even looked up.
    """

    def __init__(self, model, index):
        self.index, self.layer = index, model.layers[index]
        layer, layout = self.layer, self.layer.parameters.layout
        channels = layer.output_channels
        self.slot_of_channel = layout.slot_of_channel(channels)
        run, place = np.indices((layer.runs, layer.run_length))
        positions = (run * layout.padded_run + place).ravel()
        self.byte_of_weight = layout.byte_of_weight(channels, positions)
        if layer.bayesian:
            panel = layout.panel_of_byte()
            byte = np.arange(layout.mu_bytes) - layout.panel_start[panel]
            self.slot_of_byte = layout.first_slot[panel] + byte // 4 % layout.width[panel]
            self.levels = unpack_levels(layer, panel, self.slot_of_byte)

    def sample(self, seed, mc_pass, flip=0):
        """Weights, int [output_channels][runs * run_length], and biases, int [output_channels].

        `flip` is XORed into the random bytes (9.5).
        """
        p, layout = self.layer.parameters, self.layer.parameters.layout
        weights, biases = p.mu.astype(np.int64), p.bias_mu.astype(np.int64)
        if self.layer.bayesian:
            blocks = layout.panel_bytes // 64  # [P]
            state = first_states(seed, mc_pass, self.index, len(blocks))
            outputs = lane_outputs(state, int(blocks.max()) + 1)
            used = np.arange(outputs.shape[1]) < blocks[:, None]
            # Little-endian lanes one after the other: byte i of a panel meets random byte i.
            e = EPSILON[outputs[used].view(np.uint8).ravel() ^ flip]
            shift = p.shift.astype(np.int64)[self.slot_of_byte]
            noise = (self.levels * e + (1 << (shift - 1))) >> shift
            weights = np.clip(weights + noise, -127, 127)

            slot = np.arange(layout.slots)
            panel = np.searchsorted(layout.first_slot, slot, side="right") - 1
            e = EPSILON[outputs[panel, blocks[panel], slot - layout.first_slot[panel]] & 255 ^ flip]
            shift = p.bias_shift.astype(np.int64)
            biases = biases + ((p.bias_level * e + (1 << (shift - 1))) >> shift)
        return weights[self.byte_of_weight], biases[self.slot_of_channel]


# ---- Section 5: layers

def window_plane(centered, layer, rows, columns):
    """`rows` x `columns` pixels from (-pad_top, -pad_left) on; 0 outside the image."""
    height, width, channels = centered.shape
    plane = np.zeros((rows, columns, channels), centered.dtype)
    part = centered[:max(rows - layer.pad_top, 0), :max(columns - layer.pad_left, 0)]
    plane[layer.pad_top:layer.pad_top + part.shape[0],
          layer.pad_left:layer.pad_left + part.shape[1]] = part
    return plane


def taps(centered, layer, height, width):
    """Yields (ky, kx, [height][width][C]) for every tap of the window."""
    dilation_h, dilation_w = layer.dilation_h, layer.dilation_w
    span_h, span_w = (height - 1) * layer.stride_h + 1, (width - 1) * layer.stride_w + 1
    plane = window_plane(centered, layer, span_h + (layer.kernel_h - 1) * dilation_h,
                         span_w + (layer.kernel_w - 1) * dilation_w)
    for ky in range(layer.kernel_h):
        for kx in range(layer.kernel_w):
            y, x = ky * dilation_h, kx * dilation_w
            yield ky, kx, plane[y:y + span_h:layer.stride_h, x:x + span_w:layer.stride_w]


def accumulate(layer, source, value, weights, biases, height, width):
    """conv2d and dense: NHWC u8 [H][W][C] -> exact acc, float64 [height * width][O]."""
    centered = value.astype(np.float64) - source.zero_point
    if layer.op == DENSE:
        return centered.reshape(1, -1) @ weights.T.astype(np.float64) + biases
    groups = layer.groups
    w = weights.reshape(groups, -1, layer.kernel_h, layer.kernel_w, source.channels // groups)
    w = w.transpose(2, 3, 0, 4, 1).astype(np.float64)  # [ky][kx][G][C / G][O / G]
    acc = np.zeros((groups, height * width, w.shape[-1]))
    for ky, kx, tap in taps(centered, layer, height, width):
        acc += tap.reshape(height * width, groups, -1).transpose(1, 0, 2) @ w[ky, kx]
    return acc.transpose(1, 0, 2).reshape(height * width, -1) + biases


def requantize(acc, m, layer, target):
    """Q of section 6.5: exact acc and f32 m -> u8."""
    low, high = np.float32([layer.clamp_min - target.zero_point,
                            layer.clamp_max - target.zero_point])
    scaled = acc.astype(np.float32) * m
    return (target.zero_point + np.rint(np.clip(scaled, low, high)).astype(np.int64)).astype(
        np.uint8)


def residual(model, index, value):
    """What a residual, u8 [H][W][C], adds to the accumulators, int [H * W][C] (5.3, 6.6)."""
    other = model.tensors[model.layers[index].input2]
    _, factor = residual_factors(model, index)
    shift = fixed_point_shift(factor.max())
    v = value.astype(np.int64).reshape(-1, other.channels) - other.zero_point
    return (v * fixed_point(factor, shift) + (1 << (shift - 1))) >> shift


def elementwise(model, index, a, b):
    """add and multiply of u8 [H][W][C]; b may be [1][1][C] (5.7)."""
    layer, target = model.layers[index], model.tensors[index + 1]
    a = a.astype(np.int64) - model.tensors[layer.input].zero_point
    b = b.astype(np.int64) - model.tensors[layer.input2].zero_point
    if layer.op == MULTIPLY:
        return requantize(a * b, product_multiplier(model, index)[1], layer, target)
    factor_a, factor_b, shift = sum_factors(model, index)
    total = (a * factor_a + b * factor_b + (1 << (shift - 1))) >> shift
    return np.clip(target.zero_point + total, layer.clamp_min, layer.clamp_max).astype(np.uint8)


def slice_part(layer, source, shape, value):
    """slice of u8 [H][W][C] (5.8)."""
    strides = layer.stride_h, layer.stride_w, 1
    offsets = layer.offset_h, layer.offset_w, layer.offset_c
    for axis in range(3):
        place = np.arange(shape[axis]) * strides[axis] + offsets[axis]
        size = value.shape[axis]
        inside = ((place >= 0) & (place < size)).reshape([-1 if a == axis else 1 for a in range(3)])
        value = np.take(value, np.clip(place, 0, size - 1), axis)
        value = np.where(inside, value, np.uint8(source.zero_point))
    return value


def pool(layer, source, target, value):
    """max-pool and average-pool of u8 [H][W][C]."""
    height, width = target.height, target.width
    if layer.op == MAX_POOL:
        found = np.zeros((height, width, source.channels), np.uint8)
        for _, _, tap in taps(value, layer, height, width):  # 0 outside never beats a pixel
            found = np.maximum(found, tap)
        return np.clip(found, layer.clamp_min, layer.clamp_max)

    total, area = 0, layer.kernel_h * layer.kernel_w
    for _, _, tap in taps(value.astype(np.int64) - source.zero_point, layer, height, width):
        total = total + tap
    if not layer.flags & 2:
        inside = np.ones((source.height, source.width, 1), np.int64)
        area = sum(tap for _, _, tap in taps(inside, layer, height, width))
    m = source.scale / target.scale / np.asarray(area, np.float32)
    return requantize(total, m, layer, target)


def stream_of_pass(mc_pass, antithetic):
    """Section 9.5: the pass whose random bytes are drawn, and what they are XORed with."""
    if not antithetic:
        return mc_pass, 0
    return mc_pass - mc_pass % 2, 128 * (mc_pass % 2)


def run_pass(model, weight_sources, image, seed, mc_pass, flip=0):
    """One network of the ensemble: u8 input [H][W][C] -> all tensors [u8], logits f32 [C]."""
    values = [image]
    for i, layer in enumerate(model.layers):
        source, value = model.tensors[layer.input], values[layer.input]
        other = None if layer.input2 == NO_TENSOR else values[layer.input2]
        target = model.tensors[i + 1] if i + 1 < len(model.layers) else None
        height, width, channels = model.output_shape(i)
        if layer.weighted:
            weights, biases = weight_sources[i].sample(seed, mc_pass, flip)
            acc = accumulate(layer, source, value, weights, biases, height, width)
            if other is not None:
                acc = acc + residual(model, i, other)
            m = multipliers(model, i)[weight_sources[i].slot_of_channel]
            if target is None:
                return values, acc.astype(np.float32)[0] * m
            result = requantize(acc, m, layer, target).reshape(height, width, channels)
        elif layer.op == LOOKUP:
            result = layer.parameters[0][value]
        elif layer.op in (ADD, MULTIPLY):
            result = elementwise(model, i, value, other)
        elif layer.op == SLICE:
            result = slice_part(layer, source, (height, width, channels), value)
        elif layer.op == CONCAT:
            tables = layer.parameters
            result = np.concatenate([tables[0][value], tables[1][other]], axis=2)
        else:
            result = pool(layer, source, target, value)
        values.append(result)
    raise AssertionError("no logits")  # read_model() has refused this


def quantize_input(model, image):
    """u8 pixels or floats in the network's units, [H][W][C] -> stored u8 (5.1)."""
    t = model.tensors[0]
    shape = (t.height, t.width, t.channels)
    image = np.asarray(image)
    if image.size != np.prod(shape) or image.shape not in (shape, shape[:2], (image.size,)):
        raise ValueError(f"the image is {image.shape}, the model wants {shape}")
    image = image.reshape(shape)
    if image.dtype == np.uint8:
        return model.input_table[np.arange(t.channels), image]
    value = image.astype(np.float32)
    if not np.isfinite(value).all():
        raise ValueError("the image is not finite")
    with np.errstate(over="ignore"):
        code = np.rint(np.clip(value / t.scale, np.float32(-t.zero_point),
                               np.float32(255 - t.zero_point)))
    return (t.zero_point + code.astype(np.int64)).astype(np.uint8)


# ---- Section 10: statistics

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


def predict(model, image, mc_samples, seed, antithetic=False):
    """u8 or float image [H][W][C] -> Prediction over T = mc_samples networks of ensemble `seed`."""
    if not 1 <= mc_samples <= 65536 or not 0 <= seed < 2 ** 64:
        raise ValueError("mc_samples is 1 to 65536, seed a u64")
    stored = quantize_input(model, image)
    sources = {i: WeightSource(model, i) for i, layer in enumerate(model.layers) if layer.weighted}
    logits = np.stack([run_pass(model, sources, stored, seed, *stream_of_pass(t, antithetic))[1]
                       for t in range(mc_samples)])
    mean, variance, predictive, expected, mutual, label = statistics(logits)
    return Prediction(mean, variance, predictive, expected, mutual, logits, label)
