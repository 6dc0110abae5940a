#include "converters/fp32/buffers.h"

#include <algorithm>

namespace mu8::convert {
namespace {

// Element i of the output depends on element i of the inputs alone: the output may overwrite them.
bool WorksInPlace(const Network& network, const Node& node) {
  if (node.op == Op::kClip || node.op == Op::kLookup) return true;
  if (!IsBinary(node.op)) return false;
  return network.values[static_cast<std::size_t>(node.inputs[0])].size() ==
         network.values[static_cast<std::size_t>(node.inputs[1])].size();
}

}  // namespace

BufferAssignment AssignBuffers(const Network& network) {
  std::vector<std::size_t> last_reader(network.values.size(), 0);
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    last_reader[static_cast<std::size_t>(network.nodes[i].output)] = i;  // unless it is read
    for (const int input : network.nodes[i].inputs) {
      last_reader[static_cast<std::size_t>(input)] = i;
    }
  }
  BufferAssignment assigned;
  assigned.buffer_of.assign(network.values.size(), -1);
  std::vector<int> free;
  const auto take = [&](int value) {
    if (free.empty() || value == network.output || value == network.input) {
      free.push_back(static_cast<int>(assigned.sizes.size()));
      assigned.sizes.push_back(0);
    }
    const int buffer = free.back();
    free.pop_back();
    std::size_t& size = assigned.sizes[static_cast<std::size_t>(buffer)];
    size = std::max(size, network.values[static_cast<std::size_t>(value)].size());
    assigned.buffer_of[static_cast<std::size_t>(value)] = buffer;
  };
  take(network.input);
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.nodes[i];
    std::vector<int> ending = node.inputs;
    ending.push_back(node.output);
    std::sort(ending.begin(), ending.end());
    ending.erase(std::unique(ending.begin(), ending.end()), ending.end());
    std::erase_if(ending, [&](int value) {
      return last_reader[static_cast<std::size_t>(value)] != i || value == network.input ||
             value == network.output;
    });
    const auto release = [&](bool outputs) {
      for (const int value : ending) {
        if ((value == node.output) != outputs) continue;
        free.push_back(assigned.buffer_of[static_cast<std::size_t>(value)]);
      }
    };
    const bool in_place = WorksInPlace(network, node);
    if (in_place) release(false);
    take(node.output);
    if (!in_place) release(false);
    release(true);
  }
  return assigned;
}

}  // namespace mu8::convert
