// Convolution of one panel in 256-bit registers: 8 channels x 4 inputs each. A 32-bit lane holds a
// channel's 4 weights and its sum, so nothing ever crosses lanes. How 4 inputs and 4 weights of a
// lane are multiplied and added is the including file's `Product`: plain AVX2 has no exact
// instruction for it, AVX-VNNI has.
// The zero point is left out of the inner loop: sum (x - z) w = sum x w - z sum w.
//
//   struct Product {
//     using Inputs, Weights;  // of 8 lanes
//     static constexpr std::uint32_t kTilePixels;  // of 16 channels, side by side
//     static constexpr std::uint32_t kNarrowTilePixels;  // of 4 or 8 channels
//     static constexpr std::uint32_t kChains;  // sums that hide a lone pixel's latency
//     static Inputs ToInputs(__m256i u8);
//     static Weights ToWeights(__m256i s8);
//     static __m256i Dot(__m256i sums, const Inputs&, const Weights&);
//   };
// |x w| <= 255 * 127, so products and sums fit (Open proves the sums; where z sum w is still to be
// subtracted, int32 wraps around and back).
//
// Everything here has internal linkage: each file that includes it is compiled with flags of its
// own, and no code of the one may serve the other.
#pragma once

#include <immintrin.h>

#include <xsimd/xsimd.hpp>

#include "kernels/kernel_table.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels {
namespace {

using Floats = xsimd::batch<float, xsimd::avx2>;
using Ints = xsimd::batch<std::int32_t, xsimd::avx2>;

// Up to 8 channels x 4 inputs; the lanes past `kWidth` are 0.
template <std::uint32_t kWidth>
__m256i LoadWeights(const std::int8_t* weights) {
  if constexpr (kWidth == 4) {
    return _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
  } else {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
  }
}

// 4 inputs, the same for every channel.
inline __m256i Broadcast(const std::uint8_t* inputs) {
  std::int32_t four;
  __builtin_memcpy(&four, inputs, 4);
  return _mm256_set1_epi32(four);
}

constexpr std::uint32_t Halves(std::uint32_t width) { return width == 16 ? 2 : 1; }

// z sum_k w_k of each channel.
template <typename Product, std::uint32_t kWidth>
void ZeroPointSums(const ConvolveArgs& args, std::int32_t* sums) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  const auto z = Product::ToInputs(_mm256_set1_epi8(static_cast<char>(args.zero_point)));
  __m256i acc[kHalves] = {};
  const std::uint32_t steps = args.outer_runs * args.inner_runs * (args.padded_run / 4);
  for (std::uint32_t step = 0; step < steps; ++step) {
    const std::int8_t* weights = args.weights + step * std::size_t{kWidth * 4};
    for (std::uint32_t h = 0; h < kHalves; ++h) {
      acc[h] = Product::Dot(acc[h], z, Product::ToWeights(LoadWeights<kWidth>(weights + h * 32)));
    }
  }
  for (std::uint32_t h = 0; h < kHalves; ++h) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums + h * 8), acc[h]);
  }
}

// bias - z sum w of each channel, zeros past the real ones.
template <typename Product, std::uint32_t kWidth>
struct Start {
  __m256i half[2];

  explicit Start(const ConvolveArgs& args) {
    alignas(32) std::int32_t sums[16] = {};
    if (args.zero_point != 0) ZeroPointSums<Product, kWidth>(args, sums);
    for (std::uint32_t c = 0; c < 16; ++c) {
      // In unsigned numbers, which may wrap around where int32 may not.
      const std::int32_t bias = c < args.channels ? args.bias[c] : 0;
      sums[c] = static_cast<std::int32_t>(static_cast<std::uint32_t>(bias) -
                                          static_cast<std::uint32_t>(sums[c]));
    }
    for (int h = 0; h < 2; ++h) {
      half[h] = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + h * 8));
    }
  }
};

// acc[p][h]: accumulators of window p for channels 8 h .. 8 h + 7. Never inline: g++ 12 would keep
// the epilogue's constants in registers, for which it spills accumulators.
template <typename Product, std::uint32_t kWidth, std::uint32_t kPixels>
[[gnu::noinline]] void Accumulate(const ConvolveArgs& args, const Start<Product, kWidth>& start,
                                  const std::uint8_t* const* windows,
                                  __m256i (*accumulators)[Halves(kWidth)]) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  constexpr std::uint32_t kChains = kPixels == 1 ? Product::kChains : 1;
  __m256i acc[kChains][kPixels][kHalves];
