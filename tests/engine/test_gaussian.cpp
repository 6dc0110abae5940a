// The head of numbers with noise: against sums in double over kept logits, the sums of variances
// at their bounds, and the noise that a file knows of.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/src/gaussian.h"
#include "formats/noise.h"
#include "mu8/mu8_c.h"
#include "tests/support/effort.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

using format::NoiseScale;
using format::ScaleBounds;
using format::ScaleForm;

double ExactVariance(ScaleForm form, double r) {
  if (form == ScaleForm::kLogVariance) return std::exp(r);
  const double deviation = std::log1p(std::exp(-std::abs(r))) + std::max(r, 0.0);
  return deviation * deviation;
}

TEST_CASE("gaussian: mean, variance and noise are those of the kept logits") {
  int clamped_some = 0;
  for (const ScaleForm form : {ScaleForm::kLogVariance, ScaleForm::kSoftplus}) {
    for (const TestModel& model :
         {WithGaussian(TinyModel(4, true, 8, 6), form), WithGaussian(EveryOperatorModel(), form)}) {
      const AlignedBytes file = model.File();
      Engine engine;
      REQUIRE(engine.Open(file.span(), {.mc_samples = 40, .seed = 9, .keep_logits = true}) ==
              Status::kOk);
      CHECK(engine.model.head() == Head::kGaussian);
      const std::size_t outputs = engine.model.class_count();
      CHECK(2 * outputs == model.content.layers.back().output_channels);
      Prediction found;
      REQUIRE(engine.session.Predict(RandomPixels(engine.model, 1, 11), {&found, 1}) ==
              Status::kOk);
      REQUIRE(found.mean.size() == outputs);
      REQUIRE(found.noise_variance.size() == outputs);
      CHECK(found.label == kNoLabel);
      CHECK(found.predictive_entropy == 0.0F);
      std::uint32_t clamped = 0;
      for (std::size_t k = 0; k < outputs; ++k) {
        const ScaleBounds bounds = model.content.outputs.scale_bounds[k];
        double sum = 0, squares = 0, noise = 0;
        for (std::size_t t = 0; t < 40; ++t) {
          const float value = found.logits[t * found.logits_stride + k];
          const float r = found.logits[t * found.logits_stride + outputs + k];
          sum += static_cast<double>(value);
          squares += static_cast<double>(value) * static_cast<double>(value);
          noise += ExactVariance(form, static_cast<double>(std::clamp(r, bounds.low, bounds.high)));
          clamped += r < bounds.low || r > bounds.high ? 1 : 0;
        }
        CHECK(static_cast<double>(found.mean[k]) == doctest::Approx(sum / 40).epsilon(1e-5));
        CHECK(static_cast<double>(found.variance[k]) ==
              doctest::Approx(squares / 40 - sum * sum / 1600).epsilon(1e-3));
        CHECK(static_cast<double>(found.noise_variance[k]) ==
              doctest::Approx(noise / 40).epsilon(1e-6));
      }
      CHECK(found.clamped_scales == clamped);
      clamped_some += clamped > 0 && clamped < 40 * outputs ? 1 : 0;
    }
  }
  CHECK(clamped_some == 4);
}

// The mean variance and the number of clamped scales of these r.
struct Noise {
  float variance;
  std::uint64_t clamped;
};
Noise NoiseOf(ScaleForm form, const ScaleBounds& bounds, const std::vector<float>& scales) {
  const NoiseScale scale(form, bounds);
  std::uint64_t sum[2] = {}, clamped = 0;
  for (const float r : scales) AddVariance(scale, r, sum, &clamped);
  return {MeanVariance(scale, sum, static_cast<std::uint32_t>(scales.size())), clamped};
}

TEST_CASE("gaussian: sums of variances are exact at their bounds") {
  const auto passes = static_cast<std::size_t>(Effort(65536, 4096));
  // 2^-40 and 2^40: as far apart as they may be.
  const ScaleBounds wide = {-27.72F, 28.4F};
  const float least = format::Exp(wide.low), most = format::Exp(wide.high);
  REQUIRE(format::NoiseShift(least, most) == format::kMaxVarianceShift);
  const auto log_noise = [&](const std::vector<float>& scales) {
    return NoiseOf(ScaleForm::kLogVariance, wide, scales);
  };
  CHECK(log_noise(std::vector<float>(passes, wide.low)).variance == least);
  CHECK(log_noise(std::vector<float>(passes, wide.high)).variance == most);
  CHECK(log_noise(std::vector<float>(passes, wide.high)).clamped == 0);
  const Noise beyond = log_noise(std::vector<float>(passes, 1e30F));
  CHECK(beyond.variance == most);
  CHECK(beyond.clamped == passes);
  CHECK(log_noise(std::vector<float>(passes, -std::numeric_limits<float>::max())).variance ==
        least);
  // One large among many small ones: nothing of the small ones is lost before the end.
  std::vector<float> mixed(passes, wide.low);
  mixed[3] = wide.high;
  const double exact =
      (static_cast<double>(most) + static_cast<double>(passes - 1) * static_cast<double>(least)) /
      static_cast<double>(passes);
  CHECK(log_noise(mixed).variance == static_cast<float>(exact));
  // Of softplus, where e^r is far below 1.
  const Noise small = NoiseOf(ScaleForm::kSoftplus, {-43.0F, -15.5F}, {-43.0F, -20.0F, -15.5F});
  const double wanted =
      (std::pow(std::log1p(std::exp(-43.0)), 2) + std::pow(std::log1p(std::exp(-20.0)), 2) +
       std::pow(std::log1p(std::exp(-15.5)), 2)) /
      3;
  CHECK(static_cast<double>(small.variance) == doctest::Approx(wanted).epsilon(1e-6));
}

