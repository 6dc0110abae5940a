// Predictions by moments in vectors: what follows from accumulators, and pools of the largest. The
// definition is kernels/scalar/moments.cpp and moments_math.h, whose operations these are, in their
// order. The including file gives the instructions:
//
//   struct V {
//     using F, I, M;  // kLanes floats, 32-bit integers, and conditions
//     static constexpr std::uint32_t kLanes;
//     struct Table { explicit Table(const float* entries /* [32] */); F operator[](I) const; };
//     static F Set(float); Add, Sub, Mul, Div; Min, Max (b where a or b is NaN); ToFloat(I);
//     AsFloat(I) static I SetInt, AddInt, SubInt, MulInt; Truncate(F), Nearest(F), AsInt(F); static
//     I Left<n>, Right<n>(I) of bits; RightBy(I, std::int32_t n) with the sign static M Less(F, F);
//     AndNot(M a, M b): b and not a; bool Any(M); F Select(M, F yes, F no);
//     // `count` elements, at most kLanes; what is behind them is 0, and nothing there is touched
//     static F LoadFloats(const float*, count); I LoadInts(const std::int32_t*, count);
//     static I LoadBytes(const std::uint8_t*, count); void StoreBytes(I, count, std::uint8_t*);
//     static I LoadAll(const std::int32_t*);  // kLanes
//     static void StoreFloats(F, float*);     // kLanes
//     // Where a lookup takes long: of [32], the low half of each with its sign, and the high one.
//     struct PackedTable { explicit PackedTable(const std::uint32_t*); I operator[](I) const; };
//   };
//
// Powers of two do not change what is rounded: with R = 4 InverseRoot, S = V R = 4 s and U / 4,
// places between knots are d R + 16, the mean's share S U / 4, and the reach S.
//
// Everything here has internal linkage: each file that includes it is compiled with flags of its
// own, and no code of the one may serve the other.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"
#include "kernels/moments.h"
#include "kernels/moments_math.h"
#include "kernels/taps.h"

namespace mu8::kernels {
namespace {

// Entries made of others when this is compiled, to be looked up.
struct Entries {
  alignas(64) float at[32];
};

constexpr Entries EntriesOfRoots() {
  Entries entries{};
  for (std::uint32_t i = 0; i < 32; ++i) {
    entries.at[i] = format::BitCast<float>(kInverseRoots[i] + (std::uint32_t{2} << 23));
  }
  return entries;
}
constexpr Entries kRootEntries = EntriesOfRoots();

// A function's knots and how it rises behind each, times a power of two; and both in one word, the
// knot above, without it.
struct Curve {
  const ShapeTable& table;
  float unit;
  Entries low{}, rise{};
  alignas(64) std::uint32_t packed[32] = {};

  constexpr Curve(const ShapeTable& of, float times) : table(of), unit(times) {
    for (std::uint32_t i = 0; i < 32; ++i) {
      const std::int32_t up = table[i + 1] - table[i];
      low.at[i] = static_cast<float>(table[i]) * unit;
      rise.at[i] = static_cast<float>(up) * unit;
      packed[i] = std::uint32_t{table[i]} << 16 | (static_cast<std::uint32_t>(up) & 0xffff);
    }
  }
};
constexpr Curve kCurveU(kShapeU, 0x1p-17F), kCurveG(kShapeG, 0x1p-15F), kCurveP(kShapeP, 0x1p-15F);

template <typename V, const Curve& kCurve>
struct Knots {
  typename V::Table low{kCurve.low.at}, rise{kCurve.rise.at};

  typename V::F At(typename V::I knot, typename V::F fraction) const {
    return V::Add(low[knot], V::Mul(fraction, rise[knot]));
  }
};

template <typename V, const Curve& kCurve>
requires requires { typename V::PackedTable; }
struct Knots<V, kCurve> {
  typename V::PackedTable both{kCurve.packed};

  typename V::F At(typename V::I knot, typename V::F fraction) const {
    const auto found = both[knot];
    const auto low = V::ToFloat(V::template Right<16>(found));
    const auto rise = V::ToFloat(V::RightBy(V::template Left<16>(found), 16));
    return V::Mul(V::Add(low, V::Mul(fraction, rise)), V::Set(kCurve.unit));
  }
};

template <typename V>
struct Place {
  typename V::I knot;
  typename V::F fraction;