#pragma GCC unroll 8
  for (std::uint32_t chain = 0; chain < kChains; ++chain) {
#pragma GCC unroll 8
    for (auto& pixel : acc[chain]) {
#pragma GCC unroll 8
      for (std::uint32_t h = 0; h < kHalves; ++h) {
        pixel[h] = chain == 0 ? start.half[h] : _mm256_setzero_si256();
      }
    }
  }
  const std::int8_t* weights = args.weights;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
      const std::ptrdiff_t run = outer * args.outer_step + inner * args.inner_step;
      const std::uint8_t* x[kPixels];
#pragma GCC unroll 8
      for (std::uint32_t p = 0; p < kPixels; ++p) x[p] = windows[p] + run;
      const auto step = [&](std::uint32_t k, std::uint32_t chain) {
        typename Product::Weights w[kHalves];
#pragma GCC unroll 8
        for (std::uint32_t h = 0; h < kHalves; ++h) {
          w[h] = Product::ToWeights(LoadWeights<kWidth>(weights + h * 32));
        }
#pragma GCC unroll 8
        for (std::uint32_t p = 0; p < kPixels; ++p) {
          const typename Product::Inputs inputs = Product::ToInputs(Broadcast(x[p] + k));
#pragma GCC unroll 8
          for (std::uint32_t h = 0; h < kHalves; ++h) {
            acc[chain][p][h] = Product::Dot(acc[chain][p][h], inputs, w[h]);
          }
        }
        weights += kWidth * 4;
      };
      std::uint32_t k = 0;
      if constexpr (kChains > 1) {
        for (; k + 4 * kChains <= args.padded_run; k += 4 * kChains) {
#pragma GCC unroll 8
          for (std::uint32_t chain = 0; chain < kChains; ++chain) step(k + 4 * chain, chain);
        }
      }
      for (; k < args.padded_run; k += 4) step(k, 0);
    }
  }
#pragma GCC unroll 8
  for (std::uint32_t p = 0; p < kPixels; ++p) {
#pragma GCC unroll 8
    for (std::uint32_t h = 0; h < kHalves; ++h) {
      accumulators[p][h] = acc[0][p][h];
#pragma GCC unroll 8
      for (std::uint32_t chain = 1; chain < kChains; ++chain) {
        accumulators[p][h] = _mm256_add_epi32(accumulators[p][h], acc[chain][p][h]);
      }
    }
  }
}

// The first `count` bytes of 8, zeros behind them; reads no more than these.
inline __m128i LoadBytes(const std::uint8_t* bytes, std::uint32_t count) {
  if (count >= 8) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
  alignas(16) std::uint8_t copy[16] = {};
  for (std::uint32_t i = 0; i < count; ++i) copy[i] = bytes[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(copy));
}

