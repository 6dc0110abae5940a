#include "converters/onnx/operators.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "converters/onnx/constant_arithmetic.h"
#include "converters/onnx/dense.h"
#include "converters/onnx/elementwise.h"
#include "converters/onnx/functions.h"
#include "converters/onnx/gathers.h"
#include "converters/onnx/integer_rules.h"
#include "converters/onnx/integers.h"
#include "converters/onnx/joined_outputs.h"
#include "converters/onnx/resize.h"
#include "converters/onnx/shapes.h"
#include "converters/onnx/slices.h"
#include "converters/onnx/transposed.h"
#include "converters/onnx/windows.h"

namespace mu8::convert {
namespace {

// Dropout is the identity at inference. One exported as active is an error rather than a silent
// change of the model: its randomness is not part of the Gaussian posterior.
void ImportDropout(OnnxImporter* importer, const OnnxNode& node) {
  const std::string training = InputName(node, 2);
  if (!training.empty()) {
    std::optional<std::vector<std::int64_t>> mode;
    if (importer->graph.constants.contains(training)) {
      const OnnxConstant& constant = ReadConstant(*importer, node, 2);
      if (constant.count == 1) mode = IntegerValues(constant);
    }
    if (!mode) {
      Report(importer, node, "training_mode is not a constant truth value");
    } else if (mode->front() != 0) {
      Report(importer, node,
             "training_mode is true: the network was exported in training mode, and dropout at "
             "inference is not supported; call module.eval() and export again");
    }
  }
  ImportAlias(importer, node);
}

// Numbers of one kind only run through the engine.
void ImportCast(OnnxImporter* importer, const OnnxNode& node) {
  const std::int64_t to = IntAttribute(node, "to", 0);
  if (!IsFloatType(static_cast<int>(to))) {
    throw NodeProblem{"activations can only be cast to floating-point numbers"};
  }
  ImportAlias(importer, node);
}

// Dropped: the engine's output is probabilities. LogSoftmax has the same argument.
void ImportSoftmax(OnnxImporter* importer, const OnnxNode& node) {
  Activation logits = ReadActivation(importer, node, 0, 0);
  const std::int64_t axis = IntAttribute(node, "axis", importer->graph.opset < 13 ? 1 : -1);
  const std::int64_t dim = (axis < 0 ? axis + logits.rank() : axis) - 1;
  const auto along = static_cast<std::size_t>(dim);
  const bool exists = dim >= 0 && dim < logits.rank() - 1;
  const bool all =
      exists && DimSize(logits, along) == static_cast<std::int64_t>(logits.flat_size());
  // Of an image: at each of its positions.
  const bool channels = exists && LongAxes(logits, along) == std::vector<Axis>{Axis::kChannels};
  if (!all && !channels) {
    Report(importer, node, "axis " + std::to_string(axis) + " does not run along the classes");
  }
  logits.probabilities = true;
  importer->network.head_hint = {.head = Head::kSoftmax, .why = "the graph ends in " + node.op};
  importer->activations[OutputName(node, 0)] = logits;
}

template <Op op>
void ImportPoolOf(OnnxImporter* importer, const OnnxNode& node) {
  ImportPool(importer, node, op);
}

template <Op op>
void ImportGlobalPoolOf(OnnxImporter* importer, const OnnxNode& node) {
  ImportGlobalPool(importer, node, op);
}

template <Op op>
void ImportReduceOf(OnnxImporter* importer, const OnnxNode& node) {
  ImportReduce(importer, node, op);
}

struct Operator {
  void (*import)(OnnxImporter*, const OnnxNode&);
  std::vector<std::string> attributes;  // of all operator sets
};

const std::map<std::string, Operator>& Operators() {
  static const std::vector<std::string> none;
  static const std::vector<std::string> reduce = {"axes", "keepdims", "noop_with_empty_axes"};
  static const std::map<std::string, Operator> operators = {
      {"Add", {ImportElementwise, none}},
      {"AveragePool",
       {ImportPoolOf<Op::kAveragePool>,
        {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads",
         "strides"}}},
      {"BatchNormalization",
       {ImportBatchNormalization, {"epsilon", "momentum", "spatial", "training_mode"}}},
      {"Cast", {ImportCast, {"round_mode", "saturate", "to"}}},
      {"Clip", {ImportElementwise, {"max", "min"}}},
      {"Concat", {ImportConcat, {"axis"}}},
      {"Conv", {ImportConv, {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}}},
      {"ConvTranspose",
       {ImportConvTranspose,
        {"auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads",
         "strides"}}},
      {"DepthToSpace", {ImportDepthToSpace, {"blocksize", "mode"}}},
      {"Div", {ImportElementwise, none}},
      {"Dropout", {ImportDropout, {"ratio", "seed"}}},
      {"Expand", {ImportExpand, none}},
      {"Flatten", {ImportFlatten, {"axis"}}},
      {"Gather", {ImportGather, {"axis"}}},
      {"Gemm", {ImportGemm, {"alpha", "beta", "transA", "transB"}}},
      {"GlobalAveragePool", {ImportGlobalPoolOf<Op::kAveragePool>, none}},
      {"GlobalMaxPool", {ImportGlobalPoolOf<Op::kMaxPool>, none}},
      {"Identity", {ImportAlias, none}},
      {"LogSoftmax", {ImportSoftmax, {"axis"}}},
      {"MatMul", {ImportMatMul, none}},
      {"Max", {ImportElementwise, none}},
      {"MaxPool",
       {ImportPoolOf<Op::kMaxPool>,
        {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order",
         "strides"}}},
      {"Min", {ImportElementwise, none}},
      {"Mul", {ImportElementwise, none}},
      {"PRelu", {ImportElementwise, none}},
      {"Pad", {ImportPad, {"mode", "pads", "value"}}},
      {"Pow", {ImportElementwise, none}},
      {"ReduceMax", {ImportReduceOf<Op::kMaxPool>, reduce}},
      {"ReduceMean", {ImportReduceOf<Op::kAveragePool>, reduce}},
      {"ReduceSum", {ImportReduceSum, reduce}},
      {"Reshape", {ImportReshape, {"allowzero", "shape"}}},
      {"Resize",
       {ImportResize,
        {"antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
         "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"}}},
      {"Slice", {ImportSlice, {"axes", "ends", "starts"}}},
      {"Softmax", {ImportSoftmax, {"axis"}}},
      {"SpaceToDepth", {ImportSpaceToDepth, {"blocksize"}}},
      {"Split", {ImportSplit, {"axis", "num_outputs", "split"}}},
      {"Squeeze", {ImportSqueeze, {"axes"}}},
      {"Sub", {ImportElementwise, none}},
      {"Sum", {ImportElementwise, none}},
      {"Transpose", {ImportTranspose, {"perm"}}},
      {"Unsqueeze", {ImportUnsqueeze, {"axes"}}},
      {"Upsample", {ImportResize, {"mode", "scales"}}},
  };
  return operators;
}

// Why the engine has no counterpart of `op`; empty when it is merely unknown here.
std::string WhyUnsupported(const std::string& op) {
  constexpr const char* kStatistics =
      "its statistics depend on the input; only BatchNormalization folds";
  constexpr const char* kDrawn =
      "it draws random numbers in the graph; export the network of the means and give the sigmas "
      "as a posterior (tools/export_posterior.py)";
  constexpr const char* kQuantized =
      "the graph is quantized already; export the floating-point network";
  constexpr const char* kDecided =
      "it decides or picks, where predictions are probabilities; export the network without it, or "
      "name the output before it (--output-name)";
  static const std::map<std::string, std::string> reasons = {
      {"GRU", "the engine has no recurrent layers"},
      {"LSTM", "the engine has no recurrent layers"},
      {"RNN", "the engine has no recurrent layers"},
      {"InstanceNormalization", kStatistics},
      {"LayerNormalization", kStatistics},
      {"GroupNormalization", kStatistics},
      {"RMSNormalization", kStatistics},
      {"LRN", "it divides by the norm of neighbouring channels"},
      {"Attention", "products of activations are not supported"},
      {"Greater", kDecided},
      {"GreaterOrEqual", kDecided},
      {"Less", kDecided},
      {"LessOrEqual", kDecided},
      {"Where", kDecided},
      {"If", "the engine has no control flow"},
      {"Loop", "the engine has no control flow"},
      {"Scan", "the engine has no control flow"},
      {"Bernoulli", kDrawn},
      {"Multinomial", kDrawn},
      {"RandomNormal", kDrawn},
      {"RandomNormalLike", kDrawn},
      {"RandomUniform", kDrawn},
      {"RandomUniformLike", kDrawn},
      {"QLinearConv", kQuantized},
      {"QLinearMatMul", kQuantized},
      {"QuantizeLinear", kQuantized},
      {"DequantizeLinear", kQuantized},
      {"ArgMax", kDecided},
      {"Hardmax", kDecided},
      {"TopK", kDecided},
      {"Size", "it depends on the number of images"},
      {"Constant", "its values are sparse or text; expected numbers in \"value\""},
      {"Einsum", "only products with constant weights, as Gemm or MatMul, are layers"},
  };
  const auto found = reasons.find(op);
  return found == reasons.end() ? std::string() : " (" + found->second + ")";
}

// The same of a node that no operator set explains.
std::string WhyUnsupported(const OnnxImporter& importer, const OnnxNode& node) {
  for (const onnx::FunctionProto& function : importer.graph.model.functions()) {
    if (function.name() != node.proto->op_type() || function.domain() != node.proto->domain()) {
      continue;
    }
    return " (a function that the file defines; write its nodes in its place: "
           "onnx.inliner.inline_local_functions)";
  }
  return WhyUnsupported(node.op);
}

bool ReadsConstantsAlone(const OnnxImporter& importer, const OnnxNode& node) {
  bool reads = false;
  for (const std::string& name : node.proto->input()) {
    if (name.empty()) continue;
    if (!importer.graph.constants.contains(name)) return false;
    reads = true;
  }
  return reads;
}

// An attribute that is not known may change what the node computes.
void CheckAttributes(OnnxImporter* importer, const OnnxNode& node,
                     const std::vector<std::string>& known) {
  for (const onnx::AttributeProto& attribute : node.proto->attribute()) {
    if (std::ranges::find(known, attribute.name()) != known.end()) continue;
    Report(
        importer, node,
        "its attribute \"" + attribute.name() +
            "\" is not known: it may change what the node computes (the graph is of operator set " +
            std::to_string(importer->graph.opset) +
            ", known are the attributes up to 24; export with an older opset_version)");
  }
}

}  // namespace

void ImportNode(OnnxImporter* importer, const OnnxNode& node) {
  if (OutputName(node, 0).empty()) throw NodeProblem{"it has no output"};
  if (ImportIntegers(importer, node)) return;
  if (node.op == "Concat" && node.name == kJoinNode) return ImportJoin(importer, node);
  const std::string why = WhyUnsupported(*importer, node);
  if (why.empty() && ReadsConstantsAlone(*importer, node)) {
    throw NodeProblem{
        "this " + node.op +
        " of constants is not computed; export with constants folded (do_constant_folding=True, or "
        "onnxsim)"};
  }
  if (IsUnary(node.op)) {
    CheckAttributes(importer, node, FunctionAttributes());
    return ImportElementwise(importer, node);
  }
  const auto found = Operators().find(node.op);
  if (found == Operators().end()) {
    throw NodeProblem{"not supported yet: " + node.op + why};
  }
  CheckAttributes(importer, node, found->second.attributes);
  found->second.import(importer, node);
}

std::set<std::string> ImportedOperators() {
  std::set<std::string> names;
  for (const auto& [name, entry] : Operators()) names.insert(name);
  for (const std::string& name : UnaryNames()) names.insert(name);
  return names;
}

std::set<std::string> ComputedOperators() {
  std::set<std::string> names = {"MatMul", "Shape", "Sum"};
  for (const std::string& name : IntegerRuleNames()) names.insert(name);
  for (const std::string& name : NumberFunctionNames()) names.insert(name);
  for (const std::string& name : ReductionNames()) names.insert(name);
  for (const std::string& name : UnaryNames()) names.insert(name);
  return names;
}

}  // namespace mu8::convert
