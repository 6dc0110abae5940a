// One number for all that a prediction computed, by which two are compared.
#pragma once

#include <cstdint>

#include "mu8/mu8.h"

namespace mu8::tool {

// CRC-32C of every number of a prediction: mean, variance, entropies, those of outputs,
// noise_variance, error and its variance, label, samples_used, decisions.
std::uint32_t PredictionCrc(const Prediction& prediction);

}  // namespace mu8::tool
