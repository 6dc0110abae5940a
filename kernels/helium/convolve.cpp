// Convolution and dense product with Helium: 3 pixels by 2 channels, 16 inputs a step. A channel's
// 16 weights are 4 words, `width` words apart, gathered by their addresses; an input less 128 is a
// signed byte, and what that takes from a sum is 128 times the sum of the channel's weights. A
// piece of the windows at a time, so that it fits a small stack.
#include "kernels/built_tables.h"

#if MU8_HAVE_HELIUM
#include <arm_mve.h>

#include <cstring>

#include "formats/exact_floats.h"
#include "kernels/helium/kernels.h"
#include "kernels/output_pixels.h"
#include "kernels/portable/kernels.h"

namespace mu8::kernels::helium {

float ProbeConvolve(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

constexpr std::uint32_t kPixels = 3;
constexpr std::uint32_t kPieceInputs = 144;  // a pixel: a 3 x 3 window of 16 channels

// What the loops below are told. s32 sums [channel][pixel]; they are added to.
struct Product {
  uint32x4_t addresses;           // of the first channel's words, less those of one step
  const std::int8_t* window;      // [pixel][kPieceInputs]
  std::uint32_t inputs;           // multiple of 4
  std::int32_t *sums, *sums_end;  // two channels at a time
};

// In assembler because g++ does not keep the sums in the registers where they can be added to.
// `bytes`: of a step's weights, 16 * width.
#if defined(__clang__)
#define MU8_NAKED __attribute__((naked))
#else
#define MU8_NAKED __attribute__((naked, noipa))
#endif
#define MU8_MULTIPLY(name, bytes)                           \
  MU8_NAKED void name(Product&) {                           \
    __asm__ volatile(                                       \
        ".syntax unified\n\t"                               \
        "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"   \
        "mov r11, r0\n\t"                                   \
        "ldrd r3, r5, [r11, #16]\n\t"                       \
        "ldrd r7, r9, [r11, #24]\n\t"                       \
        "mov r12, #8\n\t"                                   \
        "1: vldrw.u32 q3, [r11]\n\t"                        \
        "vadd.i32 q0, q3, r12\n\t"                          \
        "vstrw.32 q0, [r11]\n\t"                            \
        "ldm r7, {r0, r2, r4, r6, r8, r10}\n\t"             \
        "mov r1, r3\n\t"                                    \
        "dlstp.8 lr, r5\n\t"                                \
        "2: vldrw.u32 q1, [q3, #" bytes                     \
        "]!\n\t"                                            \
        "vldrw.u32 q0, [r1], #16\n\t"                       \
        "vldrw.u32 q2, [q3, #4]\n\t"                        \
        "vmladava.s8 r0, q0, q1\n\t"                        \
        "vmladava.s8 r6, q0, q2\n\t"                        \
        "vldrw.u32 q0, [r1, #128]\n\t"                      \
        "vmladava.s8 r2, q0, q1\n\t"                        \
        "vmladava.s8 r8, q0, q2\n\t"                        \
        "vldrw.u32 q0, [r1, #272]\n\t"                      \
        "vmladava.s8 r4, q0, q1\n\t"                        \
        "vmladava.s8 r10, q0, q2\n\t"                       \
        "letp lr, 2b\n\t"                                   \
        "stm r7!, {r0, r2, r4, r6, r8, r10}\n\t"            \
        "cmp r7, r9\n\t"                                    \
        "bne 1b\n\t"                                        \
        "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n\t" :: \
            : "memory");                                    \
  }
MU8_MULTIPLY(Multiply16, "256")
MU8_MULTIPLY(Multiply8, "128")
MU8_MULTIPLY(Multiply4, "64")
#undef MU8_MULTIPLY

// A run of each window, less 128, to its place in the piece.
void CopyRuns(const std::uint8_t* const* windows, std::ptrdiff_t at, std::uint32_t inputs,
              std::int8_t* to) {
  const std::uint8_t *a = windows[0] + at, *b = windows[1] + at, *c = windows[2] + at;
  __asm__ volatile(
      "vmov.i8 q1, #128\n\t"
      "dlstp.8 lr, %4\n\t"
      "1: vldrb.u8 q0, [%0], #16\n\t"
      "veor q0, q0, q1\n\t"
      "vstrw.32 q0, [%3], #16\n\t"
      "vldrb.u8 q0, [%1], #16\n\t"
      "veor q0, q0, q1\n\t"
      "vstrw.32 q0, [%3, #128]\n\t"
      "vldrb.u8 q0, [%2], #16\n\t"
      "veor q0, q0, q1\n\t"
      "vstrw.32 q0, [%3, #272]\n\t"
      "letp lr, 1b"
      : "+r"(a), "+r"(b), "+r"(c), "+r"(to)
      : "r"(inputs)
      : "lr", "q0", "q1", "memory");
}

// A place in the window: runs one behind the other.
struct Place {
  std::uint32_t k = 0, inner = 0;       // in a run, and of the inner runs
  std::ptrdiff_t at = 0, outer_at = 0;  // of the run and of the first inner one
};

// `inputs` of each window from `place` on.
void CopyPiece(const ConvolveArgs& args, const std::uint8_t* const* windows, std::uint32_t inputs,
               Place* place, std::int8_t* to) {
  for (;;) {  // at most once a run
    const std::uint32_t in_run = args.padded_run - place->k;
    const std::uint32_t count = in_run < inputs ? in_run : inputs;
    CopyRuns(windows, place->at + Signed(place->k), count, to);
    to += count;
    inputs -= count;
    place->k += count;
    if (count == in_run) {
      place->k = 0;
      place->at += args.inner_step;
      if (++place->inner == args.inner_runs) {
        place->inner = 0;
        place->outer_at += args.outer_step;
        place->at = place->outer_at;
      }
    }
    if (inputs == 0) return;
  }
}

// Sums of (x - 128) w over each window; `weigh`: the last window is of ones instead.
void Accumulate(const ConvolveArgs& args, const std::uint8_t* const* windows, bool weigh,
                std::int32_t* sums) {
  alignas(4) std::int8_t piece[kPixels * kPieceInputs];
  const std::uint32_t channels = (args.channels + 1) / 2 * 2;
  for (std::uint32_t i = 0; i < channels * kPixels; i += 4) vst1q_s32(sums + i, vdupq_n_s32(0));
  const std::uint32_t group_bytes = args.width * 4;
  const uint32x4_t lines = vmulq_n_u32(vidupq_n_u32(0, 1), group_bytes);
  auto weights =
      static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(args.weights)) - 4 * group_bytes;
  auto* const multiply = args.width == 16 ? Multiply16 : args.width == 8 ? Multiply8 : Multiply4;
  Place place;
  std::uint32_t left = args.outer_runs * args.inner_runs * args.padded_run;
  while (left != 0) {  // at most once an input
    const std::uint32_t inputs = left < kPieceInputs ? left : kPieceInputs;
    CopyPiece(args, windows, inputs, &place, piece);
    if (weigh) std::memset(piece + (kPixels - 1) * kPieceInputs, 1, inputs);
    Product product{.addresses = vaddq_n_u32(lines, weights),
                    .window = piece,
                    .inputs = inputs,
                    .sums = sums,
                    .sums_end = sums + channels * kPixels};
    multiply(product);
    weights += inputs / 4 * group_bytes;
    left -= inputs;
  }
}

// `sums` are those of the first channel and the pixel.
void AddResidual(const ConvolveArgs& args, Pixel pixel, std::int32_t* sums) {
  const std::uint8_t* residual =
      At(args.residual, pixel, args.residual_row_step, args.residual_col_step);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), kPixels);
  for (std::uint32_t c = 0; c < args.channels; c += 4, sums += 4 * kPixels) {
    const mve_pred16_t real = vctp32q(args.channels - c);
    const int32x4_t value = vreinterpretq_s32_u32(vldrbq_z_u32(residual + c, real));
    const int32x4_t scaled =
        vmulq_s32(vsubq_n_s32(value, args.residual_zero), vld1q_s32(args.residual_factor + c));
    const int32x4_t sum = vldrwq_gather_shifted_offset_s32(sums, places);
    vstrwq_scatter_shifted_offset_s32(sums, places,
                                      vaddq_s32(sum, vrshlq_n_s32(scaled, -args.residual_shift)));
  }
}

