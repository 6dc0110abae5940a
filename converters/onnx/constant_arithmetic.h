// Arithmetic on constants in double precision: what weight_norm, spectral_norm and scaled weights
// compute. Definitions are those of ONNX's operator reference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/onnx/graph.h"
#include "converters/onnx/integer_tensor.h"

namespace mu8::convert {

struct Numbers {
  std::vector<std::int64_t> dims;
  std::vector<double> values;  // the last dimension runs fastest
};

// Two numbers to one: Add, Sub, Mul, Div, Pow, Min, Max, and comparisons, whose result is 0 or 1.
// nullptr for other names.
using NumberFunction = double (*)(double, double);
NumberFunction FindNumberFunction(const std::string& op);
bool IsComparison(const std::string& op);
std::vector<std::string> NumberFunctionNames();

// Which element of a tensor of dims `from` is at each place of one of dims `to`, which it
// broadcasts to. Throws NodeProblem beyond `most` elements.
std::vector<std::int64_t> BroadcastPlaces(const std::vector<std::int64_t>& from,
                                          const std::vector<std::int64_t>& to, std::int64_t most);

// ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceSumSquare,
// ReduceLogSum, ReduceLogSumExp. `axes` empty: all. Throws NodeProblem.
bool IsReduction(const std::string& op);
std::vector<std::string> ReductionNames();
Numbers Reduce(const std::string& op, const Numbers& data, const std::vector<std::int64_t>& axes,
               bool keepdims);

// MatMul of vectors and matrices. Throws NodeProblem.
Numbers Product(const Numbers& a, const Numbers& b);

}  // namespace mu8::convert
