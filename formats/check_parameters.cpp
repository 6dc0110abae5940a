// Stage three of Open: every layer's parameters are where the shapes say, its integers are in range
// and its int32 accumulators cannot overflow (FORMAT.md, 6 and 8).
#include "formats/arena.h"
#include "formats/arithmetic.h"
#include "formats/bits.h"
#include "formats/check.h"

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

struct WeightedLayer {
  LayerRecord record;
  PanelLayout panels;
  ParameterLayout layout;
  std::uint64_t at;  // file offset of the parameters
  WeightedScales scales;
  bool bayesian;
  std::int32_t residual_shift;  // of a residual; 0: there is none

  MuCursor Mu(const View& view) const {
    return {record, panels, view.Bytes(at + layout.panel_bits)};
  }
  bool has_tables() const {
    return record.mu_bits == kMuBitsByPanel || record.mu_bits <= kMostTableBits;
  }
};

// Multipliers are normal; those of u8 outputs lie below 1, those of logits below 2^64, so that a
// logit is finite: |acc| < 2^31.
bool CheckScales(const WeightedLayer& layer, std::uint32_t slot, Checker* check) {
  const std::uint64_t at = layer.at + layer.layout.weight_scale + slot * 4;
  const float scale = layer.scales.WeightScale(slot);
  if (!IsNormal(scale)) {
    return check->Fail(Status::kWeightScale, at, Bits(scale),
                       Bits(NearestNormal(scale, kMostNormal)));
  }
  const float multiplier = layer.scales.Multiplier(slot);
  const float most = layer.record.output == kNoTensor ? 0x1.fffffep63F : kBelowOne;
  if (!IsNormal(multiplier) || multiplier > most) {
    return check->Fail(Status::kWeightScale, at, Bits(multiplier),
                       Bits(NearestNormal(multiplier, most)));
  }
  return true;
}

// A residual's factors are normal and one shift serves them all; sets that shift.
bool CheckResidual(WeightedLayer* layer, Checker* check) {
  if (layer->record.input2 == kNoTensor) return true;
  const std::uint64_t scales_at = layer->at + layer->layout.weight_scale;
  const std::uint32_t channels = layer->record.output_channels;
  for (std::uint32_t channel = 0; channel < channels; ++channel) {
    const std::uint32_t slot = SlotOf(layer->panels, channel);
    for (const float value :
         {layer->scales.ResidualUnit(slot), layer->scales.ResidualFactor(slot)}) {
      if (!IsNormal(value)) {
        return check->Fail(Status::kWeightScale, scales_at + slot * 4, Bits(value),
                           Bits(NearestNormal(value, kMostNormal)));
      }
    }
  }
  const std::uint32_t slot = layer->scales.LargestResidual(layer->panels, channels);
  const float largest = layer->scales.ResidualFactor(slot);
  if (!IsFixedPoint(largest)) {
    return check->Fail(Status::kFixedPoint, scales_at + slot * 4, Bits(largest),
                       Bits(NearestFixedPoint(largest)));
  }
  layer->residual_shift = FixedPointShift(largest);
  return true;
}

// 255 * 127 * K + max|b| + max|residual| < 2^31 (FORMAT.md 6.4): no sum of products can overflow.
bool CheckBias(const WeightedLayer& layer, std::uint32_t slot, bool real, Checker* check) {
  const View& view = check->view;
  const std::uint64_t at = layer.at + layer.layout.bias_mu + slot * 4;
  const std::int64_t mu = view.Load<std::int32_t>(at);
  std::int64_t bound = mu < 0 ? -mu : mu;
  if (layer.bayesian) {
    const std::int64_t level =
        view.Load<std::uint16_t>(layer.at + layer.layout.bias_level + slot * 2);
    const std::uint8_t shift = *view.Bytes(layer.at + layer.layout.bias_shift + slot);
    bound += ((level * kMaxEpsilon) >> shift) + 1;
  }
  bound += std::int64_t{255} * 127 * layer.panels.inputs;
  if (layer.residual_shift != 0 && real) {
    const std::int64_t factor = FixedPoint(layer.scales.ResidualFactor(slot), layer.residual_shift);
    bound +=
        (255 * factor + (std::int64_t{1} << (layer.residual_shift - 1))) >> layer.residual_shift;
  }
  if (bound > static_cast<std::int64_t>(kMaxAccumulator)) {
    return check->Fail(Status::kAccumulatorOverflow, at, static_cast<std::uint64_t>(bound),
                       kMaxAccumulator);
  }
  return true;
}

bool CheckShifts(const WeightedLayer& layer, Checker* check) {
  const std::uint64_t begin = layer.at + layer.layout.bias_shift;
  const std::uint64_t end = layer.at + layer.layout.codebook;
  for (std::uint64_t at = begin; at < end; ++at) {
    const std::uint8_t shift = *check->view.Bytes(at);
    if (shift < kMinNoiseShift || shift > kMaxNoiseShift) {
      return check->Fail(Status::kShift, at, shift,
                         shift < kMinNoiseShift ? kMinNoiseShift : kMaxNoiseShift);
    }
  }
  return true;
}

