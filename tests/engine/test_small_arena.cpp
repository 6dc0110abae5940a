// One image by one worker: panels lie among the activations, and layers of one output position draw
// theirs in pieces. Neither changes a byte of a prediction, and both save memory.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "mu8/mu8_c.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

std::vector<std::byte> Predict(const AlignedBytes& file, const SessionOptions& options,
                               std::size_t* arena_bytes) {
  Engine engine;
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  *arena_bytes = engine.session.arena_bytes();
  return PredictAll(&engine, RandomPixels(engine.model, 2, 7), 1);
}

TEST_CASE("small arena: pieces of panels of any size give the bytes of whole panels") {
  Random random(31);
  std::size_t sessions = 0, smaller = 0;
  for (int i = 0; i < 80; ++i) {
    CAPTURE(i);
    const AlignedBytes file = RandomModel(&random).File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    // A batch of two has its panels in a part of their own, whole.
    std::size_t bytes = 0, whole = 0;
    const std::vector<std::byte> expected =
        Predict(file, {.mc_samples = 3, .batch = 2, .kernels = KernelSet::kScalar}, &bytes);
    Predict(file, {.panel_bytes = 1U << 30}, &whole);
    for (const KernelSet set : RunnableKernels(model)) {
      for (const std::uint32_t most : {64U, 192U, 1000U, 16384U}) {
        const std::string name = NameOf(set);
        CAPTURE(name);
        CAPTURE(most);
        CHECK(Predict(file, {.mc_samples = 3, .kernels = set, .panel_bytes = most}, &bytes) ==
              expected);
        CHECK(bytes <= whole);
        ++sessions;
        smaller += bytes < whole ? 1U : 0U;
      }
    }
  }
  MESSAGE("sessions: " << sessions << ", with less memory than whole panels take: " << smaller);
  CHECK(smaller > 0);
}

TEST_CASE("small arena: the largest panel_bytes cut nothing") {
  const AlignedBytes file = TinyModel(4, true, 8, 64).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  const std::size_t whole = ArenaBytes(model, {.panel_bytes = 1U << 20});
  for (const std::uint32_t bytes : {0x7fffffffU, 0xfffffeffU, 0xffffff00U, 0xffffffffU}) {
    CHECK(ArenaBytes(model, {.panel_bytes = bytes}) == whole);
  }
}

TEST_CASE("small arena: panel_bytes in C is that of C++") {
  Random random(31);
  std::size_t smaller = 0;
  for (int i = 0; i < 20; ++i) {
    CAPTURE(i);
    const AlignedBytes file = RandomModel(&random).File();
    Engine engine;
    REQUIRE(engine.Open(file.span(), {.mc_samples = 3, .panel_bytes = 64}) == Status::kOk);
    const std::size_t bytes = engine.session.arena_bytes();
    mu8_model model;
    REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
    mu8_options options = mu8_default_options();
    options.mc_samples = 3;
    const std::size_t whole = mu8_arena_bytes(&model, &options);
    options.panel_bytes = 64;
    REQUIRE(mu8_arena_bytes(&model, &options) == bytes);
    smaller += bytes < whole ? 1U : 0U;
    GuardedBuffer arena(bytes);
    mu8_session session;
    REQUIRE(mu8_session_create(&model, &options, arena.Last(bytes), bytes, &session, nullptr) == 0);
    const std::size_t size = engine.model.input_size();
    const auto pixels = RandomPixels(engine.model, 2, 7);
    std::vector<std::byte> means, wanted;
    for (std::size_t image = 0; image < 2; ++image) {
      const std::uint8_t* const at = pixels.data() + image * size;
      mu8_prediction found;
      REQUIRE(mu8_predict_u8(&session, at, 1, &found, nullptr) == 0);
      Prediction prediction;
      REQUIRE(engine.session.Predict({at, size}, {&prediction, 1}) == Status::kOk);
      AppendBytes(std::span(found.mean, found.class_count), &means);
      AppendBytes(prediction.mean, &wanted);
    }
    CHECK(means == wanted);
  }
  CHECK(smaller > 0);
}

}  // namespace
}  // namespace mu8::testing
