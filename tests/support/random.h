// Random numbers for tests: SplitMix64 (Steele, Lea and Flood 2014). The same on every target,
// unlike the distributions of <random>, so that generated models and their hashes agree everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace mu8::testing {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // The first numbers come from bytes, one each, so that a fuzzer can change them one by one.
  Random(std::span<const std::uint8_t> bytes, std::uint64_t seed) : state_(seed), bytes_(bytes) {}

  std::uint64_t Next() {
    if (!bytes_.empty()) {
      const std::uint64_t byte = bytes_.front();
      bytes_ = bytes_.subspan(1);
      return byte * 0x0101010101010101U;
    }
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  // low <= value <= high.
  int Between(int low, int high) {
    const auto range = static_cast<std::uint64_t>(std::int64_t{high} - low + 1);
    return static_cast<int>(low + static_cast<std::int64_t>(Next() % range));
  }
  std::uint32_t Below(std::uint32_t end) { return static_cast<std::uint32_t>(Next() % end); }
  bool OneIn(std::uint32_t n) { return Below(n) == 0; }
  // 0 <= value < 1, 32 bits.
  double Unit() { return static_cast<double>(Next() >> 32) / 4294967296.0; }
  template <typename T>
  T OneOf(std::initializer_list<T> values) {
    return values.begin()[Below(static_cast<std::uint32_t>(values.size()))];
  }
  template <typename T>
  void Fill(std::span<T> values, int low, int high) {
    for (T& value : values) value = static_cast<T>(Between(low, high));
  }

 private:
  std::uint64_t state_;
  std::span<const std::uint8_t> bytes_;
};

}  // namespace mu8::testing
