// One pass's weights: the means, or a draw from the Gaussians. The draw is counter-based, so it
// depends on (seed, pass, index of the weight in the network) and on nothing drawn before; its
// numbers are sampled_weights.cpp's own, since the standard library's distributions differ between
// vendors.
#pragma once

#include <cstdint>
#include <vector>

#include "converters/network/network.h"

namespace mu8::convert {

// One pass's weights: for each node the arrays in the shape of its GaussianTensors (empty for nodes
// without parameters).
struct SampledWeights {
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<float>> biases;
};

// mu itself.
void MeanWeights(const Network& network, SampledWeights* out);

// w = mu + sigma * z with independent standard normal z: a pure function of (seed, pass).
void SampleGaussian(const Network& network, std::uint64_t seed, std::uint32_t pass,
                    SampledWeights* out);

}  // namespace mu8::convert
