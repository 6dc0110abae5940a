// What a caller brings along and must not change a prediction: rounding modes, flushing to zero,
// null pointers, a parallel_for that does not do what it promises.
#include <doctest/doctest.h>

#include <cfenv>
#include <cstdint>
#include <vector>

#include "engine/src/float_state.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

constexpr int kModes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

// Runs every task in another rounding mode, and leaves that mode behind in its thread.
void InOtherModes(void*, std::uint32_t count, Task task, void* job) {
  for (std::uint32_t i = 0; i < count; ++i) {
    std::fesetround(kModes[(i + 1) % 4]);
    task(job, i);
  }
}

void RunsNothing(void*, std::uint32_t, Task, void*) {}
void LeavesTheLast(void*, std::uint32_t count, Task task, void* job) {
  for (std::uint32_t i = 0; i + 1 < count; ++i) task(job, i);
}
void RunsTooMany(void*, std::uint32_t count, Task task, void* job) {
  for (std::uint32_t i = 0; i < count + 3; ++i) task(job, i);
}

TEST_CASE("caller: no rounding mode changes a byte, and each is there again afterwards") {
  Random random(701);
  int executed = 0;
  for (int i = 0; i < 20; ++i) {
    const AlignedBytes file = (i == 0 ? EveryOperatorModel() : RandomModel(&random)).File();
    Model model;
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    const auto pixels = RandomPixels(model, 3, random.Next());
    const SessionOptions options{.mc_samples = 3, .seed = 9, .batch = 3};
    Engine engine;
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    const auto expected = PredictAll(&engine, pixels, options.batch);
    for (const int mode : kModes) {
      REQUIRE(std::fesetround(mode) == 0);
      Engine other;
      const Status status = other.Open(file.span(), options);
      const auto found = PredictAll(&other, pixels, options.batch);
      const int mode_after = std::fegetround();
      std::fesetround(FE_TONEAREST);
      REQUIRE(status == Status::kOk);
      CHECK(found == expected);
      CHECK(mode_after == mode);
      ++executed;
    }
    SessionOptions workers = options;
    workers.workers = 4;
    workers.parallel_for = InOtherModes;
    Engine parallel;
    REQUIRE(parallel.Open(file.span(), workers) == Status::kOk);
    const auto found = PredictAll(&parallel, pixels, options.batch);
    std::fesetround(FE_TONEAREST);
    CHECK(found == expected);
  }
  CHECK(executed == 80);
}

TEST_CASE(
    "caller: a parallel_for that leaves tasks undone is answered, one that repeats is not heard") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  const auto pixels = RandomPixels(model, 1, 5);
  for (const auto parallel_for : {RunsNothing, LeavesTheLast, RunsTooMany}) {
    const SessionOptions options{.mc_samples = 8, .workers = 4, .parallel_for = parallel_for};
    Engine engine;
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    Prediction prediction;
    Diagnostic why;
    const Status status = engine.session.Predict(pixels, {&prediction, 1}, &why);
    if (parallel_for == RunsTooMany) {
      CHECK(status == Status::kOk);
      continue;
    }
    CHECK(status == Status::kTasksNotRun);
    CHECK(why.found == (parallel_for == RunsNothing ? 4 : 1));
    CHECK(why.expected == 4);
    CHECK(engine.session.Result(0).mean.empty());
  }
}

TEST_CASE("caller: null pointers are answered with a status") {
  const AlignedBytes file = TinyModel(4).File();
  Model model;
  Diagnostic why;
  CHECK(Model::Open(file.span(), nullptr, &why) == Status::kNullPointer);
  CHECK(why.found == 2);
  CHECK(Model::Open({static_cast<const std::byte*>(nullptr), 64}, &model, &why) ==
        Status::kNullPointer);
  CHECK(why.found == 1);
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  Session session;
  const std::size_t bytes = ArenaBytes(model, {});
  CHECK(Session::Create(model, {}, {static_cast<std::byte*>(nullptr), bytes}, &session, &why) ==
        Status::kNullPointer);
  CHECK(why.found == 3);
  Engine engine;
  REQUIRE(engine.Open(file.span(), {}) == Status::kOk);
  CHECK(Session::Create(model, {}, {}, nullptr, &why) == Status::kNullPointer);
  CHECK(why.found == 4);
  Prediction prediction;
  const std::span<const std::uint8_t> none(static_cast<const std::uint8_t*>(nullptr),
                                           model.input_size());
  CHECK(engine.session.Predict(none, {&prediction, 1}, &why) == Status::kNullPointer);
  CHECK(why.found == 1);
}

}  // namespace
}  // namespace mu8::testing
