// Convolution and dense product with the DSP extension. Two pixels' windows are widened to halves,
// their zero point taken off on the way, and used for all channels of the panel: a word then is a
// pair of products. A piece of the window at a time, so that it fits a small stack.
#include "kernels/built_tables.h"

#if MU8_HAVE_ARMDSP
#include "kernels/armdsp/instructions.h"
#include "kernels/armdsp/kernels.h"
#include "kernels/armdsp/requantize.h"
#include "kernels/output_pixels.h"
#include "kernels/window_taps.h"
#include "mu8/config.h"

namespace mu8::kernels::armdsp {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// Sums of two channels over two pixels: of channels 2 i and 2 i + 1 of the first, then the second.
struct PairSums {
  std::int32_t sum[4];
};

// Groups of 4 inputs in a piece: 2 runs of a 3 x 3 window of 16 channels, or a third of that where
// the compiler is asked for small code, and the stack is likely to be small too.
#if defined(__OPTIMIZE_SIZE__)
constexpr std::uint32_t kPieceGroups = 8;
#else
constexpr std::uint32_t kPieceGroups = 24;
#endif

// What the loops below are told, beside the sums.
struct Product {
  // For each group of 4 inputs the even and odd ones of the first pixel, then of the second.
  const std::uint32_t *window, *window_end;
  const std::int8_t* weights;  // of the piece's first group and the panel's first channel
  std::uint32_t weight_bytes;  // of the piece
  PairSums *sums, *sums_end;
};

// 4 inputs of 2 pixels times 2 channels. r0: window; r1: weights; r3 to r6: sums.
#define MU8_GROUP(step)            \
  "ldm r0!, {r7, r8, r9, r10}\n\t" \
  "ldrd r11, r12, [r1], #" step    \
  "\n\t"                           \
  "sxtb16 lr, r11\n\t"             \
  "sxtb16 r11, r11, ror #8\n\t"    \
  "smlad r3, lr, r7, r3\n\t"       \
  "smlad r5, lr, r9, r5\n\t"       \
  "smlad r3, r11, r8, r3\n\t"      \
  "smlad r5, r11, r10, r5\n\t"     \
  "sxtb16 lr, r12\n\t"             \
  "sxtb16 r12, r12, ror #8\n\t"    \
  "smlad r4, lr, r7, r4\n\t"       \
  "smlad r6, lr, r9, r6\n\t"       \
  "smlad r4, r12, r8, r4\n\t"      \
  "smlad r6, r12, r10, r6\n\t"

// Adds a piece of the window to the sums, channels 2 by 2. In assembler because it takes every
// register. `step` is 4 * width; `groups` are as many copies of a group as `bytes` / 16 + 1, and
// the first round begins at the copy that leaves whole rounds: a copy has 56 bytes for 16 of the
// window.
#define MU8_MULTIPLY(name, step, groups, bytes)                   \
  MU8_NAKED void name(const Product&) {                           \
    __asm__ volatile(                                             \
        ".syntax unified\n\t"                                     \
        "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"         \
        "ldrd r8, r2, [r0]\n\t"        /* window, end */          \
        "ldrd r1, r9, [r0, #8]\n\t"    /* weights, their bytes */ \
        "ldrd r10, r11, [r0, #16]\n\t" /* sums, end */            \
        "sub r9, r9, #8\n\t"                                      \
        "sub r12, r8, r2\n\t"                                     \
        "and r12, r12, #" bytes                                   \
        "\n\t"                                                    \
        "lsr r12, r12, #1\n\t"                                    \
        "rsb r12, r12, r12, lsl #3\n\t"                           \
        "adr r7, 2f\n\t"                                          \
        "add r12, r12, r7\n\t"                                    \
        "orr r12, r12, #1\n\t"                                    \
        "push {r8, r9, r10, r11, r12}\n\t"                        \
        "1: ldm r10, {r3, r4, r5, r6}\n\t"                        \
        "mov r0, r8\n\t"                                          \
        "bx r12\n\t"                                              \
        ".balign 4\n\t"                                           \
        "2:" groups                                               \
        "cmp r0, r2\n\t"                                          \
        "bne 2b\n\t"                                              \
        "ldm sp, {r8, r9, r10, r11, r12}\n\t"                     \
        "sub r1, r1, r9\n\t"                                      \
        "stm r10!, {r3, r4, r5, r6}\n\t"                          \
        "str r10, [sp, #8]\n\t"                                   \
        "cmp r10, r11\n\t"                                        \
        "bne 1b\n\t"                                              \
        "add sp, sp, #20\n\t"                                     \
        "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n\t" ::       \
            : "memory");                                          \
  }
MU8_MULTIPLY(Multiply16, "64", MU8_GROUP("64") MU8_GROUP("64") MU8_GROUP("64") MU8_GROUP("64"),
             "48")
MU8_MULTIPLY(Multiply8, "32", MU8_GROUP("32") MU8_GROUP("32"), "16")
MU8_MULTIPLY(Multiply4, "16", MU8_GROUP("16") MU8_GROUP("16"), "16")
#undef MU8_MULTIPLY
#undef MU8_GROUP

// A place in the window: runs one behind the other.
struct Place {
  std::uint32_t k = 0, inner = 0;       // in a run, and of the inner runs
  std::ptrdiff_t at = 0, outer_at = 0;  // of the run and of the first inner one
};

// `groups` of both pixels from `place` on.
[[gnu::flatten]] void Widen(const ConvolveArgs& args, const std::uint8_t* first,
                            const std::uint8_t* second, std::uint32_t groups, Place* place,
                            std::uint32_t* out) {
  const auto zero = static_cast<std::uint32_t>(-args.zero_point);
  const std::uint32_t minus_zero = Pack(zero, zero);
  const std::ptrdiff_t to_second = second - first;
  for (;;) {  // at most once a run: each takes 1 or more
    const std::uint32_t in_run = (args.padded_run - place->k) / 4;
    const std::uint32_t count = in_run < groups ? in_run : groups;
    const std::uint8_t* from = first + place->at + place->k;
    const std::uint8_t* const end = from + count * 4;
    const auto widen_group = [&] {
      const std::uint32_t x = Load(from), y = Load(from + to_second);
      out = StorePair(out, AddEven(minus_zero, x), AddOdd(minus_zero, x));
      out = StorePair(out, AddEven(minus_zero, y), AddOdd(minus_zero, y));
      from += 4;
    };
    if (count % 2 != 0) widen_group();
    while (from != end) {  // at most count / 2 times: an even number is left
      widen_group();
      widen_group();
    }
    groups -= count;
    if (count != in_run) {
      place->k += count * 4;
      return;
    }
    place->k = 0;
    place->at += args.inner_step;
    if (++place->inner == args.inner_runs) {
      place->inner = 0;
      place->outer_at += args.outer_step;
      place->at = place->outer_at;
    }
    if (groups == 0) return;
  }
}

// Sums of the windows at two pixels, for all channels.
void Accumulate(const ConvolveArgs& args, const std::uint8_t* first, const std::uint8_t* second,
                PairSums* sums) {
  std::uint32_t halves[kPieceGroups * 4];
  Product product{.window = halves,
                  .window_end = nullptr,
                  .weights = args.weights,
                  .weight_bytes = 0,
                  .sums = sums,
                  .sums_end = sums};
  const std::int32_t* bias = args.bias;
  for (std::uint32_t c = 0; c < args.channels; c += 2, bias += 2) {
    *product.sums_end++ = {{bias[0], bias[1], bias[0], bias[1]}};
  }
  auto* const multiply = args.width == 16 ? Multiply16 : args.width == 8 ? Multiply8 : Multiply4;
  Place place;
  std::uint32_t left = args.outer_runs * args.inner_runs * (args.padded_run / 4);
  while (left != 0) {  // at most once a group
    const std::uint32_t groups = left < kPieceGroups ? left : kPieceGroups;
    Widen(args, first, second, groups, &place, halves);
    product.window_end = halves + groups * 4;
    product.weight_bytes = groups * args.width * 4;
    multiply(product);
    product.weights += product.weight_bytes;
    left -= groups;
  }
}

// `sums` are those of the first channel and the pixel.
void AddResidual(const ConvolveArgs& args, Pixel pixel, std::int32_t* sums) {
  const std::uint8_t* residual =
      At(args.residual, pixel, args.residual_row_step, args.residual_col_step);
  const std::int32_t half = 1 << (args.residual_shift - 1);
  for (std::uint32_t c = 0; c < args.channels; ++c) {
    const std::int32_t scaled = (residual[c] - args.residual_zero) * args.residual_factor[c];
    std::int32_t& sum = sums[c / 2 * 4 + c % 2];
    sum = AddWrapping(sum, (scaled + half) >> args.residual_shift);
  }
}

[[gnu::flatten]] void Write(const ConvolveArgs& args, Pixel pixel, std::int32_t* sums) {
  if (config::kResidual && args.residual != nullptr) AddResidual(args, pixel, sums);
  const Requantizer requantize(args);
  std::uint8_t* output = At(args.output, pixel, args.output_row_step, args.output_col_step);
  const float* multiplier = args.multiplier;
  for (std::uint32_t left = args.channels;; left -= 4, sums += 8, multiplier += 4, output += 4) {
    std::uint32_t word = requantize(sums[0], sums[1], sums[4], sums[5], multiplier);
    if (left < 4) {
      for (; left != 0; --left, word >>= 8) *output++ = static_cast<std::uint8_t>(word);
      return;
    }
    Store(output, word);
    if (left == 4) return;
  }
}

// Inputs of one channel in the low halves of 4 words and of another in the high ones, times the
// weights [4] of each, are added to their sums.
inline void MultiplyTaps(const std::uint32_t (&inputs)[4], const std::int8_t* low_weights,
                         const std::int8_t* high_weights, std::int32_t* low_sum,
                         std::int32_t* high_sum) {
  const std::uint32_t low = Load(low_weights), high = Load(high_weights);
  const std::int32_t sum = MultiplyAdd(Pack(inputs[0], inputs[2]), AddSignedEven(0, low), *low_sum);
  const std::int32_t other =
      MultiplyAdd(PackHigh(inputs[0], inputs[2]), AddSignedEven(0, high), *high_sum);
  *low_sum = MultiplyAdd(Pack(inputs[1], inputs[3]), AddSignedOdd(0, low), sum);
  *high_sum = MultiplyAdd(PackHigh(inputs[1], inputs[3]), AddSignedOdd(0, high), other);
}

// Sums of a depthwise window for all channels, as those of a first pixel.
void AccumulateDepthwise(const ConvolveArgs& args, const std::uint8_t* window, PairSums* sums) {
  for (std::uint32_t c = 0; c < args.width; c += 2) {
    sums[c / 2].sum[0] = args.bias[c];
    sums[c / 2].sum[1] = args.bias[c + 1];
  }
  const auto zero = static_cast<std::uint32_t>(-args.zero_point);
  const std::uint32_t minus_zero = Pack(zero, zero);
  const std::int8_t* weights = args.weights;
  Taps taps(args, window);
  for (std::uint32_t k = 0; k < args.padded_run; k += 4) {
    const std::uint8_t* const tap0 = taps.Next();
    const std::uint8_t* const tap1 = taps.Next();
    const std::uint8_t* const tap2 = taps.Next();
    const std::uint8_t* const tap3 = taps.Next();
    std::int32_t* sum = sums[0].sum;
    for (std::uint32_t c = 0; c < args.channels; c += 4, sum += 8) {
      const std::int8_t* four = weights + c * 4;
      const std::uint32_t a = Load(tap0 + c), b = Load(tap1 + c), d = Load(tap2 + c),
                          e = Load(tap3 + c);
      MultiplyTaps({AddEven(minus_zero, a), AddEven(minus_zero, b), AddEven(minus_zero, d),
                    AddEven(minus_zero, e)},
                   four, four + 8, &sum[0], &sum[4]);
      MultiplyTaps({AddOdd(minus_zero, a), AddOdd(minus_zero, b), AddOdd(minus_zero, d),
                    AddOdd(minus_zero, e)},
                   four + 4, four + 12, &sum[1], &sum[5]);
    }
    weights += args.width * 4;
  }
}

// Of the first pixel, or the second.
void WriteAccumulators(const ConvolveArgs& args, const PairSums* sums, std::uint32_t pixel,
                       std::int32_t* to) {
  for (std::uint32_t c = 0; c < args.channels; ++c) {
    to[c] = sums[c / 2].sum[pixel * 2 + c % 2];
  }
}

// write(pixel, sums, which of the two) of every pixel, of two windows side by side.
template <typename Write>
void ForPixels(const ConvolveArgs& args, const Write& write) {
  PairSums sums[kPanelWidth / 2];
  Pixel pixel;
  for (bool more = true; more;) {  // at most once a pixel
    const Pixel first = pixel;
    const bool two = Next(args, &pixel);
    const std::uint8_t* windows[2];
    windows[0] = windows[1] = At(args.input, first, args.input_row_step, args.input_col_step);
    // Alone at the end, a pixel's sums are made twice.
    if (two) windows[1] = At(args.input, pixel, args.input_row_step, args.input_col_step);
    Accumulate(args, windows[0], windows[1], sums);
    write(first, sums, 0);
    if (!two) return;
    write(pixel, sums, 1);
    more = Next(args, &pixel);
  }
}

}  // namespace

