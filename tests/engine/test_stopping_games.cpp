// The sequential rule, number by number: every bet and every wealth beside engine/STOPPING.md in
// double precision, and the edges of what counts as doubt.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine/src/stopping.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

// The games of one output as the page has them.
struct Games {
  double sum = 0, square = 0, wealth[2] = {1, 1}, first_of_pair = 0;

  static double Bet(double sum, double square, double hoped, double most) {
    return std::clamp((hoped + sum) / (hoped * hoped + square), 0.0, most);
  }
  void Learn(double d) {
    sum += d;
    square += d * d;
  }
  void Label(double d, bool first) {
    if (!first) wealth[0] *= 1 + Bet(sum, square, 1, 63.0 / 64) * d;
    Learn(d);
  }
  void Threshold(double d, double h) {
    const double above = Bet(sum, square, 1 - h, 63.0 / 64 / h);
    const double below = Bet(-sum, square, h, 63.0 / 64 / (1 - h));
    wealth[0] *= 1 + above * d;
    wealth[1] *= 1 - below * d;
    Learn(d);
  }
};

void CheckNear(float found, double expected) {
  CHECK(static_cast<double>(found) == doctest::Approx(expected).epsilon(1e-4));
}

// Whether `wealth` is so close to what ends a game that rounding may decide.
bool IsClose(double wealth, float error) {
  return std::abs(wealth * static_cast<double>(error) - 1) < 1e-3;
}

// A stream of probabilities of class 0 that leans one way and later another, so that bets fall to 0
// and rise to the most that may be bet.
class Leaning {
 public:
  explicit Leaning(Random* random) : random_(random) {}

  float operator()() {
    if (random_->OneIn(12)) center_ = random_->Unit();
    const double p = center_ + 0.3 * (random_->Unit() - 0.5);
    return static_cast<float>(std::clamp(p, 0.0, 1.0));
  }

 private:
  Random* random_;
  double center_ = 0.5;
};

TEST_CASE("stopping: the threshold's two games are those of the page, bet by bet") {
  Random random(404);
  int decided = 0;
  for (int round = 0; round < 300; ++round) {
    const auto noise = random.OneIn(2) ? Noise::kIndependent : Noise::kAntithetic;
    const Stop stop{.rule = StopRule::kThreshold,
                    .error = random.OneOf({0.01F, 0.05F, 0.3F}),
                    .class_index = 1,
                    .threshold = random.OneOf({0.1F, 0.5F, 0.8F})};
    Leaning leaning(&random);
    StopState state;
    Games games;
    double first_of_pair = 0;
    for (std::uint32_t pass = 0; pass < 120; ++pass) {
      CAPTURE(round);
      CAPTURE(pass);
      const std::array<float, 3> p = {0.0F, leaning(), 0.0F};
      const Ended ended = WatchPass(stop, noise, pass, p, {}, &state);
      const double h = static_cast<double>(stop.threshold);
      double d = static_cast<double>(p[1]) - h;
      if (noise == Noise::kAntithetic && pass % 2 == 0) {
        first_of_pair = d;
        REQUIRE(ended == Ended::kAllSamples);
        continue;
      }
      if (noise == Noise::kAntithetic) d = (first_of_pair + d) / 2;
      games.Threshold(d, h);
      CheckNear(state.bets.wealth[0], games.wealth[0]);
      CheckNear(state.bets.wealth[1], games.wealth[1]);
      if (IsClose(games.wealth[0], stop.error) || IsClose(games.wealth[1], stop.error)) break;
      const double enough = 1 / static_cast<double>(stop.error);
      const Ended expected = games.wealth[0] >= enough   ? Ended::kAbove
                             : games.wealth[1] >= enough ? Ended::kBelow
                                                         : Ended::kAllSamples;
      REQUIRE(ended == expected);
      if (ended != Ended::kAllSamples) {
        ++decided;
        break;
      }
    }
  }
  MESSAGE("decisions by threshold: " << decided << " of 300");
  CHECK(decided > 100);
}

