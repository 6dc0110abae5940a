#include "converters/calibrate/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "converters/calibrate/covariance.h"
#include "converters/fp32/executor.h"
#include "converters/host/error.h"
#include "converters/network/input.h"

namespace mu8::convert {
namespace {

// Calls visit(value index, pointer to `images` x size floats, images) for every value of every
// batch and pass.
template <typename Visit>
void RunAll(const Network& network, const host::Dataset& data, int passes, std::uint64_t seed,
            std::size_t images_at_a_time, const std::function<void(double)>& progress,
            const Visit& visit) {
  const std::size_t batch = std::min(images_at_a_time, data.count);
  Fp32Executor executor(network, static_cast<int>(batch));
  SampledWeights weights;
  for (int pass = 0; pass < passes; ++pass) {
    SampleGaussian(network, seed, static_cast<std::uint32_t>(pass), &weights);
    executor.SetWeights(weights);
    for (std::size_t first = 0; first < data.count; first += batch) {
      // The last batch reaches back, so that all have one size; only new images are visited.
      const std::size_t begin = std::min(first, data.count - batch);
      executor.Run(Normalize(network, data, begin, batch).data());
      const std::size_t skip = first - begin;
      for (std::size_t v = 0; v < network.values.size(); ++v) {
        const std::size_t size = network.values[v].size();
        visit(v, executor.value(static_cast<int>(v)) + skip * size, batch - skip);
      }
    }
    if (progress) progress(static_cast<double>(pass + 1) / passes);
  }
}

void AddMoments(const float* x, std::size_t images, std::size_t size, ValueStatistics* statistics) {
  double* mean = statistics->mean.data();
  double* power = statistics->power.data();
  float least = statistics->least;
  float greatest = statistics->greatest;
  for (std::size_t image = 0; image < images; ++image, x += size) {
    for (std::size_t i = 0; i < size; ++i) {
      const double value = double{x[i]};
      mean[i] += value;
      power[i] += value * value;
    }
    for (std::size_t i = 0; i < size; ++i) {
      least = std::min(least, x[i]);
      greatest = std::max(greatest, x[i]);
    }
  }
  statistics->least = least;
  statistics->greatest = greatest;
}

void AddRange(const float* x, std::size_t images, Calibration* calibration) {
  std::vector<float>&least = calibration->output_least, &greatest = calibration->output_greatest;
  for (std::size_t i = 0; i < images * least.size(); ++i) {
    const std::size_t at = i % least.size();
    least[at] = std::min(least[at], x[i]);
    greatest[at] = std::max(greatest[at], x[i]);
  }
}

void AddHistogram(const float* x, std::size_t count, ValueStatistics* statistics) {
  const float least = statistics->least;
  const float width = statistics->greatest - least;
  if (!(width > 0.0F)) return;
  const float scale = static_cast<float>(kHistogramBins) / width;
  // Neighbours often fall into one bin; with tables in turn no count waits for the one before it.
  constexpr std::size_t kTables = 4;
  std::vector<std::uint32_t> counts(kTables * (kHistogramBins + 1));  // zeros come last
  for (std::size_t i = 0; i < count; ++i) {
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
  double bytes = 0.0;
  for (const Value& value : network.values) {
    const auto size = static_cast<double>(value.size());
    bytes += size * (4.0 * static_cast<double>(images) + 2 * sizeof(double));
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

std::size_t CalibrationImages(const Network& network, std::uint64_t most_bytes) {
  for (std::size_t images = kMostCalibrationImages; images >= kLeastCalibrationImages;
       images -= kLeastCalibrationImages) {
    if (CalibrationBytes(network, images) <= most_bytes) return images;
  }
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  throw host::Error("calibrating this network needs about " +
                    std::to_string(CalibrationBytes(network, kLeastCalibrationImages) / kMiB + 1) +
                    " MiB, " + std::to_string(most_bytes / kMiB) +
                    " MiB are allowed; give --max-memory if the network is meant to be so large");
}

Calibration Calibrate(const Network& network, const host::Dataset& data, int passes,
                      std::uint64_t seed, const std::function<void(double)>& progress,
                      std::size_t images_at_a_time) {
  Calibration calibration;
  calibration.images = data.count;
  calibration.values.resize(network.values.size());
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    calibration.values[v].mean.assign(network.values[v].size(), 0.0);
    calibration.values[v].power.assign(network.values[v].size(), 0.0);
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
  RunAll(network, data, passes, seed, images_at_a_time, half(0.0),
         [&](std::size_t v, const float* x, std::size_t images) {
           AddMoments(x, images, network.values[v].size(), &calibration.values[v]);
           if (v == static_cast<std::size_t>(network.output)) AddRange(x, images, &calibration);
         });
  const double draws = static_cast<double>(data.count) * passes;
  std::vector<std::string> problems;
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    ValueStatistics& statistics = calibration.values[v];
    double total = 0.0;
    for (double& mean : statistics.mean) mean /= draws;
    for (double& power : statistics.power) total += power /= draws;
    if (!std::isfinite(total)) {
      problems.push_back("activation '" + network.values[v].name +
                         "' is not finite on the calibration images");
    }
  }
  if (!problems.empty()) throw host::Error(problems);
  const std::vector<std::vector<int>> consumers = AllConsumers(network);
  std::vector<std::unique_ptr<CovarianceCollector>> collectors;
  for (const Node& node : network.nodes) {
    const bool weighted = node.op == Op::kConv2d || node.op == Op::kDense;
    collectors.push_back(weighted ? std::make_unique<CovarianceCollector>(network, node) : nullptr);
  }
  RunAll(network, data, passes, seed, images_at_a_time, half(0.5),
         [&](std::size_t v, const float* x, std::size_t images) {
           AddHistogram(x, images * network.values[v].size(), &calibration.values[v]);
           for (const int consumer : consumers[v]) {
             const auto& collector = collectors[static_cast<std::size_t>(consumer)];
             if (collector != nullptr) collector->Add(x, images);
           }
         });
  for (const auto& collector : collectors) {
    calibration.covariance.push_back(collector == nullptr ? std::vector<double>{}
                                                          : collector->Covariance());
  }
  return calibration;
}

}  // namespace mu8::convert
