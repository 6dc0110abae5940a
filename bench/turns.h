// Comparing on a machine that is never quite quiet: the sides take turns within one run, many short
// ones, so that a slow moment meets all of them. A ratio is taken within a round, between turns
// that lie side by side in time, and its median over the rounds is reported.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace mu8::bench {

// The calling thread's processor time.
double ThreadSeconds();

struct TurnOptions {
  int rounds = 31;
  double turn_seconds = 0.004;  // least length of a turn
};

// seconds[side][round], each the mean of one turn's calls. Every side is warmed up for one turn.
using Laps = std::vector<std::vector<double>>;
Laps TakeTurns(const std::vector<std::function<void()>>& sides, const TurnOptions& options);

double Minimum(const std::vector<double>& values);
// Nearest rank: the smallest value that at least `fraction` of the values do not exceed.
double Percentile(std::vector<double> values, double fraction);
double Median(const std::vector<double>& values);
// Of numerator[i] / denominator[i].
std::vector<double> Ratios(const std::vector<double>& numerator,
                           const std::vector<double>& denominator);

}  // namespace mu8::bench
