// Many inputs through many passes of a network, a few inputs at a time. What comes before the first
// layer whose weights differ from pass to pass is the same in every pass: it runs once an input,
// and what the rest needs of it is kept where memory allows. A trunk as large as a ResNet-50 before
// a Bayesian classifier then costs what it costs in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "converters/fp32/executor.h"
#include "converters/network/network.h"

namespace mu8::convert {

class PassRunner {
 public:
  static constexpr std::uint64_t kMostFeatureBytes = std::uint64_t{256} << 20;
  static constexpr std::size_t kMostBatch = 16;  // activations stay in the caches

  // Which weights differ from pass to pass: those with sigmas, or any (drawn elsewhere).
  enum class Varying { kWithSigmas, kAll };

  // `inputs(first, count)` gives count x H x W x C floats (NHWC, normalized). `batch`: how many run
  // at a time, at most kMostBatch.
  using Inputs = std::function<std::vector<float>(std::size_t first, std::size_t count)>;
  PassRunner(const Network& network, std::size_t count, Inputs inputs,
             std::size_t batch = kMostBatch, Varying varying = Varying::kWithSigmas,
             std::uint64_t most_feature_bytes = kMostFeatureBytes);

  // Called with each value that has just been written, of inputs first, first + 1, ...: data is
  // images x value.size() floats. Of what is the same in every pass in the first Run alone.
  using Visit = std::function<void(int value, std::size_t first, std::span<const float> data)>;

  // One pass over all inputs. Weights that do not vary must be those of the first Run.
  void Run(const SampledWeights& weights, const Visit& visit);

  // About what a runner needs in bytes, without its weights.
  static double Bytes(const Network& network, std::size_t count);

 private:
  std::vector<std::size_t> sizes_;  // of the values
  int input_;
  std::size_t count_, batch_;
  Inputs inputs_;
  bool has_trunk_;  // of values that are the same in every pass, beside the input
  Fp32Executor executor_;
  std::vector<float> features_;  // count x executor_.feature_size(), where they are kept
  bool is_first_ = true;
};

}  // namespace mu8::convert
