#include "converters/onnx/fold_constants.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "converters/onnx/constant_arithmetic.h"
#include "converters/onnx/functions.h"
#include "converters/onnx/importer.h"
#include "converters/onnx/integer_rules.h"
#include "converters/onnx/origin.h"

namespace mu8::convert {
namespace {

using Dims = std::vector<std::int64_t>;

struct Folder {
  const Posterior& posterior;
  OnnxGraph* graph;
  std::int64_t left;                          // numbers that may still be computed
  std::map<std::string, OriginPtr> own = {};  // of random parameters
};

// One input of a node; `constant` is nullptr where it is left out.
struct Input {
  std::string name;
  const OnnxConstant* constant = nullptr;
  bool is_integer() const { return constant && IsIntegerType(constant->tensor->data_type()); }
};

void Spend(Folder* folder, std::size_t count) {
  folder->left -= static_cast<std::int64_t>(count);
  if (folder->left >= 0) return;
  throw NodeProblem{
      "the constants computed up to this node have many times the numbers that the file holds"};
}

OnnxConstant MakeConstant(Folder* folder, const Dims& dims, std::size_t count, bool is_integer) {
  Spend(folder, count);
  onnx::TensorProto& tensor = folder->graph->made.emplace_back();
  tensor.set_data_type(is_integer ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT);
  return {.tensor = &tensor, .dims = dims, .count = count};
}

OnnxConstant IntegerConstant(Folder* folder, const IntegerTensor& integers) {
  OnnxConstant made = MakeConstant(folder, integers.dims, integers.values.size(), true);
  auto* data = folder->graph->made.back().mutable_int64_data();
  data->Add(integers.values.begin(), integers.values.end());
  return made;
}

OnnxConstant NumberConstant(Folder* folder, const Numbers& numbers, bool is_integer) {
  OnnxConstant made = MakeConstant(folder, numbers.dims, numbers.values.size(), is_integer);
  onnx::TensorProto& tensor = folder->graph->made.back();
  for (const double value : numbers.values) {
    if (!is_integer) {
      tensor.add_float_data(static_cast<float>(value));
    } else if (std::fabs(value) < 0x1p63) {
      tensor.add_int64_data(static_cast<std::int64_t>(value));  // towards zero, as Cast
    } else {
      throw NodeProblem{"computes an integer that exceeds 64 bits"};
    }
  }
  return made;
}

IntegerTensor IntegersOf(const OnnxConstant& constant) {
  std::optional<std::vector<std::int64_t>> values = IntegerValues(constant);
  // kBatchSize is ours. As a bound the next number says the same; as a size both are refused.
  std::replace(values->begin(), values->end(), kBatchSize, kBatchSize + 1);
  return {.dims = constant.dims, .values = std::move(*values)};
}

Numbers NumbersOf(const OnnxConstant& constant) {
  Numbers numbers{.dims = constant.dims, .values = {}};
  if (const auto floats = FloatValues(constant)) {
    numbers.values.assign(floats->begin(), floats->end());
  } else {
    const auto integers = IntegerValues(constant);
    for (const std::int64_t value : *integers) numbers.values.push_back(static_cast<double>(value));
  }
  return numbers;
}

// nullptr: nothing random is in it.
OriginPtr OriginOf(Folder* folder, const Input& input) {
  if (!folder->posterior.contains(input.name)) return input.constant->origin;
  OriginPtr& own = folder->own[input.name];
  if (own == nullptr) {
    Origin origin{.parameters = {input.name}, .elements = {}, .why_not = {}};
    for (std::size_t i = 0; i < input.constant->count; ++i) {
      origin.elements.push_back(
          {.parameter = 0, .element = static_cast<std::uint32_t>(i), .factor = 1.0F});
    }
    own = std::make_shared<const Origin>(std::move(origin));
  }
  return own;
}

constexpr const char* kNotLinear = "is not linear in it";

std::vector<OriginPtr> OriginsOf(Folder* folder, const std::vector<Input>& inputs) {
  std::vector<OriginPtr> origins;
  for (const Input& input : inputs) {
    origins.push_back(input.constant == nullptr ? nullptr : OriginOf(folder, input));
  }
  return origins;
}

// A node that moves elements, of floating-point data: asked with the elements' places for data.
// Nothing when another input than its data holds no integers.
std::optional<OnnxConstant> FoldMove(Folder* folder, const OnnxNode& node, const DataInputs& data,
                                     const std::vector<Input>& inputs) {
  IntegerInputs places{
      .node = node, .tensors = {}, .most = std::max<std::int64_t>(folder->left, 0)};
  places.most = std::min<std::int64_t>(places.most, INT32_MAX);
  std::vector<float> values;
  std::vector<std::pair<std::size_t, std::size_t>> sources;  // of each value: input, element
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const OnnxConstant* constant = inputs[i].constant;
    places.tensors.emplace_back();
    if (constant == nullptr) continue;
    if (i < data.first || i >= data.last) {
      if (!inputs[i].is_integer()) return std::nullopt;
      places.tensors.back() = IntegersOf(*constant);
      continue;
    }
    Spend(folder, constant->count);
    const auto floats = FloatValues(*constant);
    if (!floats) return std::nullopt;
    IntegerTensor tensor{.dims = constant->dims, .values = Dims(constant->count)};
    std::iota(tensor.values.begin(), tensor.values.end(), static_cast<std::int64_t>(values.size()));
    for (std::size_t k = 0; k < constant->count; ++k) sources.emplace_back(i, k);
    values.insert(values.end(), floats->begin(), floats->end());
    places.tensors.back() = std::move(tensor);
  }
  const IntegerTensor moved = FindIntegerRule(node.op)(places);
  OnnxConstant made = MakeConstant(folder, moved.dims, moved.values.size(), false);
  auto* floats = folder->graph->made.back().mutable_float_data();
  OriginBuilder origin(OriginsOf(folder, inputs));
  if (origin.mixed()) made.origin = Mixed(node, OriginsOf(folder, inputs), {});
  for (const std::int64_t place : moved.values) {
    const auto at = static_cast<std::size_t>(place);
    floats->Add(values[at]);
    if (origin.any() && !origin.mixed()) origin.Add(sources[at].first, sources[at].second, 1.0);
  }
  if (origin.any() && !origin.mixed()) made.origin = origin.Build();
  return made;
}

// Add, Sub, Mul and Div of `a` and `b` at the given places, of a random and a fixed number each.
OriginPtr LinearOrigin(const OnnxNode& node, const std::vector<OriginPtr>& origins,
                       const Numbers (&of)[2], const Dims (&places)[2]) {
  OriginBuilder origin(origins);
  if (!origin.any()) return nullptr;
  if (origin.mixed()) return Mixed(node, origins, kNotLinear);
  for (std::size_t i = 0; i < places[0].size(); ++i) {
    const auto a = static_cast<std::size_t>(places[0][i]);
    const auto b = static_cast<std::size_t>(places[1][i]);
    const bool random_a = origin.IsRandom(0, a), random_b = origin.IsRandom(1, b);
    if ((random_a && random_b) || (random_b && node.op == "Div")) {
      return Mixed(node, origins,
                   random_a ? "mixes two random numbers" : "divides by a random number");
    }
    double factor = 1.0;
    if (node.op == "Mul") factor = random_b ? of[0].values[a] : of[1].values[b];
    if (node.op == "Div") factor = 1.0 / of[1].values[b];
    origin.Add(random_b ? 1 : 0, random_b ? b : a, factor);
  }
  return origin.Build();
}

// A function of two numbers, or of any number of them as a chain.
OnnxConstant FoldBinary(Folder* folder, const OnnxNode& node, const std::vector<Input>& inputs) {
  const std::string op = node.op == "Sum" ? "Add" : node.op;
  const bool is_chain = node.op == "Sum" || node.op == "Min" || node.op == "Max";
  if (inputs.size() < (is_chain ? 1U : 2U) || (!is_chain && inputs.size() > 2) ||
      std::ranges::any_of(inputs, [](const Input& input) { return input.constant == nullptr; })) {
    throw NodeProblem{"an input is missing"};
  }
  const NumberFunction function = FindNumberFunction(op);
  const bool is_integer = std::ranges::all_of(inputs, &Input::is_integer);
  const bool is_linear = op == "Add" || op == "Sub" || op == "Mul" || op == "Div";
  OnnxConstant result = *inputs[0].constant;
  result.origin = OriginOf(folder, inputs[0]);
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const Numbers of[2] = {NumbersOf(result), NumbersOf(*inputs[i].constant)};
    const std::vector<OriginPtr> origins = {result.origin, OriginOf(folder, inputs[i])};
    Numbers made{.dims = BroadcastDims(of[0].dims, of[1].dims), .values = {}};
    const std::int64_t most = std::clamp<std::int64_t>(folder->left, 0, INT32_MAX);
    const Dims places[2] = {BroadcastPlaces(of[0].dims, made.dims, most),
                            BroadcastPlaces(of[1].dims, made.dims, most)};
    for (std::size_t k = 0; k < places[0].size(); ++k) {
      made.values.push_back(function(of[0].values[static_cast<std::size_t>(places[0][k])],
                                     of[1].values[static_cast<std::size_t>(places[1][k])]));
    }
    result = NumberConstant(folder, made, IsComparison(op) || is_integer);
    result.origin =
        is_linear ? LinearOrigin(node, origins, of, places) : Mixed(node, origins, kNotLinear);
  }
  return result;
}

