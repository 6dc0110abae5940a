#include "converters/host/bytes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

namespace mu8::host {
std::string DescribeStart(std::span<const std::uint8_t> bytes) {
  std::string hex, text;
  for (const std::uint8_t byte : bytes.first(std::min<std::size_t>(bytes.size(), 8))) {
    char pair[4];
    std::snprintf(pair, sizeof pair, "%02x ", byte);
    hex += pair;
    text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  return hex + "\"" + text + "\"";
}

std::size_t BytesOf(FloatFormat format) {
  switch (format) {
    case FloatFormat::kFloat16:
    case FloatFormat::kBfloat16:
      return 2;
    case FloatFormat::kFloat32:
      return 4;
    case FloatFormat::kFloat64:
      return 8;
  }
  return 0;
}

float Float16Value(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  float magnitude = 0.0F;
  if (exponent == 31) {
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

float Bfloat16Value(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

std::vector<float> LoadFloats(std::span<const std::uint8_t> bytes, FloatFormat format,
                              bool big_endian) {
  const std::size_t width = BytesOf(format);
  std::vector<float> values(bytes.size() / width);
  std::uint8_t at[8] = {};
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::copy_n(bytes.data() + i * width, width, at);
    if (big_endian) std::reverse(at, at + width);
    switch (format) {
      case FloatFormat::kFloat16:
        values[i] = Float16Value(LoadLittleEndian<std::uint16_t>(at));
        break;
      case FloatFormat::kBfloat16:
        values[i] = Bfloat16Value(LoadLittleEndian<std::uint16_t>(at));
        break;
      case FloatFormat::kFloat32:
        values[i] = std::bit_cast<float>(LoadLittleEndian<std::uint32_t>(at));
        break;
      case FloatFormat::kFloat64:
        values[i] = static_cast<float>(std::bit_cast<double>(LoadLittleEndian<std::uint64_t>(at)));
        break;
    }
  }
  return values;
}

bool CheckedProduct(std::span<const std::uint64_t> dims, std::uint64_t limit,
                    std::size_t* product) {
  std::uint64_t nonzero_product = 1;
  bool has_zero = false;
  for (const std::uint64_t dim : dims) {
    if (dim == 0) {
      has_zero = true;
      continue;
    }
    if (dim > limit / nonzero_product) return false;
    nonzero_product *= dim;
  }
  *product = has_zero ? 0 : static_cast<std::size_t>(nonzero_product);
  return true;
}

}  // namespace mu8::host
