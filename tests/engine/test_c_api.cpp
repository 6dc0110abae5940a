// The C API: test_c_api.c uses it as C does; here its results meet the C++ API's.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "mu8/mu8_c.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

extern "C" {
int mu8_test_c_defaults(void);
int mu8_test_c_errors(const void* bytes, size_t size, void* arena, size_t arena_bytes);
int mu8_test_c_predict(const void* bytes, size_t size, void* arena, size_t arena_bytes,
                       const uint8_t* pixels, const float* values, float* results);
int mu8_test_c_decisions(const void* bytes, size_t size, void* arena, size_t arena_bytes,
                         const uint8_t* pixels, uint8_t* decisions);
}

namespace mu8::testing {
namespace {

// The number is the line in test_c_api.c.
TEST_CASE("c api: defaults and status texts") { CHECK(mu8_test_c_defaults() == 0); }

TEST_CASE("c api: wrong calls return the same statuses as C++") {
  const AlignedBytes file = TinyModel(4).File();
  AlignedBytes arena(65536);
  CHECK(mu8_test_c_errors(file.data(), file.size(), arena.data(), arena.size()) == 0);
}

TEST_CASE("c api: predicts the same bytes as C++") {
  const AlignedBytes file = TinyModel(4).File();
  Engine engine;
  const SessionOptions options{
      .mc_samples = 8, .seed = 1234567890123456789U, .batch = 2, .keep_logits = true};
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 2, 11);
  const std::vector<std::byte> expected = PredictAll(&engine, pixels, 2);

  GuardedBuffer arena(engine.session.arena_bytes());
  std::vector<float> results(expected.size() / sizeof(float));
  CHECK(mu8_test_c_predict(file.data(), file.size(), arena.Last(engine.session.arena_bytes()),
                           engine.session.arena_bytes(), pixels.data(), nullptr,
                           results.data()) == 0);
  CHECK(std::memcmp(results.data(), expected.data(), expected.size()) == 0);

  const std::vector<float> values(2 * engine.model.input_size(), 0.125F);
  std::vector<Prediction> predictions(2);
  REQUIRE(engine.session.Predict(std::span<const float>(values), predictions) == Status::kOk);
  std::vector<std::byte> bytes;
  for (const Prediction& prediction : predictions) AppendPrediction(prediction, &bytes);
  CHECK(mu8_test_c_predict(file.data(), file.size(), arena.Last(engine.session.arena_bytes()),
                           engine.session.arena_bytes(), nullptr, values.data(),
                           results.data()) == 0);
  CHECK(std::memcmp(results.data(), bytes.data(), bytes.size()) == 0);
}

TEST_CASE("c api: decides about several classes as C++ does") {
  const AlignedBytes file = TinyModel(4).File();
  AlignedBytes arena(65536);
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  const auto pixels = RandomPixels(model, 1, 12);
  std::vector<std::uint8_t> found(8), expected;
  CHECK(mu8_test_c_decisions(file.data(), file.size(), arena.data(), arena.size(), pixels.data(),
                             found.data()) == 0);
  const std::uint8_t ends[] = {1, 0, 1};
  for (const std::span<const std::uint8_t> chosen :
       {std::span<const std::uint8_t>(), std::span<const std::uint8_t>(ends)}) {
    Engine engine;
    const Stop stop{.rule = StopRule::kThresholds, .threshold = 0.4F, .chosen = chosen};
    REQUIRE(engine.Open(file.span(), {.stop = stop}) == Status::kOk);
    Prediction prediction;
    REQUIRE(engine.session.Predict(pixels, {&prediction, 1}) == Status::kOk);
    for (const Decision decision : prediction.decisions) {
      expected.push_back(static_cast<std::uint8_t>(decision));
    }
    expected.push_back(static_cast<std::uint8_t>(prediction.samples_used));
  }
  CHECK(found == expected);
  CHECK(std::count(found.begin(), found.end(), MU8_DECISION_BELOW) > 0);
}

}  // namespace
}  // namespace mu8::testing