OnnxConstant FoldUnary(Folder* folder, const OnnxNode& node, const Input& input) {
  const Function function = UnaryFunction(node);
  Numbers numbers = NumbersOf(*input.constant);
  for (double& value : numbers.values) value = function(value);
  OnnxConstant made = NumberConstant(folder, numbers, input.is_integer());
  const OriginPtr origin = OriginOf(folder, input);
  // The deviations of -x are those of x.
  made.origin = node.op == "Neg" ? origin : Mixed(node, {origin}, kNotLinear);
  return made;
}

OnnxConstant FoldReduction(Folder* folder, const OnnxNode& node, const std::vector<Input>& inputs) {
  IntegerInputs lists{.node = node, .tensors = {std::nullopt}};
  if (inputs.size() > 1 && inputs[1].constant != nullptr) {
    if (!inputs[1].is_integer()) throw NodeProblem{"its axes are no integers"};
    lists.tensors.emplace_back(IntegersOf(*inputs[1].constant));
  }
  const Dims axes = lists.List(1, "axes").value_or(Dims{});
  if (axes.empty() && IntAttribute(node, "noop_with_empty_axes", 0) != 0)
    return *inputs[0].constant;
  const Numbers reduced =
      Reduce(node.op, NumbersOf(*inputs[0].constant), axes, IntAttribute(node, "keepdims", 1) != 0);
  OnnxConstant made = NumberConstant(folder, reduced, inputs[0].is_integer());
  made.origin = Mixed(node, {OriginOf(folder, inputs[0])}, "mixes its elements");
  return made;
}

