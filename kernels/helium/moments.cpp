// Predictions by moments with Helium. What computes with floats is for processors whose vectors
// have them, 4 channels of a pixel in a register. Those flush subnormal numbers, which no code
// depends on (docs/ARCHITECTURE.md, "The arithmetic of moments").
#include "kernels/built_tables.h"

#if MU8_HAVE_HELIUM
#include <arm_mve.h>

#include "kernels/helium/kernels.h"
#include "kernels/moments.h"
#include "kernels/scalar/kernels.h"
#if (__ARM_FEATURE_MVE & 2) != 0
#include "kernels/moments_vector.h"
#endif

namespace mu8::kernels::helium {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

void SecondMoments(const SecondMomentsArgs& args) {
  const auto zero = static_cast<std::int16_t>(args.zero_point);
  const auto gain = static_cast<std::int16_t>(args.gain);
  const uint16x8_t variance_gain = vdupq_n_u16(static_cast<std::uint16_t>(args.variance_gain));
  for (std::size_t i = 0; i < args.bytes; i += 8) {
    const mve_pred16_t real = vctp16q(static_cast<std::uint32_t>(args.bytes - i));
    const int16x8_t d =
        vsubq_n_s16(vreinterpretq_s16_u16(vldrbq_z_u16(args.means + i, real)), zero);
    uint16x8_t t = vshrq_n_u16(vreinterpretq_u16_s16(vmulq_s16(d, d)), 1);
    if (args.variances != nullptr) {
      const uint16x8_t v = vshlq_n_u16(vldrbq_z_u16(args.variances + i, real), 8);
      t = vqaddq_u16(t, vmulhq_u16(v, variance_gain));
    }
    t = vminq_u16(t, vdupq_n_u16(32767));
    const int16x8_t e = vqrdmulhq_n_s16(vreinterpretq_s16_u16(t), gain);
    vstrbq_p_u16(args.output + i, vminq_u16(vreinterpretq_u16_s16(e), vdupq_n_u16(255)), real);
  }
}

#if (__ARM_FEATURE_MVE & 2) != 0
namespace {

// The instructions of moments_vector.h.
struct Vector {
  using F = float32x4_t;
  using I = int32x4_t;
  using M = mve_pred16_t;
  static constexpr std::uint32_t kLanes = 4;

  // By the low five bits of an index.
  struct Table {
    const float* at;
    explicit Table(const float* entries) : at(entries) {}
    F operator[](I index) const {
      const uint32x4_t entry = vandq_u32(vreinterpretq_u32_s32(index), vdupq_n_u32(31));
      return vldrwq_gather_shifted_offset_f32(at, entry);
    }
  };

  static F Set(float x) { return vdupq_n_f32(x); }
  static F Add(F a, F b) { return vaddq_f32(a, b); }
  static F Sub(F a, F b) { return vsubq_f32(a, b); }
  static F Mul(F a, F b) { return vmulq_f32(a, b); }
  static F Min(F a, F b) { return vminnmq_f32(a, b); }
  static F Max(F a, F b) { return vmaxnmq_f32(a, b); }
  static F ToFloat(I a) { return vcvtq_f32_s32(a); }
  static F AsFloat(I a) { return vreinterpretq_f32_s32(a); }
  static I SetInt(std::int32_t x) { return vdupq_n_s32(x); }
  static I AddInt(I a, I b) { return vaddq_s32(a, b); }
  static I SubInt(I a, I b) { return vsubq_s32(a, b); }
  static I MulInt(I a, I b) { return vmulq_s32(a, b); }
  static I Truncate(F a) { return vcvtq_s32_f32(a); }
  static I Nearest(F a) { return vcvtnq_s32_f32(a); }
  static I AsInt(F a) { return vreinterpretq_s32_f32(a); }
  template <int kBits>
  static I Left(I a) {
    return vshlq_n_s32(a, kBits);
  }
  template <int kBits>
  static I Right(I a) {
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), kBits));
  }
  static I RightBy(I a, std::int32_t bits) { return vshlq_r_s32(a, -bits); }
  static M Less(F a, F b) { return vcmpltq_f32(a, b); }
  static M AndNot(M a, M b) { return static_cast<M>(b & ~a); }
  static bool Any(M m) { return m != 0; }
  static F Select(M m, F yes, F no) { return vpselq_f32(yes, no, m); }

  static I LoadAll(const std::int32_t* from) { return vld1q_s32(from); }
  static I LoadInts(const std::int32_t* from, std::uint32_t count) {
    return vld1q_z_s32(from, vctp32q(count));
  }
  static F LoadFloats(const float* from, std::uint32_t count) {
    return vld1q_z_f32(from, vctp32q(count));
  }
  static I LoadBytes(const std::uint8_t* from, std::uint32_t count) {
    return vreinterpretq_s32_u32(vldrbq_z_u32(from, vctp32q(count)));
  }
  static void StoreBytes(I a, std::uint32_t count, std::uint8_t* to) {
    vstrbq_p_u32(to, vreinterpretq_u32_s32(a), vctp32q(count));
  }
};

}  // namespace

void Clip(const ClipArgs& args) { ClipWith<Vector>(args); }
void MaxPoolMoments(const MomentsPoolArgs& args) { MaxPoolWith<Vector>(args); }
#endif

}  // namespace mu8::kernels::helium
#endif  // MU8_HAVE_HELIUM
