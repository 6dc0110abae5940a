// Max-pooling with AVX-512 BW: up to 64 channels of one output pixel at a time, tap by tap.
#include <immintrin.h>

#include "kernels/avx512vnni/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::avx512vnni {
namespace {

// The largest of each channel over the window's real taps, 0 in lanes beyond `mask`.
__m512i WindowMax(const PoolArgs& args, const std::uint8_t* first, std::uint32_t rows,
                  std::uint32_t cols, __mmask64 mask) {
  __m512i largest = _mm512_setzero_si512();
  for (std::uint32_t row = 0; row < rows; ++row, first += args.input_row_stride) {
    const std::uint8_t* tap = first;
    for (std::uint32_t col = 0; col < cols; ++col, tap += args.channels) {
      largest = _mm512_max_epu8(largest, _mm512_maskz_loadu_epi8(mask, tap));
    }
  }
  return largest;
}

}  // namespace

void MaxPool(const PoolArgs& args) {
  const __m512i low = _mm512_set1_epi8(static_cast<char>(args.clamp_min));
  const __m512i high = _mm512_set1_epi8(static_cast<char>(args.clamp_max));
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows = RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    std::uint8_t* out = args.output + y * args.output_row_stride;
    for (std::uint32_t x = 0; x < args.output_width; ++x, out += args.channels) {
      const TapSpan cols =
          RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      const std::uint8_t* first = args.input + rows.begin * args.input_row_stride +
                                  std::ptrdiff_t{cols.begin} * args.channels;
      for (std::uint32_t c = 0; c < args.channels; c += 64) {
        const std::uint32_t left = args.channels - c;
        const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
        const __m512i largest =
            WindowMax(args, first + c, rows.end - rows.begin, cols.end - cols.begin, mask);
        _mm512_mask_storeu_epi8(out + c, mask,
                                _mm512_min_epu8(_mm512_max_epu8(largest, low), high));
      }
    }
  }
}

}  // namespace mu8::kernels::avx512vnni
