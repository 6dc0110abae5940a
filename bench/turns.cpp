#include "bench/turns.h"

#include <algorithm>
#include <cmath>
#include <ctime>

namespace mu8::bench {
namespace {

double Time(const std::function<void()>& side, long calls) {
  const double start = ThreadSeconds();
  for (long i = 0; i < calls; ++i) side();
  return (ThreadSeconds() - start) / static_cast<double>(calls);
}

// Calls that fill a turn, found by doubling; this is the warm-up too.
long CallsPerTurn(const std::function<void()>& side, double turn_seconds) {
  long calls = 1;
  for (;;) {
    const double each = Time(side, calls);
    if (each > 0 && each * static_cast<double>(calls) >= turn_seconds / 2) {
      return std::max(1L, std::lround(std::ceil(turn_seconds / each)));
    }
    calls *= 2;
  }
}

}  // namespace

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Laps TakeTurns(const std::vector<std::function<void()>>& sides, const TurnOptions& options) {
  std::vector<long> calls;
  for (const std::function<void()>& side : sides) {
    calls.push_back(CallsPerTurn(side, options.turn_seconds));
  }
  Laps laps(sides.size());
  for (int round = 0; round < options.rounds; ++round) {
    // Each round starts with another side, so that none always follows the same one's caches.
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const std::size_t side = (i + static_cast<std::size_t>(round)) % sides.size();
      sides[side]();  // its own data back into the caches
      laps[side].push_back(Time(sides[side], calls[side]));
    }
  }
  return laps;
}

double Minimum(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

double Percentile(std::vector<double> values, double fraction) {
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(fraction * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

double Median(const std::vector<double>& values) { return Percentile(values, 0.5); }

std::vector<double> Ratios(const std::vector<double>& numerator,
                           const std::vector<double>& denominator) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < numerator.size(); ++i) {
    ratios.push_back(numerator[i] / denominator[i]);
  }
  return ratios;
}

}  // namespace mu8::bench
