// Dense layers (Gemm, MatMul) and BatchNormalization. Here flattened vectors in ONNX's order,
// mostly CHW, meet the HWC order of a Network.
#include "converters/onnx/dense.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "converters/onnx/parameters.h"
#include "converters/onnx/views.h"

namespace mu8::convert {
namespace {

// For each element of `activation` in memory (HWC) its index among `dims` as ONNX numbers them.
std::vector<std::size_t> OnnxIndices(const Activation& activation) {
  // Steps of one row, column and channel in ONNX's numbering: the last axis is the fastest.
  std::size_t steps[3] = {0, 0, 0};
  std::size_t step = 1;
  for (auto dim = activation.dims.rbegin(); dim != activation.dims.rend(); ++dim) {
    for (auto axis = dim->rbegin(); axis != dim->rend(); ++axis) {
      steps[static_cast<std::size_t>(*axis)] = step;
      step *= static_cast<std::size_t>(activation.size(*axis));
    }
  }
  const auto channels = static_cast<std::size_t>(activation.channels);
  const auto height = static_cast<std::size_t>(activation.height);
  const auto width = static_cast<std::size_t>(activation.width);
  std::vector<std::size_t> indices;
  indices.reserve(activation.flat_size());
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < channels; ++c) {
        indices.push_back(c * steps[static_cast<std::size_t>(Axis::kChannels)] +
                          y * steps[static_cast<std::size_t>(Axis::kHeight)] +
                          x * steps[static_cast<std::size_t>(Axis::kWidth)]);
      }
    }
  }
  return indices;
}

void Scale(std::vector<float>* values, double factor) {
  if (factor == 1.0) return;
  for (float& value : *values) value = static_cast<float>(double{value} * factor);
}

// Gemm's alpha and beta: a Gaussian's mean scales by the factor, its deviation by the magnitude.
void Scale(GaussianTensor* tensor, double factor) {
  Scale(&tensor->mu, factor);
  Scale(&tensor->sigma, std::fabs(factor));
}

// [out][in] or [in][out], columns in ONNX's order, to [out][in] with columns in HWC order.
std::vector<float> ToDense(const std::vector<float>& source, bool is_out_in, std::size_t outputs,
                           const std::vector<std::size_t>& order) {
  std::vector<float> dense;
  dense.reserve(source.size());
  for (std::size_t o = 0; o < outputs; ++o) {
    for (const std::size_t i : order) {
      dense.push_back(is_out_in ? source[o * order.size() + i] : source[i * outputs + o]);
    }
  }
  return dense;
}

// A dense layer with weights from input 1; `bias` may be empty.
void AddDense(OnnxImporter* importer, const OnnxNode& node, const Activation& input, bool is_out_in,
              double alpha, GaussianTensor bias) {
  const OnnxConstant& constant = ReadConstant(*importer, node, 1);
  const std::size_t inputs = input.flat_size();
  const std::int64_t outputs = constant.dims[is_out_in ? 0 : 1];
  GaussianTensor weights = ReadGaussian(importer, node, 1);
  Scale(&weights, alpha);
  const std::vector<std::size_t> order = OnnxIndices(input);
  Node layer{.op = Op::kDense};
  if (constant.count != inputs * static_cast<std::size_t>(outputs) || outputs < 1) {
    throw NodeProblem{"weights " + DimsText(constant.dims) + " have no outputs"};
  }
  layer.weights.mu = ToDense(weights.mu, is_out_in, static_cast<std::size_t>(outputs), order);
  if (!weights.sigma.empty()) {
    layer.weights.sigma =
        ToDense(weights.sigma, is_out_in, static_cast<std::size_t>(outputs), order);
  }
  layer.bias = std::move(bias);
  Activation output;
  // The last dimension runs over the outputs; those before it have one element.
  output.dims.assign(input.dims.size(), {});
  output.dims.back() = {Axis::kChannels};
  output.value = AddValue(importer, OutputName(node, 0), 1, 1, outputs);
  output.channels = static_cast<int>(outputs);
  AddLayer(importer, node, std::move(layer), {input.value}, output);
}

// Weights must be a matrix whose `in` side has the input's size.
void CheckMatrix(const OnnxConstant& weights, bool is_out_in, const Activation& input) {
  const std::size_t side = is_out_in ? 1 : 0;
  if (weights.dims.size() != 2 ||
      static_cast<std::uint64_t>(weights.dims[side]) != input.flat_size()) {
    throw NodeProblem{"weights " + DimsText(weights.dims) + ", expected " +
                      (is_out_in ? "[outputs, " + std::to_string(input.flat_size()) + "]"
                                 : "[" + std::to_string(input.flat_size()) + ", outputs]")};
  }
}

