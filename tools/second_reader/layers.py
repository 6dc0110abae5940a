"""The rules of formats/FORMAT.md for layers, section 5, and for where tensors lie, section 4.

Written from that page alone; see file_format.py. Their parameters are checked in parameters.py.
"""

from .file_format import (ADD, AVERAGE_POOL, CONCAT, CONSTANT, CONV2D, DENSE, GATHER, LOOKUP,
                          MAX_POOL, MAXIMUM, MINIMUM, MU_BITS_BY_PANEL, MULTIPLY, NO_TENSOR, SLICE,
                          require)


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

    require(CONV2D <= layer.op <= CONSTANT, 28, f"operator {layer.op}", layer.at)
    require(layer.output == (NO_TENSOR if is_last else i + 1), 29, f"output {layer.output}",
            layer.at + 8)
    require(layer.weighted or not is_last, 28, "the last layer is not conv2d or dense", layer.at)
    check_read(layer.input, layer.at + 4)
    has_input2 = layer.input2 != NO_TENSOR
    binary = layer.op in (ADD, MULTIPLY, CONCAT, MAXIMUM, MINIMUM)
    if binary or layer.op == CONV2D and has_input2:
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
    allowed = {CONV2D: 1 | 4, DENSE: 1, AVERAGE_POOL: 2, LOOKUP: 8}.get(layer.op, 0)
    require(layer.flags & ~allowed == 0, 9, f"flags {layer.flags}", layer.at + 1)
    mu_widths = (*range(1, 9), MU_BITS_BY_PANEL) if layer.weighted else (0,)
    require(layer.mu_bits in mu_widths, 34, "mu_bits", layer.at + 2)
    widths = (8, 4, 2, 1, 0) if layer.bayesian else (0,)
    require(layer.sigma_bits in widths, 34, "sigma_bits", layer.at + 3)
    require(layer.clamp_min <= layer.clamp_max, 35, "clamps", layer.at + 26)


def tensor_shape(tensor):
    return tensor.height, tensor.width, tensor.channels


def check_operator(model, i):
    """Sections 5.3 to 5.12: the rules of one operator."""
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
    elif layer.op in (ADD, MULTIPLY, MAXIMUM, MINIMUM):
        require(tensor_shape(source) == shape, 31, "shape of the first operand", layer.at + 4)
        require(tensor_shape(other) in (shape, (1, 1, channels)), 31,
                "shape of the second operand", layer.at + 6)
    elif layer.op == SLICE:
        check_slice(layer, source, model.tensors[i + 1])
    elif layer.op == CONCAT:
        planes = [tensor_shape(t)[:2] == shape[:2] for t in (source, other)]
        require(all(planes) and source.channels + other.channels == channels, 31,
                "shape of a concat", layer.at)
    elif layer.op == GATHER:
        check_same_quantization(layer, source, model.tensors[i + 1])
    elif layer.op != CONSTANT:
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
