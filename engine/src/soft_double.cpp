#include "engine/src/soft_double.h"

#include "engine/src/wide.h"
#include "formats/bits.h"

namespace mu8 {
namespace {

constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
constexpr int kFraction = 52, kBias = 1023;  // bits of the fraction; of the exponent
constexpr std::uint64_t kFractionMask = (std::uint64_t{1} << kFraction) - 1;

// (-1)^sign * significand * 2^exponent; the significand has 53 bits, or is 0.
struct Parts {
  std::uint64_t significand;
  int exponent;
  std::uint64_t sign;  // kSign or 0
};

Parts Split(SoftDouble value) {
  const int exponent = static_cast<int>(value.bits >> kFraction & 0x7ff);
  const std::uint64_t fraction = value.bits & kFractionMask;
  return {exponent == 0 ? 0 : fraction | (kFractionMask + 1), exponent - kBias - kFraction,
          value.bits & kSign};
}

// significand >> shift, to nearest, ties to even; shift 1 to 64.
std::uint64_t RoundShift(std::uint64_t significand, int shift) {
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  const std::uint64_t rest = shift == 64 ? significand : significand & (2 * half - 1);
  const std::uint64_t whole = shift == 64 ? 0 : significand >> shift;
  return whole + (rest > half || (rest == half && (whole & 1) != 0) ? 1U : 0U);
}

// A right shift that leaves a 1 in the lowest bit for all that falls out; shift is not negative.
std::uint64_t StickyShift(std::uint64_t value, int shift) {
  if (shift >= 64) return value != 0 ? 1 : 0;
  const std::uint64_t kept = value >> shift;
  return kept << shift == value ? kept : kept | 1;
}

// Rounds a significand of any 64 bits.
SoftDouble Join(Parts parts) {
  if (parts.significand == 0) return {};
  // At most 63 times: a bit is set.
  while ((parts.significand & kSign) == 0) {
    parts.significand <<= 1;
    --parts.exponent;
  }
  constexpr int kShift = 63 - kFraction;
  const std::uint64_t rounded = RoundShift(parts.significand, kShift);
  // Rounded up to 54 bits, the sum carries into the exponent, which is then right.
  const auto exponent = static_cast<std::uint64_t>(parts.exponent + kShift + kBias + kFraction - 1);
  return {parts.sign | ((exponent << kFraction) + rounded)};
}

}  // namespace

SoftDouble SoftFromInteger(std::uint64_t value) { return Join({value, 0, 0}); }

SoftDouble SoftFromFloat(float value) {
  const auto bits = format::BitCast<std::uint32_t>(value);
  const int exponent = static_cast<int>(bits >> 23 & 0xff);
  const std::uint32_t fraction = bits & 0x7fffff;
  const std::uint64_t sign = std::uint64_t{bits >> 31} << 63;
  if (exponent == 0) return Join({fraction, -149, sign});
  return Join({fraction | 0x800000U, exponent - 150, sign});
}

float ToFloat(SoftDouble value) {
  const Parts parts = Split(value);
  const auto sign = static_cast<std::uint32_t>(parts.sign >> 32);
  // Of the result; normal numbers begin at 1.
  const int exponent = parts.exponent + kFraction + 127;
  if (parts.significand == 0 || exponent < -24) return format::BitCast<float>(sign);
  constexpr std::uint32_t kInfinity = 0x7f800000;
  if (exponent > 254) return format::BitCast<float>(sign | kInfinity);
  constexpr int kShift = kFraction - 23;
  const bool normal = exponent >= 1;
  const auto rounded = static_cast<std::uint32_t>(
      RoundShift(parts.significand, normal ? kShift : kShift + 1 - exponent));
  const std::uint32_t base = normal ? static_cast<std::uint32_t>(exponent - 1) << 23 : 0;
  return format::BitCast<float>(sign | (base + rounded));
}

std::uint64_t SoftFloor(float value) {
  const auto bits = format::BitCast<std::uint32_t>(value);
  const int shift = static_cast<int>(bits >> 23) - 150;
  const std::uint32_t significand = (bits & 0x7fffff) | 0x800000;
  if (shift >= 0) return std::uint64_t{significand} << shift;
  return shift < -23 ? 0 : significand >> -shift;
}

float SoftRound(std::uint64_t value) {
  int shift = 0;
  while (value >> shift >= (1U << 24)) ++shift;  // at most 40
  if (shift == 0) return static_cast<float>(static_cast<std::uint32_t>(value));
  const auto rounded = static_cast<std::uint32_t>(RoundShift(value, shift));
  return format::BitCast<float>((static_cast<std::uint32_t>(shift + 127 + 22) << 23) + rounded);
}

SoftDouble operator+(SoftDouble left, SoftDouble right) {
  Parts a = Split(left), b = Split(right);
  if (a.significand == 0 || b.significand == 0) {
    const SoftDouble sum = a.significand == 0 ? right : left;
    return (sum.bits & ~kSign) == 0 ? SoftDouble{} : sum;
  }
  if (a.exponent < b.exponent) {
    const Parts c = a;
    a = b;
    b = c;
  }
  // Ten bits below the last: more than enough for what is rounded away.
  constexpr int kGuard = 10;
  a.significand <<= kGuard;
  b.significand = StickyShift(b.significand << kGuard, a.exponent - b.exponent);
  a.exponent -= kGuard;
  if (a.sign == b.sign) {
    a.significand += b.significand;
  } else if (a.significand >= b.significand) {
    a.significand -= b.significand;
  } else {
    a.significand = b.significand - a.significand;
    a.sign = b.sign;
  }
  return Join(a);
}

SoftDouble operator*(SoftDouble left, SoftDouble right) {
  const Parts a = Split(left), b = Split(right);
  if (a.significand == 0 || b.significand == 0) return {};
  constexpr int kUp = 63 - kFraction;
  const Wide product = Product(a.significand << kUp, b.significand << kUp);
  return Join({product.high | (product.low != 0 ? 1U : 0U), a.exponent + b.exponent - 2 * kUp + 64,
               a.sign ^ b.sign});
}

SoftDouble operator/(SoftDouble left, SoftDouble right) {
  const Parts a = Split(left), b = Split(right);
  if (a.significand == 0) return {};
  constexpr int kSteps = 56;  // of a quotient of at least 55 bits
  std::uint64_t quotient = 0, rest = a.significand;
  for (int i = 0; i < kSteps; ++i) {
    quotient <<= 1;
    if (rest >= b.significand) {
      rest -= b.significand;
      quotient |= 1;
    }
    rest <<= 1;
  }
  return Join(
      {quotient | (rest != 0 ? 1U : 0U), a.exponent - b.exponent - (kSteps - 1), a.sign ^ b.sign});
}

bool operator<(SoftDouble a, SoftDouble b) {
  // Numbers in the order of integers; the two zeros are one.
  const auto order = [](SoftDouble value) {
    const auto magnitude = static_cast<std::int64_t>(value.bits & ~kSign);
    return (value.bits & kSign) != 0 ? -magnitude : magnitude;
  };
  return order(a) < order(b);
}

}  // namespace mu8
