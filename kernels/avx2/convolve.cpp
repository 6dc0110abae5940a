// Convolution of one panel with AVX2. There is no exact u8 x s8 dot product (pmaddubsw saturates),
// so both sides widen to int16, where pmaddwd is exact. A 32-bit lane holds a channel's 4 weights:
// its even bytes are inputs 0 and 2, its odd bytes 1 and 3. Two shifts split them in place, so a
// lane's sums stay one channel's, and nothing ever crosses lanes.
// The zero point is left out of the inner loop: sum (x - z) w = sum x w - z sum w.
#include <immintrin.h>

#include <xsimd/xsimd.hpp>

#include "kernels/avx2/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::avx2 {
namespace {

using Floats = xsimd::batch<float, xsimd::avx2>;
using Ints = xsimd::batch<std::int32_t, xsimd::avx2>;

// 4 pixels x 16 channels: 8 accumulators, 4 registers of weights, 2 of inputs and a product.
constexpr std::uint32_t kTilePixels = 4;

// Four bytes of each 32-bit lane as int16: inputs 0 and 2, 1 and 3.
struct Split {
  __m256i even, odd;
};

// Up to 8 channels x 4 inputs; the lanes past `kWidth` are 0.
template <std::uint32_t kWidth>
inline Split Weights(const std::int8_t* weights) {
  __m256i bytes;
  if constexpr (kWidth == 4) {
    bytes = _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
  } else {
    bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
  }
  return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}

// 4 inputs, the same for every channel.
inline Split Inputs(const std::uint8_t* inputs) {
  std::int32_t four;
  __builtin_memcpy(&four, inputs, 4);
  const __m256i bytes = _mm256_set1_epi32(four);
  return {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)};
}

// acc + dot products of 4 inputs. |x w| <= 255 * 127, so pairs and sums fit (Open proves the sums;
// where z sum w is still to be subtracted, int32 wraps around and back).
inline __m256i Dot(__m256i acc, const Split& x, const Split& w) {
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x.even, w.even));
  __asm__("" : "+x"(acc));
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x.odd, w.odd));
  __asm__("" : "+x"(acc));
  return acc;
}

constexpr std::uint32_t Halves(std::uint32_t width) { return width == 16 ? 2 : 1; }

// sums[p][h]: sum x w of window p for channels 8 h .. 8 h + 7.
template <std::uint32_t kWidth, std::uint32_t kPixels>
inline void Accumulate(const ConvolveArgs& args, const std::uint8_t* const* windows,
                       __m256i (*sums)[2]) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  __m256i acc[kPixels][kHalves];
  for (auto& pixel : acc) {
    for (__m256i& half : pixel) half = _mm256_setzero_si256();
  }
  const std::int8_t* weights = args.weights;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
      const std::ptrdiff_t run = outer * args.outer_step + inner * args.inner_step;
      const std::uint8_t* x[kPixels];
      for (std::uint32_t p = 0; p < kPixels; ++p) x[p] = windows[p] + run;
      for (std::uint32_t k = 0; k < args.padded_run; k += 4, weights += kWidth * 4) {
        Split w[kHalves];
        for (std::uint32_t h = 0; h < kHalves; ++h) w[h] = Weights<kWidth>(weights + h * 32);
        for (std::uint32_t p = 0; p < kPixels; ++p) {
          const Split inputs = Inputs(x[p] + k);
          for (std::uint32_t h = 0; h < kHalves; ++h) acc[p][h] = Dot(acc[p][h], inputs, w[h]);
        }
      }
    }
  }
  for (std::uint32_t p = 0; p < kPixels; ++p) {
    for (std::uint32_t h = 0; h < kHalves; ++h) sums[p][h] = acc[p][h];
  }
}

// z sum_k w_k of each channel.
template <std::uint32_t kWidth>
void ZeroPointSums(const ConvolveArgs& args, std::int32_t* sums) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  const __m256i z = _mm256_set1_epi16(static_cast<std::int16_t>(args.zero_point));
  __m256i acc[kHalves] = {};
  const std::uint32_t steps = args.outer_runs * args.inner_runs * (args.padded_run / 4);
  for (std::uint32_t step = 0; step < steps; ++step) {
    for (std::uint32_t h = 0; h < kHalves; ++h) {
      acc[h] = Dot(acc[h], {z, z},
                   Weights<kWidth>(args.weights + step * std::size_t{kWidth * 4} + h * 32));
    }
  }
  for (std::uint32_t h = 0; h < kHalves; ++h) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums + h * 8), acc[h]);
  }
}

// The first `count` bytes as 16, zeros behind them; reads no more than these.
inline __m128i LoadBytes(const std::uint8_t* bytes, std::uint32_t count) {
  if (count == 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  if (count == 8) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
  alignas(16) std::uint8_t copy[16] = {};
  for (std::uint32_t i = 0; i < count; ++i) copy[i] = bytes[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(copy));
}

inline void StoreBytes(__m128i value, std::uint8_t* bytes, std::uint32_t count) {
  if (count == 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), value);
  if (count == 8) return _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes), value);
  alignas(16) std::uint8_t copy[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(copy), value);
  for (std::uint32_t i = 0; i < count; ++i) bytes[i] = copy[i];
}

// Bias, residual and requantization of scalar/convolve.cpp, 8 channels at a time.
struct Epilogue {
  // Per channel, zeros past the real ones. `bias` has z sum w taken off.
  alignas(32) std::int32_t bias[16] = {};
  alignas(32) std::int32_t residual_factor[16] = {};
  alignas(32) float multiplier[16] = {};
  Floats low, high;
  Ints zero_out, residual_zero, residual_half;
  const ConvolveArgs& args;

