// Dense layers (Gemm, MatMul), constants added to a layer's output (they become its bias), and
// BatchNormalization. Here flattened CHW vectors, ONNX's order, meet the HWC order of a Network.
#include <cmath>

#include "converters/onnx_layers.h"
#include "converters/onnx_parameters.h"

namespace mu8::convert {
namespace {

// ONNX's (CHW) index of each element of a flattened activation, in HWC order.
std::vector<std::size_t> ChwIndices(const Activation& flat) {
  const std::size_t channels = static_cast<std::size_t>(flat.channels);
  const std::size_t area =
      static_cast<std::size_t>(flat.height) * static_cast<std::size_t>(flat.width);
  std::vector<std::size_t> indices;
  indices.reserve(channels * area);
  for (std::size_t position = 0; position < area; ++position) {
    for (std::size_t c = 0; c < channels; ++c) indices.push_back(c * area + position);
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

// [out][in] or [in][out], CHW columns, to [out][in] with columns in HWC order.
std::vector<float> ToDense(const std::vector<float>& source, bool is_out_in, std::size_t outputs,
                           const std::vector<std::size_t>& chw) {
  std::vector<float> dense;
  dense.reserve(source.size());
  for (std::size_t o = 0; o < outputs; ++o) {
    for (const std::size_t i : chw) {
      dense.push_back(is_out_in ? source[o * chw.size() + i] : source[i * outputs + o]);
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
  const std::vector<std::size_t> chw = ChwIndices(input);
  Node layer{.op = Op::kDense};
  if (constant.count != inputs * static_cast<std::size_t>(outputs) || outputs < 1) {
    throw NodeProblem{"weights " + ShapeText(constant.dims) + " have no outputs"};
  }
  layer.weights.mu = ToDense(weights.mu, is_out_in, static_cast<std::size_t>(outputs), chw);
  if (!weights.sigma.empty()) {
    layer.weights.sigma = ToDense(weights.sigma, is_out_in, static_cast<std::size_t>(outputs), chw);
  }
  layer.bias = std::move(bias);
  Activation output;
  output.rank = 2;
  output.value = AddValue(importer, OutputName(node, 0), 1, 1, outputs);
  output.channels = static_cast<int>(outputs);
  AddLayer(importer, node, std::move(layer), input, output);
}

// Weights must be a matrix whose `in` side has the input's size.
void CheckMatrix(const OnnxConstant& weights, bool is_out_in, const Activation& input) {
  const std::size_t side = is_out_in ? 1 : 0;
  if (weights.dims.size() != 2 ||
      static_cast<std::uint64_t>(weights.dims[side]) != input.flat_size()) {
    throw NodeProblem{"weights " + ShapeText(weights.dims) + ", expected " +
                      (is_out_in ? "[outputs, " + std::to_string(input.flat_size()) + "]"
                                 : "[" + std::to_string(input.flat_size()) + ", outputs]")};
  }
}

// `dims` without leading ones: [1, 1, n] broadcasts like [n].
std::vector<std::int64_t> WithoutLeadingOnes(std::vector<std::int64_t> dims) {
  std::size_t ones = 0;
  while (ones < dims.size() && dims[ones] == 1) ++ones;
  dims.erase(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(ones));
  return dims;
}

// Input i of `node` as one Gaussian per output channel. `per_channel` is the shape, without leading
// ones, that broadcasts along the channels alone; a single value is repeated.
GaussianTensor ReadBias(OnnxImporter* importer, const OnnxNode& node, int i,
                        const std::vector<std::int64_t>& per_channel, std::size_t max_rank) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  const std::vector<std::int64_t> dims = WithoutLeadingOnes(constant.dims);
  const bool is_single = constant.count == 1;
  if (constant.dims.size() > max_rank || (!is_single && dims != WithoutLeadingOnes(per_channel))) {
    throw NodeProblem{"constant " + ShapeText(constant.dims) + " is not one value per channel, " +
                      ShapeText(per_channel)};
  }
  GaussianTensor bias = ReadGaussian(importer, node, i);
  const std::size_t channels = static_cast<std::size_t>(per_channel[0]);
  if (!is_single || channels == 1) return bias;
  if (!bias.sigma.empty()) {
    Report(importer, node,
           "a single Bayesian value added to all channels is not supported: the engine draws each "
           "channel's bias independently");
  }
  return {.mu = std::vector<float>(channels, bias.mu[0]), .sigma = {}};
}

// Sum of independent Gaussians: means add, variances add.
void AddTo(GaussianTensor* bias, const GaussianTensor& more) {
  if (bias->mu.empty()) {
    *bias = more;
    return;
  }
  for (std::size_t i = 0; i < bias->mu.size(); ++i) bias->mu[i] += more.mu[i];
  if (bias->sigma.empty()) {
    bias->sigma = more.sigma;
  } else if (!more.sigma.empty()) {
    for (std::size_t i = 0; i < bias->sigma.size(); ++i) {
      bias->sigma[i] = std::hypot(bias->sigma[i], more.sigma[i]);
    }
  }
}

constexpr char kSigmaOfBatchNorm[] =
    "the engine folds BatchNormalization; a Bayesian BatchNormalization is not supported";

// Input i as `count` numbers: gamma, beta, mean or variance.
std::vector<float> ReadStatistic(OnnxImporter* importer, const OnnxNode& node, int i,
                                 std::size_t count) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  if (constant.dims.size() != 1 || constant.count != count) {
    throw NodeProblem{"\"" + InputName(node, i) + "\" has shape " + ShapeText(constant.dims) +
                      ", expected [" + std::to_string(count) + "]"};
  }
  return ReadDeterministic(importer, node, i, kSigmaOfBatchNorm);
}

}  // namespace

void ImportGemm(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(*importer, node, 0, 2);
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

void ImportMatMul(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(*importer, node, 0, 2);
  CheckMatrix(ReadConstant(*importer, node, 1), false, input);
  AddDense(importer, node, input, false, 1.0, {});
}

void ImportAdd(OnnxImporter* importer, const OnnxNode& node) {
  const int constant_at = importer->graph.constants.contains(InputName(node, 0)) ? 0 : 1;
  const Activation input = ReadActivation(*importer, node, 1 - constant_at, 0);
  const int producer = importer->producers[static_cast<std::size_t>(input.value)];
  Node* layer =
      producer < 0 ? nullptr : &importer->network.nodes[static_cast<std::size_t>(producer)];
  if (layer == nullptr || (layer->op != Op::kConv2d && layer->op != Op::kDense)) {
    throw NodeProblem{
        "a constant can only be added to the output of Conv, Gemm or MatMul, not of " +
        (layer == nullptr ? "the input" : "\"" + layer->name + "\" (" + OpName(layer->op) + ")")};
  }
  if (!importer->network.Consumers(input.value).empty()) {
    throw NodeProblem{"the output of \"" + layer->name + "\" is also read without the constant"};
  }
  const bool is_flat = input.rank == 2;
  if (is_flat && input.height * input.width != 1) {
    throw NodeProblem{"a constant added to a flattened image is not one value per channel"};
  }
  const std::vector<std::int64_t> per_channel =
      is_flat ? std::vector<std::int64_t>{input.channels}
              : std::vector<std::int64_t>{input.channels, 1, 1};
  AddTo(&layer->bias,
        ReadBias(importer, node, constant_at, per_channel, static_cast<std::size_t>(input.rank)));
  for (auto& [name, activation] : importer->activations) {
    if (activation.value == input.value) activation.absorbed_by = node.name;
  }
  importer->network.values[static_cast<std::size_t>(input.value)].name = OutputName(node, 0);
  importer->activations[OutputName(node, 0)] = input;
}

void ImportBatchNormalization(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(*importer, node, 0, 0);
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
  const bool is_flat = input.rank == 2;
  const std::size_t count = is_flat ? input.flat_size() : static_cast<std::size_t>(input.channels);
  const std::vector<float> gamma = ReadStatistic(importer, node, 1, count);
  const std::vector<float> beta = ReadStatistic(importer, node, 2, count);
  const std::vector<float> mean = ReadStatistic(importer, node, 3, count);
  const std::vector<float> variance = ReadStatistic(importer, node, 4, count);
  const double epsilon = double{FloatAttribute(node, "epsilon", 1e-5f)};
  // On an image one channel is one scale; on a flattened one they are reordered like its elements.
  Activation channels_only = input;
  if (!is_flat) channels_only.height = channels_only.width = 1;
  Node layer{.op = Op::kAffine};
  std::size_t bad_variances = 0;
  for (const std::size_t i : ChwIndices(channels_only)) {
    const double scale = double{gamma[i]} / std::sqrt(double{variance[i]} + epsilon);
    if (!std::isfinite(scale)) ++bad_variances;
    layer.scale.push_back(static_cast<float>(scale));
    layer.offset.push_back(static_cast<float>(double{beta[i]} - double{mean[i]} * scale));
  }
  if (bad_variances != 0) {
    throw NodeProblem{std::to_string(bad_variances) + " of " + std::to_string(count) +
                      " scales gamma / sqrt(variance + epsilon) are not finite"};
  }
  Activation output = input;
  const Value& shape = importer->network.values[static_cast<std::size_t>(input.value)];
  output.value =
      is_flat ? AddValue(importer, OutputName(node, 0), 1, 1, static_cast<std::int64_t>(count))
              : AddValue(importer, OutputName(node, 0), shape.height, shape.width, shape.channels);
  AddLayer(importer, node, std::move(layer), input, std::move(output));
}

}  // namespace mu8::convert
