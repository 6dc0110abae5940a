// Maximum of 16 channels at a time.
#include "kernels/built_tables.h"

#if MU8_HAVE_WASM128
#include <wasm_simd128.h>

#include "kernels/scalar/kernels.h"
#include "kernels/wasm128/kernels.h"
#include "kernels/wasm128/parts.h"

namespace mu8::kernels::wasm128 {

using scalar::TapSpan;

void MaxPool(const PoolArgs& args) {
  const v128_t low = wasm_u8x16_splat(static_cast<std::uint8_t>(args.clamp_min));
  const v128_t high = wasm_u8x16_splat(static_cast<std::uint8_t>(args.clamp_max));
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
        v128_t most = low;
        const std::uint8_t* row = in + c;
        for (std::uint32_t i = rows.begin; i < rows.end; ++i, row += args.input_row_stride) {
          const std::uint8_t* tap = row;
          // A tensor's tail may be read.
          for (std::uint32_t j = cols.begin; j < cols.end; ++j, tap += args.channels) {
            most = wasm_u8x16_max(most, wasm_v128_load(tap));
          }
        }
        StorePart(out + c, wasm_u8x16_min(most, high), args.channels - c);
      }
    }
  }
}

}  // namespace mu8::kernels::wasm128
#endif  // MU8_HAVE_WASM128
