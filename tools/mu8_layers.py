"""The rules of formats/FORMAT.md for layers (5), their parameters (6) and the totals (8).

Written from that page alone; see mu8_format.py. What the parameters mean for a prediction is in
mu8_arithmetic.py.
"""

import dataclasses

import numpy as np

from mu8_format import (AVERAGE_POOL, CONV2D, DENSE, LOOKUP, MAX_POOL, NO_TENSOR, is_normal,
                        require, round_up)


class PanelLayout:
    """Section 6.2. Arrays have one element per panel [P]; slots is S, inputs is K."""

    def __init__(self, layer):
        self.channels_per_group = layer.output_channels // layer.groups
        self.panels_per_group = round_up(self.channels_per_group, 16) // 16
        last = self.channels_per_group - 16 * (self.panels_per_group - 1)
        last_width = 4 if last <= 4 else 8 if last <= 8 else 16
        self.slots_per_group = 16 * (self.panels_per_group - 1) + last_width
        self.slots = layer.groups * self.slots_per_group
        self.padded_run = round_up(layer.run_length, 4)
        self.inputs = layer.runs * self.padded_run
        group_widths = [16] * (self.panels_per_group - 1) + [last_width]
        group_bytes = [round_up(width * self.inputs, 64) for width in group_widths]
        self.mu_bytes = layer.groups * sum(group_bytes)
        if self.mu_bytes > 1 << 31:
            return  # no file can hold this, read_parameters() refuses it
        self.width = np.tile(group_widths, layer.groups)
        self.panel_bytes = np.tile(group_bytes, layer.groups)
        self.panel_start = np.cumsum(self.panel_bytes) - self.panel_bytes
        self.first_slot = np.cumsum(self.width) - self.width

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
    """The arrays of section 6.1, by their shapes there; the last five are None if not Bayesian."""
    layout: PanelLayout
    weight_scale: np.ndarray        # f32 [S]
    bias_mu: np.ndarray             # s32 [S]
    mu: np.ndarray                  # s8 [M]
    bias_level: np.ndarray = None   # u16 [S]
    bias_shift: np.ndarray = None   # u8 [S]
    shift: np.ndarray = None        # u8 [S]
    codebook: np.ndarray = None     # u8 [codes][S], 4 bits: [P][16], 8 bits: None
    sigma: np.ndarray = None        # u8 [M * sigma_bits / 8]


def check_layers(model):
    """Section 5, every layer record."""
    alive = [0]  # tensors alive in the layer; tensor 0 always
    for i, layer in enumerate(model.layers):
        check_operands(model, i)
        check_record(layer)
        require(1 <= layer.output_channels <= 65535, 31, "output_channels", layer.at + 32)
        height, width, channels = model.output_shape(i)
        require(channels == layer.output_channels, 31, "channels of the output", layer.at + 32)
        source = model.tensors[layer.input]
        if layer.weighted:
            check_weighted(layer, source, height, width)
        elif layer.op == LOOKUP:
            shape = source.height, source.width, source.channels
            require((height, width, channels) == shape, 31, "shape of a lookup", layer.at)
        else:
            check_pool(layer, source, model.tensors[i + 1])

        alive = [t for t in alive if t == 0 or model.tensors[t].last_layer >= i]
        if i + 1 < len(model.layers):
            new = model.tensors[i + 1]
            for other in (model.tensors[t] for t in alive):
                apart = (new.offset + new.bytes <= other.offset
                         or other.offset + other.bytes <= new.offset)
                require(apart, 25, f"tensor {i + 1} overlaps another", new.at + 24)
            alive.append(i + 1)
        require(len(alive) <= 64, 27, f"{len(alive)} tensors alive in layer {i}", layer.at)


