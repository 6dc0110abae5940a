"""What a file says of its outputs beside the last layer: formats/FORMAT.md sections 8.1 to 8.4, and
V of 10.4.

Written from that page alone; see file_format.py.
"""

import struct
import typing

import numpy as np

from .file_format import (GAUSSIAN, RECONSTRUCTION, SIGMOID, SOFTMAX, VALUES, is_normal,
                          read_affines, require)
from .real_math import exp, softplus

LOG_VARIANCE, SOFTPLUS = range(2)  # forms


class Outputs(typing.NamedTuple):
    noise_variance: np.ndarray = None  # f32 [K], head values
    form: int = 0                      # head gaussian, as the next two
    low: np.ndarray = None             # f32 [K]
    high: np.ndarray = None            # f32 [K]
    unit: np.float32 = None            # head reconstruction, as the next one
    targets: np.ndarray = None         # f32 [input channels][gain, offset]


def exponent(value):
    return np.asarray(value, np.float32).view(np.uint32).astype(np.int64) >> 23


def variance_of(form, r):
    """V(r) of f32 [...]"""
    with np.errstate(over="ignore", under="ignore"):
        if form == LOG_VARIANCE:
            return exp(r)
        deviation = softplus(r)
        return deviation * deviation


def find_outputs(sections, head):
    """The section, None where the head has none or the file need not have it (3.3)."""
    section = next((s for s in sections if s.id == 7), None)
    if head not in (VALUES, GAUSSIAN, RECONSTRUCTION):
        require(section is None or not section.flags & 1, 14, "section 7 of a head without it", 64)
        return None
    require(section is not None or head == VALUES, 13, "no section 7, outputs", 64)
    return section


def find_ranges(sections, head):
    """Section 8, None where the head has none or the file has none (3.3)."""
    section = next((s for s in sections if s.id == 8), None)
    if head in (VALUES, GAUSSIAN):
        return section
    require(section is None or not section.flags & 1, 14, "section 8 of a head without it", 64)
    return None


def read_ranges(data, model, section):
    """Section 8 into the model (8.2)."""
    if section is None:
        return
    count = model.output_count
    require(section.bytes == 8 * count, 17, "size of section 8", section.offset)
    ranges = np.frombuffer(data, "<f4", 2 * count, section.offset).reshape(-1, 2)
    require(np.isfinite(ranges).all(), 54, "ends of a range", section.offset)
    with np.errstate(over="ignore", under="ignore"):
        widths = ranges[:, 1] - ranges[:, 0]
    require(is_normal(widths).all(), 54, "width of a range", section.offset)
    model.ranges = ranges


class Abstain(typing.NamedTuple):
    """Section 9 (8.3)."""
    measure: int
    mc_samples: int
    thresholds: np.ndarray  # f32 [1], of measures 3 and 4 [K]


def read_abstain(data, model, section):
    """Section 9 into the model (8.3)."""
    if section is None:
        return
    require(section.bytes >= 12, 17, "size of section 9", section.offset)
    measure, mc_samples = struct.unpack_from("<II", data, section.offset)
    has_noise = model.head == GAUSSIAN or model.head == VALUES and model.outputs is not None
    measures = {SOFTMAX: (1, 2), SIGMOID: (1, 2), VALUES: (3, 4) if has_noise else (3,),
                GAUSSIAN: (3, 4), RECONSTRUCTION: (3, 5)}[model.head]
    require(measure in measures, 56, f"measure {measure} of abstaining", section.offset)
    count = model.output_count if measure in (3, 4) else 1
    require(section.bytes == 8 + 4 * count, 17, "size of section 9", section.offset)
    require(mc_samples <= 65536, 56, "mc_samples of abstaining", section.offset + 4)
    thresholds = np.frombuffer(data, "<f4", count, section.offset + 8)
    require((thresholds.view("<u4") <= 0x7F7FFFFF).all(), 56, "a threshold of abstaining",
            section.offset + 8)
    model.abstain = Abstain(measure, mc_samples, thresholds)


def read_moments(data, model, section):
    """Section 10 into the model (8.4)."""
    if section is None:
        return
    count = len(model.layers)
    require(section.bytes == 8 * count, 17, "size of section 10", section.offset)
    moments = np.frombuffer(data, "<f4", 2 * count, section.offset).reshape(-1, 2)
    least, most = np.float32([[2.0 ** -40, 2.0 ** -10], [2.0 ** 16, 2.0 ** 10]])
    inside = (moments >= least) & (moments <= most)  # false of a NaN
    require(inside.all(), 57, "a step or a factor of moments",
            section.offset + 4 * int(np.argmin(inside)))
    model.moments = moments


def check_shape(model, at):
    """What section 8 says of head and outputs, of the record at offset `at`."""
    if model.head == GAUSSIAN:
        require(model.class_count % 2 == 0, 55, "an odd number of outputs", at)
    if model.head == RECONSTRUCTION:
        t = model.tensors[0]
        shape = model.output_height or 1, model.output_width or 1, model.class_count
        shapes = (t.height, t.width, t.channels), (1, 1, t.height * t.width * t.channels)
        require(shape in shapes, 55, f"outputs {shape} of a reconstruction", at)


def read_reconstruction(data, model, section):
    """Section 7 of head 4."""
    channels, at = model.tensors[0].channels, section.offset
    require(section.bytes == 8 + 8 * channels, 17, "size of section 7", at)
    unit, zero = struct.unpack_from("<II", data, at)
    value = np.uint32(unit).view(np.float32)
    require(is_normal(value) and unit & 0x7FFFFF == 0 and zero == 0, 54, f"unit {value}", at)
    model.outputs = Outputs(unit=value, targets=read_affines(data, at + 8, channels, 54))


def read_outputs(data, model, section, at):
    """Section 7 into the model, whose record is at offset `at`."""
    check_shape(model, at)
    if section is None:
        return
    if model.head == RECONSTRUCTION:
        read_reconstruction(data, model, section)
        return
    count, at = model.output_count, section.offset
    size = 4 * count if model.head == VALUES else 8 + 8 * count
    require(section.bytes == size, 17, "size of section 7", at)
    if model.head == VALUES:
        noise = np.frombuffer(data, "<f4", count, at)
        require(is_normal(noise).all(), 54, "a variance of noise", at)
        model.outputs = Outputs(noise_variance=noise)
        return
    form, zero = struct.unpack_from("<II", data, at)
    require(form in (LOG_VARIANCE, SOFTPLUS) and zero == 0, 54, f"form {form}", at)
    low, high = np.frombuffer(data, "<f4", 2 * count, at + 8).reshape(-1, 2).T
    finite = np.isfinite(low) & np.isfinite(high)
    require(finite.all() and (low < high).all(), 54, "bounds of a scale", at + 8)
    least, most = variance_of(form, low), variance_of(form, high)
    require((is_normal(least) & is_normal(most) & (least <= most)).all(), 54,
            "variances of a scale's bounds", at + 8)
    require((exponent(most) - exponent(least) <= 80).all(), 54, "variances too far apart", at + 8)
    model.outputs = Outputs(form=form, low=low, high=high)
