#include "converters/calibrate/input_quantization.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>

#include "converters/fp32/executor.h"
#include "converters/network/input.h"

namespace mu8::convert {
namespace {

double Stored(double x, double scale, double zero_point) {
  return std::clamp(std::nearbyint(x / scale) + zero_point, 0.0, 255.0);
}

InputQuantization QuantizePixels(const Network& network, const host::Dataset& data) {
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
      const double e = (Stored(value[i], scale, z) - z) * scale - value[i];
      error += count[i] * e * e;
    }
    if (best_error < 0.0 || error < best_error) {
      best_error = error;
      best.quantization = {static_cast<float>(scale), static_cast<std::uint8_t>(z)};
    }
  }
  for (const double x : value) {
    best.table.push_back(static_cast<std::uint8_t>(
        Stored(x, double{best.quantization.scale}, best.quantization.zero_point)));
  }
  return best;
}

// ---- Numbers ----

constexpr double kRooms[] = {4.0, 2.0, 1.5, 1.25, 1.0};
constexpr double kFewLevels = 16;
constexpr std::size_t kMostNamed = 3;
constexpr std::size_t kBatch = 16;

struct Range {
  float low = 0.0F, high = 0.0F;  // 0.0 always is a stored value
};

Range RangeOf(std::span<const float> inputs) {
  Range range;
  for (const float x : inputs) {
    range.low = std::min(range.low, x);
    range.high = std::max(range.high, x);
  }
  if (range.low == range.high) range.high = 1.0F;  // zeros only
  return range;
}

// `room` times as wide, as much on each side.
Quantization Widen(const Range& range, double room) {
  const double width = double{range.high} - double{range.low};
  const double more = (room - 1.0) / 2.0 * width;
  const double scale = room * width / 255.0;
  const double zero_point = std::nearbyint((more - double{range.low}) / scale);
  return {static_cast<float>(scale), static_cast<std::uint8_t>(std::clamp(zero_point, 0.0, 255.0))};
}

// The root mean square over the outputs of their change, each in its own standard deviation.
double OutputError(std::span<const float> exact, std::span<const float> rounded,
                   std::size_t outputs) {
  double sum = 0.0;
  std::size_t varying = 0;
  for (std::size_t c = 0; c < outputs; ++c) {
    double mean = 0.0, square = 0.0, error = 0.0, count = 0.0;
    for (std::size_t i = c; i < exact.size(); i += outputs, ++count) {
      const auto x = static_cast<double>(exact[i]);
      const double d = static_cast<double>(rounded[i]) - x;
      mean += x, square += x * x, error += d * d;
    }
    const double variance = square / count - mean / count * (mean / count);
    if (!(variance > 0.0)) continue;
    sum += error / count / variance;
    ++varying;
  }
  return varying == 0 ? 0.0 : std::sqrt(sum / static_cast<double>(varying));
}

// Channels whose values differ and yet share a few levels, by name of their index.
std::string CoarseChannels(std::span<const float> inputs, std::size_t channels, float scale) {
  std::vector<Range> ranges(channels);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Range& range = ranges[i % channels];
    const bool first = i < channels;
    range.low = first ? inputs[i] : std::min(range.low, inputs[i]);
    range.high = first ? inputs[i] : std::max(range.high, inputs[i]);
  }
  std::string text;
  std::size_t found = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    const double levels = (double{ranges[c].high} - double{ranges[c].low}) / double{scale};
    if (levels == 0.0 || levels >= kFewLevels || ++found > kMostNamed) continue;
    text += (text.empty() ? "" : ", ") + std::to_string(c);
  }
  if (found > kMostNamed) text += " and " + std::to_string(found - kMostNamed) + " more";
  return text;
}

std::vector<float> Affine(const Network& network, const Quantization& quantization) {
  std::vector<float> affine;
  for (std::size_t c = 0; c < network.std.size(); ++c) {
    const double gain = 1.0 / (double{network.std[c]} * double{quantization.scale});
    affine.push_back(static_cast<float>(gain));
    affine.push_back(static_cast<float>(quantization.zero_point - double{network.mean[c]} * gain));
  }
  return affine;
}

void NotePoorInput(const Network& network, std::span<const float> inputs,
                   InputQuantization* input) {
  if (input->output_error <= kLittle) return;
  char percent[32];
  std::snprintf(percent, sizeof(percent), "%.1f", 100.0 * input->output_error);
  std::string text = "rounding the inputs to 8 bits changes the outputs by " +
                     std::string(percent) + " % of their spread";
  const std::string coarse = CoarseChannels(inputs, network.std.size(), input->quantization.scale);
  if (!coarse.empty()) {
    text +=
        ": inputs " + coarse +
        " (from 0) vary by fewer than 16 of 256 steps, for their values lie far from 0; train "
        "the network on standardized inputs and give --mean and --std (one that standardizes its "
        "inputs itself: export it without that part)";
  } else {
    text += ": the network tells inputs apart that are closer than a step of the stored range";
  }
  input->notices.push_back(text);
}

InputQuantization QuantizeNumbers(const Network& network, const host::Dataset& data) {
  const std::vector<float> inputs = Normalize(network, data, 0, data.count);
  const Range range = RangeOf(inputs);
  const std::vector<float> exact = MeanOutputs(network, inputs);
  const std::size_t outputs = exact.size() / data.count;
  InputQuantization input;
  for (const double room : kRooms) {
    input.room = room;
    input.quantization = Widen(range, room);
    const auto scale = double{input.quantization.scale};
    const double zero_point = input.quantization.zero_point;
    std::vector<float> rounded;
    for (const float x : inputs) {
      rounded.push_back(
          static_cast<float>((Stored(double{x}, scale, zero_point) - zero_point) * scale));
    }
    input.output_error = OutputError(exact, MeanOutputs(network, rounded), outputs);
    if (input.output_error <= kLittle) break;
  }
  input.affine = Affine(network, input.quantization);
  NotePoorInput(network, inputs, &input);
  return input;
}

}  // namespace

std::vector<float> MeanOutputs(const Network& network, std::span<const float> inputs) {
  const std::size_t size = network.values[static_cast<std::size_t>(network.input)].size();
  const std::size_t outputs = network.values[static_cast<std::size_t>(network.output)].size();
  const std::size_t count = inputs.size() / size, batch = std::min(kBatch, count);
  SampledWeights weights;
  MeanWeights(network, &weights);
  Fp32Executor executor(network, static_cast<int>(batch), false);
  executor.SetWeights(weights);
  std::vector<float> found(count * outputs);
  for (std::size_t first = 0; first < count; first += batch) {
    const std::size_t begin = std::min(first, count - batch);  // all batches have one size
    executor.Run(inputs.data() + begin * size);
    const float* values = executor.value(network.output);
    std::copy(values, values + batch * outputs,
              found.begin() + static_cast<std::ptrdiff_t>(begin * outputs));
  }
  return found;
}

InputQuantization QuantizeInput(const Network& network, const host::Dataset& data) {
  return data.is_numbers() ? QuantizeNumbers(network, data) : QuantizePixels(network, data);
}

}  // namespace mu8::convert