// The first `count` of at most 16 bytes, as two pieces that may overlap.
inline void CopyBytes(const std::uint8_t* from, std::uint32_t count, std::uint8_t* to) {
  if (count >= 8) {
    __builtin_memcpy(to, from, 8);
    __builtin_memcpy(to + count - 8, from + count - 8, 8);
  } else if (count >= 4) {
    __builtin_memcpy(to, from, 4);
    __builtin_memcpy(to + count - 4, from + count - 4, 4);
  } else {
    for (std::uint32_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

// Residual and requantization of scalar/convolve.cpp, 8 channels at a time. Multipliers are below 1
// (FORMAT.md 6.5), so products stay inside int32 and the clamp may follow the conversion:
// saturating packs keep the order of values.
struct Epilogue {
  // Per channel, zeros past the real ones.
  alignas(32) float multiplier[16] = {};
  alignas(32) std::int32_t residual_factor[16] = {};
  alignas(32) std::int32_t residual_half[16] = {};  // the half less zero * factor
  __m256i zero_out, clamp_min, clamp_max;
  __m128i residual_shift;
  const ConvolveArgs& args;

  explicit Epilogue(const ConvolveArgs& a)
      : zero_out(_mm256_set1_epi16(static_cast<std::int16_t>(a.zero_out))),
        clamp_min(_mm256_set1_epi8(static_cast<char>(a.clamp_min))),
        clamp_max(_mm256_set1_epi8(static_cast<char>(a.clamp_max))),
        residual_shift(_mm_cvtsi32_si128(a.residual_shift)),
        args(a) {
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      multiplier[c] = args.multiplier[c];
      if (args.residual == nullptr) continue;
      residual_factor[c] = args.residual_factor[c];
      residual_half[c] =
          (1 << (args.residual_shift - 1)) - args.residual_zero * args.residual_factor[c];
    }
  }

  // scalar/convolve.cpp's Residual of channels 8 h .. 8 h + 7, added.
  Ints AddResidual(const std::uint8_t* residual, std::uint32_t h, Ints acc) const {
    if (h * 8 >= args.channels) return acc;
    const Ints r(_mm256_cvtepu8_epi32(LoadBytes(residual + h * 8, args.channels - h * 8)));
    const Ints rounded =
        r * Ints::load_aligned(residual_factor + h * 8) + Ints::load_aligned(residual_half + h * 8);
    return acc + Ints(_mm256_sra_epi32(rounded, residual_shift));
  }

  // rint(float(acc) * multiplier), ties to even.
  __m256i Scale(Ints acc, std::uint32_t h) const {
    return _mm256_cvtps_epi32(xsimd::to_float(acc) * Floats::load_aligned(multiplier + h * 8));
  }

  // u8 of four registers of accumulators: two pixels of two halves, or four of one.
  template <std::uint32_t kHalves>
  __m256i Quantize(const __m256i* acc) const {
    __m256i q[4];
    for (std::uint32_t i = 0; i < 4; ++i) q[i] = Scale(Ints(acc[i]), i % kHalves);
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), zero_out);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), zero_out);
    const __m256i bytes =
        _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(low, high), clamp_min), clamp_max);
    // Packs work within 128-bit parts: part i holds channels 4 i .. 4 i + 3 of each register.
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }

  // Writes `count` pixels of Quantize().
  template <std::uint32_t kHalves>
  void Store(__m256i quantized, std::uint32_t count, std::uint8_t* const* outputs) const {
    if (args.channels == 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(outputs[0]), _mm256_castsi256_si128(quantized));
      if (count == 1) return;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(outputs[1]),
                       _mm256_extracti128_si256(quantized, 1));
      return;
    }
    alignas(32) std::uint8_t bytes[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), quantized);
    for (std::uint32_t p = 0; p < count; ++p) {
      CopyBytes(bytes + p * 8 * kHalves, args.channels, outputs[p]);
    }
  }

  template <std::uint32_t kHalves, std::uint32_t kPixels>
  void StoreAll(__m256i (*acc)[kHalves], const std::uint8_t* const* residuals,
                std::uint8_t* const* outputs) const {
    if (args.residual != nullptr) {
      for (std::uint32_t p = 0; p < kPixels; ++p) {
        for (std::uint32_t h = 0; h < kHalves; ++h) {
          acc[p][h] = AddResidual(residuals[p], h, Ints(acc[p][h]));
        }
      }
    }
    constexpr std::uint32_t kTogether = 4 / kHalves;
    for (std::uint32_t p = 0; p < kPixels; p += kTogether) {
      __m256i four[4] = {};
      const std::uint32_t count = kPixels - p < kTogether ? kPixels - p : kTogether;
      for (std::uint32_t i = 0; i < count * kHalves; ++i) {
        four[i] = acc[p + i / kHalves][i % kHalves];
      }
      Store<kHalves>(Quantize<kHalves>(four), count, outputs + p);
    }
  }
};

template <std::uint32_t kHalves>
void StoreAccumulators(const ConvolveArgs& args, const __m256i* acc) {
  alignas(32) std::int32_t values[16] = {};
  for (std::uint32_t h = 0; h < kHalves; ++h) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(values + h * 8), acc[h]);
  }
  for (std::uint32_t c = 0; c < args.channels; ++c) args.accumulators[c] = values[c];
}

// Output pixels in reading order, as the addresses that belong to each.
class Cursor {
 public:
  explicit Cursor(const ConvolveArgs& args) : args_(args) { StartRow(); }

