#include "converters/onnx/integer_rules.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "converters/onnx/importer.h"

namespace mu8::convert {
namespace {

using Integers = std::vector<std::int64_t>;

IntegerTensor Gather(const IntegerInputs& in) {
  return GatherIntegers(in.At(0), in.At(1), IntAttribute(in.node, "axis", 0), in.most);
}

IntegerTensor Slice(const IntegerInputs& in) {
  IntegerTensor data = in.At(0);
  const std::optional<Integers> starts = in.List(1, "starts");
  const std::optional<Integers> ends = in.List(2, "ends");
  if (!starts || !ends) throw NodeProblem{"starts or ends are missing"};
  Integers every_axis;
  for (std::size_t i = 0; i < starts->size(); ++i) every_axis.push_back(static_cast<int>(i));
  const Integers axes = in.List(3, "axes").value_or(every_axis);
  const Integers steps = in.List(4, "steps").value_or(Integers(starts->size(), 1));
  if (ends->size() != starts->size() || axes.size() != starts->size() ||
      steps.size() != starts->size()) {
    throw NodeProblem{"starts, ends, axes and steps have different lengths"};
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    data = SliceIntegers(std::move(data), axes[i], (*starts)[i], (*ends)[i], steps[i], in.most);
  }
  return data;
}

IntegerTensor Concat(const IntegerInputs& in) {
  std::vector<IntegerTensor> parts;
  for (std::size_t i = 0; i < in.tensors.size(); ++i) parts.push_back(in.At(i));
  return ConcatIntegers(parts, IntAttribute(in.node, "axis", 0), in.most);
}

IntegerTensor Transpose(const IntegerInputs& in) {
  const onnx::AttributeProto* perm = FindAttribute(*in.node.proto, "perm");
  Integers order;
  if (perm != nullptr) order.assign(perm->ints().begin(), perm->ints().end());
  return TransposeIntegers(in.At(0), std::move(order), in.most);
}

IntegerTensor Reshape(const IntegerInputs& in) {
  const std::optional<Integers> target = in.List(1, "shape");
  if (!target) throw NodeProblem{"its target shape is missing"};
  return ReshapeIntegers(in.At(0), *target, in.most);
}

IntegerTensor Flatten(const IntegerInputs& in) {
  IntegerTensor data = in.At(0);
  const std::int64_t rank = static_cast<std::int64_t>(data.dims.size());
  const std::int64_t given = IntAttribute(in.node, "axis", 1);
  const std::int64_t axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis > rank) {
    throw NodeProblem{"axis " + std::to_string(given) + " does not exist in a tensor of rank " +
                      std::to_string(rank)};
  }
  Integers target = {1, 1};
  for (std::int64_t i = 0; i < rank; ++i) {
    target[i < axis ? 0 : 1] *= data.dims[static_cast<std::size_t>(i)];
  }
  data.dims = std::move(target);
  return data;
}

IntegerTensor Squeeze(const IntegerInputs& in) {
  const std::optional<Integers> axes = in.List(1, "axes");
  return SqueezeIntegers(in.At(0), axes ? &*axes : nullptr);
}

IntegerTensor Unsqueeze(const IntegerInputs& in) {
  const std::optional<Integers> axes = in.List(1, "axes");
  if (!axes) throw NodeProblem{"its axes are missing"};
  return UnsqueezeIntegers(in.At(0), *axes, in.most);
}

IntegerTensor Cast(const IntegerInputs& in) {
  const std::int64_t to = IntAttribute(in.node, "to", 0);
  const bool to_bool = to == onnx::TensorProto::BOOL;
  if (!to_bool && to != onnx::TensorProto::INT64 && to != onnx::TensorProto::INT32) {
    throw NodeProblem{"integers that follow from shapes can only be cast to INT64, INT32 or BOOL"};
  }
  IntegerTensor data = in.At(0);
  // A batch is not empty.
  for (std::int64_t& value : data.values) value = to_bool ? std::int64_t{value != 0} : value;
  return data;
}

IntegerTensor Copy(const IntegerInputs& in) { return in.At(0); }

IntegerTensor ConstantOfShape(const IntegerInputs& in) {
  const std::optional<Integers> dims = in.List(0, "shape");
  const onnx::AttributeProto* attribute = FindAttribute(*in.node.proto, "value");
  if (attribute == nullptr) throw NodeProblem{"without a value it makes floating-point numbers"};
  OnnxConstant constant;
  const std::string why = CheckTensor(attribute->t(), &constant);
  if (!why.empty()) throw NodeProblem{"its value " + why};
  const std::optional<Integers> value =
      constant.count == 1 ? IntegerValues(constant) : std::nullopt;
  if (!dims || !value) throw NodeProblem{"its shape is none, or its value not one integer"};
  return MakeIntegers(
      *dims, [&](const Integers&) { return value->front(); }, in.most);
}

IntegerTensor Expand(const IntegerInputs& in) {
  const std::optional<Integers> target = in.List(1, "shape");
  if (!target) throw NodeProblem{"its target shape is missing"};
  return ExpandIntegers(in.At(0), *target, in.most);
}

IntegerTensor Where(const IntegerInputs& in) {
  const IntegerTensor &condition = in.At(0), &yes = in.At(1), &no = in.At(2);
  const auto value = [&](const Integers& place) {
    return ValueAt(ValueAt(condition, place) != 0 ? yes : no, place);
  };
  return MakeIntegers(BroadcastDims(condition.dims, BroadcastDims(yes.dims, no.dims)), value,
                      in.most);
}

// start, start + delta, ... before limit.
IntegerTensor Steps(const IntegerInputs& in) {
  std::int64_t numbers[3] = {};
  for (std::size_t i = 0; i < 3; ++i) {
    if (in.At(i).values.size() != 1 || in.At(i).values[0] == kBatchSize) {
      throw NodeProblem{"its start, limit and delta must be one known integer each"};
    }
    numbers[i] = in.At(i).values[0];
  }
  const auto [start, limit, delta] = numbers;
  if (delta == 0) throw NodeProblem{"its delta is 0"};
  IntegerTensor row;
  for (std::int64_t next = start; delta > 0 ? next < limit : next > limit;) {
    row.values.push_back(next);
    if (static_cast<std::int64_t>(row.values.size()) > in.most ||
        __builtin_add_overflow(next, delta, &next)) {
      throw NodeProblem{"computes more than " + std::to_string(in.most) + " numbers"};
    }
  }
  row.dims = {static_cast<std::int64_t>(row.values.size())};
  return row;
}

IntegerTensor Size(const IntegerInputs& in) {
  return IntegerScalar(static_cast<std::int64_t>(in.At(0).values.size()));
}

// Of all values: ReduceProd, ReduceSum, ReduceMin, ReduceMax of a list, as x.shape[1:].numel()
// exports.
IntegerTensor Reduce(const IntegerInputs& in) {
  static const std::map<std::string, const char*> functions = {
      {"ReduceProd", "Mul"}, {"ReduceSum", "Add"}, {"ReduceMin", "Min"}, {"ReduceMax", "Max"}};
  const IntegerTensor& data = in.At(0);
  if (data.dims.size() > 1 || data.values.empty()) {
    throw NodeProblem{"of computed integers only a list can be reduced"};
  }
  std::int64_t result = data.values[0];
  const IntegerFunction function = FindIntegerFunction(functions.at(in.node.op));
  for (std::size_t i = 1; i < data.values.size(); ++i) result = function(result, data.values[i]);
  const bool keeps = IntAttribute(in.node, "keepdims", 1) != 0 && !data.dims.empty();
  return keeps ? IntegerRow({result}) : IntegerScalar(result);
}

IntegerTensor Not(const IntegerInputs& in) {
  IntegerTensor data = in.At(0);
  for (std::int64_t& value : data.values) value = std::int64_t{value == 0};
  return data;
}

// Min and Max take any number of inputs, the others two.
IntegerTensor Binary(const IntegerInputs& in) {
  const IntegerFunction function = FindIntegerFunction(in.node.op);
  const bool any_number = in.node.op == "Min" || in.node.op == "Max";
  if (in.tensors.size() < (any_number ? 1 : 2) || IntAttribute(in.node, "fmod", 0) != 0) {
    throw NodeProblem{"an input is missing, or fmod is set"};
  }
  IntegerTensor result = in.At(0);
  for (std::size_t i = 1; i < in.tensors.size(); ++i) {
    const IntegerTensor left = std::move(result);
    const IntegerTensor& right = in.At(i);
    const auto value = [&](const Integers& place) {
      return function(ValueAt(left, place), ValueAt(right, place));
    };
    result = MakeIntegers(BroadcastDims(left.dims, right.dims), value, in.most);
  }
  return result;
}

const std::map<std::string, IntegerRule>& Rules() {
  static const std::map<std::string, IntegerRule> rules = {
      {"Cast", Cast},           {"Concat", Concat},    {"ConstantOfShape", ConstantOfShape},
      {"Expand", Expand},       {"Flatten", Flatten},  {"Gather", Gather},
      {"Identity", Copy},       {"Not", Not},          {"Range", Steps},
      {"ReduceMax", Reduce},    {"ReduceMin", Reduce}, {"ReduceProd", Reduce},
      {"ReduceSum", Reduce},    {"Reshape", Reshape},  {"Size", Size},
      {"Slice", Slice},         {"Squeeze", Squeeze},  {"Transpose", Transpose},
      {"Unsqueeze", Unsqueeze}, {"Where", Where},
  };
  return rules;
}

}  // namespace

