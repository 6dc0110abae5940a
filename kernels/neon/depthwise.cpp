// Depthwise convolution: 4 taps of 8 channels a step. Products of two taps are added in 16 bits,
// which 2 * 128 * 127 just fits, then each channel's in 32.
#include "kernels/neon/convolve_panel.h"
#include "kernels/neon/kernels.h"
#include "kernels/window_taps.h"

namespace mu8::kernels::neon {
namespace {

struct TapProducts {
  static constexpr std::int32_t kOffset = 128;
  static constexpr bool kDepthwise = true;
#if defined(__aarch64__)
  template <std::size_t kVectors>
  static constexpr std::size_t kPixels = 4;
#else
  template <std::size_t kVectors>
  static constexpr std::size_t kPixels = kVectors == 4 ? 1 : 2;
#endif

  static int32x4_t AddWeights(int32x4_t sum, int8x16_t weights) { return AddFours(sum, weights); }

  // Of 8 channels 4 weights each, tap by tap; where there are 4 channels, of those.
  template <std::size_t kVectors>
  static int8x8x4_t Weights(const std::int8_t* weights) {
    if constexpr (kVectors != 1) return vld4_s8(weights);
    std::int8_t bytes[32] = {};
    std::memcpy(bytes, weights, 16);
    return vld4_s8(bytes);
  }

  static int8x8_t Input(const std::uint8_t* at) {
    return vreinterpret_s8_u8(veor_u8(vld1_u8(at), vdup_n_u8(128)));  // may read a tensor's tail
  }

  template <std::size_t kVectors, std::size_t kCount>
  [[gnu::noinline]] static void Sum(const ConvolveArgs& args, const std::uint8_t* window,
                                    const int32x4_t (&base)[kVectors],
                                    int32x4_t (&sums)[kCount][kVectors]) {
    int32x4_t sum[kCount][kVectors];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) sum[p][v] = base[v];
    }
    Taps taps(args, window);
    const std::int8_t* weights = args.weights;
    for (std::uint32_t left = args.padded_run; left != 0; left -= 4, weights += kVectors * 16) {
      const std::uint8_t *a = taps.Next(), *b = taps.Next(), *c = taps.Next(), *d = taps.Next();
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; v += 2) {
        const int8x8x4_t w = Weights<kVectors>(weights + v * 16);
#pragma GCC unroll 8
        for (std::size_t p = 0; p < kCount; ++p) {
          const std::ptrdiff_t at = Signed(p) * args.input_col_step + Signed(v * 4);
          const int16x8_t first =
              vmlal_s8(vmull_s8(Input(a + at), w.val[0]), Input(b + at), w.val[1]);
          const int16x8_t last =
              vmlal_s8(vmull_s8(Input(c + at), w.val[2]), Input(d + at), w.val[3]);
          sum[p][v] = vaddw_s16(vaddw_s16(sum[p][v], vget_low_s16(first)), vget_low_s16(last));
          if constexpr (kVectors != 1) {
            sum[p][v + 1] =
                vaddw_s16(vaddw_s16(sum[p][v + 1], vget_high_s16(first)), vget_high_s16(last));
          }
        }
      }
    }
#pragma GCC unroll 8
    for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) sums[p][v] = sum[p][v];
    }
  }
};

}  // namespace

void ConvolveDepthwise(const ConvolveArgs& args) { ConvolvePanel<TapProducts>(args); }

}  // namespace mu8::kernels::neon
