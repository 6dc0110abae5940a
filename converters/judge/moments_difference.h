// Where predictions by moments (FORMAT.md 13) leave sampled ones of the same .mu8 file, layer by
// layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/model_file.h"
#include "converters/host/progress.h"

namespace mu8::convert {

// One layer's stored results, over elements and images.
struct LayerMomentsDifference {
  double sqnr_of_mean = 0;    // dB: power of the sampled means over that of the means' difference
  double variance = 0;        // mean by sampling (over passes - 1), squared codes
  double variance_ratio = 1;  // mean by moments over it; 1 where nothing varies
  double variance_correlation = 0;  // Pearson's, of both; 0 where either is the same everywhere
  double saturation = 0;            // fraction of variances at the largest code
};

// `file` has section 10. By layer from the first Bayesian one on, but the last, whose results are
// not stored; empty where there is none between. `samples` is 2 or more.
std::vector<LayerMomentsDifference> CompareMoments(const host::ModelFile& file,
                                                   const host::Dataset& data, std::uint32_t samples,
                                                   std::uint64_t seed,
                                                   const host::Progress& progress = {});

}  // namespace mu8::convert
