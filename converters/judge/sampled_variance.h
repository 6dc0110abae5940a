// How much the activations of a .mu8 file vary over its sampled passes: what the variances of
// predictions by moments (FORMAT.md 13) are calibrated with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/model_file.h"

namespace mu8::convert {

// Of one tensor, in squared codes: the variance over the passes (unbiased, over passes - 1) of each
// element of each image, and of these the mean and the largest.
struct TensorVariance {
  double mean = 0, largest = 0;
};

// So many images have the same passes, the next ones others. If all had the same, what these
// networks happen to be would not average out over the images.
inline constexpr std::size_t kPassGroup = 8;

// About what it needs for one image, in bytes.
std::uint64_t SampledVarianceBytes(const host::ModelFile& file);

// By tensor of the file, over all of `data`, a few images at a time, so that about `most_bytes` are
// taken; one image at least. `passes` is 2 to 65536; the g-th kPassGroup of images has passes g *
// `passes` and on. The same for any processor and any `most_bytes`.
std::vector<TensorVariance> SampledVariances(const host::ModelFile& file, const host::Dataset& data,
                                             std::uint32_t passes, std::uint64_t seed,
                                             std::uint64_t most_bytes,
                                             const std::function<void(double)>& progress = {});

}  // namespace mu8::convert
