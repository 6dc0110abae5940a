#include "engine/src/statistics.h"

#include "engine/src/real.h"
#include "engine/src/unit_probes.h"
#include "engine/src/wide.h"
#include "formats/real_math.h"

namespace mu8 {

float ProbeStatistics(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::ExpNegative;
using format::LogPositive;

constexpr float kUnit = 1099511627776.0F;     // 2^40
constexpr float kInverseUnit = 1.0F / kUnit;  // exact

// Values here are non-negative and below 2^12, so the product is below 2^53; truncation loses less
// than 2^-40.
std::uint64_t Fixed(float value) { return ToInteger(value * kUnit); }

// a and a's complement have the probability 0 or so below this, and no logarithm.
constexpr float kLeast = 1e-37F;

void SetMoments(const Sums& sums, std::size_t c, Real scale, const Results& results) {
  const Real m = ToReal(sums.sum[c]) * scale;
  const Real v = ToReal(sums.square[c]) * scale - m * m;
  results.mean[c] = ToFloat(m);
  results.variance[c] = Real{} < v ? ToFloat(v) : 0.0F;
}

}  // namespace

void ClearSums(const Sums& sums) {
  for (const auto& part :
       {sums.sum, sums.square, sums.entropy, sums.noise, sums.clamped_scales, sums.error}) {
    for (std::uint64_t& value : part) value = 0;
  }
}

namespace {

// One position, with sums of its own; returns its entropy.
std::uint64_t AddDistribution(std::span<const float> logits, std::uint64_t* sum,
                              std::uint64_t* square, float* probabilities) {
  float top = logits[0];
  for (const float logit : logits) top = logit > top ? logit : top;

  // The normalizer is an integer sum too, so that vector code may add in any order.
  std::uint64_t total = 0;
  for (const float logit : logits) total += Fixed(ExpNegative(logit - top));
  const float normalizer = ToFloat(total) / kUnit;

  // H(p) = ln(normalizer) + sum p (top - logit): one logarithm a pass.
  std::uint64_t entropy = Fixed(LogPositive(normalizer));
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const float below = top - logits[c];
    const float p = ExpNegative(-below) / normalizer;
    if (probabilities != nullptr) probabilities[c] = p;
    sum[c] += Fixed(p);
    square[c] += Fixed(p * p);
    if (p > 0.0F) entropy += Fixed(p * below);
  }
  return entropy;
}

}  // namespace

void AddSoftmax(std::span<const float> logits, const Sums& sums, float* probabilities) {
  const std::size_t classes = logits.size() / sums.entropy.size();
  for (std::size_t p = 0; p < sums.entropy.size(); ++p) {
    const std::size_t first = p * classes;
    sums.entropy[p] += AddDistribution(logits.subspan(first, classes), &sums.sum[first],
                                       &sums.square[first], probabilities);
  }
}

void AddSigmoid(std::span<const float> logits, const Sums& sums, float* probabilities) {
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const float distance = logits[c] < 0.0F ? -logits[c] : logits[c];
    const float e = ExpNegative(-distance);
    const float total = 1.0F + e;
    const float less = e / total;
    const float p = logits[c] >= 0.0F ? 1.0F / total : less;
    if (probabilities != nullptr) probabilities[c] = p;
    sums.sum[c] += Fixed(p);
    sums.square[c] += Fixed(p * p);
    // H(p) = -p ln p - (1 - p) ln(1 - p), with ln of the larger -ln(1 + e), of the other d less.
    sums.entropy[c] += Fixed(LogPositive(total)) + Fixed(less * distance);
  }
}

void AddValues(const Accumulators& accumulators, const Sums& sums) {
  const std::size_t channels = sums.sum.size() / accumulators.positions;
  std::size_t i = 0;
  for (std::size_t p = 0; p < accumulators.positions; ++p) {
    for (std::size_t c = 0; c < channels; ++c, ++i) {
      const std::int64_t acc = accumulators(p, c);
      sums.sum[i] += static_cast<std::uint64_t>(acc);
      AddTo({static_cast<std::uint64_t>(acc * acc), 0}, &sums.square[2 * i]);
    }
  }
}

namespace {

void MergeWide(std::span<const std::uint64_t> from, std::span<std::uint64_t> into) {
  for (std::size_t i = 0; i < into.size(); i += 2) AddTo(LoadWide(&from[i]), &into[i]);
}
void MergeSingle(std::span<const std::uint64_t> from, std::span<std::uint64_t> into) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] += from[i];
}

}  // namespace

