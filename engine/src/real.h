// f64 of FORMAT.md section 10: double where the target computes with it, else integers, so that no
// device links its toolchain's library of doubles. -DMU8_SOFT_DOUBLE=0 or 1 overrides the choice;
// the bytes are the same.
#pragma once

#include <cstdint>

#include "engine/src/soft_double.h"
#include "engine/src/wide.h"
#include "formats/bits.h"

#if !defined(MU8_SOFT_DOUBLE)
#if (defined(__arm__) && !(defined(__ARM_FP) && (__ARM_FP & 8) != 0)) || \
    (defined(__riscv) && !(defined(__riscv_flen) && __riscv_flen >= 64))
#define MU8_SOFT_DOUBLE 1
#else
#define MU8_SOFT_DOUBLE 0
#endif
#endif

namespace mu8 {

#if MU8_SOFT_DOUBLE
using Real = SoftDouble;

inline Real ToReal(std::uint64_t value) { return SoftFromInteger(value); }
inline Real ToReal(float value) { return SoftFromFloat(value); }
inline Real RealFromBits(std::uint64_t bits) { return {bits}; }
// floor(value) from 0 to below 2^63, and back.
inline std::uint64_t ToInteger(float value) { return SoftFloor(value); }
inline float ToFloat(std::uint64_t value) { return SoftRound(value); }
#else
using Real = double;

inline Real ToReal(std::uint64_t value) { return static_cast<double>(value); }
inline Real ToReal(float value) { return static_cast<double>(value); }
inline Real RealFromBits(std::uint64_t bits) { return format::BitCast<double>(bits); }
inline float ToFloat(Real value) { return static_cast<float>(value); }
inline std::uint64_t ToInteger(float value) { return static_cast<std::uint64_t>(value); }
inline float ToFloat(std::uint64_t value) { return static_cast<float>(value); }
#endif

inline Real ToReal(std::uint32_t value) { return ToReal(std::uint64_t{value}); }
inline Real ToReal(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  return value < 0 ? -ToReal(0 - bits) : ToReal(bits);
}

inline Real ToReal(const Wide& value) {
  constexpr float kTwo64 = 18446744073709551616.0F;
  return ToReal(value.high) * ToReal(kTwo64) + ToReal(value.low);
}

}  // namespace mu8
