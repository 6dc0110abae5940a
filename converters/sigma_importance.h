// Which importance suits a posterior is measured: FP32 networks drawn from the quantized Gaussians
// are compared with FP32 networks drawn from the original ones, on calibration images.
#pragma once

#include <cstdint>
#include <vector>

#include "converters/dataset.h"
#include "converters/lower.h"
#include "converters/network.h"

namespace mu8::convert {

class SigmaJudge {
 public:
  // Draws the reference ensemble of `passes` networks. At most 512 images are used.
  SigmaJudge(const Network& network, const Dataset& data, std::uint64_t seed,
             std::uint32_t passes = 64);

  // Mean KL(reference || ensemble of the same size from `lowered`'s Gaussians), nats. All
  // candidates are drawn with the same random numbers, other than the reference's, so that their
  // differences are not Monte-Carlo noise.
  double Divergence(const Lowered& lowered) const {
    return Divergence(lowered.produced_weights, lowered.produced_biases);
  }
  // The same of Gaussians by node; nodes without weights have empty ones.
  double Divergence(const std::vector<GaussianTensor>& weights,
                    const std::vector<GaussianTensor>& biases) const;

 private:
  std::vector<double> Predict(const Network& network, std::uint64_t seed) const;

  const Network& network_;
  std::vector<float> images_;
  int count_;
  std::uint64_t seed_;
  std::uint32_t passes_;
  std::vector<double> reference_;  // images x classes
};

}  // namespace mu8::convert