const IntegerTensor& IntegerInputs::At(std::size_t i) const {
  if (i >= tensors.size() || !tensors[i]) {
    throw NodeProblem{"input " + std::to_string(i) + " is missing"};
  }
  return *tensors[i];
}

std::optional<std::vector<std::int64_t>> IntegerInputs::List(std::size_t i,
                                                             const char* name) const {
  std::optional<Integers> values;
  if (i < tensors.size() && tensors[i]) {
    values = tensors[i]->values;
  } else if (const onnx::AttributeProto* attribute = FindAttribute(*node.proto, name)) {
    values = Integers(attribute->ints().begin(), attribute->ints().end());
  }
  if (values && std::find(values->begin(), values->end(), kBatchSize) != values->end()) {
    throw NodeProblem{"its " + std::string(name) +
                      " depend on the number of images; the engine keeps images apart"};
  }
  return values;
}

IntegerRule FindIntegerRule(const std::string& op) {
  const auto found = Rules().find(op);
  if (found != Rules().end()) return found->second;
  return FindIntegerFunction(op) != nullptr ? Binary : nullptr;
}

std::vector<std::string> IntegerRuleNames() {
  std::vector<std::string> names = IntegerFunctionNames();
  for (const auto& [name, rule] : Rules()) names.push_back(name);
  return names;
}

std::optional<DataInputs> MovedInputs(const OnnxNode& node) {
  static const std::set<std::string> first_input = {"Expand",   "Flatten",   "Gather",
                                                    "Reshape",  "Slice",     "Squeeze",
                                                    "Identity", "Transpose", "Unsqueeze"};
  const auto count = static_cast<std::size_t>(node.proto->input_size());
  if (node.op == "Concat") return DataInputs{.first = 0, .last = count};
  if (node.op == "Where") return DataInputs{.first = 1, .last = count};
  if (first_input.contains(node.op)) return DataInputs{.first = 0, .last = 1};
  return std::nullopt;
}

}  // namespace mu8::convert
