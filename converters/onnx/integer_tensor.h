// Tensors of integers and ONNX's operators on them: what a graph computes from shapes, and the
// places of elements that are moved about (fold_constants.h). Every result is bounded: a shape or
// pads are small.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "converters/onnx/node_problem.h"
#include "converters/onnx/tensors.h"

namespace mu8::convert {

// Stands for the number of images, the one size that is not known. No other integer has this value:
// what a file gives is at least kBatchSize + 1.
inline constexpr std::int64_t kBatchSize = std::numeric_limits<std::int64_t>::min();

inline constexpr std::int64_t kMostIntegers = 128;  // of a tensor that is computed from shapes

struct IntegerTensor {
  std::vector<std::int64_t> dims;    // empty: one number
  std::vector<std::int64_t> values;  // the last dimension runs fastest
};

IntegerTensor IntegerScalar(std::int64_t value);
IntegerTensor IntegerRow(std::vector<std::int64_t> values);

// A tensor of the given dims whose value at each place is `value(place)`. Throws NodeProblem when a
// dimension is negative or there would be more than `most` values.
IntegerTensor MakeIntegers(
    std::vector<std::int64_t> dims,
    const std::function<std::int64_t(const std::vector<std::int64_t>& place)>& value,
    std::int64_t most = kMostIntegers);

// The value at `place`, which has as many coordinates as there are dims, or more: the first ones
// are then left out, and dimensions of one element are repeated, as ONNX broadcasts.
std::int64_t ValueAt(const IntegerTensor& tensor, const std::vector<std::int64_t>& place);

// What `a` and `b` broadcast to. Throws NodeProblem when they do not.
std::vector<std::int64_t> BroadcastDims(const std::vector<std::int64_t>& a,
                                        const std::vector<std::int64_t>& b);

// `axis` of a tensor of `rank`, counted from its end when negative. Throws NodeProblem when there
// is none.
std::size_t AxisIndex(std::int64_t axis, std::size_t rank);

// The semantics of ONNX's operators of these names. All throw NodeProblem: dims that do not fit, a
// result of the batch size that the engine cannot know, overflow, division by zero, more values
// than `most`.
IntegerTensor GatherIntegers(const IntegerTensor& data, const IntegerTensor& indices,
                             std::int64_t axis, std::int64_t most = kMostIntegers);
IntegerTensor ConcatIntegers(const std::vector<IntegerTensor>& parts, std::int64_t axis,
                             std::int64_t most = kMostIntegers);
IntegerTensor TransposeIntegers(const IntegerTensor& data, std::vector<std::int64_t> order,
                                std::int64_t most = kMostIntegers);
IntegerTensor ReshapeIntegers(IntegerTensor data, std::vector<std::int64_t> target,
                              std::int64_t most = kMostIntegers);
IntegerTensor SqueezeIntegers(IntegerTensor data, const std::vector<std::int64_t>* axes);
IntegerTensor UnsqueezeIntegers(IntegerTensor data, std::vector<std::int64_t> axes,
                                std::int64_t most = kMostIntegers);
IntegerTensor ExpandIntegers(const IntegerTensor& data, const std::vector<std::int64_t>& target,
                             std::int64_t most = kMostIntegers);

// One range of an axis, as ONNX's Slice takes it: negative ends count from the axis's end, both are
// clamped, a negative step runs backwards.
struct Range {
  std::int64_t start = 0, step = 1, size = 0;
};
Range ResolveRange(std::int64_t start, std::int64_t end, std::int64_t step, std::int64_t size);
IntegerTensor SliceIntegers(IntegerTensor data, std::int64_t axis, std::int64_t start,
                            std::int64_t end, std::int64_t step, std::int64_t most = kMostIntegers);

// Add, Sub, Mul, Div, Mod, Min, Max, Equal, Less, Greater, LessOrEqual, GreaterOrEqual, And, Or of
// two numbers; nullptr for other names.
using IntegerFunction = std::int64_t (*)(std::int64_t, std::int64_t);
IntegerFunction FindIntegerFunction(const std::string& op);
std::vector<std::string> IntegerFunctionNames();

}  // namespace mu8::convert