TEST_CASE("stopping: the label's game is that of the page, bet by bet") {
  Random random(405);
  int decided = 0;
  for (int round = 0; round < 300; ++round) {
    const auto noise = random.OneIn(2) ? Noise::kIndependent : Noise::kAntithetic;
    const Stop stop{.rule = StopRule::kLabel, .error = random.OneOf({0.01F, 0.05F, 0.3F})};
    Leaning leaning(&random);
    StopState state;
    Games games;
    std::array<std::uint64_t, 3> sum{};
    std::size_t leader = 0;
    double first_of_pair = 0;
    for (std::uint32_t pass = 0; pass < 120; ++pass) {
      CAPTURE(round);
      CAPTURE(pass);
      const float share = leaning();
      const std::array<float, 3> p = {0.9F * share, 0.1F, 0.9F * (1 - share)};
      for (std::size_t c = 0; c < 3; ++c) sum[c] += static_cast<std::uint64_t>(p[c] * 1e12F);
      const Ended ended = WatchPass(stop, noise, pass, p, {sum, {}, {}}, &state);
      if (pass == 0) leader = MostProbable(std::span<const float>(p));
      REQUIRE(state.leader == leader);
      double other = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        if (c != leader) other = std::max(other, static_cast<double>(p[c]));
      }
      double d = static_cast<double>(p[leader]) - other;
      if (noise == Noise::kAntithetic && pass % 2 == 0) {
        first_of_pair = d;
        REQUIRE(ended == Ended::kAllSamples);
        continue;
      }
      if (noise == Noise::kAntithetic) d = (first_of_pair + d) / 2;
      games.Label(d, pass == (noise == Noise::kAntithetic ? 1U : 0U));
      CheckNear(state.bets.wealth[0], games.wealth[0]);
      if (IsClose(games.wealth[0], stop.error)) break;
      const bool won = games.wealth[0] * static_cast<double>(stop.error) >= 1 &&
                       MostProbable(std::span<const std::uint64_t>(sum)) == leader;
      REQUIRE(ended == (won ? Ended::kLabel : Ended::kAllSamples));
      decided += won ? 1 : 0;
      if (won) break;
    }
  }
  MESSAGE("decisions by label: " << decided << " of 300");
  CHECK(decided > 100);
}

TEST_CASE(
    "stopping: of several outputs each chosen one plays the same games, until it is decided") {
  Random random(406);
  for (int round = 0; round < 100; ++round) {
    CAPTURE(round);
    const std::array<std::uint8_t, 4> chosen = {1, 0, 1, 1};
    const Stop all{
        .rule = StopRule::kThresholds, .error = 0.02F, .threshold = 0.4F, .chosen = chosen};
    CHECK(ChosenCount(all, 4) == 3);
    std::array<Bets, 4> bets;
    std::array<Decision, 4> decisions;
    bets[2].sum = bets[2].wealth[0] = 99;  // of an image before
    decisions.fill(Decision::kAbove);
    ClearDecisions(all, bets, decisions);
    CHECK(bets[2].sum == 0.0F);
    CHECK(bets[2].wealth[0] == 1.0F);
    std::array<StopState, 4> alone;
    std::array<Decision, 4> expected = {Decision::kUndecided, Decision::kNotChosen,
                                        Decision::kUndecided, Decision::kUndecided};
    CHECK(decisions == expected);
    std::vector<Leaning> leaning(4, Leaning(&random));
    for (std::uint32_t pass = 0; pass < 100; ++pass) {
      std::array<float, 4> p;
      for (std::size_t c = 0; c < 4; ++c) p[c] = leaning[c]();
      const Ended ended = WatchOutputs(all, Noise::kIndependent, pass, p, bets, decisions);
      bool undecided = false;
      for (std::uint32_t c = 0; c < 4; ++c) {
        if (expected[c] == Decision::kUndecided) {
          Stop one = all;
          one.rule = StopRule::kThreshold;
          one.class_index = c;
          const Ended of_one = WatchPass(one, Noise::kIndependent, pass, p, {}, &alone[c]);
          if (of_one == Ended::kAbove) expected[c] = Decision::kAbove;
          if (of_one == Ended::kBelow) expected[c] = Decision::kBelow;
        }
        undecided = undecided || expected[c] == Decision::kUndecided;
      }
      REQUIRE(decisions == expected);
      REQUIRE(ended == (undecided ? Ended::kAllSamples : Ended::kDecided));
      if (!undecided) break;
    }
  }
}