// Every panel has a width, and mu_bytes is what they need.
bool CheckPanelBits(const WeightedLayer& layer, Checker* check) {
  if (layer.record.mu_bits != kMuBitsByPanel) return true;
  MuCursor mu = layer.Mu(check->view);
  for (; mu.panel() < layer.panels.panel_count(); mu.Next()) {
    if (mu.bits() < 1 || mu.bits() > kMaxMuBits) {
      return check->Fail(Status::kBitWidth, layer.at + layer.layout.panel_bits + mu.panel(),
                         mu.bits(), mu.bits() < 1 ? 1 : kMaxMuBits);
    }
  }
  if (mu.offset() != layer.record.mu_bytes) {
    return check->FailLayer(Status::kParameterLayout, offsetof(LayerRecord, mu_bytes),
                            layer.record.mu_bytes, mu.offset());
  }
  return true;
}

// No entry is -128, and those that no code names are 0.
bool CheckMuTable(const WeightedLayer& layer, const MuCursor& mu, Checker* check) {
  const std::uint32_t used = mu.bits() <= kMostTableBits ? 1U << mu.bits() : 0;
  const std::uint64_t table = layer.at + layer.layout.mu_table + kMuTableEntries * mu.panel();
  for (std::uint32_t i = 0; i < kMuTableEntries; ++i) {
    const std::uint8_t entry = *check->view.Bytes(table + i);
    if (entry == 0x80 || (i >= used && entry != 0)) {
      return check->Fail(Status::kMuRange, table + i, entry, i < used ? 0x81 : 0);
    }
  }
  return true;
}

// The codes of one panel's means; of 8 bits they are the bytes themselves.
struct PanelCodes {
  const std::uint8_t* mu;
  std::uint64_t at;  // file offset of mu
  std::uint32_t bits;

  PanelCodes(const WeightedLayer& layer, const MuCursor& cursor, const View& view)
      : at(layer.at + layer.layout.mu + cursor.offset()), bits(cursor.bits()) {
    mu = view.Bytes(at);
  }
  std::uint64_t block(std::uint64_t i) const { return i / 64 * 8 * bits; }
  std::uint32_t code(std::uint64_t i) const {
    return bits == 8 ? mu[i] : MuCode(mu + block(i), bits, static_cast<std::uint32_t>(i % 64));
  }
  // File offset of the byte with the highest bits of code i.
  std::uint64_t place(std::uint64_t i) const {
    return at + (bits == 8 ? i : block(i) + CodeByte(BitFloor(bits), i % 64));
  }
};

// No mean is -128.
bool CheckMeans(const WeightedLayer& layer, const MuCursor& cursor, Checker* check) {
  if (layer.has_tables() && !CheckMuTable(layer, cursor, check)) return false;
  const PanelCodes codes(layer, cursor, check->view);
  if (codes.bits <= kMostTableBits) return true;
  const std::uint32_t lowest = 1U << (codes.bits - 1);
  const std::uint64_t bytes = layer.panels.panel_bytes(cursor.panel());
  for (std::uint64_t i = 0; i < bytes; ++i) {
    if (codes.code(i) == lowest) {
      return check->Fail(Status::kMuRange, codes.place(i), lowest, lowest + 1);
    }
  }
  return true;
}

// Padded inputs weigh nothing: they stand against bytes of the next pixel.
bool CheckPadding(const WeightedLayer& layer, const MuCursor& cursor, Checker* check) {
  const std::uint32_t padding = layer.panels.padded_run - layer.panels.run_length;
  if (padding == 0) return true;
  const PanelCodes codes(layer, cursor, check->view);
  const std::uint64_t group_bytes = std::uint64_t{layer.panels.width(cursor.panel())} * 4;
  const std::uint32_t run_groups = layer.panels.padded_run / 4;
  for (std::uint32_t run = 0; run < layer.panels.runs; ++run) {
    const std::uint64_t group = (std::uint64_t{run} * run_groups + run_groups - 1) * group_bytes;
    for (std::uint64_t i = group; i < group + group_bytes; ++i) {
      if (i % 4 < 4 - padding) continue;
      if (codes.code(i) != 0) {
        return check->Fail(Status::kPaddingWeight, codes.place(i), codes.code(i), 0);
      }
    }
  }
  return true;
}

