// Stage two of Open: tensors and layers make sense together (FORMAT.md, 4 and 5). Afterwards every
// address that a kernel forms lies inside the arena, and no layer overwrites a value still needed.
// check_operators.cpp has the rules of one layer by itself.
#include "formats/arithmetic.h"
#include "formats/check.h"

namespace mu8::format {
namespace {

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

// A tensor's in an image's activations. It has been checked: at most 2^31 bytes.
struct ByteRange {
  std::uint32_t begin, end;
};
ByteRange RangeOf(std::uint32_t tensor, const View& view) {
  const std::uint64_t at = view.tensor_offset(tensor);
  const auto begin = view.Load<std::uint32_t>(at + offsetof(TensorRecord, offset));
  return {begin, begin + view.Load<std::uint32_t>(at + offsetof(TensorRecord, bytes))};
}

// Whether layer `index` may write its output over its residual: each value of it is read before the
// one in its place is written, and nothing reads it afterwards.
[[gnu::noinline]] bool MayReplaceResidual(const LayerRecord& layer, std::uint32_t index,
                                          const LiveTensors& live, const View& view) {
  if (static_cast<OpCode>(layer.op) != OpCode::kConv2d || layer.input2 == kNoTensor ||
      layer.input2 == layer.input || view.IsAlive(layer.input2, index + 1, live.first_pass_layer)) {
    return false;
  }
  const TensorRecord residual = view.tensor(layer.input2);
  const TensorRecord output = view.tensor(layer.output);
  return residual.offset == output.offset && SameGeometry(residual, output);
}

// Adds the value that a layer writes; it may not touch the memory of any value alive. Apart, so
// that its memory is not on the stack beside that of the other checks; so are those below.
[[gnu::noinline]] bool AddLive(const LayerRecord& layer, std::uint32_t index, LiveTensors* live,
                               Checker* check) {
  const std::uint16_t added = layer.output;
  const ByteRange tensor = RangeOf(added, check->view);
  const bool replaces = MayReplaceResidual(layer, index, *live, check->view);
  for (std::uint32_t i = 0; i < live->count; ++i) {
    if (replaces && live->index[i] == layer.input2) continue;
    const ByteRange other = RangeOf(live->index[i], check->view);
    if (tensor.begin < other.end && other.begin < tensor.end) {
      return check->FailTensor(Status::kTensorOverlap, added, offsetof(TensorRecord, offset),
                               tensor.begin, other.end);
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
[[gnu::noinline]] void RetireLive(const View& view, std::uint32_t layer, LiveTensors* live) {
  for (std::uint32_t i = live->count; i > 0; --i) {
    if (!view.IsAlive(live->index[i - 1], layer + 1, live->first_pass_layer)) {
      live->Remove(i - 1);
    }
  }
}

// An operand, named by `field`, is alive, and not read after its last layer. Tensors up to `layer`
// exist, and the one of that number is alive.
[[gnu::noinline]] bool CheckOperand(std::uint16_t tensor, std::size_t field, std::uint32_t layer,
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
[[gnu::noinline]] bool CheckOperands(const LayerRecord& layer, std::uint32_t index,
                                     const LiveTensors& live, Checker* check) {
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

// A tensor lives from the layer that writes it to some later one.
[[gnu::noinline]] bool CheckLifetime(const TensorRecord& tensor, std::uint32_t index,
                                     std::uint16_t writer, Checker* check) {
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

[[gnu::noinline]] bool CheckLayer(std::uint32_t index, LiveTensors* live, Checker* check) {
  const View& view = check->view;
  const LayerRecord layer = view.layer(index);
  const bool last = index + 1 == view.layer_count();
  const std::uint16_t output = last ? kNoTensor : static_cast<std::uint16_t>(index + 1);
  if (!CheckOperatorAndOutput(layer, output, check) || !CheckOperands(layer, index, *live, check)) {
    return false;
  }
  Operands operands;
  view.LoadOperands(layer, last, &operands);
  const auto writer = static_cast<std::uint16_t>(index);
  if (!last && !CheckLifetime(operands.output, output, writer, check)) return false;
  if (!CheckReserved(view.layer_offset(index), sizeof(LayerRecord), kLayerRecordBytes, check)) {
    return false;
  }
  if (!CheckFields(layer, check) || !CheckShapes(layer, operands, check)) return false;
  if (!last && !AddLive(layer, index, live, check)) return false;
  RetireLive(view, index, live);
  return true;
}

// What makes stored values of the caller's: a table or an affine map for each channel of tensor 0.
bool CheckInput(Checker* check) {
  const View& view = check->view;
  const bool numbers = view.input_kind() == InputKind::kNumbers;
  const std::uint32_t channels = view.tensor(0).channels;
  const std::uint64_t bytes = (numbers ? sizeof(Affine) : std::uint64_t{256}) * channels;
  if (view.input_table.bytes != bytes) {
    return check->FailSection(Status::kSectionSize, SectionId::kInputTable,
                              offsetof(SectionRecord, bytes), view.input_table.bytes, bytes);
  }
  return !numbers || CheckAffines(Status::kInputAffine, view.input_table.offset, channels, check);
}

}  // namespace

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

// Tensors are numbered in the order of their layers: layer i writes tensor i + 1, the last layer
// the logits, and only conv2d and dense may.
bool CheckOperatorAndOutput(const LayerRecord& layer, std::uint16_t output, Checker* check) {
  constexpr auto kLast = static_cast<std::uint8_t>(OpCode::kConstant);
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

bool CheckAffines(Status status, std::uint64_t at, std::uint32_t count, Checker* check) {
  for (std::uint32_t i = 0; i < count; ++i, at += sizeof(Affine)) {
    const auto affine = check->view.Load<Affine>(check->view.Place(at));
    if (!IsNormal(affine.gain)) {
      return check->Fail(status, at, Bits(affine.gain),
                         Bits(NearestNormal(affine.gain, kMostNormal)));
    }
    if (!IsFinite(affine.offset)) {
      return check->Fail(status, at + offsetof(Affine, offset), Bits(affine.offset),
                         NearestFinite(affine.offset));
    }
  }
  return true;
}

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
  return CheckInput(check);
}

bool CheckLayers(Checker* check) {
  const View& view = check->view;
  if (view.tensor_count() != view.layer_count()) {
    return check->FailSection(Status::kRecordCount, SectionId::kTensors,
                              offsetof(SectionRecord, bytes), view.tensor_count(),
                              view.layer_count());
  }
  if (!CheckLifetime(view.tensor(0), 0, kNoTensor, check)) return false;
  LiveTensors live{view.FindFirstPassLayer()};
  live.index[live.count++] = 0;
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    check->layer = static_cast<std::int32_t>(i);
    if (!CheckLayer(i, &live, check)) return false;
  }
  check->layer = -1;
  return true;
}

}  // namespace mu8::format
