#include "engine/src/gaussian.h"

#include "engine/src/real.h"
#include "engine/src/unit_probes.h"
#include "engine/src/wide.h"

namespace mu8 {

float ProbeGaussian(float a, float b, float c) { return ProbeFloats(a, b, c); }

void AddVariance(const format::NoiseScale& scale, float r, std::uint64_t* sum,
                 std::uint64_t* clamped) {
  if (scale.clamps(r)) ++*clamped;
  const float variance = scale.variance(r);
  std::uint32_t shift = scale.shift(variance);
  if (shift > format::kMaxVarianceShift) shift = 0;  // bounds that have changed since Open
  AddTo(Shifted(format::NoiseScale::significand(variance), shift), sum);
}

float MeanVariance(const format::NoiseScale& scale, const std::uint64_t* sum,
                   std::uint32_t mc_samples) {
  return ToFloat(ToReal(LoadWide(sum)) / ToReal(mc_samples) * RealFromBits(scale.unit_bits()));
}

void AddGaussian(const format::View& view, const Accumulators& accumulators, const Sums& sums) {
  AddValues(accumulators, sums);
  const std::uint32_t channels = format::OutputChannels(view.model);
  const OutputMultipliers multipliers(view);
  for (std::uint32_t k = 0; k < channels; ++k) {
    const format::NoiseScale scale(view.scale_form(), view.scale_bounds(k));
    const float m = multipliers(channels + k);
    for (std::size_t p = 0; p < accumulators.positions; ++p) {
      AddVariance(scale, static_cast<float>(accumulators(p, channels + k)) * m,
                  &sums.noise[2 * (p * channels + k)], &sums.clamped_scales[0]);
    }
  }
}

void SummarizeNoise(const format::View& view, const Sums& sums, std::uint32_t mc_samples,
                    const Results& results, Prediction* prediction) {
  const std::uint32_t channels = format::OutputChannels(view.model);
  for (std::uint32_t i = 0; i < results.noise_variance.size(); ++i) {
    const format::NoiseScale scale(view.scale_form(), view.scale_bounds(i % channels));
    results.noise_variance[i] = MeanVariance(scale, &sums.noise[2 * i], mc_samples);
  }
  prediction->noise_variance = results.noise_variance;
  constexpr std::uint64_t kMost = 0xffffffff;
  const std::uint64_t clamped = sums.clamped_scales[0];
  prediction->clamped_scales = static_cast<std::uint32_t>(clamped < kMost ? clamped : kMost);
}

}  // namespace mu8
