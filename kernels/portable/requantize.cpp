// Requantization without floats, for processors that have none: there each operation of them is a
// call. The roundings are those of scalar::Requantize, each to nearest, ties to even: the
// accumulator to 24 bits, its product with the multiplier to 24 bits, and that to an integer.
#include <cstring>

#include "kernels/portable/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::portable {
namespace {

// The upper 24 of 32 bits, of which the first is set, rounded: up to 2^24. `more`: not all bits
// behind them are 0.
std::uint32_t RoundTo24(std::uint32_t bits, bool more) {
  const std::uint32_t kept = bits >> 8;
  const std::uint32_t rest = (bits & 255) << 1 | (more ? 1U : 0U);  // 256: half
  return kept + (rest + (kept & 1) > 256 ? 1U : 0U);
}

// |accumulator| * multiplier, whose exponent is `exponent`, rounded to an integer; where that is
// 1024 or more another one that is.
std::int32_t RoundProduct(std::uint32_t accumulator, std::uint32_t mantissa,
                          std::uint32_t exponent) {
  if (accumulator == 0) return 0;
  const auto zeros = static_cast<std::uint32_t>(__builtin_clz(accumulator));
  const std::uint32_t factor = RoundTo24(accumulator << zeros, false);  // times 2^(8 - zeros)
  // At least 2^54 and below 2^56, times 2^(exponent - 150 - zeros).
  const std::uint64_t product = std::uint64_t{factor} * (mantissa << 8);
  auto high = static_cast<std::uint32_t>(product >> 24);
  auto low = static_cast<std::uint32_t>(product) << 8;
  auto shift = static_cast<std::int32_t>(118 + zeros - exponent);
  if (high < 0x80000000U) {
    high = high << 1 | low >> 31;
    low <<= 1;
    ++shift;
  }
  const std::uint32_t value = RoundTo24(high, low != 0);  // times 2^-shift
  if (shift > 25) return 0;
  if (shift < 14) return 1024;
  return static_cast<std::int32_t>((value + (1U << (shift - 1)) - 1 + (value >> shift & 1)) >>
                                   shift);
}

}  // namespace

std::uint8_t RequantizeInIntegers(std::int32_t accumulator, float multiplier, std::int32_t zero_out,
                                  std::int32_t clamp_min, std::int32_t clamp_max) {
  std::uint32_t bits;
  std::memcpy(&bits, &multiplier, sizeof(bits));
  const std::uint32_t exponent = bits >> 23;
  if (exponent - 1 >= 254) {  // no positive normal number, as no file has them
    return scalar::Requantize(accumulator, multiplier, zero_out, clamp_min, clamp_max);
  }
  const std::uint32_t mantissa = (bits & 0x7fffffU) | 0x800000U;
  const auto magnitude = static_cast<std::uint32_t>(accumulator);
  // Both bounds are integers, so clamping may come last.
  const std::int32_t q =
      zero_out + (accumulator < 0 ? -RoundProduct(0 - magnitude, mantissa, exponent)
                                  : RoundProduct(magnitude, mantissa, exponent));
  return static_cast<std::uint8_t>(q < clamp_min ? clamp_min : q > clamp_max ? clamp_max : q);
}

}  // namespace mu8::kernels::portable