// q of FORMAT.md 6.5. Rounding before clamping gives the same, as both bounds are integers.
struct Quantizer {
  std::int32_t zero;
  int32x4_t low, high;

  explicit Quantizer(const ConvolveArgs& args)
      : zero(args.zero_out), low(vdupq_n_s32(args.clamp_min)), high(vdupq_n_s32(args.clamp_max)) {}
#if (__ARM_FEATURE_MVE & 2) != 0
  using Multiplier = float32x4_t;
  static Multiplier Load(const float* multiplier) { return vld1q_f32(multiplier); }
  uint32x4_t operator()(int32x4_t acc, Multiplier multiplier) const {
    const int32x4_t rounded = vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), multiplier));
    return vreinterpretq_u32_s32(vminq_s32(vmaxq_s32(vqaddq_n_s32(rounded, zero), low), high));
  }
#else
  using Multiplier = const float*;
  static Multiplier Load(const float* multiplier) { return multiplier; }
  uint32x4_t operator()(int32x4_t acc, Multiplier multiplier) const {
    std::uint32_t values[4];
    vst1q_s32(reinterpret_cast<std::int32_t*>(values), acc);
    for (std::uint32_t j = 0; j < 4; ++j) {
      values[j] =
          portable::RequantizeInIntegers(static_cast<std::int32_t>(values[j]), multiplier[j], zero,
                                         vgetq_lane_s32(low, 0), vgetq_lane_s32(high, 0));
    }
    return vld1q_u32(values);
  }
