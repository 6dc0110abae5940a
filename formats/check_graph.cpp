// Stage two of Open: tensors and layers make sense together (FORMAT.md, 4 and 5). Afterwards every
// address that a kernel forms lies inside the arena, and no layer overwrites a value still needed.
#include "formats/arithmetic.h"
#include "formats/check.h"
#include "formats/runs.h"

namespace mu8::format {
namespace {

bool CheckTensor(const TensorRecord& tensor, std::uint64_t at, Checker* check) {
  for (const std::uint32_t extent : {tensor.height, tensor.width, tensor.channels}) {
    if (extent == 0 || extent > kMaxDimension) {
      return check->Fail(Status::kTensorShape, at, extent, kMaxDimension);
    }
  }
  const std::uint64_t row =
      (std::uint64_t{tensor.pad_left} + tensor.width + tensor.pad_right) * tensor.channels;
  if (tensor.row_stride < row) {
    return check->Fail(Status::kTensorLayout, at + 12, tensor.row_stride, row);
  }
  const std::uint64_t bytes = TensorBytes(tensor);
  if (tensor.bytes != bytes || bytes > kMaxTensorBytes) {
    return check->Fail(Status::kTensorLayout, at + 28, tensor.bytes, bytes);
  }
  if (tensor.offset % kAlignment != 0 ||
      std::uint64_t{tensor.offset} + tensor.bytes > check->view.model.activation_bytes) {
    return check->Fail(Status::kTensorPlacement, at + 24, tensor.offset,
                       check->view.model.activation_bytes);
  }
  if (!IsNormal(tensor.scale)) {
    return check->Fail(Status::kTensorScale, at + 32, std::bit_cast<std::uint32_t>(tensor.scale),
                       0);
  }
  for (const std::uint8_t reserved : tensor.reserved) {
    if (reserved != 0) return check->Fail(Status::kReservedNotZero, at + 41, reserved, 0);
  }
  return true;
}

bool IsWeighted(OpCode op) { return op == OpCode::kConv2d || op == OpCode::kDense; }
bool IsPool(OpCode op) { return op == OpCode::kMaxPool || op == OpCode::kAveragePool; }
// Operators that read two tensors. A conv2d may: its residual.
bool IsBinary(OpCode op) {
  return op == OpCode::kAdd || op == OpCode::kMultiply || op == OpCode::kConcat;
}

struct Operands {
  TensorRecord input;
  TensorRecord input2;  // if the layer has one
  TensorRecord output;  // for the logits: 1 x 1 x output_channels, otherwise unused
  bool logits;
};

// Every window lies inside the tensor with its physical padding (convolution: all taps are read),
// or touches at least one real pixel (pools: padded taps are skipped).
bool CheckWindow(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
                 Checker* check) {
  const TensorRecord& in = operands.input;
  const TensorRecord& out = operands.output;
  for (const std::uint16_t extent : {layer.kernel_h, layer.kernel_w, layer.stride_h, layer.stride_w,
                                     layer.dilation_h, layer.dilation_w}) {
    if (extent == 0 || extent > kMaxWindow) {
      return check->Fail(Status::kWindow, at + 10, extent, kMaxWindow);
    }
  }
  struct Axis {
    std::uint64_t kernel, stride, dilation, pad, out, in, pad_before, pad_after;
  };
  const Axis axes[2] = {{layer.kernel_h, layer.stride_h, layer.dilation_h, layer.pad_top,
                         out.height, in.height, in.pad_top, in.pad_bottom},
                        {layer.kernel_w, layer.stride_w, layer.dilation_w, layer.pad_left,
                         out.width, in.width, in.pad_left, in.pad_right}};
  for (const Axis& axis : axes) {
    const std::uint64_t last_start = (axis.out - 1) * axis.stride;
    if (IsPool(static_cast<OpCode>(layer.op))) {
      if (axis.dilation != 1) return check->Fail(Status::kWindow, at + 18, axis.dilation, 1);
      if (axis.pad >= axis.kernel || last_start >= axis.in + axis.pad) {
        return check->Fail(Status::kWindow, at + 22, axis.pad, axis.kernel);
      }
      continue;
    }
    const std::uint64_t reach = last_start + (axis.kernel - 1) * axis.dilation + 1;
    if (axis.pad > axis.pad_before || reach > axis.pad + axis.in + axis.pad_after) {
      return check->Fail(Status::kWindow, at + 22, axis.pad, axis.pad_before);
    }
  }
  return true;
}

bool CheckRuns(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
               Checker* check) {
  const RunLayout runs = MakeRunLayout(layer, operands.input);
  if (layer.runs != runs.runs || layer.run_length != runs.run_length) {
    return check->Fail(Status::kRunLayout, at + 36, layer.run_length, runs.run_length);
  }
  return true;
}

bool CheckConvolution(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
                      Checker* check) {
  const std::uint32_t channels = operands.input.channels;
  if (layer.groups == 0 || channels % layer.groups != 0 ||
      layer.output_channels % layer.groups != 0) {
    return check->Fail(Status::kGroups, at + 28, layer.groups, channels);
  }
  const bool depthwise = (layer.flags & kLayerDepthwise) != 0;
  if (depthwise != IsDepthwise(layer, channels)) {
    return check->Fail(Status::kRunLayout, at + 1, layer.flags, kLayerDepthwise);
  }
  return CheckWindow(layer, operands, at, check) && CheckRuns(layer, operands, at, check);
}

// A dense layer reads its input as one vector: no padding, no gaps.
bool CheckDense(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
                Checker* check) {
  const TensorRecord& in = operands.input;
  const std::uint64_t row = std::uint64_t{in.width} * in.channels;
  if (in.row_stride != row || in.pad_top != 0 || in.pad_left != 0 || in.pad_right != 0) {
    return check->Fail(Status::kRunLayout, at + 4, in.row_stride, row);
  }
  if (layer.groups != 1) return check->Fail(Status::kGroups, at + 28, layer.groups, 1);
  if (!CheckRuns(layer, operands, at, check)) return false;
  const TensorRecord& out = operands.output;
  if (out.height != 1 || out.width != 1) {
    return check->Fail(Status::kOutputShape, at + 8, out.height, 1);
  }
  // The executor moves back by the padding before it reads.
  if (layer.pad_top != 0 || layer.pad_left != 0) {
    return check->Fail(Status::kWindow, at + 22, layer.pad_top, 0);
  }
  return true;
}

bool CheckPerChannel(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
                     Checker* check) {
  const TensorRecord& in = operands.input;
  const TensorRecord& out = operands.output;
  if (layer.output_channels != in.channels) {
    return check->Fail(Status::kOutputShape, at + 32, layer.output_channels, in.channels);
  }
  if (IsPool(static_cast<OpCode>(layer.op))) {
    if (!CheckWindow(layer, operands, at, check)) return false;
  } else if (out.height != in.height || out.width != in.width) {
    return check->Fail(Status::kOutputShape, at + 8, out.height, in.height);
  }
  const bool same = in.scale == out.scale && in.zero_point == out.zero_point;
  if (static_cast<OpCode>(layer.op) == OpCode::kMaxPool && !same) {
    return check->Fail(Status::kPoolQuantization, at + 8, out.zero_point, in.zero_point);
  }
  return true;
}

bool SameShape(const TensorRecord& a, const TensorRecord& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

// The second operand of add and multiply, and a residual, have the output's shape; that of add and
// multiply may also be one pixel, used for all.
bool CheckElementwise(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
                      Checker* check) {
  const TensorRecord& out = operands.output;
  const TensorRecord& b = operands.input2;
  const bool is_sum = static_cast<OpCode>(layer.op) == OpCode::kConv2d;
  if (!is_sum && !SameShape(operands.input, out)) {
    return check->Fail(Status::kOutputShape, at + 4, operands.input.channels, out.channels);
  }
  const bool pixel = !is_sum && b.height == 1 && b.width == 1 && b.channels == out.channels;
  if (!pixel && !SameShape(b, out)) {
    return check->Fail(Status::kOutputShape, at + 6, b.channels, out.channels);
  }
  return true;
}

bool CheckConcat(const Operands& operands, std::uint64_t at, Checker* check) {
  const TensorRecord& a = operands.input;
  const TensorRecord& b = operands.input2;
  const TensorRecord& out = operands.output;
  const bool planes = a.height == out.height && a.width == out.width && b.height == out.height &&
                      b.width == out.width;
  if (!planes || a.channels + b.channels != out.channels) {
    return check->Fail(Status::kOutputShape, at + 6, std::uint64_t{a.channels} + b.channels,
                       out.channels);
  }
  return true;
}

bool CheckSlice(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
                Checker* check) {
  for (const std::uint16_t stride : {layer.stride_h, layer.stride_w}) {
    if (stride == 0 || stride > kMaxWindow) {
      return check->Fail(Status::kWindow, at + 14, stride, kMaxWindow);
    }
  }
  for (const std::int32_t offset : {layer.offset_h, layer.offset_w, layer.offset_c}) {
    if (offset < -kMaxOffset || offset > kMaxOffset) {
      return check->Fail(Status::kSliceOffset, at + 52, static_cast<std::uint32_t>(offset),
                         kMaxOffset);
    }
  }
  const TensorRecord& in = operands.input;
  const TensorRecord& out = operands.output;
  if (in.scale != out.scale || in.zero_point != out.zero_point) {
    return check->Fail(Status::kPoolQuantization, at + 8, out.zero_point, in.zero_point);
  }
  return true;
}

// Reserved fields, flags and bit widths that this version knows.
bool CheckFields(const LayerRecord& layer, std::uint64_t at, Checker* check) {
  const auto op = static_cast<OpCode>(layer.op);
  for (const std::uint32_t reserved : layer.reserved) {
    if (reserved != 0) return check->Fail(Status::kReservedNotZero, at + 68, reserved, 0);
  }
  if (layer.mu_bytes != 0 && layer.mu_bits != kMuBitsByPanel) {
    return check->Fail(Status::kReservedNotZero, at + 64, layer.mu_bytes, 0);
  }
  const bool has_offset = (layer.offset_h | layer.offset_w | layer.offset_c) != 0;
  if (has_offset && op != OpCode::kSlice) {
    return check->Fail(Status::kSliceOffset, at + 52, 1, 0);
  }
  const std::uint8_t flags = op == OpCode::kConv2d        ? kLayerBayesian | kLayerDepthwise
                             : op == OpCode::kDense       ? kLayerBayesian
                             : op == OpCode::kAveragePool ? kLayerCountPadding
                                                          : std::uint8_t{0};
  if ((layer.flags & ~flags) != 0) {
    return check->Fail(Status::kReservedNotZero, at + 1, layer.flags, flags);
  }
  const bool bayesian = (layer.flags & kLayerBayesian) != 0;
  const std::uint32_t sigma = layer.sigma_bits;
  const bool known_sigma =
      sigma == 0 || (bayesian && (sigma == 1 || sigma == 2 || sigma == 4 || sigma == 8));
  const bool some_mu =
      (layer.mu_bits >= 1 && layer.mu_bits <= 8) || layer.mu_bits == kMuBitsByPanel;
  const bool known_mu = IsWeighted(op) ? some_mu : layer.mu_bits == 0;
  if (!known_mu || !known_sigma) {
    return check->Fail(Status::kBitWidth, at + 2, layer.mu_bits, 8);
  }
  if (layer.clamp_min > layer.clamp_max) {
    return check->Fail(Status::kClamp, at + 26, layer.clamp_min, layer.clamp_max);
  }
  return true;
}

bool CheckShapes(const LayerRecord& layer, const Operands& operands, std::uint64_t at,
                 Checker* check) {
  if (layer.output_channels == 0 || layer.output_channels > kMaxDimension ||
      layer.output_channels != operands.output.channels) {
    return check->Fail(Status::kOutputShape, at + 32, layer.output_channels,
                       operands.output.channels);
  }
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
      return CheckConvolution(layer, operands, at, check) &&
             (layer.input2 == kNoTensor || CheckElementwise(layer, operands, at, check));
    case OpCode::kDense:
      return CheckDense(layer, operands, at, check);
    case OpCode::kAdd:
    case OpCode::kMultiply:
      return CheckElementwise(layer, operands, at, check);
    case OpCode::kSlice:
      return CheckSlice(layer, operands, at, check);
    case OpCode::kConcat:
      return CheckConcat(operands, at, check);
    case OpCode::kMaxPool:
    case OpCode::kAveragePool:
    case OpCode::kLookup:
      return CheckPerChannel(layer, operands, at, check);
  }
  return check->Fail(Status::kUnknownOperator, at, layer.op, 0);
}

// The values alive while a layer runs. Sixty-four of them at most, so that the check needs no heap
// and stays linear.
struct LiveTensors {
  std::uint32_t first_pass_layer;
  std::uint32_t count = 0;
  std::uint16_t index[kMaxLiveTensors] = {};

