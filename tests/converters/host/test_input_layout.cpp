#include <doctest/doctest.h>

#include <numeric>

#include "converters/host/error.h"
#include "converters/host/input_layout.h"

namespace mu8::host {
namespace {

using Dims = std::vector<std::size_t>;

std::vector<float> Read(const Dims& dims, const InputSpec& wanted, std::string_view given = "") {
  std::size_t count = 1;
  for (const std::size_t dim : dims) count *= dim;
  std::vector<float> array(count), out;
  std::iota(array.begin(), array.end(), 0.0F);
  AppendNhwc(ReadLayout("x.npy", dims, wanted, given), array.data(), &out);
  return out;
}

TEST_CASE("layout: every layout of an input gives its NHWC elements") {
  const InputSpec image{.size = {2, 3, 4}};
  for (const std::string_view layout : {"nchw", "nhwc"}) {
    const Dims dims = layout == "nchw" ? Dims{4, 2, 3} : Dims{2, 3, 4};
    const std::vector<float> found = Read(dims, image);
    std::size_t i = 0;
    for (std::size_t y = 0; y < 2; ++y) {
      for (std::size_t x = 0; x < 3; ++x) {
        for (std::size_t c = 0; c < 4; ++c, ++i) {
          const std::size_t at = layout == "nchw" ? (c * 2 + y) * 3 + x : (y * 3 + x) * 4 + c;
          CHECK(found[i] == static_cast<float>(at));
        }
      }
    }
  }
  const InputSpec series{.size = {1, 3, 2}};
  CHECK(Read({2, 3}, series) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(Read({3, 2}, series) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(Read({2, 1, 3}, series) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(Read({5}, {.size = {1, 1, 5}}) == std::vector<float>{0, 1, 2, 3, 4});
  CHECK(Read({2, 2}, {.size = {2, 2, 1}}) == std::vector<float>{0, 1, 2, 3});  // nhw
}

TEST_CASE("layout: where sizes coincide the file's own is taken, and said") {
  InputSpec wanted{.size = {3, 3, 3}};
  ReadLayoutText("nhwc:3,3,3", &wanted);
  const ArrayReading own = ReadLayout("x.npy", Dims{3, 3, 3}, wanted, "");
  CHECK(own.layout == "nhwc");
  CHECK(own.notice.find("fit the layouts nhwc and nchw: taken as nhwc") != std::string::npos);
  const ArrayReading told = ReadLayout("x.npy", Dims{3, 3, 3}, wanted, "nchw");
  CHECK(told.layout == "nchw");
  CHECK(told.notice.empty());
  CHECK_THROWS_WITH_AS(ReadLayout("x.npy", Dims{3, 3, 3}, {.size = {3, 3, 3}}, ""),
                       doctest::Contains("which give different inputs: say which"), Error);
}

TEST_CASE("layout: another that alone fits is taken, and said") {
  InputSpec wanted{.size = {4, 5, 3}};
  ReadLayoutText("nchw:3,4,5", &wanted);
  const ArrayReading found = ReadLayout("x.npy", Dims{4, 5, 3}, wanted, "");
  CHECK(found.layout == "nhwc");
  CHECK(found.notice.find("taken as nhwc, the only layout that fits") != std::string::npos);
  CHECK(ReadLayout("x.npy", Dims{3, 4, 5}, wanted, "").notice.empty());
  // One channel: both are the same numbers in the same order.
  InputSpec grey{.size = {4, 5, 1}};
  ReadLayoutText("nchw:1,4,5", &grey);
  CHECK(ReadLayout("x.npy", Dims{4, 5, 1}, grey, "").notice.empty());
}

TEST_CASE("layout: what does not fit is refused with what would") {
  InputSpec wanted{.size = {4, 5, 3}};
  ReadLayoutText("nchw:3,4,5", &wanted);
  CHECK_THROWS_WITH_AS(ReadLayout("x.npy", Dims{5, 4, 3}, wanted, ""),
                       doctest::Contains("x.npy: an input of the array is (5, 4, 3), the model "
                                         "expects (3, 4, 5), layout nchw"),
                       Error);
  CHECK_THROWS_WITH_AS(ReadLayout("x.npy", Dims{60}, wanted, "nf"),
                       doctest::Contains("4x5x3 (height x width x channels), which has no layout"),
                       Error);
  CHECK_THROWS_AS(ReadLayout("x.npy", Dims{60}, wanted, ""), Error);  // two flat orders
}

TEST_CASE("layout: its text comes back, and other text says nothing") {
  InputSpec wanted{.size = {1, 1, 12}};
  ReadLayoutText("nhw:3,4", &wanted);  // flattened by the network
  CHECK(LayoutText(wanted) == "nhw:3,4");
  CHECK(Read({3, 4}, wanted).size() == 12);
  for (const char* text : {"", "nchw", "nxyz:1,2,3", "nhw:3,5", "nhw:12", "nhw:3,4,", "nhw:0,4",
                           "nhw:99999999999999999999,4", "nchw:4294967296,4294967296,12"}) {
    InputSpec other{.size = {1, 1, 12}};
    ReadLayoutText(text, &other);
    CHECK(other.layout.empty());
    CHECK(other.dims.empty());
  }
}

}  // namespace
}  // namespace mu8::host
