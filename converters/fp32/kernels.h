// The arithmetic in which the FP32 reference spends its time, once for each instruction set: the
// program is built for any processor of its architecture and chooses when it runs.
// kernel_sets.cpp is compiled once a set; convolution.cpp and gram.cpp call it.
#pragma once

#include <cstddef>
#include <span>

namespace mu8::convert {

// Weights are ordered by panels: [columns / kFp32Panel][depth][kFp32Panel], zeros beyond the last
// column. Rows of inputs stand kFp32Stride floats apart, a constant, so that those of a tile need
// one address; the remainder keeps them from sharing a set of the cache. Tile and panel fit in 32
// KiB.
inline constexpr std::size_t kFp32Panel = 16;
inline constexpr std::size_t kFp32Depth = 256;  // at most, in one product
inline constexpr std::size_t kFp32Stride = kFp32Depth + 16;

// out[r][n] = start + sum_k in[r][k] * weights[k][n]; start is bias[n], or what out[r][n] is.
struct Fp32Product {
  const float* in;           // [rows, up to a multiple of row_tile][kFp32Stride]; any beyond rows
  const float* weights;      // the first panel, at the first k
  std::size_t panel_stride;  // floats from one panel to the next: the whole depth's
  const float* bias;         // [columns]; nullptr: add to out
  float* out;                // [rows][out_stride]
  std::size_t out_stride;
  std::size_t rows, depth, columns;
};

// out[p][c] = bias[c] + sum_t in[p * in_step + in_at[t] + c] * weights[weight_at[t] + c]: pixels of
// a depthwise convolution that stand in a row.
struct Fp32Taps {
  const float* in;
  std::size_t in_step;
  const std::size_t* in_at;      // [taps]
  const float* weights;          // of all taps
  const std::size_t* weight_at;  // [taps]
  std::size_t taps;
  const float* bias;  // [channels]
  float* out;         // [pixels][channels]
  std::size_t pixels, channels;
};

// Every sum is one chain in the order of k or t: the same bytes whatever is computed beside it, and
// in avx2 and avx512, where each term is added as by std::fma. `baseline` of x86-64 rounds
// products.
struct Fp32Kernels {
  const char* name;
  std::size_t row_tile;
  void (*multiply)(const Fp32Product& product);
  void (*multiply_taps)(const Fp32Taps& pixels);
  // to[r * kFp32Stride + i] = from[r * step + i] for i < length.
  void (*copy_rows)(const float* from, std::size_t step, std::size_t rows, std::size_t length,
                    float* to);
};

// Those that the running processor has, slowest first; at least one.
std::span<const Fp32Kernels* const> AvailableFp32Kernels();

// The last of them.
const Fp32Kernels& BestFp32Kernels();

// Weights [columns][depth], as panels.
void OrderByPanels(const float* weights, std::size_t columns, std::size_t depth, float* panels);
std::size_t PanelFloats(std::size_t columns, std::size_t depth);

}  // namespace mu8::convert