TEST_CASE("gaussian: a variance stays between those of the bounds, and close to its formula") {
  Random random(131);
  for (const ScaleForm form : {ScaleForm::kLogVariance, ScaleForm::kSoftplus}) {
    double worst = 0;
    for (int i = 0; i < Effort(200000, 5000); ++i) {
      const float low = static_cast<float>(random.Unit() * 30 - 20);
      const ScaleBounds bounds = {low, low + static_cast<float>(random.Unit()) * 20 + 0.01F};
      const NoiseScale scale(form, bounds);
      const float r = bounds.low + static_cast<float>(random.Unit()) * (bounds.high - bounds.low);
      const float found = scale.variance(r);
      REQUIRE(found >= format::VarianceOf(form, bounds.low));
      REQUIRE(found <= format::VarianceOf(form, bounds.high));
      const double exact = ExactVariance(form, static_cast<double>(r));
      worst = std::max(worst, std::abs(static_cast<double>(found) - exact) / exact);
    }
    MESSAGE("variance: worst relative error " << worst);
    CHECK(worst < 7e-7);
  }
}

TEST_CASE("gaussian: bounds as far apart as they may be are accepted") {
  TestModel model = WithGaussian(TinyModel(2, true, 8, 4), ScaleForm::kLogVariance);
  model.content.outputs.scale_bounds = {{-27.72F, 28.4F}, {-87.0F, -31.3F}};
  const AlignedBytes file = model.File();
  Engine engine;
  Diagnostic diagnostic;
  CHECK(engine.Open(file.span(), {.mc_samples = 3}, &diagnostic) == Status::kOk);
  CHECK(engine.Open(file.span(), {.stop = {.rule = StopRule::kThreshold}}, &diagnostic) ==
        Status::kBadOption);
  CHECK(diagnostic.option == Option::kStopRule);
}

TEST_CASE("gaussian: values have the noise of the file, other heads have none") {
  TestModel model = TinyModel(2);
  model.content.head = format::Head::kValues;
  const AlignedBytes plain = model.File();
  model.content.outputs.noise_variance = {0.25F, 3, 1e-6F};
  const AlignedBytes noisy = model.File();
  Engine without, with;
  REQUIRE(without.Open(plain.span(), {.mc_samples = 4, .batch = 2}) == Status::kOk);
  REQUIRE(with.Open(noisy.span(), {.mc_samples = 4, .batch = 2}) == Status::kOk);
  const auto pixels = RandomPixels(with.model, 2, 1);
  std::vector<Prediction> expected(2), found(2);
  REQUIRE(without.session.Predict(pixels, expected) == Status::kOk);
  REQUIRE(with.session.Predict(pixels, found) == Status::kOk);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(expected[i].noise_variance.empty());
    REQUIRE(found[i].noise_variance.size() == 3);
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(found[i].mean[c] == expected[i].mean[c]);
      CHECK(found[i].variance[c] == expected[i].variance[c]);
      CHECK(found[i].noise_variance[c] == model.content.outputs.noise_variance[c]);
    }
  }
}

TEST_CASE("gaussian: a softmax skips a section 7 that it need not know") {
  const std::vector<std::byte> plain = format::Write(TinyModel(2).content);
  std::vector<format::Section> sections;
  for (std::uint32_t i = 0; i < 6; ++i) {
    format::SectionRecord record;
    std::memcpy(&record, plain.data() + sizeof(format::FileHeader) + i * sizeof(record),
                sizeof(record));
    const auto begin = plain.begin() + static_cast<std::ptrdiff_t>(record.offset);
    sections.push_back({record.id, 1, {begin, begin + static_cast<std::ptrdiff_t>(record.bytes)}});
  }
  sections.push_back({7, 0, std::vector<std::byte>(5, std::byte{1})});
  const AlignedBytes extended(format::Assemble(sections));
  const AlignedBytes original(plain);
  Engine with, without;
  REQUIRE(with.Open(extended.span(), {.mc_samples = 3}) == Status::kOk);
  REQUIRE(without.Open(original.span(), {.mc_samples = 3}) == Status::kOk);
  const auto pixels = RandomPixels(with.model, 2, 1);
  CHECK(PredictAll(&with, pixels, 1) == PredictAll(&without, pixels, 1));
}

TEST_CASE("gaussian: C has the noise, too") {
  const AlignedBytes file = WithGaussian(EveryOperatorModel(), ScaleForm::kSoftplus).File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 50, .seed = 1}) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 1, 11);
  Prediction expected;
  REQUIRE(engine.session.Predict(pixels, {&expected, 1}) == Status::kOk);
  mu8_model model;
  mu8_session session;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  CHECK(mu8_model_head(&model) == MU8_HEAD_GAUSSIAN);
  REQUIRE(mu8_model_class_count(&model) == 5);
  const mu8_options options = mu8_default_options();
  AlignedBytes arena(mu8_arena_bytes(&model, &options));
  REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) == 0);
  mu8_prediction found;
  REQUIRE(mu8_predict_u8(&session, pixels.data(), 1, &found, nullptr) == 0);
  CHECK(found.class_count == 5);
  CHECK(found.clamped_scales == expected.clamped_scales);
  CHECK(std::memcmp(found.noise_variance, expected.noise_variance.data(), 20) == 0);
}

}  // namespace
}  // namespace mu8::testing
