// What every node conversion needs: inputs, attributes, values and layers, with their checks.
#include "converters/onnx/importer.h"

#include <algorithm>
#include <cmath>

#include "converters/onnx/views.h"

namespace mu8::convert {
namespace {

char Letter(Axis axis) { return axis == Axis::kChannels ? 'C' : axis == Axis::kHeight ? 'H' : 'W'; }

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

Activation PeekActivation(const OnnxImporter& importer, const OnnxNode& node, int i, int rank) {
  const std::string name = InputName(node, i);
  if (name.empty()) throw NodeProblem{"input " + std::to_string(i) + " is missing"};
  if (importer.failed.contains(name)) throw NodeProblem{};
  const auto found = importer.activations.find(name);
  if (found == importer.activations.end()) {
    if (importer.graph.constants.contains(name)) {
      throw NodeProblem{"input \"" + name + "\" is a constant, expected an activation"};
    }
    if (importer.integers.contains(name)) {
      throw NodeProblem{"input \"" + name + "\" is computed from shapes, expected an activation"};
    }
    throw NodeProblem{"input \"" + name + "\" is not written by any node"};
  }
  Activation activation = found->second;
  if (activation.probabilities) {
    throw NodeProblem{"reads the result of Softmax, which is only supported as the last node"};
  }
  if (rank != 0 && activation.rank() != rank) {
    throw NodeProblem{"input \"" + name + "\" has rank " + std::to_string(activation.rank()) +
                      ", expected " + std::to_string(rank)};
  }
  const auto readers = importer.readers.find(name);
  activation.is_shared |= readers != importer.readers.end() && readers->second > 1;
  return activation;
}

Activation ReadActivation(OnnxImporter* importer, const OnnxNode& node, int i, int rank) {
  Activation activation = PeekActivation(*importer, node, i, rank);
  Materialize(importer, &activation);
  return activation;
}

Activation ReadImage(OnnxImporter* importer, const OnnxNode& node, int i, int rank) {
  Activation image = ReadActivation(importer, node, i, rank);
  std::vector<Axis> expected = {Axis::kChannels, Axis::kHeight, Axis::kWidth};
  if (image.rank() == 3) expected.erase(expected.begin() + 1);
  bool good = image.dims.size() == expected.size() && IsImageInMemory(*importer, image);
  for (std::size_t dim = 0; good && dim < expected.size(); ++dim) {
    const std::vector<Axis> axes = LongAxes(image, dim);
    good = axes.empty() || axes == std::vector<Axis>{expected[dim]};
  }
  if (!good && image.dims.size() == expected.size()) {
    Reorder(importer, InputName(node, i), image);
    return PeekActivation(*importer, node, i, rank);
  }
  if (!good) {
    throw NodeProblem{"input \"" + InputName(node, i) + "\" runs over " + LayoutText(image) +
                      ", expected (N, C, H, W) or (N, C, W)"};
  }
  return image;
}

void Materialize(OnnxImporter* importer, Activation* activation) {
  if (activation->pending == nullptr) return;
  Pending& pending = *activation->pending;
  if (pending.value < 0) {
    // By copy: AddValue may move the values.
    const Value shape = importer->network.values[static_cast<std::size_t>(activation->value)];
    pending.value =
        AddValue(importer, pending.output_name, shape.height, shape.width, shape.channels);
    Node lookup{.op = Op::kLookup, .name = pending.node_name};
    lookup.inputs = {activation->value};
    lookup.output = pending.value;
    lookup.function = importer->expressions.Compile(pending.function);
    // "Sigmoid(x)" is said in one word.
    const std::size_t bracket = pending.text.find('(');
    lookup.function_name =
        pending.text.substr(bracket) == "(x)" ? pending.text.substr(0, bracket) : pending.text;
    importer->producers[static_cast<std::size_t>(pending.value)] =
        static_cast<int>(importer->network.nodes.size());
    importer->network.nodes.push_back(std::move(lookup));
  }
  activation->value = pending.value;
  activation->pending = nullptr;
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

IntegerTensor ReadIntegers(const OnnxImporter& importer, const OnnxNode& node, int i) {
  const std::string name = InputName(node, i);
  const auto computed = importer.integers.find(name);
  if (computed != importer.integers.end()) return computed->second;
  const OnnxConstant& constant = ReadConstant(importer, node, i);
  if (constant.count > static_cast<std::size_t>(kMostIntegers)) {
    throw NodeProblem{"\"" + name + "\" holds " + std::to_string(constant.count) +
                      " numbers, expected at most " + std::to_string(kMostIntegers)};
  }
  std::optional<std::vector<std::int64_t>> values = IntegerValues(constant);
  if (!values) throw NodeProblem{"\"" + name + "\" holds no integers"};
  // kBatchSize is ours. As a bound the next number says the same; as a size both are refused.
  std::replace(values->begin(), values->end(), kBatchSize, kBatchSize + 1);
  return {.dims = constant.dims, .values = std::move(*values)};
}

std::optional<std::vector<std::int64_t>> ShapeList(const OnnxImporter& importer,
                                                   const OnnxNode& node, int i, const char* name) {
  if (!InputName(node, i).empty()) return ReadIntegers(importer, node, i).values;
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, name);
  if (attribute == nullptr) return std::nullopt;
  std::vector<std::int64_t> values(attribute->ints().begin(), attribute->ints().end());
  std::replace(values.begin(), values.end(), kBatchSize, kBatchSize + 1);
  return values;
}

std::optional<std::vector<std::int64_t>> IntegerList(const OnnxImporter& importer,
                                                     const OnnxNode& node, int i,
                                                     const char* name) {
  std::optional<std::vector<std::int64_t>> values = ShapeList(importer, node, i, name);
  if (values && std::find(values->begin(), values->end(), kBatchSize) != values->end()) {
    throw NodeProblem{"its " + std::string(name) +
                      " depend on the number of images; the engine keeps images apart"};
  }
  return values;
}

void SpendBytes(OnnxImporter* importer, std::uint64_t bytes) {
  importer->parameter_bytes += bytes;
  if (importer->parameter_bytes <= importer->most_parameter_bytes) return;
  throw NodeProblem{"the parameters of the nodes up to this one take more than " +
                    std::to_string(importer->most_parameter_bytes >> 20) +
                    " MiB, many times what the file holds"};
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
  if (height > kMostExtent || width > kMostExtent || channels > kMostExtent ||
      height * width > kMostElements || height * width * channels > kMostElements) {
    throw NodeProblem{"\"" + name + "\" would have " + std::to_string(height) + " x " +
                      std::to_string(width) + " x " + std::to_string(channels) +
                      " elements; at most " + std::to_string(kMostElements) + " are supported"};
  }
  importer->network.values.push_back({.name = name,
                                      .height = static_cast<int>(height),
                                      .width = static_cast<int>(width),
                                      .channels = static_cast<int>(channels)});
  importer->producers.push_back(-1);
  return static_cast<int>(importer->network.values.size()) - 1;
}

void AddLayer(OnnxImporter* importer, const OnnxNode& node, Node layer, std::vector<int> inputs,
              Activation output) {
  SpendBytes(importer, sizeof(float) * (layer.weights.mu.size() + layer.weights.sigma.size() +
                                        layer.bias.mu.size() + layer.bias.sigma.size() +
                                        layer.scale.size() + layer.offset.size()));
  layer.name = node.name;
  layer.inputs = std::move(inputs);
  layer.output = output.value;
  importer->producers[static_cast<std::size_t>(output.value)] =
      static_cast<int>(importer->network.nodes.size());
  importer->network.nodes.push_back(std::move(layer));
  output.is_shared = false;
  importer->activations[OutputName(node, 0)] = std::move(output);
}

Activation NewLike(OnnxImporter* importer, const OnnxNode& node, const Activation& like) {
  const Value shape = importer->network.values[static_cast<std::size_t>(like.value)];
  Activation output = like;
  output.pending = nullptr;
  output.is_shared = false;
  output.value = AddValue(importer, OutputName(node, 0), shape.height, shape.width, shape.channels);
  return output;
}

std::vector<Axis> LongAxes(const Activation& activation, std::size_t dim) {
  std::vector<Axis> axes;
  for (const Axis axis : activation.dims[dim]) {
    if (activation.size(axis) != 1) axes.push_back(axis);
  }
  return axes;
}

std::int64_t DimSize(const Activation& activation, std::size_t dim) {
  if (activation.view != nullptr) return activation.view->dims[dim];
  std::int64_t size = 1;
  for (const Axis axis : activation.dims[dim]) size *= activation.size(axis);
  return size;
}

bool SameLayout(const Activation& a, const Activation& b) {
  if (a.dims.size() != b.dims.size()) return false;
  for (std::size_t dim = 0; dim < a.dims.size(); ++dim) {
    if (LongAxes(a, dim) != LongAxes(b, dim)) return false;
  }
  return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

bool IsImageInMemory(const OnnxImporter& importer, const Activation& activation) {
  const Value& value = importer.network.values[static_cast<std::size_t>(activation.value)];
  return value.height == activation.height && value.width == activation.width &&
         value.channels == activation.channels;
}

std::string LayoutText(const Activation& activation) {
  std::string text = "(N";
  for (std::size_t dim = 0; dim < activation.dims.size(); ++dim) {
    const std::vector<Axis> axes = LongAxes(activation, dim);
    text += axes.empty() ? ", 1" : ", ";
    for (std::size_t i = 0; i < axes.size(); ++i) {
      text += i == 0 ? "" : " * ";
      text += Letter(axes[i]);
    }
  }
  return text + ")";
}

}  // namespace mu8::convert