  bool Contains(std::uint16_t tensor) const {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (index[i] == tensor) return true;
    }
    return false;
  }
  void Remove(std::uint32_t position) { index[position] = index[--count]; }
};

// Whether a value is alive after layer `layer`. What is computed once an image and read by the
// passes stays: every pass reads it again.
bool OutlivesLayer(const View& view, std::uint16_t index, std::uint32_t layer,
                   std::uint32_t first_pass_layer) {
  const TensorRecord tensor = view.tensor(index);
  const bool once = index == 0 || tensor.first_layer < first_pass_layer;
  return (once && tensor.last_layer >= first_pass_layer) || tensor.last_layer > layer;
}

// Whether layer `index` may write its output over its residual: each value of it is read before the
// one in its place is written, and nothing reads it afterwards.
bool MayReplaceResidual(const LayerRecord& layer, std::uint32_t index, const LiveTensors& live,
                        const View& view) {
  if (static_cast<OpCode>(layer.op) != OpCode::kConv2d || layer.input2 == kNoTensor ||
      layer.input2 == layer.input ||
      OutlivesLayer(view, layer.input2, index, live.first_pass_layer)) {
    return false;
  }
  const TensorRecord residual = view.tensor(layer.input2);
  const TensorRecord output = view.tensor(layer.output);
  return residual.offset == output.offset && SameGeometry(residual, output);
}

// Adds the value that a layer writes; it may not touch the memory of any value alive.
bool AddLive(const LayerRecord& layer, std::uint32_t index, LiveTensors* live, Checker* check) {
  const std::uint16_t added = layer.output;
  const TensorRecord tensor = check->view.tensor(added);
  const bool replaces = MayReplaceResidual(layer, index, *live, check->view);
  check->tensor = added;
  for (std::uint32_t i = 0; i < live->count; ++i) {
    if (replaces && live->index[i] == layer.input2) continue;
    const TensorRecord other = check->view.tensor(live->index[i]);
    if (tensor.offset < std::uint64_t{other.offset} + other.bytes &&
        other.offset < std::uint64_t{tensor.offset} + tensor.bytes) {
      return check->Fail(Status::kTensorOverlap, check->view.tensor_offset(added) + 24,
                         tensor.offset, live->index[i]);
    }
  }
  if (live->count == kMaxLiveTensors) {
    return check->Fail(Status::kTooManyLiveTensors, check->view.tensor_offset(added),
                       live->count + 1, kMaxLiveTensors);
  }
  live->index[live->count++] = added;
  check->tensor = -1;
  return true;
}

// Forgets the values that layer `layer` read for the last time.
void RetireLive(const View& view, std::uint32_t layer, LiveTensors* live) {
  for (std::uint32_t i = live->count; i > 0; --i) {
    if (!OutlivesLayer(view, live->index[i - 1], layer, live->first_pass_layer)) {
      live->Remove(i - 1);
    }
  }
}

// An operand is alive, and not read after its last layer.
bool CheckOperand(std::uint16_t tensor, std::uint32_t layer, std::uint64_t at,
                  const LiveTensors& live, Checker* check) {
  if (!live.Contains(tensor) || check->view.tensor(tensor).last_layer < layer) {
    return check->Fail(Status::kOperandIndex, at, tensor, layer);
  }
  return true;
}

// Which operands there are depends on the operator.
bool CheckOperands(const LayerRecord& layer, std::uint32_t index, std::uint64_t at,
                   const LiveTensors& live, Checker* check) {
  const auto op = static_cast<OpCode>(layer.op);
  if (!CheckOperand(layer.input, index, at + 4, live, check)) return false;
  if (IsBinary(op) || (op == OpCode::kConv2d && layer.input2 != kNoTensor)) {
    if (layer.output == kNoTensor) {
      return check->Fail(Status::kOperandIndex, at + 6, layer.input2, kNoTensor);
    }
    return CheckOperand(layer.input2, index, at + 6, live, check);
  }
  if (layer.input2 != kNoTensor) {
    return check->Fail(Status::kReservedNotZero, at + 6, layer.input2, kNoTensor);
  }
  return true;
}

// Layer i writes the tensor whose first_layer is i; tensors are numbered in the order of their
// layers, so tensor i + 1 belongs to layer i and the last layer writes the logits.
bool CheckLayer(std::uint32_t index, LiveTensors* live, Checker* check) {
  const View& view = check->view;
  const std::uint64_t at = view.layer_offset(index);
  const LayerRecord layer = view.layer(index);
  const bool last = index + 1 == view.layer_count();
  if (layer.op < static_cast<std::uint8_t>(OpCode::kConv2d) ||
      layer.op > static_cast<std::uint8_t>(OpCode::kConcat)) {
    return check->Fail(Status::kUnknownOperator, at, layer.op,
                       static_cast<std::uint8_t>(OpCode::kConcat));
  }
  const std::uint16_t output = last ? kNoTensor : static_cast<std::uint16_t>(index + 1);
  if (layer.output != output)
    return check->Fail(Status::kOperandIndex, at + 8, layer.output, output);
  if (last && !IsWeighted(static_cast<OpCode>(layer.op))) {
    return check->Fail(Status::kUnknownOperator, at, layer.op,
                       static_cast<std::uint8_t>(OpCode::kDense));
  }
  if (!CheckOperands(layer, index, at, *live, check)) return false;
  Operands operands{view.tensor(layer.input), {}, {}, last};
  if (layer.input2 != kNoTensor) operands.input2 = view.tensor(layer.input2);
  if (last) {
    operands.output.height = operands.output.width = 1;
    operands.output.channels = layer.output_channels;
  } else {
    operands.output = view.tensor(output);
    if (operands.output.first_layer != index || operands.output.last_layer <= index ||
        operands.output.last_layer >= view.layer_count()) {
      return check->Fail(Status::kTensorLifetime, view.tensor_offset(output) + 36,
                         operands.output.first_layer, index);
    }
  }
  if (!CheckFields(layer, at, check) || !CheckShapes(layer, operands, at, check)) return false;
  if (!last && !AddLive(layer, index, live, check)) return false;
  RetireLive(view, index, live);
  return true;
}

}  // namespace

