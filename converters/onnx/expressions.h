// Functions of one number that grow node by node as an import meets them: x * Sigmoid(x) is three
// terms. They share what they have in common, so that a chain of n nodes takes memory and time in
// proportion to n, and a chain of squares does not double at every step.
#pragma once

#include <cstddef>
#include <vector>

#include "converters/onnx/functions.h"

namespace mu8::convert {

// Index of a term; kArgument is x itself.
using TermIndex = int;
inline constexpr TermIndex kArgument = -1;

// Most terms of one function: real ones have a dozen. An import makes a node of what is longer.
inline constexpr std::size_t kMostTerms = 64;

class Expressions {
 public:
  // function(of); binary(left, right).
  TermIndex Add(Function function, TermIndex of);
  TermIndex Add(BinaryFunction binary, TermIndex left, TermIndex right);

  // How many different terms `roots` together depend on, counted up to kMostTerms + 1.
  std::size_t Count(TermIndex left, TermIndex right = kArgument) const;

  // The function of x that ends in that term, on its own: it keeps a copy of its terms.
  Function Compile(TermIndex root) const;

 private:
  struct Term {
    Function function;  // of `left`, or
    BinaryFunction binary = nullptr;
    TermIndex left = kArgument, right = kArgument;
  };
  // Those that `roots` depend on, ascending: every term comes after its operands.
  std::vector<TermIndex> Needed(std::vector<TermIndex> roots, std::size_t most) const;

  std::vector<Term> terms_;
};

}  // namespace mu8::convert
