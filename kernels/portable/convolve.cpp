// Convolution and dense product of one panel in plain C++: 4 output channels at a time, two pixels
// side by side, and the input's zero point taken out of the sums over the inputs:
//   sum (x - z) * w = sum x * w - z * sum w
#include <cstring>

#include "kernels/portable/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::portable {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

constexpr std::uint32_t kBlockChannels = 4;
constexpr auto kRequantize = kHasFloats ? scalar::Requantize : RequantizeInIntegers;

// A function that adds up a window has registers of its own, but for Thumb, which has too few for
// arguments and sums.
#if defined(__thumb__)
#define MU8_APART inline
#else
#define MU8_APART [[gnu::noinline]]
#endif

// Leaves a sum in its register: g++ would add products to each other first, and Thumb has no
// registers for both.
inline void Settle([[maybe_unused]] std::uint32_t* sum) {
#if defined(__thumb__)
  __asm__("" : "+r"(*sum));
#endif
}

// sums[p][c] += x * w over the window of each of `kPixels` pixels, for the 4 channels whose weights
// begin at `weights`. kOffset: x - zero_point in place of x.
template <std::uint32_t kPixels, bool kOffset>
MU8_APART void Accumulate(const ConvolveArgs& args, const std::uint8_t* window,
                          const std::int8_t* weights, std::int32_t (*sums)[kBlockChannels]) {
  const std::ptrdiff_t pixel_step = args.input_col_step;
  const std::size_t weight_step = std::size_t{args.width} * 4;
  const std::int32_t zero_point = kOffset ? args.zero_point : 0;
  // Unsigned, which may wrap: a bias may have changed since Open.
  std::uint32_t acc[kPixels][kBlockChannels];
  for (std::uint32_t p = 0; p < kPixels; ++p) {
    for (std::uint32_t c = 0; c < kBlockChannels; ++c)
      acc[p][c] = static_cast<std::uint32_t>(sums[p][c]);
  }
  for (std::uint32_t outer = args.outer_runs; outer != 0; --outer, window += args.outer_step) {
    const std::uint8_t* run = window;
    for (std::uint32_t inner = args.inner_runs; inner != 0; --inner, run += args.inner_step) {
      const std::uint8_t* x = run;
      for (const std::uint8_t* const end = run + args.padded_run; x != end; x += 4) {
#pragma GCC unroll 4
        for (std::uint32_t j = 0; j < 4; ++j) {
          std::uint32_t value[kPixels];
#pragma GCC unroll 2
          for (std::uint32_t p = 0; p < kPixels; ++p)
            value[p] =
                static_cast<std::uint32_t>(x[Signed(p) * pixel_step + Signed(j)] - zero_point);
#pragma GCC unroll 4
          for (std::uint32_t c = 0; c < kBlockChannels; ++c) {
            const auto w = static_cast<std::uint32_t>(std::int32_t{weights[c * 4 + j]});
#pragma GCC unroll 2
            for (std::uint32_t p = 0; p < kPixels; ++p) {
              acc[p][c] += value[p] * w;
              Settle(&acc[p][c]);
            }
          }
        }
        weights += weight_step;
      }
    }
  }
  for (std::uint32_t p = 0; p < kPixels; ++p) {
    for (std::uint32_t c = 0; c < kBlockChannels; ++c)
      sums[p][c] = static_cast<std::int32_t>(acc[p][c]);
  }
}