  explicit Epilogue(const ConvolveArgs& a)
      : low(static_cast<float>(a.clamp_min - a.zero_out)),
        high(static_cast<float>(a.clamp_max - a.zero_out)),
        zero_out(a.zero_out),
        residual_zero(a.residual_zero),
        residual_half(a.residual == nullptr ? 0 : 1 << (a.residual_shift - 1)),
        args(a) {
    alignas(32) std::int32_t zero_point[16] = {};
    if (args.zero_point != 0) {
      args.width == 4   ? ZeroPointSums<4>(args, zero_point)
      : args.width == 8 ? ZeroPointSums<8>(args, zero_point)
                        : ZeroPointSums<16>(args, zero_point);
    }
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      // In unsigned numbers, which may wrap around where int32 may not.
      bias[c] = static_cast<std::int32_t>(static_cast<std::uint32_t>(args.bias[c]) -
                                          static_cast<std::uint32_t>(zero_point[c]));
      if (args.accumulators == nullptr) multiplier[c] = args.multiplier[c];
      if (args.residual != nullptr) residual_factor[c] = args.residual_factor[c];
    }
  }

  Ints Accumulator(__m256i sum, std::uint32_t half) const {
    return Ints(sum) + Ints::load_aligned(bias + half * 8);
  }

  // scalar/convolve.cpp's Residual of 8 channels.
  Ints Residual(__m128i bytes, std::uint32_t half) const {
    const Ints r(_mm256_cvtepu8_epi32(half == 0 ? bytes : _mm_srli_si128(bytes, 8)));
    const Ints scaled = (r - residual_zero) * Ints::load_aligned(residual_factor + half * 8);
    return Ints(_mm256_sra_epi32(scaled + residual_half, _mm_cvtsi32_si128(args.residual_shift)));
  }

  // 8 channels as int16.
  __m128i Requantized(Ints acc, std::uint32_t half) const {
    Floats value = xsimd::to_float(acc) * Floats::load_aligned(multiplier + half * 8);
    value = xsimd::min(xsimd::max(value, low), high);
    const __m256i q = Ints(_mm256_cvtps_epi32(value)) + zero_out;
    return _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
  }

  template <std::uint32_t kHalves>
  void Store(const __m256i* sums, const std::uint8_t* residual, std::uint8_t* out) const {
    __m128i halves[2] = {};
    const __m128i bytes =
        residual == nullptr ? _mm_setzero_si128() : LoadBytes(residual, args.channels);
    for (std::uint32_t h = 0; h < kHalves; ++h) {
      Ints acc = Accumulator(sums[h], h);
      if (residual != nullptr) acc += Residual(bytes, h);
      halves[h] = Requantized(acc, h);
    }
    StoreBytes(_mm_packus_epi16(halves[0], halves[1]), out, args.channels);
  }
};

// Output pixels in reading order, as the addresses that belong to each.
struct Cursor {
  const ConvolveArgs& args;
  std::uint32_t x = 0;
  std::uint32_t y = 0;

  void Next(const std::uint8_t** window, const std::uint8_t** residual, std::uint8_t** out) {
    *window = args.input + y * args.input_row_step + x * args.input_col_step;
    *out = args.output + y * args.output_row_step + x * args.output_col_step;
    *residual = args.residual == nullptr
                    ? nullptr
                    : args.residual + y * args.residual_row_step + x * args.residual_col_step;
    if (++x == args.output_width) {
      x = 0;
      ++y;
    }
  }
};

template <std::uint32_t kWidth, std::uint32_t kPixels>
void Tile(const ConvolveArgs& args, const Epilogue& epilogue, Cursor* cursor) {
  const std::uint8_t* windows[kPixels];
  const std::uint8_t* residuals[kPixels];
  std::uint8_t* outputs[kPixels];
  for (std::uint32_t p = 0; p < kPixels; ++p) {
    cursor->Next(&windows[p], &residuals[p], &outputs[p]);
  }
  __m256i sums[kPixels][2];
  Accumulate<kWidth, kPixels>(args, windows, sums);
  for (std::uint32_t p = 0; p < kPixels; ++p) {
    epilogue.Store<Halves(kWidth)>(sums[p], residuals[p], outputs[p]);
  }
}

template <std::uint32_t kWidth>
void ConvolveWidth(const ConvolveArgs& args) {
  const Epilogue epilogue(args);
  if (args.accumulators != nullptr) {
    __m256i sums[1][2];
    Accumulate<kWidth, 1>(args, &args.input, sums);
    alignas(32) std::int32_t acc[16] = {};
    for (std::uint32_t h = 0; h < Halves(kWidth); ++h) {
      epilogue.Accumulator(sums[0][h], h).store_aligned(acc + h * 8);
    }
    for (std::uint32_t c = 0; c < args.channels; ++c) args.accumulators[c] = acc[c];
    return;
  }
  Cursor cursor{args};
  std::uint32_t left = args.output_height * args.output_width;
  for (; left >= kTilePixels; left -= kTilePixels) {
    Tile<kWidth, kTilePixels>(args, epilogue, &cursor);
  }
  for (; left > 0; --left) Tile<kWidth, 1>(args, epilogue, &cursor);
}

}  // namespace

void Convolve(const ConvolveArgs& args) {
  switch (args.width) {
    case 4:
      return ConvolveWidth<4>(args);
    case 8:
      return ConvolveWidth<8>(args);
    default:
      return ConvolveWidth<16>(args);
  }
}

const KernelTable kTable = {"avx2",          kFeatureAvx2,
                            SamplePanel,     UnpackPanel,
                            Convolve,        scalar::ConvolveDepthwise,
                            scalar::MaxPool, scalar::AveragePool,
                            scalar::Add,     scalar::Multiply,
                            scalar::Lookup};

}  // namespace mu8::kernels::avx2
