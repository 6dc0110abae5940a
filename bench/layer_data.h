// Numbers for one layer, and what a plain loop makes of them: the truth that every side of a
// comparison is checked against before it is timed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bench/shapes.h"

namespace mu8::bench {

struct LayerData {
  Shape shape;
  std::vector<std::uint8_t> input;   // NHWC, zero point 0, 0..255
  std::vector<std::int8_t> weights;  // OHWI
  std::vector<std::int32_t> bias;    // accumulator units
  std::vector<float> multiplier;     // per channel; outputs then span about 0..255
};

// Weights of at most 63: then a sum of two products fits in int16, where oneDNN's AVX2 kernels
// saturate (mu8's and XNNPACK's do not).
inline constexpr int kSafeWeight = 63;
LayerData MakeLayerData(const Shape& shape, std::uint32_t seed, int largest_weight = kSafeWeight);

// q = clamp(rint(float(bias + sum x w) * multiplier), 0, 255), NHWC.
std::vector<std::uint8_t> Reference(const LayerData& data, std::span<const std::uint8_t> input);

}  // namespace mu8::bench
