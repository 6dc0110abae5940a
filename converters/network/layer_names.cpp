#include "converters/network/layer_names.h"

#include <map>
#include <set>
#include <string>

#include "converters/host/printable.h"

namespace mu8::convert {

void NameLayers(Network* network) {
  std::set<std::string> taken;
  for (Node& node : network->nodes) {
    node.name = host::Printable(node.name);
    if (IsWeighted(node.op)) taken.insert(node.name);
  }
  std::set<std::string> met;
  std::map<std::string, int> counts;
  for (Node& node : network->nodes) {
    if (!IsWeighted(node.op) || met.insert(node.name).second) continue;
    int& count = counts.try_emplace(node.name, 1).first->second;
    std::string name;
    do {
      name = node.name + "#" + std::to_string(++count);
    } while (!taken.insert(name).second);
    node.name = name;
    met.insert(name);
  }
}

}  // namespace mu8::convert
