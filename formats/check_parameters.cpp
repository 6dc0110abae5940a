// Stage three of Open: every layer's parameters are where the shapes say, its integers are in range
// and its int32 accumulators cannot overflow (FORMAT.md, 6 and 8).
#include "formats/arena.h"
#include "formats/arithmetic.h"
#include "formats/bits.h"
#include "formats/check_weights.h"

namespace mu8::format {
namespace {

float ProbeCheckParameters(float a, float b, float c) { return ProbeFloats(a, b, c); }

constexpr std::int32_t kMaxEpsilon = 127;
constexpr float kBelowOne = 0x1.fffffep-1F;  // the largest float below 1

// The factors between which one shift serves a sum (FORMAT.md 6.6): 2^-10 to just below 2^20.
constexpr float kLeastLargestFactor = 0x1p-10F;
constexpr float kMostLargestFactor = 0x1.fffffep19F;
static_assert(FixedPointShift(kLeastLargestFactor) == kMaxFixedPointShift);
static_assert(FixedPointShift(kMostLargestFactor) == kMinFixedPointShift);

bool IsFixedPoint(float largest) {
  const std::int32_t shift = FixedPointShift(largest);
  return shift >= kMinFixedPointShift && shift <= kMaxFixedPointShift;
}
constexpr float NearestFixedPoint(float largest) {
  return largest < kLeastLargestFactor ? kLeastLargestFactor : kMostLargestFactor;
}

// What follows from the scales of a layer and its tensors. Not inlined, nor are other parts below:
// they would lie in the frames of all that comes after them.
[[gnu::noinline]] WeightedScales ScalesOf(const LayerRecord& record, const View& view) {
  const auto scale = [&](std::uint16_t tensor, float none) {
    if (tensor == kNoTensor) return none;
    return view.Load<float>(view.tensor_offset(tensor) + offsetof(TensorRecord, scale));
  };
  return {scale(record.input, 0.0F), scale(record.output, 1.0F), scale(record.input2, 0.0F)};
}

// A slot's scale, and the shift that a residual's factors share; 0: there is none.
struct Slot {
  std::uint32_t index;
  float weight_scale;
  std::int32_t residual_shift;
};

// Multipliers are normal; those of u8 outputs lie below 1, those of logits below 2^64, so that a
// logit is finite: |acc| < 2^31.
bool CheckScales(const CheckedLayer& layer, const WeightedScales& scales, const Slot& slot,
                 Checker* check) {
  const std::uint64_t at = layer.at + layer.layout.weight_scale + slot.index * 4;
  if (!IsNormal(slot.weight_scale)) {
    return check->Fail(Status::kWeightScale, at, Bits(slot.weight_scale),
                       Bits(NearestNormal(slot.weight_scale, kMostNormal)));
  }
  const float multiplier = scales.Multiplier(slot.weight_scale);
  const float most = layer.record.output == kNoTensor ? 0x1.fffffep63F : kBelowOne;
  if (!IsNormal(multiplier) || multiplier > most) {
    return check->Fail(Status::kWeightScale, at, Bits(multiplier),
                       Bits(NearestNormal(multiplier, most)));
  }
  return true;
}

bool LoadScale(const CheckedLayer& layer, std::uint32_t slot, float* scale, Checker* check) {
  return check->Load(Walk::kScales, layer.at + layer.layout.weight_scale + slot * 4, scale);
}

// A residual's factors are normal and one shift serves them all; sets that shift.
bool CheckResidual(const CheckedLayer& layer, const WeightedScales& scales, std::int32_t* shift,
                   Checker* check) {
  *shift = 0;
  if (layer.record.input2 == kNoTensor) return true;
  const std::uint64_t scales_at = layer.at + layer.layout.weight_scale;
  std::uint32_t largest_slot = 0;
  float largest = 0.0F;
  for (std::uint32_t channel = 0; channel < layer.record.output_channels; ++channel) {
    const std::uint32_t slot = SlotOf(layer.panels, channel);
    float scale;
    if (!LoadScale(layer, slot, &scale, check)) return false;
    for (const float value : {scales.ResidualUnit(scale), scales.ResidualFactor(scale)}) {
      if (!IsNormal(value)) {
        return check->Fail(Status::kWeightScale, scales_at + slot * 4, Bits(value),
                           Bits(NearestNormal(value, kMostNormal)));
      }
    }
    const float factor = scales.ResidualFactor(scale);
    if (factor > largest) {
      largest = factor;
      largest_slot = slot;
    }
  }
  if (!IsFixedPoint(largest)) {
    return check->Fail(Status::kFixedPoint, scales_at + largest_slot * 4, Bits(largest),
                       Bits(NearestFixedPoint(largest)));
  }
  *shift = FixedPointShift(largest);
  return true;
}

// 255 * 127 * K + max|b| + max|residual| < 2^31 (FORMAT.md 6.4): no sum of products can overflow.
bool CheckBias(const CheckedLayer& layer, const WeightedScales& scales, const Slot& slot, bool real,
               Checker* check) {
  const std::uint64_t at = layer.at + layer.layout.bias_mu + slot.index * 4;
  std::int32_t mu;
  if (!check->Load(Walk::kBiases, at, &mu)) return false;
  std::int64_t bound = mu < 0 ? -std::int64_t{mu} : mu;
  if (layer.bayesian) {
    std::uint16_t level;
    std::uint8_t shift;
    if (!check->Load(Walk::kLevels, layer.at + layer.layout.bias_level + slot.index * 2, &level) ||
        !check->Load(Walk::kShifts, layer.at + layer.layout.bias_shift + slot.index, &shift)) {
      return false;
    }
    bound += ((level * kMaxEpsilon) >> (shift & 31)) + 1;
  }
  bound += std::int64_t{255} * 127 * layer.panels.inputs;
  if (slot.residual_shift != 0 && real) {
    const std::int64_t factor =
        FixedPoint(scales.ResidualFactor(slot.weight_scale), slot.residual_shift);
    bound += (255 * factor + (std::int64_t{1} << (slot.residual_shift - 1))) >> slot.residual_shift;
  }
  if (bound > static_cast<std::int64_t>(kMaxAccumulator)) {
    return check->Fail(Status::kAccumulatorOverflow, at, static_cast<std::uint64_t>(bound),
                       kMaxAccumulator);
  }
  return true;
}

// The slots of the panel at `mu`. The sampler draws a bias for every slot; only real channels are
// requantized.
bool CheckSlots(const CheckedLayer& layer, const WeightedScales& scales, std::uint32_t panel,
                std::int32_t residual_shift, Checker* check) {
  for (std::uint32_t c = 0; c < layer.panels.width(panel); ++c) {
    Slot slot{layer.panels.slot(panel) + c, 0.0F, residual_shift};
    if (!LoadScale(layer, slot.index, &slot.weight_scale, check)) return false;
    const bool real = c < layer.panels.channels(panel);
    if (real && !CheckScales(layer, scales, slot, check)) return false;
    if (!CheckBias(layer, scales, slot, real, check)) return false;
  }
  return true;
}

[[gnu::noinline]] bool CheckWeighted(const LayerRecord& record, std::uint64_t at, Checker* check) {
  const CheckedLayer layer{.record = record,
                           .at = at,
                           .panels = MakePanelLayout(record),
                           .layout = ParametersOf(record),
                           .bayesian = (record.flags & kLayerBayesian) != 0};
  const WeightedScales scales = ScalesOf(record, check->view);
  std::int32_t residual_shift;
  if (!CheckPanelBits(layer, check)) return false;
  if (layer.bayesian && !CheckShifts(layer, check)) return false;
  if (!CheckResidual(layer, scales, &residual_shift, check)) return false;
  for (MuCursor mu(record, layer.panels); mu.panel() < layer.panels.panel_count(); mu.Next()) {
    if (!TakeMuBits(layer, &mu, check) ||
        !CheckSlots(layer, scales, mu.panel(), residual_shift, check) ||
        !CheckMeans(layer, mu, check) || !CheckPadding(layer, mu, check)) {
      return false;
    }
  }
  return true;
}

// A number that follows from scales is normal and at most `most`; else the scale of a tensor,
// `index`, is wrong.
bool CheckDerived(float value, float most, std::uint32_t index, Checker* check) {
  if (IsNormal(value) && value <= most) return true;
  return check->FailTensor(Status::kWeightScale, index, offsetof(TensorRecord, scale), Bits(value),
                           Bits(NearestNormal(value, most)));
}

bool CheckAveragePool(const LayerRecord& record, const Operands& operands, Checker* check) {
  const float ratio = ScaleRatio(operands.input, &operands.output);
  const float area = static_cast<float>(std::uint32_t{record.kernel_h} * record.kernel_w);
  return CheckDerived(ratio, kMostNormal, record.output, check) &&
         CheckDerived(ratio / area, 1.0F, record.output, check);
}

// Both factors are normal, and one shift serves both.
bool CheckAdd(const LayerRecord& record, const Operands& operands, Checker* check) {
  const SumFactors factors = MakeSumFactors(operands.input, operands.input2, operands.output);
  if (!CheckDerived(factors.a, kMostNormal, record.input, check) ||
      !CheckDerived(factors.b, kMostNormal, record.input2, check)) {
    return false;
  }
  const float largest = factors.largest();
  if (IsFixedPoint(largest)) return true;
  return check->FailTensor(Status::kFixedPoint, largest == factors.a ? record.input : record.input2,
                           offsetof(TensorRecord, scale), Bits(largest),
                           Bits(NearestFixedPoint(largest)));
}

// The multiplier is below 1.
bool CheckMultiply(const LayerRecord& record, const Operands& operands, Checker* check) {
  const ProductScales scales = MakeProductScales(operands.input, operands.input2, operands.output);
  return CheckDerived(scales.product, kMostNormal, record.input, check) &&
         CheckDerived(scales.multiplier, kBelowOne, record.output, check);
}

[[gnu::noinline]] bool CheckTensorScales(const LayerRecord& record, Checker* check) {
  Operands operands{check->view.tensor(record.input), {}, check->view.tensor(record.output), false};
  if (record.input2 != kNoTensor) operands.input2 = check->view.tensor(record.input2);
  return CheckScalesOf(record, operands, check);
}

// Rules of one operator for the scales and parameters of a layer; `at` is the parameters' offset.
bool CheckOperator(const LayerRecord& record, std::uint64_t at, Checker* check) {
  const auto op = static_cast<OpCode>(record.op);
  if (IsWeighted(op)) return CheckWeighted(record, at, check);
  if (op == OpCode::kGather) return CheckGather(record, at, check);
  return CheckTensorScales(record, check);
}

[[gnu::noinline]] bool CheckArena(std::uint32_t slots, Checker* check) {
  const View& view = check->view;
  const std::uint64_t arena =
      SumOfParts(MakeArenaSizes(view.model, slots, 1, 0, view.has_stored_noise()));
  if (view.model.arena_bytes == arena) return true;
  return check->FailModel(Status::kArenaBytes, offsetof(ModelRecord, arena_bytes),
                          view.model.arena_bytes, arena);
}

[[gnu::noinline]] bool CheckTotals(std::uint64_t panel_bytes, Checker* check) {
  const View& view = check->view;
  const LayerRecord last = view.layer(view.layer_count() - 1);
  if (view.model.class_count != last.output_channels) {
    return check->FailModel(Status::kClassCount, offsetof(ModelRecord, class_count),
                            view.model.class_count, last.output_channels);
  }
  const std::uint64_t logits = OutputPositions(view.model) * view.model.class_count;
  if (logits > kMaxOutputs) {
    return check->FailModel(Status::kClassCount, offsetof(ModelRecord, output_height), logits,
                            kMaxOutputs);
  }
  if (!CheckOutputs(check)) return false;
  if (view.model.panel_bytes != panel_bytes) {
    return check->FailModel(Status::kPanelBytes, offsetof(ModelRecord, panel_bytes),
                            view.model.panel_bytes, panel_bytes);
  }
  return CheckArena(MakePanelLayout(last).padded_channels, check);
}

}  // namespace

bool CheckScalesOf(const LayerRecord& layer, const Operands& operands, Checker* check) {
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kAveragePool:
      return CheckAveragePool(layer, operands, check);
    case OpCode::kAdd:
      return CheckAdd(layer, operands, check);
    case OpCode::kMultiply:
      return CheckMultiply(layer, operands, check);
    default:
      return true;
  }
}

