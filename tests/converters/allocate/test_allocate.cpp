// Finding bit plans for networks in files: what is refused, and when.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "converters/allocate/allocate.h"
#include "tests/converters/convert_fixture.h"

namespace mu8::convert {
namespace {

using namespace testing;

TEST_CASE("allocate: layers without sigmas are all named before anything is measured") {
  const Folder folder;
  SmallNet net(1, 6, 6, 1, 0.1);
  net.Conv(4, {}).Relu().Spread(0.0).Conv(4, {}).Flatten().Gemm(3);
  std::vector<std::string> stages;
  AllocateOptions options;
  options.convert = net.Write(folder);
  options.convert.progress = [&](const std::string& stage, double) {
    if (stages.empty() || stages.back() != stage) stages.push_back(stage);
  };
  const std::vector<std::string> problems = ProblemsOf([&] { Allocator(options, {Request{}}); });
  REQUIRE(problems.size() == 2);
  CHECK(problems[0] ==
        "layer 'Conv3' has no sigmas: bits are allocated by the posterior's uncertainty");
  CHECK(problems[1].starts_with("layer 'Gemm5' has no sigmas"));
  CHECK(stages == std::vector<std::string>{"import"});
}

}  // namespace
}  // namespace mu8::convert