void ConvolveDepthwise(const ConvolveArgs& args) {
  PairSums sums[kPanelWidth / 2];
  if (args.accumulators != nullptr) {
    AccumulateDepthwise(args, args.input, sums);
    return WriteAccumulators(args, sums, 0, args.accumulators);
  }
  Pixel pixel;
  do {  // at most once a pixel
    AccumulateDepthwise(args, At(args.input, pixel, args.input_row_step, args.input_col_step),
                        sums);
    Write(args, pixel, sums[0].sum);
  } while (Next(args, &pixel));
}

void Convolve(const ConvolveArgs& args) {
  if (args.accumulators != nullptr) {
    PairSums sums[kPanelWidth / 2];
    Accumulate(args, args.input, args.input, sums);
    return WriteAccumulators(args, sums, 0, args.accumulators);
  }
  ForPixels(args, [&args](Pixel pixel, PairSums* sums, std::uint32_t which) {
    Write(args, pixel, sums[0].sum + 2 * which);
  });
}

void Accumulate(const ConvolveArgs& args) {
  std::int32_t* to = args.accumulators;
  ForPixels(args, [&args, &to](Pixel, const PairSums* sums, std::uint32_t which) {
    WriteAccumulators(args, sums, which, to);
    to += kPanelWidth;
  });
}

}  // namespace mu8::kernels::armdsp
#endif  // MU8_HAVE_ARMDSP
