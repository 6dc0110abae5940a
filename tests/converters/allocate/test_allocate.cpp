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

TEST_CASE("allocate: a bias beyond the integers raises the weights' step, whatever their width") {
  const Folder folder;
  SmallNet net(1, 48, 95, 1, 0.1);
  net.Flatten().Gemm(2);
  for (onnx::TensorProto& tensor : *net.builder.graph().mutable_initializer()) {
    if (tensor.name() == "p1b") tensor.set_float_data(0, 1e9F);
  }
  AllocateOptions options;
  options.convert = net.Write(folder, 4);
  options.convert.head.head = Head::kValues;
  for (const std::string& method : AllocationMethods()) {
    CAPTURE(method);
    CHECK(Allocator(options, {Request{method, 4, 1}}).Find({method, 4, 1}).layers.size() == 1);
  }
  const ConvertResult result = Convert(options.convert);
  const mu8::testing::AlignedBytes bytes{std::span<const std::byte>(result.file)};
  mu8::testing::Engine engine;
  REQUIRE(engine.Open(bytes.span(), {.mc_samples = 1}) == Status::kOk);
  CHECK(result.layers[0].weight_scale_max > 0.1F);
}

TEST_CASE("allocate: a plan that the reader accepts is found by every method") {
  const Folder folder;
  SmallNet net(1, 6, 6, 1, 0.1);
  net.Conv(4, {}).Relu().Flatten().Gemm(3);
  AllocateOptions options;
  options.convert = net.Write(folder, 8);
  options.evaluations = 3;
  Allocator allocator(options, {Request{}});
  for (const std::string& method : AllocationMethods()) {
    CAPTURE(method);
    const Allocation found = allocator.Find({method, 4, 1});
    REQUIRE(found.layers.size() == 2);
    CHECK(found.average_bits <= 4);
    CHECK(found.divergence < 5);
  }
}

}  // namespace
}  // namespace mu8::convert
