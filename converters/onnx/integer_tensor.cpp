#include "converters/onnx/integer_tensor.h"

#include <algorithm>
#include <map>
#include <utility>

namespace mu8::convert {
namespace {

using Integers = std::vector<std::int64_t>;

std::int64_t CountOf(const Integers& dims, std::int64_t most) {
  std::int64_t count = 1;
  if (dims.size() > kMostRank) {
    throw NodeProblem{"computes a tensor of " + std::to_string(dims.size()) +
                      " dimensions, at most " + std::to_string(kMostRank) + " are supported"};
  }
  for (const std::int64_t dim : dims) {
    // Every factor is at most `most`, which has 31 bits: the product cannot overflow.
    if (dim < 0 || dim > most || count * dim > most) {
      throw NodeProblem{"computes a tensor of more than " + std::to_string(most) +
                        " numbers, or of a negative size"};
    }
    count *= dim;
  }
  return count;
}

[[noreturn]] void Overflows() { throw NodeProblem{"its numbers exceed 64 bits"}; }

// What is computed from the number of images is as little known as that number.
void NeedKnown(std::int64_t a, std::int64_t b) {
  if (a == kBatchSize || b == kBatchSize) {
    throw NodeProblem{
        "it computes with the number of images, which is not known; the engine keeps images apart"};
  }
}

std::int64_t Checked(bool overflow, std::int64_t result) {
  if (overflow || result == kBatchSize) Overflows();
  return result;
}

std::int64_t Sum(std::int64_t a, std::int64_t b) {
  if (a == 0) return b;
  if (b == 0) return a;
  NeedKnown(a, b);
  std::int64_t sum = 0;
  const bool overflow = __builtin_add_overflow(a, b, &sum);
  return Checked(overflow, sum);
}

std::int64_t Difference(std::int64_t a, std::int64_t b) {
  if (b == 0) return a;
  NeedKnown(a, b);
  std::int64_t difference = 0;
  const bool overflow = __builtin_sub_overflow(a, b, &difference);
  return Checked(overflow, difference);
}

std::int64_t Product(std::int64_t a, std::int64_t b) {
  if (a == 1) return b;
  if (b == 1) return a;
  NeedKnown(a, b);
  std::int64_t product = 0;
  const bool overflow = __builtin_mul_overflow(a, b, &product);
  return Checked(overflow, product);
}

// Truncated towards zero, as ONNX divides integers. No number is INT64_MIN, so that nothing
// overflows.
std::int64_t Quotient(std::int64_t a, std::int64_t b) {
  if (b == 1) return a;
  NeedKnown(a, b);
  if (b == 0) throw NodeProblem{"it divides by zero"};
  return a / b;
}

// With the sign of the divisor, as Mod of integers has it unless fmod is set.
std::int64_t Remainder(std::int64_t a, std::int64_t b) {
  NeedKnown(a, b);
  if (b == 0) throw NodeProblem{"it divides by zero"};
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// The number of images is at least one.
bool IsEqual(std::int64_t a, std::int64_t b) {
  if (a == b) return true;
  if (a == kBatchSize && b < 1) return false;
  if (b == kBatchSize && a < 1) return false;
  NeedKnown(a, b);
  return false;
}

bool IsLess(std::int64_t a, std::int64_t b) {
  if (a == b) return false;
  if (a == kBatchSize && b <= 1) return false;
  if (b == kBatchSize && a < 1) return true;
  NeedKnown(a, b);
  return a < b;
}

}  // namespace

IntegerTensor IntegerScalar(std::int64_t value) { return {.dims = {}, .values = {value}}; }

IntegerTensor IntegerRow(std::vector<std::int64_t> values) {
  IntegerTensor row;
  row.dims = {static_cast<std::int64_t>(values.size())};
  row.values = std::move(values);
  return row;
}

IntegerTensor MakeIntegers(
    std::vector<std::int64_t> dims,
    const std::function<std::int64_t(const std::vector<std::int64_t>& place)>& value,
    std::int64_t most) {
  const std::int64_t count = CountOf(dims, most);
  IntegerTensor made{.dims = std::move(dims), .values = {}};
  Integers place(made.dims.size(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    made.values.push_back(value(place));
    for (std::size_t axis = place.size(); axis-- > 0;) {
      if (++place[axis] < made.dims[axis]) break;
      place[axis] = 0;
    }
  }
  return made;
}

std::int64_t ValueAt(const IntegerTensor& tensor, const std::vector<std::int64_t>& place) {
  const std::size_t skipped = place.size() - tensor.dims.size();
  std::int64_t index = 0;
  for (std::size_t axis = 0; axis < tensor.dims.size(); ++axis) {
    const std::int64_t dim = tensor.dims[axis];
    index = index * dim + (dim == 1 ? 0 : place[axis + skipped]);
  }
  return tensor.values[static_cast<std::size_t>(index)];
}

std::vector<std::int64_t> BroadcastDims(const std::vector<std::int64_t>& a,
                                        const std::vector<std::int64_t>& b) {
  if (a.size() < b.size()) return BroadcastDims(b, a);
  Integers dims = a;
  for (std::size_t i = 0; i < b.size(); ++i) {
    std::int64_t& dim = dims[a.size() - b.size() + i];
    if (dim != b[i] && dim != 1 && b[i] != 1) {
      throw NodeProblem{"lists of " + std::to_string(dim) + " and " + std::to_string(b[i]) +
                        " numbers do not fit together"};
    }
    if (dim == 1) dim = b[i];
  }
  return dims;
}

std::size_t AxisIndex(std::int64_t axis, std::size_t rank) {
  const auto count = static_cast<std::int64_t>(rank);
  if (axis < -count || axis >= count) {
    throw NodeProblem{"axis " + std::to_string(axis) + " does not exist in a tensor of rank " +
                      std::to_string(rank)};
  }
  return static_cast<std::size_t>(axis < 0 ? axis + count : axis);
}

IntegerTensor GatherIntegers(const IntegerTensor& data, const IntegerTensor& indices,
                             std::int64_t axis, std::int64_t most) {
  const std::size_t along = AxisIndex(axis, data.dims.size());
  const std::int64_t size = data.dims[along];
  Integers dims(data.dims.begin(), data.dims.begin() + static_cast<std::ptrdiff_t>(along));
  dims.insert(dims.end(), indices.dims.begin(), indices.dims.end());
  dims.insert(dims.end(), data.dims.begin() + static_cast<std::ptrdiff_t>(along) + 1,
              data.dims.end());
  const std::size_t behind = along + indices.dims.size();
  const auto value = [&](const Integers& place) {
    const auto split = [&](std::size_t at) {
      return place.begin() + static_cast<std::ptrdiff_t>(at);
    };
    const std::int64_t index = ValueAt(indices, Integers(split(along), split(behind)));
    if (index < -size || index >= size) {
      throw NodeProblem{"index " + std::to_string(index) + " is outside a shape of " +
                        std::to_string(size) + " dimensions"};
    }
    Integers source(place.begin(), split(along));
    source.push_back(index < 0 ? index + size : index);
    source.insert(source.end(), split(behind), place.end());
    return ValueAt(data, source);
  };
  return MakeIntegers(std::move(dims), value, most);
}

IntegerTensor ConcatIntegers(const std::vector<IntegerTensor>& parts, std::int64_t axis,
                             std::int64_t most) {
  if (parts.empty()) throw NodeProblem{"has no inputs"};
  Integers dims = parts[0].dims;
  const std::size_t along = AxisIndex(axis, dims.size());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    Integers same = parts[i].dims;
    if (same.size() == dims.size()) same[along] = dims[along];
    if (same != dims) throw NodeProblem{"its inputs have dimensions that do not fit together"};
    // Checked at each step: a sum of two checked sizes cannot overflow.
    dims[along] += parts[i].dims[along];
    CountOf(dims, most);
  }
  const auto value = [&](const Integers& place) {
    Integers source = place;
    std::size_t part = 0;
    while (source[along] >= parts[part].dims[along]) source[along] -= parts[part++].dims[along];
    return ValueAt(parts[part], source);
  };
  return MakeIntegers(std::move(dims), value, most);
}

IntegerTensor TransposeIntegers(const IntegerTensor& data, std::vector<std::int64_t> order,
                                std::int64_t most) {
  const std::size_t rank = data.dims.size();
  if (order.empty()) {  // ONNX: reversed
    for (std::size_t i = rank; i-- > 0;) order.push_back(static_cast<std::int64_t>(i));
  }
  Integers dims(rank, -1);
  std::vector<char> taken(rank, 0);
  bool good = order.size() == rank;
  for (std::size_t i = 0; good && i < rank; ++i) {
    good = order[i] >= 0 && order[i] < static_cast<std::int64_t>(rank) &&
           taken[static_cast<std::size_t>(order[i])]++ == 0;
    if (good) dims[i] = data.dims[static_cast<std::size_t>(order[i])];
  }
  if (!good) throw NodeProblem{"perm is no order of " + std::to_string(rank) + " axes"};
  Integers source(rank);
  const auto value = [&](const Integers& place) {
    for (std::size_t i = 0; i < rank; ++i) source[static_cast<std::size_t>(order[i])] = place[i];
    return ValueAt(data, source);
  };
  return MakeIntegers(std::move(dims), value, most);
}

IntegerTensor ReshapeIntegers(IntegerTensor data, std::vector<std::int64_t> target,
                              std::int64_t most) {
  const auto all = static_cast<std::int64_t>(data.values.size());
  std::ptrdiff_t inferred = -1;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0 && i < data.dims.size()) target[i] = data.dims[i];
    if (target[i] != -1) continue;
    if (inferred >= 0) throw NodeProblem{"-1 is given twice in its target shape"};
    inferred = static_cast<std::ptrdiff_t>(i);
    target[i] = 1;
  }
  std::int64_t known = CountOf(target, most);
  if (inferred >= 0 && known > 0 && all % known == 0) {
    target[static_cast<std::size_t>(inferred)] = all / known;
    known = all;
  }
  if (known != all) {
    throw NodeProblem{"its target shape does not hold " + std::to_string(all) + " numbers"};
  }
  data.dims = std::move(target);
  return data;
}