OnnxConstant FoldProduct(Folder* folder, const OnnxNode& node, const std::vector<Input>& inputs) {
  if (inputs.size() != 2 || inputs[0].constant == nullptr || inputs[1].constant == nullptr) {
    throw NodeProblem{"an input is missing"};
  }
  OnnxConstant made = NumberConstant(
      folder, Product(NumbersOf(*inputs[0].constant), NumbersOf(*inputs[1].constant)), false);
  made.origin = Mixed(node, OriginsOf(folder, inputs), "mixes its elements");
  return made;
}

std::optional<OnnxConstant> FoldCast(Folder* folder, const OnnxNode& node, const Input& input) {
  const std::int64_t to = IntAttribute(node, "to", 0);
  const bool is_float = IsFloatType(static_cast<int>(to));
  if (!is_float && !IsIntegerType(static_cast<int>(to))) return std::nullopt;
  const OriginPtr origin = OriginOf(folder, input);
  if (is_float && !input.is_integer()) {
    OnnxConstant copy = *input.constant;  // floats hold what halves do; doubles were rounded
    copy.origin = origin;
    return copy;
  }
  Numbers numbers = NumbersOf(*input.constant);
  if (to == onnx::TensorProto::BOOL) {
    for (double& value : numbers.values) value = value != 0.0 ? 1.0 : 0.0;
  }
  OnnxConstant made = NumberConstant(folder, numbers, !is_float);
  made.origin = Mixed(node, {origin}, kNotLinear);
  return made;
}

OnnxConstant FoldConstantOfShape(Folder* folder, const OnnxNode& node, const Input& shape) {
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, "value");
  OnnxConstant value;
  float fill = 0.0F;
  if (attribute != nullptr) {
    const std::string why = CheckTensor(attribute->t(), &value);
    if (!why.empty()) throw NodeProblem{"its value " + why};
    const auto values = value.count == 1 ? FloatValues(value) : std::nullopt;
    if (!values) throw NodeProblem{"its value is not one number"};
    fill = values->front();
  }
  const std::int64_t most = std::clamp<std::int64_t>(folder->left, 0, INT32_MAX);
  const IntegerTensor places = MakeIntegers(
      IntegersOf(*shape.constant).values, [](const Dims&) { return 0; }, most);
  return NumberConstant(
      folder, {.dims = places.dims, .values = std::vector<double>(places.values.size(), fill)},
      false);
}

