#include "converters/onnx/expressions.h"

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <utility>

namespace mu8::convert {

TermIndex Expressions::Add(Function function, TermIndex of) {
  terms_.push_back({.function = std::move(function), .left = of});
  return static_cast<TermIndex>(terms_.size()) - 1;
}

TermIndex Expressions::Add(BinaryFunction binary, TermIndex left, TermIndex right) {
  terms_.push_back({.function = {}, .binary = binary, .left = left, .right = right});
  return static_cast<TermIndex>(terms_.size()) - 1;
}

std::vector<TermIndex> Expressions::Needed(std::vector<TermIndex> roots, std::size_t most) const {
  std::set<TermIndex> needed;
  while (!roots.empty() && needed.size() < most) {
    const TermIndex term = roots.back();
    roots.pop_back();
    if (term == kArgument || !needed.insert(term).second) continue;
    roots.push_back(terms_[static_cast<std::size_t>(term)].left);
    roots.push_back(terms_[static_cast<std::size_t>(term)].right);
  }
  return {needed.begin(), needed.end()};
}

std::size_t Expressions::Count(TermIndex left, TermIndex right) const {
  return Needed({left, right}, kMostTerms + 1).size();
}

Function Expressions::Compile(TermIndex root) const {
  if (root == kArgument) return [](double x) { return x; };
  // Operands become places among the results: 0 is x, i + 1 the i-th term.
  const std::vector<TermIndex> needed = Needed({root}, terms_.size());
  const auto place = [&needed](TermIndex term) {
    if (term == kArgument) return TermIndex{0};
    const auto found = std::lower_bound(needed.begin(), needed.end(), term);
    return static_cast<TermIndex>(found - needed.begin()) + 1;
  };
  auto program = std::make_shared<std::vector<Term>>();
  for (const TermIndex term : needed) {
    program->push_back(terms_[static_cast<std::size_t>(term)]);
    program->back().left = place(program->back().left);
    program->back().right = place(program->back().right);
  }
  return [program = std::shared_ptr<const std::vector<Term>>(std::move(program))](double x) {
    std::array<double, kMostTerms + 1> results;
    results[0] = x;
    std::size_t next = 1;
    for (const Term& term : *program) {
      const double left = results[static_cast<std::size_t>(term.left)];
      results[next++] = term.binary == nullptr
                            ? term.function(left)
                            : term.binary(left, results[static_cast<std::size_t>(term.right)]);
    }
    return results[next - 1];
  };
}

}  // namespace mu8::convert
