// The host's threads: every task runs once, and predictions do not depend on how many there are.
#include <doctest/doctest.h>

#include <atomic>
#include <vector>

#include "mu8/thread_pool.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

TEST_CASE("threads: every task of every round runs exactly once") {
  for (const std::uint32_t threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    std::vector<std::atomic<int>> runs(13);
    constexpr int kRounds = 3000;
    for (int round = 0; round < kRounds; ++round) {
      ThreadPool::For(
          &pool, static_cast<std::uint32_t>(runs.size()),
          [](void* job, std::uint32_t i) {
            (*static_cast<std::vector<std::atomic<int>>*>(job))[i].fetch_add(1);
          },
          &runs);
      for (const std::atomic<int>& count : runs) REQUIRE(count.load() == round + 1);
    }
  }
  CHECK(ThreadPool(0).size() >= 1);
}

TEST_CASE("threads: predictions are the same bytes for any number") {
  Random random(501);
  for (int i = 0; i < 12; ++i) {
    const AlignedBytes file = (i == 0 ? EveryOperatorModel() : RandomModel(&random)).File();
    SessionOptions options{.mc_samples = 9, .seed = 3, .batch = 4};
    if (i % 3 == 1) options.stop = {.rule = StopRule::kLabel, .error = 0.3F};
    const auto predict = [&](const SessionOptions& with) {
      Engine engine;
      REQUIRE(engine.Open(file.span(), with) == Status::kOk);
      return PredictAll(&engine, RandomPixels(engine.model, 8, 6), 4);
    };
    const auto one = predict(options);
    for (const std::uint32_t threads : {2U, 3U, 16U}) {
      ThreadPool pool(threads);
      options.workers = pool.size();
      options.parallel_for = ThreadPool::For;
      options.parallel_context = &pool;
      CAPTURE(i);
      CHECK(predict(options) == one);
    }
    options = {};
  }
}

}  // namespace
}  // namespace mu8::testing