bool CheckWeighted(const LayerRecord& record, std::uint64_t at, Checker* check) {
  const View& view = check->view;
  const TensorRecord input = view.tensor(record.input);
  TensorRecord output{};
  TensorRecord residual{};
  const bool logits = record.output == kNoTensor;
  const bool adds = record.input2 != kNoTensor;
  if (!logits) output = view.tensor(record.output);
  if (adds) residual = view.tensor(record.input2);
  const ParameterLayout layout = MakeParameterLayout(record);
  WeightedLayer layer{.record = record,
                      .panels = MakePanelLayout(record),
                      .layout = layout,
                      .at = at,
                      .scales = {view.Bytes(at + layout.weight_scale), input,
                                 logits ? nullptr : &output, adds ? &residual : nullptr},
                      .bayesian = (record.flags & kLayerBayesian) != 0,
                      .residual_shift = 0};
  if (!CheckPanelBits(layer, check)) return false;
  if (layer.bayesian && !CheckShifts(layer, check)) return false;
  if (!CheckResidual(&layer, check)) return false;
  for (MuCursor mu = layer.Mu(check->view); mu.panel() < layer.panels.panel_count(); mu.Next()) {
    for (std::uint32_t c = 0; c < layer.panels.width(mu.panel()); ++c) {
      const std::uint32_t slot = layer.panels.slot(mu.panel()) + c;
      // The sampler draws a bias for every slot; only real channels are requantized.
      const bool real = c < layer.panels.channels(mu.panel());
      if (real && !CheckScales(layer, slot, check)) return false;
      if (!CheckBias(layer, slot, real, check)) return false;
    }
    if (!CheckMeans(layer, mu, check) || !CheckPadding(layer, mu, check)) return false;
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

// The largest row and the largest byte of a row that `count` places of a gather have.
GatherPlace LargestPlace(std::uint64_t at, std::uint32_t count, const View& view) {
  GatherPlace largest{0, 0};
  for (std::uint32_t i = 0; i < count; ++i, at += sizeof(GatherPlace)) {
    const auto place = view.Load<GatherPlace>(at);
    if (place.row == kOutside) continue;
    if (place.row > largest.row) largest.row = place.row;
    if (place.offset > largest.offset) largest.offset = place.offset;
  }
  return largest;
}

// No value is read from behind the input's last row, or from behind the end of a row. Rows, columns
// and channels are independent, so that their largest places meet in one value.
bool CheckGather(const LayerRecord& record, std::uint64_t at, Checker* check) {
  const TensorRecord input = check->view.tensor(record.input);
  const TensorRecord output = check->view.tensor(record.output);
  std::uint64_t row = 0;
  std::uint64_t offset = 0;
  std::uint64_t table = at;
  for (const std::uint32_t count : {output.height, output.width, output.channels}) {
    const GatherPlace largest = LargestPlace(table, count, check->view);
    row += largest.row;
    offset += largest.offset;
    table += count * sizeof(GatherPlace);
  }
  if (row >= input.height) return check->Fail(Status::kGatherPlace, at, row, input.height - 1);
  const std::uint64_t row_bytes = std::uint64_t{input.width} * input.channels;
  if (offset >= row_bytes) {
    return check->Fail(Status::kGatherPlace, at + offsetof(GatherPlace, offset), offset,
                       row_bytes - 1);
  }
  return true;
}

// Rules of one operator for the scales and parameters of a layer; `at` is the parameters' offset.
bool CheckOperator(const LayerRecord& record, std::uint64_t at, Checker* check) {
  const auto op = static_cast<OpCode>(record.op);
  if (IsWeighted(op)) return CheckWeighted(record, at, check);
  if (op == OpCode::kGather) return CheckGather(record, at, check);
  Operands operands{check->view.tensor(record.input), {}, check->view.tensor(record.output), false};
  if (record.input2 != kNoTensor) operands.input2 = check->view.tensor(record.input2);
  return CheckScalesOf(record, operands, check);
}

bool CheckTotals(std::uint64_t panel_bytes, Checker* check) {
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
  const std::uint64_t arena = SumOfParts(MakeArenaSizes(
      view.model, MakePanelLayout(last).padded_channels, 1, 0, view.has_stored_noise()));
  if (view.model.arena_bytes != arena) {
    return check->FailModel(Status::kArenaBytes, offsetof(ModelRecord, arena_bytes),
                            view.model.arena_bytes, arena);
  }
  return true;
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

// Shapes have been checked: no overflow.
std::uint64_t ParameterBytes(const LayerRecord& layer, const TensorRecord& output) {
  switch (static_cast<OpCode>(layer.op)) {
    case OpCode::kConv2d:
    case OpCode::kDense:
      return MakeParameterLayout(layer).bytes;
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

bool CheckParameters(Checker* check) {
  if (!CheckUnit(Unit::kCheckParameters, ProbeCheckParameters, check)) return false;
  const View& view = check->view;
  std::uint64_t end = 0;
  std::uint64_t panel_bytes = 0;
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    check->layer = static_cast<std::int32_t>(i);
    const LayerRecord record = view.layer(i);
    const bool logits = record.output == kNoTensor;
    const std::uint64_t bytes =
        ParameterBytes(record, logits ? TensorRecord{} : view.tensor(record.output));
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