IntegerTensor SqueezeIntegers(IntegerTensor data, const std::vector<std::int64_t>* axes) {
  std::vector<char> dropped(data.dims.size(), 0);
  for (std::size_t i = 0; axes == nullptr && i < dropped.size(); ++i) {
    dropped[i] = data.dims[i] == 1 ? 1 : 0;
  }
  if (axes != nullptr) {
    for (const std::int64_t axis : *axes) {
      const std::size_t index = AxisIndex(axis, dropped.size());
      if (data.dims[index] != 1) {
        throw NodeProblem{"axis " + std::to_string(axis) + " has " +
                          std::to_string(data.dims[index]) + " elements, expected 1"};
      }
      dropped[index] = 1;
    }
  }
  Integers dims;
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    if (dropped[i] == 0) dims.push_back(data.dims[i]);
  }
  data.dims = std::move(dims);
  return data;
}

IntegerTensor UnsqueezeIntegers(IntegerTensor data, std::vector<std::int64_t> axes,
                                std::int64_t most) {
  const std::size_t rank = data.dims.size() + axes.size();
  for (std::int64_t& axis : axes) axis = static_cast<std::int64_t>(AxisIndex(axis, rank));
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    throw NodeProblem{"an axis is given twice"};
  }
  for (const std::int64_t axis : axes) data.dims.insert(data.dims.begin() + axis, 1);
  CountOf(data.dims, most);
  return data;
}

