// Maximum of 4 channels at a time.
#include "kernels/built_tables.h"

#if MU8_HAVE_ARMDSP
#include "kernels/armdsp/instructions.h"
#include "kernels/armdsp/kernels.h"
#include "kernels/taps.h"

namespace mu8::kernels::armdsp {
namespace {

// Of 4 channels, or of one in the lowest byte, over the window whose first value is at `input`.
template <typename LoadTap>
std::uint32_t Maximum(const PoolArgs& args, const std::uint8_t* input, TapSpan rows, TapSpan cols,
                      const LoadTap& load) {
  std::uint32_t most = kOnes * static_cast<std::uint32_t>(args.clamp_min);
  const std::size_t row_bytes = std::size_t{cols.end - cols.begin} * args.channels;
  for (std::uint32_t row = rows.begin; row < rows.end; ++row, input += args.input_row_stride) {
    const std::uint8_t* tap = input;
    for (const std::uint8_t* end = tap + row_bytes; tap != end; tap += args.channels) {
      most = Most(most, load(tap));
    }
  }
  return Least(most, kOnes * static_cast<std::uint32_t>(args.clamp_max));
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
      for (; left >= 4; left -= 4, in += 4, out += 4)
        Store(out, Maximum(args, in, rows, cols, Load));
      for (; left != 0; --left, ++in) {
        *out++ = static_cast<std::uint8_t>(Maximum(
            args, in, rows, cols, [](const std::uint8_t* tap) { return std::uint32_t{*tap}; }));
      }
    }
  }
}

}  // namespace mu8::kernels::armdsp
#endif  // MU8_HAVE_ARMDSP