def check_operands(model, i):
    """Operator, input, output and the lifetime of the output tensor."""
    layer, count = model.layers[i], len(model.layers)
    is_last = i + 1 == count
    require(CONV2D <= layer.op <= LOOKUP, 28, f"operator {layer.op}", layer.at)
    require(layer.output == (NO_TENSOR if is_last else i + 1), 29, f"output {layer.output}",
            layer.at + 8)
    require(layer.input <= i, 29, f"input {layer.input} of layer {i}", layer.at + 4)
    alive = model.tensors[layer.input].last_layer >= i
    require(alive or layer.input == 0, 29, "the input is not alive", layer.at + 4)
    require(layer.weighted or not is_last, 28, "the last layer is not conv2d or dense", layer.at)
    require(alive, 26, f"layer {i} reads the model's input after its last_layer", layer.at + 4)
    if not is_last:
        new = model.tensors[i + 1]
        require(new.first_layer == i and i < new.last_layer < count, 26,
                f"lifetime of tensor {i + 1}", new.at + 36)


def check_record(layer):
    """The rules of 5.2 that concern one field."""
    allowed = 1 if layer.weighted else 2 if layer.op == AVERAGE_POOL else 0
    require(layer.flags & ~allowed == 0, 9, f"flags {layer.flags}", layer.at + 1)
    require(layer.input2 == NO_TENSOR, 9, "input2", layer.at + 6)
    require(not any(layer.reserved), 9, "reserved bytes of a layer", layer.at + 52)
    require(layer.mu_bits == (8 if layer.weighted else 0), 34, "mu_bits", layer.at + 2)
    widths = (8, 4, 2, 1, 0) if layer.bayesian else (0,)
    require(layer.sigma_bits in widths, 34, "sigma_bits", layer.at + 3)
    require(layer.clamp_min <= layer.clamp_max, 35, "clamps", layer.at + 26)


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
    check_window_fields(layer)
    for kernel, stride, dilation, pad, size, before, after, out in axes(layer, source, height,
                                                                        width):
        reach = (out - 1) * stride + (kernel - 1) * dilation + 1
        require(pad <= before and reach <= pad + size + after, 30, "taps outside the tensor",
                layer.at + 10)
    runs = layer.kernel_h * layer.kernel_w, source.channels // groups
    if groups == 1 and layer.dilation_w == 1:
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
        same = source.scale == target.scale and source.zero_point == target.zero_point
        require(same, 36, "a max-pool changes the quantization", layer.at)
        return
    with np.errstate(all="ignore"):
        ratio = source.scale / target.scale
        smallest = ratio / np.float32(layer.kernel_h * layer.kernel_w)
    require(is_normal(ratio) and is_normal(smallest) and smallest <= 1, 41,
            "multiplier of an average-pool", layer.at)


def read_parameters(data, model, index, section, start):
    """Sets the layer's parameters; `start` is its place in section 5. Returns where it ends."""
    layer = model.layers[index]
    layout = PanelLayout(layer) if layer.weighted else None
    size = 256 if layer.op == LOOKUP else 0
    arrays = array_list(layer, layout) if layer.weighted else []
    if arrays:
        head = round_up(sum(element * count for _, element, count in arrays), 64)
        sigma_bytes = layout.mu_bytes * layer.sigma_bits // 8 if layer.bayesian else 0
        size = round_up(head + layout.mu_bytes + sigma_bytes, 64)
    require(layer.parameter_offset == start, 40, "parameter_offset", layer.at + 44)
    require(layer.parameter_bytes == size, 40, "parameter_bytes", layer.at + 48)
    require(start + size <= section.bytes, 40, "parameters exceed section 5", layer.at + 48)

    at = base = section.offset + start
    if layer.op == LOOKUP:
        layer.parameters = np.frombuffer(data, np.uint8, 256, base)
    if layer.weighted:
        found = {}
        types = dict(weight_scale="<f4", bias_mu="<i4", bias_level="<u2")
        for name, element, count in arrays:
            found[name] = np.frombuffer(data, types.get(name, "u1"), count, at)
            at += element * count
        found["mu"] = np.frombuffer(data, np.int8, layout.mu_bytes, base + head)
        if layer.bayesian:
            found["sigma"] = np.frombuffer(data, np.uint8, sigma_bytes,
                                           base + head + layout.mu_bytes)
        layer.parameters = Parameters(layout, **found)
        check_parameters(model, index, base, base + head)
    return start + size


