#include "converters/fp32/pass_runner.h"

#include <algorithm>
#include <utility>

#include "converters/fp32/buffers.h"

namespace mu8::convert {

PassRunner::PassRunner(const Network& network, std::size_t count, Inputs inputs, std::size_t batch,
                       Varying varying, std::uint64_t most_feature_bytes)
    : input_(network.input),
      count_(count),
      batch_(std::min({kMostBatch, batch, count})),
      inputs_(std::move(inputs)),
      has_trunk_(false),
      executor_(network, static_cast<int>(batch_), false) {
  for (const Value& value : network.values) sizes_.push_back(value.size());
  has_trunk_ = varying == Varying::kWithSigmas && !network.nodes.empty() &&
               executor_.IsFixed(network.nodes[0].output);
  const std::size_t floats = count_ * executor_.feature_size();
  if (has_trunk_ && floats * sizeof(float) <= most_feature_bytes) features_.resize(floats);
}

void PassRunner::Run(const SampledWeights& weights, const Visit& visit) {
  executor_.SetWeights(weights);
  for (std::size_t first = 0; first < count_; first += batch_) {
    // The last batch reaches back, so that all have one size; only new inputs are visited.
    const std::size_t begin = std::min(first, count_ - batch_);
    const auto visit_new = [&](int value, const float* data) {
      if (!is_first_ && (value == input_ || (has_trunk_ && executor_.IsFixed(value)))) return;
      const std::size_t size = sizes_[static_cast<std::size_t>(value)];
      visit(value, first, {data + (first - begin) * size, (begin + batch_ - first) * size});
    };
    const Fp32Executor::Hook after = [&](int value, float* data, std::size_t) {
      visit_new(value, data);
    };
    float* features = features_.empty() ? nullptr : &features_[begin * executor_.feature_size()];
    if (!is_first_ && features != nullptr) {
      executor_.RunFrom(features, after);
      continue;
    }
    const std::vector<float> inputs = inputs_(begin, batch_);
    visit_new(input_, inputs.data());
    executor_.RunAndKeep(inputs.data(), features, after);
  }
  is_first_ = false;
}

double PassRunner::Bytes(const Network& network, std::size_t count) {
  double floats = 0.0;
  for (const std::size_t size : AssignBuffers(network).sizes) floats += static_cast<double>(size);
  return floats * sizeof(float) * static_cast<double>(std::min(kMostBatch, count)) +
         static_cast<double>(kMostFeatureBytes);
}

}  // namespace mu8::convert
