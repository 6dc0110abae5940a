"""The rules of formats/FORMAT.md for layers (5), their parameters (6) and the totals (8).

Written from that page alone; see file_format.py. What the parameters mean for a prediction is in
arithmetic.py.
"""

import dataclasses

import numpy as np

from .file_format import (ADD, AVERAGE_POOL, CONCAT, CONV2D, DENSE, LOOKUP, MAX_POOL,
                          MU_BITS_BY_PANEL, MULTIPLY, NO_TENSOR, SLICE, is_normal, require,
                          round_up)


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


def last_alive(model, tensor):
    """Section 4: the last layer in which a tensor is alive."""
    t, first_pass_layer = model.tensors[tensor], model.first_pass_layer
    before = tensor == 0 or t.first_layer < first_pass_layer
    if before and t.last_layer >= first_pass_layer:
        return len(model.layers) - 1  # every pass reads it again
    return t.last_layer


def may_replace(model, i, tensor, last):
    """Section 4, Placement: whether layer i may write over `tensor`, alive up to layer `last`."""
    layer, old, new = model.layers[i], model.tensors[tensor], model.tensors[i + 1]
    return (layer.op == CONV2D and tensor == layer.input2 != layer.input and last == i
            and all(getattr(old, f) == getattr(new, f) for f in (
                "offset", "height", "width", "channels", "row_stride",
                "pad_top", "pad_bottom", "pad_left", "pad_right")))


def check_layers(model):
    """Section 5, every layer record."""
    alive = {0: last_alive(model, 0)}  # tensors alive in the layer, and how long
    for i, layer in enumerate(model.layers):
        alive = {t: last for t, last in alive.items() if last >= i}
        check_operands(model, i, alive)
        check_record(layer)
        require(1 <= layer.output_channels <= 65535, 31, "output_channels", layer.at + 32)
        require(model.output_shape(i)[2] == layer.output_channels, 31, "channels of the output",
                layer.at + 32)
        check_operator(model, i)
        if i + 1 < len(model.layers):
            new = model.tensors[i + 1]
            for t in alive:
                if may_replace(model, i, t, alive[t]):
                    continue
                other = model.tensors[t]
                apart = (new.offset + new.bytes <= other.offset
                         or other.offset + other.bytes <= new.offset)
                require(apart, 25, f"tensor {i + 1} overlaps another", new.at + 24)
            alive[i + 1] = last_alive(model, i + 1)
        require(len(alive) <= 64, 27, f"{len(alive)} tensors alive in layer {i}", layer.at)


def check_operands(model, i, alive):
    """Operator, operands, output and the lifetime of the output tensor."""
    layer, count = model.layers[i], len(model.layers)
    is_last = i + 1 == count

    def check_read(tensor, at):
        require(tensor in alive, 29, f"layer {i} reads tensor {tensor}, which is not alive", at)
        require(model.tensors[tensor].last_layer >= i, 29,
                f"layer {i} reads tensor {tensor} after its last_layer", at)

    require(CONV2D <= layer.op <= CONCAT, 28, f"operator {layer.op}", layer.at)
    require(layer.output == (NO_TENSOR if is_last else i + 1), 29, f"output {layer.output}",
            layer.at + 8)
    require(layer.weighted or not is_last, 28, "the last layer is not conv2d or dense", layer.at)
    check_read(layer.input, layer.at + 4)
    has_input2 = layer.input2 != NO_TENSOR
    if layer.op in (ADD, MULTIPLY, CONCAT) or layer.op == CONV2D and has_input2:
        require(not is_last, 29, "the last layer has a residual", layer.at + 6)
        check_read(layer.input2, layer.at + 6)
    else:
        require(not has_input2, 9, "input2", layer.at + 6)
    if not is_last:
        new = model.tensors[i + 1]
        require(new.first_layer == i and i < new.last_layer < count, 26,
                f"lifetime of tensor {i + 1}", new.at + 36)


