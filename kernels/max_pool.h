// Max-pooling, 16 channels at a time, for tables whose registers hold as many.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/scalar/kernels.h"

namespace mu8::kernels {

// In each source by itself: the linker must not give one instruction set's copy to another.
namespace {

// Bytes, static functions of a register of 16: Splat(byte), Load(from), Max(a, b), Min(a, b),
// StorePart(to, bytes, count), the first `count` or all 16.
template <typename Bytes>
void MaxPool16(const PoolArgs& args) {
  const auto low = Bytes::Splat(static_cast<std::uint8_t>(args.clamp_min));
  const auto high = Bytes::Splat(static_cast<std::uint8_t>(args.clamp_max));
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows = RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    std::uint8_t* out = args.output + Signed(y) * args.output_row_stride;
    for (std::uint32_t x = 0; x < args.output_width; ++x, out += args.channels) {
      const TapSpan cols =
          RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      const std::uint8_t* in = args.input + Signed(rows.begin) * args.input_row_stride +
                               Signed(std::size_t{cols.begin} * args.channels);
      for (std::uint32_t c = 0; c < args.channels; c += 16) {
        auto most = low;
        const std::uint8_t* row = in + c;
        for (std::uint32_t i = rows.begin; i < rows.end; ++i, row += args.input_row_stride) {
          const std::uint8_t* tap = row;
          // A tensor's tail may be read.
          for (std::uint32_t j = cols.begin; j < cols.end; ++j, tap += args.channels) {
            most = Bytes::Max(most, Bytes::Load(tap));
          }
        }
        Bytes::StorePart(out + c, Bytes::Min(most, high), args.channels - c);
      }
    }
  }
}

}  // namespace
}  // namespace mu8::kernels