  // Of z, four times.
  explicit Place(typename V::F four_z) {
    typename V::F t = V::Add(four_z, V::Set(16.0F));
    t = V::Min(V::Max(t, V::Set(0.0F)), V::Set(0x1.fffffep4F));
    knot = V::Truncate(t);
    fraction = V::Sub(t, V::ToFloat(knot));
  }
};

// Four times InverseRoot.
template <typename V>
typename V::F FourRoots(const typename V::Table& roots, typename V::F x) {
  const typename V::I bits = V::AsInt(x);
  const typename V::I root = V::AsInt(roots[V::template Right<19>(bits)]);
  return V::AsFloat(V::SubInt(root, V::template Left<23>(V::template Right<24>(bits))));
}

template <typename V>
struct Codes {
  typename V::I means, variances;
};

// Store, of a mean and a variance.
template <typename V>
struct Storer {
  using F = typename V::F;
  F low, high, inverse_step;
  typename V::I zero_out;

  Storer(std::int32_t zero, std::int32_t clamp_min, std::int32_t clamp_max, float inverse)
      : low(V::Set(static_cast<float>(clamp_min - zero))),
        high(V::Set(static_cast<float>(clamp_max - zero))),
        inverse_step(V::Set(inverse)),
        zero_out(V::SetInt(zero)) {}

  Codes<V> Of(F mean, F variance) const {
    const F inside = V::Min(V::Max(mean, low), high);
    const F code = V::Min(V::Mul(variance, inverse_step), V::Set(255.0F));
    return {V::AddInt(zero_out, V::Nearest(inside)), V::Nearest(code)};
  }
};

template <typename V>
struct Clipper {
  using F = typename V::F;
  using M = typename V::M;
  Knots<V, kCurveU> u;
  Knots<V, kCurveG> g;
  typename V::Table roots{kRootEntries.at};
  Storer<V> store;

  explicit Clipper(const ClipArgs& args)
      : store(args.zero_out, args.clamp_min, args.clamp_max, args.inverse_step) {}

  Codes<V> Clip(F x, F variance) const {
    const F zero = V::Set(0.0F);
    const M certain = V::Less(variance, V::Set(kLeastVariance));
    const F root = FourRoots<V>(roots, variance);
    const F s = V::Mul(variance, root);
    const F d = V::Sub(x, store.low);
    const Place<V> place(V::Mul(d, root));
    F mean = V::Add(V::Max(d, zero), V::Mul(s, u.At(place.knot, place.fraction)));
    F found = V::Mul(variance, g.At(place.knot, place.fraction));
    const M reaches = V::AndNot(certain, V::Less(store.high, V::Add(x, s)));
    if (V::Any(reaches)) {
      const F e = V::Sub(x, store.high);
      const Place<V> above(V::Mul(e, root));
      const F beyond = V::Add(V::Max(e, zero), V::Mul(s, u.At(above.knot, above.fraction)));
      const F rest = V::Sub(V::Add(V::Sub(store.high, store.low), beyond), mean);
      const F less = V::Sub(V::Sub(found, V::Mul(variance, g.At(above.knot, above.fraction))),
                            V::Mul(V::Mul(V::Set(2.0F), beyond), rest));
      found = V::Select(reaches, V::Max(less, zero), found);
      mean = V::Select(reaches, V::Sub(mean, beyond), mean);
    }
    return store.Of(V::Select(certain, x, V::Add(store.low, mean)),
                    V::Select(certain, zero, found));
  }
};

// What belongs to kLanes channels from `first` on.
template <typename V>
struct ClipChannels {
  typename V::F multiplier, k_spread, k_input, k_bias;
  typename V::I factor, half;  // of the residual; the half less zero * factor
  std::uint32_t first, count;

