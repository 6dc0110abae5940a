#include "converters/calibrate/input_quantization.h"

#include <algorithm>
#include <cmath>

namespace mu8::convert {

InputQuantization QuantizeInput(const Network& network, const host::Dataset& data) {
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
