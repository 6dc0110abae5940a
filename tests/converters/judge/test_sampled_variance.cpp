// How much activations vary over sampled passes, against sums by hand.
#include <doctest/doctest.h>

#include <algorithm>

#include "converters/judge/engine_trace.h"
#include "converters/judge/sampled_variance.h"
#include "tests/converters/convert_fixture.h"

namespace mu8::convert {
namespace {

using namespace testing;

constexpr std::uint32_t kPasses = 7;
constexpr std::uint64_t kSeed = 3;

struct Made {
  Folder folder;
  host::ModelFile file;
  host::Dataset data;

  explicit Made(SmallNet net) {
    const ConvertOptions options = net.Write(folder);
    file = host::OpenBytes("net.mu8", Convert(options).file);
    data = host::LoadDataset(options.calibration_path, 19);  // no multiple of the batch
  }
};

SmallNet ThreeLayers() {
  SmallNet net(2, 8, 8, 5, 0.2);
  net.Conv(6, {.pads = {1, 1, 1, 1}}).Relu();
  net.Pool("MaxPool", {2, 2}, {2, 2}).Flatten().Gemm(4);
  return net;
}

TEST_CASE("sampled variances: the mean and the largest of those of single values") {
  const Made made(ThreeLayers());
  const auto found = SampledVariances(made.file, made.data, kPasses, kSeed, 1 << 30);
  EngineTrace trace(made.file, static_cast<std::uint32_t>(kPassGroup), kSeed,
                    *kernels::SelectKernels(kernels::DetectFeatures()));
  const std::uint32_t tensors = trace.view().tensor_count();
  REQUIRE(found.size() == tensors);
  REQUIRE(tensors == 3);  // input, convolution, pool
  std::vector<double> total(tensors, 0.0), largest(tensors, 0.0), count(tensors, 0.0);
  for (std::size_t group = 0; group * kPassGroup < made.data.count; ++group) {
    const std::size_t first = group * kPassGroup;
    const auto images = static_cast<std::uint32_t>(std::min(kPassGroup, made.data.count - first));
    trace.Load(made.data, first, images);
    std::vector<std::vector<std::vector<std::uint8_t>>> codes(tensors);
    for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
      trace.RunPass(static_cast<std::uint32_t>(group) * kPasses + pass);
      for (std::uint32_t t = 0; t < tensors; ++t) codes[t].push_back(trace.Stored(t));
    }
    for (std::uint32_t t = 0; t < tensors; ++t) {
      for (std::size_t i = 0; i < codes[t][0].size(); ++i) {
        double mean = 0, square = 0;
        for (const auto& pass : codes[t]) mean += pass[i];
        mean /= kPasses;
        for (const auto& pass : codes[t]) square += (pass[i] - mean) * (pass[i] - mean);
        total[t] += square / (kPasses - 1);
        largest[t] = std::max(largest[t], square / (kPasses - 1));
        ++count[t];
      }
    }
  }
  for (std::uint32_t t = 0; t < tensors; ++t) {
    CAPTURE(t);
    CHECK(found[t].mean == doctest::Approx(total[t] / count[t]));
    CHECK(found[t].largest == doctest::Approx(largest[t]));
    CHECK((found[t].mean > 0) == (t > 0));
  }
}

TEST_CASE("sampled variances: less memory changes nothing") {
  const Made made(ThreeLayers());
  const auto found = SampledVariances(made.file, made.data, kPasses, kSeed, 1 << 30);
  for (const std::uint64_t most : {std::uint64_t{0}, 3 * SampledVarianceBytes(made.file)}) {
    CAPTURE(most);
    const auto again = SampledVariances(made.file, made.data, kPasses, kSeed, most);
    for (std::size_t t = 0; t < found.size(); ++t) {
      CHECK(again[t].mean == found[t].mean);
      CHECK(again[t].largest == found[t].largest);
    }
  }
}

TEST_CASE("sampled variances: what all passes share has none") {
  SmallNet net(2, 8, 8, 6, 0.2);
  net.Spread(0).Conv(6, {}).Relu().Spread(0.2).Conv(4, {}).Relu().Flatten().Gemm(3);
  const Made made(std::move(net));
  const auto found = SampledVariances(made.file, made.data, kPasses, kSeed, 1 << 30);
  REQUIRE(found.size() == 3);
  CHECK(found[1].mean == 0);
  CHECK(found[1].largest == 0);
  CHECK(found[2].mean > 0);
}

}  // namespace
}  // namespace mu8::convert
