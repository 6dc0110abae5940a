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

#include "converters/onnx/constant_operands.h"
#include "converters/onnx/functions.h"
#include "converters/onnx/parameters.h"
#include "converters/onnx/pending.h"
#include "converters/onnx/shapes.h"

namespace mu8::convert {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool IsConstant(const OnnxImporter& importer, const OnnxNode& node, int i) {
  return importer.graph.constants.contains(InputName(node, i));
}

std::string NumberText(double number) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.6g", number);
  return digits;
}

// "Pow(x, 2)"; with `i` 0 the number comes first.
std::string WithNumber(const std::string& op, const std::string& argument, double number, int i) {
  return i == 0 ? op + "(" + NumberText(number) + ", " + argument + ")"
                : op + "(" + argument + ", " + NumberText(number) + ")";
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
  // Pow's exponent may be an integer.
  if (const auto integers = IntegerValues(constant)) return static_cast<float>((*integers)[0]);
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

// A sum, product, maximum or minimum of different values.
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

// y = functions[c](x), a table for each channel.
void AddLookupByChannel(OnnxImporter* importer, const OnnxNode& node, Activation input,
                        std::vector<std::function<double(double)>> functions) {
  Materialize(importer, &input);
  if (!IsImageInMemory(*importer, input)) {
    throw NodeProblem{"a constant for each channel of a flattened image is not supported"};
  }
  Node layer{.op = Op::kLookup, .function_name = node.op + " by channel"};
  layer.functions = std::move(functions);
  AddLayer(importer, node, std::move(layer), {input.value}, NewLike(importer, node, input));
}

// The same for a function of x and of constant i, one number for each channel.
void ImportByChannel(OnnxImporter* importer, const OnnxNode& node, int i,
                     double (*function)(double x, double number)) {
  const Activation input = PeekActivation(*importer, node, 1 - i, 0);
  std::vector<std::function<double(double)>> functions;
  for (const float value : ChannelValues(importer, node, i, input)) {
    functions.push_back(
        [function, number = double{value}](double x) { return function(x, number); });
  }
  AddLookupByChannel(importer, node, input, std::move(functions));
}

// Add, Sub, Mul, Div, Min, Max of an activation and constant i that has a number for each element.
void ImportByElement(OnnxImporter* importer, const OnnxNode& node, int i) {
  Activation input = ReadActivation(importer, node, 1 - i, 0);
  std::vector<float> values = ElementValues(importer, node, i, input);
  const bool minus = node.op == "Sub" && i == 1, quotient = node.op == "Div" && i == 1;
  for (float& value : values) {
    if (minus) value = -value;
    if (quotient) value = static_cast<float>(1.0 / double{value});
  }
  if (node.op == "Sub" && i == 0) input = Negated(importer, node, input);
  if (node.op == "Div" && i == 0) {
    Compose(
        importer, node, input, [](double x) { return 1.0 / x; },
        [](const std::string& argument) { return "Reciprocal(" + argument + ")"; });
    input = importer->activations[OutputName(node, 0)];
  }
  Materialize(importer, &input);
  const Activation constant = AddConstant(importer, node, input, std::move(values));
  const Op op = node.op == "Mul" || node.op == "Div" ? Op::kMultiply
                : node.op == "Min"                   ? Op::kMinimum
                : node.op == "Max"                   ? Op::kMaximum
                                                     : Op::kAdd;
  AddBinary(importer, node, op, input, constant);
}

// x > 0: x, else slope * x, with a slope for each element: max(x, 0) + slope * min(x, 0).
void ImportPReluByElement(OnnxImporter* importer, const OnnxNode& node) {
  const Activation input = ReadActivation(importer, node, 0, 0);
  const auto clipped = [&](float low, float high, const char* part) {
    AddLayer(importer, node, Node{.op = Op::kClip, .low = low, .high = high}, {input.value},
             NewLike(importer, node, input));
    importer->network.nodes.back().name = node.name + part;
    return importer->activations[OutputName(node, 0)];
  };
  std::vector<float> slopes = ElementValues(importer, node, 1, input);
  const Activation positive = clipped(0.0f, kInfinity, "/positive");
  const Activation negative = clipped(-kInfinity, 0.0f, "/negative");
  const Activation slope = AddConstant(importer, node, input, std::move(slopes));
  AddBinary(importer, node, Op::kMultiply, negative, slope);
  AddBinary(importer, node, Op::kAdd, positive, importer->activations[OutputName(node, 0)]);
}

// Add, Sub, Mul, Div of an activation and constant i.
void ImportLinear(OnnxImporter* importer, const OnnxNode& node, int i) {
  const Activation input = PeekActivation(*importer, node, 1 - i, 0);
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  if (!IsPerChannel(*importer, node, i, input)) return ImportByElement(importer, node, i);
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
    return ImportByChannel(importer, node, i, [](double x, double number) { return number / x; });
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
  if (node.op == "Max") return AddBinary(importer, node, Op::kMaximum, a, b);
  if (node.op == "Min") return AddBinary(importer, node, Op::kMinimum, a, b);
  throw NodeProblem{node.op +
                    " of two activations is not supported, only Add, Sub, Mul, Max and Min (or any "
                    "of them of functions of one activation)"};
}

// PRelu, and Pow with a constant exponent or base.
void ImportWithScalar(OnnxImporter* importer, const OnnxNode& node, int i) {
  const Activation input = PeekActivation(*importer, node, 1 - i, 0);
  if (node.op == "PRelu" && ReadConstant(*importer, node, i).count != 1) {
    if (!IsPerChannel(*importer, node, i, input)) return ImportPReluByElement(importer, node);
    return ImportByChannel(importer, node, i,
                           [](double x, double slope) { return x < 0.0 ? slope * x : x; });
  }
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

void Dispatch(OnnxImporter* importer, const OnnxNode& node);

// Sum, Min and Max of one operand, or of several: of the first two, then of that and the next.
void ImportSeveral(OnnxImporter* importer, const OnnxNode& node) {
  if (node.proto->input_size() == 1) return ImportAlias(importer, node);
  const int last = node.proto->input_size() - 1;
  std::string before = InputName(node, 0);
  for (int i = 1; i <= last; ++i) {
    onnx::NodeProto pair = *node.proto;
    pair.clear_input();
    pair.add_input(before);
    pair.add_input(InputName(node, i));
    before = i == last ? OutputName(node, 0) : OutputName(node, 0) + "/" + std::to_string(i);
    pair.set_output(0, before);
    const std::string op = node.op == "Sum" ? "Add" : node.op;
    Dispatch(importer, OnnxNode{.proto = &pair, .name = node.name, .op = op});
  }
}

void Dispatch(OnnxImporter* importer, const OnnxNode& node) {
  const std::string& op = node.op;
  if (op == "Sum") return ImportSeveral(importer, node);
  if (op == "Relu") return ImportBounds(importer, node, 0.0f, kInfinity);
  if (op == "Clip") return ImportClip(importer, node);
  if (IsUnary(op)) {
    const Activation input = PeekActivation(*importer, node, 0, 0);
    return Compose(importer, node, input, UnaryFunction(node),
                   [&op](const std::string& argument) { return op + "(" + argument + ")"; });
  }
  if ((op == "Min" || op == "Max") && node.proto->input_size() != 2) {
    return ImportSeveral(importer, node);
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
  if ((op == "Min" || op == "Max") && ReadConstant(*importer, node, constant).count != 1) {
    const Activation input = PeekActivation(*importer, node, 1 - constant, 0);
    if (!IsPerChannel(*importer, node, constant, input)) {
      return ImportByElement(importer, node, constant);
    }
    return ImportByChannel(importer, node, constant, FindBinaryFunction(op));
  }
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
  return op == "Clip" || op == "PRelu" || op == "Sum" || IsUnary(op) ||
         FindBinaryFunction(op) != nullptr;
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