def array_list(layer, layout):
    """The arrays before the first padding: [(name, bytes of an element, elements)]."""
    slots = layout.slots
    arrays = [("weight_scale", 4, slots), ("bias_mu", 4, slots)]
    if layer.bayesian:
        arrays += [("bias_level", 2, slots), ("bias_shift", 1, slots), ("shift", 1, slots)]
        if layer.sigma_bits <= 2:
            arrays += [("codebook", 1, slots << layer.sigma_bits)]
        elif layer.sigma_bits == 4:
            arrays += [("codebook", 1, 16 * layer.groups * layout.panels_per_group)]
    return arrays


def multipliers(model, index):
    """m of section 6.5, f32 [S]."""
    layer = model.layers[index]
    ratio = model.tensors[layer.input].scale
    with np.errstate(all="ignore"):
        if index + 1 < len(model.layers):
            ratio = ratio / model.tensors[index + 1].scale
        return layer.parameters.weight_scale * ratio


def check_parameters(model, index, base, mu_at):
    """The rules of section 6 for values; the arrays start at `base`, mu at `mu_at`."""
    layer = model.layers[index]
    p, layout = layer.parameters, layer.parameters.layout
    noise = np.zeros(layout.slots, np.int64)
    if layer.bayesian:
        for shifts in (p.bias_shift, p.shift):
            require(((shifts >= 1) & (shifts <= 15)).all(), 42, "a shift", base)
        noise = (p.bias_level.astype(np.int64) * 127 >> p.bias_shift) + 1

    m = multipliers(model, index)
    limit = np.float32(1.0 if index + 1 < len(model.layers) else 2.0 ** 64)
    good = is_normal(p.weight_scale) & is_normal(m) & (m < limit)
    bad_scale = layout.slots_with_channel() & ~good
    most = np.abs(p.bias_mu.astype(np.int64)) + noise + 255 * 127 * layout.inputs
    bad_sum = most > 2 ** 31 - 1
    low = p.mu == -128
    missing = np.arange(layer.run_length, layout.padded_run)
    missing = (np.arange(layer.runs)[:, None] * layout.padded_run + missing).ravel()
    if not (bad_scale.any() or bad_sum.any() or low.any() or missing.size):
        return
    for panel, width in enumerate(layout.width.tolist()):
        first = int(layout.first_slot[panel])
        for slot in range(first, first + width):
            require(not bad_scale[slot], 41, f"weight_scale of slot {slot}", base + 4 * slot)
            require(not bad_sum[slot], 43, f"slot {slot} may overflow",
                    base + 4 * (layout.slots + slot))
        start = int(layout.panel_start[panel])
        found = low[start:start + int(layout.panel_bytes[panel])]
        require(not found.any(), 44, "a mu is -128", mu_at + start + int(np.argmax(found)))
        index = start + (missing // 4 * width + np.arange(width)[:, None]) * 4 + missing % 4
        found = p.mu[index].ravel() != 0
        require(not found.any(), 45, "weight of an input that does not exist",
                mu_at + int(index.ravel()[found.argmax()]) if missing.size else mu_at)


def check_totals(model, at):
    """Section 8, the model record that begins at offset `at`."""
    last = model.layers[-1]
    classes = last.output_channels
    require(model.class_count == classes, 46, f"{model.class_count} classes", at)
    panels = [layer.parameters.layout.panel_bytes.max() for layer in model.layers if layer.bayesian]
    require(model.panel_bytes == max(panels, default=0), 48, "panel_bytes", at + 4)
    parts = (model.activation_bytes, model.panel_bytes, 4 * last.parameters.layout.slots,
             8 * classes, 8 * classes, 8, 4 * classes, 4 * classes)
    require(model.arena_bytes == sum(round_up(p, 64) for p in parts), 49, "arena_bytes", at + 16)
