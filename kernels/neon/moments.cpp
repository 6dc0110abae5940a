// Predictions by moments with NEON: a register holds 4 channels of a pixel. ARMv7's vectors flush
// subnormal numbers, which no code depends on (docs/ARCHITECTURE.md, "The arithmetic of moments").
#include "kernels/moments.h"

#include <cstring>

#include "kernels/moments_vector.h"
#include "kernels/neon/kernels.h"
#include "kernels/neon/vectors.h"
#include "kernels/scalar/kernels.h"
#if defined(__aarch64__)
#include "kernels/moments_rows.h"
#endif

namespace mu8::kernels::neon {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// The instructions of moments_vector.h.
struct Vector {
  using F = float32x4_t;
  using I = int32x4_t;
  using M = uint32x4_t;
  static constexpr std::uint32_t kLanes = 4;

  // By the low five bits of an index: the four bytes of each entry.
  struct Table {
    Table64 low, high;

    explicit Table(const float* entries)
        : low(reinterpret_cast<const std::uint8_t*>(entries)),
          high(reinterpret_cast<const std::uint8_t*>(entries + 16)) {}
    F operator[](I index) const {
      const int32x4_t entry = vandq_s32(index, vdupq_n_s32(31));
      const uint8x16_t bytes =
          vreinterpretq_u8_s32(vmlaq_s32(vdupq_n_s32(0x03020100), entry, vdupq_n_s32(0x04040404)));
      return vreinterpretq_f32_u8(high.At(vsubq_u8(bytes, vdupq_n_u8(64)), low.At(bytes)));
    }
  };

  static F Set(float x) { return vdupq_n_f32(x); }
  static F Add(F a, F b) { return vaddq_f32(a, b); }
  static F Sub(F a, F b) { return vsubq_f32(a, b); }
  static F Mul(F a, F b) { return vmulq_f32(a, b); }
#if defined(__aarch64__)
  static F Div(F a, F b) { return vdivq_f32(a, b); }
  static F Min(F a, F b) { return vminnmq_f32(a, b); }
  static F Max(F a, F b) { return vmaxnmq_f32(a, b); }
  static bool Any(M m) { return vmaxvq_u32(m) != 0; }
#else
  static F Div(F a, F b) {
    float quotients[kLanes];
    for (std::uint32_t i = 0; i < kLanes; ++i) quotients[i] = a[i] / b[i];
    return vld1q_f32(quotients);
  }
  static F Min(F a, F b) { return vminq_f32(a, b); }
  static F Max(F a, F b) { return vmaxq_f32(a, b); }
  static bool Any(M m) {
    return vget_lane_u64(vreinterpret_u64_u32(vorr_u32(vget_low_u32(m), vget_high_u32(m))), 0) != 0;
  }
#endif
  static F ToFloat(I a) { return vcvtq_f32_s32(a); }
  static F AsFloat(I a) { return vreinterpretq_f32_s32(a); }
  static I SetInt(std::int32_t x) { return vdupq_n_s32(x); }
  static I AddInt(I a, I b) { return vaddq_s32(a, b); }
  static I SubInt(I a, I b) { return vsubq_s32(a, b); }
  static I MulInt(I a, I b) { return vmulq_s32(a, b); }
  static I Truncate(F a) { return vcvtq_s32_f32(a); }
  static I Nearest(F a) { return RoundToEven(a); }
  static I AsInt(F a) { return vreinterpretq_s32_f32(a); }
  template <int kBits>
  static I Left(I a) {
    return vshlq_n_s32(a, kBits);
  }
  template <int kBits>
  static I Right(I a) {
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), kBits));
  }
  static I RightBy(I a, std::int32_t bits) { return vshlq_s32(a, vdupq_n_s32(-bits)); }
  static M Less(F a, F b) { return vcltq_f32(a, b); }
  static M AndNot(M a, M b) { return vbicq_u32(b, a); }
  static F Select(M m, F yes, F no) { return vbslq_f32(m, yes, no); }

  static I LoadAll(const std::int32_t* from) { return vld1q_s32(from); }
  static I LoadInts(const std::int32_t* from, std::uint32_t count) {
    if (count == kLanes) return vld1q_s32(from);
    std::int32_t all[kLanes] = {};
    for (std::uint32_t i = 0; i < count; ++i) all[i] = from[i];
    return vld1q_s32(all);
  }
  static void StoreFloats(F a, float* to) { vst1q_f32(to, a); }
  static F LoadFloats(const float* from, std::uint32_t count) {
    if (count == kLanes) return vld1q_f32(from);
    float all[kLanes] = {};
    for (std::uint32_t i = 0; i < count; ++i) all[i] = from[i];
    return vld1q_f32(all);
  }
  static I LoadBytes(const std::uint8_t* from, std::uint32_t count) {
    std::uint32_t four = 0;
    if (count == kLanes) {
      std::memcpy(&four, from, kLanes);
    } else {
      for (std::uint32_t i = 0; i < count; ++i) four |= std::uint32_t{from[i]} << (8 * i);
    }
    const uint16x8_t words = vmovl_u8(vcreate_u8(four));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words)));
  }
  static void StoreBytes(I a, std::uint32_t count, std::uint8_t* to) {
    const uint16x4_t words = vmovn_u32(vreinterpretq_u32_s32(a));
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
    std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    if (count == kLanes) {
      std::memcpy(to, &four, kLanes);
      return;
    }
    for (std::uint32_t i = 0; i < count; ++i, four >>= 8) to[i] = static_cast<std::uint8_t>(four);
  }
};

}  // namespace
}  // namespace mu8::kernels::neon

