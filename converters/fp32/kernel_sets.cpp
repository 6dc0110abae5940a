// Compiled once for each instruction set, with its flags, its namespace as MU8_FP32_SET and its
// name as MU8_FP32_NAME. The compilers' own vectors (GCC's, which clang has, too) become its
// instructions; products and sums are fused where it can (-ffp-contract=fast). Nothing of the
// standard library is used that could leave an inline function behind: the linker keeps one copy,
// of whichever set.
#include "converters/fp32/kernel_sets.h"

#if defined(__clang__)
#define MU8_UNROLL _Pragma("unroll")
#else
#define MU8_UNROLL _Pragma("GCC unroll 16")
#endif

namespace mu8::convert::MU8_FP32_SET {
namespace {

// A vector, and how many rows of sums the registers hold beside what is multiplied.
#if defined(__AVX512F__)
using Floats = float __attribute__((vector_size(64)));
constexpr std::size_t kRows = 14;
#elif defined(__AVX2__)
using Floats = float __attribute__((vector_size(32)));
constexpr std::size_t kRows = 6;
#elif defined(__aarch64__)
using Floats = float __attribute__((vector_size(16)));
constexpr std::size_t kRows = 6;
#else
using Floats = float __attribute__((vector_size(16)));
constexpr std::size_t kRows = 3;
#endif
using FourFloats = float __attribute__((vector_size(16)));
#if defined(__AVX2__)
using EightFloats = float __attribute__((vector_size(32)));
#endif

constexpr std::size_t kLanes = sizeof(Floats) / sizeof(float);
constexpr std::size_t kVectors = kFp32Panel / kLanes;  // of a panel

template <typename Vector>
Vector Load(const float* from) {
  Vector vector;
  __builtin_memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <typename Vector>
void Store(float* to, Vector vector) {
  __builtin_memcpy(to, &vector, sizeof(vector));
}

// kRows rows of one panel: start and out are [kRows][kFp32Panel]. Loops over rows are unrolled,
// since only so the sums stay in registers.
void MultiplyTile(const float* in, const float* weights, std::size_t depth, const float* start,
                  std::size_t start_stride, float* out, std::size_t out_stride) {
  Floats sum[kRows][kVectors];
  MU8_UNROLL
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      sum[r][v] = Load<Floats>(start + r * start_stride + v * kLanes);
    }
  }
  for (std::size_t k = 0; k < depth; ++k, weights += kFp32Panel) {
    Floats w[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) w[v] = Load<Floats>(weights + v * kLanes);
    MU8_UNROLL
    for (std::size_t r = 0; r < kRows; ++r) {
      const float x = in[r * kFp32Stride + k];
      for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] += x * w[v];
    }
  }
  MU8_UNROLL
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      Store(out + r * out_stride + v * kLanes, sum[r][v]);
    }
  }
}

void CopySome(const float* from, std::size_t count, float* to) {
  if (count < 4) {
    for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
    return;
  }
  for (std::size_t i = 0; i + 4 <= count; i += 4) Store(to + i, Load<FourFloats>(from + i));
  Store(to + count - 4, Load<FourFloats>(from + count - 4));
}

// A tile at an edge of the product: through a whole one.
void MultiplyEdge(const float* in, const float* weights, std::size_t depth, const float* bias,
                  float* out, std::size_t out_stride, std::size_t rows, std::size_t columns) {
  float whole[kRows * kFp32Panel] = {};
  if (bias != nullptr) {
    CopySome(bias, columns, whole);
    MultiplyTile(in, weights, depth, whole, 0, whole, kFp32Panel);
  } else {
    for (std::size_t r = 0; r < rows; ++r) {
      CopySome(out + r * out_stride, columns, whole + r * kFp32Panel);
    }
    MultiplyTile(in, weights, depth, whole, kFp32Panel, whole, kFp32Panel);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    CopySome(whole + r * kFp32Panel, columns, out + r * out_stride);
  }
}

