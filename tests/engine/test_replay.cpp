// A prediction's replay record computes it again, bit for bit, and is right about what made it.
#include <doctest/doctest.h>

#include <cstring>
#include <optional>
#include <vector>

#include "formats/crc32c.h"
#include "formats/layout.h"
#include "mu8/mu8_c.h"
#include "tests/support/effort.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

std::vector<std::byte> All(const Model& model, const Prediction& p) {
  std::vector<std::byte> bytes;
  AppendPrediction(p, &bytes);
  AppendOthers(model, p, &bytes);
  AppendBytes(p.decisions, &bytes);
  const std::uint32_t words[] = {p.label, p.samples_used, p.clipped_passes};
  AppendBytes(std::span<const std::uint32_t>(words), &bytes);
  return bytes;
}

std::vector<std::byte> BytesOf(const ReplayRecord& record) {
  std::vector<std::byte> bytes;
  AppendBytes(std::span<const ReplayRecord>(&record, 1), &bytes);
  return bytes;
}

bool Ahead(void* left) { return (*static_cast<int*>(left))-- > 0; }

TEST_CASE("replay: a record is enough to compute a prediction again") {
  Random random(521);
  std::size_t ended[7] = {};
  for (int i = 0; i < Effort(150, 60); ++i) {
    const AlignedBytes file = RandomModel(&random).File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    int left = 0;
    SessionOptions options{.mc_samples = 2 + random.Below(25), .seed = random.Next(), .batch = 3};
    options.noise = random.OneIn(2) ? Noise::kAntithetic : Noise::kIndependent;
    options.stop = {.rule = random.OneOf({StopRule::kNone, StopRule::kLabel, StopRule::kThreshold,
                                          StopRule::kThresholds}),
                    .error = 0.4F,
                    .class_index = random.Below(model.class_count()),
                    .threshold = 0.55F};
    std::vector<std::uint8_t> chosen(model.class_count(), 1);
    if (random.OneIn(2)) {
      chosen[0] = model.class_count() > 1 ? 0 : 1;
      options.stop.chosen = chosen;
    }
    if (random.OneIn(3)) {
      left = random.Between(0, 20);
      options.keep_going = Ahead;
      options.keep_going_context = &left;
    }
    Engine engine;
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    const auto pixels = RandomPixels(model, 3, random.Next());
    std::vector<Prediction> predictions(3);
    REQUIRE(engine.session.Predict(pixels, predictions) == Status::kOk);
    for (std::size_t image = 0; image < 3; ++image) {
      const Prediction& p = predictions[image];
      ++ended[static_cast<std::size_t>(p.ended)];
      Engine again;
      REQUIRE(again.Open(file.span(), ReplayOptions(p.replay, options.stop.chosen)) == Status::kOk);
      Prediction replayed;
      const std::size_t size = model.input_size();
      REQUIRE(again.session.Predict(std::span(pixels).subspan(image * size, size),
                                    {&replayed, 1}) == Status::kOk);
      CAPTURE(i);
      CHECK(All(model, replayed) == All(model, p));
      if (p.ended == Ended::kDeadline) continue;
      CHECK(replayed.ended == p.ended);
      CHECK(BytesOf(replayed.replay) == BytesOf(p.replay));
    }
  }
  MESSAGE("all samples: " << ended[0] << ", label: " << ended[1] << ", above: " << ended[2]
                          << ", below: " << ended[3] << ", deadline: " << ended[4]
                          << ", decided: " << ended[6]);
  for (const std::size_t kind : {0U, 1U, 2U, 3U, 4U, 6U}) CHECK(ended[kind] > 0);
}

TEST_CASE("replay: the record says what the session was asked for, and nothing that was not") {
  const AlignedBytes file = TinyModel(4).File();
  const auto record = [&](const SessionOptions& options) {
    Engine engine;
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    Prediction prediction;
    const auto pixels = RandomPixels(engine.model, 1, 1);
    REQUIRE(engine.session.Predict(pixels, {&prediction, 1}) == Status::kOk);
    CHECK(prediction.replay.model_hash == engine.model.hash());
    return prediction.replay;
  };
  const ReplayRecord plain = record({.mc_samples = 7, .seed = 0x123456789abcdef0});
  CHECK(plain.seed == 0x123456789abcdef0);
  CHECK(plain.mc_samples == 7);
  CHECK(plain.samples_used == 7);
  CHECK(plain.method == Method::kSampling);
  CHECK(plain.noise == Noise::kIndependent);
  CHECK(plain.stop_rule == StopRule::kNone);
  CHECK(plain.stop_error == 0);
  CHECK(plain.format_major == 1);
  CHECK(plain.format_minor == 0);
  CHECK(plain.library_version == kLibraryVersion);
  // Of a rule that does not look at them, thresholds are not in the record.
  const SessionOptions label{
      .noise = Noise::kAntithetic,
      .stop = {.rule = StopRule::kLabel, .error = 0.25F, .class_index = 2, .threshold = 0.75F}};
  CHECK(record(label).stop_error == 0.25F);
  CHECK(record(label).stop_threshold == 0);
  CHECK(record(label).stop_class == 0);
  CHECK(record(label).noise == Noise::kAntithetic);
  const std::uint8_t two[] = {7, 0, 1}, one[] = {0, 0, 1};
  SessionOptions several{.stop = {.rule = StopRule::kThresholds, .threshold = 0.75F}};
  CHECK(record(several).stop_chosen_crc == 0);
  CHECK(record(several).stop_threshold == 0.75F);
  several.stop.chosen = two;
  const std::uint8_t as_bits[] = {1, 0, 1};
  CHECK(record(several).stop_chosen_crc == format::Crc32c(as_bits, 3));
  several.stop.chosen = one;
  CHECK(record(several).stop_chosen_crc != format::Crc32c(as_bits, 3));
}

