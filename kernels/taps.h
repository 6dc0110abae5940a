// Which taps of a pool's window lie in the image.
#pragma once

#include <cstdint>

namespace mu8::kernels {

// The real rows (or columns) of a window, [begin, end) in input coordinates; never empty.
struct TapSpan {
  std::uint32_t begin, end;
};
constexpr TapSpan RealTaps(std::uint32_t out, std::uint32_t stride, std::uint32_t pad,
                           std::uint32_t kernel, std::uint32_t extent) {
  const std::uint32_t start = out * stride;  // counted from the padded edge
  const std::uint32_t end = start + kernel > pad ? start + kernel - pad : 0;
  return {start > pad ? start - pad : 0, end < extent ? end : extent};
}

}  // namespace mu8::kernels
