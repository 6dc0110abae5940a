// Abstaining: exactly where the file's measure is above its threshold, and nothing else changes.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "mu8/mu8_c.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

constexpr std::size_t kImages = 12;
constexpr SessionOptions kOptions{.mc_samples = 10, .seed = 6, .batch = kImages};

std::vector<Prediction> Predict(Engine* engine, const AlignedBytes& file) {
  REQUIRE(engine->Open(file.span(), kOptions) == Status::kOk);
  std::vector<Prediction> predictions(kImages);
  const auto pixels = RandomPixels(engine->model, kImages, 8);
  REQUIRE(engine->session.Predict(pixels, predictions) == Status::kOk);
  return predictions;
}

struct Case {
  TestModel model;
  AbstainMeasure measure;
  // Of output k of a position; the largest over the positions.
  std::function<float(const Prediction&, std::size_t)> value;
  std::size_t thresholds = 1;
};

float Largest(const Prediction& p, std::size_t k, std::size_t outputs, bool with_noise) {
  float largest = 0;
  for (std::size_t i = k; i < p.variance.size(); i += outputs) {
    largest = std::max(largest, p.variance[i] + (with_noise ? p.noise_variance[i] : 0.0F));
  }
  return largest;
}

std::vector<Case> Cases() {
  const auto of_head = [](TestModel model, format::Head head) {
    model.content.head = head;
    return model;
  };
  const auto entropy = [](const Prediction& p, std::size_t) { return p.predictive_entropy; };
  const auto information = [](const Prediction& p, std::size_t) { return p.mutual_information; };
  const auto variance = [](std::size_t outputs, bool with_noise) {
    return [=](const Prediction& p, std::size_t k) { return Largest(p, k, outputs, with_noise); };
  };
  TestModel noisy = of_head(TinyModel(2), format::Head::kValues);
  noisy.content.outputs.noise_variance = {0.5F, 2, 1e-3F};
  return {
      {TinyModel(4), AbstainMeasure::kPredictiveEntropy, entropy},
      {TinyModel(4), AbstainMeasure::kMutualInformation, information},
      {DenseOutputModel(3), AbstainMeasure::kMutualInformation, information},
      {of_head(TinyModel(8), format::Head::kSigmoid), AbstainMeasure::kPredictiveEntropy, entropy},
      {of_head(TinyModel(8), format::Head::kValues), AbstainMeasure::kVariance, variance(3, false),
       3},
      {noisy, AbstainMeasure::kTotalVariance, variance(3, true), 3},
      {WithGaussian(DenseOutputModel(4), format::ScaleForm::kLogVariance),
       AbstainMeasure::kTotalVariance, variance(2, true), 2},
      {DenseReconstructionModel(), AbstainMeasure::kVariance, variance(2, false), 2},
      {DenseReconstructionModel(), AbstainMeasure::kError,
       [](const Prediction& p, std::size_t) { return p.error; }},
  };
}

AlignedBytes FileWith(TestModel model, AbstainMeasure measure, std::vector<float> thresholds) {
  model.content.outputs.abstain = {static_cast<std::uint32_t>(measure), 10};
  model.content.outputs.abstain_thresholds = std::move(thresholds);
  return AlignedBytes(format::Write(model.content));
}

TEST_CASE("abstain: above a threshold and not at it, of any output; no number changes") {
  std::size_t abstained = 0, answered = 0;
  for (const Case& c : Cases()) {
    Engine plain;
    const AlignedBytes without = c.model.File();
    const auto expected = Predict(&plain, without);
    CHECK(plain.model.abstain_measure() == AbstainMeasure::kNone);
    // Of each output in turn a threshold that is the value of one image; the others never abstain.
    for (std::size_t k = 0; k < c.thresholds; ++k) {
      for (std::size_t at = 0; at < kImages; at += 3) {
        std::vector<float> thresholds(c.thresholds, 3e38F);
        thresholds[k] = c.value(expected[at], k);
        const AlignedBytes file = FileWith(c.model, c.measure, thresholds);
        Engine engine;
        const auto found = Predict(&engine, file);
        CHECK(engine.model.abstain_measure() == c.measure);
        CHECK(engine.model.abstain_samples() == 10);
        float threshold = -1;
        CHECK(engine.model.AbstainThreshold(static_cast<std::uint32_t>(k), &threshold));
        CHECK(threshold == thresholds[k]);
        CHECK(engine.session.arena_bytes() == plain.session.arena_bytes());
        for (std::size_t i = 0; i < kImages; ++i) {
          CHECK_FALSE(expected[i].abstains);
          CHECK(found[i].abstains == (c.value(expected[i], k) > thresholds[k]));
          ++(found[i].abstains ? abstained : answered);
          std::vector<std::byte> a, b;
          AppendPrediction(found[i], &a);
          AppendPrediction(expected[i], &b);
          CHECK(a == b);
        }
        CHECK_FALSE(found[at].abstains);
      }
    }
  }
  MESSAGE("abstained: " << abstained << ", answered: " << answered);
  CHECK(abstained > 50);
  CHECK(answered > 50);
}

TEST_CASE("abstain: a file without the section has no threshold, and no file an output too many") {
  Engine engine;
  float threshold = 7;
  const AlignedBytes without = TinyModel(4).File();
  Predict(&engine, without);
  CHECK_FALSE(engine.model.AbstainThreshold(0, &threshold));
  CHECK(engine.model.abstain_samples() == 0);
  CHECK_FALSE(Model().AbstainThreshold(0, &threshold));
  const AlignedBytes file = FileWith(TinyModel(4), AbstainMeasure::kPredictiveEntropy, {0.25F});
  Predict(&engine, file);
  CHECK_FALSE(engine.model.AbstainThreshold(3, &threshold));
  CHECK(threshold == 7);
  CHECK(engine.model.AbstainThreshold(2, &threshold));
  CHECK(threshold == 0.25F);
}

TEST_CASE("abstain: the C API says so") {
  const AlignedBytes file = FileWith(TinyModel(4), AbstainMeasure::kPredictiveEntropy, {0.0F});
  mu8_model model;
  mu8_session session;
  mu8_prediction prediction;
  const mu8_options options = mu8_default_options();
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  CHECK(mu8_model_abstain_measure(&model) == MU8_ABSTAIN_PREDICTIVE_ENTROPY);
  CHECK(mu8_model_abstain_measure(nullptr) == MU8_ABSTAIN_NONE);
  float threshold = 1;
  CHECK(mu8_model_abstain_threshold(&model, 0, &threshold));
  CHECK(threshold == 0);
  CHECK_FALSE(mu8_model_abstain_threshold(&model, 0, nullptr));
  AlignedBytes arena(mu8_arena_bytes(&model, &options));
  REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) == 0);
  const std::vector<std::uint8_t> pixels(mu8_model_input_size(&model), 100);
  REQUIRE(mu8_predict_u8(&session, pixels.data(), 1, &prediction, nullptr) == 0);
  CHECK(prediction.predictive_entropy > 0);
  CHECK(prediction.abstains);
}

}  // namespace
}  // namespace mu8::testing
