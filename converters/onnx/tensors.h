// The numbers of ONNX tensors and the attributes of nodes, as the file stores them.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mu8::convert {

// Of tensors and of what the graph makes of them; real ones have at most 6 dimensions. It keeps
// chains of reshapes from growing with the square of their length.
inline constexpr std::size_t kMostRank = 32;

// A tensor with a fixed value: an initializer, the output of Constant, or Identity of such a one.
struct OnnxConstant {
  const onnx::TensorProto* tensor = nullptr;
  std::vector<std::int64_t> dims;  // all >= 0
  std::size_t count = 0;           // product of dims
  std::string copy_of;             // the tensor that Identity copies; empty otherwise
};

// "[6, 1, 5, 5]"
std::string DimsText(std::span<const std::int64_t> dims);

// Of raw data; 0 for types that are not supported.
std::size_t BytesPerElement(int type);

// INT64, INT32 or BOOL.
bool IsIntegerType(int type);

// Values of a floating-point (FLOAT, DOUBLE), an integer (INT64, INT32) or a BOOL tensor, in the
// tensor's own order; nothing when it has another type. LoadOnnx has checked the sizes.
std::optional<std::vector<float>> FloatValues(const OnnxConstant& constant);
std::optional<std::vector<std::int64_t>> IntegerValues(const OnnxConstant& constant);

// nullptr when the node has no attribute of that name.
const onnx::AttributeProto* FindAttribute(const onnx::NodeProto& node, const char* name);

}  // namespace mu8::convert