bool CheckTensors(Checker* check) {
  const View& view = check->view;
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < view.tensor_count(); ++i) {
    check->tensor = static_cast<std::int32_t>(i);
    const TensorRecord tensor = view.tensor(i);
    if (!CheckTensor(tensor, view.tensor_offset(i), check)) return false;
    const std::uint64_t tensor_end = std::uint64_t{tensor.offset} + tensor.bytes;
    if (tensor_end > end) end = tensor_end;
  }
  check->tensor = -1;
  if (view.model.activation_bytes != end) {
    return check->Fail(Status::kActivationBytes, 0, view.model.activation_bytes, end);
  }
  const std::uint64_t table_bytes = std::uint64_t{256} * view.tensor(0).channels;
  if (view.input_table.bytes != table_bytes) {
    return check->Fail(Status::kSectionSize, view.input_table.offset, view.input_table.bytes,
                       table_bytes);
  }
  return true;
}

bool CheckLayers(Checker* check) {
  const View& view = check->view;
  if (view.tensor_count() != view.layer_count()) {
    return check->Fail(Status::kRecordCount, view.tensors.offset, view.tensor_count(),
                       view.layer_count());
  }
  const TensorRecord input = view.tensor(0);
  if (input.first_layer != kNoTensor || input.last_layer >= view.layer_count()) {
    return check->Fail(Status::kTensorLifetime, view.tensor_offset(0) + 36, input.first_layer,
                       kNoTensor);
  }
  LiveTensors live{view.first_pass_layer()};
  live.index[live.count++] = 0;
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    check->layer = static_cast<std::int32_t>(i);
    if (!CheckLayer(i, &live, check)) return false;
  }
  check->layer = -1;
  return true;
}

}  // namespace mu8::format
