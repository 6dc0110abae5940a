// The definitions of ONNX's elementwise operators, in double. What is no number (the logarithm of
// -1) is left so: only calibration knows which arguments occur.
#include "converters/onnx/functions.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numbers>

#include "converters/onnx/importer.h"

namespace mu8::convert {
namespace {

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
// log(1 + exp(x)) without overflow.
double SoftplusOf(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

using Maker = Function (*)(const OnnxNode&);

template <double (*function)(double)>
Function Plain(const OnnxNode&) {
  return function;
}

double Attribute(const OnnxNode& node, const char* name, double fallback) {
  return double{FloatAttribute(node, name, static_cast<float>(fallback))};
}

Function MakeCelu(const OnnxNode& node) {
  const double alpha = Attribute(node, "alpha", 1.0);
  return [=](double x) { return std::max(x, 0.0) + alpha * std::expm1(std::min(x, 0.0) / alpha); };
}

Function MakeElu(const OnnxNode& node) {
  const double alpha = Attribute(node, "alpha", 1.0);
  return [=](double x) { return x < 0.0 ? alpha * std::expm1(x) : x; };
}

Function MakeSelu(const OnnxNode& node) {
  const double alpha = Attribute(node, "alpha", 1.67326319217681884765625);
  const double gamma = Attribute(node, "gamma", 1.05070102214813232421875);
  return [=](double x) { return gamma * (x < 0.0 ? alpha * std::expm1(x) : x); };
}

Function MakeGelu(const OnnxNode& node) {
  const std::string approximate = StringAttribute(node, "approximate", "none");
  if (approximate == "tanh") {
    return [](double x) {
      const double inner = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return 0.5 * x * (1.0 + std::tanh(inner));
    };
  }
  if (approximate != "none") throw NodeProblem{"approximate \"" + approximate + "\" is unknown"};
  return [](double x) { return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2)); };
}

Function MakeHardSigmoid(const OnnxNode& node) {
  const double alpha = Attribute(node, "alpha", 0.2), beta = Attribute(node, "beta", 0.5);
  return [=](double x) { return std::clamp(alpha * x + beta, 0.0, 1.0); };
}

Function MakeLeakyRelu(const OnnxNode& node) {
  const double alpha = Attribute(node, "alpha", 0.01);
  return [=](double x) { return x < 0.0 ? alpha * x : x; };
}

Function MakeShrink(const OnnxNode& node) {
  const double bias = Attribute(node, "bias", 0.0), lambd = Attribute(node, "lambd", 0.5);
  return [=](double x) { return x < -lambd ? x + bias : x > lambd ? x - bias : 0.0; };
}

Function MakeSwish(const OnnxNode& node) {
  const double alpha = Attribute(node, "alpha", 1.0);
  return [=](double x) { return x * Sigmoid(alpha * x); };
}

Function MakeThresholdedRelu(const OnnxNode& node) {
  const double alpha = Attribute(node, "alpha", 1.0);
  return [=](double x) { return x > alpha ? x : 0.0; };
}

double HardSwish(double x) { return x * std::clamp(x / 6.0 + 0.5, 0.0, 1.0); }
double Mish(double x) { return x * std::tanh(SoftplusOf(x)); }
double Negative(double x) { return -x; }
double Reciprocal(double x) { return 1.0 / x; }
double Rectified(double x) { return std::max(x, 0.0); }
double Sign(double x) { return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : 0.0; }
double Softsign(double x) { return x / (1.0 + std::fabs(x)); }

const std::map<std::string, Maker>& Makers() {
  static const std::map<std::string, Maker> makers = {
      {"Abs", Plain<std::fabs>},
      {"Acos", Plain<std::acos>},
      {"Acosh", Plain<std::acosh>},
      {"Asin", Plain<std::asin>},
      {"Asinh", Plain<std::asinh>},
      {"Atan", Plain<std::atan>},
      {"Atanh", Plain<std::atanh>},
      {"Ceil", Plain<std::ceil>},
      {"Celu", MakeCelu},
      {"Cos", Plain<std::cos>},
      {"Cosh", Plain<std::cosh>},
      {"Elu", MakeElu},
      {"Erf", Plain<std::erf>},
      {"Exp", Plain<std::exp>},
      {"Floor", Plain<std::floor>},
      {"Gelu", MakeGelu},
      {"HardSigmoid", MakeHardSigmoid},
      {"HardSwish", Plain<HardSwish>},
      {"LeakyRelu", MakeLeakyRelu},
      {"Log", Plain<std::log>},
      {"Mish", Plain<Mish>},
      {"Neg", Plain<Negative>},
      {"Reciprocal", Plain<Reciprocal>},
      {"Relu", Plain<Rectified>},
      {"Round", Plain<std::nearbyint>},
      {"Selu", MakeSelu},
      {"Shrink", MakeShrink},
      {"Sigmoid", Plain<Sigmoid>},
      {"Sign", Plain<Sign>},
      {"Sin", Plain<std::sin>},
      {"Sinh", Plain<std::sinh>},
      {"Softplus", Plain<SoftplusOf>},
      {"Softsign", Plain<Softsign>},
      {"Sqrt", Plain<std::sqrt>},
      {"Swish", MakeSwish},
      {"Tan", Plain<std::tan>},
      {"Tanh", Plain<std::tanh>},
      {"ThresholdedRelu", MakeThresholdedRelu},
  };
  return makers;
}

double Sum(double a, double b) { return a + b; }
double Difference(double a, double b) { return a - b; }
double Product(double a, double b) { return a * b; }
double Quotient(double a, double b) { return a / b; }
double Power(double a, double b) { return std::pow(a, b); }
double Least(double a, double b) { return std::min(a, b); }
double Greatest(double a, double b) { return std::max(a, b); }

const std::map<std::string, BinaryFunction>& Binaries() {
  static const std::map<std::string, BinaryFunction> functions = {
      {"Add", Sum},   {"Sub", Difference}, {"Mul", Product},  {"Div", Quotient},
      {"Pow", Power}, {"Min", Least},      {"Max", Greatest},
  };
  return functions;
}

}  // namespace

bool IsUnary(const std::string& op) { return Makers().contains(op); }

std::vector<std::string> UnaryNames() {
  std::vector<std::string> names;
  for (const auto& [name, maker] : Makers()) names.push_back(name);
  return names;
}

const std::vector<std::string>& FunctionAttributes() {
  static const std::vector<std::string> attributes = {"alpha", "approximate", "beta",
                                                      "bias",  "gamma",       "lambd"};
  return attributes;
}

Function UnaryFunction(const OnnxNode& node) { return Makers().at(node.op)(node); }

BinaryFunction FindBinaryFunction(const std::string& op) {
  const auto found = Binaries().find(op);
  return found == Binaries().end() ? nullptr : found->second;
}

std::vector<std::string> BinaryNames() {
  std::vector<std::string> names;
  for (const auto& [name, function] : Binaries()) names.push_back(name);
  return names;
}

}  // namespace mu8::convert
