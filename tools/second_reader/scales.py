"""Factors that follow from the scales of tensors and weights: formats/FORMAT.md 5.5, 5.7, 6.5, 6.6.

Written from that page alone. The checks of a file and the arithmetic take them from here.
"""

import numpy as np

from .file_format import ADD, AVERAGE_POOL, MULTIPLY, is_normal, require


def multipliers(model, index):
    """m of section 6.5, f32 [S]."""
    layer = model.layers[index]
    ratio = model.tensors[layer.input].scale
    with np.errstate(all="ignore"):
        if index + 1 < len(model.layers):
            ratio = ratio / model.tensors[index + 1].scale
        return layer.parameters.weight_scale * ratio


def fixed_point_shift(largest):
    """Section 6.6, of one positive normal f32."""
    return 147 - (int(largest.view(np.uint32)) >> 23)


def fixed_point(factor, shift):
    """Section 6.6: f32 factors -> integers; float64 holds every product."""
    return np.rint(np.ldexp(np.float64(factor), shift)).astype(np.int64)


def scale_ratio(model, index):
    """input.scale / output.scale"""
    layer = model.layers[index]
    return model.tensors[layer.input].scale / model.tensors[index + 1].scale


def sum_factors(model, index):
    """(Fa, Fb, shift) of an add, 5.7 and 6.6."""
    factors = np.array([scale_ratio(model, index), model.tensors[model.layers[index].input2].scale
                        / model.tensors[index + 1].scale])
    shift = fixed_point_shift(factors.max())
    return (*fixed_point(factors, shift), shift)


def residual_factors(model, index):
    """(unit and factor, f32 [output_channels]) of a conv2d with a residual, 6.6."""
    layer = model.layers[index]
    slots = layer.parameters.layout.slot_of_channel(layer.output_channels)
    with np.errstate(all="ignore"):
        unit = layer.parameters.weight_scale[slots] * model.tensors[layer.input].scale
        return unit, model.tensors[layer.input2].scale / unit


def product_multiplier(model, index):
    """(product, m) of a multiply, 5.7."""
    layer = model.layers[index]
    product = model.tensors[layer.input].scale * model.tensors[layer.input2].scale
    return product, product / model.tensors[index + 1].scale


def check_shift(shift, layer):
    require(1 <= shift <= 30, 37, f"fixed-point shift {shift}", layer.at)


def check_scales(model, index):
    """The rules of 5.5, 5.7 and 6.6 for the scales of operators without weights."""
    layer = model.layers[index]
    with np.errstate(all="ignore"):
        if layer.op == AVERAGE_POOL:
            ratio = scale_ratio(model, index)
            smallest = ratio / np.float32(layer.kernel_h * layer.kernel_w)
            require(is_normal(ratio) and is_normal(smallest) and smallest <= 1, 41,
                    "multiplier of an average-pool", layer.at)
        elif layer.op == MULTIPLY:
            product, m = product_multiplier(model, index)
            require(is_normal(product) and is_normal(m) and m < 1, 41, "multiplier of a multiply",
                    layer.at)
        elif layer.op == ADD:
            target = model.tensors[index + 1]
            for tensor in (layer.input, layer.input2):
                require(is_normal(model.tensors[tensor].scale / target.scale), 41,
                        "factor of an add", layer.at)
            check_shift(sum_factors(model, index)[2], layer)
