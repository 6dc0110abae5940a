// Convolution of one panel with AVX2. There is no exact u8 x s8 dot product (pmaddubsw saturates),
// so both sides widen to int16, where pmaddwd is exact: the even bytes of a lane are inputs 0 and
// 2, its odd bytes 1 and 3. Two shifts split them in place.
#include "kernels/avx2/convolve_panel.h"
#include "kernels/avx2/kernels.h"
#include "kernels/moments.h"

namespace mu8::kernels::avx2 {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

struct SplitProduct {
  // Four bytes of each 32-bit lane as int16: inputs 0 and 2, 1 and 3.
  struct Split {
    __m256i even, odd;
  };
  using Inputs = Split;
  using Weights = Split;
  // 4 pixels x 16 channels: 8 accumulators, 4 registers of weights, 2 of inputs and a product.
  static constexpr std::uint32_t kTilePixels = 4;
  static constexpr std::uint32_t kNarrowTilePixels = 4;
  static constexpr std::uint32_t kChains = 1;  // additions take one cycle

  static Inputs ToInputs(__m256i bytes) {
    return {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)};
  }
  static Weights ToWeights(__m256i bytes) {
    return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
  }
  static __m256i Dot(__m256i acc, const Split& x, const Split& w) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x.even, w.even));
    __asm__("" : "+x"(acc));
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x.odd, w.odd));
    __asm__("" : "+x"(acc));
    return acc;
  }
};

// Of weights from 0 to 64: 255 * 64 twice is within int16, so pmaddubsw does not saturate.
struct SquareProduct {
  using Inputs = __m256i;
  using Weights = __m256i;
  static constexpr std::uint32_t kTilePixels = 4;
  static constexpr std::uint32_t kNarrowTilePixels = 4;
  static constexpr std::uint32_t kChains = 1;

  static __m256i ToInputs(__m256i bytes) { return bytes; }
  static __m256i ToWeights(__m256i bytes) { return bytes; }
  static __m256i Dot(__m256i acc, __m256i x, __m256i w) {
    const __m256i pairs = _mm256_maddubs_epi16(x, w);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};
static_assert(2 * 255 * kMostSquare <= 32767);

}  // namespace

void Convolve(const ConvolveArgs& args) { ConvolvePanel<SplitProduct>(args); }
void Accumulate(const ConvolveArgs& args) { AccumulatePanel<SplitProduct>(args); }
void AccumulateSquares(const ConvolveArgs& args) { AccumulatePanel<SquareProduct>(args); }
void ConvolveDepthwise(const ConvolveArgs& args) { DepthwisePanel<SplitProduct>(args); }

}  // namespace mu8::kernels::avx2
