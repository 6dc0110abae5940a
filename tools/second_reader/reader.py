"""Reads a .mu8 file as formats/FORMAT.md section 11 says: every rule, in its order.

Written from that page alone. The records are read in file_format.py, layers are checked in
layers.py and parameters.py; prediction.py runs what comes out.
"""

import struct

from .file_format import (NUMBERS, Model, read_header, read_metadata, read_records, read_sections,
                          require, round_up)
from .layers import check_layers
from .parameters import read_parameters
from .prediction import SIGMOID, SOFTMAX, VALUES


# Squares, entropies and what the latter become, for C outputs.
HEAD_PARTS = {
    SOFTMAX: lambda c: (8 * c, 8),
    SIGMOID: lambda c: (8 * c, 8 * c, 4 * c, 4 * c),
    VALUES: lambda c: (16 * c,),
}


def check_totals(model, at):
    """Section 8, the model record that begins at offset `at`."""
    last = model.layers[-1]
    classes = last.output_channels
    require(model.class_count == classes, 46, f"{model.class_count} classes", at)
    panels = [layer.parameters.layout.panel_bytes.max() for layer in model.layers
              if layer.bayesian or layer.weighted and layer.mu_bits != 8]
    require(model.panel_bytes == max(panels, default=0), 48, "panel_bytes", at + 4)
    parts = [model.activation_bytes, model.panel_bytes, 4 * last.parameters.layout.slots,
             8 * classes, *HEAD_PARTS[model.head](classes), 4 * classes, 4 * classes]
    require(model.arena_bytes == sum(round_up(p, 64) for p in parts), 49, "arena_bytes", at + 16)


def read_model(data):
    """bytes of a .mu8 file -> Model; raises FormatError for the first rule that is broken."""
    data = bytes(data)
    minor, file_bytes, count = read_header(data)
    sections = read_sections(data, count)
    by_id = {s.id: s for s in sections}
    at = by_id[1].offset
    require(by_id[1].bytes == 64, 17, "size of the model section", at)
    *totals, head, input_, reserved = struct.unpack_from("<IIQQII32s", data, at)
    require(head <= VALUES, 51, f"head {head}", at + 24)
    require(input_ <= NUMBERS, 52, f"input {input_}", at + 28)
    require(not any(reserved), 9, "reserved bytes of the model", at + 32)
    model = Model((1, minor), file_bytes, sections, *totals, head, input_)

    read_records(data, model)
    check_layers(model)
    end = 0
    for index in range(len(model.layers)):
        end = read_parameters(data, model, index, by_id[5], end)
    require(end == by_id[5].bytes, 40, "size of section 5", by_id[5].offset)
    check_totals(model, at)
    model.metadata = read_metadata(data, by_id[6])
    return model
