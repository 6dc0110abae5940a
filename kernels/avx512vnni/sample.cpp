// Drawing a panel's weights with AVX-512 BW alone.
#include "kernels/avx512vnni/kernels.h"
#include "kernels/avx512vnni/sample_panel.h"

namespace mu8::kernels::avx512vnni {
namespace {

// kEpsilonMagnitude as 64 pairs of bytes: pair w holds magnitudes 2w and 2w + 1.
struct EpsilonTable {
  __m512i pairs_low, pairs_high;

  explicit EpsilonTable(std::uint8_t flip)
      : pairs_low(LoadMagnitudes(0, flip)), pairs_high(LoadMagnitudes(1, flip)) {}

  // Magnitudes of 32 indices of 7 bits, one per 16-bit lane, in the lane's low byte.
  __m512i Magnitude(__m512i index) const {
    const __m512i pair =
        _mm512_permutex2var_epi16(pairs_low, _mm512_srli_epi16(index, 1), pairs_high);
    const __m512i odd = _mm512_slli_epi16(_mm512_and_si512(index, _mm512_set1_epi16(1)), 3);
    return _mm512_and_si512(_mm512_srlv_epi16(pair, odd), _mm512_set1_epi16(0xff));
  }

  // eps of 64 random bytes.
  __m512i Epsilon(__m512i random) const {
    const __m512i index = _mm512_and_si512(random, _mm512_set1_epi8(0x7f));
    const __m512i even = Magnitude(_mm512_and_si512(index, _mm512_set1_epi16(0x7f)));
    const __m512i odd = Magnitude(_mm512_srli_epi16(index, 8));
    const __m512i magnitude = _mm512_or_si512(even, _mm512_slli_epi16(odd, 8));
    return Signed(magnitude, random);
  }
};

}  // namespace

void SamplePanel(const SampleArgs& args) { SamplePanelWith<EpsilonTable>(args); }

void UnpackPanel(const SampleArgs& args) {
  const Means means(args);
  std::int8_t* to = args.weights;
  for (std::size_t block = args.first_block; block < args.end_block; ++block, to += kBlockBytes) {
    _mm512_storeu_si512(to, means.Block(block));
  }
  scalar::SilencePadding(args);
}

void SquareMeans(const SampleArgs& args) {
  const Means means(args);
  const __m512i half = _mm512_set1_epi16(1 << (kSquareShift - 1));
  const auto square = [half](__m256i mu) {
    const __m512i wide = _mm512_cvtepi8_epi16(mu);
    const __m512i sum = _mm512_add_epi16(_mm512_mullo_epi16(wide, wide), half);
    return _mm512_cvtepi16_epi8(_mm512_srli_epi16(sum, kSquareShift));
  };
  std::int8_t* to = args.weights;
  for (std::size_t block = args.first_block; block < args.end_block; ++block, to += kBlockBytes) {
    const __m512i mu = means.Block(block);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), square(_mm512_castsi512_si256(mu)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32),
                        square(_mm512_extracti64x4_epi64(mu, 1)));
  }
  scalar::SilencePadding(args);
}

void UnpackSpread(const SampleArgs& args) {
  const Levels levels(args);
  // Halved before the sum: 255 * 255 + 512 is more than 16 bits.
  const __m512i half = _mm512_set1_epi16(1 << (kSpreadShift - 2));
  const auto square = [half](__m256i level) {
    const __m512i wide = _mm512_cvtepu8_epi16(level);
    const __m512i halved = _mm512_srli_epi16(_mm512_mullo_epi16(wide, wide), 1);
    return _mm512_cvtepi16_epi8(
        _mm512_srli_epi16(_mm512_add_epi16(halved, half), kSpreadShift - 1));
  };
  std::int8_t* to = args.weights;
  for (std::size_t block = args.first_block; block < args.end_block; ++block, to += kBlockBytes) {
    const __m512i level = levels.Block(block);
    if (args.sigma_bits < 8) {
      _mm512_storeu_si512(to, level);
      continue;
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), square(_mm512_castsi512_si256(level)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32),
                        square(_mm512_extracti64x4_epi64(level, 1)));
  }
  scalar::SilencePadding(args);
}

}  // namespace mu8::kernels::avx512vnni
