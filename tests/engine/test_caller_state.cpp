// What a caller brings along and must not change a prediction: rounding modes, flushing to zero,
// null pointers, a parallel_for that does not do what it promises.
#include <doctest/doctest.h>

#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
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
  const auto pixels = RandomPixels(model, 1, 5);
  CHECK(engine.session.Predict(pixels, {static_cast<Prediction*>(nullptr), 1}, &why) ==
        Status::kNullPointer);
  CHECK(why.found == 2);
  SessionOptions chosen;
  chosen.stop.rule = StopRule::kThresholds;
  chosen.stop.chosen = {static_cast<const std::uint8_t*>(nullptr), model.class_count()};
  CHECK(ArenaBytes(model, chosen) == 0);
  CHECK(engine.Open(file.span(), chosen, &why) == Status::kBadOption);
  CHECK(why.option == Option::kStopChosen);
}

#if defined(__GLIBC__)
// A trap would end the program: where a call computes with what the caller gave, none is unmasked.
TEST_CASE("caller: traps that are unmasked do not spring") {
  const AlignedBytes file = TinyModel(4).File();
  Engine engine;
  REQUIRE(engine.Open(file.span(), {}) == Status::kOk);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> image(engine.model.input_size(), 0.5F);
  image[1] = std::numeric_limits<float>::infinity();
  SessionOptions stop, doubt;
  stop.stop = {.rule = StopRule::kLabel, .error = kNan};
  doubt.method = Method::kAuto;
  doubt.doubt = {.entropy_from = 0.0F, .entropy_to = kNan};
  Prediction prediction;
  std::vector<std::byte> memory(16);
  Session session;
  feclearexcept(FE_ALL_EXCEPT);
  feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);  // where the processor has traps
  const int unmasked = fegetexcept();
  const Status infinite = engine.session.Predict(image, {&prediction, 1});
  const std::size_t stop_bytes = ArenaBytes(engine.model, stop);
  const std::size_t doubt_bytes = ArenaBytes(engine.model, doubt);
  const Status created = Session::Create(engine.model, stop, memory, &session);
  const int still = fegetexcept();
  fedisableexcept(FE_ALL_EXCEPT);
  CHECK(infinite == Status::kInputNotFinite);
  CHECK(stop_bytes == 0);
  CHECK(doubt_bytes == 0);
  CHECK(created == Status::kBadOption);
  CHECK(still == unmasked);
}
#endif

struct Leaver {
  Session* session;
  int asked = 0;
};

TEST_CASE("caller: a run that is abandoned from within ends with kNotReady") {
  const AlignedBytes file = TinyModel(4).File();
  for (const bool steps : {false, true}) {
    Leaver leaver;
    SessionOptions options{.mc_samples = 8};
    options.keep_going = [](void* context) {
      auto* const one = static_cast<Leaver*>(context);
      if (++one->asked == 3) one->session->Abandon();
      return true;
    };
    options.keep_going_context = &leaver;
    Engine engine;
    REQUIRE(engine.Open(file.span(), options) == Status::kOk);
    leaver.session = &engine.session;
    const auto pixels = RandomPixels(engine.model, 1, 5);
    const std::span<const std::uint8_t> image(pixels);
    Status status = steps ? engine.session.Begin(image, 1) : engine.session.Run(image, 1);
    if (steps) {
      REQUIRE(status == Status::kOk);
      for (status = Status::kInProgress; status == Status::kInProgress;) {
        status = engine.session.Step();
      }
    }
    CHECK(status == Status::kNotReady);
    CHECK(engine.session.Result(0).mean.empty());
    CHECK(leaver.asked >= 3);
    leaver.asked = 10;
    CHECK(engine.session.Run(image, 1) == Status::kOk);
  }
}

}  // namespace
}  // namespace mu8::testing
