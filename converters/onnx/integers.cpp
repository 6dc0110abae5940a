// Integers that the graph computes from shapes, as x.view(x.size(0), -1), x[..., :y.size(3)] and
// F.pad(x, (0, y.size(3) - x.size(3))) export: Shape, Gather, Concat, Sub and their like. All sizes
// but the batch are known, so that these nodes become numbers; whoever needs one that depends on
// the batch refuses it.
#include "converters/onnx/integers.h"

#include <algorithm>
#include <map>
#include <utility>

namespace mu8::convert {
namespace {

using Integers = std::vector<std::int64_t>;

// Attribute `name` or input 1 as axes; nothing when there is neither.
std::optional<Integers> Axes(const OnnxImporter& importer, const OnnxNode& node) {
  return IntegerList(importer, node, 1, "axes");
}

IntegerTensor ShapeOf(const OnnxImporter& importer, const OnnxNode& node) {
  Integers shape;
  const std::string name = InputName(node, 0);
  if (importer.integers.contains(name) || importer.graph.constants.contains(name)) {
    shape = ReadIntegers(importer, node, 0).dims;
  } else {
    const Activation x = PeekActivation(importer, node, 0, 0);
    shape.push_back(kBatchSize);
    for (std::size_t dim = 0; dim < x.dims.size(); ++dim) shape.push_back(DimSize(x, dim));
  }
  const auto rank = static_cast<std::int64_t>(shape.size());
  return SliceIntegers(IntegerRow(std::move(shape)), 0, IntAttribute(node, "start", 0),
                       IntAttribute(node, "end", rank), 1);
}

IntegerTensor Gather(const OnnxImporter& importer, const OnnxNode& node) {
  return GatherIntegers(ReadIntegers(importer, node, 0), ReadIntegers(importer, node, 1),
                        IntAttribute(node, "axis", 0));
}

IntegerTensor Slice(const OnnxImporter& importer, const OnnxNode& node) {
  IntegerTensor data = ReadIntegers(importer, node, 0);
  const std::optional<Integers> starts = IntegerList(importer, node, 1, "starts");
  const std::optional<Integers> ends = IntegerList(importer, node, 2, "ends");
  if (!starts || !ends) throw NodeProblem{"starts or ends are missing"};
  Integers every_axis;
  for (std::size_t i = 0; i < starts->size(); ++i) every_axis.push_back(static_cast<int>(i));
  const Integers axes = IntegerList(importer, node, 3, "axes").value_or(every_axis);
  const Integers steps =
      IntegerList(importer, node, 4, "steps").value_or(Integers(starts->size(), 1));
  if (ends->size() != starts->size() || axes.size() != starts->size() ||
      steps.size() != starts->size()) {
    throw NodeProblem{"starts, ends, axes and steps have different lengths"};
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    data = SliceIntegers(std::move(data), axes[i], (*starts)[i], (*ends)[i], steps[i]);
  }
  return data;
}

IntegerTensor Concat(const OnnxImporter& importer, const OnnxNode& node) {
  std::vector<IntegerTensor> parts;
  for (int i = 0; i < node.proto->input_size(); ++i) {
    parts.push_back(ReadIntegers(importer, node, i));
  }
  return ConcatIntegers(parts, IntAttribute(node, "axis", 0));
}

IntegerTensor Transpose(const OnnxImporter& importer, const OnnxNode& node) {
  const onnx::AttributeProto* perm = FindAttribute(*node.proto, "perm");
  Integers order;
  if (perm != nullptr) order.assign(perm->ints().begin(), perm->ints().end());
  return TransposeIntegers(ReadIntegers(importer, node, 0), std::move(order));
}

IntegerTensor Reshape(const OnnxImporter& importer, const OnnxNode& node) {
  const std::optional<Integers> target = IntegerList(importer, node, 1, "shape");
  if (!target) throw NodeProblem{"its target shape is missing"};
  return ReshapeIntegers(ReadIntegers(importer, node, 0), *target);
}

IntegerTensor Squeeze(const OnnxImporter& importer, const OnnxNode& node) {
  const std::optional<Integers> axes = Axes(importer, node);
  return SqueezeIntegers(ReadIntegers(importer, node, 0), axes ? &*axes : nullptr);
}

IntegerTensor Unsqueeze(const OnnxImporter& importer, const OnnxNode& node) {
  const std::optional<Integers> axes = Axes(importer, node);
  if (!axes) throw NodeProblem{"its axes are missing"};
  return UnsqueezeIntegers(ReadIntegers(importer, node, 0), *axes);
}

IntegerTensor Cast(const OnnxImporter& importer, const OnnxNode& node) {
  const std::int64_t to = IntAttribute(node, "to", 0);
  const bool to_bool = to == onnx::TensorProto::BOOL;
  if (!to_bool && to != onnx::TensorProto::INT64 && to != onnx::TensorProto::INT32) {
    throw NodeProblem{
        "integers that follow from shapes, or more than a few constant ones, can only "
        "be cast to INT64, INT32 or BOOL"};
  }
  IntegerTensor data = ReadIntegers(importer, node, 0);
  // A batch is not empty.
  for (std::int64_t& value : data.values) value = to_bool ? std::int64_t{value != 0} : value;
  return data;
}

IntegerTensor Copy(const OnnxImporter& importer, const OnnxNode& node) {
  return ReadIntegers(importer, node, 0);
}

IntegerTensor ConstantOfShape(const OnnxImporter& importer, const OnnxNode& node) {
  const std::optional<Integers> dims = IntegerList(importer, node, 0, "shape");
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, "value");
  if (attribute == nullptr) throw NodeProblem{"without a value it makes floating-point numbers"};
  OnnxConstant constant;
  const std::string why = CheckTensor(attribute->t(), &constant);
  if (!why.empty()) throw NodeProblem{"its value " + why};
  const std::optional<Integers> value =
      constant.count == 1 ? IntegerValues(constant) : std::nullopt;
  if (!dims || !value) throw NodeProblem{"its shape is none, or its value not one integer"};
  return MakeIntegers(*dims, [&](const Integers&) { return value->front(); });
}

IntegerTensor Expand(const OnnxImporter& importer, const OnnxNode& node) {
  const IntegerTensor data = ReadIntegers(importer, node, 0);
  const std::optional<Integers> target = IntegerList(importer, node, 1, "shape");
  if (!target) throw NodeProblem{"its target shape is missing"};
  return MakeIntegers(BroadcastDims(data.dims, *target),
                      [&](const Integers& place) { return ValueAt(data, place); });
}

IntegerTensor Where(const OnnxImporter& importer, const OnnxNode& node) {
  const IntegerTensor condition = ReadIntegers(importer, node, 0);
  const IntegerTensor yes = ReadIntegers(importer, node, 1), no = ReadIntegers(importer, node, 2);
  return MakeIntegers(BroadcastDims(condition.dims, BroadcastDims(yes.dims, no.dims)),
                      [&](const Integers& place) {
                        return ValueAt(ValueAt(condition, place) != 0 ? yes : no, place);
                      });
}

// Of all values: ReduceProd, ReduceSum, ReduceMin, ReduceMax of a list, as x.shape[1:].numel()
// exports.
IntegerTensor Reduce(const OnnxImporter& importer, const OnnxNode& node) {
  static const std::map<std::string, const char*> functions = {
      {"ReduceProd", "Mul"}, {"ReduceSum", "Add"}, {"ReduceMin", "Min"}, {"ReduceMax", "Max"}};
  const IntegerTensor data = ReadIntegers(importer, node, 0);
  if (data.dims.size() > 1 || data.values.empty()) {
    throw NodeProblem{"of computed integers only a list can be reduced"};
  }
  std::int64_t result = data.values[0];
  const IntegerFunction function = FindIntegerFunction(functions.at(node.op));
  for (std::size_t i = 1; i < data.values.size(); ++i) result = function(result, data.values[i]);
  const bool keeps = IntAttribute(node, "keepdims", 1) != 0 && !data.dims.empty();
  return keeps ? IntegerRow({result}) : IntegerScalar(result);
}

// Min and Max take any number of inputs, the others two.
IntegerTensor Binary(const OnnxImporter& importer, const OnnxNode& node) {
  const IntegerFunction function = FindIntegerFunction(node.op);
  const bool any_number = node.op == "Min" || node.op == "Max";
  if (node.proto->input_size() < (any_number ? 1 : 2) || IntAttribute(node, "fmod", 0) != 0) {
    throw NodeProblem{"an input is missing, or fmod is set"};
  }
  IntegerTensor result = ReadIntegers(importer, node, 0);
  for (int i = 1; i < node.proto->input_size(); ++i) {
    const IntegerTensor left = std::move(result), right = ReadIntegers(importer, node, i);
    result = MakeIntegers(BroadcastDims(left.dims, right.dims), [&](const Integers& place) {
      return function(ValueAt(left, place), ValueAt(right, place));
    });
  }
  return result;
}

using Rule = IntegerTensor (*)(const OnnxImporter&, const OnnxNode&);

Rule FindRule(const std::string& op) {
  static const std::map<std::string, Rule> rules = {
      {"Cast", Cast},           {"Concat", Concat},    {"ConstantOfShape", ConstantOfShape},
      {"Expand", Expand},       {"Gather", Gather},    {"Identity", Copy},
      {"ReduceMax", Reduce},    {"ReduceMin", Reduce}, {"ReduceProd", Reduce},
      {"ReduceSum", Reduce},    {"Reshape", Reshape},  {"Shape", ShapeOf},
      {"Slice", Slice},         {"Squeeze", Squeeze},  {"Transpose", Transpose},
      {"Unsqueeze", Unsqueeze}, {"Where", Where},
  };
  const auto found = rules.find(op);
  if (found != rules.end()) return found->second;
  return FindIntegerFunction(op) != nullptr ? Binary : nullptr;
}

// Whether a node computes integers: all that it reads are integers, computed or constant. What also
// reads an activation (a Slice with computed ends) is a node of the network. Throws NodeProblem
// when something that could have been such integers has failed.
bool ReadsIntegersOnly(const OnnxImporter& importer, const OnnxNode& node) {
  bool failed = false;
  for (const std::string& name : node.proto->input()) {
    if (name.empty() || importer.integers.contains(name)) continue;
    const auto constant = importer.graph.constants.find(name);
    const bool is_integers = constant != importer.graph.constants.end() &&
                             constant->second.tensor != nullptr &&
                             IsIntegerType(constant->second.tensor->data_type());
    failed |= importer.failed.contains(name);
    if (!is_integers && !importer.failed.contains(name)) return false;
  }
  if (failed) throw NodeProblem{};
  return node.proto->input_size() > 0;
}

}  // namespace

bool ImportIntegers(OnnxImporter* importer, const OnnxNode& node) {
  const Rule rule = FindRule(node.op);
  if (rule == nullptr || (node.op != "Shape" && !ReadsIntegersOnly(*importer, node))) return false;
  IntegerTensor result = rule(*importer, node);
  if (static_cast<std::int64_t>(result.values.size()) > kMostIntegers) {
    throw NodeProblem{"computes " + std::to_string(result.values.size()) +
                      " integers, more than any shape has"};
  }
  importer->integers[OutputName(node, 0)] = std::move(result);
  return true;
}

}  // namespace mu8::convert
