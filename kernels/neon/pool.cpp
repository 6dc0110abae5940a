// Maximum of 16 channels at a time.
#include <arm_neon.h>

#include <cstring>

#include "kernels/neon/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::neon {
namespace {

// The first `count` bytes of a register, to memory that has no more.
void StorePart(std::uint8_t* out, uint8x16_t bytes, std::uint32_t count) {
  if (count >= 16) return vst1q_u8(out, bytes);
  uint8x8_t rest = vget_low_u8(bytes);
  if ((count & 8) != 0) {
    vst1_u8(out, rest);
    rest = vget_high_u8(bytes);
    out += 8;
  }
  if ((count & 4) != 0) {
    const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(rest), 0);
    std::memcpy(out, &four, 4);
    rest = vext_u8(rest, rest, 4);
    out += 4;
  }
  if ((count & 2) != 0) {
    const std::uint16_t two = vget_lane_u16(vreinterpret_u16_u8(rest), 0);
    std::memcpy(out, &two, 2);
    rest = vext_u8(rest, rest, 2);
    out += 2;
  }
  if ((count & 1) != 0) vst1_lane_u8(out, rest, 0);
}

}  // namespace

void MaxPool(const PoolArgs& args) {
  using scalar::TapSpan;
  const uint8x16_t low = vdupq_n_u8(static_cast<std::uint8_t>(args.clamp_min));
  const uint8x16_t high = vdupq_n_u8(static_cast<std::uint8_t>(args.clamp_max));
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows =
        scalar::RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    std::uint8_t* out = args.output + Signed(y) * args.output_row_stride;
    for (std::uint32_t x = 0; x < args.output_width; ++x, out += args.channels) {
      const TapSpan cols =
          scalar::RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      const std::uint8_t* in = args.input + Signed(rows.begin) * args.input_row_stride +
                               Signed(std::size_t{cols.begin} * args.channels);
      for (std::uint32_t c = 0; c < args.channels; c += 16) {
        uint8x16_t most = low;
        const std::uint8_t* row = in + c;
        for (std::uint32_t i = rows.begin; i < rows.end; ++i, row += args.input_row_stride) {
          const std::uint8_t* tap = row;
          // A tensor's tail may be read.
          for (std::uint32_t j = cols.begin; j < cols.end; ++j, tap += args.channels) {
            most = vmaxq_u8(most, vld1q_u8(tap));
          }
        }
        StorePart(out + c, vminq_u8(most, high), args.channels - c);
      }
    }
  }
}

}  // namespace mu8::kernels::neon
