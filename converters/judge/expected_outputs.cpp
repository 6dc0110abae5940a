#include "converters/judge/expected_outputs.h"

#include <algorithm>
#include <cmath>

#include "converters/host/probabilities.h"

namespace mu8::convert {
namespace {

constexpr double kLeastSpread = 1e-8;  // of an output's mean square

}  // namespace

void OutputSums::Add(std::size_t input, std::span<const float> raw) {
  const std::vector<double> p =
      head_ == Head::kSoftmax ? host::Softmax(raw) : std::vector<double>();
  ExpectedOutputs& sums = sums_[input];
  for (std::size_t c = 0; c < raw.size(); ++c) {
    const auto output = static_cast<double>(raw[c]);
    const double value = head_ == Head::kSoftmax   ? p[c]
                         : head_ == Head::kSigmoid ? host::Sigmoid(output)
                                                   : output;
    sums.mean[c] += value;
    sums.variance[c] += value * value;
  }
}

std::vector<ExpectedOutputs> OutputSums::Finish(std::uint32_t passes) const {
  std::vector<ExpectedOutputs> expected = sums_;
  for (ExpectedOutputs& of : expected) {
    for (std::size_t c = 0; c < of.mean.size(); ++c) {
      of.mean[c] /= passes;
      of.variance[c] = std::max(of.variance[c] / passes - of.mean[c] * of.mean[c], 0.0);
    }
  }
  return expected;
}

std::vector<double> SpreadOf(const std::vector<ExpectedOutputs>& expected) {
  std::vector<double> spread(expected[0].mean.size(), 0.0);
  for (std::size_t c = 0; c < spread.size(); ++c) {
    double sum = 0.0, square = 0.0, within = 0.0;
    for (const ExpectedOutputs& input : expected) {
      sum += input.mean[c];
      square += input.mean[c] * input.mean[c];
      within += input.variance[c];
    }
    const auto count = static_cast<double>(expected.size());
    const double mean = sum / count;
    const double total = std::max(square / count - mean * mean, 0.0) + within / count;
    // An output that hardly varies would count for more than all others together.
    spread[c] = std::max(total, kLeastSpread * (mean * mean + total));
  }
  return spread;
}

double Distance(Head head, const ExpectedOutputs& expected, const ExpectedOutputs& found,
                const std::vector<double>& spread) {
  double sum = 0.0;
  if (head == Head::kSoftmax) {
    host::AddDivergence(std::span<const double>(expected.mean), found.mean, &sum);
    return sum;
  }
  for (std::size_t c = 0; c < expected.mean.size(); ++c) {
    if (head == Head::kSigmoid) {
      sum += host::BernoulliDivergence(expected.mean[c], found.mean[c]);
    } else if (spread[c] > 0.0) {
      const double of_mean = found.mean[c] - expected.mean[c];
      const double of_deviation = std::sqrt(found.variance[c]) - std::sqrt(expected.variance[c]);
      sum += (of_mean * of_mean + of_deviation * of_deviation) / spread[c];
    }
  }
  return sum;
}

}  // namespace mu8::convert
