// The kernels as a table of functions, one table per instruction set. kernels/scalar/ is the
// definition; every other table must give the same bytes for the same arguments. Selection is a
// pure function of the processor's features, so tests and benches can run every built table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/exact_floats.h"
#include "kernels/random.h"

namespace mu8::kernels {

inline constexpr std::uint32_t kPanelWidth = 16;  // most output channels of a panel
inline constexpr std::uint32_t kBlockBytes = 64;  // weights per step of the 16 random lanes

// A count of bytes or steps as what strides are: of tensors, which have at most 2^30 bytes.
constexpr std::ptrdiff_t Signed(std::size_t count) { return static_cast<std::ptrdiff_t>(count); }

// The 16 lanes' states between two draws of one panel, in whatever order its table keeps them.
struct LaneStates {
  Xoshiro lanes[kLanes];
};

// a + b modulo 2^32.
constexpr std::int32_t AddWrapping(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

// (value + 2^(shift-1)) >> shift, for shift 1 to 15; some number for any other.
constexpr std::int32_t RoundShift(std::int32_t value, std::int32_t shift) {
  return ((value >> (static_cast<std::uint32_t>(shift - 1) & 15)) + 1) >> 1;
}

// Draws one panel's weights and biases for one pass, or unpacks its means; all of it or, from front
// to back, in pieces of whole blocks. Panel byte i belongs to channel (i / 4) % width and takes the
// random byte i % 64 of step i / 64.
//   n = (level * eps + 2^(shift-1)) >> shift,   w = clamp(mu + n, -127, 127)
// (Subedar 2021, eq. 2, in weight steps.) Bytes that stand for padded inputs become 0.
struct SampleArgs {
  StreamId stream;
  std::uint32_t width;       // 4, 8 or 16
  std::uint32_t runs;        // pieces of input, each of `padded_run` weights per channel
  std::uint32_t run_length;  // the first `run_length` of each are real
  std::uint32_t padded_run;  // multiple of 4
  std::uint32_t sigma_bits;  // 8, 4, 2, 1, 0
  std::uint32_t mu_bits;     // 1 to 8
  // Of the panel's bytes (width * runs * padded_run, rounded up to 64): the means as s8 (8 bits),
  // or their codes, bytes * mu_bits / 8 (FORMAT.md 6.7).
  const std::uint8_t* mu;
  const std::int8_t* mu_table;  // s8 [16], shared by the panel; 1 to 4 bits only
  const std::uint8_t* sigma;    // bytes * sigma_bits / 8; unused for 0 bits
  // 8 bits: unused. 4 bits: u8 [16], shared by the panel. 2, 1, 0 bits: level of code k of channel
  // c at codebook[k * codebook_stride + c].
  const std::uint8_t* codebook;
  std::size_t codebook_stride;
  const std::uint8_t* shift;        // [width], 1..15
  const std::int32_t* bias_mu;      // [width], accumulator units
  const std::uint16_t* bias_level;  // [width]
  const std::uint8_t* bias_shift;   // [width], 1..15
  // Blocks of 64 bytes: this piece is [first_block, end_block), first_block < end_block <=
  // BlockCount(args). The pointers above are the whole panel's.
  std::size_t first_block, end_block;
  // Where a draw stands after end_block, for the piece that begins there; of a draw of the whole
  // panel it may be null.
  LaneStates* lanes;
  std::int8_t* weights;  // out, the piece's bytes
  std::int32_t* bias;    // out [width], by the panel's last piece only
};

// Of the whole panel.
constexpr std::size_t BlockCount(const SampleArgs& args) {
  const std::size_t bytes = std::size_t{args.width} * args.runs * args.padded_run;
  return (bytes + kBlockBytes - 1) / kBlockBytes;
}

// Sums and biases wrap at 32 bits. Open proves that they never need to, but the file may have
// changed since, and no value in it may lead to undefined behaviour: kernels in plain C++ add them
// by AddWrapping, or as unsigned numbers.
// One panel over one image: acc = bias[c] + sum_k (x_k - zero_point) * w_k, int32, for every output
// pixel, plus the residual, if there is one:
//   acc += ((r - residual_zero) * residual_factor[c] + 2^(shift-1)) >> shift
// then u8 values or the accumulators themselves.
//   q = zero_out + rint(clamp(float(acc) * multiplier[c], clamp_min - zero_out, clamp_max -
//   zero_out))
struct ConvolveArgs {
  // Where the window of output pixel (0, 0) begins; may point into the tensor's padding.
  const std::uint8_t* input;
  std::ptrdiff_t input_row_step;  // bytes between windows of vertically adjacent output pixels
  std::ptrdiff_t input_col_step;  // ... horizontally
  // Runs: outer_runs x inner_runs pieces of padded_run inputs.
  std::uint32_t outer_runs, inner_runs, padded_run;
  std::ptrdiff_t outer_step, inner_step;
  std::int32_t zero_point;

  const std::int8_t* weights;  // one panel
  const std::int32_t* bias;    // [width]; may be `accumulators`: a window in pieces adds up there
  std::uint32_t width;         // 4, 8 or 16
  std::uint32_t channels;      // real channels, <= width; only these are written

  std::uint32_t output_height, output_width;
  const float* multiplier;  // [width]
  std::int32_t zero_out, clamp_min, clamp_max;
  std::uint8_t* output;  // first channel of pixel (0, 0)
  std::ptrdiff_t output_row_step, output_col_step;
  // A tensor of the output's shape, or null: first channel of pixel (0, 0). It may be the output's
  // own memory: each value is read before the one in its place is written, and no byte beyond
  // `channels` is written.
  const std::uint8_t* residual;
  std::ptrdiff_t residual_row_step, residual_col_step;
  const std::int32_t* residual_factor;         // [width], at most 2^21
  std::int32_t residual_zero, residual_shift;  // shift 1..30
  // If set, the first pixel's accumulators are written here and nothing else: int32 [channels].
  std::int32_t* accumulators;
};

// NHWC pooling of one image, whose tail may be read. Padded taps are skipped. Average: sum of (x -
// zero_in) over the real taps, requantized with multiplier = scale_ratio / area.
struct PoolArgs {
  const std::uint8_t* input;  // pixel (0, 0)
  std::ptrdiff_t input_row_stride;
  std::uint32_t input_height, input_width, channels;
  std::uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  std::uint8_t* output;
  std::ptrdiff_t output_row_stride;
  std::uint32_t output_height, output_width;
  std::int32_t clamp_min, clamp_max;
  // Average only.
  bool count_padding;
  float scale_ratio;  // s_in / s_out
  std::int32_t zero_in, zero_out;
};

// Two operands, row by row; b may be one pixel that serves all (steps 0).
//   add:      q = zero_out + clamp(((a - zero_a) * factor_a + (b - zero_b) * factor_b +
//   2^(shift-1))
//             >> shift, ...)
//   multiply: q = zero_out + rint(clamp(float((a - zero_a) * (b - zero_b)) * multiplier, ...))
// both clamped to [clamp_min - zero_out, clamp_max - zero_out].
struct ElementwiseArgs {
  const std::uint8_t* a;  // pixel (0, 0)
  const std::uint8_t* b;
  std::ptrdiff_t a_row_stride, b_row_stride, b_col_step;
  std::uint32_t height, width, channels;
  std::uint8_t* output;
  std::ptrdiff_t output_row_stride;
  std::int32_t zero_a, zero_b, zero_out, clamp_min, clamp_max;
  std::int32_t factor_a, factor_b, shift;  // add: factors at most 2^21, shift 1..30
  float multiplier;                        // multiply
};

// output[i] = table[input[i]] over `rows` rows of `row_bytes`.
struct LookupArgs {
  const std::uint8_t* table;  // [256]
  const std::uint8_t* input;
  std::ptrdiff_t input_row_stride;
  std::uint8_t* output;
  std::ptrdiff_t output_row_stride;
  std::uint32_t rows, row_bytes;
};

// What a table needs, as bits.
enum Feature : std::uint32_t {
  kFeatureAvx2 = 1,        // AVX2
  kFeatureAvx512Vnni = 2,  // AVX-512 F, CD, BW, DQ, VL and VNNI
  kFeatureAvx512Vbmi = 4,  // AVX-512 VBMI
  kFeatureAvxVnni = 8,     // AVX-VNNI: in 256-bit registers, without AVX-512
  kFeatureNeon = 16,       // NEON, AArch64's or ARMv7's
  kFeatureNeonDot = 32,    // AArch64's SDOT and UDOT
  kFeatureNeonI8mm = 64,   // AArch64's USMMLA and USDOT
  kFeatureArmDsp = 128,    // SMLAD and its like, of Cortex-M
  kFeatureHelium = 256,    // MVE for integers
  kFeatureWasm128 = 512,   // WebAssembly's 128-bit vectors
};

// Those of predictions by moments: kernels/moments.h.
struct SecondMomentsArgs;
struct ClipArgs;
struct RowsArgs;
struct WeightedSumsArgs;
struct MomentsPoolArgs;

// Codes of squares: 0 to 63 of a mean, 0 to 64 of a level; rounded, halves up (FORMAT.md 13.2).
inline constexpr int kSquareShift = 8, kSpreadShift = 10;
constexpr std::int8_t SquareCode(std::int32_t mu) {
  return static_cast<std::int8_t>((mu * mu + (1 << (kSquareShift - 1))) >> kSquareShift);
}
constexpr std::int8_t SpreadCode(std::uint32_t level) {
  return static_cast<std::int8_t>((level * level + (1U << (kSpreadShift - 1))) >> kSpreadShift);
}

struct MomentsKernels {
  // Panels of codes of squares in place of weights: of the means, SquareCode(mu), and of what
  // weights are drawn with. That is SpreadCode(level) with 8 bits of sigma, else
  // `codebook` has what stands for each code. Both read what unpack_panel reads, the latter sigma
  // and its codebook in place of mu.
  void (*square_means)(const SampleArgs&);
  void (*unpack_spread)(const SampleArgs&);
  void (*second_moments)(const SecondMomentsArgs&);
  void (*clip)(const ClipArgs&);
  // The accumulators of all pixels, of `convolve`: at args.accumulators int32
  // [output_height][output_width][kPanelWidth]; those past `channels` may be anything. Null where
  // `convolve` does it pixel by pixel.
  void (*accumulate)(const ConvolveArgs&);
  // The same of weights from 0 to kMostSquare, without zero point and bias; null where `accumulate`
  // is as fast.
  void (*accumulate_squares)(const ConvolveArgs&) = nullptr;
  // Null where it is done row by row.
  void (*add_softmax_rows)(const RowsArgs&);
  // Null where the engine does it value by value.
  void (*max_pool)(const MomentsPoolArgs&);
  void (*weighted_sums)(const WeightedSumsArgs&) = nullptr;
  FloatProbe probe;
};

struct KernelTable {
  const char* name;
  std::uint32_t required;  // Feature bits
  void (*sample_panel)(const SampleArgs&);
  // weights = mu, of a panel without sigma: reads width, runs, run_length, padded_run, mu* and the
  // blocks.
  void (*unpack_panel)(const SampleArgs&);
  void (*convolve)(const ConvolveArgs&);
  // The same, but input k of channel c is channel c of tap k: outer_runs x inner_runs taps, the
  // weights padded to padded_run, a multiple of 4, with zeros.
  void (*convolve_depthwise)(const ConvolveArgs&);
  void (*max_pool)(const PoolArgs&);
  void (*average_pool)(const PoolArgs&);
  void (*add)(const ElementwiseArgs&);
  void (*multiply)(const ElementwiseArgs&);
  void (*lookup)(const LookupArgs&);
  const MomentsKernels* moments;
  // Of the units of convolve, of scalar::Requantize and of average_pool: formats/self_test.h.
  FloatProbe convolve_probe;
  FloatProbe requantize_probe;
  FloatProbe pool_probe;
};

// Features of the running processor and operating system.
std::uint32_t DetectFeatures();

// Built tables, slowest first; index 0 is scalar, where that is built.
std::size_t TableCount();
const KernelTable& TableAt(std::size_t index);

// The fastest built table whose needs `features` covers; null only in a build with neither scalar
// nor portable kernels.
const KernelTable* SelectKernels(std::uint32_t features);
// The table of that name, or null if it is not built or `features` does not cover its needs.
const KernelTable* FindKernels(const char* name, std::uint32_t features);

}  // namespace mu8::kernels
