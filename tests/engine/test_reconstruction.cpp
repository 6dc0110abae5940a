// The head of reconstructions: errors against double over kept logits, their sums at the bounds,
// and whose targets they are.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/src/reconstruction.h"
#include "mu8/mu8_c.h"
#include "tests/support/effort.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

TestModel OfNumbers(TestModel model) {
  model.content.input_affine = {16, 128, 20, 100};
  return model;
}

// Error and variance of `passes` errors, of the kept logits beside the targets.
void CheckErrors(const TestModel& model, std::span<const float> image, const Prediction& found,
                 std::size_t passes) {
  const format::FileContent& content = model.content;
  const std::size_t channels = content.tensors[0].channels;
  double sum = 0, squares = 0;
  for (std::size_t t = 0; t < passes; ++t) {
    double error = 0;
    for (std::size_t i = 0; i < image.size(); ++i) {
      const format::Affine affine = content.outputs.targets[i % channels];
      const double target = static_cast<double>(image[i]) * static_cast<double>(affine.gain) +
                            static_cast<double>(affine.offset);
      error += std::pow(static_cast<double>(found.logits[t * found.logits_stride + i]) - target, 2);
    }
    error /= static_cast<double>(image.size());
    sum += error, squares += error * error;
  }
  const double t = static_cast<double>(passes), mean = sum / t;
  // A unit is 2^-16, and an output's error loses half of one on the average.
  CHECK(static_cast<double>(found.error) == doctest::Approx(mean).epsilon(1e-4));
  CHECK(static_cast<double>(found.error_variance) ==
        doctest::Approx(squares / t - mean * mean).epsilon(1e-3));
}

TEST_CASE("reconstruction: error and variance are those of the kept logits and the input") {
  for (const TestModel& model :
       {WithReconstruction(TinyModel(4, true, 8, 36)), DenseReconstructionModel(),
        OfNumbers(DenseReconstructionModel())}) {
    const AlignedBytes file = model.File();
    Engine engine;
    REQUIRE(engine.Open(file.span(), {.mc_samples = 30, .batch = 2, .keep_logits = true}) ==
            Status::kOk);
    CHECK(engine.model.head() == Head::kReconstruction);
    const std::size_t size = engine.model.input_size();
    CHECK(engine.model.output_size() == size);
    const auto pixels = RandomPixels(engine.model, 2, 11);
    std::vector<float> images(pixels.begin(), pixels.end());
    std::vector<Prediction> found(2);
    if (engine.model.input_kind() == InputKind::kNumbers) {
      images = AsNumbers(pixels);
      REQUIRE(engine.session.Predict(std::span<const float>(images), found) == Status::kOk);
    } else {
      REQUIRE(engine.session.Predict(pixels, found) == Status::kOk);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(found[i].error > 0.0F);
      CHECK(found[i].label == kNoLabel);
      CHECK(found[i].mean.size() == size);
      CheckErrors(model, std::span(images).subspan(i * size, size), found[i], 30);
    }
    CHECK(found[0].error != found[1].error);
  }
}

TEST_CASE("reconstruction: each output's squared error is the mean over the passes") {
  for (const TestModel& model :
       {WithReconstruction(TinyModel(4, true, 8, 36)), DenseReconstructionModel()}) {
    const AlignedBytes file = model.File();
    Engine engine;
    REQUIRE(engine.Open(file.span(), {.mc_samples = 30, .keep_logits = true}) == Status::kOk);
    const auto pixels = RandomPixels(engine.model, 1, 11);
    Prediction found;
    REQUIRE(engine.session.Predict(pixels, {&found, 1}) == Status::kOk);
    REQUIRE(found.target.size() == pixels.size());
    const std::size_t channels = model.content.tensors[0].channels;
    double sum = 0;
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      const format::Affine affine = model.content.outputs.targets[i % channels];
      CHECK(found.target[i] == static_cast<float>(pixels[i]) * affine.gain + affine.offset);
      double error = 0;
      for (std::size_t t = 0; t < 30; ++t) {
        const double d = static_cast<double>(found.logits[t * found.logits_stride + i]) -
                         static_cast<double>(found.target[i]);
        error += d * d / 30;
      }
      CHECK(static_cast<double>(SquaredError(found, i)) == doctest::Approx(error).epsilon(1e-4));
      sum += error;
    }
    CHECK(static_cast<double>(found.error) ==
          doctest::Approx(sum / static_cast<double>(pixels.size())).epsilon(1e-4));
    CHECK(std::isnan(SquaredError(found, pixels.size())));
    CHECK(std::isnan(SquaredError({}, 0)));
  }
}

