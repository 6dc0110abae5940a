// What predictions by moments are calibrated with, and how near they then are to sampling.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "converters/host/error.h"
#include "converters/judge/layer_moments.h"
#include "converters/judge/moments_difference.h"
#include "converters/judge/set_moments.h"
#include "formats/reader.h"
#include "tests/converters/convert_fixture.h"
#include "tests/support/model_builder.h"

namespace mu8::convert {
namespace {

using namespace testing;

constexpr int kImages = 96;

SmallNet Residual(double spread) {
  SmallNet net(3, 10, 10, 11, spread);
  net.Conv(8, {.pads = {1, 1, 1, 1}}).Relu().Fork();
  net.Conv(8, {.pads = {1, 1, 1, 1}}).BatchNorm().Relu();
  net.Conv(8, {.pads = {1, 1, 1, 1}}).Join("Add").Relu().GlobalAverage().Flatten().Gemm(5);
  return net;
}

struct Made {
  Folder folder;
  ConvertOptions options;
  ConvertResult result;
  host::ModelFile file;
  format::View view;

  explicit Made(SmallNet net, MomentsOptions moments = {.images = 32, .passes = 60},
                const char* head = nullptr)
      : options(net.Write(folder, kImages)) {
    options.moments = moments;
    if (head != nullptr) options.head.head = FindHead(head);
    if (options.head.head == Head::kGaussian) options.head.scale = FindScale("log-variance");
    result = Convert(options);
    file = host::OpenBytes("net.mu8", result.file);
    view = format::Reopen(file.bytes.span());
  }
};

TEST_CASE("moments: a file has a record for each layer, and says what it was measured with") {
  const Made made(Residual(0.3));
  CHECK(made.file.model.has_moments());
  CHECK(made.result.moments.images == 32);
  CHECK(made.result.moments.output_images == 64);
  CHECK(made.result.moments.quality.images == 32);
  CHECK(made.file.model.Metadata("moments.images") == "32");
  CHECK(made.file.model.Metadata("moments.passes") == "60");
  REQUIRE(made.result.moments.layers.size() == made.view.layer_count());
  for (std::uint32_t i = 0; i < made.view.layer_count(); ++i) {
    const format::MomentsRecord found = made.view.layer_moments(i);
    CHECK(found.step == made.result.moments.layers[i].step);
    CHECK(found.factor == made.result.moments.layers[i].factor);
  }
  CHECK(made.view.layer_moments(made.view.layer_count() - 1).step == 1.0F);
}

TEST_CASE("moments: each layer's variances are the sampled ones on average, and fit") {
  const Made made(Residual(0.3));
  // Of all calibration images: two thirds were not fitted on.
  const host::Dataset data = host::LoadDataset(made.options.calibration_path, kImages);
  const auto layers = CompareMoments(made.file, data, 60, 5);
  REQUIRE(layers.size() == 4);
  for (const LayerMomentsDifference& layer : layers) {
    CAPTURE(&layer - layers.data());
    CHECK(layer.variance > 0);
    CHECK(layer.variance_ratio > 0.85);
    CHECK(layer.variance_ratio < 1.15);
    CHECK(layer.variance_correlation > 0.7);
    CHECK(layer.saturation < 0.001);
    CHECK(layer.sqnr_of_mean > 20);
  }
}

TEST_CASE("moments: predictions are near those of many passes") {
  const Made made(Residual(0.3));
  const MomentsQuality& quality = made.result.moments.quality;
  CHECK(quality.passes == 60);
  CHECK(quality.divergence < 0.01);
  CHECK(quality.correlation > 0.8);
  CHECK(quality.ratio_error > 0);
  CHECK(quality.ratio_error < 0.2);
  CHECK(std::fabs(quality.ratio - 1) < 0.1 + 3 * quality.ratio_error);
  CHECK(made.result.moments.notices.empty());
}

TEST_CASE("moments: numbers have their variance") {
  const Made made(Residual(0.2), {.images = 32, .passes = 60}, "values");
  const MomentsQuality& quality = made.result.moments.quality;
  CHECK(quality.ratio_error > 0);
  CHECK(quality.ratio_error < 0.2);
  CHECK(std::fabs(quality.ratio - 1) < 0.1 + 3 * quality.ratio_error);
  CHECK(quality.correlation > 0.5);
}

TEST_CASE("moments: labels have theirs") {
  const Made made(Residual(0.3), {.images = 32, .passes = 60}, "sigmoid");
  const MomentsQuality& quality = made.result.moments.quality;
  CHECK(quality.divergence < 0.01);
  CHECK(quality.correlation > 0.5);
  CHECK(std::fabs(quality.ratio - 1) < 0.1 + 3 * quality.ratio_error);
}

TEST_CASE("moments: gaussians have the variance of their means, and noise") {
  SmallNet net(3, 10, 10, 11, 0.2);
  net.Conv(8, {.pads = {1, 1, 1, 1}}).Relu().GlobalAverage().Flatten().Gemm(4);
  const Made made(std::move(net), {.images = 32, .passes = 60}, "gaussian");
  const MomentsQuality& quality = made.result.moments.quality;
  CHECK(quality.divergence < 3 * quality.divergence_of_passes);
  CHECK(std::fabs(quality.ratio - 1) < 0.1 + 3 * quality.ratio_error);
}

TEST_CASE("moments: a map's positions are judged one by one") {
  SmallNet net(3, 10, 10, 13, 0.3);
  net.Conv(8, {.pads = {1, 1, 1, 1}}).Relu().Conv(4, {.kernel = {1, 1}});
  const Made made(std::move(net), {.images = 16, .passes = 40}, "softmax");
  const MomentsQuality& quality = made.result.moments.quality;
  CHECK(quality.images == 32);
  CHECK(quality.divergence < 0.01);
  CHECK(quality.correlation > 0.8);
  CHECK(std::fabs(quality.ratio - 1) < 0.1 + 3 * quality.ratio_error);
}

TEST_CASE("moments: the same bytes again") {
  const Made one(Residual(0.3)), other(Residual(0.3));
  CHECK(one.result.file == other.result.file);
}

TEST_CASE("moments: layers before the first deviation have 1 and 1") {
  SmallNet net(2, 8, 8, 12, 0.3);
  net.Spread(0).Conv(6, {}).Relu().Spread(0.3).Conv(4, {}).Relu().Flatten().Gemm(3);
  const Made made(std::move(net));
  REQUIRE(made.view.layer_count() == 3);
  CHECK(made.view.layer_moments(0).step == 1.0F);
  CHECK(made.view.layer_moments(0).factor == 1.0F);
  CHECK(made.view.layer_moments(1).step != 1.0F);
}

TEST_CASE("moments: few calibration images are divided, one is not judged") {
  const Folder folder;
  ConvertOptions options = Residual(0.3).Write(folder, kImages);
  options.moments = {.images = 64, .passes = 10};
  options.calibration_limit = 9;
  ConvertResult result = Convert(options);
  CHECK(result.moments.images == 6);
  CHECK(result.moments.quality.images == 3);
  options.calibration_limit = 1;
  result = Convert(options);
  CHECK(result.moments.images == 1);
  CHECK(result.moments.quality.images == 0);
  CHECK(std::ranges::any_of(result.notices, [](const std::string& notice) {
    return notice.find("no calibration inputs are left") != std::string::npos;
  }));
}

TEST_CASE("moments: little memory takes fewer images, and says so") {
  mu8::testing::TestModel model = mu8::testing::TinyModel(4);
  const auto file = model.File();
  const host::ModelFile opened = host::OpenBytes("tiny", file.span());
  host::Dataset data{.height = static_cast<int>(opened.model.input_height()),
                     .width = static_cast<int>(opened.model.input_width()),
                     .channels = static_cast<int>(opened.model.input_channels()),
                     .count = 30};
  data.pixels = mu8::testing::RandomPixels(opened.model, 30, 1);
  const std::vector<std::byte> bytes(file.span().begin(), file.span().end());
  const auto images = [&](std::uint64_t most_bytes) {
    return SetMoments({.images = 8, .passes = 4}, 1, most_bytes, bytes, data, {}, &model.content);
  };
  CHECK(images(1 << 30).images == 8);
  const MomentsReport few = images(3 * LayerMomentsBytes(opened));
  CHECK(few.images == 3);
  REQUIRE(!few.notices.empty());
  CHECK(few.notices[0] == "moments are fitted on 3 inputs, more would take more than --max-memory");
  CHECK(images(0).images == 1);
}

TEST_CASE("moments: a network without them is refused by name") {
  const Folder folder;
  ConvertOptions options = Residual(0).Write(folder);
  options.moments = MomentsOptions{};
  CHECK_THROWS_WITH_AS(Convert(options),
                       "--moments: no weight has a deviation, all passes are the same",
                       host::Error);
  Network reconstruction;
  reconstruction.head = Head::kReconstruction;
  CHECK_THROWS_WITH_AS(CheckMoments(reconstruction),
                       "--moments: a reconstruction has no predictions by moments, the variance of "
                       "a sum of squared errors does not follow from variances",
                       host::Error);
}

}  // namespace
}  // namespace mu8::convert
