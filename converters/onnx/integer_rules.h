// Nodes whose inputs are integers, evaluated. Whoever has such inputs uses these rules:
// integers.cpp for what follows from the shapes of activations, fold_constants.cpp for constants.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "converters/onnx/graph.h"
#include "converters/onnx/integer_tensor.h"

namespace mu8::convert {

struct IntegerInputs {
  const OnnxNode& node;
  std::vector<std::optional<IntegerTensor>> tensors;  // by input; nothing: left out
  std::int64_t most = kMostIntegers;                  // numbers in the result

  // Throws NodeProblem when there is none.
  const IntegerTensor& At(std::size_t i) const;
  // Input i, or where the node has none the attribute of that name; nothing when both are absent.
  // Throws NodeProblem when a number depends on the number of images.
  std::optional<std::vector<std::int64_t>> List(std::size_t i, const char* name) const;
};

using IntegerRule = IntegerTensor (*)(const IntegerInputs&);

// nullptr when the operator is not evaluated. Rules throw NodeProblem.
IntegerRule FindIntegerRule(const std::string& op);
std::vector<std::string> IntegerRuleNames();

// Whether the operator moves its elements about and does not look at them, so that it may be asked
// where each one comes from: Transpose, Concat. Inputs from `first` to `last` - 1 are its data.
struct DataInputs {
  std::size_t first = 0, last = 0;
};
std::optional<DataInputs> MovedInputs(const OnnxNode& node);

}  // namespace mu8::convert
