#include "converters/onnx/tensors.h"

#include "converters/host/bytes.h"

namespace mu8::convert {

std::size_t BytesPerElement(int type) {
  switch (type) {
    case onnx::TensorProto::DOUBLE:
    case onnx::TensorProto::INT64:
      return 8;
    case onnx::TensorProto::FLOAT:
    case onnx::TensorProto::INT32:
      return 4;
    case onnx::TensorProto::BOOL:
      return 1;
    default:
      return 0;
  }
}

bool IsIntegerType(int type) {
  return type == onnx::TensorProto::INT64 || type == onnx::TensorProto::INT32 ||
         type == onnx::TensorProto::BOOL;
}

std::string DimsText(std::span<const std::int64_t> dims) {
  std::string text = "[";
  for (const std::int64_t dim : dims) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  }
  return text + "]";
}

std::optional<std::vector<float>> FloatValues(const OnnxConstant& constant) {
  const onnx::TensorProto& tensor = *constant.tensor;
  const bool is_double = tensor.data_type() == onnx::TensorProto::DOUBLE;
  if (!is_double && tensor.data_type() != onnx::TensorProto::FLOAT) return std::nullopt;
  if (tensor.has_raw_data()) {
    const std::string& raw = tensor.raw_data();
    return host::LoadFloats({reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()},
                            is_double ? 8 : 4);
  }
  if (!is_double) return std::vector<float>(tensor.float_data().begin(), tensor.float_data().end());
  std::vector<float> values;
  values.reserve(constant.count);
  for (const double value : tensor.double_data()) values.push_back(static_cast<float>(value));
  return values;
}

std::optional<std::vector<std::int64_t>> IntegerValues(const OnnxConstant& constant) {
  const onnx::TensorProto& tensor = *constant.tensor;
  const int type = tensor.data_type();
  if (!IsIntegerType(type)) return std::nullopt;
  std::vector<std::int64_t> values;
  values.reserve(constant.count);
  if (!tensor.has_raw_data()) {
    if (type == onnx::TensorProto::INT64) {
      values.assign(tensor.int64_data().begin(), tensor.int64_data().end());
    } else {
      values.assign(tensor.int32_data().begin(), tensor.int32_data().end());
    }
    return values;
  }
  const std::uint8_t* raw = reinterpret_cast<const std::uint8_t*>(tensor.raw_data().data());
  const std::size_t width = BytesPerElement(type);
  for (std::size_t i = 0; i < constant.count; ++i) {
    const std::uint8_t* at = raw + i * width;
    if (width == 8) {
      values.push_back(host::LoadLittleEndian<std::int64_t>(at));
    } else if (width == 4) {
      values.push_back(host::LoadLittleEndian<std::int32_t>(at));
    } else {
      values.push_back(*at);
    }
  }
  return values;
}

const onnx::AttributeProto* FindAttribute(const onnx::NodeProto& node, const char* name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

}  // namespace mu8::convert
