#include "formats/self_test.h"

#include "formats/bits.h"

namespace mu8::format {

std::uint32_t HashProbe(FloatProbe probe) {
  std::uint32_t state = 1, hash = 0;
  // From 1 to below 2, of a linear congruential generator: a product has 48 bits, and the
  // difference keeps what rounding it to 24 has left.
  const auto next = [&] {
    state = state * 1664525U + 1013904223U;
    return BitCast<float>(0x3f800000U | (state >> 9));
  };
  for (int i = 0; i < kProbeValues; ++i) {
    const float a = next(), b = next(), c = next();
    hash = hash * 31 + BitCast<std::uint32_t>(probe(a, b, c));
  }
  return hash;
}

}  // namespace mu8::format
