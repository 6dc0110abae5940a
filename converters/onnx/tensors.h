// The numbers of ONNX tensors and the attributes of nodes, as the file stores them.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mu8::convert {

// Of tensors and of what the graph makes of them; real ones have at most 6 dimensions. It keeps
// chains of reshapes from growing with the square of their length.
inline constexpr std::size_t kMostRank = 32;

// How a constant follows from parameters that have sigmas.
struct Origin {
  // Element i is `factor` times the parameter's element, and a number that is not random. With
  // factor 0 it is only that number.
  struct Element {
    std::uint32_t parameter = 0;  // index into `parameters`
    std::uint32_t element = 0;
    float factor = 0.0F;
  };
  std::vector<std::string> parameters;
  std::vector<Element> elements;  // one for each of the constant; empty where `why_not` is set
  std::string why_not;  // why the elements are no such Gaussians: "node \"n\" (Sqrt) is not linear"
};

// A tensor with a fixed value: an initializer, the output of Constant, or what a graph computes of
// such ones (fold_constants.h).
struct OnnxConstant {
  const onnx::TensorProto* tensor = nullptr;
  std::vector<std::int64_t> dims;             // all >= 0
  std::size_t count = 0;                      // product of dims
  std::shared_ptr<const Origin> origin = {};  // computed ones that follow from random parameters
};

// "[6, 1, 5, 5]"
std::string DimsText(std::span<const std::int64_t> dims);

// Of raw data; 0 for types that are not supported.
std::size_t BytesPerElement(int type);

// INT64, INT32 or BOOL.
bool IsIntegerType(int type);

// FLOAT, DOUBLE, FLOAT16 or BFLOAT16.
bool IsFloatType(int type);

// Values of a floating-point or of an integer tensor, in the tensor's own order; nothing when it
// has another type. LoadOnnx has checked the sizes.
std::optional<std::vector<float>> FloatValues(const OnnxConstant& constant);
std::optional<std::vector<std::int64_t>> IntegerValues(const OnnxConstant& constant);

// nullptr when the node has no attribute of that name.
const onnx::AttributeProto* FindAttribute(const onnx::NodeProto& node, const char* name);

}  // namespace mu8::convert