def check_record(layer):
    """The rules of 5.2 that concern one field."""
    require(not any(layer.reserved), 9, "reserved bytes of a layer", layer.at + 68)
    by_panel = layer.mu_bits == MU_BITS_BY_PANEL
    require(by_panel or layer.mu_bytes == 0, 9, "mu_bytes", layer.at + 64)
    offsets = layer.offset_h, layer.offset_w, layer.offset_c
    require(layer.op == SLICE or not any(offsets), 38, f"offsets {offsets}", layer.at + 52)
    allowed = {CONV2D: 1 | 4, DENSE: 1, AVERAGE_POOL: 2}.get(layer.op, 0)
    require(layer.flags & ~allowed == 0, 9, f"flags {layer.flags}", layer.at + 1)
    mu_widths = (*range(1, 9), MU_BITS_BY_PANEL) if layer.weighted else (0,)
    require(layer.mu_bits in mu_widths, 34, "mu_bits", layer.at + 2)
    widths = (8, 4, 2, 1, 0) if layer.bayesian else (0,)
    require(layer.sigma_bits in widths, 34, "sigma_bits", layer.at + 3)
    require(layer.clamp_min <= layer.clamp_max, 35, "clamps", layer.at + 26)


def tensor_shape(tensor):
    return tensor.height, tensor.width, tensor.channels


def check_operator(model, i):
    """Sections 5.3 to 5.9: the rules of one operator."""
    layer, shape = model.layers[i], model.output_shape(i)
    source = model.tensors[layer.input]
    other = None if layer.input2 == NO_TENSOR else model.tensors[layer.input2]
    height, width, channels = shape
    if layer.weighted:
        check_weighted(layer, source, height, width)
        require(other is None or tensor_shape(other) == shape, 31, "shape of the residual",
                layer.at + 6)
    elif layer.op == LOOKUP:
        require(tensor_shape(source) == shape, 31, "shape of a lookup", layer.at)
    elif layer.op in (ADD, MULTIPLY):
        require(tensor_shape(source) == shape, 31, "shape of the first operand", layer.at + 4)
        require(tensor_shape(other) in (shape, (1, 1, channels)), 31,
                "shape of the second operand", layer.at + 6)
    elif layer.op == SLICE:
        check_slice(layer, source, model.tensors[i + 1])
    elif layer.op == CONCAT:
        planes = [tensor_shape(t)[:2] == shape[:2] for t in (source, other)]
        require(all(planes) and source.channels + other.channels == channels, 31,
                "shape of a concat", layer.at)
    else:
        check_pool(layer, source, model.tensors[i + 1])


def check_slice(layer, source, target):
    """Section 5.8"""
    for stride in (layer.stride_h, layer.stride_w):
        require(1 <= stride <= 1024, 30, f"stride {stride}", layer.at + 14)
    for offset in (layer.offset_h, layer.offset_w, layer.offset_c):
        require(-65535 <= offset <= 65535, 38, f"offset {offset}", layer.at + 52)
    check_same_quantization(layer, source, target)


def check_same_quantization(layer, source, target):
    same = source.scale == target.scale and source.zero_point == target.zero_point
    require(same, 36, "the layer changes scale or zero_point", layer.at)


def check_window_fields(layer):
    fields = (layer.kernel_h, layer.kernel_w, layer.stride_h, layer.stride_w, layer.dilation_h,
              layer.dilation_w)
    require(all(1 <= f <= 1024 for f in fields), 30, f"window {fields}", layer.at + 10)


def axes(layer, source, height, width):
    """(kernel, stride, dilation, pad, input size, input padding before, after, output size)."""
    return ((layer.kernel_h, layer.stride_h, layer.dilation_h, layer.pad_top, source.height,
             source.pad_top, source.pad_bottom, height),
            (layer.kernel_w, layer.stride_w, layer.dilation_w, layer.pad_left, source.width,
             source.pad_left, source.pad_right, width))


