// What every node conversion needs: inputs, attributes, values and layers, with their checks.
#include "converters/onnx_layers.h"

#include <cmath>

namespace mu8::convert {
namespace {

// Bounds of one image. They keep sizes and window arithmetic far from the limits of int.
constexpr std::int64_t kMaxExtent = 1 << 20;
constexpr std::int64_t kMaxElements = 1 << 28;

}  // namespace

void Report(OnnxImporter* importer, const OnnxNode& node, const std::string& message) {
  std::string line = importer->graph.path;
  line += ": node \"" + node.name + "\" (" + node.op + "): " + message;
  importer->problems.push_back(std::move(line));
}

std::string InputName(const OnnxNode& node, int i) {
  return i < node.proto->input_size() ? node.proto->input(i) : std::string();
}

std::string OutputName(const OnnxNode& node, int i) {
  return i < node.proto->output_size() ? node.proto->output(i) : std::string();
}

const Activation& ReadActivation(const OnnxImporter& importer, const OnnxNode& node, int i,
                                 int rank) {
  const std::string name = InputName(node, i);
  if (name.empty()) throw NodeProblem{"input " + std::to_string(i) + " is missing"};
  if (importer.failed.contains(name)) throw NodeProblem{};
  const auto found = importer.activations.find(name);
  if (found == importer.activations.end()) {
    if (importer.graph.constants.contains(name)) {
      throw NodeProblem{"input \"" + name + "\" is a constant, expected an activation"};
    }
    throw NodeProblem{"input \"" + name + "\" is not written by any earlier node"};
  }
  const Activation& activation = found->second;
  if (activation.probabilities) {
    throw NodeProblem{"reads the result of Softmax, which is only supported as the last node"};
  }
  if (!activation.absorbed_by.empty()) {
    throw NodeProblem{"reads \"" + name + "\" as it is before \"" + activation.absorbed_by +
                      "\" adds a constant to it; the engine keeps only the sum"};
  }
  if (rank != 0 && activation.rank != rank) {
    throw NodeProblem{"input \"" + name + "\" has rank " + std::to_string(activation.rank) +
                      ", expected " + std::to_string(rank)};
  }
  return activation;
}

const OnnxConstant& ReadConstant(const OnnxImporter& importer, const OnnxNode& node, int i) {
  const std::string name = InputName(node, i);
  if (name.empty()) throw NodeProblem{"input " + std::to_string(i) + " is missing"};
  const auto found = importer.graph.constants.find(name);
  if (found == importer.graph.constants.end()) {
    if (importer.failed.contains(name)) throw NodeProblem{};
    throw NodeProblem{"input \"" + name + "\" is not an initializer or a constant"};
  }
  if (found->second.tensor == nullptr) throw NodeProblem{};
  return found->second;
}

std::int64_t IntAttribute(const OnnxNode& node, const char* name, std::int64_t fallback) {
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, name);
  if (attribute == nullptr) return fallback;
  if (attribute->type() != onnx::AttributeProto::INT) {
    throw NodeProblem{"attribute " + std::string(name) + " is not an integer"};
  }
  return attribute->i();
}

float FloatAttribute(const OnnxNode& node, const char* name, float fallback) {
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, name);
  if (attribute == nullptr) return fallback;
  if (attribute->type() != onnx::AttributeProto::FLOAT || !std::isfinite(attribute->f())) {
    throw NodeProblem{"attribute " + std::string(name) + " is not a finite number"};
  }
  return attribute->f();
}

std::string StringAttribute(const OnnxNode& node, const char* name, const char* fallback) {
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, name);
  if (attribute == nullptr) return fallback;
  if (attribute->type() != onnx::AttributeProto::STRING) {
    throw NodeProblem{"attribute " + std::string(name) + " is not a string"};
  }
  return attribute->s();
}

int AddValue(OnnxImporter* importer, const std::string& name, std::int64_t height,
             std::int64_t width, std::int64_t channels) {
  if (height > kMaxExtent || width > kMaxExtent || channels > kMaxExtent ||
      height * width > kMaxElements || height * width * channels > kMaxElements) {
    throw NodeProblem{"\"" + name + "\" would have " + std::to_string(height) + " x " +
                      std::to_string(width) + " x " + std::to_string(channels) +
                      " elements; at most " + std::to_string(kMaxElements) + " are supported"};
  }
  importer->network.values.push_back({.name = name,
                                      .height = static_cast<int>(height),
                                      .width = static_cast<int>(width),
                                      .channels = static_cast<int>(channels)});
  importer->producers.push_back(-1);
  return static_cast<int>(importer->network.values.size()) - 1;
}

void AddLayer(OnnxImporter* importer, const OnnxNode& node, Node layer, const Activation& input,
              Activation output) {
  layer.name = node.name;
  layer.inputs = {input.value};
  layer.output = output.value;
  importer->producers[static_cast<std::size_t>(output.value)] =
      static_cast<int>(importer->network.nodes.size());
  importer->network.nodes.push_back(std::move(layer));
  importer->activations[OutputName(node, 0)] = std::move(output);
}

}  // namespace mu8::convert
