// Inside of Fp32Executor: executor.cpp builds and runs it, primitives.cpp makes the oneDNN
// primitives of single nodes.
#pragma once

#include <dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "converters/fp32/executor.h"
#include "converters/fp32/loops.h"

namespace mu8::convert {

// A parameter array in the network's layout on its way into a primitive's.
struct Fp32Parameter {
  dnnl::memory source;  // its handle is set to the caller's array
  dnnl::memory target;
  dnnl::memory scratch;
  dnnl::reorder reorder;
  std::size_t count = 0;  // floats
};

struct Fp32Step {
  Loop loop;  // or a primitive
  std::vector<int> inputs;
  int output = -1;
  dnnl::primitive primitive;
  std::unordered_map<int, dnnl::memory> arguments;
  Fp32Parameter weights, bias;  // count 0: none
};

// A primitive's view of a value: its handle is set to the images of the chunk that runs.
struct Fp32View {
  dnnl::memory data;
  int value;
};

struct Fp32Shape {
  dnnl::memory::dim batch, channels, height, width;
};

inline dnnl::memory::desc Nhwc(const Fp32Shape& shape) {
  return dnnl::memory::desc({shape.batch, shape.channels, shape.height, shape.width},
                            dnnl::memory::data_type::f32, dnnl::memory::format_tag::nhwc);
}

inline dnnl::memory::desc Plain(const dnnl::memory::dims& dims) {
  constexpr dnnl::memory::format_tag kTags[] = {dnnl::memory::format_tag::a,
                                                dnnl::memory::format_tag::ab};
  return dnnl::memory::desc(dims, dnnl::memory::data_type::f32, kTags[dims.size() - 1]);
}

struct Fp32Executor::Impl {
  Impl(const Network& network, int batch, bool keep_values);

  Fp32Shape ShapeOf(int value) const;
  // The values of image `first` and on; of the chunk that runs if there is no room for more.
  float* Images(int value, std::size_t first) const {
    const auto index = static_cast<std::size_t>(value);
    float* data = static_cast<float*>(values.at(index).get_data_handle());
    return IsKept(value) ? data + first * shapes[index].size() : data;
  }
  bool IsKept(int value) const { return keeps_values || value == output; }
  void MakeValues(const Network& network);
  dnnl::memory At(int value);
  dnnl::memory Flat(int value);  // [chunk][height * width * channels]
  void FindFeatures(const Network& network);
  // Calls visit(offset among the features of a batch, data, floats) for each of a chunk's features.
  template <typename Visit>
  void ForFeatures(std::size_t first, const Visit& visit);
  void RunSteps(std::size_t begin, std::size_t end, std::size_t first, const Hook& after);
  // Calls run(first image) for each chunk of a batch.
  template <typename RunChunk>
  void ForChunks(const RunChunk& run);
  void AddStep(const Network& network, const Node& node);
  void AddConv(const Node& node, Fp32Step* step);
  void AddDense(const Node& node, Fp32Step* step);
  void AddPool(const Node& node, Fp32Step* step);
  void AddAffine(const Node& node, Fp32Step* step);
  Fp32Parameter MakeParameter(const dnnl::memory::desc& source, const dnnl::memory::desc& target);
  dnnl::memory Constant(const std::vector<float>& data, const dnnl::memory::desc& desc);
  dnnl::memory Scratch(const dnnl::memory::desc& desc);
  void Set(const char* what, const std::vector<float>& data, Fp32Parameter* parameter);

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::memory::dim batch;
  dnnl::memory::dim chunk;  // images that run at a time
  std::vector<Value> shapes;
  std::vector<dnnl::memory> values;
  std::vector<Fp32View> views;
  std::vector<std::string> names;  // of the nodes, for messages
  std::vector<Fp32Step> steps;
  std::size_t first_random = 0;  // the first step whose weights differ from pass to pass
  std::vector<bool> is_fixed;    // by value: the input, and what steps before that one write
  std::vector<int> features;     // fixed values that other steps read
  std::size_t feature_size = 0;
  dnnl::memory scratch_buffer;
  std::size_t scratch_bytes = 0;
  int input, output;
  bool keeps_values;
  bool needs_weights = false;  // no SetWeights yet, but there are parameters
};

}  // namespace mu8::convert
