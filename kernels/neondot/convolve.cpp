// Convolution with SDOT: 4 pixels by 16 channels on the panel as it lies. SDOT multiplies bytes of
// one sign: x ^ 128 as a signed byte is x - 128.
#include "kernels/neon/convolve_panel.h"
#include "kernels/neondot/kernels.h"

namespace mu8::kernels::neondot {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

struct DotProducts {
  static constexpr std::int32_t kOffset = 128;
  static constexpr bool kDepthwise = false;
  template <std::size_t kVectors>
  static constexpr std::size_t kPixels = kVectors == 4 ? 4 : 8;

  static int32x4_t AddWeights(int32x4_t sum, int8x16_t weights) {
    return vdotq_s32(sum, weights, vdupq_n_s8(1));
  }

  static int8x16_t Centered(uint8x16_t x) {
    return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(128)));
  }

  // 4 inputs of each pixel, those of lane kLane of x.
  template <std::size_t kLane, std::size_t kVectors, std::size_t kCount>
  static void Group(const std::int8_t* weights, const int8x16_t (&x)[kCount],
                    int32x4_t (&sum)[kCount][kVectors]) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      const int8x16_t w = vld1q_s8(weights + (kLane * kVectors + v) * 16);
#pragma GCC unroll 8
      for (std::size_t p = 0; p < kCount; ++p)
        sum[p][v] = vdotq_laneq_s32(sum[p][v], w, x[p], kLane);
    }
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
    const std::int8_t* weights = args.weights;
    for (std::uint32_t outer = args.outer_runs; outer != 0; --outer, window += args.outer_step) {
      const std::uint8_t* run = window;
      for (std::uint32_t inner = args.inner_runs; inner != 0; --inner, run += args.inner_step) {
        const std::uint8_t* at = run;
        std::uint32_t left = args.padded_run;
        int8x16_t x[kCount];
        for (; left >= 16; left -= 16, at += 16, weights += kVectors * 64) {
#pragma GCC unroll 8
          for (std::size_t p = 0; p < kCount; ++p)
            x[p] = Centered(vld1q_u8(at + Signed(p) * args.input_col_step));
          Group<0>(weights, x, sum);
          Group<1>(weights, x, sum);
          Group<2>(weights, x, sum);
          Group<3>(weights, x, sum);
        }
        // Up to 12 more: a tensor's tail may be read, the weights' not.
        if (left == 0) continue;
#pragma GCC unroll 8
        for (std::size_t p = 0; p < kCount; ++p)
          x[p] = Centered(vld1q_u8(at + Signed(p) * args.input_col_step));
        Group<0>(weights, x, sum);
        if (left > 4) Group<1>(weights, x, sum);
        if (left > 8) Group<2>(weights, x, sum);
        weights += left * kVectors * 4;
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

void Convolve(const ConvolveArgs& args) { neon::ConvolvePanel<DotProducts>(args); }
void Accumulate(const ConvolveArgs& args) { neon::AccumulatePanel<DotProducts>(args); }

}  // namespace mu8::kernels::neondot
