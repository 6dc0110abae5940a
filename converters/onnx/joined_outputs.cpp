#include "converters/onnx/joined_outputs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "converters/onnx/shapes.h"

namespace mu8::convert {
namespace {

// The dense layer that alone makes `part`, and whose result nobody else reads; or nullptr.
const Node* LayerOf(const OnnxImporter& importer, const Activation& part) {
  const int producer = importer.producers[static_cast<std::size_t>(part.value)];
  if (producer < 0 || part.is_shared) return nullptr;
  const Node& node = importer.network.nodes[static_cast<std::size_t>(producer)];
  return node.op == Op::kDense ? &node : nullptr;
}

// Appends the parameters of a layer of `rows` rows; zeros where it has none and others may.
void AppendRows(const GaussianTensor& from, std::size_t count, GaussianTensor* to) {
  const auto append = [count](const std::vector<float>& values, std::vector<float>* all) {
    all->insert(all->end(), values.begin(), values.end());
    all->resize(all->size() + count - values.size(), 0.0F);
  };
  append(from.mu, &to->mu);
  append(from.sigma, &to->sigma);
}

void DropZeros(std::vector<float>* values) {
  if (std::ranges::all_of(*values, [](float value) { return value == 0.0F; })) values->clear();
}

// The layers, all dense and of one input, as one.
Node Stack(const std::vector<const Node*>& layers, const std::vector<Activation>& parts) {
  Node stacked{.op = Op::kDense};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    AppendRows(layers[i]->weights, layers[i]->weights.mu.size(), &stacked.weights);
    AppendRows(layers[i]->bias, static_cast<std::size_t>(parts[i].channels), &stacked.bias);
  }
  DropZeros(&stacked.weights.sigma);
  DropZeros(&stacked.bias.sigma);
  return stacked;
}

// What the last output ends in is taken off it, as a Sigmoid at a graph's end is.
void TakeEnd(OnnxImporter* importer, Activation* scale) {
  if (scale->pending == nullptr || scale->pending->end == FunctionEnd::kOther ||
      scale->pending->end == FunctionEnd::kSigmoid) {
    return;
  }
  importer->network.scale_end =
      scale->pending->end == FunctionEnd::kExp ? ScaleEnd::kExp : ScaleEnd::kSoftplus;
  scale->pending = scale->pending->inner;
}

}  // namespace

void ImportJoin(OnnxImporter* importer, const OnnxNode& node) {
  std::vector<Activation> parts;
  std::vector<const Node*> layers;
  std::vector<int> inputs;
  const int count = node.proto->input_size();
  for (int i = 0; i < count; ++i) {
    Activation part = PeekActivation(*importer, node, i, 0);
    if (i + 1 == count) TakeEnd(importer, &part);
    importer->network.joined.push_back(node.proto->input(i));
    Materialize(importer, &part);
    inputs.push_back(part.value);
    parts.push_back(std::move(part));
  }
  std::int64_t channels = 0;
  bool stackable = true;
  for (const Activation& part : parts) {
    if (part.height != parts[0].height || part.width != parts[0].width) {
      throw NodeProblem{"outputs of " + LayoutText(parts[0]) + " and " + LayoutText(part) +
                        " cannot be joined: expected equal height and width"};
    }
    channels += part.channels;
    layers.push_back(LayerOf(*importer, part));
    stackable = stackable && layers.back() != nullptr && layers.back()->inputs == layers[0]->inputs;
  }
  Activation output = parts[0];
  output.pending = nullptr;
  output.channels = static_cast<int>(channels);
  output.value = AddValue(importer, OutputName(node, 0), parts[0].height, parts[0].width, channels);
  if (!stackable) {
    return AddLayer(importer, node, Node{.op = Op::kConcat}, std::move(inputs), std::move(output));
  }
  Node stacked = Stack(layers, parts);
  std::vector<int> source = layers[0]->inputs;
  AddLayer(importer, node, std::move(stacked), std::move(source), std::move(output));
}

}  // namespace mu8::convert
