// The random streams: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
// 1, 2, 3") names a stream by (seed, pass, layer, panel, lane); xoshiro128++ (Blackman and Vigna
// 2021) then makes 4 bytes a step in each of 16 lanes. FORMAT.md section 9 is normative.
#pragma once

#include <array>
#include <cstdint>

namespace mu8::kernels {

inline constexpr std::uint32_t kLanes = 16;
inline constexpr std::uint32_t kPhiloxM0 = 0xD2511F53U;
inline constexpr std::uint32_t kPhiloxM1 = 0xCD9E8D57U;
inline constexpr std::uint32_t kPhiloxW0 = 0x9E3779B9U;
inline constexpr std::uint32_t kPhiloxW1 = 0xBB67AE85U;
inline constexpr int kPhiloxRounds = 10;

struct StreamId {
  std::uint64_t seed = 0;
  std::uint32_t pass = 0;
  std::uint32_t layer = 0;
  std::uint32_t panel = 0;
  // XORed into every random byte: 0, or 0x80, which negates every epsilon: the mirror of an
  // antithetic pair.
  std::uint8_t flip = 0;
};

constexpr std::array<std::uint32_t, 4> Philox(std::array<std::uint32_t, 4> counter,
                                              std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{kPhiloxM0} * counter[0];
    const std::uint64_t p1 = std::uint64_t{kPhiloxM1} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key = {key[0] + kPhiloxW0, key[1] + kPhiloxW1};
  }
  return counter;
}

// One lane's xoshiro128++ state.
struct Xoshiro {
  std::array<std::uint32_t, 4> s;

  constexpr std::uint32_t Next() {
    const std::uint32_t result = Rotate(s[0] + s[3], 7) + s[0];
    const std::uint32_t t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = Rotate(s[3], 11);
    return result;
  }
  static constexpr std::uint32_t Rotate(std::uint32_t value, int bits) {
    return (value << bits) | (value >> (32 - bits));
  }
};

constexpr Xoshiro MakeLane(const StreamId& id, std::uint32_t lane) {
  Xoshiro state{
      Philox({id.pass, id.layer, id.panel, lane},
             {static_cast<std::uint32_t>(id.seed), static_cast<std::uint32_t>(id.seed >> 32)})};
  // xoshiro's only forbidden state.
  if ((state.s[0] | state.s[1] | state.s[2] | state.s[3]) == 0) state.s[0] = 1;
  return state;
}

}  // namespace mu8::kernels
