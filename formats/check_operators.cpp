// Stage two of Open: the fields of one layer, and the shapes of what it reads and writes, fit its
// operator (FORMAT.md 5.2 to 5.12).
#include "formats/bits.h"
#include "formats/check.h"
#include "formats/runs.h"
#include "mu8/config.h"

namespace mu8::format {
namespace {

constexpr bool kHasPools = config::kMaxPool || config::kAveragePool;

bool IsPool(OpCode op) { return op == OpCode::kMaxPool || op == OpCode::kAveragePool; }

// A field of a record by its place.
template <typename T, typename Record>
T FieldAt(const Record& record, std::size_t field) {
  T value;
  std::memcpy(&value, reinterpret_cast<const std::uint8_t*>(&record) + field, sizeof(value));
  return value;
}

// One direction of a window. Fields of the other direction lie behind those of the vertical one.
struct Axis {
  const LayerRecord& layer;
  const TensorRecord &in, &out;
  std::uint32_t index;  // 0 is the vertical one

  // Places of the layer's field, and of a tensor's extent and padding behind it.
  std::size_t field(std::size_t vertical) const { return vertical + index * 2; }
  std::size_t extent_field() const { return offsetof(TensorRecord, height) + index * 4; }
  std::size_t pad_after_field() const { return offsetof(TensorRecord, pad_bottom) + index * 4; }
  std::uint64_t of_layer(std::size_t vertical) const {
    return FieldAt<std::uint16_t>(layer, field(vertical));
  }
  std::uint64_t extent(const TensorRecord& tensor) const {
    return FieldAt<std::uint32_t>(tensor, extent_field());
  }
  std::uint64_t pad_before() const { return index == 0 ? in.pad_top : in.pad_left; }
  std::uint64_t pad_after() const { return FieldAt<std::uint16_t>(in, pad_after_field()); }
};
constexpr std::size_t kKernel = offsetof(LayerRecord, kernel_h);
constexpr std::size_t kStride = offsetof(LayerRecord, stride_h);
constexpr std::size_t kDilation = offsetof(LayerRecord, dilation_h);
constexpr std::size_t kPad = offsetof(LayerRecord, pad_top);
static_assert(kKernel + 2 == offsetof(LayerRecord, kernel_w) &&
              kStride + 2 == offsetof(LayerRecord, stride_w) &&
              kDilation + 2 == offsetof(LayerRecord, dilation_w) &&
              kPad + 2 == offsetof(LayerRecord, pad_left));
static_assert(offsetof(TensorRecord, height) + 4 == offsetof(TensorRecord, width) &&
              offsetof(TensorRecord, pad_bottom) + 4 == offsetof(TensorRecord, pad_right));

// Pools: every window touches a real pixel; padded taps are skipped.
bool CheckPoolAxis(const Axis& axis, Checker* check) {
  const std::uint64_t dilation = axis.of_layer(kDilation), pad = axis.of_layer(kPad);
  if (dilation != 1) {
    return check->FailLayer(Status::kWindow, axis.field(kDilation), dilation, 1);
  }
  const std::uint64_t kernel = axis.of_layer(kKernel), stride = axis.of_layer(kStride);
  if (pad >= kernel) return check->FailLayer(Status::kWindow, axis.field(kPad), pad, kernel - 1);
  const std::uint64_t last_pixel = axis.extent(axis.in) + pad - 1;
  const std::uint64_t steps = axis.extent(axis.out) - 1;
  if (steps * stride <= last_pixel) return true;
  const std::uint64_t most = last_pixel / steps;
  if (most > 0) return check->FailLayer(Status::kWindow, axis.field(kStride), stride, most);
  return check->FailTensor(Status::kWindow, axis.layer.output, axis.extent_field(), steps + 1,
                           last_pixel / stride + 1);
}

// Convolutions read all taps: every window lies inside the tensor with its physical padding.
bool CheckConvolutionAxis(const Axis& axis, Checker* check) {
  const std::uint64_t pad = axis.of_layer(kPad), before = axis.pad_before();
  if (pad > before) return check->FailLayer(Status::kWindow, axis.field(kPad), pad, before);
  const std::uint64_t reach = (axis.extent(axis.out) - 1) * axis.of_layer(kStride) +
                              (axis.of_layer(kKernel) - 1) * axis.of_layer(kDilation) + 1;
  const std::uint64_t least = pad + axis.extent(axis.in), after = axis.pad_after();
  if (reach <= least + after) return true;
  return check->FailTensor(Status::kWindow, axis.layer.input, axis.pad_after_field(), after,
                           reach - least);
}

bool CheckWindow(const LayerRecord& layer, const Operands& operands, Checker* check) {
  static_assert(kStride == kKernel + 4 && kDilation == kStride + 4);
  for (std::size_t field = kKernel; field < kDilation + 4; field += 2) {
    const auto extent = FieldAt<std::uint16_t>(layer, field);
    const std::uint64_t expected = NearestCount(extent, kMaxWindow);
    if (extent != expected) return check->FailLayer(Status::kWindow, field, extent, expected);
  }
  const bool is_pool = kHasPools && IsPool(static_cast<OpCode>(layer.op));
  for (std::uint32_t index = 0; index < 2; ++index) {
    const Axis axis{layer, operands.input, operands.output, index};
    if (!(is_pool ? CheckPoolAxis(axis, check) : CheckConvolutionAxis(axis, check))) return false;
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

// The output, a tensor's or the model's, is 1 x 1.
bool CheckOnePixel(const LayerRecord& layer, const Operands& operands, Checker* check) {
  struct Extent {
    std::size_t in_tensor, in_model;
    std::uint32_t value;
  };
  const TensorRecord& out = operands.output;
  for (const auto& [in_tensor, in_model, value] :
       {Extent{offsetof(TensorRecord, height), offsetof(ModelRecord, output_height), out.height},
        Extent{offsetof(TensorRecord, width), offsetof(ModelRecord, output_width), out.width}}) {
    if (value == 1) continue;
    return operands.logits
               ? check->FailModel(Status::kOutputShape, in_model, value, 1)
               : check->FailTensor(Status::kOutputShape, layer.output, in_tensor, value, 1);
  }
  return true;
}

bool CheckDense(const LayerRecord& layer, const Operands& operands, Checker* check) {
  if (!CheckFlat(layer, operands.input, check)) return false;
  if (layer.groups != 1) {
    return check->FailLayer(Status::kGroups, offsetof(LayerRecord, groups), layer.groups, 1);
  }
  if (!CheckRuns(layer, operands.input, check)) return false;
  if (!CheckOnePixel(layer, operands, check)) return false;
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
bool CheckChannels(const TensorRecord& tensor, std::uint32_t index, const TensorRecord& like,
                   Checker* check) {
  if (tensor.channels == like.channels) return true;
  return check->FailTensor(Status::kOutputShape, index, offsetof(TensorRecord, channels),
                           tensor.channels, like.channels);
}
bool CheckShape(const TensorRecord& tensor, std::uint32_t index, const TensorRecord& like,
                Checker* check) {
  return CheckPlane(tensor, index, like, check) && CheckChannels(tensor, index, like, check);
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

// The second operand of add, multiply, maximum and minimum, and a residual, have the output's
// shape; but for a residual it may also be one pixel, used for all.
bool CheckElementwise(const LayerRecord& layer, const Operands& operands, Checker* check) {
  const TensorRecord& out = operands.output;
  const TensorRecord& b = operands.input2;
  const bool is_residual = static_cast<OpCode>(layer.op) == OpCode::kConv2d;
  if (!is_residual && !CheckShape(operands.input, layer.input, out, check)) return false;
  const bool is_pixel = !is_residual && b.height == 1 && b.width == 1;
  return (is_pixel || CheckPlane(b, layer.input2, out, check)) &&
         CheckChannels(b, layer.input2, out, check);
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
  return bits > 8 ? 8 : BitFloor(bits);
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

}  // namespace

bool CheckFields(const LayerRecord& layer, Checker* check) {
  const auto op = static_cast<OpCode>(layer.op);
  if (layer.mu_bytes != 0 && layer.mu_bits != kMuBitsByPanel) {
    return check->FailLayer(Status::kReservedNotZero, offsetof(LayerRecord, mu_bytes),
                            layer.mu_bytes, 0);
  }
  if (op != OpCode::kSlice && !CheckOffsets(layer, 0, check)) return false;
  const std::uint8_t known = op == OpCode::kConv2d        ? kLayerBayesian | kLayerDepthwise
                             : op == OpCode::kDense       ? kLayerBayesian
                             : op == OpCode::kAveragePool ? kLayerCountPadding
                             : op == OpCode::kLookup      ? kLayerByChannel
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
  // Nothing of operators that are not built: their files are refused.
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
      return CheckConvolution(layer, operands, check) &&
             (layer.input2 == kNoTensor || CheckElementwise(layer, operands, check));
    case OpCode::kDense:
      return CheckDense(layer, operands, check);
    case OpCode::kAdd:
    case OpCode::kMultiply:
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      return CheckElementwise(layer, operands, check);
    case OpCode::kSlice:
      return !config::kSlice || CheckSlice(layer, operands, check);
    case OpCode::kConcat:
      return !config::kConcat || CheckConcat(layer, operands, check);
    case OpCode::kGather:
      return !config::kGather || CheckSameQuantization(layer, operands, check);
    case OpCode::kConstant:
      return true;
    case OpCode::kMaxPool:
    case OpCode::kAveragePool:
    case OpCode::kLookup:
      return !(kHasPools || config::kLookup) || CheckPerChannel(layer, operands, check);
  }
  return check->FailLayer(Status::kUnknownOperator, offsetof(LayerRecord, op), layer.op,
                          static_cast<std::uint8_t>(OpCode::kConstant));
}

}  // namespace mu8::format