TEST_CASE("stopping: an empty choice is all outputs, and means decide those that are chosen") {
  const Stop all{.rule = StopRule::kThresholds, .threshold = 0.5F};
  CHECK(ChosenCount(all, 7) == 7);
  const std::array<std::uint8_t, 4> chosen = {1, 1, 0, 1};
  const Stop some{.rule = StopRule::kThresholds, .threshold = 0.5F, .chosen = chosen};
  const std::array<float, 4> mean = {0.5F, 0.75F, 0.75F, 0.25F};
  std::array<Decision, 4> decisions;
  decisions.fill(Decision::kNotChosen);
  DecideByMean(some, mean, decisions);
  CHECK(decisions ==
        std::array{Decision::kBelow, Decision::kAbove, Decision::kNotChosen, Decision::kBelow});
}

// Numbers that floats hold exactly, so that each edge is one.
TEST_CASE(
    "stopping: doubt is a margin without its end, or a band of entropy with both of its ends") {
  const Doubt margin{.margin = 0.25F};
  const Stop label{.rule = StopRule::kLabel};
  const auto doubts = [](const Stop& stop, const Doubt& doubt, std::vector<float> mean,
                         float entropy = 0.0F, const Share* share = nullptr) {
    return LeavesDoubt(stop, doubt, share, mean, entropy);
  };
  CHECK(doubts(label, margin, {0.5F, 0.375F, 0.125F}));
  CHECK_FALSE(doubts(label, margin, {0.5F, 0.25F, 0.25F}));
  CHECK(doubts(label, margin, {0.125F, 0.375F, 0.5F}));  // whichever class leads

  const Stop threshold{.rule = StopRule::kThreshold, .class_index = 1, .threshold = 0.5F};
  for (const auto& edge :
       {std::pair{0.25F, false}, {0.375F, true}, {0.5F, true}, {0.625F, true}, {0.75F, false}}) {
    CAPTURE(edge.first);
    CHECK(doubts(threshold, margin, {0.5F, edge.first}) == edge.second);
  }
  const Share share{-4.0F, 4.0F};  // 1 is a share of 5/8, 2 of 6/8
  CHECK(doubts(threshold, margin, {0.5F, 1.0F}, 0.0F, &share));
  CHECK_FALSE(doubts(threshold, margin, {0.5F, 2.0F}, 0.0F, &share));

  const std::array<std::uint8_t, 3> chosen = {1, 0, 1};
  const Stop some{.rule = StopRule::kThresholds, .threshold = 0.5F, .chosen = chosen};
  CHECK_FALSE(doubts(some, margin, {0.0F, 0.5F, 1.0F}));
  CHECK(doubts(some, margin, {0.5F, 0.0F, 1.0F}));
  CHECK(doubts(some, margin, {0.0F, 0.0F, 0.5F}));

  CHECK_FALSE(doubts({.rule = StopRule::kNone}, margin, {0.5F, 0.5F}));
  const Doubt band{.entropy_from = 0.25F, .entropy_to = 0.5F};
  for (const auto& edge :
       {std::pair{0.125F, false}, {0.25F, true}, {0.375F, true}, {0.5F, true}, {0.625F, false}}) {
    CAPTURE(edge.first);
    CHECK(doubts({.rule = StopRule::kNone}, band, {1.0F, 0.0F}, edge.first) == edge.second);
    CHECK(doubts(label, band, {1.0F, 0.0F}, edge.first) == edge.second);
  }
  CHECK_FALSE(doubts({.rule = StopRule::kNone}, {}, {1.0F, 0.0F}, 0.0F));  // no band
}

}  // namespace
}  // namespace mu8::testing