TEST_CASE("replay: every file has a hash of its own, of its stored checksums") {
  const TestModel model = TinyModel(4);
  const AlignedBytes file = model.File();
  Model opened;
  REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
  format::FileHeader header;
  format::SectionRecord parameters;
  std::memcpy(&header, file.data(), sizeof(header));
  std::memcpy(&parameters, file.data() + sizeof(header) + 4 * sizeof(parameters),
              sizeof(parameters));
  const std::uint64_t expected = std::uint64_t{parameters.crc} << 32 | header.header_crc;
  CHECK(opened.hash() == expected);
  CHECK(Model().hash() == 0);
  // Weights change both halves, metadata the lower one.
  const auto hash = [](const TestModel& other) {
    const AlignedBytes changed = other.File();
    Model found;
    REQUIRE(Model::Open(changed.span(), &found) == Status::kOk);
    return found.hash();
  };
  TestModel named = model, weights = model;
  named.content.metadata["name"] = "another";
  weights.content.parameters[1][0] ^= 1;  // the last bit of a scale
  CHECK(hash(model) == opened.hash());
  CHECK((hash(named) >> 32) == (opened.hash() >> 32));
  CHECK(hash(named) != opened.hash());
  CHECK((hash(weights) >> 32) != (opened.hash() >> 32));
  CHECK((hash(weights) & 0xffffffff) != (opened.hash() & 0xffffffff));
}

TEST_CASE("replay: the C API's record and options are those of C++") {
  const AlignedBytes file = TinyModel(4).File();
  mu8_model model;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  mu8_options options = mu8_default_options();
  options.mc_samples = 40;
  options.seed = 77;
  options.noise = MU8_NOISE_ANTITHETIC;
  options.stop_rule = MU8_STOP_THRESHOLD;
  options.stop_error = 0.3F;
  options.stop_class = 2;
  options.stop_threshold = 0.4F;
  std::vector<float> means[2];
  mu8_replay_record record{};
  for (int run = 0; run < 2; ++run) {
    AlignedBytes arena(mu8_arena_bytes(&model, &options));
    mu8_session session;
    mu8_prediction prediction;
    REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) ==
            0);
    const std::vector<std::uint8_t> pixels(mu8_model_input_size(&model), 90);
    REQUIRE(mu8_predict_u8(&session, pixels.data(), 1, &prediction, nullptr) == 0);
    means[run].assign(prediction.mean, prediction.mean + prediction.class_count);
    record = prediction.replay;
    CHECK(record.model_hash == mu8_model_hash(&model));
    CHECK(record.samples_used == prediction.samples_used);
    CHECK(record.ended == prediction.ended);
    CHECK(record.stop_class == 2);
    options = mu8_replay_options(&record);
    CHECK(options.mc_samples == 40);
    CHECK(options.seed == 77);
    CHECK(options.noise == MU8_NOISE_ANTITHETIC);
    CHECK(options.stop_threshold == 0.4F);
  }
  CHECK(means[0] == means[1]);
  CHECK(mu8_replay_options(nullptr).mc_samples == 50);
  CHECK(mu8_model_hash(nullptr) == 0);
}

TEST_CASE("replay: in C, too, a record keeps the method, and a model says which it has") {
  CHECK(mu8_default_options().method == MU8_METHOD_SAMPLING);
  mu8_replay_record record{};
  CHECK(mu8_replay_options(&record).method == MU8_METHOD_SAMPLING);
  record.method = MU8_METHOD_MOMENTS;
  CHECK(mu8_replay_options(&record).method == MU8_METHOD_MOMENTS);
  TestModel model = TinyModel(4);
  const auto has_moments = [&model] {
    const AlignedBytes file = model.File();
    mu8_model opened;
    REQUIRE(mu8_model_open(file.data(), file.size(), &opened, nullptr) == 0);
    return mu8_model_has_moments(&opened);
  };
  CHECK(!has_moments());
  model.content.outputs.moments.assign(model.content.layers.size(), {1.0F, 1.0F});
  CHECK(has_moments());
  CHECK(!mu8_model_has_moments(nullptr));
}

}  // namespace
}  // namespace mu8::testing
