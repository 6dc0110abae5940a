#include "converters/host/bytes.h"

#include <algorithm>
#include <bit>
#include <cstdio>

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

std::vector<float> LoadFloats(std::span<const std::uint8_t> bytes, std::size_t width) {
  std::vector<float> values(bytes.size() / width);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint8_t* at = bytes.data() + i * width;
    values[i] =
        width == 4 ? std::bit_cast<float>(LoadLittleEndian<std::uint32_t>(at))
                   : static_cast<float>(std::bit_cast<double>(LoadLittleEndian<std::uint64_t>(at)));
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