// The same of a depthwise window: each of the 4 channels has its own inputs, of which `window` is
// the first tap's.
template <std::uint32_t kPixels, bool kOffset>
MU8_APART void AccumulateDepthwise(const ConvolveArgs& args, const std::uint8_t* window,
                                   const std::int8_t* weights,
                                   std::int32_t (*sums)[kBlockChannels]) {
  const std::int32_t zero_point = kOffset ? args.zero_point : 0;
  const std::int8_t* group_end = weights + 4;
  std::uint32_t acc[kPixels][kBlockChannels];
  for (std::uint32_t p = 0; p < kPixels; ++p) {
    for (std::uint32_t c = 0; c < kBlockChannels; ++c)
      acc[p][c] = static_cast<std::uint32_t>(sums[p][c]);
  }
  for (std::uint32_t outer = args.outer_runs; outer != 0; --outer, window += args.outer_step) {
    const std::uint8_t* x = window;
    for (std::uint32_t inner = args.inner_runs; inner != 0; --inner, x += args.inner_step) {
#pragma GCC unroll 4
      for (std::uint32_t c = 0; c < kBlockChannels; ++c) {
        const auto w = static_cast<std::uint32_t>(std::int32_t{weights[c * 4]});
#pragma GCC unroll 2
        for (std::uint32_t p = 0; p < kPixels; ++p) {
          // A tensor's tail may be read, where there are fewer channels.
          acc[p][c] += static_cast<std::uint32_t>(x[Signed(p) * args.input_col_step + Signed(c)] -
                                                  zero_point) *
                       w;
        }
      }
      if (++weights != group_end) continue;
      weights += std::size_t{args.width} * 4 - 4;
      group_end = weights + 4;
    }
  }
  for (std::uint32_t p = 0; p < kPixels; ++p) {
    for (std::uint32_t c = 0; c < kBlockChannels; ++c)
      sums[p][c] = static_cast<std::int32_t>(acc[p][c]);
  }
}

// Either, for 4 channels from `first` on.
template <bool kDepthwise, std::uint32_t kPixels, bool kOffset>
void AddWindows(const ConvolveArgs& args, const std::uint8_t* window, std::uint32_t first,
                std::int32_t (*sums)[kBlockChannels]) {
  const std::int8_t* weights = args.weights + std::size_t{first} * 4;
  if constexpr (kDepthwise) {
    AccumulateDepthwise<kPixels, kOffset>(args, window + first, weights, sums);
  } else {
    Accumulate<kPixels, kOffset>(args, window, weights, sums);
  }
}

// bias[c] - zero_point * sum of the weights of channel c, for the panel's channels.
template <bool kDepthwise>
void HoistZeroPoint(const ConvolveArgs& args, std::int32_t* base) {
  std::size_t groups = args.padded_run / 4;
  if (!kDepthwise) groups *= std::size_t{args.outer_runs} * args.inner_runs;
  for (std::uint32_t c = 0; c < args.width; ++c) {
    std::int32_t sum = 0;
    const std::int8_t* w = args.weights + std::size_t{c} * 4;
    for (std::size_t left = groups; left != 0; --left, w += std::size_t{args.width} * 4) {
      sum += w[0] + w[1] + w[2] + w[3];
    }
    const auto offset =
        static_cast<std::uint32_t>(args.zero_point) * static_cast<std::uint32_t>(sum);
    base[c] = static_cast<std::int32_t>(static_cast<std::uint32_t>(args.bias[c]) - offset);
  }
}

// One pixel's values of up to 4 channels from `first` on; `out` and `residual` are the pixel's.
void Store(const ConvolveArgs& args, std::uint32_t first, const std::int32_t* sums,
           const std::uint8_t* residual, std::uint8_t* out) {
  const std::uint32_t left = args.channels - first;
  const std::uint32_t count = left < kBlockChannels ? left : kBlockChannels;
  for (std::uint32_t c = 0; c < count; ++c) {
    const std::uint32_t channel = first + c;
    std::int32_t acc = sums[c];
    if (residual != nullptr) {
      const std::int32_t scaled =
          (residual[channel] - args.residual_zero) * args.residual_factor[channel];
      acc = AddWrapping(acc, (scaled + (1 << (args.residual_shift - 1))) >> args.residual_shift);
    }
    out[channel] =
        kRequantize(acc, args.multiplier[channel], args.zero_out, args.clamp_min, args.clamp_max);
  }
}

