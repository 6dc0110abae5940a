// Rows of logits of a prediction by moments, 16 side by side, added to the sums of their softmax
// (FORMAT.md 10.1, 13.6). Plain loops that compilers turn into vectors of the including file's
// flags; every value is computed by the operations of engine/src/statistics.cpp, in their order.
// Everything here has internal linkage: each file that includes it is compiled with flags of its
// own, and no code of the one may serve the other.
#pragma once

#include <cstdint>

#include "formats/exact_floats.h"
#include "formats/real_math.h"
#include "kernels/gaussian_table.h"
#include "kernels/moments.h"

namespace mu8::kernels {
namespace {

// 16 numbers. Fixed-point sums are whole numbers below 2^53, so f64 adds them exactly.
struct Row16 {
  float at[kRowPairs];
};
struct Sum16 {
  double at[kRowPairs] = {};

  // Fixed(x) of FORMAT.md 10 for 0 <= x < 2^12.
  void AddFixed(const Row16& x) {
    for (std::uint32_t i = 0; i < kRowPairs; ++i) {
      at[i] += __builtin_floor(static_cast<double>(x.at[i]) * 0x1p40);
    }
  }
  std::uint64_t Total() const {
    double total = 0.0;
    for (const double value : at) total += value;
    return static_cast<std::uint64_t>(total);
  }
};

// format::ExpNegative of 16 numbers.
inline Row16 Exponentials(const Row16& x) {
  Row16 result;
  for (std::uint32_t i = 0; i < kRowPairs; ++i) {
    const float clamped = x.at[i] >= -87.0F ? x.at[i] : -87.0F;
    const float value = format::ExpNegative(clamped);
    result.at[i] = x.at[i] >= -87.0F ? value : 0.0F;
  }
  return result;
}

// Sums over the rows of many calls.
struct RowSums {
  Sum16 p[kMostCorrelated], square[kMostCorrelated], entropy;
};

// 16 rows: logits [classes].
inline void AddRows16(std::uint32_t classes, const Row16* logits, Row16* exponentials,
                      RowSums* sums) {
  Row16 top = logits[0];
  for (std::uint32_t c = 1; c < classes; ++c) {
    for (std::uint32_t i = 0; i < kRowPairs; ++i) {
      top.at[i] = logits[c].at[i] > top.at[i] ? logits[c].at[i] : top.at[i];
    }
  }
  Sum16 total;
  for (std::uint32_t c = 0; c < classes; ++c) {
    Row16 less;
    for (std::uint32_t i = 0; i < kRowPairs; ++i) less.at[i] = logits[c].at[i] - top.at[i];
    exponentials[c] = Exponentials(less);
    total.AddFixed(exponentials[c]);
  }
  Row16 n, log;
  for (std::uint32_t i = 0; i < kRowPairs; ++i) {
    n.at[i] = static_cast<float>(total.at[i]) * 0x1p-40F;
    log.at[i] = format::LogPositive(n.at[i]);
  }
  sums->entropy.AddFixed(log);
  for (std::uint32_t c = 0; c < classes; ++c) {
    Row16 p, square, weighted;
    for (std::uint32_t i = 0; i < kRowPairs; ++i) {
      p.at[i] = exponentials[c].at[i] / n.at[i];
      square.at[i] = p.at[i] * p.at[i];
      weighted.at[i] = p.at[i] * (top.at[i] - logits[c].at[i]);
    }
    sums->p[c].AddFixed(p);
    sums->square[c].AddFixed(square);
    sums->entropy.AddFixed(weighted);
  }
}

inline void AddSoftmaxRows(const RowsArgs& args) {
  float epsilon[256];
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    epsilon[byte] = static_cast<float>(Epsilon(static_cast<std::uint8_t>(byte))) * kDrawUnit;
  }
  RowSums sums;
  Row16 x[kMostCorrelated], offset[kMostCorrelated], logits[kMostCorrelated],
      exponentials[kMostCorrelated];
  const std::uint32_t classes = args.classes;
  for (std::uint32_t block = 0; block < args.pairs; block += kRowPairs) {
    const std::uint8_t* bytes = args.bytes + std::size_t{block} * classes;
    for (std::uint32_t i = 0; i < kRowPairs; ++i) {
      for (std::uint32_t c = 0; c < classes; ++c) x[c].at[i] = epsilon[*bytes++];
    }
    for (std::uint32_t c = 0; c < classes; ++c) {
      Row16 sum{};
      for (std::uint32_t k = 0; k <= c; ++k) {
        const float factor = args.factor[c * classes + k];
        for (std::uint32_t i = 0; i < kRowPairs; ++i) sum.at[i] += factor * x[k].at[i];
      }
      offset[c] = sum;
    }
    // The second of a pair has its numbers negated, and so its sums.
    for (const float sign : {1.0F, -1.0F}) {
      for (std::uint32_t c = 0; c < classes; ++c) {
        for (std::uint32_t i = 0; i < kRowPairs; ++i) {
          logits[c].at[i] = args.means[c] + sign * offset[c].at[i];
        }
      }
      AddRows16(classes, logits, exponentials, &sums);
    }
  }
  for (std::uint32_t c = 0; c < classes; ++c) {
    args.sum[c] += sums.p[c].Total();
    args.square[c] += sums.square[c].Total();
  }
  *args.entropy += sums.entropy.Total();
}

}  // namespace
}  // namespace mu8::kernels
