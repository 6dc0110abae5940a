// ImportOnnx: walks the graph once and collects every problem. graph.cpp reads the file, the
// other files of this folder convert the nodes (importer.h); here are dispatch and the graph's two
// ends.
#include "converters/onnx/import.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "converters/host/error.h"
#include "converters/onnx/fold_constants.h"
#include "converters/onnx/graph_input.h"
#include "converters/onnx/importer.h"
#include "converters/onnx/metadata.h"
#include "converters/onnx/operators.h"
#include "converters/onnx/parameters.h"
#include "converters/onnx/views.h"

namespace mu8::convert {
namespace {

using Problems = std::vector<std::string>;

void CountReaders(OnnxImporter* importer) {
  for (const OnnxNode& node : importer->graph.nodes) {
    if (node.op == "Shape") continue;  // asks for no values
    for (const std::string& name : node.proto->input()) {
      ++importer->readers[name];
      if (node.op == "MaxPool") ++importer->pool_readers[name];
    }
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
      ImportNode(importer, node);
    } catch (const NodeProblem& problem) {
      if (!problem.message.empty()) Report(importer, node, problem.message);
      importer->failed.insert(node.proto->output().begin(), node.proto->output().end());
    }
  }
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

// Where the file declares another number of outputs, those that the graph computes count.
void NoteDeclaredShape(const std::string& where, const Activation& output, OnnxImporter* importer) {
  const auto& shape = importer->graph.output->type().tensor_type().shape();
  if (shape.dim_size() < 2) return;
  std::int64_t declared = 1;
  std::string text;
  for (int i = 1; i < shape.dim_size(); ++i) {
    const std::int64_t dim = shape.dim(i).dim_value();
    if (dim <= 0 || dim > std::numeric_limits<std::int32_t>::max() / declared) return;  // symbolic
    declared *= dim;
    text += (text.empty() ? "" : " x ") + std::to_string(dim);
  }
  const std::int64_t found = std::int64_t{output.height} * output.width * output.channels;
  if (declared == found) return;
  importer->network.notices.push_back(where + "is declared as " + text +
                                      " numbers, and computed as " + std::to_string(found) +
                                      ": these are taken");
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
  if (importer->graph.constants.contains(name)) {
    importer->problems.push_back(where + "is a constant: it does not depend on the input");
    return;
  }
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
  NoteDeclaredShape(where, output, importer);
}

Network ImportGraph(OnnxGraph* graph, const Posterior& posterior, Problems problems) {
  FoldConstants(posterior, graph, &problems);
  OnnxImporter importer{.graph = *graph, .posterior = posterior, .problems = problems};
  importer.failed = graph->failed;
  // Every parameter is counted when it is read and when its layer is made, its sigma, too.
  importer.most_parameter_bytes =
      std::max<std::uint64_t>(512 << 20, 16 * graph->model.ByteSizeLong());
  importer.network.name = std::filesystem::path(graph->path).stem().string();
  constexpr std::int64_t kNewestOpset = 24;
  if (graph->opset > kNewestOpset) {
    importer.network.notices.push_back("the model is of operator set " +
                                       std::to_string(graph->opset) +
                                       ": its operators are taken for what they are in " +
                                       std::to_string(kNewestOpset) + ", the newest that is known");
  }
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
