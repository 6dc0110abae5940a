"""The rules of formats/FORMAT.md for a layer's parameters, section 6, and what is read of them.

Written from that page alone. Where a weight lies is PanelLayout, what is stored Parameters; the
factors that follow from scales are in scales.py, how weights are drawn in sampling.py.
"""

import dataclasses

import numpy as np

from .file_format import (CONCAT, CONSTANT, GATHER, LOOKUP, MAXIMUM, MINIMUM, MU_BITS_BY_PANEL,
                          NO_TENSOR, OUTSIDE, is_normal, require, round_up)
from .scales import (check_scales, check_shift, fixed_point, fixed_point_shift, multipliers,
                     residual_factors)


class PanelLayout:
    """Section 6.2. Arrays have one element per panel [P]; slots is S, inputs is K."""

    def __init__(self, layer):
        groups = 1 if layer.depthwise else layer.groups
        self.channels_per_group = layer.output_channels // groups
        self.panels_per_group = round_up(self.channels_per_group, 16) // 16
        last = self.channels_per_group - 16 * (self.panels_per_group - 1)
        last_width = 4 if last <= 4 else 8 if last <= 8 else 16
        self.slots_per_group = 16 * (self.panels_per_group - 1) + last_width
        self.slots = groups * self.slots_per_group
        self.padded_run = round_up(layer.run_length, 4)
        self.inputs = layer.runs * self.padded_run
        group_widths = [16] * (self.panels_per_group - 1) + [last_width]
        group_bytes = [round_up(width * self.inputs, 64) for width in group_widths]
        self.mu_bytes = groups * sum(group_bytes)
        self.panels = groups * self.panels_per_group
        self.width = np.tile(group_widths, groups)
        self.panel_bytes = np.tile(group_bytes, groups)
        self.panel_start = np.cumsum(self.panel_bytes) - self.panel_bytes
        self.first_slot = np.cumsum(self.width) - self.width

    def stored_bytes(self, panel_bits):
        """The bytes of each panel in the array mu (6.7, 6.8), int [P]."""
        return self.panel_bytes // 8 * panel_bits

    def panel_of_byte(self):
        """int [M]"""
        return np.repeat(np.arange(self.panels), self.panel_bytes)

    def slots_with_channel(self):
        """Which slots belong to an output channel, bool [S]."""
        place = np.arange(self.slots) % self.slots_per_group
        return place < self.channels_per_group

    def slot_of_channel(self, channels):
        """int [output_channels]"""
        o = np.arange(channels)
        return o // self.channels_per_group * self.slots_per_group + o % self.channels_per_group

    def byte_of_weight(self, channels, positions):
        """Index into mu, int [channels][positions], for positions r * padded_run + i."""
        j = np.arange(channels) % self.channels_per_group
        panel = np.arange(channels) // self.channels_per_group * self.panels_per_group + j // 16
        start, width, lane = (a[:, None] for a in (self.panel_start[panel], self.width[panel],
                                                   j % 16))
        return start + (positions // 4 * width + lane) * 4 + positions % 4


@dataclasses.dataclass
class Parameters:
    """The arrays of section 6.1, by their shapes there; the last five are None if not Bayesian.

    mu is what the codes stand for; where an input does not exist it means nothing (6.7).
    panel_bits and mu_table are filled in where the layer does not store them.
    """
    layout: PanelLayout
    weight_scale: np.ndarray        # f32 [S]
    bias_mu: np.ndarray             # s32 [S]
    panel_bits: np.ndarray          # u8 [P], mu_bits where that is the width of all panels
    mu_table: np.ndarray            # s8 [P][16], 0 for panels of 5 bits and more
    mu_codes: np.ndarray            # u8 [M], below 2^panel_bits
    mu: np.ndarray                  # s8 [M]
    bias_level: np.ndarray = None   # u16 [S]
    bias_shift: np.ndarray = None   # u8 [S]
    shift: np.ndarray = None        # u8 [S]
    codebook: np.ndarray = None     # u8 [codes][S], 4 bits: [P][16], 8 bits: None
    sigma: np.ndarray = None        # u8 [M * sigma_bits / 8]


def unpack_plane(blocks, bits):
    """Section 6.3: codes of 8, 4, 2 or 1 bits, u8 [blocks][8 * bits] -> [blocks][64]."""
    if bits == 1:
        return np.unpackbits(blocks, axis=1, bitorder="little")
    parts = [blocks >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)]
    return np.concatenate(parts, axis=1)


def unpack_mu_codes(stored, bits):
    """Section 6.7: u8 [n * bits / 8] -> codes, u8 [n]. Of 8 bits there is one plane, the bytes."""
    blocks, at = stored.reshape(-1, 8 * bits), 0
    codes = np.zeros((len(blocks), 64), np.uint8)
    for plane in (8, 4, 2, 1):
        if bits & plane:
            codes = codes << plane | unpack_plane(blocks[:, at:at + 8 * plane], plane)
            at += 8 * plane
    return codes.ravel()