bool MakesFloats(const OnnxNode& node) {
  const onnx::AttributeProto* value = FindAttribute(*node.proto, "value");
  if (node.op == "ConstantOfShape") {
    return value == nullptr || !IsIntegerType(value->t().data_type());
  }
  return node.op == "Cast";
}

// Nothing when the node is none that can be computed.
std::optional<OnnxConstant> Evaluate(Folder* folder, const OnnxNode& node,
                                     const std::vector<Input>& inputs) {
  if (inputs[0].constant == nullptr) return std::nullopt;
  if (node.op == "Identity") {
    OnnxConstant copy = *inputs[0].constant;
    copy.origin = OriginOf(folder, inputs[0]);
    return copy;
  }
  if (node.op == "Shape" || node.op == "Size") {
    const Dims& dims = inputs[0].constant->dims;
    if (node.op == "Size") {
      return IntegerConstant(folder,
                             IntegerScalar(static_cast<std::int64_t>(inputs[0].constant->count)));
    }
    const auto rank = static_cast<std::int64_t>(dims.size());
    return IntegerConstant(folder,
                           SliceIntegers(IntegerRow(dims), 0, IntAttribute(node, "start", 0),
                                         IntAttribute(node, "end", rank), 1));
  }
  if (node.op == "Cast") return FoldCast(folder, node, inputs[0]);
  const bool all_integers = std::ranges::all_of(
      inputs, [](const Input& input) { return input.constant == nullptr || input.is_integer(); });
  const IntegerRule rule = FindIntegerRule(node.op);
  if (all_integers && rule != nullptr && !MakesFloats(node)) {
    IntegerInputs integers{
        .node = node, .tensors = {}, .most = std::clamp<std::int64_t>(folder->left, 0, INT32_MAX)};
    for (const Input& input : inputs) {
      integers.tensors.emplace_back();
      if (input.constant != nullptr) integers.tensors.back() = IntegersOf(*input.constant);
    }
    return IntegerConstant(folder, rule(integers));
  }
  if (node.op == "ConstantOfShape") {
    if (!all_integers) return std::nullopt;
    return FoldConstantOfShape(folder, node, inputs[0]);
  }
  if (const auto data = MovedInputs(node)) return FoldMove(folder, node, *data, inputs);
  if (IsUnary(node.op)) return FoldUnary(folder, node, inputs[0]);
  if (node.op == "Sum" || FindNumberFunction(node.op) != nullptr) {
    return FoldBinary(folder, node, inputs);
  }
  if (IsReduction(node.op)) return FoldReduction(folder, node, inputs);
  if (node.op == "MatMul") return FoldProduct(folder, node, inputs);
  return std::nullopt;
}

// False: a node for the importer. Throws NodeProblem.
bool Fold(Folder* folder, const OnnxNode& node) {
  if (node.proto->input_size() == 0 || node.proto->output_size() != 1) return false;
  std::vector<Input> inputs;
  bool failed = false;
  for (const std::string& name : node.proto->input()) {
    inputs.push_back({.name = name});
    if (name.empty()) continue;
    const auto found = folder->graph->constants.find(name);
    if (found == folder->graph->constants.end() && !folder->graph->failed.contains(name)) {
      return false;
    }
    failed |= found == folder->graph->constants.end() || found->second.tensor == nullptr;
    if (!failed) inputs.back().constant = &found->second;
  }
  if (failed) throw NodeProblem{};  // already reported
  std::optional<OnnxConstant> made = Evaluate(folder, node, inputs);
  if (made) folder->graph->constants.emplace(node.proto->output(0), std::move(*made));
  return made.has_value();
}

}  // namespace

void FoldConstants(const Posterior& posterior, OnnxGraph* graph,
                   std::vector<std::string>* problems) {
  // A parameter may pass through a few nodes, each of which counts.
  constexpr std::int64_t kAlways = std::int64_t{1} << 22, kTimes = 4;
  const auto bytes = static_cast<std::int64_t>(graph->model.ByteSizeLong());
  Folder folder{.posterior = posterior, .graph = graph, .left = kAlways + kTimes * bytes};
  std::vector<OnnxNode> left;
  for (OnnxNode& node : graph->nodes) {
    try {
      if (Fold(&folder, node)) continue;
    } catch (const NodeProblem& problem) {
      if (!problem.message.empty()) {
        problems->push_back(graph->path + ": node \"" + node.name + "\" (" + node.op +
                            "): " + problem.message);
      }
      graph->failed.insert(node.proto->output().begin(), node.proto->output().end());
    }
    left.push_back(std::move(node));
  }
  graph->nodes = std::move(left);
}

}  // namespace mu8::convert
