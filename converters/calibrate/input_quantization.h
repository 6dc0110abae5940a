// From pixels or numbers to the network's u8 input, normalization included.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "converters/calibrate/quantization.h"
#include "converters/host/datasets.h"
#include "converters/network/network.h"

namespace mu8::convert {

struct InputQuantization {
  Quantization quantization;
  // Pixels: u8 -> u8 [channels][256], of least mean squared error over those of the calibration
  // set.
  std::vector<std::uint8_t> table;
  // Numbers: gain and offset of each channel, q = rint(v * gain + offset) (FORMAT.md 5.1).
  std::vector<float> affine;
  // Numbers: how wide the stored range is, in calibrated ranges, and the RMS change of the outputs
  // by rounding the inputs to it, in standard deviations of each output over the calibration
  // inputs.
  double room = 1.0, output_error = 0.0;
  std::vector<std::string> notices;  // what is poor about it
};

// The range of numbers is wider than what calibration has seen, by as much as costs little: the
// widest of 4, 2, 1.5 and 1.25 calibrated ranges that changes the mean network's outputs by at most
// kLittle, else 1. Beyond it inputs are clamped, which a prediction counts.
inline constexpr double kLittle = 0.01;

// The mean network's outputs, [inputs][outputs], for normalized inputs [inputs][input size].
std::vector<float> MeanOutputs(const Network& network, std::span<const float> inputs);

InputQuantization QuantizeInput(const Network& network, const host::Dataset& data);

}  // namespace mu8::convert
