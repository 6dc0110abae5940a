#include "engine/src/stopping.h"

#include "formats/real_math.h"

namespace mu8 {
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

void Learn(float advantage, StopState* state) {
  state->sum += advantage;
  state->square += advantage * advantage;
}

Ended WatchLabel(const Stop& stop, bool first, float advantage, const Sums& sums,
                 StopState* state) {
  // The first pass (or pair) chose the leader, so nothing may be won with it.
  if (!first) {
    state->wealth[0] *= 1.0F + Bet(state->sum, state->square, 1.0F, kMostAtRisk) * advantage;
  }
  Learn(advantage, state);
  const bool decided = state->wealth[0] * stop.error >= 1.0F;
  return decided && MostProbable<std::uint64_t>(sums.sum) == state->leader ? Ended::kLabel
                                                                           : Ended::kAllSamples;
}

Ended WatchThreshold(const Stop& stop, float advantage, StopState* state) {
  const float room_below = stop.threshold;  // advantages are in [-threshold, 1 - threshold]
  const float room_above = 1.0F - stop.threshold;
  const float above = Bet(state->sum, state->square, room_above, kMostAtRisk / room_below);
  const float below = Bet(-state->sum, state->square, room_below, kMostAtRisk / room_above);
  state->wealth[0] *= 1.0F + above * advantage;
  state->wealth[1] *= 1.0F - below * advantage;
  Learn(advantage, state);
  if (state->wealth[0] * stop.error >= 1.0F) return Ended::kAbove;
  if (state->wealth[1] * stop.error >= 1.0F) return Ended::kBelow;
  return Ended::kAllSamples;
}

// The weight of step `step` (from 1), which past steps alone decide, with one that is hoped for.
float Weight(const StopState& state, float log, float step) {
  constexpr float kMostWeight = 0.5F;
  const float variance = (0.25F + state.square) / step;
  const float growth = format::LogPositive(1.0F + step);
  const float best = format::SqrtPositive(2.0F * log / (variance * step * growth));
  const float weight = best < kMostWeight ? best : kMostWeight;
  return 1.0F - (1.0F - weight);  // rounded so that 1 - weight is exact
}

// The predictable plug-in empirical Bernstein confidence sequence of Waudby-Smith and Ramdas 2024,
// theorem 2, of a value x from 0 to 1.
Ended WatchWithin(const Stop& stop, float x, StopState* state) {
  // More than all rounding of the f32 parts can come to (STOPPING.md).
  constexpr double kRounding = 1.0 + 1.0 / 1024.0;
  const float log = format::LogPositive(2.0F / stop.error);
  const float step = static_cast<float>(++state->steps);
  const auto steps = static_cast<double>(state->steps);
  const float weight = Weight(*state, log, step);
  const float psi = (-format::LogPositive(1.0F - weight) - weight) / 4.0F;
  const auto expected = static_cast<float>((0.5 + state->total) / steps);
  const float away = x - expected;
  state->weights += static_cast<double>(weight);
  state->weighted += static_cast<double>(weight) * static_cast<double>(x);
  state->spent += static_cast<double>(4.0F * (away * away) * psi);
  state->total += static_cast<double>(x);
  const float centered = x - static_cast<float>((0.5 + state->total) / (steps + 1.0));
  state->square += centered * centered;
  // The promise is about the plain mean, so its way from the weighted one counts.
  const double shift = state->weighted / state->weights - state->total / steps;
  const double half_width = (static_cast<double>(log) + state->spent) / state->weights;
  const double bound = half_width * kRounding + (shift < 0.0 ? -shift : shift);
  return bound <= static_cast<double>(stop.within) ? Ended::kWithin : Ended::kAllSamples;
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
  bool first = pass == 0;
  if (noise == Noise::kAntithetic) {
    if (pass % 2 == 0) {
      state->first_of_pair = advantage;
      return Ended::kAllSamples;
    }
    advantage = 0.5F * (state->first_of_pair + advantage);
    first = pass == 1;
  }
  if (is_within) return WatchWithin(stop, advantage, state);
  return is_label ? WatchLabel(stop, first, advantage, sums, state)
                  : WatchThreshold(stop, advantage, state);
}

}  // namespace mu8
