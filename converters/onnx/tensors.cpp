#include "converters/onnx/tensors.h"

#include "converters/host/bytes.h"

namespace mu8::convert {
namespace {

std::optional<host::FloatFormat> FormatOf(int type) {
  switch (type) {
    case onnx::TensorProto::FLOAT16:
      return host::FloatFormat::kFloat16;
    case onnx::TensorProto::BFLOAT16:
      return host::FloatFormat::kBfloat16;
    case onnx::TensorProto::FLOAT:
      return host::FloatFormat::kFloat32;
    case onnx::TensorProto::DOUBLE:
      return host::FloatFormat::kFloat64;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::size_t BytesPerElement(int type) {
  switch (type) {
    case onnx::TensorProto::DOUBLE:
    case onnx::TensorProto::INT64:
      return 8;
    case onnx::TensorProto::FLOAT:
    case onnx::TensorProto::INT32:
      return 4;
    case onnx::TensorProto::FLOAT16:
    case onnx::TensorProto::BFLOAT16:
      return 2;
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

bool IsFloatType(int type) { return FormatOf(type).has_value(); }

std::optional<std::vector<float>> FloatValues(const OnnxConstant& constant) {
  const onnx::TensorProto& tensor = *constant.tensor;
  const std::optional<host::FloatFormat> format = FormatOf(tensor.data_type());
  if (!format) return std::nullopt;
  if (tensor.has_raw_data()) {
    const std::string& raw = tensor.raw_data();
    return host::LoadFloats({reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()},
                            *format);
  }
  std::vector<float> values;
  values.reserve(constant.count);
  switch (*format) {
    case host::FloatFormat::kFloat32:
      values.assign(tensor.float_data().begin(), tensor.float_data().end());
      break;
    case host::FloatFormat::kFloat64:
      for (const double value : tensor.double_data()) values.push_back(static_cast<float>(value));
      break;
    default:  // the bits of each in an int32
      for (const std::int32_t bits : tensor.int32_data()) {
        const auto half = static_cast<std::uint16_t>(bits);
        values.push_back(*format == host::FloatFormat::kFloat16 ? host::Float16Value(half)
                                                                : host::Bfloat16Value(half));
      }
  }
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