  void Next(const std::uint8_t** window, const std::uint8_t** residual, std::uint8_t** out) {
    *window = window_;
    *residual = residual_;
    *out = out_;
    if (++x_ == args_.output_width) {
      x_ = 0;
      ++y_;
      return StartRow();
    }
    window_ += args_.input_col_step;
    out_ += args_.output_col_step;
    if (residual_ != nullptr) residual_ += args_.residual_col_step;
  }

 private:
  void StartRow() {
    window_ = args_.input + y_ * args_.input_row_step;
    out_ = args_.output + y_ * args_.output_row_step;
    if (args_.residual != nullptr) residual_ = args_.residual + y_ * args_.residual_row_step;
  }

  const ConvolveArgs& args_;
  std::uint32_t x_ = 0;
  std::uint32_t y_ = 0;
  const std::uint8_t* window_ = nullptr;
  const std::uint8_t* residual_ = nullptr;
  std::uint8_t* out_ = nullptr;
};

// Tiles of kPixels, as long as that many are left.
template <typename Product, std::uint32_t kWidth, std::uint32_t kPixels>
void Tiles(const ConvolveArgs& args, const Start<Product, kWidth>& start, const Epilogue& epilogue,
           std::uint32_t* left, Cursor* cursor) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  for (; *left >= kPixels; *left -= kPixels) {
    const std::uint8_t* windows[kPixels];
    const std::uint8_t* residuals[kPixels];
    std::uint8_t* outputs[kPixels];
    for (std::uint32_t p = 0; p < kPixels; ++p) {
      cursor->Next(&windows[p], &residuals[p], &outputs[p]);
    }
    __m256i acc[kPixels][kHalves];
    Accumulate<Product, kWidth, kPixels>(args, start, windows, acc);
    epilogue.StoreAll<kHalves, kPixels>(acc, residuals, outputs);
  }
}

// The same, but accumulators as they are, kPanelWidth a pixel.
template <typename Product, std::uint32_t kWidth, std::uint32_t kPixels>
void RawTiles(const ConvolveArgs& args, const Start<Product, kWidth>& start, std::uint32_t* left,
              Cursor* cursor, std::int32_t** to) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  for (; *left >= kPixels; *left -= kPixels) {
    const std::uint8_t* windows[kPixels];
    for (std::uint32_t p = 0; p < kPixels; ++p) {
      const std::uint8_t* residual;
      std::uint8_t* output;
      cursor->Next(&windows[p], &residual, &output);
    }
    __m256i acc[kPixels][kHalves];
    Accumulate<Product, kWidth, kPixels>(args, start, windows, acc);
    for (std::uint32_t p = 0; p < kPixels; ++p, *to += kPanelWidth) {
      for (std::uint32_t h = 0; h < kHalves; ++h) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(*to + h * 8), acc[p][h]);
      }
    }
  }
}

template <typename Product, std::uint32_t kWidth>
void AccumulateWidth(const ConvolveArgs& args) {
  const Start<Product, kWidth> start(args);
  constexpr std::uint32_t kPixels =
      kWidth == 16 ? Product::kTilePixels : Product::kNarrowTilePixels;
  Cursor cursor(args);
  std::uint32_t left = args.output_height * args.output_width;
  std::int32_t* to = args.accumulators;
  RawTiles<Product, kWidth, kPixels>(args, start, &left, &cursor, &to);
  RawTiles<Product, kWidth, 4>(args, start, &left, &cursor, &to);
  RawTiles<Product, kWidth, 2>(args, start, &left, &cursor, &to);
  RawTiles<Product, kWidth, 1>(args, start, &left, &cursor, &to);
}

template <typename Product>
void AccumulatePanel(const ConvolveArgs& args) {
  switch (args.width) {
    case 4:
      return AccumulateWidth<Product, 4>(args);
    case 8:
      return AccumulateWidth<Product, 8>(args);
    default:
      return AccumulateWidth<Product, 16>(args);
  }
}

