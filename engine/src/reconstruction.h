// The head kReconstruction: numbers that ought to be the input again (FORMAT.md 10.5). What it adds
// to the statistics of kValues is each network's squared error, in integers.
#pragma once

#include <cstdint>
#include <span>

#include "engine/src/statistics.h"
#include "formats/reader.h"

namespace mu8 {

// What the outputs ought to be, [outputs], for one image as the caller gave it.
void LoadTargets(const format::View& view, const std::uint8_t* image, std::span<float> targets);
void LoadTargets(const format::View& view, const float* image, std::span<float> targets);

// Adds the last layer's accumulators of one pass.
void AddReconstruction(const format::View& view, const Accumulators& accumulators,
                       std::span<const float> targets, const Sums& sums);
// Fills error and error_variance; the rest is that of kValues.
void SummarizeError(const format::View& view, const Sums& sums, std::uint32_t mc_samples,
                    Prediction* prediction);

// A squared error in units, at most 2^40.
std::uint64_t ErrorUnits(float difference, float unit);
// Adds a pass's error, at most 2^47 units, to Sums::error.
void AddError(std::uint64_t units, std::uint64_t* sums);
// Mean and variance of `mc_samples` of them, each a mean over `outputs`.
void ErrorMoments(const std::uint64_t* sums, std::uint32_t mc_samples, float unit,
                  std::uint64_t outputs, float* mean, float* variance);

}  // namespace mu8
