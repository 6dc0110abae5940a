// The sequential rule: how often it decides wrongly, how soon it decides rightly.
#include <doctest/doctest.h>

#include <algorithm>
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
  int trials = 0;
  double worst = 0;  // share of wrong decisions, of what is promised
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
        trials += runs;
        worst = std::max(worst, std::max(above, below) / (runs * static_cast<double>(error)));
      }
    }
  }
  MESSAGE("trials: " << trials << ", wrong decisions at most " << worst << " of what is promised");
  CHECK(trials == 12 * runs);
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

// Theorem 2 of Waudby-Smith and Ramdas 2024 as it stands there, in double precision: half the
// interval's width, and how far its middle is from the plain mean.
class Interval {
 public:
  explicit Interval(double error) : log_(std::log(2 / error)) {}

  void Add(double x) {
    const double t = ++count_;
    const double before = (0.5 + sum_) / t, variance = (0.25 + square_) / t;
    const double best = std::sqrt(2 * log_ / (variance * t * std::log(1 + t)));
    const double weight = std::min(best, 0.5);
    spent_ += 4 * std::pow(x - before, 2) * (-std::log(1 - weight) - weight) / 4;
    weights_ += weight;
    weighted_ += weight * x;
    sum_ += x;
    square_ += std::pow(x - (0.5 + sum_) / (t + 1), 2);
  }
  double mean() const { return sum_ / count_; }
  double within() const {
    return (log_ + spent_) / weights_ + std::abs(weighted_ / weights_ - mean());
  }

 private:
  double log_, count_ = 0, sum_ = 0, square_ = 0, spent_ = 0, weights_ = 0, weighted_ = 0;
};

// Draws values until the rule for `within` ends, at most `most`; the last bounds of both.
template <typename Draw>
std::uint32_t WatchWithin(const Stop& stop, std::uint32_t most, Interval* reference,
                          double* bound_before, const Draw& draw) {
  StopState state;
  for (std::uint32_t pass = 0; pass < most; ++pass) {
    const float x = draw();
    *bound_before = pass == 0 ? 1e9 : reference->within();
    reference->Add(static_cast<double>(x));
    if (WatchPass(stop, Noise::kIndependent, pass, {&x, 1}, {}, &state) == Ended::kWithin) {
      return pass + 1;
    }
  }
  return 0;
}

TEST_CASE("stopping: a mean is known as well as promised, and the bound is the theorem's") {
  Random random(402);
  const int runs = Effort(4000, 400);
  int trials = 0;
  double worst = 0;  // share of wrong means, of what is promised
  for (const float error : {0.05F, 0.5F}) {
    for (const float within : {0.2F, 0.1F}) {
      for (const double mean : {0.5, 0.1, 0.02}) {
        const Stop stop{.rule = StopRule::kWithin, .error = error, .within = within};
        int wrong = 0, ended = 0;
        for (int i = 0; i < runs; ++i) {
          Interval reference(static_cast<double>(error));
          double before = 0;
          const std::uint32_t passes = WatchWithin(
              stop, 2000, &reference, &before, [&] { return random.Unit() < mean ? 1.0F : 0.0F; });
          if (passes == 0) continue;
          ++ended;
          wrong += std::abs(reference.mean() - mean) > static_cast<double>(within) ? 1 : 0;
          // Neither sooner than the theorem allows nor later.
          REQUIRE(reference.within() <= static_cast<double>(within));
          REQUIRE(before * (1 + 1.0 / 512) > static_cast<double>(within));
        }
        CAPTURE(error);
        CAPTURE(within);
        CAPTURE(mean);
        CHECK(ended == runs);
        const double most = runs * static_cast<double>(error);
        CHECK(wrong <= most + 3 * std::sqrt(most));
        trials += runs;
        worst = std::max(worst, wrong / most);
      }
    }
  }
  MESSAGE("means: " << trials << ", wrong ones at most " << worst << " of what is promised");
}

TEST_CASE("stopping: steady values take few passes, pairs count as one, no pass is lost") {
  const Stop stop{.rule = StopRule::kWithin, .error = 0.05F, .within = 0.1F};
  const auto steady = [](std::array<float, 2>* p) { *p = {0.5F, 0.0F}; };
  const Outcome alone = Watch<2>(stop, Noise::kIndependent, 2000, steady);
  CHECK(alone.ended == Ended::kWithin);
  CHECK(alone.passes < 100);
  const Outcome pairs = Watch<2>(stop, Noise::kAntithetic, 2000, steady);
  CHECK(pairs.ended == Ended::kWithin);
  CHECK(pairs.passes == 2 * alone.passes);
  // A pair that cancels is as steady as one value.
  int pass = 0;
  const Outcome cancelling = Watch<2>(stop, Noise::kAntithetic, 2000, [&](std::array<float, 2>* p) {
    *p = {pass++ % 2 == 0 ? 1.0F : 0.0F, 0.0F};
  });
  CHECK(cancelling.passes == pairs.passes);
  MESSAGE("within 0.1 of the range at error 0.05: " << alone.passes << " steady passes");
}

TEST_CASE("stopping: thousands of passes do not wear the bound out") {
  const Stop stop{.rule = StopRule::kWithin, .error = 0.5F, .within = 0.012F};
  Random random(403);
  Interval reference(0.5);
  double before = 0;
  const std::uint32_t passes = WatchWithin(stop, 65536, &reference, &before,
                                           [&] { return random.Unit() < 0.5 ? 1.0F : 0.0F; });
  MESSAGE("within 0.012: " << passes << " passes");
  CHECK(passes > 5000);
  CHECK(reference.within() <= 0.012);
  CHECK(before * (1 + 1.0 / 512) > 0.012);
}

TEST_CASE("stopping: values become shares of their range, and what lies outside is clipped") {
  const Share share{-2.0F, 6.0F};
  CHECK(share(-2.0F) == 0.0F);
  CHECK(share(0.0F) == 0.25F);
  CHECK(share(6.0F) == 1.0F);
  CHECK(share(-1e30F) == 0.0F);
  CHECK(share(1e30F) == 1.0F);
  CHECK_FALSE(share.clips(-2.0F));
  CHECK_FALSE(share.clips(6.0F));
  CHECK(share.clips(6.5F));
  CHECK(share.clips(-2.5F));
  const Stop stop = InShares({.threshold = 2.0F, .within = 0.8F}, share);
  CHECK(stop.threshold == 0.5F);
  CHECK(stop.within == 0.1F);
}

}  // namespace
}  // namespace mu8::testing
