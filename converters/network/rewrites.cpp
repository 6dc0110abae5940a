#include "converters/network/rewrites.h"

#include <utility>
#include <vector>

#include "converters/network/fold_affine.h"
#include "converters/network/merge_slices.h"

namespace mu8::convert {

void SplitConcats(Network* network) {
  std::vector<Node> nodes;
  for (Node& node : network->nodes) {
    while (node.op == Op::kConcat && node.inputs.size() > 2) {
      const Value a = network->values[static_cast<std::size_t>(node.inputs[0])];
      const Value b = network->values[static_cast<std::size_t>(node.inputs[1])];
      const int joined = static_cast<int>(network->values.size());
      network->values.push_back({.name = a.name + "+" + b.name,
                                 .height = a.height,
                                 .width = a.width,
                                 .channels = a.channels + b.channels});
      nodes.push_back({.op = Op::kConcat,
                       .name = node.name + "/" + b.name,
                       .inputs = {node.inputs[0], node.inputs[1]},
                       .output = joined});
      node.inputs.erase(node.inputs.begin());
      node.inputs[0] = joined;
    }
    nodes.push_back(std::move(node));
  }
  network->nodes = std::move(nodes);
}

void PrepareNetwork(Network* network) {
  FoldAffine(network);
  MergeSlices(network);
  SplitConcats(network);
}

}  // namespace mu8::convert
