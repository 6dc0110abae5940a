// Moments of what each weight of a layer is multiplied with: quantizers weigh its errors by them.
#pragma once

#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/network/network.h"

namespace mu8::convert {

// First and second moments of each weight's input over calibration images, output positions and
// passes. Index: [group][kernel_h][kernel_w][c_in / groups], the order of one output channel's
// weights; padding counts as 0.
struct InputStatistics {
  std::vector<double> mean;
  std::vector<double> power;
  std::vector<double> covariance;  // [group][K][K], see covariance.h; may be empty
};

// Moments of the inputs of each weight of a convolution or dense layer; without the covariance.
InputStatistics WeightInputs(const Network& network, const Node& node,
                             const ValueStatistics& input);

}  // namespace mu8::convert
