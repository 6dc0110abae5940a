// The FP32 reference: one oneDNN primitive or plain loop per node, created once, run in the
// network's order. Every value keeps its own buffer, so nothing is fused that would hide one.
// Activations are plain NHWC; weights are reordered into whatever layout a primitive prefers when
// they are set. A batch runs through all nodes in chunks of a few images, whose values a core's own
// cache holds from one node to the next.
#include "converters/fp32/executor.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "converters/fp32/buffers.h"
#include "converters/fp32/primitives.h"
#include "converters/host/error.h"

// oneDNN built with OpenMP asks OpenMP how many threads to use. Declared here because <omp.h> is
// the compiler's own header, which clang does not find beside GCC's OpenMP library.
extern "C" {
int omp_get_max_threads();
void omp_set_num_threads(int count);
}

namespace mu8::convert {
namespace {

using dnnl::memory;

// Images at a time: a value of a ResNet-20 (64 KiB an image) stays in a core's second-level cache,
// and every weight that is loaded serves as many images. Measured: 8 to 32 are alike.
constexpr memory::dim kChunk = 16;

// oneDNN's errors as those that the rest of the program throws.
[[noreturn]] void ThrowOurs(const dnnl::error& error) {
  if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
  throw host::Error(std::string("oneDNN: ") + error.what());
}

// Limits OpenMP to the calling thread, and only for this thread's calls.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace

Fp32Executor::Impl::Impl(const Network& network, int batch_size, bool keep_values)
    : batch(batch_size),
      chunk(std::min(batch, kChunk)),
      shapes(network.values),
      input(network.input),
      output(network.output),
      keeps_values(keep_values) {
  if (batch < 1) throw host::Error("batch is " + std::to_string(batch) + ", expected at least 1");
  for (const Value& shape : shapes) {
    if (std::min({shape.height, shape.width, shape.channels}) < 1) {
      throw host::Error("value '" + shape.name + "' has no elements");
    }
  }
  for (const Node& node : network.nodes) {
    try {
      AddStep(network, node);
    } catch (const host::Error& error) {
      throw host::Error("node '" + node.name + "': " + error.what());
    } catch (const dnnl::error& error) {
      if (error.status == dnnl_out_of_memory) throw;
      throw host::Error("node '" + node.name + "': oneDNN cannot run it: " + error.what());
    }
  }
  MakeValues(network);
  FindFeatures(network);
  // One buffer serves all primitives; they run one after the other.
  const auto scratch_floats = static_cast<memory::dim>(scratch_bytes / sizeof(float)) + 1;
  scratch_buffer = memory(Plain({scratch_floats}), engine);
  for (Fp32Step& step : steps) {
    if (step.loop) continue;
    for (memory* view :
         {&step.arguments.at(DNNL_ARG_SCRATCHPAD), &step.weights.scratch, &step.bias.scratch}) {
      if (view->get(true) != nullptr) view->set_data_handle(scratch_buffer.get_data_handle());
    }
  }
}

void Fp32Executor::Impl::MakeValues(const Network& network) {
  const auto make = [&](std::size_t size, memory::dim images) {
    return memory(Plain({images, static_cast<memory::dim>(size)}), engine);
  };
  std::vector<memory> buffers;
  const BufferAssignment assigned = keeps_values ? BufferAssignment{} : AssignBuffers(network);
  for (const std::size_t size : assigned.sizes) buffers.push_back(make(size, chunk));
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const bool kept = IsKept(static_cast<int>(i));
    values.push_back(kept ? make(shapes[i].size(), batch)
                          : buffers[static_cast<std::size_t>(assigned.buffer_of[i])]);
  }
}

Fp32Shape Fp32Executor::Impl::ShapeOf(int value) const {
  const Value& v = shapes.at(static_cast<std::size_t>(value));
  return {chunk, v.channels, v.height, v.width};
}

memory Fp32Executor::Impl::At(int value) {
  views.push_back({memory(Nhwc(ShapeOf(value)), engine, nullptr), value});
  return views.back().data;
}

memory Fp32Executor::Impl::Flat(int value) {
  const auto size = static_cast<memory::dim>(shapes.at(static_cast<std::size_t>(value)).size());
  views.push_back({memory(Plain({chunk, size}), engine, nullptr), value});
  return views.back().data;
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
  Fp32Step step;
  step.inputs = node.inputs;
  step.output = node.output;
  switch (node.op) {
    case Op::kConv2d:
      AddConv(node, &step);
      break;
    case Op::kDense:
      AddDense(node, &step);
      break;
    case Op::kAffine:
      AddAffine(node, &step);
      break;
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
    case Op::kConvTranspose:
      throw host::Error("a ConvTranspose, expected what ExpandTransposed makes of it");
    case Op::kMaxPool:
    case Op::kAveragePool:
      AddPool(node, &step);
      break;
  }
  needs_weights = needs_weights || step.weights.count > 0;
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
  for (std::size_t image = 0; image < static_cast<std::size_t>(chunk); ++image) {
    for (const int value : features) {
      const std::size_t size = shapes[static_cast<std::size_t>(value)].size();
      visit(offset, Images(value, first) + image * size, size);
      offset += size;
    }
  }
}

void Fp32Executor::Impl::RunSteps(std::size_t begin, std::size_t end, std::size_t first,
                                  const Hook& after) {
  for (Fp32View& view : views) view.data.set_data_handle(Images(view.value, first));
  std::vector<const float*> inputs;
  for (std::size_t i = begin; i < end; ++i) {
    const Fp32Step& step = steps[i];
    if (!step.loop) {
      step.primitive.execute(stream, step.arguments);
    } else {
      inputs.clear();
      for (const int value : step.inputs) inputs.push_back(Images(value, first));
      step.loop(static_cast<std::size_t>(chunk), inputs, Images(step.output, first));
    }
    if (!after) continue;
    stream.wait();
    after(step.output, Images(step.output, first), static_cast<std::size_t>(chunk));
  }
  stream.wait();
}

Fp32Executor::Fp32Executor(const Network& network, int batch, bool keep_values) {
  // oneDNN makes a primitive for the thread count at its creation.
  const OneThread one_thread;
  try {
    impl_ = std::make_unique<Impl>(network, batch, keep_values);
  } catch (const dnnl::error& error) {
    ThrowOurs(error);
  }
}

Fp32Executor::~Fp32Executor() = default;

void Fp32Executor::SetWeights(const SampledWeights& weights) {
  const OneThread one_thread;
  if (weights.weights.size() != impl_->steps.size() ||
      weights.biases.size() != impl_->steps.size()) {
    throw host::Error("weights are for " + std::to_string(weights.weights.size()) +
                      " nodes, expected " + std::to_string(impl_->steps.size()));
  }
  for (std::size_t i = 0; i < impl_->steps.size(); ++i) {
    try {
      impl_->Set("weights", weights.weights[i], &impl_->steps[i].weights);
      impl_->Set("bias", weights.biases[i], &impl_->steps[i].bias);
    } catch (const host::Error& error) {
      throw host::Error("node '" + impl_->names[i] + "': " + error.what());
    } catch (const dnnl::error& error) {
      ThrowOurs(error);
    }
  }
  impl_->stream.wait();
  impl_->needs_weights = false;
}

template <typename RunChunk>
void Fp32Executor::Impl::ForChunks(const RunChunk& run) {
  const OneThread one_thread;
  if (needs_weights) throw host::Error("Run before SetWeights");
  const auto images = static_cast<std::size_t>(batch), at_a_time = static_cast<std::size_t>(chunk);
  try {
    for (std::size_t first = 0; first < images; first += at_a_time) {
      // The last chunk ends with the batch; a few of its images may have run before.
      run(std::min(first, images - at_a_time));
    }
  } catch (const dnnl::error& error) {
    ThrowOurs(error);
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
    std::copy(input + first * size, input + (first + static_cast<std::size_t>(impl.chunk)) * size,
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
