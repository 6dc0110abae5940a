// From files to a network that is ready to be quantized: imported, folded, calibrated.
#pragma once

#include <string>
#include <vector>

#include "converters/calibration.h"
#include "converters/convert.h"
#include "converters/dataset.h"
#include "converters/network.h"
#include "converters/plan.h"

namespace mu8::convert {

struct Prepared {
  Network network;
  std::vector<Step> steps;
  Dataset data;  // the calibration images
  Calibration calibration;
  InputQuantization input;
};

// Throws Error with every problem found; assumptions go to `notices`.
Prepared Prepare(const ConvertOptions& options, std::vector<std::string>* notices);

}  // namespace mu8::convert
