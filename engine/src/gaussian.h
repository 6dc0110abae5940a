// The head kGaussian: numbers whose network says how noisy each is (FORMAT.md 10.4). What it adds
// to the statistics of kValues is the mean of these variances, again a sum of integers.
#pragma once

#include <cstdint>

#include "engine/src/operators.h"
#include "engine/src/statistics.h"
#include "formats/noise.h"
#include "formats/reader.h"

namespace mu8 {

// Adds the last layer's accumulators of one pass: at each position numbers, then their scales.
void AddGaussian(const format::View& view, const Accumulators& accumulators, const Sums& sums);
// Fills noise_variance and clamped_scales; the rest is that of kValues.
void SummarizeNoise(const format::View& view, const Sums& sums, std::uint32_t mc_samples,
                    const Results& results, Prediction* prediction);

// Of one output: adds the variance that follows from r to `sum` (two u64), and whether r was
// clamped to `clamped`; the mean of `mc_samples` such variances.
void AddVariance(const format::NoiseScale& scale, float r, std::uint64_t* sum,
                 std::uint64_t* clamped);
float MeanVariance(const format::NoiseScale& scale, const std::uint64_t* sum,
                   std::uint32_t mc_samples);

}  // namespace mu8
