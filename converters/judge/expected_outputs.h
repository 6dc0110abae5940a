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
  std::vector<double> noise = {};  // gaussian: the mean variance of an observation's noise
};

// What the numbers at a network's end mean (FORMAT.md 10, in double; scales unclamped).
class OutputReader {
 public:
  explicit OutputReader(const Network& network);

  // One pass's outputs of an input, NHWC, as probabilities or values, and the variances of a
  // gaussian's noise.
  struct Pass {
    std::vector<double> value, noise;
  };
  Pass Read(std::span<const float> raw) const;

  // Entropies of an input's probabilities, nats: of a softmax at each position, of labels the sum
  // over all; none of numbers.
  std::vector<double> Entropies(std::span<const double> values) const;

  Head head() const { return head_; }
  std::size_t positions() const { return positions_; }
  std::size_t outputs() const { return positions_ * of_position_; }  // that a user sees

 private:
  Head head_;
  format::ScaleForm form_;
  std::size_t positions_, channels_, of_position_;
};

class OutputSums {
 public:
  OutputSums(const Network& network, std::size_t inputs);

  // Adds one pass's raw outputs of an input; returns them as they were read.
  OutputReader::Pass Add(std::size_t input, std::span<const float> raw);
  std::vector<ExpectedOutputs> Finish(std::uint32_t passes) const;

 private:
  OutputReader reader_;
  std::vector<ExpectedOutputs> sums_;  // of the values and of their squares
};

// The fraction of decisions that are the same: most probable classes, or labels above one half.
double Agreement(Head head, const std::vector<ExpectedOutputs>& a,
                 const std::vector<ExpectedOutputs>& b);

// The spread of each output over inputs and passes, which errors of values are measured in. A
// reconstruction's outputs have one unit, and theirs is the mean: a border that is always black
// would count for more than the picture. So has an output that never varies, or four steps of 8
// bits of its size.
std::vector<double> SpreadOf(Head head, const std::vector<ExpectedOutputs>& expected);

// How far one input's mean and variance are from what is expected. Of a softmax KL(expected ||
// found), nats; of sigmoids the sum over the labels of KL between Bernoullis, nats; of values the
// sum over the outputs of ((mean - mean')^2 + (deviation - deviation')^2) / spread (the squared
// Wasserstein distance of two Gaussians, in units of the output's variance); of gaussians also the
// squared difference of the noise's deviations / spread.
double Distance(Head head, const ExpectedOutputs& expected, const ExpectedOutputs& found,
                const std::vector<double>& spread);

}  // namespace mu8::convert
