"""Layers and passes of a .mu8 model: formats/FORMAT.md section 5, bit by bit.

Written from that page alone, as a second opinion on the C++ kernels. Integer sums run as float64
products, which is exact: every sum stays below 2^31 (6.4). Float operations are float32 numpy
operations, one rounding each.
"""

import numpy as np

from .file_format import (ADD, CONCAT, CONSTANT, DENSE, GATHER, LOOKUP, MAX_POOL, MAXIMUM, MINIMUM,
                          MULTIPLY, NO_TENSOR, NUMBERS, OUTSIDE, SLICE)
from .scales import (fixed_point, fixed_point_shift, multipliers, product_multiplier,
                     residual_factors, scale_ratio, sum_factors)


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


def slice_part(layer, outside, shape, value):
    """slice of u8 [H][W][C], `outside` is what lies outside (5.8)."""
    strides = layer.stride_h, layer.stride_w, 1
    offsets = layer.offset_h, layer.offset_w, layer.offset_c
    for axis in range(3):
        place = np.arange(shape[axis]) * strides[axis] + offsets[axis]
        size = value.shape[axis]
        inside = ((place >= 0) & (place < size)).reshape([-1 if a == axis else 1 for a in range(3)])
        value = np.take(value, np.clip(place, 0, size - 1), axis)
        value = np.where(inside, value, np.uint8(outside))
    return value


def gather(layer, outside, value):
    """gather of u8 [H][W][C], `outside` is what lies outside (5.10)."""
    rows, columns, channels = (table.astype(np.int64) for table in layer.parameters)
    none = [table[:, 0] == OUTSIDE for table in (rows, columns, channels)]
    places = [np.where(out[:, None], 0, table)
              for out, table in zip(none, (rows, columns, channels))]
    place = (places[0][:, None, None] + places[1][:, None]) + places[2]
    found = value.reshape(value.shape[0], -1)[place[..., 0], place[..., 1]]
    missing = none[0][:, None, None] | none[1][:, None] | none[2]
    return np.where(missing, np.uint8(outside), found)


def max_pool(layer, source, target, value):
    """max-pool of u8 [H][W][C]."""
    found = np.zeros((target.height, target.width, source.channels), np.uint8)
    for _, _, tap in taps(value, layer, target.height, target.width):
        found = np.maximum(found, tap)  # 0 outside never beats a pixel
    return np.clip(found, layer.clamp_min, layer.clamp_max)


def average(model, index, value):
    """average-pool of u8 [H][W][C]: the sums, int, and m, f32, of section 5.5."""
    layer, target = model.layers[index], model.tensors[index + 1]
    source, height, width = model.tensors[layer.input], target.height, target.width
    total, area = 0, layer.kernel_h * layer.kernel_w
    for _, _, tap in taps(value.astype(np.int64) - source.zero_point, layer, height, width):
        total = total + tap
    if not layer.flags & 2:
        inside = np.ones((source.height, source.width, 1), np.int64)
        area = sum(tap for _, _, tap in taps(inside, layer, height, width))
    return total, scale_ratio(model, index) / np.asarray(area, np.float32)


def run_layer(model, index, values, weights):
    """What a layer that is not the last writes, u8 [H][W][C], of the tensors before it; of conv2d
    and dense with (weights, biases)."""
    layer = model.layers[index]
    source, value = model.tensors[layer.input], values[layer.input]
    other = None if layer.input2 == NO_TENSOR else values[layer.input2]
    target, shape = model.tensors[index + 1], model.output_shape(index)
    if layer.weighted:
        acc = accumulate(layer, source, value, *weights, *shape[:2])
        if other is not None:
            acc = acc + residual(model, index, other)
        slots = layer.parameters.layout.slot_of_channel(layer.output_channels)
        return requantize(acc, multipliers(model, index)[slots], layer, target).reshape(shape)
    if layer.op == LOOKUP:
        return layer.parameters[np.arange(shape[2]) if layer.by_channel else 0, value]
    if layer.op in (ADD, MULTIPLY):
        return elementwise(model, index, value, other)
    if layer.op == SLICE:
        return slice_part(layer, source.zero_point, shape, value)
    if layer.op == GATHER:
        return gather(layer, source.zero_point, value)
    if layer.op == CONSTANT:
        return layer.parameters
    if layer.op in (MAXIMUM, MINIMUM):
        extremum = np.maximum if layer.op == MAXIMUM else np.minimum
        return extremum(layer.parameters[0][value], layer.parameters[1][other])
    if layer.op == CONCAT:
        tables = layer.parameters
        return np.concatenate([tables[0][value], tables[1][other]], axis=2)
    if layer.op == MAX_POOL:
        return max_pool(layer, source, target, value)
    return requantize(*average(model, index, value), layer, target)


def run_pass(model, weight_sources, image, seed, mc_pass, flip=0):
    """One network of the ensemble: u8 input [H][W][C] -> all tensors [u8], logits f32 [P][C],
    accumulators [P][C], their multipliers f32 [C]."""
    values, last = [image], len(model.layers) - 1
    drawn = {i: source.sample(seed, mc_pass, flip) for i, source in weight_sources.items()}
    for i in range(last):
        values.append(run_layer(model, i, values, drawn.get(i)))
    layer = model.layers[last]
    acc = accumulate(layer, model.tensors[layer.input], values[layer.input], *drawn[last],
                     *model.output_shape(last)[:2])
    m = multipliers(model, last)[weight_sources[last].slot_of_channel]
    return values, acc.astype(np.float32) * m, acc, m


def quantize_input(model, image):
    """u8 pixels, floats in the network's units or numbers, [H][W][C] -> (stored u8, how many of
    the values were clamped) (5.1)."""
    t = model.tensors[0]
    shape = (t.height, t.width, t.channels)
    image = np.asarray(image)
    if image.size != np.prod(shape) or image.shape not in (shape, shape[:2], (image.size,)):
        raise ValueError(f"the image is {image.shape}, the model wants {shape}")
    image = image.reshape(shape)
    if image.dtype == np.uint8:
        if model.input == NUMBERS:
            raise ValueError("the model takes numbers, not u8 pixels")
        return model.input_table[np.arange(t.channels), image], 0
    value = image.astype(np.float32)
    if not np.isfinite(value).all():
        raise ValueError("the image is not finite")
    zero_point = 0 if model.input == NUMBERS else t.zero_point
    with np.errstate(over="ignore"):
        if model.input == NUMBERS:
            value = value * model.input_affine[:, 0] + model.input_affine[:, 1]
        else:
            value = value / t.scale
    low, high = np.float32([-zero_point, 255 - zero_point])
    half = np.float32(0.5)
    clamped = int(((value < low - half) | (value > high + half)).sum())
    code = np.rint(np.clip(value, low, high))
    return (zero_point + code.astype(np.int64)).astype(np.uint8), clamped
