// Elementwise nodes: functions of one activation, arithmetic with constants, sums and products of
// two activations. Functions of the same value compose (Pending) until something else reads them,
// so that x * Sigmoid(x) or the erf form of Gelu becomes one table. A constant sum or product on
// the output of a layer is kept linear instead, so that it folds into that layer's parameters.
#include "converters/onnx/elementwise.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "converters/onnx/functions.h"
#include "converters/onnx/parameters.h"
#include "converters/onnx/shapes.h"

namespace mu8::convert {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kMostText = 120;  // characters of a function's text

bool IsConstant(const OnnxImporter& importer, const OnnxNode& node, int i) {
  return importer.graph.constants.contains(InputName(node, i));
}

std::string NumberText(double number) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.6g", number);
  return digits;
}

TermIndex FunctionOf(const Activation& activation) {
  return activation.pending == nullptr ? kArgument : activation.pending->function;
}

// "Pow(x, 2)"; with `i` 0 the number comes first.
std::string WithNumber(const std::string& op, const std::string& argument, double number, int i) {
  return i == 0 ? op + "(" + NumberText(number) + ", " + argument + ")"
                : op + "(" + argument + ", " + NumberText(number) + ")";
}

std::string TextOf(const Activation& activation) {
  return activation.pending == nullptr ? "x" : activation.pending->text;
}

void SetPending(OnnxImporter* importer, const OnnxNode& node, Activation activation,
                TermIndex function, std::string text) {
  // Only people read it.
  if (text.size() > kMostText) text = node.op + "(...)";
  activation.pending = std::make_shared<Pending>(Pending{.function = function,
                                                         .text = std::move(text),
                                                         .node_name = node.name,
                                                         .output_name = OutputName(node, 0),
                                                         .end = FunctionEnd::kOther,
                                                         .inner = {}});
  activation.is_shared = false;
  importer->activations[OutputName(node, 0)] = std::move(activation);
}

// function(what `input` is). `text` gives the function's text from its argument's.
template <typename Text>
void Compose(OnnxImporter* importer, const OnnxNode& node, Activation input, Function function,
             const Text& text) {
  if (importer->expressions.Count(FunctionOf(input)) >= kMostTerms) Materialize(importer, &input);
  const TermIndex composed = importer->expressions.Add(std::move(function), FunctionOf(input));
  const std::string argument = TextOf(input);
  const std::shared_ptr<Pending> inner = input.pending;
  SetPending(importer, node, std::move(input), composed, text(argument));
  Pending& pending = *importer->activations[OutputName(node, 0)].pending;
  pending.end = node.op == "Sigmoid"    ? FunctionEnd::kSigmoid
                : node.op == "Exp"      ? FunctionEnd::kExp
                : node.op == "Softplus" ? FunctionEnd::kSoftplus
                                        : FunctionEnd::kOther;
  pending.inner = inner;
}

// min(max(x, low), high): a node of its own, or part of a function that is one already.
void ImportBounds(OnnxImporter* importer, const OnnxNode& node, float low, float high) {
  if (!(low <= high)) {
    throw NodeProblem{"its least value " + NumberText(double{low}) + " exceeds its greatest, " +
                      NumberText(double{high})};
  }
  const Activation input = PeekActivation(*importer, node, 0, 0);
  if (low == -kInfinity && high == kInfinity) return ImportAlias(importer, node);
  const int producer = importer->producers[static_cast<std::size_t>(input.value)];
  Node* before = producer < 0 || input.pending != nullptr || input.is_shared
                     ? nullptr
                     : &importer->network.nodes[static_cast<std::size_t>(producer)];
  if (before != nullptr && before->op == Op::kClip) {
    // Relu, then Clip: PyTorch's ReLU6. Two clamps in a row are one.
    before->low = std::clamp(before->low, low, high);
    before->high = std::clamp(before->high, low, high);
    before->name = node.name;
    importer->network.values[static_cast<std::size_t>(input.value)].name = OutputName(node, 0);
    importer->activations[OutputName(node, 0)] = input;
    return;
  }
  if (input.pending == nullptr) {
    AddLayer(importer, node, Node{.op = Op::kClip, .low = low, .high = high}, {input.value},
             NewLike(importer, node, input));
    return;
  }
  const double least = double{low}, greatest = double{high};
  Compose(
      importer, node, input, [=](double x) { return std::min(std::max(x, least), greatest); },
      [&](const std::string& argument) {
        if (node.op == "Relu") return "Relu(" + argument + ")";
        return node.op + "(" + argument + ", " + NumberText(least) + ", " + NumberText(greatest) +
               ")";
      });
}

