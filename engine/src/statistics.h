// From the outputs of the passes to a prediction with its uncertainty. Each pass adds to integer
// sums, so the order of passes cannot matter (FORMAT.md section 10, whose names these are).
#pragma once

#include <cstdint>
#include <span>

#include "mu8/mu8.h"

namespace mu8 {

// Whose statistics are those of accumulators, in exact integers.
constexpr bool HasNumbers(Head head) { return head >= Head::kValues; }

// Sums over passes for one image. Probabilities and entropies are in units of 2^-40: at T = 2^16
// passes probabilities reach 2^56, entropies, at most ln 65535 each, 2^60.
struct Sums {
  std::span<std::uint64_t> sum;         // [outputs] of p; numbers: of accumulators, modulo 2^64
  std::span<std::uint64_t> square;      // [outputs] of p^2; numbers: [outputs][2], low half first
  std::span<std::uint64_t> entropy;     // nats, kSoftmax: one, kSigmoid: [outputs]
  std::span<std::uint64_t> noise = {};  // kGaussian: [outputs][2] variances, units of NoiseScale
  std::span<std::uint64_t> clamped_scales = {};  // kGaussian: one
};

// Where a summary goes, each [outputs]; the entropies are empty but for kSigmoid, noise_variance
// but for kGaussian, and kValues where the file has it.
struct Results {
  std::span<float> mean, variance;
  std::span<float> output_entropy = {}, output_expected_entropy = {}, noise_variance = {};
};

void ClearSums(const Sums& sums);

// Adds softmax(logits), or the sigmoid of each, of one pass. Logits are finite. `probabilities`
// [outputs] takes them, unless null.
void AddSoftmax(std::span<const float> logits, const Sums& sums, float* probabilities);
void AddSigmoid(std::span<const float> logits, const Sums& sums, float* probabilities);

// Adds the last layer's accumulators of one pass.
void AddValues(std::span<const std::int32_t> accumulators, const Sums& sums);

// into += from.
void MergeSums(Head head, const Sums& from, const Sums& into);

// The class with the largest value, a sum or a probability; the lowest index among equals.
template <typename T>
std::uint32_t MostProbable(std::span<const T> values) {
  std::uint32_t label = 0;
  for (std::uint32_t c = 1; c < values.size(); ++c) {
    if (values[c] > values[label]) label = c;
  }
  return label;
}

// Fill everything but `ended` and the logits' span.
void SummarizeSoftmax(const Sums& sums, std::uint32_t mc_samples, const Results& results,
                      Prediction* prediction);
void SummarizeSigmoid(const Sums& sums, std::uint32_t mc_samples, const Results& results,
                      Prediction* prediction);
// `multiplier(c)` turns an accumulator of output c into the value.
template <typename Multiplier>
void SummarizeValues(const Sums& sums, std::uint32_t mc_samples, const Multiplier& multiplier,
                     const Results& results, Prediction* prediction);

// Mean and variance of T accumulators with these sums (FORMAT.md 10.3).
void SummarizeValue(std::uint64_t sum, std::uint64_t square_low, std::uint64_t square_high,
                    std::uint32_t mc_samples, float multiplier, float* mean, float* variance);

template <typename Multiplier>
void SummarizeValues(const Sums& sums, std::uint32_t mc_samples, const Multiplier& multiplier,
                     const Results& results, Prediction* prediction) {
  for (std::uint32_t c = 0; c < sums.sum.size(); ++c) {
    SummarizeValue(sums.sum[c], sums.square[2 * c], sums.square[2 * c + 1], mc_samples,
                   multiplier(c), &results.mean[c], &results.variance[c]);
  }
  prediction->label = kNoLabel;
  prediction->mean = results.mean;
  prediction->variance = results.variance;
  prediction->samples_used = mc_samples;
}

}  // namespace mu8
