// Predictions by moments with WebAssembly's vectors: a register holds 4 channels of a pixel.
#include "kernels/built_tables.h"

#if MU8_HAVE_WASM128
#include <wasm_simd128.h>

#include <cstring>

#include "kernels/moments.h"
#include "kernels/moments_rows.h"
#include "kernels/moments_vector.h"
#include "kernels/scalar/kernels.h"
#include "kernels/wasm128/kernels.h"

namespace mu8::kernels::wasm128 {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// The instructions of moments_vector.h.
struct Vector {
  using F = v128_t;
  using I = v128_t;
  using M = v128_t;
  static constexpr std::uint32_t kLanes = 4;

  // By the low five bits of an index: look-ups within registers reach 16 bytes, loads all of it.
  struct Table {
    float at[32];
    explicit Table(const float* entries) { std::memcpy(at, entries, sizeof(at)); }
    F operator[](I index) const {
      const v128_t i = wasm_v128_and(index, wasm_i32x4_splat(31));
      v128_t found = wasm_v128_load32_zero(at + wasm_i32x4_extract_lane(i, 0));
      found = wasm_v128_load32_lane(at + wasm_i32x4_extract_lane(i, 1), found, 1);
      found = wasm_v128_load32_lane(at + wasm_i32x4_extract_lane(i, 2), found, 2);
      return wasm_v128_load32_lane(at + wasm_i32x4_extract_lane(i, 3), found, 3);
    }
  };

  static F Set(float x) { return wasm_f32x4_splat(x); }
  static F Add(F a, F b) { return wasm_f32x4_add(a, b); }
  static F Sub(F a, F b) { return wasm_f32x4_sub(a, b); }
  static F Mul(F a, F b) { return wasm_f32x4_mul(a, b); }
  static F Div(F a, F b) { return wasm_f32x4_div(a, b); }
  static F Min(F a, F b) { return wasm_f32x4_pmin(b, a); }
  static F Max(F a, F b) { return wasm_f32x4_pmax(b, a); }
  static F ToFloat(I a) { return wasm_f32x4_convert_i32x4(a); }
  static F AsFloat(I a) { return a; }
  static I SetInt(std::int32_t x) { return wasm_i32x4_splat(x); }
  static I AddInt(I a, I b) { return wasm_i32x4_add(a, b); }
  static I SubInt(I a, I b) { return wasm_i32x4_sub(a, b); }
  static I MulInt(I a, I b) { return wasm_i32x4_mul(a, b); }
  static I Truncate(F a) { return wasm_i32x4_trunc_sat_f32x4(a); }
  // Of at most 2^22: 1.5 * 2^23 leaves no room for fractions, and the integer in the lower bits.
  static I Nearest(F a) {
    return wasm_i32x4_sub(wasm_f32x4_add(a, wasm_f32x4_splat(12582912.0F)),
                          wasm_i32x4_splat(0x4b400000));
  }
  static I AsInt(F a) { return a; }
  template <int kBits>
  static I Left(I a) {
    return wasm_i32x4_shl(a, kBits);
  }
  template <int kBits>
  static I Right(I a) {
    return wasm_u32x4_shr(a, kBits);
  }
  static I RightBy(I a, std::int32_t bits) {
    return wasm_i32x4_shr(a, static_cast<std::uint32_t>(bits));
  }
  static M Less(F a, F b) { return wasm_f32x4_lt(a, b); }
  static M AndNot(M a, M b) { return wasm_v128_andnot(b, a); }
  static bool Any(M m) { return wasm_v128_any_true(m); }
  static F Select(M m, F yes, F no) { return wasm_v128_bitselect(yes, no, m); }

