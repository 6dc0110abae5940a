// From the outputs of the passes to a prediction with its uncertainty. Each pass adds to integer
// sums, so the order of passes cannot matter (FORMAT.md section 10, whose names these are).
#pragma once

#include <cstdint>
#include <span>

#include "mu8/config.h"
#include "mu8/mu8.h"

namespace mu8 {

// The head of a model that this build has opened: known beforehand where it has one head alone.
constexpr Head BuiltHead(Head head) {
  constexpr int kHeads = int{config::kSoftmax} + int{config::kSigmoid} + int{config::kValues} +
                         int{config::kGaussian} + int{config::kReconstruction};
  if constexpr (kHeads != 1) return head;
  return config::kSoftmax    ? Head::kSoftmax
         : config::kSigmoid  ? Head::kSigmoid
         : config::kValues   ? Head::kValues
         : config::kGaussian ? Head::kGaussian
                             : Head::kReconstruction;
}

// Whose statistics are those of accumulators, in exact integers.
constexpr bool HasNumbers(Head head) {
  constexpr bool kAny = config::kValues || config::kGaussian || config::kReconstruction;
  return kAny && head >= Head::kValues;
}

// Sums over passes for one image. Probabilities and entropies are in units of 2^-40: at T = 2^16
// passes probabilities reach 2^56, entropies, at most ln 65535 each, 2^60.
struct Sums {
  std::span<std::uint64_t> sum;         // [outputs] of p; numbers: of accumulators, modulo 2^64
  std::span<std::uint64_t> square;      // [outputs] of p^2; numbers: [outputs][2], low half first
  std::span<std::uint64_t> entropy;     // nats, kSoftmax: [positions], kSigmoid: [outputs]
  std::span<std::uint64_t> noise = {};  // kGaussian: [outputs][2] variances, units of NoiseScale
  std::span<std::uint64_t> clamped_scales = {};  // kGaussian: one
  std::span<std::uint64_t> error = {};           // kReconstruction: sum, then [2] sum of squares
};

// Where a summary goes, each [outputs]; the entropies are empty but for kSigmoid, and kSoftmax at
// several positions ([positions]), noise_variance but for kGaussian, and kValues where the file has
// it.
struct Results {
  std::span<float> mean, variance;
  std::span<float> output_entropy = {}, output_expected_entropy = {}, noise_variance = {};
};

// The last layer's accumulators of a pass and image: `channels` at each position, `slots` apart.
struct Accumulators {
  const std::int32_t* first;
  std::size_t positions, channels, slots;

  std::int32_t operator()(std::size_t position, std::size_t channel) const {
    return first[position * slots + channel];
  }
};

void ClearSums(const Sums& sums);

// Adds softmax(logits), of each of sums.entropy.size() positions, or the sigmoid of each, of one
// pass. Logits are finite. `probabilities` [outputs] takes them, unless null.
void AddSoftmax(std::span<const float> logits, const Sums& sums, float* probabilities);
void AddSigmoid(std::span<const float> logits, const Sums& sums, float* probabilities);

// Adds the first channels of each position, as many as the sums have outputs for.
void AddValues(const Accumulators& accumulators, const Sums& sums);

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
// `multiplier(c)` turns an accumulator of channel c of `channels` into the value.
template <typename Multiplier>
void SummarizeValues(const Sums& sums, std::uint32_t mc_samples, const Multiplier& multiplier,
                     std::uint32_t channels, const Results& results, Prediction* prediction);

// Mean and variance of T accumulators with these sums (FORMAT.md 10.3).
void SummarizeValue(std::uint64_t sum, std::uint64_t square_low, std::uint64_t square_high,
                    std::uint32_t mc_samples, float multiplier, float* mean, float* variance);

template <typename Multiplier>
void SummarizeValues(const Sums& sums, std::uint32_t mc_samples, const Multiplier& multiplier,
                     std::uint32_t channels, const Results& results, Prediction* prediction) {
  for (std::uint32_t i = 0; i < sums.sum.size(); ++i) {
    SummarizeValue(sums.sum[i], sums.square[2 * i], sums.square[2 * i + 1], mc_samples,
                   multiplier(i % channels), &results.mean[i], &results.variance[i]);
  }
  prediction->label = kNoLabel;
  prediction->mean = results.mean;
  prediction->variance = results.variance;
  prediction->samples_used = mc_samples;
}

}  // namespace mu8
