// Pooling: the definition.
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::scalar {

float ProbePool(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// Sums side by side, so that compilers can use the registers that they know of.
constexpr std::uint32_t kChannelBlock = 64;

std::uint8_t Clamp(std::uint8_t value, std::int32_t low, std::int32_t high) {
  return static_cast<std::uint8_t>(value < low ? low : value > high ? high : value);
}

}  // namespace

void MaxPool(const PoolArgs& args) {
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows = RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    for (std::uint32_t x = 0; x < args.output_width; ++x) {
      const TapSpan cols =
          RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      std::uint8_t* out =
          args.output + Signed(y) * args.output_row_stride + Signed(std::size_t{x} * args.channels);
      for (std::uint32_t c = 0; c < args.channels; ++c) out[c] = 0;
      for (std::uint32_t row = rows.begin; row < rows.end; ++row) {
        for (std::uint32_t col = cols.begin; col < cols.end; ++col) {
          const std::uint8_t* in = args.input + Signed(row) * args.input_row_stride +
                                   Signed(std::size_t{col} * args.channels);
          for (std::uint32_t c = 0; c < args.channels; ++c)
            out[c] = in[c] > out[c] ? in[c] : out[c];
        }
      }
      for (std::uint32_t c = 0; c < args.channels; ++c) {
        out[c] = Clamp(out[c], args.clamp_min, args.clamp_max);
      }
    }
  }
}

void AveragePool(const PoolArgs& args) {
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows = RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    for (std::uint32_t x = 0; x < args.output_width; ++x) {
      const TapSpan cols =
          RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      const std::uint32_t taps = (rows.end - rows.begin) * (cols.end - cols.begin);
      const std::uint32_t area = args.count_padding ? args.kernel_h * args.kernel_w : taps;
      const float multiplier = args.scale_ratio / static_cast<float>(area);
      std::uint8_t* out =
          args.output + Signed(y) * args.output_row_stride + Signed(std::size_t{x} * args.channels);
      for (std::uint32_t first = 0; first < args.channels; first += kChannelBlock) {
        const std::uint32_t left = args.channels - first;
        const std::uint32_t count = left < kChannelBlock ? left : kChannelBlock;
        // At most 2^20 taps of |x - z| <= 255: below 2^28.
        std::int32_t sums[kChannelBlock] = {};
        for (std::uint32_t row = rows.begin; row < rows.end; ++row) {
          for (std::uint32_t col = cols.begin; col < cols.end; ++col) {
            const std::uint8_t* in = args.input + Signed(row) * args.input_row_stride +
                                     Signed(std::size_t{col} * args.channels) + first;
            for (std::uint32_t c = 0; c < count; ++c) sums[c] += in[c] - args.zero_in;
          }
        }
        for (std::uint32_t c = 0; c < count; ++c) {
          out[first + c] =
              Requantize(sums[c], multiplier, args.zero_out, args.clamp_min, args.clamp_max);
        }
      }
    }
  }
}

}  // namespace mu8::kernels::scalar
