// From logits to a prediction with its uncertainty. Each pass adds to integer sums, so the order of
// passes cannot matter (FORMAT.md section 10).
#pragma once

#include <cstdint>
#include <span>

#include "mu8/mu8.h"

namespace mu8 {

// Sums over passes for one image, in units of 2^-40. At T = 2^16 passes probabilities reach 2^56
// and entropies, at most ln 65535 each, 2^60.
struct Sums {
  std::span<std::uint64_t> probability;  // [classes] sum of p
  std::span<std::uint64_t> square;       // [classes] sum of p^2
  std::uint64_t* entropy;                // sum of H(p), nats
};

void ClearSums(const Sums& sums);

// Adds softmax(logits) of one pass. Logits are finite. `probabilities` [classes] takes it, unless
// null.
void AddPass(std::span<const float> logits, const Sums& sums, float* probabilities);

// into += from.
void MergeSums(const Sums& from, const Sums& into);

// The class with the largest value, a sum or a probability; the lowest index among equals.
template <typename T>
std::uint32_t MostProbable(std::span<const T> values) {
  std::uint32_t label = 0;
  for (std::uint32_t c = 1; c < values.size(); ++c) {
    if (values[c] > values[label]) label = c;
  }
  return label;
}

// Fills everything but the logits' span. `mean` and `variance` are [classes].
void Summarize(const Sums& sums, std::uint32_t mc_samples, std::span<float> mean,
               std::span<float> variance, Prediction* prediction);

}  // namespace mu8
