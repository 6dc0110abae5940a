// SessionOptions::profile: told of every layer of every pass, in order, and changing nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "mu8/mu8_c.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

using Event = std::tuple<std::uint32_t, std::uint32_t, bool>;  // pass, layer, begins

void Note(void* events, std::uint32_t layer, std::uint32_t pass, bool begins) {
  static_cast<std::vector<Event>*>(events)->emplace_back(pass, layer, begins);
}

// Layers before `prefix` once, the others in each pass.
std::vector<Event> Expected(std::uint32_t prefix, std::uint32_t layers, std::uint32_t passes) {
  std::vector<Event> events;
  for (std::uint32_t pass = 0; pass < passes; ++pass) {
    for (std::uint32_t layer = pass == 0 ? 0 : prefix; layer < layers; ++layer) {
      events.emplace_back(pass, layer, true);
      events.emplace_back(pass, layer, false);
    }
  }
  return events;
}

TEST_CASE("profile: every layer begins and ends once in its pass, in one call and in steps") {
  const AlignedBytes file = EveryOperatorModel(5).File();
  std::vector<Event> events;
  SessionOptions options{.mc_samples = 5,
                         .seed = 3,
                         .batch = 2,
                         .noise = Noise::kAntithetic,
                         .profile = Note,
                         .profile_context = &events};
  Engine engine, plain;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  options.profile = nullptr;
  REQUIRE(plain.Open(file.span(), options) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 2, 1);
  const auto bytes = PredictAll(&engine, pixels, 2);
  CHECK(bytes == PredictAll(&plain, pixels, 2));
  CHECK(events == Expected(5, 12, 5));

  events.clear();
  REQUIRE(engine.session.Begin(pixels, 2) == Status::kOk);
  while (engine.session.Step() == Status::kInProgress) {
  }
  CHECK(events == Expected(5, 12, 5));
}

TEST_CASE("profile: several workers tell of the same layers") {
  const AlignedBytes file = EveryOperatorModel().File();
  std::vector<Event> events;
  const SessionOptions options{
      .mc_samples = 6, .workers = 3, .profile = Note, .profile_context = &events};
  Engine engine;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  PredictAll(&engine, RandomPixels(engine.model, 1, 1), 1);
  // In turn here: a worker's passes, then the next one's.
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::get<0>(a) != std::get<0>(b)   ? std::get<0>(a) < std::get<0>(b)
           : std::get<1>(a) != std::get<1>(b) ? std::get<1>(a) < std::get<1>(b)
                                              : std::get<2>(a) > std::get<2>(b);
  });
  CHECK(events == Expected(0, 12, 6));
}

TEST_CASE("profile: the C API passes it on") {
  const AlignedBytes file = TinyModel(4).File();
  std::vector<Event> events;
  mu8_options options = mu8_default_options();
  CHECK((options.profile == nullptr));
  options.mc_samples = 2;
  options.profile = Note;
  options.profile_context = &events;
  mu8_model model;
  mu8_session session;
  mu8_prediction prediction;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  AlignedBytes arena(mu8_arena_bytes(&model, &options));
  REQUIRE(mu8_session_create(&model, &options, arena.data(), arena.size(), &session, nullptr) == 0);
  const std::vector<std::uint8_t> pixels(mu8_model_input_size(&model));
  REQUIRE(mu8_predict_u8(&session, pixels.data(), 1, &prediction, nullptr) == 0);
  CHECK(events == Expected(0, 2, 2));
}

}  // namespace
}  // namespace mu8::testing
