#include "engine/src/gaussian.h"

#include "engine/src/wide.h"

namespace mu8 {

void AddVariance(const format::NoiseScale& scale, float r, std::uint64_t* sum,
                 std::uint64_t* clamped) {
  if (scale.clamps(r)) ++*clamped;
  const float variance = scale.variance(r);
  AddTo(Shifted(format::NoiseScale::significand(variance), scale.shift(variance)), sum);
}

float MeanVariance(const format::NoiseScale& scale, const std::uint64_t* sum,
                   std::uint32_t mc_samples) {
  return static_cast<float>(ToDouble(LoadWide(sum)) / static_cast<double>(mc_samples) *
                            scale.unit());
}

void AddGaussian(const format::View& view, std::span<const std::int32_t> accumulators,
                 const Sums& sums) {
  const std::size_t outputs = accumulators.size() / 2;
  AddValues(accumulators.first(outputs), sums);
  const OutputMultipliers multipliers(view);
  for (std::uint32_t k = 0; k < outputs; ++k) {
    const format::NoiseScale scale(view.scale_form(), view.scale_bounds(k));
    const std::size_t channel = outputs + k;
    const float m = multipliers(static_cast<std::uint32_t>(channel));
    AddVariance(scale, static_cast<float>(accumulators[channel]) * m, &sums.noise[2 * k],
                &sums.clamped_scales[0]);
  }
}

void SummarizeNoise(const format::View& view, const Sums& sums, std::uint32_t mc_samples,
                    const Results& results, Prediction* prediction) {
  for (std::uint32_t k = 0; k < results.noise_variance.size(); ++k) {
    const format::NoiseScale scale(view.scale_form(), view.scale_bounds(k));
    results.noise_variance[k] = MeanVariance(scale, &sums.noise[2 * k], mc_samples);
  }
  prediction->noise_variance = results.noise_variance;
  constexpr std::uint64_t kMost = 0xffffffff;
  const std::uint64_t clamped = sums.clamped_scales[0];
  prediction->clamped_scales = static_cast<std::uint32_t>(clamped < kMost ? clamped : kMost);
}

}  // namespace mu8
