// The FP32 reference: one convolution, product, pool or plain loop per node, run in the network's
// order. Every value keeps its own buffer, so nothing is fused that would hide one. Activations are
// plain NHWC. A batch runs through all nodes in chunks of a few images, whose values a core's own
// cache holds from one node to the next.
#include "converters/fp32/executor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "converters/fp32/buffers.h"
#include "converters/fp32/convolution.h"
#include "converters/fp32/loops.h"
#include "converters/fp32/pools.h"
#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// Images at a time: a value of a ResNet-20 (64 KiB an image) stays in a core's second-level cache,
// and every weight that is loaded serves as many images.
constexpr std::size_t kChunk = 16;

struct Step {
  Loop loop;  // or a convolution
  std::unique_ptr<Fp32Convolution> convolution;
  std::vector<int> inputs;
  int output = -1;
};

}  // namespace

struct Fp32Executor::Impl {
  Impl(const Network& network, int batch_size, bool keep_values);

  // The values of image `first` and on; of the chunk that runs if there is no room for more.
  float* Images(int value, std::size_t first) {
    const auto index = static_cast<std::size_t>(value);
    float* data = buffers[buffer_of.at(index)].data();
    return IsKept(value) ? data + first * shapes[index].size() : data;
  }
  bool IsKept(int value) const { return keeps_values || value == output; }
  void AddStep(const Network& network, const Node& node);
  void MakeBuffers(const Network& network);
  void FindFeatures(const Network& network);
  // Calls visit(offset among the features of a batch, data, floats) for each of a chunk's features.
  template <typename Visit>
  void ForFeatures(std::size_t first, const Visit& visit);
  void RunSteps(std::size_t begin, std::size_t end, std::size_t first, const Hook& after);
  // Calls run(first image) for each chunk of a batch.
  template <typename RunChunk>
  void ForChunks(const RunChunk& run);

  std::size_t batch;
  std::size_t chunk;  // images that run at a time
  std::vector<Value> shapes;
  std::vector<std::vector<float>> buffers;
  std::vector<std::size_t> buffer_of;  // by value
  std::vector<float> scratch;          // of the convolutions, which run one after the other
  std::vector<std::string> names;      // of the nodes, for messages
  std::vector<Step> steps;
  std::size_t first_random = 0;  // the first step whose weights differ from pass to pass
  std::vector<bool> is_fixed;    // by value: the input, and what steps before that one write
  std::vector<int> features;     // fixed values that other steps read
  std::size_t feature_size = 0;
  int input, output;
  bool keeps_values;
  bool needs_weights = false;  // no SetWeights yet, but there are parameters
};

Fp32Executor::Impl::Impl(const Network& network, int batch_size, bool keep_values)
    : batch(static_cast<std::size_t>(std::max(batch_size, 0))),
      chunk(std::min(batch, kChunk)),
      shapes(network.values),
      input(network.input),
      output(network.output),
      keeps_values(keep_values) {
  if (batch < 1) {
    throw host::Error("batch is " + std::to_string(batch_size) + ", expected at least 1");
  }
  for (const Value& shape : shapes) {
    if (std::min({shape.height, shape.width, shape.channels}) < 1) {
      throw host::Error("value '" + shape.name + "' has no elements");
    }
  }
  std::size_t scratch_size = 0;
  for (const Node& node : network.nodes) {
    try {
      AddStep(network, node);
    } catch (const host::Error& error) {
      throw host::Error("node '" + node.name + "': " + error.what());
    }
    if (!steps.back().convolution) continue;
    needs_weights = true;
    scratch_size = std::max(scratch_size, steps.back().convolution->scratch_size());
  }
  scratch.resize(scratch_size);
  MakeBuffers(network);
  FindFeatures(network);
}

void Fp32Executor::Impl::MakeBuffers(const Network& network) {
  const BufferAssignment assigned = keeps_values ? BufferAssignment{} : AssignBuffers(network);
  for (const std::size_t size : assigned.sizes) buffers.emplace_back(size * chunk);
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (IsKept(static_cast<int>(i))) {
      buffer_of.push_back(buffers.size());
      buffers.emplace_back(shapes[i].size() * batch);
    } else {
      buffer_of.push_back(static_cast<std::size_t>(assigned.buffer_of[i]));
    }
  }
}

void Fp32Executor::Impl::AddStep(const Network& network, const Node& node) {
  const auto exists = [this](int value) {
    return value >= 0 && static_cast<std::size_t>(value) < shapes.size();
  };
  bool good = exists(node.output);
  for (const int read : node.inputs) good = good && exists(read);
  if (!good) throw host::Error("expected inputs and output among the network's values");
  const std::string why = WhyShapesDiffer(network, node);
  if (!why.empty()) throw host::Error(why);
  Step step;
  step.inputs = node.inputs;
  step.output = node.output;
  switch (node.op) {
    case Op::kConv2d:
    case Op::kDense: {
      const auto shape = [this](int value) { return shapes[static_cast<std::size_t>(value)]; };
      step.convolution = std::make_unique<Fp32Convolution>(
          shape(node.inputs[0]), shape(node.output), node, BestFp32Kernels());
      break;
    }
    case Op::kConvTranspose:
      throw host::Error("a ConvTranspose, expected what ExpandTransposed makes of it");
    case Op::kMaxPool:
    case Op::kAveragePool:
      step.loop = MakePool(network, node);
      break;
    case Op::kAffine:
    case Op::kClip:
    case Op::kLookup:
    case Op::kAdd:
    case Op::kMultiply:
    case Op::kConcat:
    case Op::kSlice:
    case Op::kGather:
    case Op::kMaximum:
    case Op::kMinimum:
    case Op::kConstant:
      step.loop = MakeLoop(network, node);
      break;
  }
  names.push_back(node.name);
  steps.push_back(std::move(step));
}

