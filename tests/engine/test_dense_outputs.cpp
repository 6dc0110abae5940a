// Outputs of several positions: each is what a model of one position with its logits would give,
// and the scalars are what FORMAT.md says of all of them.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/src/statistics.h"
#include "mu8/mu8_c.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

constexpr std::size_t kPositions = 15;

TEST_CASE("dense outputs: a softmax of every position, and entropies of all") {
  const TestModel model = DenseOutputModel(3);
  const AlignedBytes file = model.File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {.mc_samples = 30, .seed = 9, .keep_logits = true}) ==
          Status::kOk);
  CHECK(engine.model.output_height() == 5);
  CHECK(engine.model.output_width() == 3);
  CHECK(engine.model.class_count() == 3);
  CHECK(engine.model.output_size() == 3 * kPositions);
  Prediction found;
  REQUIRE(engine.session.Predict(RandomPixels(engine.model, 1, 11), {&found, 1}) == Status::kOk);
  REQUIRE(found.mean.size() == 3 * kPositions);
  REQUIRE(found.output_entropy.size() == kPositions);
  CHECK(found.logits_stride == 3 * kPositions);
  CHECK(found.label == kNoLabel);
  double predictive = 0, expected = 0;
  for (std::size_t p = 0; p < kPositions; ++p) {
    // The same logits, of one position.
    std::vector<std::uint64_t> sum(3), square(3), entropy(1);
    const Sums sums{sum, square, entropy};
    for (std::size_t t = 0; t < 30; ++t) {
      AddSoftmax(found.logits.subspan(t * found.logits_stride + 3 * p, 3), sums, nullptr);
    }
    std::vector<float> mean(3), variance(3);
    Prediction alone;
    SummarizeSoftmax(sums, 30, {mean, variance}, &alone);
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(found.mean[3 * p + c] == mean[c]);
      CHECK(found.variance[3 * p + c] == variance[c]);
    }
    CHECK(found.output_entropy[p] == alone.predictive_entropy);
    CHECK(found.output_expected_entropy[p] == alone.expected_entropy);
    predictive += static_cast<double>(alone.predictive_entropy) / kPositions;
    expected += static_cast<double>(alone.expected_entropy) / kPositions;
  }
  CHECK(static_cast<double>(found.predictive_entropy) == doctest::Approx(predictive).epsilon(1e-6));
  CHECK(static_cast<double>(found.expected_entropy) == doctest::Approx(expected).epsilon(1e-6));
  CHECK(static_cast<double>(found.mutual_information) ==
        doctest::Approx(predictive - expected).epsilon(1e-4));
}

TEST_CASE("dense outputs: values and labels of every position are those of the kept logits") {
  for (const format::Head head : {format::Head::kValues, format::Head::kSigmoid}) {
    TestModel model = DenseOutputModel(2);
    model.content.head = head;
    if (head == format::Head::kValues) model.content.outputs.noise_variance = {0.5F, 2};
    const AlignedBytes file = model.File();
    Engine engine;
    REQUIRE(engine.Open(file.span(), {.mc_samples = 30, .keep_logits = true}) == Status::kOk);
    Prediction found;
    REQUIRE(engine.session.Predict(RandomPixels(engine.model, 1, 12), {&found, 1}) == Status::kOk);
    REQUIRE(found.mean.size() == 2 * kPositions);
    CHECK(found.output_entropy.size() == (head == format::Head::kSigmoid ? 2 * kPositions : 0));
    for (std::size_t i = 0; i < 2 * kPositions; ++i) {
      double sum = 0;
      for (std::size_t t = 0; t < 30; ++t) {
        const auto logit = static_cast<double>(found.logits[t * found.logits_stride + i]);
        sum += head == format::Head::kValues ? logit : 1 / (1 + std::exp(-logit));
      }
      CHECK(static_cast<double>(found.mean[i]) == doctest::Approx(sum / 30).epsilon(1e-5));
      if (head == format::Head::kValues) CHECK(found.noise_variance[i] == (i % 2 == 0 ? 0.5F : 2));
    }
  }
}

TEST_CASE("dense outputs: no stop rule holds, memory does not grow with T") {
  const AlignedBytes file = DenseOutputModel(3).File();
  Engine engine;
  Diagnostic diagnostic;
  for (const StopRule rule : {StopRule::kLabel, StopRule::kThreshold}) {
    CHECK(engine.Open(file.span(), {.stop = {.rule = rule}}, &diagnostic) == Status::kBadOption);
    CHECK(diagnostic.option == Option::kStopRule);
  }
  REQUIRE(engine.Open(file.span(), {}) == Status::kOk);
  CHECK(ArenaBytes(engine.model, {.mc_samples = 65536}) == ArenaBytes(engine.model, {}));
}

TEST_CASE("dense outputs: C says how many there are") {
  const AlignedBytes file = DenseOutputModel(3).File();
  mu8_model model;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  CHECK(mu8_model_output_height(&model) == 5);
  CHECK(mu8_model_output_width(&model) == 3);
  CHECK(mu8_model_class_count(&model) == 3);
  CHECK(mu8_model_output_size(&model) == 45);
  CHECK(mu8_model_output_size(nullptr) == 0);
}

}  // namespace
}  // namespace mu8::testing