TEST_CASE("reconstruction: a squared error is whole units, up to 2^40") {
  constexpr float kMost = std::numeric_limits<float>::max();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  CHECK(ErrorUnits(0, 1) == 0);
  CHECK(ErrorUnits(-3, 4) == 2);
  CHECK(ErrorUnits(3, 0x1p-20F) == 9U << 20);
  CHECK(ErrorUnits(0x1p20F, 1) == std::uint64_t{1} << 40);
  CHECK(ErrorUnits(0x1p20F, 2) == std::uint64_t{1} << 39);
  for (const float far : {0x1p21F, kMost, -kMost, kInfinity, -kInfinity}) {
    CHECK(ErrorUnits(far, 1) == format::kMostOutputError);
  }
  CHECK(ErrorUnits(0x1p-100F, 0x1p-126F) == 0);  // the square underflows
}

TEST_CASE("reconstruction: sums of errors are exact at their bounds") {
  const auto passes = static_cast<std::uint32_t>(Effort(65536, 4096));
  const auto moments = [&](std::uint64_t even, std::uint64_t odd) {
    std::uint64_t sums[3] = {};
    for (std::uint32_t t = 0; t < passes; ++t) AddError(t % 2 == 0 ? even : odd, sums);
    struct {
      float mean, variance;
    } found{};
    ErrorMoments(sums, passes, 0x1p-47F, 4, &found.mean, &found.variance);
    return found;
  };
  const std::uint64_t most = format::kMostError;
  CHECK(moments(most, most).mean == 0.25F);
  CHECK(moments(most, most).variance == 0.0F);
  CHECK(moments(most, 0).mean == 0.125F);
  CHECK(moments(most, 0).variance == 0.015625F);
  // One unit apart at the far end.
  CHECK(moments(most, most - 1).variance == 0x1p-100F);
}

// A pass's error stops at 2^47 units, in whatever order outputs are added.
TEST_CASE("reconstruction: errors beyond the bound are the bound") {
  TestModel model = DenseReconstructionModel();
  for (format::Affine& target : model.content.outputs.targets) target.offset = 0x1p100F;
  const AlignedBytes file = model.File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 5}) == Status::kOk);
  Prediction found;
  REQUIRE(engine.session.Predict(RandomPixels(engine.model, 1, 1), {&found, 1}) == Status::kOk);
  // 60 outputs of 2^40 units, 2^-16 each.
  CHECK(found.error == 0x1p24F);
  CHECK(found.error_variance == 0.0F);
}

TEST_CASE("reconstruction: floats for pixels are refused, pixels for numbers, too") {
  const AlignedBytes pixel_file = DenseReconstructionModel().File();
  const AlignedBytes number_file = OfNumbers(DenseReconstructionModel()).File();
  Engine pixels, numbers;
  REQUIRE(pixels.Open(pixel_file.span(), {.mc_samples = 2}) == Status::kOk);
  REQUIRE(numbers.Open(number_file.span(), {.mc_samples = 2}) == Status::kOk);
  const std::vector<float> values(pixels.model.input_size(), 0.5F);
  const std::vector<std::uint8_t> image(values.size(), 7);
  Prediction prediction;
  Diagnostic diagnostic;
  CHECK(pixels.session.Predict(std::span<const float>(values), {&prediction, 1}, &diagnostic) ==
        Status::kInputKind);
  CHECK(diagnostic.found == 1);
  CHECK(diagnostic.expected == 0);
  CHECK(numbers.session.Predict(image, {&prediction, 1}) == Status::kInputKind);
  CHECK(numbers.session.Predict(std::span<const float>(values), {&prediction, 1}) == Status::kOk);
  CHECK(pixels.Open(pixel_file.span(), {.stop = {.rule = StopRule::kLabel}}, &diagnostic) ==
        Status::kBadOption);
}

TEST_CASE("reconstruction: C has the error, too") {
  const AlignedBytes file = DenseReconstructionModel().File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 50, .seed = 1}) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 1, 11);
  Prediction expected;
  REQUIRE(engine.session.Predict(pixels, {&expected, 1}) == Status::kOk);
  mu8_model model;
  mu8_session session;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  CHECK(mu8_model_head(&model) == MU8_HEAD_RECONSTRUCTION);
  const mu8_options options = mu8_default_options();
  AlignedBytes arena(mu8_arena_bytes(&model, &options));
  REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) == 0);
  mu8_prediction found;
  REQUIRE(mu8_predict_u8(&session, pixels.data(), 1, &found, nullptr) == 0);
  CHECK(found.error == expected.error);
  CHECK(found.error_variance == expected.error_variance);
  CHECK(found.target[1] == expected.target[1]);
}

}  // namespace
}  // namespace mu8::testing
