#include "converters/calibration.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "converters/covariance.h"
#include "converters/error.h"
#include "converters/fp32_executor.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kBatch = 64;

// Calls visit(value index, pointer to `images` x size floats, images) for every value of every
// batch and pass.
template <typename Visit>
void RunAll(const Network& network, const Dataset& data, int passes, std::uint64_t seed,
            const std::function<void(double)>& progress, const Visit& visit) {
  const std::size_t batch = std::min(kBatch, data.count);
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

// Mean squared error of quantizing to `levels` steps of `scale` from `low` up.
double RangeError(const ValueStatistics& statistics, double scale, double low) {
  const double high = low + 255.0 * scale;
  const double width = (double{statistics.greatest} - double{statistics.least}) / kHistogramBins;
  double error = 0.0;
  for (std::size_t bin = 0; bin < kHistogramBins; ++bin) {
    if (!(statistics.histogram[bin] > 0.0)) continue;
    const double x = double{statistics.least} + (static_cast<double>(bin) + 0.5) * width;
    const double outside = x > high ? x - high : x < low ? low - x : 0.0;
    error += statistics.histogram[bin] * (outside > 0.0 ? outside * outside : scale * scale / 12.0);
  }
  return error;
}

}  // namespace

std::vector<float> Normalize(const Network& network, const Dataset& data, std::size_t first,
                             std::size_t count) {
  const std::size_t bytes = data.image_bytes();
  const auto channels = static_cast<std::size_t>(data.channels);
  std::vector<float> out(count * bytes);
  const std::uint8_t* pixels = data.image(first);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t c = i % channels;
    out[i] = (static_cast<float>(pixels[i]) / 255.0F - network.mean[c]) / network.std[c];
  }
  return out;
}

Calibration Calibrate(const Network& network, const Dataset& data, int passes, std::uint64_t seed,
                      const std::function<void(double)>& progress) {
  Calibration calibration;
  calibration.images = data.count;
  calibration.values.resize(network.values.size());
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    calibration.values[v].mean.assign(network.values[v].size(), 0.0);
    calibration.values[v].power.assign(network.values[v].size(), 0.0);
    calibration.values[v].histogram.assign(kHistogramBins, 0.0);
  }
  const auto half = [&](double offset) {
    return [&progress, offset](double f) {
      if (progress) progress(offset + f / 2);
    };
  };
  RunAll(network, data, passes, seed, half(0.0),
         [&](std::size_t v, const float* x, std::size_t images) {
           AddMoments(x, images, network.values[v].size(), &calibration.values[v]);
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
  if (!problems.empty()) throw Error(problems);
  std::vector<std::unique_ptr<CovarianceCollector>> collectors;
  for (const Node& node : network.nodes) {
    const bool weighted = node.op == Op::kConv2d || node.op == Op::kDense;
    collectors.push_back(weighted ? std::make_unique<CovarianceCollector>(network, node) : nullptr);
  }
  RunAll(network, data, passes, seed, half(0.5),
         [&](std::size_t v, const float* x, std::size_t images) {
           AddHistogram(x, images * network.values[v].size(), &calibration.values[v]);
           for (const int consumer : network.Consumers(static_cast<int>(v))) {
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

InputStatistics WeightInputs(const Network& network, const Node& node,
                             const ValueStatistics& input) {
  if (node.op == Op::kDense) return {input.mean, input.power, {}};
  const Value& in = network.values[static_cast<std::size_t>(node.inputs[0])];
  const Value& out = network.values[static_cast<std::size_t>(node.output)];
  const Window& window = node.window;
  const int group_channels = in.channels / node.groups;
  const double positions = static_cast<double>(out.height) * out.width;
  InputStatistics statistics;
  for (int group = 0; group < node.groups; ++group) {
    for (int ky = 0; ky < window.kernel_h; ++ky) {
      for (int kx = 0; kx < window.kernel_w; ++kx) {
        for (int c = 0; c < group_channels; ++c) {
          double mean = 0.0;
          double power = 0.0;
          for (int oy = 0; oy < out.height; ++oy) {
            const int y = oy * window.stride_h + ky * window.dilation_h - window.pad_top;
            for (int ox = 0; ox < out.width && y >= 0 && y < in.height; ++ox) {
              const int x = ox * window.stride_w + kx * window.dilation_w - window.pad_left;
              if (x < 0 || x >= in.width) continue;
              const auto at = static_cast<std::size_t>((y * in.width + x) * in.channels +
                                                       group * group_channels + c);
              mean += input.mean[at];
              power += input.power[at];
            }
          }
          statistics.mean.push_back(mean / positions);
          statistics.power.push_back(power / positions);
        }
      }
    }
  }
  return statistics;
}

Quantization ChooseRange(const ValueStatistics& statistics, bool non_negative) {
  constexpr int kSteps = 100;
  const double low = non_negative ? 0.0 : std::min(0.0, double{statistics.least});
  const double high = std::max(0.0, double{statistics.greatest});
  if (!(high - low > 0.0)) return {1.0F, 0};  // always zero
  Quantization best;
  double best_error = -1.0;
  for (int step = kSteps; step >= kSteps / 4; --step) {
    const double shrink = static_cast<double>(step) / kSteps;
    const double scale = (high - low) * shrink / 255.0;
    const double zero_point = std::nearbyint(-low * shrink / scale);
    const double error = RangeError(statistics, scale, -zero_point * scale);
    if (best_error < 0.0 || error < best_error) {
      best_error = error;
      best = {static_cast<float>(scale), static_cast<std::uint8_t>(zero_point)};
    }
  }
  return best;
}

InputQuantization QuantizeInput(const Network& network, const Dataset& data) {
  const auto channels = static_cast<std::size_t>(data.channels);
  std::vector<double> count(channels * 256, 0.0);
  for (std::size_t i = 0; i < data.pixels.size(); ++i)
    count[i % channels * 256 + data.pixels[i]] += 1;
  std::vector<double> value(channels * 256);
  double low = 0.0;
  double high = 0.0;
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t u = 0; u < 256; ++u) {
      value[c * 256 + u] =
          (static_cast<double>(u) / 255.0 - double{network.mean[c]}) / double{network.std[c]};
      low = std::min(low, value[c * 256 + u]);
      high = std::max(high, value[c * 256 + u]);
    }
  }
  const auto stored = [](double x, double scale, double z) {
    return std::clamp(std::nearbyint(x / scale) + z, 0.0, 255.0);
  };
  // The scales around the one that just covers all pixels; images are often mostly one value (a
  // black background), and some scale hits it exactly.
  constexpr int kScales = 400;
  InputQuantization best;
  double best_error = -1.0;
  for (int step = 0; step < kScales; ++step) {
    const double scale = (high - low) / 255.0 * (0.95 + 0.25 * step / kScales);
    const double z = std::clamp(std::nearbyint(-low / scale), 0.0, 255.0);
    double error = 0.0;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const double e = (stored(value[i], scale, z) - z) * scale - value[i];
      error += count[i] * e * e;
    }
    if (best_error < 0.0 || error < best_error) {
      best_error = error;
      best.quantization = {static_cast<float>(scale), static_cast<std::uint8_t>(z)};
    }
  }
  for (const double x : value) {
    best.table.push_back(static_cast<std::uint8_t>(
        stored(x, double{best.quantization.scale}, best.quantization.zero_point)));
  }
  return best;
}

}  // namespace mu8::convert
