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
  std::vector<std::int8_t> weights;  // OHWI. |w| <= 63, so that a pair of products fits in int16:
                                     // oneDNN's AVX2 kernels saturate there, mu8's and XNNPACK's
                                     // do not.
  std::vector<std::int32_t> bias;    // accumulator units
  std::vector<float> multiplier;     // per channel; outputs then span about 0..255
};

LayerData MakeLayerData(const Shape& shape, std::uint32_t seed);

// q = clamp(rint(float(bias + sum x w) * multiplier), 0, 255), NHWC.
std::vector<std::uint8_t> Reference(const LayerData& data, std::span<const std::uint8_t> input);

}  // namespace mu8::bench