float ReadScalar(OnnxImporter* importer, const OnnxNode& node, int i) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  if (constant.count != 1) {
    throw NodeProblem{"\"" + InputName(node, i) + "\" has shape " + DimsText(constant.dims) +
                      ", expected one number"};
  }
  return ReadDeterministic(importer, node, i, "only weights and biases of layers can be random")[0];
}

void ImportClip(OnnxImporter* importer, const OnnxNode& node) {
  const auto bound = [&](int i, const char* name, float fallback) {
    const float value = InputName(node, i).empty() ? FloatAttribute(node, name, fallback)
                                                   : ReadScalar(importer, node, i);
    // ONNX's defaults are the least and the greatest float: no bound at all.
    return std::fabs(value) == std::numeric_limits<float>::max() ? fallback : value;
  };
  const float low = bound(1, "min", -kInfinity);
  ImportBounds(importer, node, low, bound(2, "max", kInfinity));
}

// The layer whose parameters can take over a scale or an offset on `input`; nullptr: none.
Node* LayerBefore(OnnxImporter* importer, const Activation& input) {
  if (input.pending != nullptr || input.is_shared) return nullptr;
  const int producer = importer->producers[static_cast<std::size_t>(input.value)];
  if (producer < 0) return nullptr;
  Node* layer = &importer->network.nodes[static_cast<std::size_t>(producer)];
  const bool has_parameters =
      layer->op == Op::kConv2d || layer->op == Op::kDense || layer->op == Op::kAffine;
  return has_parameters ? layer : nullptr;
}

// The shape, without leading ones, of a constant that holds one number per channel.
std::vector<std::int64_t> PerChannelShape(const Activation& input) {
  std::vector<std::int64_t> shape;
  for (std::size_t dim = 0; dim < input.dims.size(); ++dim) {
    std::vector<Axis> axes = LongAxes(input, dim);
    if (axes.size() > 1) {
      throw NodeProblem{"a constant along the axis of a flattened image " + LayoutText(input) +
                        " is not supported, only one value per channel"};
    }
    const bool is_channels = axes == std::vector<Axis>{Axis::kChannels};
    if (is_channels || !shape.empty()) shape.push_back(is_channels ? input.channels : 1);
  }
  if (shape.empty()) shape.push_back(1);  // one channel
  return shape;
}

// The bias of `layer` grows by sign * input i; the layer's output takes the sum's name.
void AddToBias(OnnxImporter* importer, const OnnxNode& node, const Activation& input, Node* layer,
               int i, double sign) {
  GaussianTensor bias =
      ReadBias(importer, node, i, PerChannelShape(input), static_cast<std::size_t>(input.rank()));
  for (float& mu : bias.mu) mu = static_cast<float>(sign * double{mu});
  AddTo(&layer->bias, bias);
  importer->network.values[static_cast<std::size_t>(input.value)].name = OutputName(node, 0);
  importer->activations[OutputName(node, 0)] = input;
}

// scale * x + offset, one number per channel of the value in memory.
void AddAffine(OnnxImporter* importer, const OnnxNode& node, Activation input,
               std::vector<float> scale, std::vector<float> offset) {
  Materialize(importer, &input);
  Node layer{.op = Op::kAffine};
  layer.scale = std::move(scale);
  layer.offset = std::move(offset);
  AddLayer(importer, node, std::move(layer), {input.value}, NewLike(importer, node, input));
}