void Multiply(const Fp32Product& p) {
  const float* weights = p.weights;
  for (std::size_t n = 0; n < p.columns; n += kFp32Panel, weights += p.panel_stride) {
    const float* bias = p.bias != nullptr ? p.bias + n : nullptr;
    const std::size_t columns = p.columns - n < kFp32Panel ? p.columns - n : kFp32Panel;
    for (std::size_t r = 0; r < p.rows; r += kRows) {
      const std::size_t rows = p.rows - r < kRows ? p.rows - r : kRows;
      const float* in = p.in + r * kFp32Stride;
      float* out = p.out + r * p.out_stride + n;
      if (rows < kRows || columns < kFp32Panel) {
        MultiplyEdge(in, weights, p.depth, bias, out, p.out_stride, rows, columns);
      } else if (bias != nullptr) {
        MultiplyTile(in, weights, p.depth, bias, 0, out, p.out_stride);
      } else {
        MultiplyTile(in, weights, p.depth, out, p.out_stride, out, p.out_stride);
      }
    }
  }
}

// Rows of one vector to two: both ends, which may overlap.
template <typename Vector>
void CopyEnds(const float* from, std::size_t step, std::size_t rows, std::size_t length,
              float* to) {
  const std::size_t last = length - sizeof(Vector) / sizeof(float);
  for (std::size_t r = 0; r < rows; ++r, from += step, to += kFp32Stride) {
    Store(to, Load<Vector>(from));
    Store(to + last, Load<Vector>(from + last));
  }
}

void CopyRows(const float* from, std::size_t step, std::size_t rows, std::size_t length,
              float* to) {
  if (length >= 4 && length <= 8) return CopyEnds<FourFloats>(from, step, rows, length, to);
#if defined(__AVX2__)
  if (length > 8 && length <= 16) return CopyEnds<EightFloats>(from, step, rows, length, to);
#endif
  for (std::size_t r = 0; r < rows; ++r, from += step, to += kFp32Stride) {
    if (length < kLanes) {
      CopySome(from, length, to);
      continue;
    }
    for (std::size_t i = 0; i + kLanes <= length; i += kLanes) {
      Store(to + i, Load<Floats>(from + i));
    }
    Store(to + length - kLanes, Load<Floats>(from + length - kLanes));
  }
}

// A vector of channels, of a few pixels.
template <typename Vector, std::size_t kPixels>
void MultiplyPixels(const Fp32Taps& p, std::size_t channel, std::size_t pixel) {
  const float* in = p.in + pixel * p.in_step + channel;
  float* out = p.out + pixel * p.channels + channel;
  Vector sum[kPixels];
  for (std::size_t i = 0; i < kPixels; ++i) sum[i] = Load<Vector>(p.bias + channel);
  for (std::size_t t = 0; t < p.taps; ++t) {
    const Vector w = Load<Vector>(p.weights + p.weight_at[t] + channel);
    const float* x = in + p.in_at[t];
    for (std::size_t i = 0; i < kPixels; ++i) sum[i] += Load<Vector>(x + i * p.in_step) * w;
  }
  for (std::size_t i = 0; i < kPixels; ++i) Store(out + i * p.channels, sum[i]);
}

// Channels `first` and on as far as vectors of them go; returns where they end.
template <typename Vector>
std::size_t MultiplyChannels(const Fp32Taps& p, std::size_t first) {
  constexpr std::size_t kFloatBytes = sizeof(float), kSize = sizeof(Vector) / kFloatBytes;
  for (; first + kSize <= p.channels; first += kSize) {
    std::size_t pixel = 0;
    for (; pixel + 4 <= p.pixels; pixel += 4) MultiplyPixels<Vector, 4>(p, first, pixel);
    for (; pixel < p.pixels; ++pixel) MultiplyPixels<Vector, 1>(p, first, pixel);
  }
  return first;
}

void MultiplyTaps(const Fp32Taps& p) {
  std::size_t channel = MultiplyChannels<Floats>(p, 0);
#if defined(__AVX512F__)
  channel = MultiplyChannels<EightFloats>(p, channel);
#endif
  channel = MultiplyChannels<FourFloats>(p, channel);
  MultiplyChannels<float>(p, channel);
}

}  // namespace

extern constexpr Fp32Kernels kKernels = {.name = MU8_FP32_NAME,
                                         .row_tile = kRows,
                                         .multiply = Multiply,
                                         .multiply_taps = MultiplyTaps,
                                         .copy_rows = CopyRows};

}  // namespace mu8::convert::MU8_FP32_SET