def mu_of_codes(codes, bits, table):
    """Section 6.7: codes of one panel, u8 [n], and its table, s8 [16] -> mu, s8 [n]."""
    if bits <= 4:
        return table[codes]
    return (codes << (8 - bits)).view(np.int8)


def read_mu(stored, panel_bits, mu_table, layout):
    """Sections 6.7 and 6.8: the array mu, u8 -> codes, u8 [M], and mu, s8 [M]."""
    codes, mu = [], []
    ends = np.cumsum(layout.stored_bytes(panel_bits))
    for part, bits, table in zip(np.split(stored, ends[:-1]), panel_bits.tolist(), mu_table):
        codes.append(unpack_mu_codes(part, bits))
        mu.append(mu_of_codes(codes[-1], bits, table))
    return np.concatenate(codes), np.concatenate(mu)


def array_list(layer, layout):
    """Section 6.1: [(name, type, elements)]."""
    slots, panels = layout.slots, layout.panels
    arrays = [("weight_scale", "<f4", slots), ("bias_mu", "<i4", slots)]
    if layer.bayesian:
        arrays += [("bias_level", "<u2", slots), ("bias_shift", "u1", slots),
                   ("shift", "u1", slots)]
        if layer.sigma_bits <= 2:
            arrays += [("codebook", "u1", slots << layer.sigma_bits)]
        elif layer.sigma_bits == 4:
            arrays += [("codebook", "u1", 16 * panels)]
    by_panel = layer.mu_bits == MU_BITS_BY_PANEL
    if by_panel:
        arrays += [("panel_bits", "u1", panels)]
    if by_panel or layer.mu_bits <= 4:
        arrays += [("mu_table", "i1", 16 * panels)]
    arrays += [("mu", "u1", layer.mu_bytes if by_panel else layout.mu_bytes * layer.mu_bits // 8)]
    if layer.bayesian:
        arrays += [("sigma", "u1", layout.mu_bytes * layer.sigma_bits // 8)]
    return arrays


def place_arrays(layer, layout):
    """Section 6.1: {name: (offset from the layer's start, type, elements)}, parameter_bytes."""
    places, at = {}, 0
    for name, element, count in array_list(layer, layout):
        if name in ("mu", "sigma"):
            at = round_up(at, 64)
        places[name] = at, element, count
        at += np.dtype(element).itemsize * count
    return places, round_up(at, 64)


def read_parameters(data, model, index, section, start):
    """Sets the layer's parameters; `start` is its place in section 5. Returns where it ends."""
    layer = model.layers[index]
    tables = {LOOKUP: layer.output_channels if layer.by_channel else 1, CONCAT: 2, MAXIMUM: 2,
              MINIMUM: 2}.get(layer.op, 0)
    size = 256 * tables
    shape = model.output_shape(index)
    if layer.op == GATHER:
        size = round_up(8 * sum(shape), 64)
    elif layer.op == CONSTANT:
        size = round_up(int(np.prod(shape)), 64)
    if layer.weighted:
        layout = PanelLayout(layer)
        places, size = place_arrays(layer, layout)
    require(layer.parameter_offset == start, 40, "parameter_offset", layer.at + 44)
    require(layer.parameter_bytes == size, 40, "parameter_bytes", layer.at + 48)
    require(start + size <= section.bytes, 40, "parameters exceed section 5", layer.at + 48)

    base = section.offset + start
    if tables:
        layer.parameters = np.frombuffer(data, np.uint8, size, base).reshape(tables, 256)
    elif layer.op == GATHER:
        places = np.frombuffer(data, "<u4", 2 * sum(shape), base).reshape(-1, 2)
        layer.parameters = np.split(places, np.cumsum(shape)[:2])
        check_places(model, index, base)
    elif layer.op == CONSTANT:
        layer.parameters = np.frombuffer(data, np.uint8, int(np.prod(shape)), base).reshape(shape)
    elif not layer.weighted:
        check_scales(model, index)
    else:
        arrays = {name: np.frombuffer(data, element, count, base + at)
                  for name, (at, element, count) in places.items()}
        if layer.mu_bits == MU_BITS_BY_PANEL:
            check_panel_bits(layer, layout, arrays["panel_bits"], base + places["panel_bits"][0])
        layer.parameters = make_parameters(layer, layout, arrays)
        check_parameters(model, index, base, base + places["mu"][0])
    return start + size


def check_places(model, index, base):
    """Section 5.10: the largest places of rows, columns and channels add up to one of the input."""
    layer = model.layers[index]
    source = model.tensors[layer.input]
    largest = np.zeros(2, np.int64)
    for table in layer.parameters:
        largest += table[table[:, 0] != OUTSIDE].max(0, initial=0).astype(np.int64)
    inside = largest < [source.height, source.width * source.channels]
    require(inside.all(), 39, f"a gather reads at {largest}", base + 4 * int(np.argmin(inside)))


def check_panel_bits(layer, layout, panel_bits, at):
    """Section 6.8: every panel has a width, and mu_bytes is what they need."""
    bad = (panel_bits < 1) | (panel_bits > 8)
    require(not bad.any(), 34, "panel_bits", at + int(bad.argmax()))
    require(layout.stored_bytes(panel_bits).sum() == layer.mu_bytes, 40, "mu_bytes", at)


def make_parameters(layer, layout, arrays):
    """Parameters from the arrays as they are stored, {name: array}."""
    bits = arrays.pop("panel_bits", np.full(layout.panels, layer.mu_bits, np.uint8))
    table = arrays.pop("mu_table", np.zeros(16 * layout.panels, np.int8)).reshape(-1, 16)
    codes, mu = read_mu(arrays.pop("mu"), bits, table, layout)
    return Parameters(layout, panel_bits=bits, mu_table=table, mu_codes=codes, mu=mu, **arrays)


def residual_bounds(model, index, base):
    """Checks a residual; returns what it adds at most to the accumulator of a slot, int [S]."""
    layer = model.layers[index]
    layout = layer.parameters.layout
    bounds = np.zeros(layout.slots, np.int64)
    if layer.input2 == NO_TENSOR:
        return bounds
    unit, factor = residual_factors(model, index)
    require((is_normal(unit) & is_normal(factor)).all(), 41, "factor of a residual", base)
    shift = fixed_point_shift(factor.max())
    check_shift(shift, layer)
    most = (255 * fixed_point(factor, shift) + (1 << (shift - 1))) >> shift
    bounds[layout.slot_of_channel(layer.output_channels)] = most
    return bounds


def check_parameters(model, index, base, mu_at):
    """The rules of section 6 for values; the arrays start at `base`, mu at `mu_at`."""
    layer = model.layers[index]
    p, layout = layer.parameters, layer.parameters.layout
    noise = np.zeros(layout.slots, np.int64)
    if layer.bayesian:
        for shifts in (p.bias_shift, p.shift):
            require(((shifts >= 1) & (shifts <= 15)).all(), 42, "a shift", base)
        noise = (p.bias_level.astype(np.int64) * 127 >> p.bias_shift) + 1

    residual = residual_bounds(model, index, base)
    m = multipliers(model, index)
    limit = np.float32(1.0 if index + 1 < len(model.layers) else 2.0 ** 64)
    good = is_normal(p.weight_scale) & is_normal(m) & (m < limit)
    bad_scale = layout.slots_with_channel() & ~good
    most = np.abs(p.bias_mu.astype(np.int64)) + noise + residual + 255 * 127 * layout.inputs
    bad_sum = most > 2 ** 31 - 1
    low = p.mu == -128
    entries = np.where(p.panel_bits <= 4, 1 << p.panel_bits, 0)
    unused = np.arange(16) >= entries[:, None]
    bad_table = (p.mu_table == -128) | unused & (p.mu_table != 0)
    missing = np.arange(layer.run_length, layout.padded_run)
    missing = (np.arange(layer.runs)[:, None] * layout.padded_run + missing).ravel()
    if not (bad_scale.any() or bad_sum.any() or low.any() or bad_table.any() or missing.size):
        return

    stored = layout.stored_bytes(p.panel_bits)
    stored_start = mu_at + np.cumsum(stored) - stored

    def stored_at(panel, i):
        """Where the block of byte i of a panel is stored, or the byte itself if it is."""
        bits = int(p.panel_bits[panel])
        return int(stored_start[panel]) + (i if bits == 8 else i // 64 * 8 * bits)

    for panel, width in enumerate(layout.width.tolist()):
        first = int(layout.first_slot[panel])
        for slot in range(first, first + width):
            require(not bad_scale[slot], 41, f"weight_scale of slot {slot}", base + 4 * slot)
            require(not bad_sum[slot], 43, f"slot {slot} may overflow",
                    base + 4 * (layout.slots + slot))
        start = int(layout.panel_start[panel])
        found = low[start:start + int(layout.panel_bytes[panel])]
        require(not bad_table[panel].any(), 44, f"mu_table of panel {panel}", base)
        require(not found.any(), 44, "a mu is -128", stored_at(panel, int(np.argmax(found))))
        index = (missing // 4 * width + np.arange(width)[:, None]) * 4 + missing % 4
        found = p.mu_codes[start + index].ravel() != 0
        require(not found.any(), 45, "weight of an input that does not exist",
                stored_at(panel, int(index.ravel()[found.argmax()])) if missing.size else mu_at)
