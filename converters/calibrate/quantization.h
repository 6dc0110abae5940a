// From real activations to u8: the choice of a tensor's scale and zero point.
#pragma once

#include <cstdint>

#include "converters/calibrate/calibration.h"

namespace mu8::convert {

// Scale and zero point of a u8 tensor: x = scale * (q - zero_point), 0.0 exact.
struct Quantization {
  float scale = 1.0F;
  std::uint8_t zero_point = 0;
};

// The range of least mean squared error over the histogram. `non_negative`: the zero point is 0.
Quantization ChooseRange(const ValueStatistics& statistics, bool non_negative);

}  // namespace mu8::convert
