// Maximum of 16 channels at a time.
#include "kernels/built_tables.h"

#if MU8_HAVE_HELIUM
#include <arm_mve.h>

#include "kernels/helium/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::helium {

void MaxPool(const PoolArgs& args) {
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows = RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    std::uint8_t* out = args.output + Signed(y) * args.output_row_stride;
    for (std::uint32_t x = 0; x < args.output_width; ++x, out += args.channels) {
      const TapSpan cols =
          RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      const std::uint8_t* in = args.input + Signed(rows.begin) * args.input_row_stride +
                               Signed(std::size_t{cols.begin} * args.channels);
      for (std::uint32_t c = 0; c < args.channels; c += 16) {
        const mve_pred16_t real = vctp8q(args.channels - c);
        uint8x16_t most = vdupq_n_u8(static_cast<std::uint8_t>(args.clamp_min));
        const std::uint8_t* row = in + c;
        for (std::uint32_t i = rows.begin; i < rows.end; ++i, row += args.input_row_stride) {
          const std::uint8_t* tap = row;
          for (std::uint32_t j = cols.begin; j < cols.end; ++j, tap += args.channels) {
            most = vmaxq_u8(most, vld1q_z_u8(tap, real));
          }
        }
        most = vminq_u8(most, vdupq_n_u8(static_cast<std::uint8_t>(args.clamp_max)));
        vst1q_p_u8(out + c, most, real);
      }
    }
  }
}

}  // namespace mu8::kernels::helium
#endif  // MU8_HAVE_HELIUM
