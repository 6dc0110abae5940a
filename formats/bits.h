// Bits of numbers. Not from <bit>: std::bit_cast is missing in standard libraries of C++20 that are
// in use (libc++ before 14), though their compilers have what it is made of.
#pragma once

#include <cstdint>

namespace mu8::format {

// Both trivially copyable and of one size: the compiler refuses others.
template <typename To, typename From>
constexpr To BitCast(const From& from) {
  return __builtin_bit_cast(To, from);
}

// The largest power of two that is at most `value`, which is not 0.
constexpr std::uint32_t BitFloor(std::uint32_t value) {
  while ((value & (value - 1)) != 0) value &= value - 1;  // at most 31 bits
  return value;
}

}  // namespace mu8::format
