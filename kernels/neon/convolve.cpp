// Convolution with products of 16 bits, for processors without SDOT: two groups of 4 inputs are
// multiplied and added in 16 bits, which 2 * 128 * 127 just fits, and pairs of those in 32.
#include "kernels/neon/convolve_panel.h"
#include "kernels/neon/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::neon {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

struct LongProducts {
  static constexpr std::int32_t kOffset = 128;
  static constexpr bool kDepthwise = false;
#if defined(__aarch64__)
  template <std::size_t kVectors>
  static constexpr std::size_t kPixels = kVectors == 1 ? 4 : 2;
#else
  template <std::size_t kVectors>
  static constexpr std::size_t kPixels = kVectors == 4 ? 1 : 2;
#endif

  static int32x4_t AddWeights(int32x4_t sum, int8x16_t weights) { return AddFours(sum, weights); }

  // Half a channel's sum in each word: channels 4 v and 4 v + 1 in `low`, the next two in `high`.
  template <std::size_t kVectors>
  struct Halves {
    int32x4_t low[kVectors], high[kVectors];
  };

  // kGroups (1 or 2) groups of 4 inputs.
  template <std::size_t kGroups, std::size_t kVectors, std::size_t kCount>
  static void AddGroups(const ConvolveArgs& args, const std::uint8_t* at,
                        const std::int8_t* weights, Halves<kVectors> (&sum)[kCount]) {
    int8x16_t x[kCount][2];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < kCount; ++p) {
      // A tensor's tail may be read: 8 inputs, be they there or not.
      const uint8x8_t eight = vld1_u8(at + Signed(p) * args.input_col_step);
      const int32x2_t words = vreinterpret_s32_u8(veor_u8(eight, vdup_n_u8(128)));
      x[p][0] = vreinterpretq_s8_s32(vdupq_lane_s32(words, 0));
      x[p][1] = vreinterpretq_s8_s32(vdupq_lane_s32(words, 1));
    }
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      int8x16_t w[kGroups];
#pragma GCC unroll 8
      for (std::size_t g = 0; g < kGroups; ++g) w[g] = vld1q_s8(weights + (g * kVectors + v) * 16);
#pragma GCC unroll 8
      for (std::size_t p = 0; p < kCount; ++p) {
        int16x8_t low = vmull_s8(vget_low_s8(w[0]), vget_low_s8(x[p][0]));
        int16x8_t high = MultiplyLongHigh(w[0], x[p][0]);
        if constexpr (kGroups == 2) {
          low = vmlal_s8(low, vget_low_s8(w[1]), vget_low_s8(x[p][1]));
          high = MultiplyAddLongHigh(high, w[1], x[p][1]);
        }
        sum[p].low[v] = vpadalq_s16(sum[p].low[v], low);
        sum[p].high[v] = vpadalq_s16(sum[p].high[v], high);
      }
    }
  }

  template <std::size_t kVectors, std::size_t kCount>
  [[gnu::noinline]] static void Sum(const ConvolveArgs& args, const std::uint8_t* window,
                                    const int32x4_t (&base)[kVectors],
                                    int32x4_t (&sums)[kCount][kVectors]) {
    Halves<kVectors> halves[kCount];
    for (Halves<kVectors>& pixel : halves) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) pixel.low[v] = pixel.high[v] = vdupq_n_s32(0);
    }
    const std::int8_t* weights = args.weights;
    for (std::uint32_t outer = args.outer_runs; outer != 0; --outer, window += args.outer_step) {
      const std::uint8_t* run = window;
      for (std::uint32_t inner = args.inner_runs; inner != 0; --inner, run += args.inner_step) {
        const std::uint8_t* at = run;
        std::uint32_t left = args.padded_run;
        for (; left >= 8; left -= 8, at += 8, weights += kVectors * 32) {
          AddGroups<2>(args, at, weights, halves);
        }
        if (left == 0) continue;
        AddGroups<1>(args, at, weights, halves);
        weights += kVectors * 16;
      }
    }
#pragma GCC unroll 8
    for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) {
        sums[p][v] = vaddq_s32(base[v], AddPairs(halves[p].low[v], halves[p].high[v]));
      }
    }
  }
};

}  // namespace

void Convolve(const ConvolveArgs& args) { ConvolvePanel<LongProducts>(args); }
void Accumulate(const ConvolveArgs& args) { AccumulatePanel<LongProducts>(args); }

}  // namespace mu8::kernels::neon
