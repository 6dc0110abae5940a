// The engine's own noise for the FP32 reference: with the same random bytes behind both, what is
// left between their predictions is quantization, not Monte-Carlo noise.
#pragma once

#include <cstdint>
#include <vector>

#include "converters/fp32/executor.h"
#include "converters/network/network.h"
#include "converters/network/steps.h"

namespace mu8::convert {

// w = mu + sigma * z, where z is eps / 32 of the byte that the engine draws for this weight in this
// pass (FORMAT.md section 9), scaled to variance 1. `network` has no kAffine left (FoldAffine) and
// `steps` are its MakeSteps: layers are numbered as in the file.
void SampleEngineNoise(const Network& network, const std::vector<Step>& steps, std::uint64_t seed,
                       std::uint32_t pass, SampledWeights* out);

}  // namespace mu8::convert