// scale * x + offset of each element of a flattened image: a depthwise convolution over all of it,
// with one output for each element, whose weights are zeros but at that element. Its outputs are in
// ONNX's order: channel by channel.
void AddElementScales(OnnxImporter* importer, const OnnxNode& node, const Activation& input,
                      Node affine) {
  constexpr std::size_t kMostWeights = std::size_t{1} << 24;
  const std::vector<std::size_t> order = OnnxIndices(input);
  const std::size_t count = order.size();
  const auto channels = static_cast<std::size_t>(input.channels);
  const std::size_t area = count / channels;
  bool by_channel = IsImageInMemory(*importer, input) && count <= kMostWeights / area;
  for (std::size_t i = 0; i < count; ++i) by_channel &= order[i] / area == i % channels;
  if (!by_channel) {
    throw NodeProblem{"one scale for each element of " + LayoutText(input) +
                      ", a flattened image of " + std::to_string(count) +
                      " elements, is not supported; put the BatchNormalization before the Flatten"};
  }
  Node layer{.op = Op::kConv2d};
  layer.window.kernel_h = input.height;
  layer.window.kernel_w = input.width;
  layer.groups = input.channels;
  layer.weights.mu.assign(count * area, 0.0F);
  for (std::size_t i = 0; i < count; ++i) {
    layer.weights.mu[order[i] * area + i / channels] = affine.scale[order[i]];
  }
  layer.bias.mu = std::move(affine.offset);
  Activation output;
  output.dims = {{Axis::kChannels}};
  output.value = AddValue(importer, OutputName(node, 0), 1, 1, static_cast<std::int64_t>(count));
  output.channels = static_cast<int>(count);
  AddLayer(importer, node, std::move(layer), {input.value}, std::move(output));
}

constexpr char kSigmaOfBatchNorm[] =
    "the engine folds BatchNormalization; a Bayesian BatchNormalization is not supported";

// Input i as `count` numbers: gamma, beta, mean or variance.
std::vector<float> ReadStatistic(OnnxImporter* importer, const OnnxNode& node, int i,
                                 std::size_t count) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  if (constant.dims.size() != 1 || constant.count != count) {
    throw NodeProblem{"\"" + InputName(node, i) + "\" has shape " + DimsText(constant.dims) +
                      ", expected [" + std::to_string(count) + "]"};
  }
  return ReadDeterministic(importer, node, i, kSigmaOfBatchNorm);
}

// Said once: the stored statistics count, where the graph as it is would take those of each batch.
void NoteTraining(OnnxImporter* importer, const OnnxNode& node) {
  constexpr std::int64_t kFirstAttribute = 14;  // before it, more outputs said so
  const bool training = importer->graph.opset >= kFirstAttribute
                            ? IntAttribute(node, "training_mode", 0) != 0
                            : node.proto->output_size() > 1;
  const std::string notice =
      "BatchNormalization was exported in training mode: the stored means and variances are used, "
      "not those of each batch; to be sure that they are the trained ones, call module.eval() and "
      "export again";
  std::vector<std::string>& notices = importer->network.notices;
  if (training && std::find(notices.begin(), notices.end(), notice) == notices.end()) {
    notices.push_back(notice);
  }
}

}  // namespace

void ImportGemm(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(importer, node, 0, 2);
  if (IntAttribute(node, "transA", 0) != 0) {
    Report(importer, node, "transA 1 would mix the images of a batch");
  }
  const bool is_out_in = IntAttribute(node, "transB", 0) != 0;
  const OnnxConstant& weights = ReadConstant(*importer, node, 1);
  CheckMatrix(weights, is_out_in, input);
  GaussianTensor bias;
  if (!InputName(node, 2).empty()) {
    bias = ReadBias(importer, node, 2, {weights.dims[is_out_in ? 0 : 1]}, 2);
    Scale(&bias, double{FloatAttribute(node, "beta", 1.0f)});
  }
  AddDense(importer, node, input, is_out_in, double{FloatAttribute(node, "alpha", 1.0f)},
           std::move(bias));
}

