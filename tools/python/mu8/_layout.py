"""How arrays lie: as converters/host/input_layout.cpp has it. Two readings that would give different inputs
are never chosen between in silence."""

import math
import re
import warnings

import numpy as np

from ._library import Error

LAYOUTS = ("nchw", "nhwc", "nhw", "ncw", "nwc", "nf")


def dims_of(layout, size):
    """The letters of a layout, without n, as dimensions of an input (height, width, channels); None where the
    input has no such layout: an axis without a letter must have one element, and a picture with several
    channels has two flat orders, none of which is meant by nf."""
    height, width, channels = size
    if layout == "nf":
        return None if channels > 1 and height * width > 1 else (height * width * channels,)
    lacking = ("h" not in layout and height != 1) or ("c" not in layout and channels != 1)
    return None if lacking else tuple({"h": height, "w": width, "c": channels}[letter] for letter in layout[1:])


def own_layout(text, size):
    """(layout, dims) of the file's text, such as "nchw:3,32,32"; of text that says nothing of the kind, which is
    untrusted, nf of a flat input, else nchw."""
    layout, _, dims = (text or "").partition(":")
    if layout in LAYOUTS and re.fullmatch(r"[1-9]\d{0,9}(,[1-9]\d{0,9})*", dims, re.ASCII):
        own = tuple(int(dim) for dim in dims.split(","))
        if len(own) + 1 == len(layout) and math.prod(own) == math.prod(size):
            return layout, own
    layout = "nf" if size[0] == size[1] == 1 else "nchw"
    return layout, dims_of(layout, size)


def walk(layout, dims):
    """The axes of an array of these dimensions in the order height, width, channels."""
    if layout == "nf":
        return (0,)
    return tuple(layout[1:].index(letter) for letter in "hwc" if letter in layout)


def order(layout, dims):
    return np.arange(int(np.prod(dims))).reshape(dims).transpose(walk(layout, dims)).ravel()


def reading(dims, size, own, given):
    """The layout of inputs of `dims`: the given one, else the file's own where it fits, else the only one that
    does; and a notice or None. Raises Error where none fits, or several do that differ."""
    if given is not None and given not in LAYOUTS:
        raise Error(f"layout is '{given}', expected one of {', '.join(LAYOUTS)}")
    fitting = [own[0]] if dims == own[1] else []
    fitting += [layout for layout in LAYOUTS if layout not in fitting and dims == dims_of(layout, size)]
    if given is not None:
        fitting = [layout for layout in fitting if layout == given]
    if not fitting:
        shape = f"{' x '.join(map(str, size))} (height x width x channels)"
        expected = (f"layout {given} of {shape}" if given is not None else
                    f"{own[1]}, layout {own[0]}, as its ONNX file takes it; or any layout of {shape}")
        raise Error(f"an input of the array is {dims}, the model expects {expected}")
    taken = order(fitting[0], dims)
    only = all(np.array_equal(taken, order(layout, dims)) for layout in fitting[1:])
    names = ", ".join(fitting)
    if given is not None:
        return given, None
    if dims == own[1]:
        return own[0], None if only else (f"inputs of {dims} fit the layouts {names}: taken as {own[0]}, as the "
                                          "model's ONNX file takes them (layout= says otherwise)")
    if not only:
        raise Error(f"inputs of {dims} fit the layouts {names}, which give different inputs: say which by "
                    "layout=")
    if np.array_equal(taken, order(*own)):
        return fitting[0], None
    return fitting[0], (f"inputs of {dims} are taken as {fitting[0]}, the only layout that fits (the model's "
                        f"ONNX file takes {own[0]})")


def to_nhwc(array, size, own, given):
    """[N][height][width][channels], C-contiguous, of any array of inputs; one input may be without a batch
    dimension. Says by a warning which reading it took, where there was another."""
    array = np.asarray(array)
    fits_one = array.ndim and int(np.prod(array.shape)) == int(np.prod(size))
    if array.ndim == 0 or (array.ndim == 1 and not fits_one):
        raise Error(f"an array of shape {array.shape}, expected inputs along the first dimension")
    dims = array.shape[1:]
    batched = fits(dims, size, own)
    if fits_one and not batched and fits(array.shape, size, own):
        array, dims = array[np.newaxis], array.shape
    layout, notice = reading(tuple(dims), size, own, given)
    if notice:
        warnings.warn(f"mu8: {notice}", stacklevel=4)
    axes = (0, *(axis + 1 for axis in walk(layout, dims)))
    return np.ascontiguousarray(array.transpose(axes)).reshape(len(array), *size)


def fits(dims, size, own):
    return tuple(dims) == own[1] or any(tuple(dims) == dims_of(layout, size) for layout in LAYOUTS)