[[gnu::noinline]] ParameterLayout ParametersOf(const LayerRecord& layer) {
  return MakeParameterLayout(layer);
}

// Shapes have been checked: no overflow.
std::uint64_t ParameterBytes(const LayerRecord& layer, const TensorRecord& output) {
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
    case OpCode::kDense:
      return ParametersOf(layer).bytes;
    case OpCode::kLookup:
      return kLookupBytes * ((layer.flags & kLayerByChannel) != 0 ? layer.output_channels : 1);
    case OpCode::kConcat:
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      return 2 * kLookupBytes;
    case OpCode::kGather:
      return GatherBytes(output);
    case OpCode::kConstant:
      return ConstantBytes(output);
    case OpCode::kMaxPool:
    case OpCode::kAveragePool:
    case OpCode::kAdd:
    case OpCode::kMultiply:
    case OpCode::kSlice:
      break;
  }
  return 0;
}

namespace {

[[gnu::noinline]] std::uint64_t ParameterBytes(const LayerRecord& layer, const View& view) {
  TensorRecord output{};
  if (layer.output != kNoTensor) output = view.tensor(layer.output);
  return ParameterBytes(layer, output);
}

}  // namespace

bool CheckParameters(Checker* check) {
  if (!CheckUnit(Unit::kCheckParameters, ProbeCheckParameters, check)) return false;
  const View& view = check->view;
  std::uint64_t end = 0;
  std::uint64_t panel_bytes = 0;
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    check->layer = static_cast<std::int32_t>(i);
    const LayerRecord record = view.layer(i);
    const std::uint64_t bytes = ParameterBytes(record, view);
    if (record.parameter_offset != end) {
      return check->FailLayer(Status::kParameterLayout, offsetof(LayerRecord, parameter_offset),
                              record.parameter_offset, end);
    }
    if (record.parameter_bytes != bytes) {
      return check->FailLayer(Status::kParameterLayout, offsetof(LayerRecord, parameter_bytes),
                              record.parameter_bytes, bytes);
    }
    if (end + bytes > view.parameters.bytes) {
      return check->FailSection(Status::kParameterLayout, SectionId::kParameters,
                                offsetof(SectionRecord, bytes), view.parameters.bytes, end + bytes);
    }
    const std::uint64_t at = view.parameters.offset + end;
    if (!CheckOperator(record, at, check)) return false;
    const std::uint64_t scratch = PanelScratch(record);
    if (scratch > panel_bytes) panel_bytes = scratch;
    end += bytes;
  }
  check->layer = -1;
  if (end != view.parameters.bytes) {
    return check->FailSection(Status::kParameterLayout, SectionId::kParameters,
                              offsetof(SectionRecord, bytes), view.parameters.bytes, end);
  }
  return CheckTotals(panel_bytes, check);
}

}  // namespace mu8::format
