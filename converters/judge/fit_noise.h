// The noise of observations around a network's predictions, fitted to targets.
#pragma once

#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/network/network.h"
#include "converters/settings.h"

namespace mu8::convert {

// The variance of observations around the FP32 ensemble's predictions, on the calibration data: of
// each output, over all positions. Throws Error where the data do not have a target for each.
std::vector<float> FittedNoise(const ConvertOptions& options, const Network& network,
                               const host::Dataset& data, std::vector<std::string>* notices);

}  // namespace mu8::convert
