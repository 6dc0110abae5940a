// A tensor in one image's activation memory: where its pixels lie, and the padding around them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/layout.h"

namespace mu8 {

inline std::uint8_t* FirstPixel(std::uint8_t* activations, const format::TensorRecord& tensor) {
  return activations + tensor.offset + std::size_t{tensor.pad_top} * tensor.row_stride +
         std::size_t{tensor.pad_left} * tensor.channels;
}

// Writes the physical padding: tensors share memory, so it is stale whenever its tensor is new.
void FillPadding(const format::TensorRecord& tensor, std::uint8_t* activations);

}  // namespace mu8