void MergeSums(Head head, const Sums& from, const Sums& into) {
  MergeSingle(from.sum, into.sum);
  MergeSingle(from.entropy, into.entropy);
  MergeSingle(from.clamped_scales, into.clamped_scales);
  MergeWide(from.noise, into.noise);
  if (!into.error.empty()) {
    into.error[0] += from.error[0];
    MergeWide(from.error.subspan(1), into.error.subspan(1));
  }
  HasNumbers(head) ? MergeWide(from.square, into.square) : MergeSingle(from.square, into.square);
}

namespace {

// Moments of one position's probabilities; returns the entropy of their mean. Rounding can leave
// it slightly below its bound; an entropy is never negative.
Real SummarizeDistribution(const Sums& sums, std::size_t first, std::size_t classes, Real scale,
                           const Results& results) {
  Real entropy{};
  for (std::size_t c = first; c < first + classes; ++c) {
    SetMoments(sums, c, scale, results);
    if (results.mean[c] < kLeast) continue;
    entropy = entropy - ToReal(sums.sum[c]) * scale * ToReal(LogPositive(results.mean[c]));
  }
  return Real{} < entropy ? entropy : Real{};
}

}  // namespace

void SummarizeSoftmax(const Sums& sums, std::uint32_t mc_samples, const Results& results,
                      Prediction* prediction) {
  const Real scale = ToReal(kInverseUnit) / ToReal(mc_samples);
  const std::size_t positions = sums.entropy.size();
  const std::size_t classes = results.mean.size() / positions;
  Real total{}, expected{};
  for (std::size_t p = 0; p < positions; ++p) {
    const Real entropy = SummarizeDistribution(sums, p * classes, classes, scale, results);
    const Real aleatoric = ToReal(sums.entropy[p]) * scale;
    total = total + entropy;
    expected = expected + aleatoric;
    if (results.output_entropy.empty()) continue;
    results.output_entropy[p] = ToFloat(entropy);
    results.output_expected_entropy[p] = ToFloat(aleatoric);
  }
  // Of one position: divided by 1.
  total = total / ToReal(std::uint64_t{positions});
  expected = expected / ToReal(std::uint64_t{positions});
  prediction->label = positions == 1 ? MostProbable<std::uint64_t>(sums.sum) : kNoLabel;
  prediction->mean = results.mean;
  prediction->variance = results.variance;
  prediction->output_entropy = results.output_entropy;
  prediction->output_expected_entropy = results.output_expected_entropy;
  prediction->predictive_entropy = ToFloat(total);
  prediction->expected_entropy = ToFloat(expected);
  prediction->mutual_information = expected < total ? ToFloat(total - expected) : 0.0F;
  prediction->samples_used = mc_samples;
}

void SummarizeSigmoid(const Sums& sums, std::uint32_t mc_samples, const Results& results,
                      Prediction* prediction) {
  const Real scale = ToReal(kInverseUnit) / ToReal(mc_samples);
  Real predictive{}, expected{};
  for (std::size_t c = 0; c < results.mean.size(); ++c) {
    SetMoments(sums, c, scale, results);
    Real entropy{};
    const Real yes = ToReal(sums.sum[c]) * scale;
    for (const Real share : {yes, ToReal(1.0F) - yes}) {
      const float p = ToFloat(share);
      if (p >= kLeast) entropy = entropy - share * ToReal(LogPositive(p));
    }
    const Real aleatoric = ToReal(sums.entropy[c]) * scale;
    results.output_entropy[c] = ToFloat(entropy);
    results.output_expected_entropy[c] = ToFloat(aleatoric);
    predictive = predictive + entropy;
    expected = expected + aleatoric;
  }
  prediction->label = kNoLabel;
  prediction->mean = results.mean;
  prediction->variance = results.variance;
  prediction->output_entropy = results.output_entropy;
  prediction->output_expected_entropy = results.output_expected_entropy;
  prediction->predictive_entropy = ToFloat(predictive);
  prediction->expected_entropy = ToFloat(expected);
  prediction->mutual_information = expected < predictive ? ToFloat(predictive - expected) : 0.0F;
  prediction->samples_used = mc_samples;
}

void SummarizeValue(std::uint64_t sum, std::uint64_t square_low, std::uint64_t square_high,
                    std::uint32_t mc_samples, float multiplier, float* mean, float* variance) {
  const Real samples = ToReal(mc_samples), scale = ToReal(multiplier);
  const auto total = static_cast<std::int64_t>(sum);
  *mean = ToFloat(ToReal(total) / samples * scale);
  const std::uint64_t magnitude = total < 0 ? 0 - sum : sum;
  const Real spread = ToReal(Spread(magnitude, {square_low, square_high}, mc_samples));
  *variance = ToFloat(spread / (samples * samples) * (scale * scale));
}

}  // namespace mu8