template <typename Product, std::uint32_t kWidth>
void ConvolveWidth(const ConvolveArgs& args) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  const Start<Product, kWidth> start(args);
  if (args.accumulators != nullptr) {
    __m256i acc[1][kHalves];
    Accumulate<Product, kWidth, 1>(args, start, &args.input, acc);
    return StoreAccumulators<kHalves>(args, acc[0]);
  }
  constexpr std::uint32_t kPixels =
      kWidth == 16 ? Product::kTilePixels : Product::kNarrowTilePixels;
  const Epilogue epilogue(args);
  Cursor cursor(args);
  std::uint32_t left = args.output_height * args.output_width;
  Tiles<Product, kWidth, kPixels>(args, start, epilogue, &left, &cursor);
  Tiles<Product, kWidth, 4>(args, start, epilogue, &left, &cursor);
  Tiles<Product, kWidth, 2>(args, start, epilogue, &left, &cursor);
  Tiles<Product, kWidth, 1>(args, start, epilogue, &left, &cursor);
}

template <typename Product>
void ConvolvePanel(const ConvolveArgs& args) {
  switch (args.width) {
    case 4:
      return ConvolveWidth<Product, 4>(args);
    case 8:
      return ConvolveWidth<Product, 8>(args);
    default:
      return ConvolveWidth<Product, 16>(args);
  }
}

// 8 channels of 4 taps, tap by tap within each channel: what one register of weights meets.
// Channels past the panel's are read, too (at most 15 bytes, a tensor has a tail); their weights do
// not exist.
inline __m256i FourTaps(const std::uint8_t* const* taps) {
  __m128i t[4];
  for (int i = 0; i < 4; ++i) t[i] = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(taps[i]));
  const __m128i first = _mm_unpacklo_epi8(t[0], t[1]);
  const __m128i second = _mm_unpacklo_epi8(t[2], t[3]);
  return _mm256_set_m128i(_mm_unpackhi_epi16(first, second), _mm_unpacklo_epi16(first, second));
}

// Taps whose places fit a table on the stack; larger windows take the scalar code.
constexpr std::uint32_t kMostTaps = 128;

template <typename Product, std::uint32_t kWidth>
void DepthwiseWidth(const ConvolveArgs& args, const std::ptrdiff_t* offsets) {
  constexpr std::uint32_t kHalves = Halves(kWidth);
  ConvolveArgs whole = args;  // Start sums the weights of outer x inner runs of padded_run
  whole.outer_runs = whole.inner_runs = 1;
  const Start<Product, kWidth> start(whole);
  const auto accumulate = [&](const std::uint8_t* window, __m256i* acc) {
    for (std::uint32_t h = 0; h < kHalves; ++h) acc[h] = start.half[h];
    for (std::uint32_t k = 0; k < args.padded_run; k += 4) {
      for (std::uint32_t h = 0; h < kHalves; ++h) {
        const std::uint8_t* taps[4];
        for (std::uint32_t i = 0; i < 4; ++i) taps[i] = window + offsets[k + i] + h * 8;
        const std::int8_t* weights = args.weights + k * std::size_t{kWidth} + h * 32;
        acc[h] = Product::Dot(acc[h], Product::ToInputs(FourTaps(taps)),
                              Product::ToWeights(LoadWeights<kWidth>(weights)));
      }
    }
  };
  __m256i acc[1][kHalves];
  if (args.accumulators != nullptr) {
    accumulate(args.input, acc[0]);
    return StoreAccumulators<kHalves>(args, acc[0]);
  }
  const Epilogue epilogue(args);
  Cursor cursor(args);
  for (std::uint32_t left = args.output_height * args.output_width; left > 0; --left) {
    const std::uint8_t* window;
    const std::uint8_t* residual;
    std::uint8_t* out;
    cursor.Next(&window, &residual, &out);
    accumulate(window, acc[0]);
    epilogue.StoreAll<kHalves, 1>(acc, &residual, &out);
  }
}

template <typename Product>
void DepthwisePanel(const ConvolveArgs& args) {
  if (args.padded_run > kMostTaps) return scalar::ConvolveDepthwise(args);
  // Padded taps read the first tap's bytes; their weights are 0.
  std::ptrdiff_t offsets[kMostTaps] = {};
  std::uint32_t tap = 0;
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    for (std::uint32_t inner = 0; inner < args.inner_runs; ++inner) {
      offsets[tap++] = outer * args.outer_step + inner * args.inner_step;
    }
  }
  switch (args.width) {
    case 4:
      return DepthwiseWidth<Product, 4>(args, offsets);
    case 8:
      return DepthwiseWidth<Product, 8>(args, offsets);
    default:
      return DepthwiseWidth<Product, 16>(args, offsets);
  }
}

}  // namespace
}  // namespace mu8::kernels