// Add, Sub, Mul, Div of an activation and constant i.
void ImportLinear(OnnxImporter* importer, const OnnxNode& node, int i) {
  const Activation input = PeekActivation(*importer, node, 1 - i, 0);
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  const bool is_sum = node.op == "Add" || node.op == "Sub";
  Node* layer = LayerBefore(importer, input);
  const bool keeps_sign = node.op == "Add" || (node.op == "Sub" && i == 1);
  if (keeps_sign && layer != nullptr && layer->op != Op::kAffine) {
    return AddToBias(importer, node, input, layer, i, node.op == "Add" ? 1.0 : -1.0);
  }
  if (HasSigma(importer, node, i) && is_sum) {
    ReadGaussian(importer, node, i);  // it belongs here, even if it cannot stay
    throw NodeProblem{
        "a Bayesian constant can only be added to the output of Conv, Gemm or MatMul, and only if "
        "nothing else reads that output"};
  }
  const std::vector<float> values =
      ReadDeterministic(importer, node, i, "only weights and biases of layers can be random");
  if (constant.count == 1 && constant.dims.size() > static_cast<std::size_t>(input.rank())) {
    throw NodeProblem{"constant " + DimsText(constant.dims) + " has more axes than " +
                      LayoutText(input)};
  }
  const BinaryFunction function = FindBinaryFunction(node.op);
  if (constant.count == 1 && (layer == nullptr || (node.op == "Div" && i == 0))) {
    const double number = double{values[0]};
    return Compose(
        importer, node, input,
        [=](double x) { return i == 0 ? function(number, x) : function(x, number); },
        [&](const std::string& argument) { return WithNumber(node.op, argument, number, i); });
  }
  if (node.op == "Div" && i == 0) {
    throw NodeProblem{"a constant per channel divided by an activation is not supported"};
  }
  // Checks the constant's shape; one number serves every channel of the value in memory.
  std::vector<float> per_channel = values;
  if (constant.count != 1) {
    per_channel =
        ReadBias(importer, node, i, PerChannelShape(input), static_cast<std::size_t>(input.rank()))
            .mu;
  } else {
    per_channel.resize(
        static_cast<std::size_t>(
            importer->network.values[static_cast<std::size_t>(input.value)].channels),
        values[0]);
  }
  std::vector<float> scale(per_channel.size(), 1.0f), offset(per_channel.size(), 0.0f);
  for (std::size_t c = 0; c < per_channel.size(); ++c) {
    const float number = per_channel[c];
    if (node.op == "Mul") scale[c] = number;
    if (node.op == "Div") scale[c] = static_cast<float>(1.0 / double{number});
    if (node.op == "Add") offset[c] = number;
    if (node.op == "Sub") offset[c] = i == 1 ? -number : number;
    if (node.op == "Sub" && i == 0) scale[c] = -1.0f;
  }
  AddAffine(importer, node, input, std::move(scale), std::move(offset));
}

// A sum or product of different values.
void AddBinary(OnnxImporter* importer, const OnnxNode& node, Op op, Activation a, Activation b) {
  Materialize(importer, &a);
  Materialize(importer, &b);
  const auto is_per_channel = [](const Activation& part, const Activation& whole) {
    if (part.height != 1 || part.width != 1 || part.channels != whole.channels) return false;
    if (part.dims.size() != whole.dims.size()) return false;
    Activation vector = whole;
    vector.height = vector.width = 1;
    return SameLayout(part, vector);
  };
  if (!SameLayout(a, b) && is_per_channel(a, b)) std::swap(a, b);
  const auto shape = [&](const Activation& activation) -> const Value& {
    return importer->network.values[static_cast<std::size_t>(activation.value)];
  };
  const bool same_memory = shape(a).height == shape(b).height && shape(a).width == shape(b).width &&
                           shape(a).channels == shape(b).channels;
  if (!(SameLayout(a, b) && same_memory) &&
      !(is_per_channel(b, a) && IsImageInMemory(*importer, a))) {
    const auto text = [](const Activation& activation) {
      return LayoutText(activation) + " of " + std::to_string(activation.channels) + " x " +
             std::to_string(activation.height) + " x " + std::to_string(activation.width);
    };
    throw NodeProblem{text(a) + " and " + text(b) +
                      " (C x H x W) do not fit together: only equal shapes, or one value per "
                      "channel with an image, are supported"};
  }
  AddLayer(importer, node, Node{.op = op}, {a.value, b.value}, NewLike(importer, node, a));
}

// -input, inside the layer that writes it if that is possible.
Activation Negated(OnnxImporter* importer, const OnnxNode& node, const Activation& input) {
  if (LayerBefore(importer, input) != nullptr) {
    const auto channels = static_cast<std::size_t>(
        importer->network.values[static_cast<std::size_t>(input.value)].channels);
    AddAffine(importer, node, input, std::vector<float>(channels, -1.0f),
              std::vector<float>(channels, 0.0f));
  } else {
    Compose(
        importer, node, input, [](double x) { return -x; },
        [](const std::string& argument) { return "Neg(" + argument + ")"; });
  }
  return importer->activations[OutputName(node, 0)];  // until the sum takes that name
}

