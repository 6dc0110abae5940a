#include "engine/src/stopping.h"

#include "engine/src/unit_probes.h"
#include "formats/real_math.h"

namespace mu8 {

float ProbeStopping(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

// Most of the wealth that one bet may lose: a game that has gone well once must be able to go on.
constexpr float kMostAtRisk = 63.0F / 64.0F;

// The share to bet on an advantage: about mean / mean square, which lets wealth grow fastest
// (Kelly), of the advantages so far and one that is hoped for. A function of the past alone.
float Bet(float sum, float square, float hoped, float most) {
  const float bet = (hoped + sum) / (hoped * hoped + square);
  return bet < 0.0F ? 0.0F : bet > most ? most : bet;
}

// How far the leader is ahead of the best other class: in [-1, 1].
float Lead(std::span<const float> probabilities, std::uint32_t leader) {
  float best = 0.0F;
  for (std::uint32_t c = 0; c < probabilities.size(); ++c) {
    if (c != leader && probabilities[c] > best) best = probabilities[c];
  }
  return probabilities[leader] - best;
}

void Learn(float advantage, Bets* bets) {
  bets->sum += advantage;
  bets->square += advantage * advantage;
}

// A step of the game: a pass, or with antithetic passes, which depend on each other, the mean of a
// pair. False after the first of a pair, which is no step yet.
bool TakeStep(Noise noise, std::uint32_t pass, Bets* bets, float* advantage) {
  if (noise != Noise::kAntithetic) return true;
  if (pass % 2 == 0) {
    bets->first_of_pair = *advantage;
    return false;
  }
  *advantage = 0.5F * (bets->first_of_pair + *advantage);
  return true;
}

Ended WatchLabel(const Stop& stop, bool first, float advantage, const Sums& sums,
                 StopState* state) {
  // The first pass (or pair) chose the leader, so nothing may be won with it.
  if (!first) {
    Bets& bets = state->bets;
    bets.wealth[0] *= 1.0F + Bet(bets.sum, bets.square, 1.0F, kMostAtRisk) * advantage;
  }
  Learn(advantage, &state->bets);
  const bool decided = state->bets.wealth[0] * stop.error >= 1.0F;
  return decided && MostProbable<std::uint64_t>(sums.sum) == state->leader ? Ended::kLabel
                                                                           : Ended::kAllSamples;
}

Decision WatchThreshold(const Stop& stop, float advantage, Bets* bets) {
  const float room_below = stop.threshold;  // advantages are in [-threshold, 1 - threshold]
  const float room_above = 1.0F - stop.threshold;
  const float above = Bet(bets->sum, bets->square, room_above, kMostAtRisk / room_below);
  const float below = Bet(-bets->sum, bets->square, room_below, kMostAtRisk / room_above);
  bets->wealth[0] *= 1.0F + above * advantage;
  bets->wealth[1] *= 1.0F - below * advantage;
  Learn(advantage, bets);
  if (bets->wealth[0] * stop.error >= 1.0F) return Decision::kAbove;
  if (bets->wealth[1] * stop.error >= 1.0F) return Decision::kBelow;
  return Decision::kUndecided;
}

bool IsChosen(const Stop& stop, std::size_t output) {
  return stop.chosen.empty() || stop.chosen[output] != 0;
}

Ended EndOf(Decision decision) {
  return decision == Decision::kAbove   ? Ended::kAbove
         : decision == Decision::kBelow ? Ended::kBelow
                                        : Ended::kAllSamples;
}

// The weight of step `step` (from 1), which past steps alone decide, with one that is hoped for.
float Weight(const StopState& state, float log, float step) {
  constexpr float kMostWeight = 0.5F;
  const float variance = (0.25F + state.bets.square) / step;
  const float growth = format::LogPositive(1.0F + step);
  const float best = format::SqrtPositive(2.0F * log / (variance * step * growth));
  const float weight = best < kMostWeight ? best : kMostWeight;
  return 1.0F - (1.0F - weight);  // rounded so that 1 - weight is exact
}

// The predictable plug-in empirical Bernstein confidence sequence of Waudby-Smith and Ramdas 2024,
// theorem 2, of a value x from 0 to 1.
Ended WatchWithin(const Stop& stop, float x, StopState* state) {
  // More than all rounding of the f32 parts can come to (STOPPING.md).
  constexpr float kRounding = 1.0F + 1.0F / 1024.0F;
  const float log = format::LogPositive(2.0F / stop.error);
  const float step = static_cast<float>(++state->steps);
  const Real steps = ToReal(state->steps), half = ToReal(0.5F);
  const float weight = Weight(*state, log, step);
  const float psi = (-format::LogPositive(1.0F - weight) - weight) / 4.0F;
  const float expected = ToFloat((half + state->total) / steps);
  const float away = x - expected;
  state->weights = state->weights + ToReal(weight);
  state->weighted = state->weighted + ToReal(weight) * ToReal(x);
  state->spent = state->spent + ToReal(4.0F * (away * away) * psi);
  state->total = state->total + ToReal(x);
  const float centered = x - ToFloat((half + state->total) / (steps + ToReal(1.0F)));
  state->bets.square += centered * centered;
  // The promise is about the plain mean, so its way from the weighted one counts.
  const Real shift = state->weighted / state->weights - state->total / steps;
  const Real half_width = (ToReal(log) + state->spent) / state->weights;
  const Real bound = half_width * ToReal(kRounding) + (shift < Real{} ? -shift : shift);
  return ToReal(stop.within) < bound ? Ended::kAllSamples : Ended::kWithin;
}

}  // namespace

Stop InShares(const Stop& stop, const Share& share) {
  const float width = share.high - share.low;
  Stop shares = stop;
  shares.threshold = (stop.threshold - share.low) / width;
  shares.within = stop.within / width;
  return shares;
}

Ended WatchPass(const Stop& stop, Noise noise, std::uint32_t pass,
                std::span<const float> probabilities, const Sums& sums, StopState* state) {
  const bool is_label = stop.rule == StopRule::kLabel;
  if (is_label && pass == 0) state->leader = MostProbable(probabilities);
  const bool is_within = stop.rule == StopRule::kWithin;
  float advantage = is_label    ? Lead(probabilities, state->leader)
                    : is_within ? probabilities[stop.class_index]
                                : probabilities[stop.class_index] - stop.threshold;
  if (!TakeStep(noise, pass, &state->bets, &advantage)) return Ended::kAllSamples;
  if (is_within) return WatchWithin(stop, advantage, state);
  const bool first = pass == (noise == Noise::kAntithetic ? 1U : 0U);
  return is_label ? WatchLabel(stop, first, advantage, sums, state)
                  : EndOf(WatchThreshold(stop, advantage, &state->bets));
}

std::uint32_t ChosenCount(const Stop& stop, std::size_t outputs) {
  std::uint32_t count = 0;
  for (std::size_t c = 0; c < outputs; ++c) count += IsChosen(stop, c) ? 1U : 0U;
  return count;
}

void ClearDecisions(const Stop& stop, std::span<Bets> bets, std::span<Decision> decisions) {
  for (std::size_t c = 0; c < decisions.size(); ++c) {
    bets[c] = {};
    decisions[c] = IsChosen(stop, c) ? Decision::kUndecided : Decision::kNotChosen;
  }
}

bool LeavesDoubt(const Stop& stop, const Doubt& doubt, const Share* share,
                 std::span<const float> mean, float predictive_entropy) {
  if (doubt.entropy_to != 0.0F && predictive_entropy >= doubt.entropy_from &&
      predictive_entropy <= doubt.entropy_to) {
    return true;
  }
  const auto is_near = [&](float value) {
    const float distance = value - stop.threshold;
    return (distance < 0.0F ? -distance : distance) < doubt.margin;
  };
  switch (stop.rule) {
    case StopRule::kLabel:
      return Lead(mean, MostProbable(mean)) < doubt.margin;
    case StopRule::kThreshold: {
      const float value = mean[stop.class_index];
      return is_near(share == nullptr ? value : (*share)(value));
    }
    case StopRule::kThresholds:
      for (std::size_t c = 0; c < mean.size(); ++c) {
        if (IsChosen(stop, c) && is_near(mean[c])) return true;
      }
      return false;
    case StopRule::kNone:
    case StopRule::kWithin:  // refused by Session::Create
      return false;
  }
  return true;
}

void DecideByMean(const Stop& stop, std::span<const float> mean, std::span<Decision> decisions) {
  for (std::size_t c = 0; c < decisions.size(); ++c) {
    if (!IsChosen(stop, c)) continue;
    decisions[c] = mean[c] > stop.threshold ? Decision::kAbove : Decision::kBelow;
  }
}

Ended WatchOutputs(const Stop& stop, Noise noise, std::uint32_t pass,
                   std::span<const float> probabilities, std::span<Bets> bets,
                   std::span<Decision> decisions) {
  bool all_decided = true;
  for (std::size_t c = 0; c < decisions.size(); ++c) {
    if (decisions[c] != Decision::kUndecided) continue;
    float advantage = probabilities[c] - stop.threshold;
    if (TakeStep(noise, pass, &bets[c], &advantage)) {
      decisions[c] = WatchThreshold(stop, advantage, &bets[c]);
    }
    all_decided = all_decided && decisions[c] != Decision::kUndecided;
  }
  return all_decided ? Ended::kDecided : Ended::kAllSamples;
}

}  // namespace mu8