void Fp32Executor::Impl::FindFeatures(const Network& network) {
  const auto is_random = [](const Node& node) {
    return !node.weights.sigma.empty() || !node.bias.sigma.empty();
  };
  const auto found = std::ranges::find_if(network.nodes, is_random);
  first_random = static_cast<std::size_t>(found - network.nodes.begin());
  if (first_random == steps.size() && first_random > 0) --first_random;
  is_fixed.assign(shapes.size(), false);
  is_fixed[static_cast<std::size_t>(input)] = true;
  for (std::size_t i = 0; i < first_random; ++i) {
    is_fixed[static_cast<std::size_t>(steps[i].output)] = true;
  }
  for (std::size_t i = first_random; i < steps.size(); ++i) {
    for (const int value : steps[i].inputs) {
      if (!is_fixed[static_cast<std::size_t>(value)]) continue;
      if (std::ranges::find(features, value) == features.end()) features.push_back(value);
    }
  }
  for (const int value : features) feature_size += shapes[static_cast<std::size_t>(value)].size();
}

template <typename Visit>
void Fp32Executor::Impl::ForFeatures(std::size_t first, const Visit& visit) {
  std::size_t offset = first * feature_size;
  for (std::size_t image = 0; image < chunk; ++image) {
    for (const int value : features) {
      const std::size_t size = shapes[static_cast<std::size_t>(value)].size();
      visit(offset, Images(value, first) + image * size, size);
      offset += size;
    }
  }
}

void Fp32Executor::Impl::RunSteps(std::size_t begin, std::size_t end, std::size_t first,
                                  const Hook& after) {
  std::vector<const float*> inputs;
  for (std::size_t i = begin; i < end; ++i) {
    const Step& step = steps[i];
    inputs.clear();
    for (const int value : step.inputs) inputs.push_back(Images(value, first));
    float* output_images = Images(step.output, first);
    if (step.convolution) {
      step.convolution->Run(chunk, inputs[0], output_images, scratch.data());
    } else {
      step.loop(chunk, inputs, output_images);
    }
    if (after) after(step.output, output_images, chunk);
  }
}

Fp32Executor::Fp32Executor(const Network& network, int batch, bool keep_values)
    : impl_(std::make_unique<Impl>(network, batch, keep_values)) {}

Fp32Executor::~Fp32Executor() = default;

void Fp32Executor::SetWeights(const SampledWeights& weights) {
  if (weights.weights.size() != impl_->steps.size() ||
      weights.biases.size() != impl_->steps.size()) {
    throw host::Error("weights are for " + std::to_string(weights.weights.size()) +
                      " nodes, expected " + std::to_string(impl_->steps.size()));
  }
  for (std::size_t i = 0; i < impl_->steps.size(); ++i) {
    const Step& step = impl_->steps[i];
    try {
      if (step.convolution) {
        step.convolution->SetWeights(weights.weights[i], weights.biases[i]);
      } else if (const std::size_t count = weights.weights[i].size() + weights.biases[i].size();
                 count != 0) {
        throw host::Error("weights: " + std::to_string(count) + " numbers, expected 0");
      }
    } catch (const host::Error& error) {
      throw host::Error("node '" + impl_->names[i] + "': " + error.what());
    }
  }
  impl_->needs_weights = false;
}

template <typename RunChunk>
void Fp32Executor::Impl::ForChunks(const RunChunk& run) {
  if (needs_weights) throw host::Error("Run before SetWeights");
  for (std::size_t first = 0; first < batch; first += chunk) {
    // The last chunk ends with the batch; a few of its images may have run before.
    run(std::min(first, batch - chunk));
  }
}

void Fp32Executor::Run(const float* input, const Hook& after) { RunAndKeep(input, nullptr, after); }

bool Fp32Executor::IsFixed(int value) const {
  return impl_->is_fixed.at(static_cast<std::size_t>(value));
}

std::size_t Fp32Executor::feature_size() const { return impl_->feature_size; }

void Fp32Executor::RunAndKeep(const float* input, float* features, const Hook& after) {
  Impl& impl = *impl_;
  const std::size_t size = impl.shapes[static_cast<std::size_t>(impl.input)].size();
  impl.ForChunks([&](std::size_t first) {
    std::copy(input + first * size, input + (first + impl.chunk) * size,
              impl.Images(impl.input, first));
    impl.RunSteps(0, impl.first_random, first, after);
    if (features != nullptr) {
      impl.ForFeatures(first, [&](std::size_t offset, const float* data, std::size_t length) {
        std::copy(data, data + length, features + offset);
      });
    }
    impl.RunSteps(impl.first_random, impl.steps.size(), first, after);
  });
}

void Fp32Executor::RunFrom(const float* features, const Hook& after) {
  Impl& impl = *impl_;
  impl.ForChunks([&](std::size_t first) {
    impl.ForFeatures(first, [&](std::size_t offset, float* data, std::size_t length) {
      std::copy(features + offset, features + offset + length, data);
    });
    impl.RunSteps(impl.first_random, impl.steps.size(), first, after);
  });
}

const float* Fp32Executor::value(int index) const {
  if (!impl_->IsKept(index)) {
    throw host::Error("value '" + impl_->shapes.at(static_cast<std::size_t>(index)).name +
                      "' was not kept: only the output is");
  }
  return impl_->Images(index, 0);
}

}  // namespace mu8::convert
