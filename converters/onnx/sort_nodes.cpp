#include "converters/onnx/sort_nodes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "converters/host/words.h"

namespace mu8::convert {
namespace {

// "a", "b": the nodes of one cycle, found from any node that waits for another one.
std::string CycleText(const std::vector<OnnxNode>& nodes,
                      const std::map<std::string, std::size_t>& producers, std::size_t start) {
  std::vector<std::size_t> path;
  std::set<std::size_t> seen;
  std::size_t at = start;
  while (seen.insert(at).second) {
    path.push_back(at);
    for (const std::string& input : nodes[at].proto->input()) {
      const auto producer = producers.find(input);
      if (producer == producers.end()) continue;
      at = producer->second;
      break;
    }
  }
  std::vector<std::string> names;
  for (auto next = std::ranges::find(path, at); next != path.end(); ++next) {
    names.push_back(nodes[*next].name);
  }
  return host::NameList(names);
}

}  // namespace

void SortNodes(OnnxGraph* graph, std::vector<std::string>* problems) {
  std::vector<OnnxNode>& nodes = graph->nodes;
  std::map<std::string, std::size_t> producers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const std::string& output : nodes[i].proto->output()) {
      if (!output.empty()) producers.emplace(output, i);
    }
  }
  std::vector<std::vector<std::size_t>> readers(nodes.size());
  std::vector<std::size_t> waits(nodes.size(), 0);  // for so many inputs
  std::set<std::size_t> ready;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const std::string& input : nodes[i].proto->input()) {
      const auto producer = producers.find(input);
      if (producer == producers.end()) continue;
      readers[producer->second].push_back(i);
      ++waits[i];
    }
    if (waits[i] == 0) ready.insert(i);
  }
  std::vector<OnnxNode> sorted;
  while (!ready.empty()) {
    const std::size_t next = *ready.begin();
    ready.erase(ready.begin());
    for (const std::size_t reader : readers[next]) {
      if (--waits[reader] == 0) ready.insert(reader);
    }
    sorted.push_back(nodes[next]);
  }
  if (sorted.size() < nodes.size()) {
    // A node that waits may only follow a cycle; one that it waits for is in it, or follows it,
    // too.
    std::map<std::string, std::size_t> waiting;
    for (const auto& [name, node] : producers) {
      if (waits[node] != 0) waiting.emplace(name, node);
    }
    bool is_first = true;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (waits[i] == 0) continue;
      if (std::exchange(is_first, false)) {
        problems->push_back(graph->path + ": nodes that read their own results, in a cycle: " +
                            CycleText(nodes, waiting, i) + "; expected an acyclic graph");
      }
      graph->failed.insert(nodes[i].proto->output().begin(), nodes[i].proto->output().end());
      sorted.push_back(nodes[i]);
    }
  }
  nodes = std::move(sorted);
}

}  // namespace mu8::convert