IntegerTensor ExpandIntegers(const IntegerTensor& data, const std::vector<std::int64_t>& target,
                             std::int64_t most) {
  return MakeIntegers(
      BroadcastDims(data.dims, target), [&](const Integers& place) { return ValueAt(data, place); },
      most);
}

Range ResolveRange(std::int64_t start, std::int64_t end, std::int64_t step, std::int64_t size) {
  if (step == 0) throw NodeProblem{"a step is 0"};
  if (size == 0) return {.start = 0, .step = step, .size = 0};
  // From which place to which one it runs: backwards from the last to before the first. Written so
  // that the least and the greatest integers do not overflow.
  const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto clamp = [&](std::int64_t index) {
    if (index < 0) return index < -size ? low : std::clamp(index + size, low, high);
    return std::min(index, high);
  };
  const std::int64_t first = std::max(clamp(start), std::int64_t{0}), last = clamp(end);
  const std::int64_t length = step > 0 ? last - first : first - last;
  if (length <= 0) return {.start = first, .step = step, .size = 0};
  // The step is at least -INT64_MAX: it has a magnitude.
  return {.start = first, .step = step, .size = (length - 1) / (step > 0 ? step : -step) + 1};
}

IntegerTensor SliceIntegers(IntegerTensor data, std::int64_t axis, std::int64_t start,
                            std::int64_t end, std::int64_t step, std::int64_t most) {
  const std::size_t along = AxisIndex(axis, data.dims.size());
  const Range range = ResolveRange(start, end, step, data.dims[along]);
  Integers dims = data.dims;
  dims[along] = range.size;
  const auto value = [&](const Integers& place) {
    Integers source = place;
    source[along] = range.start + place[along] * range.step;
    return ValueAt(data, source);
  };
  return MakeIntegers(std::move(dims), value, most);
}

namespace {

const std::map<std::string, IntegerFunction>& IntegerFunctions() {
  static const std::map<std::string, IntegerFunction> functions = {
      {"Add", Sum},
      {"Sub", Difference},
      {"Mul", Product},
      {"Div", Quotient},
      {"Mod", Remainder},
      {"Min", [](std::int64_t a, std::int64_t b) { return IsLess(a, b) ? a : b; }},
      {"Max", [](std::int64_t a, std::int64_t b) { return IsLess(a, b) ? b : a; }},
      {"Equal", [](std::int64_t a, std::int64_t b) { return std::int64_t{IsEqual(a, b)}; }},
      {"Less", [](std::int64_t a, std::int64_t b) { return std::int64_t{IsLess(a, b)}; }},
      {"Greater", [](std::int64_t a, std::int64_t b) { return std::int64_t{IsLess(b, a)}; }},
      {"LessOrEqual", [](std::int64_t a, std::int64_t b) { return std::int64_t{!IsLess(b, a)}; }},
      {"GreaterOrEqual",
       [](std::int64_t a, std::int64_t b) { return std::int64_t{!IsLess(a, b)}; }},
      {"And", [](std::int64_t a, std::int64_t b) { return std::int64_t{a != 0 && b != 0}; }},
      {"Or", [](std::int64_t a, std::int64_t b) { return std::int64_t{a != 0 || b != 0}; }},
  };
  return functions;
}

}  // namespace

IntegerFunction FindIntegerFunction(const std::string& op) {
  const auto found = IntegerFunctions().find(op);
  return found == IntegerFunctions().end() ? nullptr : found->second;
}

std::vector<std::string> IntegerFunctionNames() {
  std::vector<std::string> names;
  for (const auto& [name, function] : IntegerFunctions()) names.push_back(name);
  return names;
}

}  // namespace mu8::convert
