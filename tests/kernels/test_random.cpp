// Random streams against published vectors and against a second implementation.
#include <doctest/doctest.h>

#include "kernels/random.h"
#include "tests/support/random.h"
#include "tests/support/reference_noise.h"

namespace mu8::testing {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// Random123's kat_vectors, "philox4x32 10".
TEST_CASE("philox: known answers of Random123") {
  constexpr std::uint32_t kOnes = 0xffffffffU;
  CHECK(kernels::Philox(Counter{0, 0, 0, 0}, Key{0, 0}) ==
        Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(kernels::Philox(Counter{kOnes, kOnes, kOnes, kOnes}, Key{kOnes, kOnes}) ==
        Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(kernels::Philox(Counter{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                        Key{0xa4093822, 0x299f31d0}) ==
        Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox: equals the reference on random counters and keys") {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    Counter counter{};
    for (std::uint32_t& word : counter) word = static_cast<std::uint32_t>(random.Next());
    const std::uint64_t key = random.Next();
    CHECK(kernels::Philox(
              counter, {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}) ==
          ReferencePhilox(counter, key));
  }
}

// The published C code from s = {1, 2, 3, 4}; also the test vector of Rust's rand_xoshiro.
TEST_CASE("xoshiro128++: known first outputs") {
  kernels::Xoshiro lane{{1, 2, 3, 4}};
  for (const std::uint32_t expected : {641U, 1573767U, 3222811527U, 3517856514U, 836907274U}) {
    CHECK(lane.Next() == expected);
  }
}

TEST_CASE("xoshiro128++: equals the reference for 1000 steps") {
  Random random(2);
  for (int i = 0; i < 20; ++i) {
    Words4 state{};
    for (std::uint32_t& word : state) word = static_cast<std::uint32_t>(random.Next());
    kernels::Xoshiro lane{state};
    for (int step = 0; step < 1000; ++step) REQUIRE(lane.Next() == ReferenceXoshiro(&state));
  }
}

TEST_CASE("streams: (seed, pass, layer, panel, lane) each name another stream") {
  const kernels::StreamId base{.seed = 5, .pass = 6, .layer = 7, .panel = 8};
  const auto first = kernels::MakeLane(base, 0).s;
  CHECK(kernels::MakeLane(base, 0).s == first);
  CHECK(kernels::MakeLane(base, 1).s != first);
  for (int field = 0; field < 5; ++field) {
    kernels::StreamId other = base;
    if (field == 0) other.seed ^= 1;
    if (field == 1) other.seed ^= std::uint64_t{1} << 32;
    if (field == 2) ++other.pass;
    if (field == 3) ++other.layer;
    if (field == 4) ++other.panel;
    CAPTURE(field);
    CHECK(kernels::MakeLane(other, 0).s != first);
  }
}

TEST_CASE("streams: key is the seed, counter is pass, layer, panel, lane") {
  const kernels::StreamId id{.seed = 0x0123456789abcdefU, .pass = 1, .layer = 2, .panel = 3};
  CHECK(kernels::MakeLane(id, 15).s == ReferencePhilox({1, 2, 3, 15}, 0x0123456789abcdefU));
  CHECK(kernels::MakeLane({}, 4).s == ReferencePhilox({0, 0, 0, 4}, 0));  // what is not said is 0
}

}  // namespace
}  // namespace mu8::testing
