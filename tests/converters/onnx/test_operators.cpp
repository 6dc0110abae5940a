// converters/README.md names the operators that are imported and computed, no others, and none is
// left out.
#include <doctest/doctest.h>

#include <cctype>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "converters/onnx/operators.h"
#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

// Words that begin with a capital letter.
std::set<std::string> NamesIn(const std::string& text) {
  std::set<std::string> names;
  std::string word;
  for (const char c : text + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      word += c;
      continue;
    }
    if (!word.empty() && std::isupper(static_cast<unsigned char>(word[0])) != 0) names.insert(word);
    word.clear();
  }
  return names;
}

std::string ReadMe() {
  std::ostringstream text;
  text << std::ifstream("converters/README.md").rdbuf();
  return text.str();
}

std::string Between(const std::string& text, const std::string& from, const std::string& to) {
  const std::size_t begin = text.find(from);
  REQUIRE(begin != std::string::npos);
  const std::size_t end = text.find(to, begin + from.size());
  REQUIRE(end != std::string::npos);
  return text.substr(begin + from.size(), end - begin - from.size());
}

TEST_CASE("onnx: the table of operators is that of the importer") {
  std::istringstream table(
      Between(ReadMe(), "| ONNX | becomes | limits |\n|---|---|---|\n", "\n\n"));
  std::set<std::string> names;
  for (std::string row; std::getline(table, row);) {
    names.merge(NamesIn(row.substr(0, row.find('|', 1))));
  }
  CHECK(names == ImportedOperators());
}

TEST_CASE("onnx: the list of computed operators is that of the importer") {
  CHECK(NamesIn(Between(ReadMe(), "<!-- computed -->", "<!-- -->")) == ComputedOperators());
}

TEST_CASE("onnx: an attribute that is not known is named, not passed over") {
  OnnxBuilder builder({0, 3}, 40);
  builder.Node("Relu", "r", {"x"}, {"a"}).Int("leak", 1);
  builder.Node("Concat", "c", {"a", "x"}, {"y"}).Int("axis", 1).Int("interleave", 1);
  const std::vector<std::string> problems = Problems(builder);
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].find("\"r\" (Relu): its attribute \"leak\" is not known") != std::string::npos);
  CHECK(problems[1].find("\"interleave\" is not known") != std::string::npos);
  CHECK(problems[1].find("of operator set 40") != std::string::npos);
}

TEST_CASE("onnx: a network that draws its own weights is told apart from an unknown operator") {
  OnnxBuilder builder({0, 2});
  builder.Initializer("rho", {2, 3}, Count(6)).Initializer("mu", {2, 3}, Count(6));
  builder.Node("Softplus", "sigma", {"rho"}, {"s"}).Node("RandomNormalLike", "eps", {"s"}, {"e"});
  builder.Node("Mul", "noise", {"s", "e"}, {"n"}).Node("Add", "draw", {"mu", "n"}, {"w"});
  builder.Node("MatMul", "fc", {"x", "w"}, {"y"});
  CheckOneProblem(Problems(builder),
                  {"\"eps\" (RandomNormalLike)", "draws random numbers in the graph",
                   "tools/export_posterior.py"});
}

}  // namespace
}  // namespace mu8::convert
