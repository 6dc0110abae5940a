// Activation statistics of the FP32 network under weight sampling, on the calibration images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/network/network.h"

namespace mu8::convert {

// One activation tensor over images and passes. Element maps are NHWC, value.size() long.
struct ValueStatistics {
  std::vector<double> mean;   // E[x] of each element
  std::vector<double> power;  // E[x^2]
  float least = 0.0F, greatest = 0.0F;
  // Counts in kHistogramBins equal bins over [least, greatest], and of exact zeros, which any range
  // stores without an error; they are in no bin.
  std::vector<double> histogram;
  double zeros = 0.0;
};
inline constexpr std::size_t kHistogramBins = 2048;

struct Calibration {
  std::vector<ValueStatistics> values;               // one per Network::values
  std::vector<std::vector<double>> covariance;       // one per node: its inputs' (covariance.h)
  std::vector<float> output_least, output_greatest;  // of each element of the network's output
  std::size_t images = 0;
};

// Images that run at a time: as many as memory allows, and always whole chunks of the FP32
// reference, so that the figures do not depend on it.
inline constexpr std::size_t kMostCalibrationImages = 64;
inline constexpr std::size_t kLeastCalibrationImages = 16;

// About what Calibrate needs with that many images at a time, in bytes; saturates.
std::uint64_t CalibrationBytes(const Network& network, std::size_t images);

// The most images at a time that need at most `most_bytes`. Throws Error, with what they would
// need, where not even the fewest do.
std::size_t CalibrationImages(const Network& network, std::uint64_t most_bytes);

// Runs all images with `passes` weight samples of `seed`. Throws Error if an activation is not
// finite, naming the value.
Calibration Calibrate(const Network& network, const host::Dataset& data, int passes,
                      std::uint64_t seed, const std::function<void(double)>& progress,
                      std::size_t images_at_a_time = kMostCalibrationImages);

}  // namespace mu8::convert
