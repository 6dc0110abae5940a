#include "engine/src/reconstruction.h"

#include "engine/src/float_state.h"
#include "engine/src/operators.h"
#include "engine/src/real.h"
#include "engine/src/unit_probes.h"
#include "engine/src/wide.h"
#include "formats/bits.h"

namespace mu8 {

float ProbeReconstruction(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

template <typename Element>
void SetTargets(const format::View& view, const Element* image, std::span<float> targets) {
  const std::uint32_t channels = view.input_channels;
  for (std::uint32_t c = 0; c < channels; ++c) {
    const format::Affine affine = view.target_affine(c);
    for (std::size_t i = c; i < targets.size(); i += channels) {
      targets[i] = static_cast<float>(image[i]) * affine.gain + affine.offset;
    }
  }
}

}  // namespace

void LoadTargets(const format::View& view, const std::uint8_t* image, std::span<float> targets) {
  SetTargets(view, image, targets);
}
void LoadTargets(const format::View& view, const float* image, std::span<float> targets) {
  SetTargets(view, image, targets);
}

std::uint64_t ErrorUnits(float difference, float unit) {
  constexpr auto kMost = static_cast<float>(format::kMostOutputError);
  const float units = difference * difference / unit;
  // Of a unit that has changed since Open they may be below 0, or no number.
  return ToInteger(!(units > 0.0F) ? 0.0F : units < kMost ? units : kMost);
}

void AddError(std::uint64_t units, std::uint64_t* sums) {
  sums[0] += units;
  AddTo(Product(units, units), &sums[1]);
}

void AddReconstruction(const format::View& view, const Accumulators& accumulators,
                       std::span<const float> targets, const Sums& sums) {
  AddValues(accumulators, sums);
  const OutputMultipliers multipliers(view);
  const float unit = view.error_unit();
  std::uint64_t error = 0;
  for (std::uint32_t c = 0; c < accumulators.channels; ++c) {
    const float m = multipliers(c);
    for (std::size_t p = 0; p < accumulators.positions; ++p) {
      const float output = static_cast<float>(accumulators(p, c)) * m;
      error += ErrorUnits(output - targets[p * accumulators.channels + c], unit);
      // Stopped here it is the least of the sum and the most, whatever the order.
      if (error > format::kMostError) error = format::kMostError;
    }
  }
  AddError(error, sums.error.data());
}

void ErrorMoments(const std::uint64_t* sums, std::uint32_t mc_samples, float unit,
                  std::uint64_t outputs, float* mean, float* variance) {
  const Real samples = ToReal(mc_samples), scale = ToReal(unit) / ToReal(outputs);
  *mean = ToFloat(ToReal(sums[0]) / samples * scale);
  const Real spread = ToReal(Spread(sums[0], LoadWide(&sums[1]), mc_samples));
  *variance = ToFloat(spread / (samples * samples) * (scale * scale));
}

float SquaredError(const Prediction& prediction, std::size_t i) {
  if (i >= prediction.target.size()) return format::BitCast<float>(0x7fc00000U);
  const FloatState ieee;
  const float d = prediction.mean[i] - prediction.target[i];
  return d * d + prediction.variance[i];
}

void SummarizeError(const format::View& view, const Sums& sums, std::uint32_t mc_samples,
                    Prediction* prediction) {
  ErrorMoments(sums.error.data(), mc_samples, view.error_unit(), sums.sum.size(),
               &prediction->error, &prediction->error_variance);
}

}  // namespace mu8
