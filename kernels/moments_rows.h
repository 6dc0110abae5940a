// Rows of logits of a prediction by moments, 16 side by side, added to the sums of their softmax
// (FORMAT.md 10.1, 13.6). Every value is computed by the operations of engine/src/statistics.cpp,
// in their order, with the including file's instructions (moments_vector.h) or, sums and offsets,
// in plain loops that compilers turn into vectors of its flags. Everything here has internal
// linkage: each file that includes it is compiled with flags of its own, and no code of the one may
// serve the other.
#pragma once

#include <cstdint>

#include "formats/exact_floats.h"
#include "formats/real_math.h"
#include "kernels/moments.h"
#include "kernels/row_numbers.h"

namespace mu8::kernels {
namespace {

constexpr std::uint32_t kRowsAtOnce = 16;

// 16 numbers. Fixed-point sums are whole numbers below 2^53, so f64 adds them exactly.
struct Row16 {
  float at[kRowsAtOnce];
};
struct Sum16 {
  double at[kRowsAtOnce] = {};

  // Fixed(x) of FORMAT.md 10 for 0 <= x < 2^12.
  void AddFixed(const Row16& x) {
    for (std::uint32_t i = 0; i < kRowsAtOnce; ++i) {
      at[i] += __builtin_floor(static_cast<double>(x.at[i]) * 0x1p40);
    }
  }
  std::uint64_t Total() const {
    double total = 0.0;
    for (const double value : at) total += value;
    return static_cast<std::uint64_t>(total);
  }
};

// format::ExpNegative.
template <typename V>
typename V::F ExpNegative(typename V::F x) {
  using F = typename V::F;
  const F rounder = V::Set(12582912.0F), within = V::Max(x, V::Set(-87.0F));
  const F k = V::Sub(V::Add(V::Mul(within, V::Set(1.44269504F)), rounder), rounder);
  const F r = V::Sub(V::Sub(within, V::Mul(k, V::Set(format::kLn2High))),
                     V::Mul(k, V::Set(format::kLn2Low)));
  F p = V::Set(1.0F / 5040.0F);
  for (const float next :
       {1.0F / 720.0F, 1.0F / 120.0F, 1.0F / 24.0F, 1.0F / 6.0F, 0.5F, 1.0F, 1.0F}) {
    p = V::Add(V::Mul(p, r), V::Set(next));
  }
  const auto exponent = V::AddInt(V::Truncate(k), V::SetInt(127));
  const F value = V::Mul(p, V::AsFloat(V::template Left<23>(exponent)));
  // x >= -87, which is no NaN: above the float before it.
  return V::Select(V::Less(V::Set(-0x1.5c0002p+6F), x), value, V::Set(0.0F));
}

// format::LogPositive.
template <typename V>
typename V::F LogPositive(typename V::F x) {
  using F = typename V::F;
  const auto bits = V::AsInt(x);
  const auto k = V::RightBy(V::SubInt(bits, V::SetInt(0x3f3504f3)), 23);
  const F m = V::AsFloat(V::SubInt(bits, V::template Left<23>(k)));
  const F t = V::Div(V::Sub(m, V::Set(1.0F)), V::Add(m, V::Set(1.0F)));
  const F s = V::Mul(t, t);
  F p = V::Set(2.0F / 9.0F);
  for (const float next : {2.0F / 7.0F, 2.0F / 5.0F, 2.0F / 3.0F, 2.0F}) {
    p = V::Add(V::Mul(p, s), V::Set(next));
  }
  const F exponent = V::ToFloat(k);
  return V::Add(V::Mul(exponent, V::Set(format::kLn2High)),
                V::Add(V::Mul(exponent, V::Set(format::kLn2Low)), V::Mul(t, p)));
}

// to = function(from), register by register.
template <typename V, typename Function, typename... From>
void ForRow(Row16* to, const Function& function, const From&... from) {
  for (std::uint32_t i = 0; i < kRowsAtOnce; i += V::kLanes) {
    V::StoreFloats(function(V::LoadFloats(from.at + i, V::kLanes)...), to->at + i);
  }
}

// Sums over the rows of many calls.
struct RowSums {
  Sum16 p[kMostCorrelated], square[kMostCorrelated], entropy;
};

// 16 rows: logits [classes].
template <typename V>
void AddRows16(std::uint32_t classes, const Row16* logits, Row16* exponentials, RowSums* sums) {
  using F = typename V::F;
  Row16 top = logits[0];
  for (std::uint32_t c = 1; c < classes; ++c) {
    ForRow<V>(
        &top, [](F a, F b) { return V::Max(a, b); }, logits[c], top);
  }
  Sum16 total;
  for (std::uint32_t c = 0; c < classes; ++c) {
    ForRow<V>(
        &exponentials[c], [](F x, F most) { return ExpNegative<V>(V::Sub(x, most)); }, logits[c],
        top);
    total.AddFixed(exponentials[c]);
  }
  Row16 n, log;
  for (std::uint32_t i = 0; i < kRowsAtOnce; ++i) {
    n.at[i] = static_cast<float>(total.at[i]) * 0x1p-40F;
  }
  ForRow<V>(&log, LogPositive<V>, n);
  sums->entropy.AddFixed(log);
  for (std::uint32_t c = 0; c < classes; ++c) {
    Row16 p, square, weighted;
    ForRow<V>(&p, V::Div, exponentials[c], n);
    ForRow<V>(
        &square, [](F x) { return V::Mul(x, x); }, p);
    ForRow<V>(
        &weighted, [](F x, F most, F logit) { return V::Mul(x, V::Sub(most, logit)); }, p, top,
        logits[c]);
    sums->p[c].AddFixed(p);
    sums->square[c].AddFixed(square);
    sums->entropy.AddFixed(weighted);
  }
}

template <typename V>
void AddSoftmaxRowsWith(const RowsArgs& args) {
  RowSums sums;
  Row16 x[kMostCorrelated], offset[kMostCorrelated], logits[kMostCorrelated],
      exponentials[kMostCorrelated];
  const std::uint32_t classes = args.classes, count = RowNumbers(classes);
  float numbers[kManyRowNumbers];  // of class 0; class c < 64 has them in another order
  for (std::uint32_t n = 0; n < count; ++n) numbers[n] = RowNumber(classes, n, 0);
  for (std::uint32_t first = 0; first < count; first += kRowsAtOnce) {
    for (std::uint32_t c = 0; c < classes; ++c) {
      for (std::uint32_t i = 0; i < kRowsAtOnce; ++i) {
        x[c].at[i] = numbers[(first + i) ^ c];
      }
    }
    for (std::uint32_t c = 0; c < classes; ++c) {
      Row16 sum{};
      for (std::uint32_t k = 0; k <= c; ++k) {
        const float factor = args.factor[c * classes + k];
        for (std::uint32_t i = 0; i < kRowsAtOnce; ++i) sum.at[i] += factor * x[k].at[i];
      }
      offset[c] = sum;
    }
    // The second of a pair has its numbers negated, and so its sums.
    for (const float sign : {1.0F, -1.0F}) {
      for (std::uint32_t c = 0; c < classes; ++c) {
        for (std::uint32_t i = 0; i < kRowsAtOnce; ++i) {
          logits[c].at[i] = args.means[c] + sign * offset[c].at[i];
        }
      }
      AddRows16<V>(classes, logits, exponentials, &sums);
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
