// ONNX operators that are a function of one number.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "converters/onnx/graph.h"

namespace mu8::convert {

using Function = std::function<double(double)>;

bool IsUnary(const std::string& op);
std::vector<std::string> UnaryNames();

// The attributes that any of them has.
const std::vector<std::string>& FunctionAttributes();

// The function of a node for which IsUnary(op), its attributes read; the definitions are those of
// ONNX's operator reference. Throws NodeProblem.
Function UnaryFunction(const OnnxNode& node);

// Add, Sub, Mul, Div, Pow, Min, Max of two numbers; any other name gives nullptr.
using BinaryFunction = double (*)(double, double);
std::vector<std::string> BinaryNames();
BinaryFunction FindBinaryFunction(const std::string& op);

}  // namespace mu8::convert
