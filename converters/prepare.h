// From files to a network that is ready to be quantized: imported, folded, calibrated. Two steps,
// so that whatever else a caller can check is refused before the second, which takes its time.
#pragma once

#include <string>
#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/calibrate/input_quantization.h"
#include "converters/host/datasets.h"
#include "converters/network/input.h"
#include "converters/network/network.h"
#include "converters/network/steps.h"
#include "converters/settings.h"

namespace mu8::convert {

struct Imported {
  Network network;  // folded; its input fits the data and has its mean and std
  std::vector<Step> steps;
  std::string head_reason;  // why network.head is what it is
  host::Dataset data;       // for calibration
};

// Throws Error with every problem found; assumptions go to `notices`.
Imported Import(const ConvertOptions& options, std::vector<std::string>* notices);

struct Prepared {
  Network network;
  std::vector<Step> steps;
  host::Dataset data;
  Normalization normalization;  // of the data; network.std also scales the channels of numbers
  std::vector<int> channel_exponents;  // what Equalize did, by group of ChannelGroups(network)
  Calibration calibration;
  InputQuantization input;
  std::vector<std::string> notices;
};

// Runs the network on the calibration data. Throws Error.
Prepared Prepare(const ConvertOptions& options, Imported imported);

}  // namespace mu8::convert
