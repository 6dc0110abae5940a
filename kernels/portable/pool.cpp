// Maximum of 4 channels at a time, which stay in registers over the window.
#include "kernels/portable/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::portable {
namespace {

// Of kCount channels over the window whose first value is at `input`.
template <std::uint32_t kCount>
void Maximum(const PoolArgs& args, const std::uint8_t* input, TapSpan rows, TapSpan cols,
             std::uint8_t* out) {
  std::int32_t most[kCount];
#pragma GCC unroll 4
  for (std::int32_t& value : most) value = args.clamp_min;
  const std::size_t row_bytes = std::size_t{cols.end - cols.begin} * args.channels;
  for (std::uint32_t left = rows.end - rows.begin; left != 0; --left) {
    const std::uint8_t* tap = input;
    for (const std::uint8_t* const end = tap + row_bytes; tap != end; tap += args.channels) {
#pragma GCC unroll 4
      for (std::uint32_t c = 0; c < kCount; ++c) most[c] = tap[c] > most[c] ? tap[c] : most[c];
    }
    input += args.input_row_stride;
  }
#pragma GCC unroll 4
  for (std::uint32_t c = 0; c < kCount; ++c) {
    out[c] = static_cast<std::uint8_t>(most[c] < args.clamp_max ? most[c] : args.clamp_max);
  }
}

}  // namespace

void MaxPool(const PoolArgs& args) {
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows = RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    std::uint8_t* out = args.output + Signed(y) * args.output_row_stride;
    for (std::uint32_t x = 0; x < args.output_width; ++x) {
      const TapSpan cols =
          RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      const std::uint8_t* in = args.input + Signed(rows.begin) * args.input_row_stride +
                               Signed(std::size_t{cols.begin} * args.channels);
      std::uint32_t left = args.channels;
      for (; left >= 4; left -= 4, in += 4, out += 4) Maximum<4>(args, in, rows, cols, out);
      for (; left != 0; --left, ++in, ++out) Maximum<1>(args, in, rows, cols, out);
    }
  }
}

}  // namespace mu8::kernels::portable
