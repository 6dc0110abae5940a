#include "converters/network/fold_affine.h"

#include <cmath>
#include <string>
#include <vector>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// Products and sums in double: one rounding to float per parameter.
void ScaleRows(GaussianTensor* tensor, const std::vector<float>& scale) {
  const std::size_t per_row = tensor->mu.size() / scale.size();
  for (std::size_t i = 0; i < tensor->mu.size(); ++i) {
    const double factor = double{scale[i / per_row]};
    tensor->mu[i] = static_cast<float>(double{tensor->mu[i]} * factor);
    // A standard deviation scales by the magnitude: the sign only mirrors the Gaussian.
    if (!tensor->sigma.empty()) {
      tensor->sigma[i] = static_cast<float>(double{tensor->sigma[i]} * std::fabs(factor));
    }
  }
}

void FoldInto(Node* layer, const Node& affine) {
  ScaleRows(&layer->weights, affine.scale);
  if (layer->bias.mu.empty()) {
    layer->bias.mu = affine.offset;
    return;
  }
  for (std::size_t i = 0; i < affine.scale.size(); ++i) {
    layer->bias.mu[i] = static_cast<float>(double{layer->bias.mu[i]} * double{affine.scale[i]} +
                                           double{affine.offset[i]});
    if (!layer->bias.sigma.empty()) {
      layer->bias.sigma[i] =
          static_cast<float>(double{layer->bias.sigma[i]} * std::fabs(double{affine.scale[i]}));
    }
  }
}

// The layer that writes the only input of `affine`, if it can take over scale and offset: one with
// parameters, read by nothing else. `producer` is nullptr for the network's input.
bool CanFoldInto(const Network& network, const Node* producer, const Node& affine,
                 int reader_count) {
  return producer != nullptr && IsWeighted(producer->op) && reader_count == 1 &&
         producer->output != network.output &&
         affine.scale.size() ==
             static_cast<std::size_t>(
                 network.values[static_cast<std::size_t>(producer->output)].channels);
}

// x * scale[c] + offset[c] as one weight per channel.
Node DepthwiseConvolution(Node affine) {
  Node layer{.op = Op::kConv2d, .name = std::move(affine.name)};
  layer.inputs = std::move(affine.inputs);
  layer.output = affine.output;
  layer.groups = static_cast<int>(affine.scale.size());
  layer.weights.mu = std::move(affine.scale);
  layer.bias.mu = std::move(affine.offset);
  return layer;
}

}  // namespace

void FoldAffine(Network* network) {
  CheckShapes(*network);

  std::vector<int> readers(network->values.size(), 0);
  for (const Node& node : network->nodes) {
    for (const int input : node.inputs) ++readers[static_cast<std::size_t>(input)];
  }
  std::vector<std::string> problems;
  // The fold works on a copy, so that a network which cannot be folded is left as it was.
  Network folded = *network;
  std::vector<Node> kept;
  kept.reserve(folded.nodes.size());
  std::vector<int> producer(folded.values.size(), -1);  // value -> index into kept
  for (Node& node : folded.nodes) {
    if (node.op == Op::kAffine) {
      const std::size_t input = static_cast<std::size_t>(node.inputs[0]);
      const int at = producer[input];
      Node* layer = at < 0 ? nullptr : &kept[static_cast<std::size_t>(at)];
      if (CanFoldInto(folded, layer, node, readers[input])) {
        FoldInto(layer, node);
        layer->output = node.output;
        producer[static_cast<std::size_t>(node.output)] = at;
        continue;
      }
      const Value& source = folded.values[input];
      if (SameShape(source, folded.values[static_cast<std::size_t>(node.output)])) {
        node = DepthwiseConvolution(std::move(node));
      } else {
        problems.push_back(NodePlace(node) + "scales the " + std::to_string(node.scale.size()) +
                           " elements of a flattened " + ShapeText(source) +
                           " image one by one, which is not supported");
      }
    }
    producer[static_cast<std::size_t>(node.output)] = static_cast<int>(kept.size());
    kept.push_back(std::move(node));
  }
  if (!problems.empty()) throw host::Error(problems);
  folded.nodes = std::move(kept);
  DropOrphanValues(&folded);
  *network = std::move(folded);
}

}  // namespace mu8::convert
