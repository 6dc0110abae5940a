// What a .mu8 file needs for predictions by moments (FORMAT.md 8.4, 13), layer after layer: the
// step of each output's variances, and the factor by which they are larger than those of
// independent inputs, as sampled passes have measured them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/model_file.h"
#include "converters/judge/sampled_variance.h"
#include "formats/layout.h"

namespace mu8::convert {

// About what it needs for one image, in bytes.
std::uint64_t LayerMomentsBytes(const host::ModelFile& file);

// One record for each layer. `file` has section 10, whatever it says; `sampled` is that of the same
// data (SampledVariances). With the layers before it as they have been set, a layer's factor is
// such that the mean of its variances, over elements and images, is the sampled one, and its step
// such that the largest of them fits, with room. Layers before the first Bayesian one, and the last
// one, have 1 and 1; those that only move values have factor 1 and their input's step.
std::vector<format::MomentsRecord> FitLayerMoments(
    const host::ModelFile& file, const host::Dataset& data,
    const std::vector<TensorVariance>& sampled, const std::function<void(double)>& progress = {});

}  // namespace mu8::convert