template <bool kDepthwise>
void AccumulateOne(const ConvolveArgs& args) {
  for (std::uint32_t first = 0; first < args.channels; first += kBlockChannels) {
    const std::uint32_t left = args.channels - first;
    const std::uint32_t count = left < kBlockChannels ? left : kBlockChannels;
    std::int32_t sums[1][kBlockChannels] = {};
    for (std::uint32_t c = 0; c < count; ++c) sums[0][c] = args.bias[first + c];
    AddWindows<kDepthwise, 1, true>(args, args.input, first, sums);
    for (std::uint32_t c = 0; c < count; ++c) args.accumulators[first + c] = sums[0][c];
  }
}

template <bool kDepthwise>
void ConvolvePanel(const ConvolveArgs& args) {
  if (args.accumulators != nullptr) return AccumulateOne<kDepthwise>(args);
  std::int32_t base[kPanelWidth];
  HoistZeroPoint<kDepthwise>(args, base);
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const std::uint8_t* window = args.input + Signed(y) * args.input_row_step;
    std::uint8_t* out = args.output + Signed(y) * args.output_row_step;
    const std::uint8_t* residual =
        args.residual == nullptr ? nullptr : args.residual + Signed(y) * args.residual_row_step;
    // At most once a pixel.
    for (std::uint32_t x = 0; x < args.output_width;) {
      const std::ptrdiff_t pixels = args.output_width - x < 2 ? 1 : 2;
      for (std::uint32_t first = 0; first < args.channels; first += kBlockChannels) {
        std::int32_t sums[2][kBlockChannels];
        for (std::uint32_t c = 0; c < kBlockChannels; ++c)
          sums[0][c] = sums[1][c] = base[first + c];
        if (pixels == 2) {
          AddWindows<kDepthwise, 2, false>(args, window, first, sums);
          Store(args, first, sums[1],
                residual == nullptr ? nullptr : residual + args.residual_col_step,
                out + args.output_col_step);
        } else {
          AddWindows<kDepthwise, 1, false>(args, window, first, sums);
        }
        Store(args, first, sums[0], residual, out);
      }
      x += static_cast<std::uint32_t>(pixels);
      window += pixels * args.input_col_step;
      out += pixels * args.output_col_step;
      if (residual != nullptr) residual += pixels * args.residual_col_step;
    }
  }
}

// Sums as they are, kPanelWidth a pixel.
void AccumulatePixels(const ConvolveArgs& args) {
  std::int32_t base[kPanelWidth];
  HoistZeroPoint<false>(args, base);
  std::int32_t* to = args.accumulators;
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const std::uint8_t* window = args.input + Signed(y) * args.input_row_step;
    // At most once a pixel.
    for (std::uint32_t left = args.output_width; left != 0;) {
      const std::uint32_t pixels = left < 2 ? 1 : 2;
      for (std::uint32_t first = 0; first < args.channels; first += kBlockChannels) {
        std::int32_t sums[2][kBlockChannels];
        for (std::uint32_t c = 0; c < kBlockChannels; ++c)
          sums[0][c] = sums[1][c] = base[first + c];
        pixels == 2 ? AddWindows<false, 2, false>(args, window, first, sums)
                    : AddWindows<false, 1, false>(args, window, first, sums);
        for (std::uint32_t p = 0; p < pixels; ++p) {
          std::memcpy(to + p * kPanelWidth + first, sums[p], sizeof(sums[p]));
        }
      }
      left -= pixels;
      window += std::ptrdiff_t{static_cast<std::int32_t>(pixels)} * args.input_col_step;
      to += pixels * kPanelWidth;
    }
  }
}

#undef MU8_APART

}  // namespace

void Convolve(const ConvolveArgs& args) { ConvolvePanel<false>(args); }

void ConvolveDepthwise(const ConvolveArgs& args) { ConvolvePanel<true>(args); }

void Accumulate(const ConvolveArgs& args) { AccumulatePixels(args); }

}  // namespace mu8::kernels::portable
