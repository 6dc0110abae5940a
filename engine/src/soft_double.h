// IEEE 754 binary64 in integers, of just the operations that FORMAT.md section 10 uses: for targets
// whose double is a library of the toolchain's. The same bits as hardware, rounded to nearest, ties
// to even, where operands and result are 0 or normal numbers, as all of section 10 are; a result of
// 0 is +0. There is no infinity or NaN but in ToFloat.
#pragma once

#include <cstdint>

namespace mu8 {

struct SoftDouble {
  std::uint64_t bits = 0;
};

SoftDouble SoftFromInteger(std::uint64_t value);
SoftDouble SoftFromFloat(float value);  // finite
// Rounded once, to subnormal floats, too; infinite beyond the largest.
float ToFloat(SoftDouble value);

// Of floats, which the same libraries of toolchains convert by way of doubles: floor(value), which
// is from 0 to below 2^63; and value, rounded once.
std::uint64_t SoftFloor(float value);
float SoftRound(std::uint64_t value);

SoftDouble operator+(SoftDouble a, SoftDouble b);
SoftDouble operator*(SoftDouble a, SoftDouble b);
SoftDouble operator/(SoftDouble a, SoftDouble b);  // b is not 0

inline SoftDouble operator-(SoftDouble a) { return {a.bits ^ (std::uint64_t{1} << 63)}; }
inline SoftDouble operator-(SoftDouble a, SoftDouble b) { return a + -b; }
bool operator<(SoftDouble a, SoftDouble b);

}  // namespace mu8
