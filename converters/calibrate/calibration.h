// Activation statistics of the FP32 network under weight sampling, on the calibration images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/network/network.h"

namespace mu8::convert {

// One activation tensor over images and passes.
struct ValueStatistics {
  // E[x] and E[x^2] of each element, NHWC, of what layers with weights read; else empty.
  std::vector<double> mean, power;
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

// About what Calibrate needs for that many images, in bytes; saturates. No image's activations
// outlive the few that run at a time.
std::uint64_t CalibrationBytes(const Network& network, std::size_t images);

// Runs all images with `passes` weight samples of `seed`. Throws Error if an activation is not
// finite, naming the value.
Calibration Calibrate(const Network& network, const host::Dataset& data, int passes,
                      std::uint64_t seed, const std::function<void(double)>& progress);

}  // namespace mu8::convert
