#include "converters/onnx/constant_arithmetic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "converters/onnx/functions.h"

namespace mu8::convert {
namespace {

using Dims = std::vector<std::int64_t>;

double IsEqual(double a, double b) { return a == b ? 1.0 : 0.0; }
double IsLess(double a, double b) { return a < b ? 1.0 : 0.0; }
double IsGreater(double a, double b) { return a > b ? 1.0 : 0.0; }
double IsLessOrEqual(double a, double b) { return a <= b ? 1.0 : 0.0; }
double IsGreaterOrEqual(double a, double b) { return a >= b ? 1.0 : 0.0; }

const std::map<std::string, NumberFunction>& Comparisons() {
  static const std::map<std::string, NumberFunction> comparisons = {
      {"Equal", IsEqual},
      {"Less", IsLess},
      {"Greater", IsGreater},
      {"LessOrEqual", IsLessOrEqual},
      {"GreaterOrEqual", IsGreaterOrEqual},
  };
  return comparisons;
}

// result = finish(sum of term(x)), with another start and step than a sum's where it is none.
struct Reduction {
  double start = 0.0;
  double (*step)(double, double) = [](double a, double b) { return a + b; };
  double (*term)(double) = [](double x) { return x; };
  double (*finish)(double sum, double count) = [](double sum, double) { return sum; };
};

const std::map<std::string, Reduction>& Reductions() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static const auto square = [](double x) { return x * x; };
  static const std::map<std::string, Reduction> reductions = {
      {"ReduceSum", {}},
      {"ReduceMean", {.finish = [](double sum, double count) { return sum / count; }}},
      {"ReduceMax",
       {.start = -kInfinity, .step = [](double a, double b) { return std::max(a, b); }}},
      {"ReduceMin",
       {.start = kInfinity, .step = [](double a, double b) { return std::min(a, b); }}},
      {"ReduceProd", {.start = 1.0, .step = [](double a, double b) { return a * b; }}},
      {"ReduceL1", {.term = [](double x) { return std::fabs(x); }}},
      {"ReduceL2", {.term = square, .finish = [](double sum, double) { return std::sqrt(sum); }}},
      {"ReduceSumSquare", {.term = square}},
      {"ReduceLogSum", {.finish = [](double sum, double) { return std::log(sum); }}},
      {"ReduceLogSumExp",
       {.term = [](double x) { return std::exp(x); },
        .finish = [](double sum, double) { return std::log(sum); }}},
  };
  return reductions;
}

std::int64_t CountOf(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
}

}  // namespace

NumberFunction FindNumberFunction(const std::string& op) {
  const auto comparison = Comparisons().find(op);
  return comparison != Comparisons().end() ? comparison->second : FindBinaryFunction(op);
}

std::vector<std::string> NumberFunctionNames() {
  std::vector<std::string> names = BinaryNames();
  for (const auto& [name, function] : Comparisons()) names.push_back(name);
  return names;
}

bool IsComparison(const std::string& op) { return Comparisons().contains(op); }

std::vector<std::int64_t> BroadcastPlaces(const Dims& from, const Dims& to, std::int64_t most) {
  IntegerTensor places{.dims = from, .values = Dims(static_cast<std::size_t>(CountOf(from)))};
  std::iota(places.values.begin(), places.values.end(), std::int64_t{0});
  if (from == to) return places.values;
  return ExpandIntegers(places, to, most).values;
}

bool IsReduction(const std::string& op) { return Reductions().contains(op); }

std::vector<std::string> ReductionNames() {
  std::vector<std::string> names;
  for (const auto& [name, reduction] : Reductions()) names.push_back(name);
  return names;
}

Numbers Reduce(const std::string& op, const Numbers& data, const Dims& axes, bool keepdims) {
  const Reduction& reduction = Reductions().at(op);
  const std::size_t rank = data.dims.size();
  std::vector<char> reduced(rank, axes.empty() ? 1 : 0);
  for (const std::int64_t axis : axes) reduced[AxisIndex(axis, rank)] = 1;
  Dims kept = data.dims;
  for (std::size_t i = 0; i < rank; ++i) {
    if (reduced[i] != 0) kept[i] = 1;
  }
  Numbers result{.dims = {}, .values = {}};
  result.values.assign(static_cast<std::size_t>(CountOf(kept)), reduction.start);
  if (result.values.empty() || data.values.empty()) throw NodeProblem{"reduces an empty tensor"};
  Dims place(rank, 0);
  for (const double value : data.values) {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < rank; ++i) at = at * kept[i] + (reduced[i] != 0 ? 0 : place[i]);
    double& sum = result.values[static_cast<std::size_t>(at)];
    sum = reduction.step(sum, reduction.term(value));
    for (std::size_t i = rank; i-- > 0;) {
      if (++place[i] < data.dims[i]) break;
      place[i] = 0;
    }
  }
  const double count =
      static_cast<double>(data.values.size()) / static_cast<double>(result.values.size());
  for (double& value : result.values) value = reduction.finish(value, count);
  for (std::size_t i = 0; i < rank; ++i) {
    if (reduced[i] == 0 || keepdims) result.dims.push_back(kept[i]);
  }
  return result;
}

Numbers Product(const Numbers& a, const Numbers& b) {
  constexpr std::int64_t kMostProducts = std::int64_t{1} << 30;  // about a second
  const bool is_row = a.dims.size() == 1, is_column = b.dims.size() == 1;
  const Dims left = is_row ? Dims{1, a.dims[0]} : a.dims;
  const Dims right = is_column ? Dims{b.dims[0], 1} : b.dims;
  if (left.size() != 2 || right.size() != 2 || left[1] != right[0]) {
    throw NodeProblem{"a product of constants " + DimsText(a.dims) + " and " + DimsText(b.dims) +
                      ": expected vectors or matrices that fit together"};
  }
  const std::int64_t rows = left[0], inner = left[1], columns = right[1];
  if (rows != 0 && inner != 0 && columns > kMostProducts / rows / inner) {
    throw NodeProblem{"a product of constants " + DimsText(a.dims) + " and " + DimsText(b.dims) +
                      " is too large"};
  }
  Numbers product{.dims = {},
                  .values = std::vector<double>(static_cast<std::size_t>(rows * columns), 0.0)};
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t k = 0; k < inner; ++k) {
      const double factor = a.values[static_cast<std::size_t>(r * inner + k)];
      for (std::int64_t c = 0; c < columns; ++c) {
        product.values[static_cast<std::size_t>(r * columns + c)] +=
            factor * b.values[static_cast<std::size_t>(k * columns + c)];
      }
    }
  }
  if (!is_row) product.dims.push_back(rows);
  if (!is_column) product.dims.push_back(columns);
  return product;
}

}  // namespace mu8::convert
