// FP32 execution of a Network with given weights: what quantization is measured against, and the
// source of calibration statistics. An image's values are the same bytes in any batch and at any
// place of it; between instruction sets they may differ (kernels.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "converters/fp32/sampled_weights.h"
#include "converters/network/network.h"

namespace mu8::convert {

// Runs `batch` images at a time on one thread, the caller's; that may differ from call to call.
// Throws Error naming the node that does not fit its values or its weights.
class Fp32Executor {
 public:
  // Without `keep_values` only the output can be read: its inner values share a few buffers that
  // stay in the cache, which saves about a third of the time of a ResNet-20 and most of the memory.
  Fp32Executor(const Network& network, int batch, bool keep_values = true);
  ~Fp32Executor();
  Fp32Executor(const Fp32Executor&) = delete;
  Fp32Executor& operator=(const Fp32Executor&) = delete;

  void SetWeights(const SampledWeights& weights);

  // Called with what a node has just written, `images` x value.size() floats; may change it.
  using Hook = std::function<void(int value, float* data, std::size_t images)>;

  // `input`: batch x H x W x C floats (NHWC, normalized).
  void Run(const float* input, const Hook& after = {});

  // Whether a value is the same in every pass: the input, and what is written before the first node
  // whose weights or biases have sigmas (or before the last node, if none has).
  bool IsFixed(int value) const;

  // Floats an image of the fixed values that other nodes read: the features.
  std::size_t feature_size() const;

  // Run that keeps them, and the rest of a Run from them: batch x feature_size() floats.
  void RunAndKeep(const float* input, float* features, const Hook& after = {});
  void RunFrom(const float* features, const Hook& after = {});

  // NHWC values of the last Run, batch x value.size() floats. Throws Error for one that was not
  // kept.
  const float* value(int index) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mu8::convert
