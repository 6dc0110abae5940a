// What quantization does to predictions: ensembles that the engine draws from a file are compared
// with FP32 networks drawn from the posterior, on calibration images. Choices that no formula makes
// well (which importance suits a posterior, how many bits a layer needs) are made by it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/judge/expected_outputs.h"
#include "converters/network/network.h"
#include "mu8/options.h"
#include "mu8/status.h"

namespace mu8::convert {

struct Judgement {
  // The mean over the images of Distance (expected_outputs.h). Of a file that the reader refuses
  // the largest number, so that it is worse than any other.
  double divergence = 0;
  Diagnostic refusal;  // status kOk: the reader has accepted the file

  bool is_refused() const { return refusal.status != Status::kOk; }
};

// What `passes` FP32 networks give for the first `count` inputs.
std::vector<ExpectedOutputs> PredictFp32(const Network& network, const host::Dataset& data,
                                         std::size_t count, std::uint64_t seed,
                                         std::uint32_t passes);

class EnsembleJudge {
 public:
  // Draws the reference ensemble of `passes` networks. At most 512 images are used.
  EnsembleJudge(const Network& network, const host::Dataset& data, std::uint64_t seed,
                std::uint32_t passes);

  // Compares the reference with an ensemble of the same size from the .mu8 file `file`. All
  // candidates are drawn with the same random numbers, so that their differences are not
  // Monte-Carlo noise. Or with what moments say, of a file that has what they need.
  Judgement Judge(const std::vector<std::byte>& file, Method method = Method::kSampling) const;

 private:
  const host::Dataset& data_;
  std::size_t count_;  // images
  std::uint64_t seed_;
  std::uint32_t passes_;
  Head head_;
  std::vector<ExpectedOutputs> reference_;  // by image
  std::vector<double> spread_;              // by output
};

}  // namespace mu8::convert
