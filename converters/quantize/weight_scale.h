// Choosing one output channel's weight scale, and fitting single weights to it. What is "in steps"
// is in units of the weight scale.
#pragma once

#include <cstdint>
#include <span>

namespace mu8::convert {

// One output channel: mu and sigma of its K weights (sigma empty: deterministic) and what an
// error of each counts (weight_quantizer.cpp, Importance).
struct ChannelView {
  std::span<const float> mu;
  std::span<const float> sigma;
  std::span<const double> importance;
};

// The scale that minimises the exactly enumerated error of the sampled weight,
//   sum_k importance_k (E[w_k] - mu_k)^2 + V (rho - 1)^2 / 2,
// V = sum_k importance_k sigma_k^2 and rho the produced fraction of it: up to constants the
// divergence between the layer's true and quantized output, taken as Gaussians. Positive and
// finite; for an all-zero channel `fallback`.
float ChooseWeightScale(const ChannelView& channel, float fallback);

// The stored mu in [-127, 127] whose clamped, sampled mean is nearest to `mu` (in steps).
std::int8_t FitMu(double mu, std::int32_t level, std::int32_t shift);

// A level and mu whose clamped variance and mean are nearest to sigma^2 and mu (in steps).
struct FittedWeight {
  std::int8_t mu;
  std::uint8_t level;
};
FittedWeight FitWeight(double mu, double sigma, std::int32_t shift);

}  // namespace mu8::convert
