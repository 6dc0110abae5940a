#include "bench/layer_data.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

namespace mu8::bench {
namespace {

// One output pixel's accumulators, all channels.
void Accumulate(const LayerData& data, std::span<const std::uint8_t> input, std::uint32_t y,
                std::uint32_t x, std::int32_t* acc) {
  const Shape& shape = data.shape;
  for (std::uint32_t o = 0; o < shape.output_channels; ++o) {
    const std::int8_t* w = data.weights.data() + std::size_t{o} * shape.inputs();
    std::int32_t sum = data.bias[o];
    for (std::uint32_t i = 0; i < shape.kernel; ++i) {
      for (std::uint32_t j = 0; j < shape.kernel; ++j, w += shape.input_channels) {
        const std::uint32_t row = y * shape.stride + i - shape.pad;  // wraps around above the top
        const std::uint32_t col = x * shape.stride + j - shape.pad;
        if (row >= shape.size || col >= shape.size) continue;
        const std::uint8_t* pixel =
            input.data() + (std::size_t{row} * shape.size + col) * shape.input_channels;
        for (std::uint32_t c = 0; c < shape.input_channels; ++c) sum += pixel[c] * w[c];
      }
    }
    acc[o] = sum;
  }
}

}  // namespace

LayerData MakeLayerData(const Shape& shape, std::uint32_t seed, int largest_weight) {
  std::mt19937 random(seed);
  LayerData data{shape, {}, {}, {}, {}};
  data.input.resize(shape.input_bytes());
  for (std::uint8_t& x : data.input) x = static_cast<std::uint8_t>(random() >> 24);
  data.weights.resize(shape.weights());
  const auto values = static_cast<std::uint32_t>(2 * largest_weight + 1);
  for (std::int8_t& w : data.weights) {
    w = static_cast<std::int8_t>(static_cast<int>(random() % values) - largest_weight);
  }
  data.bias.resize(shape.output_channels);
  for (std::int32_t& b : data.bias) b = static_cast<std::int32_t>(random() % 4096) - 2048;
  // The roots of the mean squares are 147 for pixels and 0.58 of the largest weight; 2.5 deviations
  // of a sum become 255.
  const double deviation =
      147.0 * 0.58 * largest_weight * std::sqrt(static_cast<double>(shape.inputs()));
  data.multiplier.resize(shape.output_channels);
  for (std::size_t c = 0; c < data.multiplier.size(); ++c) {
    const double spread = 1.0 + static_cast<double>(c % 7) / 16.0;
    data.multiplier[c] = static_cast<float>(255.0 / (2.5 * deviation) * spread);
  }
  return data;
}

std::vector<std::uint8_t> Reference(const LayerData& data, std::span<const std::uint8_t> input) {
  const Shape& shape = data.shape;
  std::vector<std::uint8_t> output(shape.output_bytes());
  std::vector<std::int32_t> acc(shape.output_channels);
  std::uint8_t* out = output.data();
  for (std::uint32_t y = 0; y < shape.output_size(); ++y) {
    for (std::uint32_t x = 0; x < shape.output_size(); ++x, out += shape.output_channels) {
      Accumulate(data, input, y, x, acc.data());
      for (std::uint32_t c = 0; c < shape.output_channels; ++c) {
        const float q = std::rint(static_cast<float>(acc[c]) * data.multiplier[c]);
        out[c] = static_cast<std::uint8_t>(std::clamp(q, 0.0F, 255.0F));
      }
    }
  }
  return output;
}

}  // namespace mu8::bench
