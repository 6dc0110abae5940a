// ImportOnnx: walks the graph once and collects every problem. graph.cpp reads the file, the
// other files of this folder convert the nodes (importer.h); here are dispatch and the graph's two
// ends.
#include "converters/onnx/import.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <vector>

#include "converters/host/error.h"
#include "converters/onnx/dense.h"
#include "converters/onnx/elementwise.h"
#include "converters/onnx/fold_constants.h"
#include "converters/onnx/gathers.h"
#include "converters/onnx/importer.h"
#include "converters/onnx/integers.h"
#include "converters/onnx/joined_outputs.h"
#include "converters/onnx/metadata.h"
#include "converters/onnx/parameters.h"
#include "converters/onnx/resize.h"
#include "converters/onnx/shapes.h"
#include "converters/onnx/slices.h"
#include "converters/onnx/transposed.h"
#include "converters/onnx/views.h"
#include "converters/onnx/windows.h"

namespace mu8::convert {
namespace {

using Problems = std::vector<std::string>;

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
             "training_mode is true; dropout at inference is not supported, export the model in "
             "evaluation mode");
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

// Why the engine has no counterpart of `op`; empty when it is merely unknown here.
std::string WhyUnsupported(const std::string& op) {
  static const std::map<std::string, std::string> reasons = {
      {"GRU", "the engine has no recurrent layers"},
      {"LSTM", "the engine has no recurrent layers"},
      {"RNN", "the engine has no recurrent layers"},
      {"InstanceNormalization",
       "its statistics depend on the input; only BatchNormalization folds"},
      {"LayerNormalization", "its statistics depend on the input; only BatchNormalization folds"},
      {"GroupNormalization", "its statistics depend on the input; only BatchNormalization folds"},
      {"LRN", "it divides by the norm of neighbouring channels"},
      {"If", "the engine has no control flow"},
      {"Loop", "the engine has no control flow"},
      {"Scan", "the engine has no control flow"},
      {"Gather", "only Slice selects elements of an activation"},
      {"Einsum", "only products with constant weights, as Gemm or MatMul, are layers"},
  };
  const auto found = reasons.find(op);
  return found == reasons.end() ? std::string() : " (" + found->second + ")";
}

void Dispatch(OnnxImporter* importer, const OnnxNode& node) {
  const std::string& op = node.op;
  if (OutputName(node, 0).empty()) throw NodeProblem{"it has no output"};
  if (ImportIntegers(importer, node)) return;
  if (IsElementwise(op)) return ImportElementwise(importer, node);
  if (op == "Conv") return ImportConv(importer, node);
  if (op == "ConvTranspose") return ImportConvTranspose(importer, node);
  if (op == "Resize" || op == "Upsample") return ImportResize(importer, node);
  if (op == "DepthToSpace") return ImportDepthToSpace(importer, node);
  if (op == "SpaceToDepth") return ImportSpaceToDepth(importer, node);
  if (op == "Gemm") return ImportGemm(importer, node);
  if (op == "MatMul") return ImportMatMul(importer, node);
  if (op == "BatchNormalization") return ImportBatchNormalization(importer, node);
  if (op == "MaxPool") return ImportPool(importer, node, Op::kMaxPool);
  if (op == "AveragePool") return ImportPool(importer, node, Op::kAveragePool);
  if (op == "GlobalAveragePool") return ImportGlobalPool(importer, node, Op::kAveragePool);
  if (op == "GlobalMaxPool") return ImportGlobalPool(importer, node, Op::kMaxPool);
  if (op == "ReduceMean") return ImportReduce(importer, node, Op::kAveragePool);
  if (op == "ReduceMax") return ImportReduce(importer, node, Op::kMaxPool);
  if (op == "Concat" && node.name == kJoinNode) return ImportJoin(importer, node);
  if (op == "Concat") return ImportConcat(importer, node);
  if (op == "Slice") return ImportSlice(importer, node);
  if (op == "Pad") return ImportPad(importer, node);
  if (op == "Split") return ImportSplit(importer, node);
  if (op == "Flatten") return ImportFlatten(importer, node);
  if (op == "Reshape") return ImportReshape(importer, node);
  if (op == "Expand") return ImportExpand(importer, node);
  if (op == "Squeeze") return ImportSqueeze(importer, node);
  if (op == "Unsqueeze") return ImportUnsqueeze(importer, node);
  if (op == "Transpose") return ImportTranspose(importer, node);
  if (op == "Dropout") return ImportDropout(importer, node);
  if (op == "Identity") return ImportAlias(importer, node);
  if (op == "Cast") return ImportCast(importer, node);
  if (op == "Softmax" || op == "LogSoftmax") return ImportSoftmax(importer, node);
  throw NodeProblem{"not supported yet: " + op + WhyUnsupported(op)};
}

void CountReaders(OnnxImporter* importer) {
  for (const OnnxNode& node : importer->graph.nodes) {
    if (node.op == "Shape") continue;  // asks for no values
    for (const std::string& name : node.proto->input()) ++importer->readers[name];
  }
  if (importer->graph.output != nullptr) ++importer->readers[importer->graph.output->name()];
}

void ImportNodes(OnnxImporter* importer) {
  for (const OnnxNode& node : importer->graph.nodes) {
    if (importer->graph.failed.contains(OutputName(node, 0))) continue;  // reported
    try {
      if (!KeepsView(node.op)) {
        for (const std::string& name : node.proto->input()) ResolveView(importer, name);
      }
      Dispatch(importer, node);
    } catch (const NodeProblem& problem) {
      if (!problem.message.empty()) Report(importer, node, problem.message);
      importer->failed.insert(node.proto->output().begin(), node.proto->output().end());
    }
  }
}

// Whether an input (N, H, W, C) or (N, W, C) is meant: NHWC frameworks export a Transpose right
// behind it, or, when C is 1, a Reshape.
bool IsChannelsLast(const OnnxImporter& importer, const std::string& name,
                    const std::vector<std::int64_t>& dims) {
  const std::size_t rank = dims.size();
  std::size_t readers = 0;
  for (const OnnxNode& node : importer.graph.nodes) {
    if (InputName(node, 0) != name) continue;
    ++readers;
    std::vector<std::int64_t> expected = {0, static_cast<std::int64_t>(rank) - 1};
    for (std::size_t i = 1; i + 1 < rank; ++i) expected.push_back(static_cast<std::int64_t>(i));
    const onnx::AttributeProto* perm = FindAttribute(*node.proto, "perm");
    if (node.op == "Transpose" && perm != nullptr &&
        std::equal(expected.begin(), expected.end(), perm->ints().begin(), perm->ints().end())) {
      continue;
    }
    if (node.op != "Reshape" || dims.back() != 1 || InputName(node, 1).empty() ||
        !importer.graph.constants.contains(InputName(node, 1))) {
      return false;
    }
    const std::vector<std::int64_t> target = ReadIntegers(importer, node, 1).values;
    std::vector<std::int64_t> image = dims;
    std::rotate(image.begin() + 1, image.end() - 1, image.end());
    if (target.size() != rank || !std::equal(target.begin() + 1, target.end(), image.begin() + 1)) {
      return false;
    }
  }
  return readers > 0 && (rank == 3 || rank == 4);
}

// Whether an input (N, H, W) is a picture without an axis for its one channel: all that reads it
// flattens it or adds the axis in front of it.
bool IsPictureWithoutChannels(const OnnxImporter& importer, const std::string& name,
                              const std::vector<std::int64_t>& dims) {
  std::size_t readers = 0;
  for (const OnnxNode& node : importer.graph.nodes) {
    if (InputName(node, 0) != name) continue;
    ++readers;
    if (node.op == "Flatten") continue;
    if (node.op != "Reshape" && node.op != "Unsqueeze") return false;
    if (!importer.graph.constants.contains(InputName(node, 1)) && node.op == "Reshape")
      return false;
    if (node.op == "Unsqueeze") {
      const auto axes = IntegerList(importer, node, 1, "axes");
      if (axes == std::vector<std::int64_t>{1} || axes == std::vector<std::int64_t>{-3}) continue;
      return false;
    }
    const std::vector<std::int64_t> target = ReadIntegers(importer, node, 1).values;
    const bool is_flat = target.size() == 2;
    const bool adds_channel = target.size() == 4 && target[1] == 1 && target[2] == dims[1];
    if (!is_flat && !adds_channel) return false;
  }
  return readers > 0;
}

std::string LayoutName(const std::vector<std::vector<Axis>>& dims) {
  std::string name = "n";
  for (const std::vector<Axis>& dim : dims) {
    name += dim[0] == Axis::kChannels ? 'c' : dim[0] == Axis::kHeight ? 'h' : 'w';
  }
  return name == "nc" ? "nf" : name;
}

// (N, C, H, W), (N, C, W) or (N, F), of which only N may be symbolic; or with the channels last, or
// (N, H, W).
void ImportInput(OnnxImporter* importer) {
  if (importer->graph.input == nullptr) return;
  const onnx::ValueInfoProto& input = *importer->graph.input;
  const std::string where = importer->graph.path + ": input \"" + input.name() + "\": ";
  const onnx::TypeProto::Tensor& type = input.type().tensor_type();
  bool is_static = type.has_shape();
  std::vector<std::int64_t> dims;
  for (const onnx::TensorShapeProto::Dimension& dim : type.shape().dim()) {
    is_static = is_static && (dims.empty() || dim.dim_value() > 0);
    dims.push_back(dim.dim_value());
  }
  const bool rank_good = dims.size() >= 2 && dims.size() <= 4;
  importer->failed.insert(input.name());
  if (!rank_good || !is_static) {
    importer->problems.push_back(
        where + "shape " + DimsText(dims) +
        (rank_good ? " (0: not static); only the batch dimension may be symbolic"
                   : " is not supported; expected (N, C, H, W), (N, C, W) or (N, F)"));
    return;
  }
  if (!IsFloatType(type.elem_type())) {
    importer->problems.push_back(
        where + "element type " +
        (onnx::TensorProto::DataType_IsValid(type.elem_type())
             ? onnx::TensorProto::DataType_Name(type.elem_type())
             : std::to_string(type.elem_type())) +
        " is not supported, expected floating-point numbers (FLOAT); export the network that "
        "follows the conversion to floats");
  }
  Activation activation;
  activation.dims = {{Axis::kChannels}, {Axis::kHeight}, {Axis::kWidth}};
  if (dims.size() == 3) activation.dims = {{Axis::kChannels}, {Axis::kWidth}};
  if (dims.size() == 2) activation.dims = {{Axis::kChannels}};
  try {
    if (IsChannelsLast(*importer, input.name(), dims)) {
      std::rotate(activation.dims.begin(), activation.dims.begin() + 1, activation.dims.end());
    } else if (dims.size() == 3 && IsPictureWithoutChannels(*importer, input.name(), dims)) {
      activation.dims = {{Axis::kHeight}, {Axis::kWidth}};
    }
    std::int64_t sizes[3] = {1, 1, 1};
    for (std::size_t dim = 0; dim < activation.dims.size(); ++dim) {
      sizes[static_cast<std::size_t>(activation.dims[dim][0])] = dims[dim + 1];
    }
    activation.value = AddValue(importer, input.name(), sizes[1], sizes[2], sizes[0]);
  } catch (const NodeProblem& problem) {
    importer->problems.push_back(where + problem.message);
    return;
  }
  const Value& value = importer->network.values.back();
  activation.channels = value.channels;
  activation.height = value.height;
  activation.width = value.width;
  importer->network.input = activation.value;
  importer->network.input_layout = LayoutName(activation.dims);
  importer->network.input_dims.assign(dims.begin() + 1, dims.end());
  importer->activations[input.name()] = activation;
  importer->failed.erase(input.name());
}

// The engine's logits come from a layer with weights. A graph that ends in anything else (a pool, a
// sum, an activation function) gets a deterministic layer that copies: one weight for each class,
// so that its size does not grow with their square.
void AppendIdentity(OnnxImporter* importer, Activation* output) {
  const int producer = importer->producers[static_cast<std::size_t>(output->value)];
  if (producer < 0) return;  // of an unsupported node, which has been reported
  const Op op = importer->network.nodes[static_cast<std::size_t>(producer)].op;
  // What is left of kAffine after folding is a convolution.
  if (IsWeighted(op) || op == Op::kAffine) return;
  const std::size_t classes = static_cast<std::size_t>(output->channels);
  const std::string name =
      importer->network.values[static_cast<std::size_t>(output->value)].name + "/identity";
  Node layer{.op = Op::kConv2d, .name = name};
  layer.inputs = {output->value};
  layer.output = output->value =
      AddValue(importer, name, output->height, output->width, output->channels);
  layer.groups = output->channels;
  layer.weights.mu.assign(classes, 1.0f);
  importer->network.nodes.push_back(std::move(layer));
}

// Whether a function gives numbers between 0 and 1 and nearly all of them, as a sigmoid does in
// whatever nodes it is written.
bool IsLikeSigmoid(const Node& node) {
  if (node.op == Op::kClip) return node.low >= 0.0F && node.high <= 1.0F;
  if (node.op != Op::kLookup || !node.function) return false;
  double least = 1.0, most = 0.0;
  for (int x = -400; x <= 400; ++x) {
    const double y = node.function(0.1 * x);
    if (!(y >= -1e-6 && y <= 1.0 + 1e-6)) return false;
    least = std::min(least, y), most = std::max(most, y);
  }
  return most - least > 0.9;
}

// The node that has made probabilities of (some of) the outputs, unless the graph's end was one
// that the head replaces: found through what only cuts and joins. nullptr: there is none.
const Node* FindProbabilities(const OnnxImporter& importer, int output) {
  std::vector<int> values = {output};
  std::set<int> seen;
  while (!values.empty()) {
    const int value = values.back();
    values.pop_back();
    const int producer = importer.producers[static_cast<std::size_t>(value)];
    if (producer < 0 || !seen.insert(value).second) continue;
    const Node& node = importer.network.nodes[static_cast<std::size_t>(producer)];
    if (IsLikeSigmoid(node)) return &node;
    const bool keeps_values = node.op == Op::kSlice || node.op == Op::kConcat ||
                              node.op == Op::kClip || node.op == Op::kGather;
    if (!keeps_values) continue;
    values.insert(values.end(), node.inputs.begin(), node.inputs.end());
  }
  return nullptr;
}

// Whether each dimension after the batch is one axis: not flattened.
bool IsImage(const Activation& activation) {
  for (std::size_t dim = 0; dim < activation.dims.size(); ++dim) {
    if (LongAxes(activation, dim).size() > 1) return false;
  }
  return true;
}

void ImportOutput(OnnxImporter* importer) {
  if (importer->graph.output == nullptr) return;
  const std::string& name = importer->graph.output->name();
  const std::string where = importer->graph.path + ": output \"" + name + "\": ";
  if (importer->failed.contains(name)) return;
  try {
    ResolveView(importer, name);
  } catch (const NodeProblem& problem) {
    importer->problems.push_back(where + problem.message);
    return;
  }
  const auto found = importer->activations.find(name);
  if (found == importer->activations.end()) {
    importer->problems.push_back(where + "no node writes it");
    return;
  }
  Activation output = found->second;
  if (output.pending != nullptr && output.pending->end == FunctionEnd::kSigmoid) {
    // The engine computes the probabilities, and their spread over the passes, from the logits.
    output.pending = output.pending->inner;
    importer->network.head_hint = {
        .head = Head::kSigmoid, .why = "the graph ends in Sigmoid", .sigmoid_end = true};
  }
  Materialize(importer, &output);
  if (const Node* node = FindProbabilities(*importer, output.value);
      node != nullptr && !importer->network.head_hint.head) {
    importer->network.head_hint.probabilities =
        "node \"" + node->name + "\" (" + (node->op == Op::kClip ? "Clip" : node->function_name) +
        ")";
  }
  if (output.height * output.width != 1 && !IsImage(output)) {
    importer->problems.push_back(
        where + "is a flattened image of " + std::to_string(output.height) + " x " +
        std::to_string(output.width) + " x " + std::to_string(output.channels) +
        ", expected scores, or an image (N, C, H, W) of them");
  } else if (output.value == importer->network.input) {
    importer->problems.push_back(where + "is the input itself");
  } else {
    AppendIdentity(importer, &output);
  }
  importer->network.output = output.value;
}

Network ImportGraph(OnnxGraph* graph, const Posterior& posterior, Problems problems) {
  FoldConstants(posterior, graph, &problems);
  OnnxImporter importer{.graph = *graph, .posterior = posterior, .problems = problems};
  importer.failed = graph->failed;
  // Every parameter is counted when it is read and when its layer is made, its sigma, too.
  importer.most_parameter_bytes =
      std::max<std::uint64_t>(512 << 20, 16 * graph->model.ByteSizeLong());
  importer.network.name = std::filesystem::path(graph->path).stem().string();
  CountReaders(&importer);
  ImportInput(&importer);
  CheckPosterior(&importer);
  ImportNodes(&importer);
  ImportOutput(&importer);
  CheckSigmasRead(&importer);
  ImportMetadata(&importer);
  if (!problems.empty()) throw host::Error(problems);
  DropUnread(&importer.network);  // of which only the shape was asked for
  CheckParameters(importer.network);
  return std::move(importer.network);
}

}  // namespace

Network ImportOnnx(const std::string& path, const Posterior& posterior, const std::string& output) {
  Problems problems;
  OnnxGraph graph;
  LoadOnnx(path, output, &graph, &problems);
  return ImportGraph(&graph, posterior, std::move(problems));
}

Network ImportWithPosterior(const std::string& path, const std::string& posterior_path,
                            const std::string& output) {
  Problems problems;
  OnnxGraph graph;
  LoadOnnx(path, output, &graph, &problems);
  Posterior posterior;
  if (!posterior_path.empty()) {
    // As many sigmas, and as many means, as the model has parameters at most, in up to four times
    // their bytes (half precision there, double here).
    constexpr std::uint64_t kTimes = 8, kHeaders = std::uint64_t{1} << 20;
    posterior = ReadPosterior(posterior_path, kTimes * graph.model.ByteSizeLong() + kHeaders);
  }
  return ImportGraph(&graph, posterior, std::move(problems));
}

}  // namespace mu8::convert
