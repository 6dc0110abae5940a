// The noise of FORMAT.md section 9 written a second time from its sources, for comparison with
// kernels/: Philox4x32-10 (Salmon et al. 2011), xoshiro128++ (Blackman and Vigna 2021), and eps
// from the normal distribution itself. Slow on purpose; shares no code with kernels/.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mu8::testing {

using Words4 = std::array<std::uint32_t, 4>;

inline Words4 ReferencePhilox(Words4 counter, std::uint64_t key) {
  std::uint64_t key_low = key & 0xffffffffU;
  std::uint64_t key_high = key >> 32;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = 0xD2511F53ULL * counter[0];
    const std::uint64_t right = 0xCD9E8D57ULL * counter[2];
    const std::uint64_t x0 = (right >> 32) ^ counter[1] ^ key_low;
    const std::uint64_t x2 = (left >> 32) ^ counter[3] ^ key_high;
    counter[1] = static_cast<std::uint32_t>(right % 0x100000000ULL);
    counter[3] = static_cast<std::uint32_t>(left % 0x100000000ULL);
    counter[0] = static_cast<std::uint32_t>(x0);
    counter[2] = static_cast<std::uint32_t>(x2);
    key_low = (key_low + 0x9E3779B9ULL) % 0x100000000ULL;
    key_high = (key_high + 0xBB67AE85ULL) % 0x100000000ULL;
  }
  return counter;
}

// One output of xoshiro128++, in 64-bit arithmetic.
inline std::uint32_t ReferenceXoshiro(Words4* state) {
  constexpr std::uint64_t kModulus = 0x100000000ULL;
  const auto rotate = [](std::uint64_t x, int k) { return (x << k | x >> (32 - k)) % kModulus; };
  std::uint64_t s0 = (*state)[0];
  std::uint64_t s1 = (*state)[1];
  std::uint64_t s2 = (*state)[2];
  std::uint64_t s3 = (*state)[3];
  const std::uint64_t result = (rotate((s0 + s3) % kModulus, 7) + s0) % kModulus;
  const std::uint64_t t = (s1 << 9) % kModulus;
  s2 ^= s0;
  s3 ^= s1;
  s1 ^= s2;
  s0 ^= s3;
  s2 ^= t;
  s3 = rotate(s3, 11);
  *state = {static_cast<std::uint32_t>(s0), static_cast<std::uint32_t>(s1),
            static_cast<std::uint32_t>(s2), static_cast<std::uint32_t>(s3)};
  return static_cast<std::uint32_t>(result);
}

// z with P(Z <= z) = probability, by bisection on the complementary error function.
inline double NormalQuantile(double probability) {
  double low = -10.0;
  double high = 10.0;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

// eps of each random byte: 2 floor(16 z) + 1 for the upper half of the quantiles, mirrored.
inline std::array<std::int32_t, 256> DeriveEpsilon() {
  std::array<std::int32_t, 256> epsilon{};
  for (std::size_t i = 0; i < 128; ++i) {
    const double z = NormalQuantile((static_cast<double>(i) + 128.5) / 256);
    epsilon[i] = 2 * static_cast<std::int32_t>(std::floor(16 * z)) + 1;
    epsilon[i + 128] = -epsilon[i];
  }
  return epsilon;
}

// The random bytes of one panel of one pass.
class ReferenceStream {
 public:
  ReferenceStream(std::uint64_t seed, std::uint32_t pass, std::uint32_t layer,
                  std::uint32_t panel) {
    for (std::uint32_t lane = 0; lane < 16; ++lane) {
      lanes_[lane] = ReferencePhilox({pass, layer, panel, lane}, seed);
      if (lanes_[lane] == Words4{0, 0, 0, 0}) lanes_[lane][0] = 1;
    }
  }
  // Byte `index` of the stream: step index / 64, lane index / 4 % 16, little-endian byte index % 4.
  std::uint8_t Byte(std::size_t index) {
    while (words_.size() <= index / 4) {
      for (Words4& lane : lanes_) words_.push_back(ReferenceXoshiro(&lane));
    }
    return static_cast<std::uint8_t>(words_[index / 4] >> (8 * (index % 4)));
  }

 private:
  std::array<Words4, 16> lanes_;
  std::vector<std::uint32_t> words_;
};

// round(level * eps / 2^shift), ties up.
inline std::int64_t ReferenceNoise(std::int64_t level, std::int64_t epsilon, int shift) {
  const std::int64_t unit = std::int64_t{1} << shift;
  const std::int64_t doubled = 2 * level * epsilon + unit;  // floor(doubled / (2 unit))
  const std::int64_t divisor = 2 * unit;
  const std::int64_t remainder = ((doubled % divisor) + divisor) % divisor;
  return (doubled - remainder) / divisor;
}

}  // namespace mu8::testing
