"""Reads a .mu8 file as formats/FORMAT.md section 11 says: every rule, in its order.

Written from that page alone. The records are read in file_format.py, layers are checked in
layers.py and parameters.py; prediction.py runs what comes out.
"""

import struct

from .file_format import (GAUSSIAN, NUMBERS, RECONSTRUCTION, SIGMOID, SOFTMAX, VALUES, Model,
                          read_header, read_metadata, read_records, read_sections, require,
                          round_up)
from .layers import check_layers
from .outputs import (find_outputs, find_ranges, read_abstain, read_moments, read_outputs,
                      read_ranges)
from .parameters import read_parameters


# The arena's parts that not all heads have, for N outputs at P positions.
HEAD_PARTS = {
    SOFTMAX: lambda n, p: (8 * n, 8 * p, *(2 * (4 * p,) if p > 1 else ())),
    SIGMOID: lambda n, p: (8 * n, 8 * n, 4 * n, 4 * n),
    VALUES: lambda n, p: (16 * n,),
    GAUSSIAN: lambda n, p: (16 * n, 16 * n, 8, 4 * n),
    RECONSTRUCTION: lambda n, p: (16 * n, 24, 4 * n),
}


def check_totals(data, model, section, ranges, by_id, at):
    """Section 8, the model record that begins at offset `at`, and sections 7 to 10 of the file."""
    last = model.layers[-1]
    require(model.class_count == last.output_channels, 46, f"{model.class_count} classes", at)
    positions = model.positions
    require(positions * model.class_count <= 2 ** 28, 46, f"{positions} positions", at + 32)
    read_outputs(data, model, section, at)
    read_ranges(data, model, ranges)
    read_abstain(data, model, by_id.get(9))
    read_moments(data, model, by_id.get(10))
    panels = [layer.parameters.layout.panel_bytes.max() for layer in model.layers
              if layer.bayesian or layer.weighted and layer.mu_bits != 8]
    require(model.panel_bytes == max(panels, default=0), 48, "panel_bytes", at + 4)
    count = positions * model.output_count
    parts = [model.activation_bytes, model.panel_bytes,
             4 * positions * last.parameters.layout.slots, 8 * count,
             *HEAD_PARTS[model.head](count, positions), 4 * count, 4 * count]
    if model.head == VALUES and section is not None:
        parts.append(4 * count)
    require(model.arena_bytes == sum(round_up(p, 64) for p in parts), 49, "arena_bytes", at + 16)


def read_model(data):
    """bytes of a .mu8 file -> Model; raises FormatError for the first rule that is broken."""
    data = bytes(data)
    minor, file_bytes, count = read_header(data)
    sections = read_sections(data, count)
    by_id = {s.id: s for s in sections}
    at = by_id[1].offset
    require(by_id[1].bytes == 64, 17, "size of the model section", at)
    *totals, head, input_, height, width, reserved = struct.unpack_from("<IIQQIIII24s", data, at)
    require(head in HEAD_PARTS, 51, f"head {head}", at + 24)
    require(input_ <= NUMBERS, 52, f"input {input_}", at + 28)
    extents = 1 <= height <= 65535 and 1 <= width <= 65535 and height * width > 1
    require(extents or height == width == 0, 46, f"output of {height} x {width}", at + 32)
    outputs, ranges = find_outputs(sections, head), find_ranges(sections, head)
    require(not any(reserved), 9, "reserved bytes of the model", at + 40)
    model = Model((1, minor), file_bytes, sections, *totals, head, input_, height, width)

    read_records(data, model)
    check_layers(model)
    end = 0
    for index in range(len(model.layers)):
        end = read_parameters(data, model, index, by_id[5], end)
    require(end == by_id[5].bytes, 40, "size of section 5", by_id[5].offset)
    check_totals(data, model, outputs, ranges, by_id, at)
    model.metadata = read_metadata(data, by_id[6])
    return model
