// Integers that the graph computes from shapes, as x.view(x.size(0), -1), x[..., :y.size(3)] and
// F.pad(x, (0, y.size(3) - x.size(3))) export: Shape, Gather, Concat, Sub and their like. All sizes
// but the batch are known, so that these nodes become numbers; whoever needs one that depends on
// the batch refuses it.
#include "converters/onnx/integers.h"

#include <utility>

#include "converters/onnx/integer_rules.h"

namespace mu8::convert {
namespace {

using Integers = std::vector<std::int64_t>;

IntegerTensor ShapeOf(const OnnxImporter& importer, const OnnxNode& node) {
  Integers shape;
  if (importer.integers.contains(InputName(node, 0))) {
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
  IntegerTensor result;
  if (node.op == "Shape") {
    result = ShapeOf(*importer, node);
  } else {
    const IntegerRule rule = FindIntegerRule(node.op);
    if (rule == nullptr || !ReadsIntegersOnly(*importer, node)) return false;
    IntegerInputs inputs{.node = node, .tensors = {}};
    for (int i = 0; i < node.proto->input_size(); ++i) {
      inputs.tensors.emplace_back();
      if (!InputName(node, i).empty()) inputs.tensors.back() = ReadIntegers(*importer, node, i);
    }
    result = rule(inputs);
  }
  if (static_cast<std::int64_t>(result.values.size()) > kMostIntegers) {
    throw NodeProblem{"computes " + std::to_string(result.values.size()) +
                      " integers, more than any shape has"};
  }
  importer->integers[OutputName(node, 0)] = std::move(result);
  return true;
}

}  // namespace mu8::convert