// The same product at each position of an image or a sequence whose last dimension runs over the
// channels, as nn.Linear of (N, W, C) does: a convolution of one tap.
void AddPointwise(OnnxImporter* importer, const OnnxNode& node, const Activation& input) {
  const OnnxConstant& constant = ReadConstant(*importer, node, 1);
  const auto inputs = static_cast<std::size_t>(input.channels);
  if (constant.dims.size() != 2 || static_cast<std::uint64_t>(constant.dims[0]) != inputs ||
      constant.dims[1] < 1) {
    throw NodeProblem{"weights " + DimsText(constant.dims) + ", expected [" +
                      std::to_string(inputs) + ", outputs]"};
  }
  const auto outputs = static_cast<std::size_t>(constant.dims[1]);
  std::vector<std::size_t> order(inputs);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const GaussianTensor weights = ReadGaussian(importer, node, 1);
  Node layer{.op = Op::kConv2d};
  layer.weights.mu = ToDense(weights.mu, false, outputs, order);
  if (!weights.sigma.empty()) layer.weights.sigma = ToDense(weights.sigma, false, outputs, order);
  Activation output = input;
  output.value = AddValue(importer, OutputName(node, 0), input.height, input.width,
                          static_cast<std::int64_t>(outputs));
  output.channels = static_cast<int>(outputs);
  // Channels of one element may be missing among the dimensions: here is where they count.
  for (std::vector<Axis>& dim : output.dims) std::erase(dim, Axis::kChannels);
  output.dims.back().push_back(Axis::kChannels);
  AddLayer(importer, node, std::move(layer), {input.value}, std::move(output));
}

void ImportMatMul(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(importer, node, 0, 0);
  if (importer->activations.contains(InputName(node, 1))) {
    throw NodeProblem{
        "a product of two activations (attention) is not supported, only one with constant "
        "weights"};
  }
  const std::size_t last = input.dims.size() - 1;
  if (DimSize(input, last) != static_cast<std::int64_t>(input.flat_size())) {
    if (LongAxes(input, last) == std::vector<Axis>{Axis::kChannels} &&
        IsImageInMemory(*importer, input)) {
      return AddPointwise(importer, node, input);
    }
    if (last <= 2) {
      const std::string name = InputName(node, 0) + "/turned";
      return AddPointwise(importer, node, LastAsChannels(importer, name, input));
    }
    throw NodeProblem{"a product along the last axis of " + LayoutText(input) +
                      " is not supported, only along the channels or of all elements (flatten "
                      "first)"};
  }
  CheckMatrix(ReadConstant(*importer, node, 1), false, input);
  AddDense(importer, node, input, false, 1.0, {});
}

void ImportBatchNormalization(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(importer, node, 0, 0);
  if (IntAttribute(node, "spatial", 1) == 0) {
    throw NodeProblem{"spatial 0 (one scale per element) is not supported"};
  }
  // In training mode outputs 1 and up carry updated statistics. When nothing reads them, the stored
  // statistics are what inference uses.
  for (int i = 1; i < node.proto->output_size(); ++i) {
    const std::string& output = node.proto->output(i);
    for (const OnnxNode& reader : importer->graph.nodes) {
      for (const std::string& name : reader.proto->input()) {
        if (name.empty() || name != output) continue;
        Report(importer, node,
               "\"" + reader.name + "\" reads its training output \"" + name + "\"");
      }
    }
  }
  NoteTraining(importer, node);
  const bool is_flat = input.rank() == 2;
  const std::size_t count = is_flat ? input.flat_size() : static_cast<std::size_t>(input.channels);
  const std::vector<float> gamma = ReadStatistic(importer, node, 1, count);
  const std::vector<float> beta = ReadStatistic(importer, node, 2, count);
  const std::vector<float> mean = ReadStatistic(importer, node, 3, count);
  const std::vector<float> variance = ReadStatistic(importer, node, 4, count);
  const double epsilon = double{FloatAttribute(node, "epsilon", 1e-5f)};
  if (!is_flat && LongAxes(input, 0) != std::vector<Axis>{Axis::kChannels} && count != 1) {
    throw NodeProblem{"input \"" + InputName(node, 0) + "\" runs over " + LayoutText(input) +
                      ", expected (N, C, ...)"};
  }
  Node layer{.op = Op::kAffine};
  std::size_t bad_variances = 0;
  for (std::size_t i = 0; i < count; ++i) {  // in ONNX's order
    const double scale = double{gamma[i]} / std::sqrt(double{variance[i]} + epsilon);
    if (!std::isfinite(scale)) ++bad_variances;
    layer.scale.push_back(static_cast<float>(scale));
    layer.offset.push_back(static_cast<float>(double{beta[i]} - double{mean[i]} * scale));
  }
  if (bad_variances != 0) {
    throw NodeProblem{std::to_string(bad_variances) + " of " + std::to_string(count) +
                      " scales gamma / sqrt(variance + epsilon) are not finite"};
  }
  // One scale per element of a flattened image cannot be one per channel of its memory.
  const Value& memory = importer->network.values[static_cast<std::size_t>(input.value)];
  if (memory.channels != static_cast<int>(count)) {
    return AddElementScales(importer, node, input, std::move(layer));
  }
  AddLayer(importer, node, std::move(layer), {input.value}, NewLike(importer, node, input));
}

}  // namespace mu8::convert
