// Convolution of one panel with AVX-VNNI, which has the exact u8 x s8 dot product in 256-bit
// registers: processors with AVX2 but without AVX-512 (Alder Lake, Sierra Forest and later).
#include "kernels/avx2/convolve_panel.h"
#include "kernels/avxvnni/kernels.h"

namespace mu8::kernels::avxvnni {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

struct DotProduct {
  using Inputs = __m256i;
  using Weights = __m256i;
  // 6 pixels x 16 channels: 12 accumulators, 2 registers of weights, 1 of inputs. 10 hide the
  // latency of the instruction (5 cycles, 2 a cycle).
  static constexpr std::uint32_t kTilePixels = 6;
  static constexpr std::uint32_t kNarrowTilePixels = 8;
  static constexpr std::uint32_t kChains = 4;

  static __m256i ToInputs(__m256i bytes) { return bytes; }
  static __m256i ToWeights(__m256i bytes) { return bytes; }
  // Inline assembly, as in kernels/avx512vnni/convolve.cpp: g++ 12 spills around the intrinsic.
  static __m256i Dot(__m256i acc, __m256i x, __m256i w) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(w));
    return acc;
  }
};

}  // namespace

void Convolve(const ConvolveArgs& args) { ConvolvePanel<DotProduct>(args); }
void Accumulate(const ConvolveArgs& args) { AccumulatePanel<DotProduct>(args); }
void ConvolveDepthwise(const ConvolveArgs& args) { DepthwisePanel<DotProduct>(args); }

}  // namespace mu8::kernels::avxvnni
