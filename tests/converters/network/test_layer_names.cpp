// Names of layers, of which files and plans need each to be one line and its own.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "converters/network/layer_names.h"

namespace mu8::convert {
namespace {

using Names = std::vector<std::string>;

Names Named(const Names& names, Op op = Op::kDense) {
  Network network;
  for (const std::string& name : names) network.nodes.push_back({.op = op, .name = name});
  NameLayers(&network);
  Names found;
  for (const Node& node : network.nodes) found.push_back(node.name);
  return found;
}

TEST_CASE("layer names: what differs stays as it is") {
  const Names names = {"conv", "/fc/Gemm", "Gemm#2", "b\xc3\xa9zier", ""};
  CHECK(Named(names) == names);
}

TEST_CASE("layer names: equal ones get a number that no other has") {
  CHECK(Named({"a", "b", "a", "a"}) == Names{"a", "b", "a#2", "a#3"});
  CHECK(Named({"a", "a", "a#2", "a#2"}) == Names{"a", "a#3", "a#2", "a#2#2"});
  CHECK(Named({"", ""}) == Names{"", "#2"});
}

TEST_CASE("layer names: those without weights may share one") {
  CHECK(Named({"a", "a"}, Op::kMaxPool) == Names{"a", "a"});
}

TEST_CASE("layer names: each is UTF-8 on one line") {
  CHECK(Named({"a\nb", "\x1b[31m", "\xff\xc3"}) == Names{"a\\nb", "\\x1b[31m", "\\xff\\xc3"});
  CHECK(Named({"a\nb", "a\\nb"}) == Names{"a\\nb", "a\\nb#2"});
  CHECK(Named({"a\r\n"}, Op::kMaxPool) == Names{"a\\x0d\\n"});
}

}  // namespace
}  // namespace mu8::convert
