// The walk over a convolution's output pixels, for kernels that take several at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace mu8::kernels {

// In each source by itself: the linker must not give one instruction set's copy to another.
namespace {

// The next output pixel to be written.
struct Pixel {
  std::uint32_t y = 0, x = 0;
};

// Of the tensor that begins at `base`.
template <typename T>
T* At(T* base, Pixel pixel, std::ptrdiff_t row_step, std::ptrdiff_t col_step) {
  return base + Signed(pixel.y) * row_step + Signed(pixel.x) * col_step;
}

[[maybe_unused]] inline bool Next(const ConvolveArgs& args, Pixel* pixel) {
  if (++pixel->x < args.output_width) return true;
  pixel->x = 0;
  return ++pixel->y < args.output_height;
}

}  // namespace
}  // namespace mu8::kernels
