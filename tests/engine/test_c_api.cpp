// The C API: test_c_api.c uses it as C does; here its results meet the C++ API's.
#include <doctest/doctest.h>

#include <algorithm>
#include <string_view>
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

constexpr auto kNull = static_cast<std::int32_t>(Status::kNullPointer);

TEST_CASE("c api: of no model, session or scrubber there is nothing to tell") {
  CHECK(mu8_model_input_size(nullptr) == 0);
  CHECK(mu8_model_input_height(nullptr) == 0);
  CHECK(mu8_model_input_width(nullptr) == 0);
  CHECK(mu8_model_input_channels(nullptr) == 0);
  CHECK(mu8_model_class_count(nullptr) == 0);
  CHECK(mu8_model_output_height(nullptr) == 0);
  CHECK(mu8_model_output_width(nullptr) == 0);
  CHECK(mu8_model_output_size(nullptr) == 0);
  CHECK(mu8_model_head(nullptr) == 0);
  CHECK(mu8_model_input_kind(nullptr) == 0);
  CHECK(mu8_model_abstain_measure(nullptr) == 0);
  CHECK_FALSE(mu8_model_has_moments(nullptr));
  CHECK(mu8_model_hash(nullptr) == 0);
  CHECK(mu8_passes_done(nullptr) == 0);
  CHECK(mu8_scrub_rounds(nullptr) == 0);
  mu8_abandon(nullptr);
  CHECK(mu8_scrub(nullptr, 64, nullptr) == kNull);

  float low = 7, high = 7;
  CHECK_FALSE(mu8_model_output_range(nullptr, 0, &low, &high));
  CHECK_FALSE(mu8_model_abstain_threshold(nullptr, 0, &low));
  CHECK(low == 7.0F);
  mu8_options options = mu8_default_options();
  CHECK(mu8_arena_bytes(nullptr, &options) == 0);
  std::size_t fast = 7, slow = 7;
  mu8_arena_region_bytes(nullptr, &options, &fast, &slow);
  CHECK(fast == 0);
  CHECK(slow == 0);
  mu8_arena_region_bytes(nullptr, nullptr, nullptr, nullptr);
}

// Arguments are counted from 1, as in the header. A model without a place was once said to be the
// second one.
TEST_CASE("c api: the first null pointer among the arguments is named") {
  const AlignedBytes file = TinyModel(4).File();
  AlignedBytes arena(65536);
  mu8_model model;
  mu8_session session;
  mu8_scrubber scrubber;
  mu8_diagnostic why;
  const mu8_options options = mu8_default_options();
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  const auto names = [&why](std::int32_t status) {
    CHECK(status == kNull);
    CHECK(why.status == kNull);
    return why.found;
  };
  CHECK(names(mu8_model_open(nullptr, file.size(), &model, &why)) == 1);
  CHECK(names(mu8_model_open(file.data(), file.size(), nullptr, &why)) == 3);
  const auto create = [&](const mu8_model* m, const mu8_options* o, void* a, mu8_session* s) {
    return names(mu8_session_create(m, o, a, arena.size(), s, &why));
  };
  CHECK(create(nullptr, &options, arena.data(), &session) == 1);
  CHECK(create(&model, nullptr, arena.data(), &session) == 2);
  CHECK(create(&model, &options, nullptr, &session) == 3);
  CHECK(create(&model, &options, arena.data(), nullptr) == 5);
  CHECK(create(nullptr, nullptr, arena.data(), nullptr) == 1);
  REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) == 0);
  const std::vector<std::uint8_t> pixels(36);
  mu8_prediction prediction;
  CHECK(names(mu8_predict_u8(nullptr, pixels.data(), 1, &prediction, &why)) == 1);
  CHECK(names(mu8_predict_u8(&session, nullptr, 1, &prediction, &why)) == 2);
  CHECK(names(mu8_predict_u8(&session, pixels.data(), 1, nullptr, &why)) == 4);
  CHECK(names(mu8_scrubber_create(nullptr, &scrubber, &why)) == 1);
  CHECK(names(mu8_scrubber_create(&model, nullptr, &why)) == 2);
  char text[8] = "before";
  CHECK(mu8_explain(nullptr, text, sizeof(text)) == 0);
  CHECK(mu8_explain(&why, nullptr, sizeof(text)) == 0);
  CHECK(std::string_view(text) == "before");
}

}  // namespace
}  // namespace mu8::testing
