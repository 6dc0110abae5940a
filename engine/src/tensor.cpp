#include "engine/src/tensor.h"

#include <cstring>

namespace mu8 {

void FillPadding(const format::TensorRecord& tensor, std::uint8_t* activations) {
  const std::size_t stride = tensor.row_stride;
  const std::size_t left = std::size_t{tensor.pad_left} * tensor.channels;
  const std::size_t row = std::size_t{tensor.width} * tensor.channels;
  const int z = tensor.zero_point;
  std::uint8_t* at = activations + tensor.offset;
  std::memset(at, z, tensor.pad_top * stride);
  at += tensor.pad_top * stride;
  if (stride != row) {
    for (std::uint32_t y = 0; y < tensor.height; ++y) {
      std::memset(at + y * stride, z, left);
      std::memset(at + y * stride + left + row, z, stride - left - row);
    }
  }
  std::memset(at + tensor.height * stride, z, tensor.pad_bottom * stride);
}

}  // namespace mu8
