// From pixels to the network's u8 input, normalization included.
#pragma once

#include <cstdint>
#include <vector>

#include "converters/calibrate/quantization.h"
#include "converters/host/datasets.h"
#include "converters/network/network.h"

namespace mu8::convert {

// The input's quantization and its u8 -> u8 tables [channels][256], of least mean squared error
// over the pixels of the calibration set.
struct InputQuantization {
  Quantization quantization;
  std::vector<std::uint8_t> table;
};
InputQuantization QuantizeInput(const Network& network, const host::Dataset& data);

}  // namespace mu8::convert
