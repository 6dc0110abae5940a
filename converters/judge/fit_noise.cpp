#include "converters/judge/fit_noise.h"

#include <algorithm>
#include <cmath>

#include "converters/host/error.h"
#include "converters/host/metrics_values.h"
#include "converters/host/target_layout.h"
#include "converters/judge/ensemble_judge.h"
#include "converters/network/head.h"
#include "converters/network/input.h"

namespace mu8::convert {
namespace {

constexpr std::uint32_t kNoisePasses = 64;

// The targets of the calibration data in the order of the outputs.
std::vector<float> TargetsOf(const ConvertOptions& options, const Network& network,
                             const host::Dataset& data, std::vector<std::string>* notices) {
  const Value& output = network.values[static_cast<std::size_t>(network.output)];
  if (output.height * output.width == 1) return data.targets;
  std::string notice;
  std::vector<float> targets = host::ArrangeTargets(
      options.calibration_path, data,
      host::AnswerSpec({output.height, output.width, output.channels}, InputSpecOf(network)),
      &notice);
  if (!notice.empty()) notices->push_back(notice);
  return targets;
}

}  // namespace

std::vector<float> FittedNoise(const ConvertOptions& options, const Network& network,
                               const host::Dataset& data, std::vector<std::string>* notices) {
  const auto channels =
      static_cast<std::size_t>(network.values[static_cast<std::size_t>(network.output)].channels);
  const std::size_t outputs = OutputCount(network);
  if (data.target_width() != outputs) {
    throw host::Error(options.calibration_path + ": --noise fit needs " + std::to_string(outputs) +
                      " targets an input (y), it has " + std::to_string(data.target_width()));
  }
  const std::vector<float> targets = TargetsOf(options, network, data, notices);
  std::vector<float> noise;
  const std::vector<ExpectedOutputs> expected =
      PredictFp32(network, data, data.count, options.seed, kNoisePasses);
  for (std::size_t k = 0; k < channels; ++k) {
    std::vector<float> mean, variance, target;
    double square = 0.0;
    for (std::size_t i = k; i < targets.size(); i += channels) {
      mean.push_back(static_cast<float>(expected[i / outputs].mean[i % outputs]));
      variance.push_back(static_cast<float>(expected[i / outputs].variance[i % outputs]));
      target.push_back(targets[i]);
      square += std::pow(static_cast<double>(target.back()), 2);
    }
    constexpr double kFloor = 1e-8;  // of the targets' mean square
    const double floor = std::max(kFloor * square / static_cast<double>(target.size()), 1e-30);
    noise.push_back(static_cast<float>(host::FitNoise({mean, variance, 1}, target, floor)[0]));
  }
  return noise;
}

}  // namespace mu8::convert
