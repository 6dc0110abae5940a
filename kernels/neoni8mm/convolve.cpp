// Convolution with USMMLA, which multiplies 8 inputs of 2 pixels with those of 2 channels: 4 pixels
// by 16 channels. Two groups of 4 inputs of the panel, interleaved, are 8 inputs of each channel.
#include "kernels/neon/convolve_panel.h"
#include "kernels/neoni8mm/kernels.h"

namespace mu8::kernels::neoni8mm {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

struct MatrixProducts {
  static constexpr std::int32_t kOffset = 0;
  static constexpr bool kDepthwise = false;
  template <std::size_t kVectors>
  static constexpr std::size_t kPixels = kVectors == 4 ? 4 : 8;

  static int32x4_t AddWeights(int32x4_t sum, int8x16_t weights) {
    return vdotq_s32(sum, weights, vdupq_n_s8(1));
  }

  // Sums of 2 pixels: {pixel 0: channels 4 v, 4 v + 1; pixel 1: the same} and of the next two
  // channels.
  template <std::size_t kVectors>
  struct Pair {
    int32x4_t low[kVectors], high[kVectors];
  };

  // Interleaved words of 8 inputs of 4 channels: {channels 0, 1}, {channels 2, 3}.
  static int8x16_t Interleave(int8x16_t a, int8x16_t b, bool high) {
    const int32x4_t wide_a = vreinterpretq_s32_s8(a), wide_b = vreinterpretq_s32_s8(b);
    return vreinterpretq_s8_s32(high ? vzip2q_s32(wide_a, wide_b) : vzip1q_s32(wide_a, wide_b));
  }

  template <std::size_t kVectors, std::size_t kPairs>
  static void Group(const std::int8_t* weights, const uint8x16_t (&x)[kPairs],
                    Pair<kVectors> (&sum)[kPairs]) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      const int8x16_t a = vld1q_s8(weights + v * 16);
      const int8x16_t b = vld1q_s8(weights + (kVectors + v) * 16);
      const int8x16_t low = Interleave(a, b, false), high = Interleave(a, b, true);
#pragma GCC unroll 8
      for (std::size_t p = 0; p < kPairs; ++p) {
        sum[p].low[v] = vusmmlaq_s32(sum[p].low[v], x[p], low);
        sum[p].high[v] = vusmmlaq_s32(sum[p].high[v], x[p], high);
      }
    }
  }

  // The last 4 inputs of a run: 4 zeros behind them.
  template <std::size_t kVectors, std::size_t kPairs>
  static void LastGroup(const std::int8_t* weights, const uint8x16_t (&x)[kPairs],
                        Pair<kVectors> (&sum)[kPairs]) {
    const int8x16_t zero = vdupq_n_s8(0);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      const int8x16_t a = vld1q_s8(weights + v * 16);
      const int8x16_t low = Interleave(a, zero, false), high = Interleave(a, zero, true);
#pragma GCC unroll 8
      for (std::size_t p = 0; p < kPairs; ++p) {
        sum[p].low[v] = vusmmlaq_s32(sum[p].low[v], x[p], low);
        sum[p].high[v] = vusmmlaq_s32(sum[p].high[v], x[p], high);
      }
    }
  }

  // 8 inputs of 2 pixels; of one, twice.
  template <std::size_t kCount>
  static uint8x16_t Inputs(const ConvolveArgs& args, const std::uint8_t* at, std::size_t pair) {
    const std::uint8_t* first = at + Signed(2 * pair) * args.input_col_step;
    const std::uint8_t* second = kCount == 1 ? first : first + args.input_col_step;
    return vcombine_u8(vld1_u8(first), vld1_u8(second));
  }

  template <std::size_t kVectors, std::size_t kCount>
  [[gnu::noinline]] static void Sum(const ConvolveArgs& args, const std::uint8_t* window,
                                    const int32x4_t (&base)[kVectors],
                                    int32x4_t (&sums)[kCount][kVectors]) {
    constexpr std::size_t kPairs = (kCount + 1) / 2;
    Pair<kVectors> pairs[kPairs];
    for (Pair<kVectors>& pair : pairs) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) pair.low[v] = pair.high[v] = vdupq_n_s32(0);
    }
    const std::int8_t* weights = args.weights;
    for (std::uint32_t outer = args.outer_runs; outer != 0; --outer, window += args.outer_step) {
      const std::uint8_t* run = window;
      for (std::uint32_t inner = args.inner_runs; inner != 0; --inner, run += args.inner_step) {
        const std::uint8_t* at = run;
        uint8x16_t x[kPairs];
        for (std::uint32_t left = args.padded_run / 8; left != 0; --left) {
#pragma GCC unroll 8
          for (std::size_t p = 0; p < kPairs; ++p) x[p] = Inputs<kCount>(args, at, p);
          Group(weights, x, pairs);
          at += 8;
          weights += kVectors * 32;
        }
        if (args.padded_run % 8 == 0) continue;
#pragma GCC unroll 8
        for (std::size_t p = 0; p < kPairs; ++p) x[p] = Inputs<kCount>(args, at, p);
        LastGroup(weights, x, pairs);
        weights += kVectors * 16;
      }
    }
#pragma GCC unroll 8
    for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) {
        const int64x2_t low = vreinterpretq_s64_s32(pairs[p / 2].low[v]);
        const int64x2_t high = vreinterpretq_s64_s32(pairs[p / 2].high[v]);
        const int64x2_t pixel = p % 2 == 0 ? vzip1q_s64(low, high) : vzip2q_s64(low, high);
        sums[p][v] = vaddq_s32(base[v], vreinterpretq_s32_s64(pixel));
      }
    }
  }
};

}  // namespace

void Convolve(const ConvolveArgs& args) { neon::ConvolvePanel<MatrixProducts>(args); }
void Accumulate(const ConvolveArgs& args) { neon::AccumulatePanel<MatrixProducts>(args); }

}  // namespace mu8::kernels::neoni8mm
