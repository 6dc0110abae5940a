// From files to a network that is ready to be quantized: imported, folded, calibrated.
#pragma once

#include <string>
#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/calibrate/input_quantization.h"
#include "converters/host/datasets.h"
#include "converters/network/network.h"
#include "converters/network/steps.h"
#include "converters/settings.h"

namespace mu8::convert {

struct Prepared {
  Network network;
  std::vector<Step> steps;
  host::Dataset data;  // the calibration images
  Calibration calibration;
  InputQuantization input;
};

// Throws Error with every problem found; assumptions go to `notices`.
Prepared Prepare(const ConvertOptions& options, std::vector<std::string>* notices);

}  // namespace mu8::convert
