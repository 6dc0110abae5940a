#include "converters/calibrate/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "converters/calibrate/covariance.h"
#include "converters/fp32/pass_runner.h"
#include "converters/host/error.h"
#include "converters/network/input.h"

namespace mu8::convert {
namespace {

// By value: whether a layer with weights reads it.
std::vector<bool> MeetWeights(const Network& network) {
  std::vector<bool> meet(network.values.size(), false);
  for (const Node& node : network.nodes) {
    if (IsWeighted(node.op)) meet[static_cast<std::size_t>(node.inputs[0])] = true;
  }
  return meet;
}

// Runs all images and passes; the values of a few images at a time are `visit`ed.
void RunAll(const Network& network, const host::Dataset& data, int passes, std::uint64_t seed,
            const std::function<void(double)>& progress, const PassRunner::Visit& visit) {
  double done = 0.0;
  PassRunner runner(network, data.count, [&](std::size_t first, std::size_t count) {
    return Normalize(network, data, first, count);
  });
  SampledWeights weights;
  for (int pass = 0; pass < passes; ++pass) {
    SampleGaussian(network, seed, static_cast<std::uint32_t>(pass), &weights);
    runner.Run(weights, [&](int value, std::size_t first, std::span<const float> x) {
      visit(value, first, x);
      if (value != network.output || !progress) return;
      const std::size_t images = x.size() / network.values[static_cast<std::size_t>(value)].size();
      done += static_cast<double>(images);
      progress(done / (static_cast<double>(data.count) * passes));
    });
  }
}

void AddMoments(std::span<const float> x, ValueStatistics* statistics) {
  const std::size_t size = statistics->mean.size();
  double* mean = statistics->mean.data();
  double* power = statistics->power.data();
  for (std::size_t at = 0; size > 0 && at < x.size(); at += size) {
    for (std::size_t i = 0; i < size; ++i) {
      const double value = double{x[at + i]};
      mean[i] += value;
      power[i] += value * value;
    }
  }
  float least = statistics->least;
  float greatest = statistics->greatest;
  for (const float value : x) {
    least = std::min(least, value);
    greatest = std::max(greatest, value);
  }
  statistics->least = least;
  statistics->greatest = greatest;
}

void AddRange(std::span<const float> x, Calibration* calibration) {
  std::vector<float>&least = calibration->output_least, &greatest = calibration->output_greatest;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t at = i % least.size();
    least[at] = std::min(least[at], x[i]);
    greatest[at] = std::max(greatest[at], x[i]);
  }
}

void AddHistogram(std::span<const float> x, ValueStatistics* statistics) {
  const float least = statistics->least;
  const float width = statistics->greatest - least;
  if (!(width > 0.0F)) return;
  const float scale = static_cast<float>(kHistogramBins) / width;
  // Neighbours often fall into one bin; with tables in turn no count waits for the one before it.
  constexpr std::size_t kTables = 4;
  std::vector<std::uint32_t> counts(kTables * (kHistogramBins + 1));  // zeros come last
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::size_t bin =
        std::min(static_cast<std::size_t>((x[i] - least) * scale), kHistogramBins - 1);
    if (x[i] == 0.0F) bin = kHistogramBins;
    ++counts[bin * kTables + i % kTables];
  }
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::size_t bin = i / kTables;
    (bin < kHistogramBins ? statistics->histogram[bin] : statistics->zeros) +=
        static_cast<double>(counts[i]);
  }
}

}  // namespace

std::uint64_t CalibrationBytes(const Network& network, std::size_t images) {
  // In double: sums of hostile sizes saturate instead of wrapping around.
  double bytes = PassRunner::Bytes(network, images);
  const std::vector<bool> meets_weights = MeetWeights(network);
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    const auto size = static_cast<double>(network.values[v].size());
    if (meets_weights[v]) bytes += 2 * sizeof(double) * size;
    bytes += sizeof(double) * kHistogramBins;
  }
  for (const Node& node : network.nodes) {
    bytes +=
        3.0 * sizeof(float) * static_cast<double>(node.weights.mu.size() + node.bias.mu.size());
    if (!IsWeighted(node.op)) continue;
    const auto outputs =
        static_cast<double>(network.values[static_cast<std::size_t>(node.output)].channels);
    const double inputs = static_cast<double>(node.weights.mu.size()) / outputs;
    if (inputs > static_cast<double>(kMaxCovarianceInputs)) continue;
    bytes += 2.0 * sizeof(double) * static_cast<double>(node.groups) * inputs * inputs;
  }
  constexpr double kMost = 9e18;
  return static_cast<std::uint64_t>(std::min(bytes, kMost));
}

Calibration Calibrate(const Network& network, const host::Dataset& data, int passes,
                      std::uint64_t seed, const std::function<void(double)>& progress) {
  Calibration calibration;
  calibration.images = data.count;
  calibration.values.resize(network.values.size());
  const std::vector<bool> meets_weights = MeetWeights(network);
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    const std::size_t elements = meets_weights[v] ? network.values[v].size() : 0;
    calibration.values[v].mean.assign(elements, 0.0);
    calibration.values[v].power.assign(elements, 0.0);
    calibration.values[v].histogram.assign(kHistogramBins, 0.0);
  }
  const std::size_t outputs = network.values[static_cast<std::size_t>(network.output)].size();
  calibration.output_least.assign(outputs, std::numeric_limits<float>::max());
  calibration.output_greatest.assign(outputs, std::numeric_limits<float>::lowest());
  const auto half = [&](double offset) {
    return [&progress, offset](double f) {
      if (progress) progress(offset + f / 2);
    };
  };
  std::vector<double> draws(network.values.size(), 0.0);
  std::vector<bool> is_finite(network.values.size(), true);
  RunAll(network, data, passes, seed, half(0.0),
         [&](int value, std::size_t, std::span<const float> x) {
           const auto v = static_cast<std::size_t>(value);
           AddMoments(x, &calibration.values[v]);
           const std::size_t images = x.size() / network.values[v].size();
           draws[v] += static_cast<double>(images);
           if (!std::ranges::all_of(x, [](float f) { return std::isfinite(f); })) {
             is_finite[v] = false;
           }
           if (value == network.output) AddRange(x, &calibration);
         });
  std::vector<std::string> problems;
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    ValueStatistics& statistics = calibration.values[v];
    for (double& mean : statistics.mean) mean /= draws[v];
    for (double& power : statistics.power) power /= draws[v];
    if (!is_finite[v]) {
      problems.push_back("activation '" + network.values[v].name +
                         "' is not finite on the calibration images");
    }
  }
  if (!problems.empty()) throw host::Error(problems);
  const std::vector<std::vector<int>> consumers = AllConsumers(network);
  std::vector<std::unique_ptr<CovarianceCollector>> collectors;
  for (const Node& node : network.nodes) {
    collectors.push_back(IsWeighted(node.op) ? std::make_unique<CovarianceCollector>(network, node)
                                             : nullptr);
  }
  RunAll(network, data, passes, seed, half(0.5),
         [&](int value, std::size_t first, std::span<const float> x) {
           const auto v = static_cast<std::size_t>(value);
           AddHistogram(x, &calibration.values[v]);
           for (const int consumer : consumers[v]) {
             const auto& collector = collectors[static_cast<std::size_t>(consumer)];
             if (collector == nullptr) continue;
             collector->Add(x.data(), first, x.size() / network.values[v].size());
           }
         });
  for (const auto& collector : collectors) {
    calibration.covariance.push_back(collector == nullptr ? std::vector<double>{}
                                                          : collector->Covariance());
  }
  return calibration;
}

}  // namespace mu8::convert
