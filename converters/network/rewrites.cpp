#include "converters/network/rewrites.h"

#include <string>
#include <utility>
#include <vector>

#include "converters/network/fold_affine.h"
#include "converters/network/layer_names.h"
#include "converters/network/merge_slices.h"
#include "converters/network/transposed.h"

namespace mu8::convert {

void SplitConcats(Network* network) {
  std::vector<Node> nodes;
  for (Node& node : network->nodes) {
    for (std::size_t next = 1; node.op == Op::kConcat && next + 1 < node.inputs.size(); ++next) {
      const Value a = network->values[static_cast<std::size_t>(node.inputs[next - 1])];
      const Value b = network->values[static_cast<std::size_t>(node.inputs[next])];
      const std::string name = node.name + "/" + b.name;
      const int joined = static_cast<int>(network->values.size());
      network->values.push_back({.name = name,
                                 .height = a.height,
                                 .width = a.width,
                                 .channels = a.channels + b.channels});
      nodes.push_back({.op = Op::kConcat,
                       .name = name,
                       .inputs = {node.inputs[next - 1], node.inputs[next]},
                       .output = joined});
      node.inputs[next] = joined;
    }
    if (node.op == Op::kConcat) node.inputs.erase(node.inputs.begin(), node.inputs.end() - 2);
    nodes.push_back(std::move(node));
  }
  network->nodes = std::move(nodes);
}

void PrepareNetwork(Network* network) {
  FoldAffine(network);
  ExpandTransposed(network);
  MergeSlices(network);
  SplitConcats(network);
  NameLayers(network);
}

}  // namespace mu8::convert