  static I LoadAll(const std::int32_t* from) { return wasm_v128_load(from); }
  static I LoadInts(const std::int32_t* from, std::uint32_t count) {
    std::int32_t all[kLanes] = {};
    for (std::uint32_t i = 0; i < count; ++i) all[i] = from[i];
    return wasm_v128_load(all);
  }
  static void StoreFloats(F a, float* to) { wasm_v128_store(to, a); }
  static F LoadFloats(const float* from, std::uint32_t count) {
    float all[kLanes] = {};
    for (std::uint32_t i = 0; i < count; ++i) all[i] = from[i];
    return wasm_v128_load(all);
  }
  static I LoadBytes(const std::uint8_t* from, std::uint32_t count) {
    v128_t bytes;
    if (count == kLanes) {
      bytes = wasm_v128_load32_zero(from);
    } else {
      std::uint32_t four = 0;
      for (std::uint32_t i = 0; i < count; ++i) four |= std::uint32_t{from[i]} << (8 * i);
      bytes = wasm_u32x4_splat(four);
    }
    return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(bytes));
  }
  static void StoreBytes(I a, std::uint32_t count, std::uint8_t* to) {
    const v128_t words = wasm_i16x8_narrow_i32x4(a, a);
    const v128_t bytes = wasm_u8x16_narrow_i16x8(words, words);
    if (count == kLanes) return wasm_v128_store32_lane(to, bytes, 0);
    auto four = static_cast<std::uint32_t>(wasm_i32x4_extract_lane(bytes, 0));
    for (std::uint32_t i = 0; i < count; ++i, four >>= 8) to[i] = static_cast<std::uint8_t>(four);
  }
};

// 8 second moments in 16-bit lanes.
struct Seconds {
  v128_t zero, gain, variance_gain;

  explicit Seconds(const SecondMomentsArgs& args)
      : zero(wasm_i16x8_splat(static_cast<std::int16_t>(args.zero_point))),
        gain(wasm_i16x8_splat(static_cast<std::int16_t>(args.gain))),
        variance_gain(wasm_u16x8_splat(static_cast<std::uint16_t>(args.variance_gain))) {}

  v128_t Of(const std::uint8_t* means, const std::uint8_t* variances) const {
    const v128_t d = wasm_i16x8_sub(wasm_u16x8_load8x8(means), zero);
    v128_t t = wasm_u16x8_shr(wasm_i16x8_mul(d, d), 1);
    if (variances != nullptr) {
      const v128_t v = wasm_u16x8_load8x8(variances);
      const v128_t low = wasm_u32x4_shr(wasm_u32x4_extmul_low_u16x8(v, variance_gain), 8);
      const v128_t high = wasm_u32x4_shr(wasm_u32x4_extmul_high_u16x8(v, variance_gain), 8);
      t = wasm_u16x8_add_sat(t, wasm_u16x8_narrow_i32x4(low, high));
    }
    return wasm_i16x8_q15mulr_sat(wasm_u16x8_min(t, wasm_i16x8_splat(32767)), gain);
  }
};

}  // namespace

void SecondMoments(const SecondMomentsArgs& args) {
  const Seconds seconds(args);
  std::size_t i = 0;
  for (; i + 8 <= args.bytes; i += 8) {
    const std::uint8_t* variances = args.variances == nullptr ? nullptr : args.variances + i;
    const v128_t words = seconds.Of(args.means + i, variances);
    wasm_v128_store64_lane(args.output + i, wasm_u8x16_narrow_i16x8(words, words), 0);
  }
  if (i == args.bytes) return;
  SecondMomentsArgs rest = args;
  rest.means += i;
  if (rest.variances != nullptr) rest.variances += i;
  rest.output += i;
  rest.bytes -= i;
  scalar::SecondMoments(rest);
}

void Clip(const ClipArgs& args) { ClipWith<Vector>(args); }

void MaxPoolMoments(const MomentsPoolArgs& args) { MaxPoolWith<Vector>(args); }

void AddSoftmaxRows(const RowsArgs& args) { AddSoftmaxRowsWith<Vector>(args); }

}  // namespace mu8::kernels::wasm128
#endif  // MU8_HAVE_WASM128
