// The sequential rule: how often it decides wrongly, how soon it decides rightly.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "engine/src/stopping.h"
#include "tests/support/effort.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

struct Outcome {
  Ended ended = Ended::kAllSamples;
  std::uint32_t passes = 0;
  std::uint32_t label = 0;
};

// Watches up to `most` passes; draw(probabilities) fills those of one.
template <std::size_t kClasses, typename Draw>
Outcome Watch(const Stop& stop, Noise noise, std::uint32_t most, const Draw& draw) {
  std::array<std::uint64_t, kClasses> sum{};
  std::array<std::uint64_t, kClasses> square{};
  std::uint64_t entropy = 0;
  const Sums sums{sum, square, {&entropy, 1}};
  StopState state;
  for (std::uint32_t pass = 0; pass < most; ++pass) {
    std::array<float, kClasses> p{};
    draw(&p);
    for (std::size_t c = 0; c < kClasses; ++c) sum[c] += static_cast<std::uint64_t>(p[c] * 1e12F);
    const Ended ended = WatchPass(stop, noise, pass, p, sums, &state);
    if (ended != Ended::kAllSamples) return {ended, pass + 1, MostProbable<std::uint64_t>(sum)};
  }
  return {Ended::kAllSamples, most, MostProbable<std::uint64_t>(sum)};
}

// p of class 0 is high or low, so that its mean is `mean`.
auto TwoPoint(Random* random, float high, float low, double mean) {
  const double share = (mean - static_cast<double>(low)) / static_cast<double>(high - low);
  return [=](std::array<float, 2>* p) {
    (*p)[0] = random->Unit() < share ? high : low;
    (*p)[1] = 1.0F - (*p)[0];
  };
}

// At the boundary no decision is right, so every decision counts as an error.
TEST_CASE("stopping: wrong decisions are as rare as promised, however long one watches") {
  Random random(401);
  const int runs = Effort(20000, 2000);
  for (const float error : {0.05F, 0.2F}) {
    for (const float high : {0.999F, 0.9F, 0.6F}) {
      for (const StopRule rule : {StopRule::kLabel, StopRule::kThreshold}) {
        const float threshold = rule == StopRule::kLabel ? 0.5F : high * 0.3F;
        const auto draw = TwoPoint(&random, high, rule == StopRule::kLabel ? 1.0F - high : 0.0F,
                                   static_cast<double>(threshold));
        const Stop stop{.rule = rule, .error = error, .class_index = 0, .threshold = threshold};
        int above = 0;
        int below = 0;
        for (int i = 0; i < runs; ++i) {
          const Outcome outcome = Watch<2>(stop, Noise::kIndependent, 200, draw);
          if (outcome.ended == Ended::kBelow) {
            ++below;
          } else if (outcome.ended != Ended::kAllSamples) {
            ++above;
          }
        }
        CAPTURE(error);
        CAPTURE(high);
        CAPTURE(static_cast<int>(rule));
        // Three standard deviations of the count. Above and below promise `error` each.
        const double most =
            runs * static_cast<double>(error) + 3 * std::sqrt(runs * static_cast<double>(error));
        CHECK(above <= most);
        CHECK(below <= most);
        CHECK(above + below > 0);  // the game is on
      }
    }
  }
}

TEST_CASE("stopping: near-certain images take 6 passes, uncertain ones more") {
  const Stop stop{.rule = StopRule::kLabel, .error = 0.05F};
  const auto sure = [](std::array<float, 3>* p) { *p = {0.001F, 0.998F, 0.001F}; };
  const Outcome outcome = Watch<3>(stop, Noise::kIndependent, 50, sure);
  CHECK(outcome.ended == Ended::kLabel);
  CHECK(outcome.label == 1);
  CHECK(outcome.passes == 6);
  // A pair is one step: the first chooses the leader, five win.
  CHECK(Watch<3>(stop, Noise::kAntithetic, 50, sure).passes == 12);
  // Threshold decisions need no leader.
  const Stop above{.rule = StopRule::kThreshold, .class_index = 1, .threshold = 0.5F};
  CHECK(Watch<3>(above, Noise::kIndependent, 50, sure).passes == 5);
  const Stop below{.rule = StopRule::kThreshold, .class_index = 0, .threshold = 0.5F};
  const Outcome low = Watch<3>(below, Noise::kIndependent, 50, sure);
  CHECK(low.ended == Ended::kBelow);
  CHECK(low.passes == 5);

  const auto even = [](std::array<float, 2>* p) { *p = {0.5F, 0.5F}; };
  CHECK(Watch<2>(stop, Noise::kIndependent, 5000, even).ended == Ended::kAllSamples);
  const auto slight = [](std::array<float, 2>* p) { *p = {0.55F, 0.45F}; };
  const Outcome slow = Watch<2>(stop, Noise::kIndependent, 5000, slight);
  CHECK(slow.ended == Ended::kLabel);
  CHECK(slow.passes > 20);
}

TEST_CASE("stopping: a first pass that chose another label never decides for it") {
  const Stop stop{.rule = StopRule::kLabel, .error = 0.05F};
  int pass = 0;
  const Outcome outcome =
      Watch<2>(stop, Noise::kIndependent, 100, [&pass](std::array<float, 2>* p) {
        *p = pass++ == 0 ? std::array<float, 2>{0.9F, 0.1F} : std::array<float, 2>{0.1F, 0.9F};
      });
  CHECK(outcome.ended == Ended::kAllSamples);
  CHECK(outcome.label == 1);
}

// One bad pass must not ruin an image for good.
TEST_CASE("stopping: a single contrary pass only delays") {
  const Stop stop{.rule = StopRule::kLabel, .error = 0.05F};
  for (int bad = 1; bad < 5; ++bad) {
    int pass = 0;
    const Outcome outcome = Watch<2>(stop, Noise::kIndependent, 200, [&](std::array<float, 2>* p) {
      *p = pass++ == bad ? std::array<float, 2>{0.0F, 1.0F} : std::array<float, 2>{1.0F, 0.0F};
    });
    CAPTURE(bad);
    CHECK(outcome.ended == Ended::kLabel);
    CHECK(outcome.passes < 40);
  }
}

}  // namespace
}  // namespace mu8::testing
