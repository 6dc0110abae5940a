// Stage three of Open: what the file says of its outputs beside the last layer (FORMAT.md 8.1).
#include "formats/arithmetic.h"
#include "formats/check.h"
#include "formats/noise.h"
#include "mu8/config.h"

namespace mu8::format {
namespace {

float ProbeCheckOutputs(float a, float b, float c) { return ProbeFloats(a, b, c); }

bool CheckOutputsBytes(std::uint64_t bytes, Checker* check) {
  if (check->view.outputs.bytes == bytes) return true;
  return check->FailSection(Status::kSectionSize, SectionId::kOutputs,
                            offsetof(SectionRecord, bytes), check->view.outputs.bytes, bytes);
}

bool CheckStoredNoise(Checker* check) {
  const View& view = check->view;
  if (!CheckOutputsBytes(std::uint64_t{4} * view.model.class_count, check)) return false;
  for (std::uint32_t c = 0; c < view.model.class_count; ++c) {
    const float variance = view.stored_noise(c);
    if (!IsNormal(variance)) {
      return check->Fail(Status::kOutputParameters,
                         view.outputs.offset + std::uint64_t{c} * sizeof(float), Bits(variance),
                         Bits(NearestNormal(variance, kMostNormal)));
    }
  }
  return true;
}

// The float above a finite one.
constexpr std::uint32_t NextUp(float value) {
  const std::uint32_t bits = Bits(value);
  return value == 0.0F ? 1 : value > 0.0F ? bits + 1 : bits - 1;
}

// Finite and in order, with variances between which an integer of kMostNoiseShift bits beyond a
// float's fits.
bool CheckScaleBounds(ScaleForm form, const ScaleBounds& bounds, std::uint64_t at, Checker* check) {
  constexpr auto kStatus = Status::kOutputParameters;
  const std::uint64_t high_at = at + offsetof(ScaleBounds, high);
  if (!IsFinite(bounds.low)) {
    return check->Fail(kStatus, at, Bits(bounds.low), NearestFinite(bounds.low));
  }
  if (!IsFinite(bounds.high)) {
    return check->Fail(kStatus, high_at, Bits(bounds.high), NearestFinite(bounds.high));
  }
  if (!(bounds.low < bounds.high)) {
    return check->Fail(kStatus, high_at, Bits(bounds.high), NextUp(bounds.low));
  }
  const float least = VarianceOf(form, bounds.low);
  const float most = VarianceOf(form, bounds.high);
  if (!IsNormal(least)) {
    return check->Fail(kStatus, at, Bits(least), Bits(NearestNormal(least, kMostNormal)));
  }
  if (!IsNormal(most)) {
    return check->Fail(kStatus, high_at, Bits(most), Bits(NearestNormal(most, kMostNormal)));
  }
  if (most < least) return check->Fail(kStatus, high_at, Bits(most), Bits(least));
  const std::uint32_t shift = NoiseShift(least, most);
  return shift <= kMaxVarianceShift || check->Fail(kStatus, at, shift, kMaxVarianceShift);
}

bool CheckGaussian(Checker* check) {
  const View& view = check->view;
  const std::uint32_t channels = view.model.class_count;
  if (channels % 2 != 0) {
    return check->FailModel(Status::kHeadShape, offsetof(ModelRecord, class_count), channels,
                            channels == 1 ? 2 : channels - 1);
  }
  const std::uint64_t at = view.outputs.offset;
  if (!CheckOutputsBytes(kOutputsHeaderBytes + channels / 2 * sizeof(ScaleBounds), check)) {
    return false;
  }
  const auto form = view.LoadBehind<std::uint32_t>(at);
  if (form >= kScaleFormCount) {
    return check->Fail(Status::kOutputParameters, at, form, kScaleFormCount - 1);
  }
  const auto zero = view.LoadBehind<std::uint32_t>(at + 4);
  if (zero != 0) return check->Fail(Status::kOutputParameters, at + 4, zero, 0);
  for (std::uint32_t k = 0; k < channels / 2; ++k) {
    if (!CheckScaleBounds(view.scale_form(), view.scale_bounds(k),
                          at + kOutputsHeaderBytes + k * sizeof(ScaleBounds), check)) {
      return false;
    }
  }
  return true;
}

// The outputs are as many as the inputs, in their shape or one behind the other.
bool CheckReconstructionShape(Checker* check) {
  const View& view = check->view;
  const TensorRecord input = view.tensor(0);
  const std::uint32_t channels = view.model.class_count;
  const std::uint64_t pixels = std::uint64_t{input.height} * input.width;
  if (OutputPositions(view.model) == 1) {
    const std::uint64_t outputs = pixels * input.channels;
    return channels == outputs ||
           check->FailModel(Status::kHeadShape, offsetof(ModelRecord, class_count), channels,
                            outputs);
  }
  struct Extent {
    std::size_t field;
    std::uint32_t value, expected;
  };
  for (const auto& [field, value, expected] :
       {Extent{offsetof(ModelRecord, output_height), view.output_height(), input.height},
        Extent{offsetof(ModelRecord, output_width), view.output_width(), input.width},
        Extent{offsetof(ModelRecord, class_count), channels, input.channels}}) {
    if (value != expected) return check->FailModel(Status::kHeadShape, field, value, expected);
  }
  return true;
}

bool CheckReconstruction(Checker* check) {
  const View& view = check->view;
  const std::uint32_t channels = view.tensor(0).channels;
  if (!CheckReconstructionShape(check) ||
      !CheckOutputsBytes(kOutputsHeaderBytes + channels * sizeof(Affine), check)) {
    return false;
  }
  const std::uint64_t at = view.outputs.offset;
  const float unit = view.error_unit();
  constexpr std::uint32_t kExponent = 0x7f800000;
  const std::uint32_t power = Bits(NearestNormal(unit, kMostNormal)) & kExponent;
  if (Bits(unit) != power) {
    return check->Fail(Status::kOutputParameters, at, Bits(unit), power);
  }
  const auto zero = view.LoadBehind<std::uint32_t>(at + 4);
  if (zero != 0) return check->Fail(Status::kOutputParameters, at + 4, zero, 0);
  return CheckAffines(Status::kOutputParameters, at + kOutputsHeaderBytes, channels, check);
}

// Finite, in order, and a normal number apart.
bool CheckRanges(Checker* check) {
  const View& view = check->view;
  constexpr auto kStatus = Status::kOutputParameters;
  const std::uint32_t count = OutputChannels(view.model);
  const std::uint64_t bytes = std::uint64_t{count} * sizeof(OutputRange);
  if (view.ranges.bytes != bytes) {
    return check->FailSection(Status::kSectionSize, SectionId::kRanges,
                              offsetof(SectionRecord, bytes), view.ranges.bytes, bytes);
  }
  for (std::uint32_t c = 0; c < count; ++c) {
    const OutputRange range = view.range(c);
    const std::uint64_t at = view.ranges.offset + std::uint64_t{c} * sizeof(OutputRange);
    const std::uint64_t high_at = at + offsetof(OutputRange, high);
    if (!IsFinite(range.low)) {
      return check->Fail(kStatus, at, Bits(range.low), NearestFinite(range.low));
    }
    if (!IsFinite(range.high)) {
      return check->Fail(kStatus, high_at, Bits(range.high), NearestFinite(range.high));
    }
    const float width = range.high - range.low;
    if (!IsNormal(width)) {
      return check->Fail(kStatus, high_at, Bits(width), Bits(NearestNormal(width, kMostNormal)));
    }
  }
  return true;
}

// The measure of a head that is nearest to a number that is none.
std::uint32_t NearestMeasure(std::uint32_t measure, Head head, bool has_noise) {
  const auto start =
      static_cast<std::uint32_t>(NearestCount(measure, std::uint64_t{kAbstainMeasureEnd} - 1));
  for (std::uint32_t distance = 0;; ++distance) {
    // A number that wraps around is no measure.
    for (const std::uint32_t near : {start - distance, start + distance}) {
      if (FitsHead(static_cast<AbstainMeasure>(near), head, has_noise)) return near;
    }
  }
}

// The measure fits the head, thresholds are finite and not below zero.
bool CheckAbstain(Checker* check) {
  const View& view = check->view;
  constexpr auto kStatus = Status::kAbstain;
  const std::uint64_t at = view.abstain.offset;
  const auto check_size = [&](std::uint64_t bytes, bool right) {
    return right || check->FailSection(Status::kSectionSize, SectionId::kAbstain,
                                       offsetof(SectionRecord, bytes), view.abstain.bytes, bytes);
  };
  constexpr std::uint64_t kLeast = sizeof(AbstainRecord) + sizeof(float);
  if (!check_size(kLeast, view.abstain.bytes >= kLeast)) return false;
  const AbstainRecord record = view.abstain_record();
  const auto measure = static_cast<AbstainMeasure>(record.measure);
  const bool has_noise = view.head() == Head::kGaussian || view.has_stored_noise();
  if (!FitsHead(measure, view.head(), has_noise)) {
    return check->Fail(kStatus, at, record.measure,
                       NearestMeasure(record.measure, view.head(), has_noise));
  }
  const std::uint32_t count = AbstainThresholds(measure, OutputChannels(view.model));
  const std::uint64_t bytes = sizeof(AbstainRecord) + std::uint64_t{count} * sizeof(float);
  if (!check_size(bytes, view.abstain.bytes == bytes)) return false;
  if (record.mc_samples > kMaxSamples) {
    return check->Fail(kStatus, at + offsetof(AbstainRecord, mc_samples), record.mc_samples,
                       kMaxSamples);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t bits = Bits(view.abstain_threshold(i));
    constexpr std::uint32_t kMost = 0x7f7fffff, kSign = 0x80000000;
    if (bits > kMost) {
      return check->Fail(kStatus, at + sizeof(AbstainRecord) + i * sizeof(float), bits,
                         bits >= kSign ? 0 : kMost);
    }
  }
  return true;
}

// Of each layer a step and a factor, in their bounds.
bool CheckMoments(Checker* check) {
  const View& view = check->view;
  const std::uint64_t bytes = view.layer_count() * sizeof(MomentsRecord);
  if (view.moments.bytes != bytes) {
    return check->FailSection(Status::kSectionSize, SectionId::kMoments,
                              offsetof(SectionRecord, bytes), view.moments.bytes, bytes);
  }
  for (std::uint32_t layer = 0; layer < view.layer_count(); ++layer) {
    const MomentsRecord record = view.layer_moments(layer);
    const std::uint64_t at = view.moments.offset + layer * sizeof(MomentsRecord);
    const auto fits = [&](float value, float least, float most, std::uint64_t offset) {
      const std::uint32_t bits = Bits(value);
      if (bits >= Bits(least) && bits <= Bits(most)) return true;  // positive floats, by their bits
      const bool below = bits < Bits(least) || bits >> 31 != 0;
      return check->Fail(Status::kMoments, at + offset, bits, Bits(below ? least : most));
    };
    if (!fits(record.step, kLeastMomentsStep, kMostMomentsStep, offsetof(MomentsRecord, step)) ||
        !fits(record.factor, kLeastMomentsFactor, kMostMomentsFactor,
              offsetof(MomentsRecord, factor))) {
      return false;
    }
  }
  return true;
}

// Of heads that are not built nothing: their files are refused.
bool CheckSection7(Checker* check) {
  switch (check->view.head()) {
    case Head::kSoftmax:
    case Head::kSigmoid:
      break;
    case Head::kValues:
      return !config::kValues || !check->view.has_stored_noise() || CheckStoredNoise(check);
    case Head::kGaussian:
      return !config::kGaussian || CheckGaussian(check);
    case Head::kReconstruction:
      return !config::kReconstruction || CheckReconstruction(check);
  }
  return true;
}

}  // namespace

bool CheckOutputs(Checker* check) {
  if (!CheckUnit(Unit::kCheckOutputs, ProbeCheckOutputs, check)) return false;
  constexpr bool kNumbers = config::kValues || config::kGaussian || config::kReconstruction;
  return CheckSection7(check) && (!kNumbers || !check->view.has_ranges() || CheckRanges(check)) &&
         (!check->view.has_abstain() || CheckAbstain(check)) &&
         (!check->view.has_moments() || CheckMoments(check));
}

}  // namespace mu8::format
