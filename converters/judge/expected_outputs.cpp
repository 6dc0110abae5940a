#include "converters/judge/expected_outputs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "converters/host/probabilities.h"

namespace mu8::convert {
namespace {

constexpr double kLeastSpread = 1e-8;            // of an output's mean square
constexpr double kConstant = 1e-12;              // of it: FP32's rounding
constexpr double kCoarse = 0.015625 * 0.015625;  // of it: four steps of 8 bits

double NoiseVariance(format::ScaleForm form, double scale) {
  if (form == format::ScaleForm::kLogVariance) return std::exp(scale);
  const double deviation = std::max(scale, 0.0) + std::log1p(std::exp(-std::fabs(scale)));
  return deviation * deviation;
}

}  // namespace

OutputReader::OutputReader(const Network& network)
    : head_(network.head), form_(network.scale_form) {
  const Value& output = network.values[static_cast<std::size_t>(network.output)];
  channels_ = static_cast<std::size_t>(output.channels);
  positions_ = output.size() / channels_;
  of_position_ = OutputCount(network) / positions_;
}

OutputReader::Pass OutputReader::Read(std::span<const float> raw) const {
  Pass pass;
  for (std::size_t position = 0; position < positions_; ++position) {
    const std::span<const float> here = raw.subspan(position * channels_, channels_);
    if (head_ == Head::kSoftmax) {
      const std::vector<double> p = host::Softmax(here);
      pass.value.insert(pass.value.end(), p.begin(), p.end());
      continue;
    }
    for (std::size_t k = 0; k < of_position_; ++k) {
      const auto value = static_cast<double>(here[k]);
      pass.value.push_back(head_ == Head::kSigmoid ? host::Sigmoid(value) : value);
      if (head_ != Head::kGaussian) continue;
      pass.noise.push_back(NoiseVariance(form_, static_cast<double>(here[of_position_ + k])));
    }
  }
  return pass;
}

std::vector<double> OutputReader::Entropies(std::span<const double> values) const {
  std::vector<double> entropies;
  if (head_ == Head::kSigmoid) {
    double sum = 0.0;
    for (const double p : values) sum += host::Entropy(std::array{p, 1.0 - p});
    return {sum};
  }
  if (head_ != Head::kSoftmax) return entropies;
  const std::size_t classes = values.size() / positions_;
  for (std::size_t i = 0; i < values.size(); i += classes) {
    entropies.push_back(host::Entropy(values.subspan(i, classes)));
  }
  return entropies;
}

OutputSums::OutputSums(const Network& network, std::size_t inputs) : reader_(network) {
  const std::vector<double> zeros(reader_.outputs(), 0.0);
  const bool has_noise = network.head == Head::kGaussian;
  sums_.assign(inputs, {zeros, zeros, has_noise ? zeros : std::vector<double>()});
}

OutputReader::Pass OutputSums::Add(std::size_t input, std::span<const float> raw) {
  OutputReader::Pass pass = reader_.Read(raw);
  ExpectedOutputs& sums = sums_[input];
  for (std::size_t c = 0; c < pass.value.size(); ++c) {
    sums.mean[c] += pass.value[c];
    sums.variance[c] += pass.value[c] * pass.value[c];
  }
  for (std::size_t c = 0; c < pass.noise.size(); ++c) sums.noise[c] += pass.noise[c];
  return pass;
}

std::vector<ExpectedOutputs> OutputSums::Finish(std::uint32_t passes) const {
  std::vector<ExpectedOutputs> expected = sums_;
  for (ExpectedOutputs& of : expected) {
    for (double& noise : of.noise) noise /= passes;
    for (std::size_t c = 0; c < of.mean.size(); ++c) {
      of.mean[c] /= passes;
      of.variance[c] = std::max(of.variance[c] / passes - of.mean[c] * of.mean[c], 0.0);
    }
  }
  return expected;
}

double Agreement(Head head, const std::vector<ExpectedOutputs>& a,
                 const std::vector<ExpectedOutputs>& b) {
  std::size_t same = 0, decisions = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::vector<double>&p = a[i].mean, &q = b[i].mean;
    if (head == Head::kSoftmax) {
      same += std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin();
      ++decisions;
      continue;
    }
    for (std::size_t c = 0; c < p.size(); ++c, ++decisions) same += (p[c] > 0.5) == (q[c] > 0.5);
  }
  return static_cast<double>(same) / static_cast<double>(decisions);
}

std::vector<double> SpreadOf(Head head, const std::vector<ExpectedOutputs>& expected) {
  const std::size_t outputs = expected[0].mean.size();
  std::vector<double> spread(outputs, 0.0), square_mean(outputs, 0.0);
  std::vector<std::size_t> constant;
  for (std::size_t c = 0; c < outputs; ++c) {
    double sum = 0.0, square = 0.0, within = 0.0;
    for (const ExpectedOutputs& input : expected) {
      sum += input.mean[c];
      square += input.mean[c] * input.mean[c];
      within += input.variance[c] + (input.noise.empty() ? 0.0 : input.noise[c]);
    }
    const auto count = static_cast<double>(expected.size());
    square_mean[c] = sum / count * (sum / count);
    const double total = std::max(square / count - square_mean[c], 0.0) + within / count;
    if (!(total > kConstant * square_mean[c])) constant.push_back(c);
    // An output that hardly varies would count for more than all others together.
    spread[c] = std::max(total, kLeastSpread * (square_mean[c] + total));
  }
  const double mean =
      std::accumulate(spread.begin(), spread.end(), 0.0) / static_cast<double>(outputs);
  if (head == Head::kReconstruction) std::ranges::fill(spread, mean);
  // One that never does may share its 8 bits with those that do.
  for (const std::size_t c : constant) spread[c] = std::max(mean, kCoarse * square_mean[c]);
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
      if (expected.noise.empty()) continue;
      const double of_noise = std::sqrt(found.noise[c]) - std::sqrt(expected.noise[c]);
      sum += of_noise * of_noise / spread[c];
    }
  }
  return sum;
}

}  // namespace mu8::convert
