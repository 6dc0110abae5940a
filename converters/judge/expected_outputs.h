// What the passes of an ensemble give for each input, and how far another ensemble is from it: the
// one measure of every head that conversion minimizes and `mu8 diff` reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "converters/network/network.h"

namespace mu8::convert {

// Of one input, by output: probabilities or values, over the passes.
struct ExpectedOutputs {
  std::vector<double> mean, variance;
};

class OutputSums {
 public:
  OutputSums(Head head, std::size_t inputs, std::size_t outputs)
      : head_(head), sums_(inputs, {std::vector(outputs, 0.0), std::vector(outputs, 0.0)}) {}

  // Adds one pass's raw outputs of an input.
  void Add(std::size_t input, std::span<const float> raw);
  std::vector<ExpectedOutputs> Finish(std::uint32_t passes) const;

 private:
  Head head_;
  std::vector<ExpectedOutputs> sums_;  // of the values and of their squares
};

// The spread of each output over inputs and passes, which errors of values are measured in.
std::vector<double> SpreadOf(const std::vector<ExpectedOutputs>& expected);

// How far one input's mean and variance are from what is expected. Of a softmax KL(expected ||
// found), nats; of sigmoids the sum over the labels of KL between Bernoullis, nats; of values the
// sum over the outputs of ((mean - mean')^2 + (deviation - deviation')^2) / spread (the squared
// Wasserstein distance of two Gaussians, in units of the output's variance).
double Distance(Head head, const ExpectedOutputs& expected, const ExpectedOutputs& found,
                const std::vector<double>& spread);

}  // namespace mu8::convert