void ImportBinary(OnnxImporter* importer, const OnnxNode& node) {
  const Activation a = PeekActivation(*importer, node, 0, 0);
  const Activation b = PeekActivation(*importer, node, 1, 0);
  if (a.value == b.value && SameLayout(a, b) &&
      importer->expressions.Count(FunctionOf(a), FunctionOf(b)) < kMostTerms) {
    const TermIndex function =
        importer->expressions.Add(FindBinaryFunction(node.op), FunctionOf(a), FunctionOf(b));
    return SetPending(importer, node, a, function,
                      node.op + "(" + TextOf(a) + ", " + TextOf(b) + ")");
  }
  if (node.op == "Add") return AddBinary(importer, node, Op::kAdd, a, b);
  if (node.op == "Mul") return AddBinary(importer, node, Op::kMultiply, a, b);
  if (node.op == "Sub") return AddBinary(importer, node, Op::kAdd, a, Negated(importer, node, b));
  throw NodeProblem{node.op +
                    " of two activations is not supported, only Add, Sub and Mul (or any of them "
                    "of functions of one activation)"};
}

// PRelu with one slope, Pow with a constant exponent or base: functions of one activation.
void ImportWithScalar(OnnxImporter* importer, const OnnxNode& node, int i) {
  const Activation input = PeekActivation(*importer, node, 1 - i, 0);
  const double number = double{ReadScalar(importer, node, i)};
  Function function;
  if (node.op == "PRelu") {
    function = [=](double x) { return x < 0.0 ? number * x : x; };
  } else {
    function = [=](double x) { return i == 0 ? std::pow(number, x) : std::pow(x, number); };
  }
  Compose(importer, node, input, std::move(function),
          [&](const std::string& argument) { return WithNumber(node.op, argument, number, i); });
}

void Dispatch(OnnxImporter* importer, const OnnxNode& node) {
  const std::string& op = node.op;
  if (op == "Relu") return ImportBounds(importer, node, 0.0f, kInfinity);
  if (op == "Clip") return ImportClip(importer, node);
  if (IsUnary(op)) {
    const Activation input = PeekActivation(*importer, node, 0, 0);
    return Compose(importer, node, input, UnaryFunction(node),
                   [&op](const std::string& argument) { return op + "(" + argument + ")"; });
  }
  if (node.proto->input_size() != 2) {
    throw NodeProblem{"has " + std::to_string(node.proto->input_size()) +
                      " inputs, only two are supported"};
  }
  const bool first = IsConstant(*importer, node, 0), second = IsConstant(*importer, node, 1);
  if (op == "PRelu" && !second) throw NodeProblem{"its slope is not a constant"};
  if (first && second) throw NodeProblem{"both inputs are constants"};
  if (!first && !second) return ImportBinary(importer, node);
  const int constant = first ? 0 : 1;
  if (op == "PRelu" || op == "Pow") return ImportWithScalar(importer, node, constant);
  if (op == "Min" || op == "Max") {
    const float number = ReadScalar(importer, node, constant);
    OnnxNode bounded = node;
    onnx::NodeProto swapped = *node.proto;
    if (first) swapped.mutable_input()->SwapElements(0, 1);
    bounded.proto = &swapped;
    return op == "Min" ? ImportBounds(importer, bounded, -kInfinity, number)
                       : ImportBounds(importer, bounded, number, kInfinity);
  }
  ImportLinear(importer, node, constant);
}

}  // namespace

bool IsElementwise(const std::string& op) {
  return op == "Clip" || op == "PRelu" || IsUnary(op) || FindBinaryFunction(op) != nullptr;
}

void ImportElementwise(OnnxImporter* importer, const OnnxNode& node) {
  try {
    Dispatch(importer, node);
  } catch (const NodeProblem& problem) {
    if (problem.message.empty()) throw;
    Report(importer, node, problem.message);
    // The shape is known all the same: what follows is checked with a new value of it, to which no
    // constant can be added and of which no function is taken.
    for (const std::string& name : node.proto->input()) {
      const auto found = importer->activations.find(name);
      if (found == importer->activations.end()) continue;
      importer->activations[OutputName(node, 0)] = NewLike(importer, node, found->second);
      return;
    }
    throw NodeProblem{};
  }
}

}  // namespace mu8::convert
