// Arrays of floats as `mu8 predict` takes them: (C, H, W), turned into NHWC.
#include <doctest/doctest.h>

#include <vector>

#include "converters/host/error.h"
#include "tools/mu8/image_input.h"

namespace mu8::tool {
namespace {

using host::NpyArray;

TEST_CASE("array input: (C, H, W) is transposed to HWC") {
  // Two channels of 1 x 3.
  const host::NpyArray array{.shape = {2, 1, 3}, .values = {1, 2, 3, 10, 20, 30}};
  CHECK(HwcFromChwArray("x.npy", array, 1, 3, 2) == std::vector<float>{1, 10, 2, 20, 3, 30});
}

TEST_CASE("array input: a leading 1 is accepted, another batch is not") {
  const host::NpyArray one{.shape = {1, 1, 2, 2}, .values = {1, 2, 3, 4}};
  CHECK(HwcFromChwArray("x.npy", one, 2, 2, 1) == std::vector<float>{1, 2, 3, 4});
  const host::NpyArray two{.shape = {2, 1, 2, 2}, .values = std::vector<float>(8)};
  CHECK_THROWS_AS(HwcFromChwArray("x.npy", two, 2, 2, 1), host::Error);
}

TEST_CASE("array input: flat networks take (C) and (1, C)") {
  for (const std::vector<std::size_t>& shape :
       {std::vector<std::size_t>{3}, {1, 3}, {3, 1, 1}, {1, 3, 1, 1}}) {
    const host::NpyArray array{.shape = shape, .values = {1, 2, 3}};
    CHECK(HwcFromChwArray("x.npy", array, 1, 1, 3) == std::vector<float>{1, 2, 3});
  }
  const host::NpyArray column{.shape = {3, 1}, .values = {1, 2, 3}};
  CHECK_THROWS_AS(HwcFromChwArray("x.npy", column, 1, 1, 3), host::Error);
}

TEST_CASE("array input: channels last, and missing dimensions, are refused with both shapes") {
  const host::NpyArray array{.shape = {4, 5, 3}, .values = std::vector<float>(60)};
  try {
    HwcFromChwArray("x.npy", array, 4, 5, 3);
    FAIL("accepted");
  } catch (const host::Error& error) {
    CHECK(std::string(error.what()) ==
          "x.npy: the array's shape is (4, 5, 3), the model expects (3, 4, 5) (channels, height, "
          "width), with or without a leading 1");
  }
  const host::NpyArray scalar{.shape = {}, .values = {1}};
  CHECK_THROWS_AS(HwcFromChwArray("x.npy", scalar, 1, 1, 1), host::Error);
  const host::NpyArray flat{.shape = {4}, .values = {1, 2, 3, 4}};
  CHECK_THROWS_AS(HwcFromChwArray("x.npy", flat, 2, 2, 1), host::Error);
}

}  // namespace
}  // namespace mu8::tool