def check_weighted(layer, source, height, width):
    """Sections 5.3 and 5.4, for an output of height x width."""
    if layer.op == DENSE:
        flat = source.row_stride == source.width * source.channels
        require(flat and not (source.pad_top or source.pad_left or source.pad_right), 32,
                "the input of a dense layer has padding", layer.at + 4)
        require(layer.groups == 1, 33, "groups of a dense layer", layer.at + 28)
        runs = 1, source.height * source.width * source.channels
        require((layer.runs, layer.run_length) == runs, 32, "runs", layer.at + 36)
        require(height == width == 1, 31, "output shape of a dense layer", layer.at)
        require(layer.pad_top == layer.pad_left == 0, 30, "padding of a dense layer", layer.at + 22)
        return

    groups = layer.groups
    require(groups >= 1 and source.channels % groups == 0 and layer.output_channels % groups == 0,
            33, f"{groups} groups", layer.at + 28)
    depthwise = groups > 1 and groups == source.channels == layer.output_channels
    require(layer.depthwise == depthwise, 32, "the depthwise flag", layer.at + 1)
    check_window_fields(layer)
    for kernel, stride, dilation, pad, size, before, after, out in axes(layer, source, height,
                                                                        width):
        reach = (out - 1) * stride + (kernel - 1) * dilation + 1
        require(pad <= before and reach <= pad + size + after, 30, "taps outside the tensor",
                layer.at + 10)
    runs = layer.kernel_h * layer.kernel_w, source.channels // groups
    if depthwise:
        runs = 1, layer.kernel_h * layer.kernel_w
    elif groups == 1 and layer.dilation_w == 1:
        runs = layer.kernel_h, layer.kernel_w * source.channels
    require((layer.runs, layer.run_length) == runs, 32, "runs", layer.at + 36)


def check_pool(layer, source, target):
    """Section 5.5"""
    require(layer.output_channels == source.channels, 31, "channels of a pool", layer.at + 32)
    check_window_fields(layer)
    require(layer.dilation_h == layer.dilation_w == 1, 30, "dilation of a pool", layer.at + 18)
    for kernel, stride, _, pad, size, _, _, out in axes(layer, source, target.height, target.width):
        require(pad < kernel and (out - 1) * stride < size + pad, 30, "empty pool window",
                layer.at + 10)
    if layer.op == MAX_POOL:
        check_same_quantization(layer, source, target)


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
    tables = {LOOKUP: 1, CONCAT: 2}.get(layer.op, 0)
    size = 256 * tables
    if layer.weighted:
        layout = PanelLayout(layer)
        places, size = place_arrays(layer, layout)
    require(layer.parameter_offset == start, 40, "parameter_offset", layer.at + 44)
    require(layer.parameter_bytes == size, 40, "parameter_bytes", layer.at + 48)
    require(start + size <= section.bytes, 40, "parameters exceed section 5", layer.at + 48)

    base = section.offset + start
    if tables:
        layer.parameters = np.frombuffer(data, np.uint8, size, base).reshape(tables, 256)
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


def check_totals(model, at):
    """Section 8, the model record that begins at offset `at`."""
    last = model.layers[-1]
    classes = last.output_channels
    require(model.class_count == classes, 46, f"{model.class_count} classes", at)
    panels = [layer.parameters.layout.panel_bytes.max() for layer in model.layers
              if layer.bayesian or layer.weighted and layer.mu_bits != 8]
    require(model.panel_bytes == max(panels, default=0), 48, "panel_bytes", at + 4)
    parts = (model.activation_bytes, model.panel_bytes, 4 * last.parameters.layout.slots,
             8 * classes, 8 * classes, 8, 4 * classes, 4 * classes)
    require(model.arena_bytes == sum(round_up(p, 64) for p in parts), 49, "arena_bytes", at + 16)
