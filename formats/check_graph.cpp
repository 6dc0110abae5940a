// Stage two of Open: tensors and layers make sense together (FORMAT.md, 4 and 5). Afterwards every
// address that a kernel forms lies inside the arena, and no layer overwrites a value still needed.
#include "formats/arithmetic.h"
#include "formats/check.h"
#include "formats/runs.h"

namespace mu8::format {
namespace {

// The number from 1 to `most` that is nearest to `value`.
constexpr std::uint64_t NearestCount(std::uint64_t value, std::uint64_t most) {
  return value == 0 ? 1 : value > most ? most : value;
}

bool CheckPlace(const TensorRecord& tensor, std::uint32_t index, Checker* check) {
  const std::uint64_t room = check->view.model.activation_bytes;
  if (tensor.offset % kAlignment != 0) {
    return check->FailTensor(Status::kTensorPlacement, index, offsetof(TensorRecord, offset),
                             tensor.offset, tensor.offset / kAlignment * kAlignment);
  }
  if (tensor.bytes > room) {
    return check->FailTensor(Status::kTensorPlacement, index, offsetof(TensorRecord, bytes),
                             tensor.bytes, room);
  }
  if (tensor.offset > room - tensor.bytes) {
    return check->FailTensor(Status::kTensorPlacement, index, offsetof(TensorRecord, offset),
                             tensor.offset, room - tensor.bytes);
  }
  return true;
}

bool CheckQuantization(const TensorRecord& tensor, std::uint32_t index, Checker* check) {
  if (!IsNormal(tensor.scale)) {
    return check->FailTensor(Status::kTensorScale, index, offsetof(TensorRecord, scale),
                             Bits(tensor.scale), Bits(NearestNormal(tensor.scale, kMostNormal)));
  }
  for (std::size_t i = 0; i < tensor.reserved.size(); ++i) {
    if (tensor.reserved[i] != 0) {
      return check->FailTensor(Status::kReservedNotZero, index,
                               offsetof(TensorRecord, reserved) + i, tensor.reserved[i], 0);
    }
  }
  return true;
}

bool CheckTensor(const TensorRecord& tensor, std::uint32_t index, Checker* check) {
  struct Extent {
    std::size_t field;
    std::uint32_t value;
  };
  for (const auto& [field, extent] : {Extent{offsetof(TensorRecord, height), tensor.height},
                                      Extent{offsetof(TensorRecord, width), tensor.width},
                                      Extent{offsetof(TensorRecord, channels), tensor.channels}}) {
    const std::uint64_t expected = NearestCount(extent, kMaxDimension);
    if (extent != expected) {
      return check->FailTensor(Status::kTensorShape, index, field, extent, expected);
    }
  }
  const std::uint64_t row =
      (std::uint64_t{tensor.pad_left} + tensor.width + tensor.pad_right) * tensor.channels;
  if (tensor.row_stride < row) {
    return check->FailTensor(Status::kTensorLayout, index, offsetof(TensorRecord, row_stride),
                             tensor.row_stride, row);
  }
  const std::uint64_t bytes = TensorBytes(tensor);
  if (tensor.bytes != bytes || bytes > kMaxTensorBytes) {
    return check->FailTensor(Status::kTensorLayout, index, offsetof(TensorRecord, bytes),
                             tensor.bytes, tensor.bytes != bytes ? bytes : kMaxTensorBytes);
  }
  return CheckPlace(tensor, index, check) && CheckQuantization(tensor, index, check);
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

// One direction of a window, with its fields' places in the records.
struct Axis {
  std::uint64_t kernel, stride, dilation, pad, out, in, pad_before, pad_after;
  std::size_t stride_field, dilation_field, pad_field;  // of the layer
  std::size_t extent_field, pad_after_field;            // of a tensor
};

// Pools: every window touches a real pixel; padded taps are skipped.
bool CheckPoolAxis(const LayerRecord& layer, const Axis& axis, Checker* check) {
  if (axis.dilation != 1) {
    return check->FailLayer(Status::kWindow, axis.dilation_field, axis.dilation, 1);
  }
  if (axis.pad >= axis.kernel) {
    return check->FailLayer(Status::kWindow, axis.pad_field, axis.pad, axis.kernel - 1);
  }
  const std::uint64_t last_pixel = axis.in + axis.pad - 1;
  const std::uint64_t steps = axis.out - 1;
  if (steps * axis.stride <= last_pixel) return true;
  const std::uint64_t most = last_pixel / steps;
  if (most > 0) return check->FailLayer(Status::kWindow, axis.stride_field, axis.stride, most);
  return check->FailTensor(Status::kWindow, layer.output, axis.extent_field, axis.out,
                           last_pixel / axis.stride + 1);
}

// Convolutions read all taps: every window lies inside the tensor with its physical padding.
bool CheckConvolutionAxis(const LayerRecord& layer, const Axis& axis, Checker* check) {
  if (axis.pad > axis.pad_before) {
    return check->FailLayer(Status::kWindow, axis.pad_field, axis.pad, axis.pad_before);
  }
  const std::uint64_t reach = (axis.out - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
  const std::uint64_t least = axis.pad + axis.in;
  if (reach > least + axis.pad_after) {
    return check->FailTensor(Status::kWindow, layer.input, axis.pad_after_field, axis.pad_after,
                             reach - least);
  }
  return true;
}

bool CheckWindow(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const TensorRecord& in = operands.input;
  const TensorRecord& out = operands.output;
  struct Extent {
    std::size_t field;
    std::uint16_t value;
  };
  for (const auto& [field, extent] :
       {Extent{offsetof(LayerRecord, kernel_h), layer.kernel_h},
        Extent{offsetof(LayerRecord, kernel_w), layer.kernel_w},
        Extent{offsetof(LayerRecord, stride_h), layer.stride_h},
        Extent{offsetof(LayerRecord, stride_w), layer.stride_w},
        Extent{offsetof(LayerRecord, dilation_h), layer.dilation_h},
        Extent{offsetof(LayerRecord, dilation_w), layer.dilation_w}}) {
    const std::uint64_t expected = NearestCount(extent, kMaxWindow);
    if (extent != expected) return check->FailLayer(Status::kWindow, field, extent, expected);
  }
  const Axis axes[2] = {
      {layer.kernel_h, layer.stride_h, layer.dilation_h, layer.pad_top, out.height, in.height,
       in.pad_top, in.pad_bottom, offsetof(LayerRecord, stride_h),
       offsetof(LayerRecord, dilation_h), offsetof(LayerRecord, pad_top),
       offsetof(TensorRecord, height), offsetof(TensorRecord, pad_bottom)},
      {layer.kernel_w, layer.stride_w, layer.dilation_w, layer.pad_left, out.width, in.width,
       in.pad_left, in.pad_right, offsetof(LayerRecord, stride_w),
       offsetof(LayerRecord, dilation_w), offsetof(LayerRecord, pad_left),
       offsetof(TensorRecord, width), offsetof(TensorRecord, pad_right)}};
  const bool is_pool = IsPool(static_cast<OpCode>(layer.op));
  for (const Axis& axis : axes) {
    const bool fits =
        is_pool ? CheckPoolAxis(layer, axis, check) : CheckConvolutionAxis(layer, axis, check);
    if (!fits) return false;
  }
  return true;
}

bool CheckRuns(const LayerRecord& layer, const TensorRecord& input, Checker* check) {
  const RunLayout runs = MakeRunLayout(layer, input);
  if (layer.runs != runs.runs) {
    return check->FailLayer(Status::kRunLayout, offsetof(LayerRecord, runs), layer.runs, runs.runs);
  }
  if (layer.run_length != runs.run_length) {
    return check->FailLayer(Status::kRunLayout, offsetof(LayerRecord, run_length), layer.run_length,
                            runs.run_length);
  }
  return true;
}

bool CheckConvolution(const LayerRecord& layer, const Operands& operands, Checker* check) {
  for (const std::uint32_t channels : {operands.input.channels, layer.output_channels}) {
    if (layer.groups == 0 || channels % layer.groups != 0) {
      return check->FailLayer(Status::kGroups, offsetof(LayerRecord, groups), layer.groups,
                              channels);
    }
  }
  const bool depthwise = (layer.flags & kLayerDepthwise) != 0;
  if (depthwise != IsDepthwise(layer, operands.input.channels)) {
    return check->FailLayer(Status::kRunLayout, offsetof(LayerRecord, flags), layer.flags,
                            layer.flags ^ kLayerDepthwise);
  }
  return CheckWindow(layer, operands, check) && CheckRuns(layer, operands.input, check);
}

// A dense layer reads its input as one vector: no padding, no gaps.
bool CheckFlat(const LayerRecord& layer, const TensorRecord& in, Checker* check) {
  struct Padding {
    std::size_t field;
    std::uint16_t value;
  };
  for (const auto& [field, padding] : {Padding{offsetof(TensorRecord, pad_top), in.pad_top},
                                       Padding{offsetof(TensorRecord, pad_left), in.pad_left},
                                       Padding{offsetof(TensorRecord, pad_right), in.pad_right}}) {
    if (padding != 0) {
      return check->FailTensor(Status::kRunLayout, layer.input, field, padding, 0);
    }
  }
  const std::uint64_t row = std::uint64_t{in.width} * in.channels;
  if (in.row_stride != row) {
    return check->FailTensor(Status::kRunLayout, layer.input, offsetof(TensorRecord, row_stride),
                             in.row_stride, row);
  }
  return true;
}

bool CheckDense(const LayerRecord& layer, const Operands& operands, Checker* check) {
  if (!CheckFlat(layer, operands.input, check)) return false;
  if (layer.groups != 1) {
    return check->FailLayer(Status::kGroups, offsetof(LayerRecord, groups), layer.groups, 1);
  }
  if (!CheckRuns(layer, operands.input, check)) return false;
  const TensorRecord& out = operands.output;
  if (out.height != 1) {
    return check->FailTensor(Status::kOutputShape, layer.output, offsetof(TensorRecord, height),
                             out.height, 1);
  }
  if (out.width != 1) {
    return check->FailTensor(Status::kOutputShape, layer.output, offsetof(TensorRecord, width),
                             out.width, 1);
  }
  // The executor moves back by the padding before it reads.
  if (layer.pad_top != 0) {
    return check->FailLayer(Status::kWindow, offsetof(LayerRecord, pad_top), layer.pad_top, 0);
  }
  if (layer.pad_left != 0) {
    return check->FailLayer(Status::kWindow, offsetof(LayerRecord, pad_left), layer.pad_left, 0);
  }
  return true;
}

// A tensor, `index`, has the height and width, or all of the shape, of another.
bool CheckPlane(const TensorRecord& tensor, std::uint32_t index, const TensorRecord& like,
                Checker* check) {
  if (tensor.height != like.height) {
    return check->FailTensor(Status::kOutputShape, index, offsetof(TensorRecord, height),
                             tensor.height, like.height);
  }
  if (tensor.width != like.width) {
    return check->FailTensor(Status::kOutputShape, index, offsetof(TensorRecord, width),
                             tensor.width, like.width);
  }
  return true;
}
bool CheckShape(const TensorRecord& tensor, std::uint32_t index, const TensorRecord& like,
                Checker* check) {
  if (!CheckPlane(tensor, index, like, check)) return false;
  if (tensor.channels != like.channels) {
    return check->FailTensor(Status::kOutputShape, index, offsetof(TensorRecord, channels),
                             tensor.channels, like.channels);
  }
  return true;
}

// The output keeps the input's stored values.
bool CheckSameQuantization(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const TensorRecord& in = operands.input;
  const TensorRecord& out = operands.output;
  if (out.scale != in.scale) {
    return check->FailTensor(Status::kPoolQuantization, layer.output, offsetof(TensorRecord, scale),
                             Bits(out.scale), Bits(in.scale));
  }
  if (out.zero_point != in.zero_point) {
    return check->FailTensor(Status::kPoolQuantization, layer.output,
                             offsetof(TensorRecord, zero_point), out.zero_point, in.zero_point);
  }
  return true;
}

bool CheckPerChannel(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const auto op = static_cast<OpCode>(layer.op);
  if (layer.output_channels != operands.input.channels) {
    return check->FailLayer(Status::kOutputShape, offsetof(LayerRecord, output_channels),
                            layer.output_channels, operands.input.channels);
  }
  if (!IsPool(op)) return CheckPlane(operands.output, layer.output, operands.input, check);
  return CheckWindow(layer, operands, check) &&
         (op != OpCode::kMaxPool || CheckSameQuantization(layer, operands, check));
}

// The second operand of add and multiply, and a residual, have the output's shape; that of add and
// multiply may also be one pixel, used for all.
bool CheckElementwise(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const TensorRecord& out = operands.output;
  const TensorRecord& b = operands.input2;
  const bool is_residual = static_cast<OpCode>(layer.op) == OpCode::kConv2d;
  if (!is_residual && !CheckShape(operands.input, layer.input, out, check)) return false;
  TensorRecord like = out;
  if (!is_residual && b.height == 1 && b.width == 1) like.height = like.width = 1;
  return CheckShape(b, layer.input2, like, check);
}

bool CheckConcat(const LayerRecord& layer, const Operands& operands, Checker* check) {
  if (!CheckPlane(operands.input, layer.input, operands.output, check) ||
      !CheckPlane(operands.input2, layer.input2, operands.output, check)) {
    return false;
  }
  const std::uint32_t channels = operands.input.channels + operands.input2.channels;
  if (layer.output_channels != channels) {
    return check->FailLayer(Status::kOutputShape, offsetof(LayerRecord, output_channels),
                            layer.output_channels, channels);
  }
  return true;
}

// The three offsets of a slice, with their places.
struct Offset {
  std::size_t field;
  std::int32_t value;
};
std::array<Offset, 3> Offsets(const LayerRecord& layer) {
  return {{{offsetof(LayerRecord, offset_h), layer.offset_h},
           {offsetof(LayerRecord, offset_w), layer.offset_w},
           {offsetof(LayerRecord, offset_c), layer.offset_c}}};
}

// All offsets are -most to most.
bool CheckOffsets(const LayerRecord& layer, std::int32_t most, Checker* check) {
  for (const auto& [field, offset] : Offsets(layer)) {
    const std::int32_t expected = offset < -most ? -most : offset > most ? most : offset;
    if (offset != expected) {
      return check->FailLayer(Status::kSliceOffset, field, static_cast<std::uint32_t>(offset),
                              static_cast<std::uint32_t>(expected));
    }
  }
  return true;
}

bool CheckSlice(const LayerRecord& layer, const Operands& operands, Checker* check) {
  if (layer.stride_h != NearestCount(layer.stride_h, kMaxWindow)) {
    return check->FailLayer(Status::kWindow, offsetof(LayerRecord, stride_h), layer.stride_h,
                            NearestCount(layer.stride_h, kMaxWindow));
  }
  if (layer.stride_w != NearestCount(layer.stride_w, kMaxWindow)) {
    return check->FailLayer(Status::kWindow, offsetof(LayerRecord, stride_w), layer.stride_w,
                            NearestCount(layer.stride_w, kMaxWindow));
  }
  return CheckOffsets(layer, kMaxOffset, check) && CheckSameQuantization(layer, operands, check);
}

// The nearest width of sigma that a layer may have.
constexpr std::uint32_t NearestSigmaBits(std::uint32_t bits, bool bayesian) {
  if (!bayesian) return 0;
  return bits > 8 ? 8 : std::bit_floor(bits);
}

bool CheckBitWidths(const LayerRecord& layer, Checker* check) {
  const bool weighted = IsWeighted(static_cast<OpCode>(layer.op));
  const bool by_panel = weighted && layer.mu_bits == kMuBitsByPanel;
  const std::uint64_t mu = by_panel   ? kMuBitsByPanel
                           : weighted ? NearestCount(layer.mu_bits, 8)
                                      : 0;
  if (layer.mu_bits != mu) {
    return check->FailLayer(Status::kBitWidth, offsetof(LayerRecord, mu_bits), layer.mu_bits, mu);
  }
  const std::uint32_t sigma =
      NearestSigmaBits(layer.sigma_bits, (layer.flags & kLayerBayesian) != 0);
  if (layer.sigma_bits != sigma) {
    return check->FailLayer(Status::kBitWidth, offsetof(LayerRecord, sigma_bits), layer.sigma_bits,
                            sigma);
  }
  return true;
}

// Reserved fields, flags and bit widths that this version knows.
bool CheckFields(const LayerRecord& layer, Checker* check) {
  const auto op = static_cast<OpCode>(layer.op);
  for (std::size_t i = 0; i < layer.reserved.size(); ++i) {
    if (layer.reserved[i] != 0) {
      return check->FailLayer(Status::kReservedNotZero, offsetof(LayerRecord, reserved) + i * 4,
                              layer.reserved[i], 0);
    }
  }
  if (layer.mu_bytes != 0 && layer.mu_bits != kMuBitsByPanel) {
    return check->FailLayer(Status::kReservedNotZero, offsetof(LayerRecord, mu_bytes),
                            layer.mu_bytes, 0);
  }
  if (op != OpCode::kSlice && !CheckOffsets(layer, 0, check)) return false;
  const std::uint8_t known = op == OpCode::kConv2d        ? kLayerBayesian | kLayerDepthwise
                             : op == OpCode::kDense       ? kLayerBayesian
                             : op == OpCode::kAveragePool ? kLayerCountPadding
                                                          : std::uint8_t{0};
  if ((layer.flags & ~known) != 0) {
    return check->FailLayer(Status::kReservedNotZero, offsetof(LayerRecord, flags), layer.flags,
                            layer.flags & known);
  }
  if (!CheckBitWidths(layer, check)) return false;
  if (layer.clamp_min > layer.clamp_max) {
    return check->FailLayer(Status::kClamp, offsetof(LayerRecord, clamp_min), layer.clamp_min,
                            layer.clamp_max);
  }
  return true;
}

bool CheckShapes(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const std::uint64_t channels = operands.logits
                                     ? NearestCount(layer.output_channels, kMaxDimension)
                                     : operands.output.channels;
  if (layer.output_channels != channels) {
    return check->FailLayer(Status::kOutputShape, offsetof(LayerRecord, output_channels),
                            layer.output_channels, channels);
  }
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
      return CheckConvolution(layer, operands, check) &&
             (layer.input2 == kNoTensor || CheckElementwise(layer, operands, check));
    case OpCode::kDense:
      return CheckDense(layer, operands, check);
    case OpCode::kAdd:
    case OpCode::kMultiply:
      return CheckElementwise(layer, operands, check);
    case OpCode::kSlice:
      return CheckSlice(layer, operands, check);
    case OpCode::kConcat:
      return CheckConcat(layer, operands, check);
    case OpCode::kMaxPool:
    case OpCode::kAveragePool:
    case OpCode::kLookup:
      return CheckPerChannel(layer, operands, check);
  }
  return check->FailLayer(Status::kUnknownOperator, offsetof(LayerRecord, op), layer.op,
                          static_cast<std::uint8_t>(OpCode::kConcat));
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
  for (std::uint32_t i = 0; i < live->count; ++i) {
    if (replaces && live->index[i] == layer.input2) continue;
    const TensorRecord other = check->view.tensor(live->index[i]);
    const std::uint64_t other_end = std::uint64_t{other.offset} + other.bytes;
    if (tensor.offset < other_end && other.offset < std::uint64_t{tensor.offset} + tensor.bytes) {
      return check->FailTensor(Status::kTensorOverlap, added, offsetof(TensorRecord, offset),
                               tensor.offset, other_end);
    }
  }
  if (live->count == kMaxLiveTensors) {
    return check->FailTensor(Status::kTooManyLiveTensors, added, 0, live->count + 1,
                             kMaxLiveTensors);
  }
  live->index[live->count++] = added;
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

// An operand, named by `field`, is alive, and not read after its last layer. Tensors up to `layer`
// exist, and the one of that number is alive.
bool CheckOperand(std::uint16_t tensor, std::size_t field, std::uint32_t layer,
                  const LiveTensors& live, Checker* check) {
  if (tensor > layer) return check->FailLayer(Status::kOperandIndex, field, tensor, layer);
  const std::uint16_t last_layer = check->view.tensor(tensor).last_layer;
  if (!live.Contains(tensor) || last_layer < layer) {
    return check->FailTensor(Status::kOperandIndex, tensor, offsetof(TensorRecord, last_layer),
                             last_layer, layer);
  }
  return true;
}

// Which operands there are depends on the operator.
bool CheckOperands(const LayerRecord& layer, std::uint32_t index, const LiveTensors& live,
                   Checker* check) {
  constexpr std::size_t kInput2 = offsetof(LayerRecord, input2);
  const auto op = static_cast<OpCode>(layer.op);
  if (!CheckOperand(layer.input, offsetof(LayerRecord, input), index, live, check)) return false;
  const bool has_residual = op == OpCode::kConv2d && layer.input2 != kNoTensor;
  if (!IsBinary(op) && !has_residual) {
    if (layer.input2 == kNoTensor) return true;
    return check->FailLayer(Status::kReservedNotZero, kInput2, layer.input2, kNoTensor);
  }
  if (layer.output == kNoTensor) {
    return check->FailLayer(Status::kOperandIndex, kInput2, layer.input2, kNoTensor);
  }
  return CheckOperand(layer.input2, kInput2, index, live, check);
}

// Tensors are numbered in the order of their layers: layer i writes tensor i + 1, the last layer
// the logits, and only conv2d and dense may.
bool CheckOperatorAndOutput(const LayerRecord& layer, std::uint16_t output, Checker* check) {
  constexpr auto kLast = static_cast<std::uint8_t>(OpCode::kConcat);
  if (layer.op != NearestCount(layer.op, kLast)) {
    return check->FailLayer(Status::kUnknownOperator, offsetof(LayerRecord, op), layer.op,
                            NearestCount(layer.op, kLast));
  }
  if (layer.output != output) {
    return check->FailLayer(Status::kOperandIndex, offsetof(LayerRecord, output), layer.output,
                            output);
  }
  if (output == kNoTensor && !IsWeighted(static_cast<OpCode>(layer.op))) {
    return check->FailLayer(Status::kUnknownOperator, offsetof(LayerRecord, op), layer.op,
                            static_cast<std::uint8_t>(OpCode::kDense));
  }
  return true;
}

// A tensor lives from the layer that writes it to some later one.
bool CheckLifetime(const TensorRecord& tensor, std::uint32_t index, std::uint16_t writer,
                   Checker* check) {
  if (tensor.first_layer != writer) {
    return check->FailTensor(Status::kTensorLifetime, index, offsetof(TensorRecord, first_layer),
                             tensor.first_layer, writer);
  }
  const std::uint32_t least = index;  // tensor i + 1 is written by layer i
  const std::uint32_t most = check->view.layer_count() - 1;
  if (tensor.last_layer < least || tensor.last_layer > most) {
    return check->FailTensor(Status::kTensorLifetime, index, offsetof(TensorRecord, last_layer),
                             tensor.last_layer, tensor.last_layer < least ? least : most);
  }
  return true;
}

bool CheckLayer(std::uint32_t index, LiveTensors* live, Checker* check) {
  const View& view = check->view;
  const LayerRecord layer = view.layer(index);
  const bool last = index + 1 == view.layer_count();
  const std::uint16_t output = last ? kNoTensor : static_cast<std::uint16_t>(index + 1);
  if (!CheckOperatorAndOutput(layer, output, check) || !CheckOperands(layer, index, *live, check)) {
    return false;
  }
  Operands operands{view.tensor(layer.input), {}, {}, last};
  if (layer.input2 != kNoTensor) operands.input2 = view.tensor(layer.input2);
  if (last) {
    operands.output.height = operands.output.width = 1;
    operands.output.channels = layer.output_channels;
  } else {
    operands.output = view.tensor(output);
    const auto writer = static_cast<std::uint16_t>(index);
    if (!CheckLifetime(operands.output, output, writer, check)) return false;
  }
  if (!CheckFields(layer, check) || !CheckShapes(layer, operands, check)) return false;
  if (!last && !AddLive(layer, index, live, check)) return false;
  RetireLive(view, index, live);
  return true;
}

}  // namespace

bool CheckTensors(Checker* check) {
  const View& view = check->view;
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < view.tensor_count(); ++i) {
    const TensorRecord tensor = view.tensor(i);
    if (!CheckTensor(tensor, i, check)) return false;
    const std::uint64_t tensor_end = std::uint64_t{tensor.offset} + tensor.bytes;
    if (tensor_end > end) end = tensor_end;
  }
  if (view.model.activation_bytes != end) {
    return check->FailModel(Status::kActivationBytes, offsetof(ModelRecord, activation_bytes),
                            view.model.activation_bytes, end);
  }
  const std::uint64_t table_bytes = std::uint64_t{256} * view.tensor(0).channels;
  if (view.input_table.bytes != table_bytes) {
    return check->FailSection(Status::kSectionSize, SectionId::kInputTable,
                              offsetof(SectionRecord, bytes), view.input_table.bytes, table_bytes);
  }
  return true;
}

bool CheckLayers(Checker* check) {
  const View& view = check->view;
  if (view.tensor_count() != view.layer_count()) {
    return check->FailSection(Status::kRecordCount, SectionId::kTensors,
                              offsetof(SectionRecord, bytes), view.tensor_count(),
                              view.layer_count());
  }
  if (!CheckLifetime(view.tensor(0), 0, kNoTensor, check)) return false;
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