#endif
};

// Values of up to kPixels pixels; base [width] is added to the sums of each.
void Write(const ConvolveArgs& args, const Pixel* pixels, std::uint32_t count,
           const std::int32_t* base, std::int32_t* sums) {
  std::uint8_t* outputs[kPixels];
  for (std::uint32_t i = 0; i < count; ++i) {
    outputs[i] = At(args.output, pixels[i], args.output_row_step, args.output_col_step);
    if (args.residual != nullptr) AddResidual(args, pixels[i], sums + i);
  }
  const Quantizer quantize(args);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), kPixels);
  const float* multiplier = args.multiplier;
  for (std::uint32_t c = 0; c < args.channels; c += 4, sums += 4 * kPixels) {
    const int32x4_t add = vld1q_s32(base + c);
    const Quantizer::Multiplier factor = Quantizer::Load(multiplier + c);
    const mve_pred16_t real = vctp32q(args.channels - c);
    const auto put = [&](std::uint32_t i) {
      const int32x4_t sum = vldrwq_gather_shifted_offset_s32(sums + i, places);
      vstrbq_p_u32(outputs[i] + c, quantize(vaddq_s32(sum, add), factor), real);
    };
    put(0);
    if (count > 1) put(1);
    if (count > 2) put(2);
  }
}

// What is added to the sums of the last window's ones: base [width] of every pixel.
void SetBase(const ConvolveArgs& args, const std::int32_t* sums, std::int32_t* base) {
  for (std::uint32_t c = 0; c < args.channels; ++c) {
    base[c] = AddWrapping(args.bias[c], (128 - args.zero_point) * sums[c * kPixels + kPixels - 1]);
  }
}

// Sums of 8 channels of a depthwise window, from channel c on; of those past the panel's width
// anything.
void AccumulateDepthwise(const ConvolveArgs& args, const std::uint8_t* window, std::uint32_t c,
                         std::int32_t* sums) {
  const auto last = static_cast<std::uint16_t>(args.width - 1);
  const uint16x8_t places = vshlq_n_u16(
      vminq_u16(vaddq_n_u16(vidupq_n_u16(0, 1), static_cast<std::uint16_t>(c)), vdupq_n_u16(last)),
      2);
  const auto zero_point = static_cast<std::int16_t>(args.zero_point);
  const std::int8_t* weights = args.weights;  // of the first channel and the tap
  const std::int8_t* group_end = weights + 4;
  int32x4_t even = vdupq_n_s32(0), odd = vdupq_n_s32(0);
  for (std::uint32_t outer = 0; outer < args.outer_runs; ++outer) {
    const std::uint8_t* input = window + Signed(outer) * args.outer_step + Signed(c);
    for (std::uint32_t left = args.inner_runs; left != 0; --left, input += args.inner_step) {
      const int16x8_t x = vreinterpretq_s16_u16(vldrbq_u16(input));
      const int16x8_t difference = vsubq_n_s16(x, zero_point);
      const int16x8_t w = vldrbq_gather_offset_s16(weights, places);
      even = vaddq_s32(even, vmullbq_int_s16(difference, w));
      odd = vaddq_s32(odd, vmulltq_int_s16(difference, w));
      if (++weights != group_end) continue;
      weights += args.width * 4 - 4;
      group_end = weights + 4;
    }
  }
  const uint32x4_t evens = vmulq_n_u32(vidupq_n_u32(0, 2), kPixels);
  sums += c * kPixels;
  vstrwq_scatter_shifted_offset_s32(sums, evens, even);
  vstrwq_scatter_shifted_offset_s32(sums + kPixels, evens, odd);
}

