#include "converters/quantize/weight_scale.h"

#include <algorithm>
#include <cmath>

#include "converters/quantize/noise_moments.h"

namespace mu8::convert {
namespace {

// Candidate scales differ by this ratio: finer brings no measurable gain on LeNet-5.
constexpr double kScaleRatio = 1.04;
// A scale may cut the largest mean to this fraction, or cover it plus this many sigmas.
constexpr double kLeastCover = 0.7;
constexpr double kMostSigmas = 3.0;

bool Clips(std::int32_t mu, std::int32_t level, std::int32_t shift) {
  const std::int32_t noise = Levels(shift).max_noise[static_cast<std::size_t>(level)];
  return std::abs(mu) + noise > kMaxWeight;
}

std::int32_t RoundedMu(double mu) {
  return static_cast<std::int32_t>(
      std::clamp(std::nearbyint(mu), -double{kMaxWeight}, double{kMaxWeight}));
}

double ScaleCost(const ChannelView& channel, double scale, double max_sigma, double true_variance) {
  const std::int32_t shift = ChooseShift(max_sigma / scale);
  const LevelTable& levels = Levels(shift);
  double mean_error = 0.0;
  double produced = 0.0;
  for (std::size_t k = 0; k < channel.mu.size(); ++k) {
    const double mu = channel.mu[k] / scale;
    const double sigma = channel.sigma.empty() ? 0.0 : channel.sigma[k] / scale;
    const int level = levels.Nearest(sigma * sigma);
    std::int32_t stored = RoundedMu(mu);
    double mean = stored;
    double variance = levels.variance[static_cast<std::size_t>(level)];
    if (Clips(stored, level, shift)) {
      stored = FitMu(mu, level, shift);
      const ClampedMoments moments = WeightMoments(stored, level, shift);
      mean = moments.mean;
      variance = moments.variance;
    }
    mean_error += channel.importance[k] * (mean - mu) * (mean - mu);
    produced += channel.importance[k] * variance;
  }
  const double unit = scale * scale;
  const double kept = true_variance > 0.0 ? produced * unit / true_variance : 1.0;
  return mean_error * unit + 0.5 * true_variance * (kept - 1.0) * (kept - 1.0);
}

}  // namespace

std::int8_t FitMu(double mu, std::int32_t level, std::int32_t shift) {
  std::int32_t best = RoundedMu(mu);
  if (!Clips(best, level, shift)) return static_cast<std::int8_t>(best);
  double error = std::abs(WeightMoments(best, level, shift).mean - mu);
  const std::int32_t direction = mu < 0.0 ? -1 : 1;  // clamping pulls the mean towards zero
  while (std::abs(best + direction) <= kMaxWeight) {
    const double next = std::abs(WeightMoments(best + direction, level, shift).mean - mu);
    if (next >= error) break;
    best += direction;
    error = next;
  }
  return static_cast<std::int8_t>(best);
}

FittedWeight FitWeight(double mu, double sigma, std::int32_t shift) {
  const double target = sigma * sigma;
  int level = Levels(shift).Nearest(target);
  std::int8_t stored = FitMu(mu, level, shift);
  if (!Clips(stored, level, shift)) return {stored, static_cast<std::uint8_t>(level)};
  // Clamping takes variance away: raise the level until it is back, or cannot grow.
  FittedWeight best{stored, static_cast<std::uint8_t>(level)};
  double error = std::abs(WeightMoments(stored, level, shift).variance - target);
  while (level < 255) {
    level = std::min(255, level + std::max(1, level / 16));
    if (IsTieLevel(level, shift)) continue;
    stored = FitMu(mu, level, shift);
    const double next = std::abs(WeightMoments(stored, level, shift).variance - target);
    if (next >= error) break;
    best = {stored, static_cast<std::uint8_t>(level)};
    error = next;
  }
  return best;
}

float ChooseWeightScale(const ChannelView& channel, float fallback) {
  double least = 0.0;
  double most = 0.0;
  double max_sigma = 0.0;
  double true_variance = 0.0;
  for (std::size_t k = 0; k < channel.mu.size(); ++k) {
    const double sigma = channel.sigma.empty() ? 0.0 : double{channel.sigma[k]};
    least = std::max(least, std::abs(double{channel.mu[k]}));
    most = std::max(most, std::abs(double{channel.mu[k]}) + kMostSigmas * sigma);
    max_sigma = std::max(max_sigma, sigma);
    true_variance += channel.importance[k] * sigma * sigma;
  }
  if (!(most > 0.0)) return fallback;
  // Means may be tiny beside sigma; one sigma is the least that any scale must cover.
  least = std::max(kLeastCover * least, max_sigma);
  double best_scale = most / kMaxWeight;
  double best_cost = ScaleCost(channel, best_scale, max_sigma, true_variance);
  for (double cover = most / kScaleRatio; cover >= least; cover /= kScaleRatio) {
    const double cost = ScaleCost(channel, cover / kMaxWeight, max_sigma, true_variance);
    if (cost < best_cost) {
      best_cost = cost;
      best_scale = cover / kMaxWeight;
    }
  }
  return static_cast<float>(best_scale);
}

}  // namespace mu8::convert