namespace mu8::kernels {
namespace {

// Knots as they are, 16 bits each, so that a table is what one look-up reaches: each in the upper
// half of a word, from which a conversion takes away 31 bits.
template <const Curve& kCurve>
struct Knots<neon::Vector, kCurve> {
  neon::Table64 low{reinterpret_cast<const std::uint8_t*>(kCurve.table.data())};
  neon::Table64 rise{Rises().bytes};

  float32x4_t At(int32x4_t knot, float32x4_t fraction) const {
    const uint8x16_t bytes =
        vreinterpretq_u8_s32(vmlaq_s32(vdupq_n_s32(0x0100ffff), knot, vdupq_n_s32(0x02020000)));
    const float32x4_t from = vcvtq_n_f32_u32(vreinterpretq_u32_u8(low.At(bytes)), 31);
    const float32x4_t by = vcvtq_n_f32_s32(vreinterpretq_s32_u8(rise.At(bytes)), 31);
    const float32x4_t at = vaddq_f32(from, vmulq_f32(fraction, by));
    if constexpr (kCurve.unit == 0x1p-15F) return at;
    return vmulq_f32(at, vdupq_n_f32(kCurve.unit * 0x1p15F));
  }

 private:
  struct Bytes {
    std::uint8_t bytes[64];
  };
  static Bytes Rises() {
    Bytes rises;
    for (std::size_t i = 0; i < 32; i += 8) {
      const std::uint16_t* knots = kCurve.table.data() + i;
      vst1q_u8(rises.bytes + 2 * i,
               vreinterpretq_u8_u16(vsubq_u16(vld1q_u16(knots + 1), vld1q_u16(knots))));
    }
    return rises;
  }
};

}  // namespace
}  // namespace mu8::kernels

namespace mu8::kernels::neon {
namespace {

// 8 second moments.
struct Seconds {
  uint8x8_t zero;
  int16x8_t gain;
  uint16x4_t variance_gain;

  explicit Seconds(const SecondMomentsArgs& args)
      : zero(vdup_n_u8(static_cast<std::uint8_t>(args.zero_point))),
        gain(vdupq_n_s16(static_cast<std::int16_t>(args.gain))),
        variance_gain(vdup_n_u16(static_cast<std::uint16_t>(args.variance_gain))) {}

  uint8x8_t Of(uint8x8_t means, uint8x8_t variances) const {
    const uint8x8_t d = vabd_u8(means, zero);
    const uint16x8_t square = vshrq_n_u16(vmull_u8(d, d), 1);
    const uint16x8_t v = vmovl_u8(variances);
    const uint16x8_t scaled =
        vcombine_u16(vshrn_n_u32(vmull_u16(vget_low_u16(v), variance_gain), 8),
                     vshrn_n_u32(vmull_u16(vget_high_u16(v), variance_gain), 8));
    const uint16x8_t t = vminq_u16(vqaddq_u16(square, scaled), vdupq_n_u16(32767));
    return vqmovun_s16(vqrdmulhq_s16(vreinterpretq_s16_u16(t), gain));
  }
};

}  // namespace

void SecondMoments(const SecondMomentsArgs& args) {
  const Seconds seconds(args);
  SecondMomentsArgs rest = args;
  const auto step = [&rest](std::size_t bytes) {
    rest.means += bytes;
    if (rest.variances != nullptr) rest.variances += bytes;
    rest.output += bytes;
    rest.bytes -= bytes;
  };
  for (; rest.bytes >= 16; step(16)) {
    const uint8x16_t m = vld1q_u8(rest.means);
    const uint8x16_t v = rest.variances == nullptr ? vdupq_n_u8(0) : vld1q_u8(rest.variances);
    vst1q_u8(rest.output, vcombine_u8(seconds.Of(vget_low_u8(m), vget_low_u8(v)),
                                      seconds.Of(vget_high_u8(m), vget_high_u8(v))));
  }
  if (rest.bytes != 0) scalar::SecondMoments(rest);
}

void Clip(const ClipArgs& args) { ClipWith<Vector>(args); }

void MaxPoolMoments(const MomentsPoolArgs& args) { MaxPoolWith<Vector>(args); }

#if defined(__aarch64__)
void AddSoftmaxRows(const RowsArgs& args) { AddSoftmaxRowsWith<Vector>(args); }
#endif

}  // namespace mu8::kernels::neon