// Of every pixel, up to kPixels at a time, the sums from which write(pixels, count, base, sums)
// makes what is asked for.
template <typename Write>
void ForPixels(const ConvolveArgs& args, const Write& write) {
  std::int32_t sums[kPanelWidth * kPixels];
  std::int32_t base[kPanelWidth];
  const std::uint8_t* windows[kPixels] = {args.input, args.input, args.input};
  Pixel pixel;
  bool more = true, weigh = true;
  while (more) {  // at most once a pixel
    // With the first pixels the weights are summed, in the place of a third one.
    Pixel pixels[kPixels];
    std::uint32_t count = 0;
    for (; more && count < kPixels - (weigh ? 1 : 0); ++count, more = Next(args, &pixel)) {
      pixels[count] = pixel;
      windows[count] = At(args.input, pixel, args.input_row_step, args.input_col_step);
    }
    Accumulate(args, windows, weigh, sums);
    if (weigh) SetBase(args, sums, base);
    weigh = false;
    write(pixels, count, base, sums);
  }
}

}  // namespace

void ConvolveDepthwise(const ConvolveArgs& args) {
  std::int32_t sums[kPanelWidth * kPixels];
  Pixel pixel;
  do {  // at most once a pixel
    const std::uint8_t* window = At(args.input, pixel, args.input_row_step, args.input_col_step);
    for (std::uint32_t c = 0; c < args.channels; c += 8) {
      AccumulateDepthwise(args, window, c, sums);
    }
    if (args.accumulators != nullptr) {
      for (std::uint32_t c = 0; c < args.channels; ++c) {
        args.accumulators[c] = args.bias[c] + sums[c * kPixels];
      }
      return;
    }
    Write(args, &pixel, 1, args.bias, sums);
  } while (Next(args, &pixel));
}

void Convolve(const ConvolveArgs& args) {
  std::int32_t sums[kPanelWidth * kPixels];
  std::int32_t base[kPanelWidth];
  const std::uint8_t* windows[kPixels] = {args.input, args.input, args.input};
  if (args.accumulators != nullptr) {
    Accumulate(args, windows, true, sums);
    SetBase(args, sums, base);
    for (std::uint32_t c = 0; c < args.channels; ++c) {
      args.accumulators[c] = base[c] + sums[c * kPixels];
    }
    return;
  }
  ForPixels(args, [&args](const Pixel* pixels, std::uint32_t count, const std::int32_t* of_all,
                          std::int32_t* of_each) { Write(args, pixels, count, of_all, of_each); });
}

void Accumulate(const ConvolveArgs& args) {
  std::int32_t* to = args.accumulators;
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), kPixels);
  ForPixels(args, [&](const Pixel*, std::uint32_t count, const std::int32_t* base,
                      const std::int32_t* sums) {
    for (std::uint32_t i = 0; i < count; ++i, to += kPanelWidth) {
      for (std::uint32_t c = 0; c < args.channels; c += 4) {
        const int32x4_t sum = vldrwq_gather_shifted_offset_s32(sums + c * kPixels + i, places);
        vst1q_s32(to + c, vaddq_s32(sum, vld1q_s32(base + c)));
      }
    }
  });
}

}  // namespace mu8::kernels::helium
#endif  // MU8_HAVE_HELIUM