  ClipChannels(const ClipArgs& args, std::uint32_t from)
      : first(from), count(args.channels - from < V::kLanes ? args.channels - from : V::kLanes) {
    multiplier = V::LoadFloats(args.multiplier + first, count);
    k_spread = V::LoadFloats(args.k_spread + first, count);
    k_input = V::LoadFloats(args.k_input + first, count);
    k_bias = V::LoadFloats(args.k_bias + first, count);
    factor = half = V::SetInt(0);
    if (args.residual == nullptr) return;
    factor = V::LoadInts(args.residual_factor + first, count);
    half = V::SubInt(V::SetInt(1 << (args.residual_shift - 1)),
                     V::MulInt(V::SetInt(args.residual_zero), factor));
  }
};

// Arguments as a copy: stores of bytes might change those of the caller.
template <typename V>
void ClipChannelsOf(ClipArgs args, const Clipper<V>& clipper, std::uint32_t first) {
  using F = typename V::F;
  const ClipChannels<V> channels(args, first);
  for (std::uint32_t p = 0; p < args.pixels; ++p) {
    const std::size_t row = std::size_t{p} * kPanelWidth + first;
    const auto load = [row](const std::int32_t* from) {
      return from == nullptr ? V::Set(0.0F) : V::ToFloat(V::LoadAll(from + row));
    };
    typename V::I acc = V::LoadAll(args.acc + row);
    F variance = V::Add(V::Add(V::Mul(load(args.spread), channels.k_spread),
                               V::Mul(load(args.input), channels.k_input)),
                        channels.k_bias);
    if (args.residual != nullptr) {
      const std::ptrdiff_t at = Signed(p) * args.residual_col_step + Signed(first);
      const auto scaled =
          V::MulInt(V::LoadBytes(args.residual + at, channels.count), channels.factor);
      acc = V::AddInt(acc, V::RightBy(V::AddInt(scaled, channels.half), args.residual_shift));
      if (args.residual_variance != nullptr) {
        const F code = V::ToFloat(V::LoadBytes(args.residual_variance + at, channels.count));
        variance = V::Add(variance, V::Mul(code, V::Set(args.k_residual)));
      }
    }
    const Codes<V> codes = clipper.Clip(V::Mul(V::ToFloat(acc), channels.multiplier), variance);
    const std::ptrdiff_t at = Signed(p) * args.output_col_step + Signed(first);
    V::StoreBytes(codes.means, channels.count, args.output + at);
    V::StoreBytes(codes.variances, channels.count, args.variance + at);
  }
}

template <typename V>
void ClipWith(const ClipArgs& args) {
  const Clipper<V> clipper(args);
  for (std::uint32_t first = 0; first < args.channels; first += V::kLanes) {
    ClipChannelsOf<V>(args, clipper, first);
  }
}

// Larger, one tap after the other.
template <typename V>
struct Largest {
  using F = typename V::F;
  Knots<V, kCurveU> u;
  Knots<V, kCurveG> g;
  Knots<V, kCurveP> p;
  typename V::Table roots{kRootEntries.at};

  void Add(F x, F variance, F* mean, F* found) const {
    const F zero = V::Set(0.0F);
    const F sum = V::Add(*found, variance);
    const typename V::M certain = V::Less(sum, V::Set(kLeastVariance));
    const F root = FourRoots<V>(roots, sum);
    const F s = V::Mul(sum, root);
    const Place<V> place(V::Mul(V::Sub(*mean, x), root));
    const F twice = V::Mul(V::Set(2.0F), p.At(place.knot, place.fraction));
    const F share = V::Mul(variance, V::Sub(V::Set(1.0F), twice));
    const F both = V::Add(V::Mul(sum, g.At(place.knot, place.fraction)), share);
    const F larger = V::Add(V::Max(*mean, x), V::Mul(s, u.At(place.knot, place.fraction)));
    const typename V::M smaller = V::Less(*mean, x);
    *found = V::Select(certain, V::Select(smaller, variance, *found), V::Max(both, zero));
    *mean = V::Select(certain, V::Select(smaller, x, *mean), larger);
  }
};

template <typename V>
void MaxPoolWith(const MomentsPoolArgs& args) {
  using F = typename V::F;
  const Largest<V> largest;
  const Storer<V> store(args.zero_point, args.clamp_min, args.clamp_max, args.inverse_step);
  const F step = V::Set(args.step), factor = V::Set(args.factor);
  const auto zero_point = V::SetInt(args.zero_point);
  for (std::uint32_t y = 0; y < args.output_height; ++y) {
    const TapSpan rows = RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
    for (std::uint32_t x = 0; x < args.output_width; ++x) {
      const TapSpan columns =
          RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
      const std::ptrdiff_t out =
          Signed(y) * args.output_row_stride + Signed(std::size_t{x} * args.channels);
      for (std::uint32_t first = 0; first < args.channels; first += V::kLanes) {
        const std::uint32_t left = args.channels - first;
        const std::uint32_t count = left < V::kLanes ? left : V::kLanes;
        F mean = V::Set(0.0F), variance = mean;
        bool begins = true;
        for (std::uint32_t row = rows.begin; row < rows.end; ++row) {
          for (std::uint32_t column = columns.begin; column < columns.end; ++column) {
            const std::ptrdiff_t at = Signed(row) * args.input_row_stride +
                                      Signed(std::size_t{column} * args.channels + first);
            // Whole registers, of few channels into the next pixel or the tensor's tail.
            const auto load = [at](const std::uint8_t* from) {
              return V::LoadBytes(from + at, V::kLanes);
            };
            const F m = V::ToFloat(V::SubInt(load(args.means), zero_point));
            const F v = V::Mul(V::ToFloat(load(args.variances)), step);
            if (begins) {
              mean = m;
              variance = v;
              begins = false;
            } else {
              largest.Add(m, v, &mean, &variance);
            }
          }
        }
        const Codes<V> codes = store.Of(mean, V::Mul(variance, factor));
        V::StoreBytes(codes.means, count, args.output + out + Signed(first));
        V::StoreBytes(codes.variances, count, args.output_variances + out + Signed(first));
      }
    }
  }
}

}  // namespace
}  // namespace mu8::kernels
