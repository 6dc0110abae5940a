#include "engine/src/statistics.h"

#include "engine/src/real_math.h"

namespace mu8 {
namespace {

constexpr float kUnit = 1099511627776.0F;  // 2^40
constexpr double kInverseUnit = 1.0 / 1099511627776.0;

// Values here are non-negative and below 2^12, so the product is below 2^53; truncation loses less
// than 2^-40.
std::uint64_t Fixed(float value) { return static_cast<std::uint64_t>(value * kUnit); }

}  // namespace

void ClearSums(const Sums& sums) {
  for (std::uint64_t& value : sums.probability) value = 0;
  for (std::uint64_t& value : sums.square) value = 0;
  *sums.entropy = 0;
}

void AddPass(std::span<const float> logits, const Sums& sums, float* probabilities) {
  float top = logits[0];
  for (const float logit : logits) top = logit > top ? logit : top;

  // The normalizer is an integer sum too, so that vector code may add in any order.
  std::uint64_t total = 0;
  for (const float logit : logits) total += Fixed(ExpNegative(logit - top));
  const float normalizer = static_cast<float>(total) / kUnit;

  // H(p) = ln(normalizer) + sum p (top - logit): one logarithm a pass.
  std::uint64_t entropy = Fixed(LogPositive(normalizer));
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const float below = top - logits[c];
    const float p = ExpNegative(-below) / normalizer;
    if (probabilities != nullptr) probabilities[c] = p;
    sums.probability[c] += Fixed(p);
    sums.square[c] += Fixed(p * p);
    if (p > 0.0F) entropy += Fixed(p * below);
  }
  *sums.entropy += entropy;
}

void MergeSums(const Sums& from, const Sums& into) {
  for (std::size_t c = 0; c < into.probability.size(); ++c) {
    into.probability[c] += from.probability[c];
    into.square[c] += from.square[c];
  }
  *into.entropy += *from.entropy;
}

void Summarize(const Sums& sums, std::uint32_t mc_samples, std::span<float> mean,
               std::span<float> variance, Prediction* prediction) {
  const double scale = kInverseUnit / mc_samples;
  double predictive = 0.0;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double m = static_cast<double>(sums.probability[c]) * scale;
    const double v = static_cast<double>(sums.square[c]) * scale - m * m;
    mean[c] = static_cast<float>(m);
    variance[c] = v > 0.0 ? static_cast<float>(v) : 0.0F;
    if (mean[c] >= 1e-37F) predictive -= m * static_cast<double>(LogPositive(mean[c]));
  }
  const double expected = static_cast<double>(*sums.entropy) * scale;
  // Rounding can leave either slightly below its bound; an entropy is never negative.
  const double total = predictive > 0.0 ? predictive : 0.0;
  prediction->label = MostProbable<std::uint64_t>(sums.probability);
  prediction->mean = mean;
  prediction->variance = variance;
  prediction->predictive_entropy = static_cast<float>(total);
  prediction->expected_entropy = static_cast<float>(expected);
  prediction->mutual_information = total > expected ? static_cast<float>(total - expected) : 0.0F;
  prediction->samples_used = mc_samples;
}

}  // namespace mu8
