#include "converters/host/metrics_ranking.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mu8::host {
namespace {

// The images of one score.
struct Group {
  std::size_t negatives = 0;
  std::size_t positives = 0;
};

// From the lowest score up.
std::vector<Group> GroupByScore(std::span<const double> negatives,
                                std::span<const double> positives) {
  std::vector<std::pair<double, bool>> scores;  // score, is positive
  scores.reserve(negatives.size() + positives.size());
  for (const double score : negatives) scores.emplace_back(score, false);
  for (const double score : positives) scores.emplace_back(score, true);
  std::sort(scores.begin(), scores.end());
  std::vector<Group> groups;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (i == 0 || scores[i].first != scores[i - 1].first) groups.emplace_back();
    ++(scores[i].second ? groups.back().positives : groups.back().negatives);
  }
  return groups;
}

double AurocOf(std::span<const Group> groups, std::size_t negatives, std::size_t positives) {
  // Twice the pairs in order, a tie being half a pair: whole numbers, so the sum is exact.
  double pairs = 0;
  double below = 0;  // negatives of lower score
  for (const Group& group : groups) {
    const auto here = static_cast<double>(group.negatives);
    pairs += static_cast<double>(group.positives) * (2 * below + here);
    below += here;
  }
  return pairs / (2 * static_cast<double>(negatives) * static_cast<double>(positives));
}

// `wanted` are the counts to be found and `groups` are in the order of finding.
template <typename Groups>
double AveragePrecisionOf(const Groups& groups, std::size_t Group::*wanted,
                          std::size_t Group::*other, std::size_t total) {
  double sum = 0;
  std::size_t found = 0;
  std::size_t taken = 0;
  for (const Group& group : groups) {
    found += group.*wanted;
    taken += group.*wanted + group.*other;
    sum += static_cast<double>(group.*wanted) * static_cast<double>(found) /
           static_cast<double>(taken);
  }
  return sum / static_cast<double>(total);
}

double FalsePositiveRateOf(std::span<const Group> groups, std::size_t negatives,
                           std::size_t positives, double recall) {
  const std::size_t enough = CountOf(recall, positives);
  std::size_t found = 0;
  std::size_t alarms = 0;
  for (std::size_t i = groups.size(); i > 0 && found < enough; --i) {
    found += groups[i - 1].positives;
    alarms += groups[i - 1].negatives;
  }
  return static_cast<double>(alarms) / static_cast<double>(negatives);
}

}  // namespace

double Auroc(std::span<const double> negatives, std::span<const double> positives) {
  return AurocOf(GroupByScore(negatives, positives), negatives.size(), positives.size());
}

double AveragePrecision(std::span<const double> negatives, std::span<const double> positives) {
  std::vector<Group> groups = GroupByScore(negatives, positives);
  std::reverse(groups.begin(), groups.end());
  return AveragePrecisionOf(groups, &Group::positives, &Group::negatives, positives.size());
}

double FalsePositiveRate(std::span<const double> negatives, std::span<const double> positives,
                         double recall) {
  return FalsePositiveRateOf(GroupByScore(negatives, positives), negatives.size(), positives.size(),
                             recall);
}

std::optional<Detection> Detect(std::span<const double> negatives,
                                std::span<const double> positives) {
  if (negatives.empty() || positives.empty()) return std::nullopt;
  std::vector<Group> groups = GroupByScore(negatives, positives);
  Detection result;
  result.auroc = AurocOf(groups, negatives.size(), positives.size());
  result.fpr95 = FalsePositiveRateOf(groups, negatives.size(), positives.size(), 0.95);
  result.aupr_negative =
      AveragePrecisionOf(groups, &Group::negatives, &Group::positives, negatives.size());
  std::reverse(groups.begin(), groups.end());
  result.aupr_positive =
      AveragePrecisionOf(groups, &Group::positives, &Group::negatives, positives.size());
  return result;
}

std::vector<Ranked> SortDescending(std::span<const double> scores, std::span<const double> values) {
  std::vector<Ranked> sorted;
  sorted.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) sorted.push_back({scores[i], values[i]});
  std::sort(sorted.begin(), sorted.end(),
            [](const Ranked& a, const Ranked& b) { return a.score > b.score; });
  for (std::size_t first = 0; first < sorted.size();) {
    std::size_t end = first;
    double sum = 0;
    for (; end < sorted.size() && sorted[end].score == sorted[first].score; ++end) {
      sum += sorted[end].value;
    }
    const double mean = sum / static_cast<double>(end - first);
    for (; first < end; ++first) sorted[first].value = mean;
  }
  return sorted;
}

std::vector<double> RiskCoverage(std::span<const double> confidence,
                                 std::span<const double> correct) {
  std::vector<double> risk;
  risk.reserve(confidence.size());
  double errors = 0;
  for (const Ranked& image : SortDescending(confidence, correct)) {
    errors += 1.0 - image.value;
    risk.push_back(errors / static_cast<double>(risk.size() + 1));
  }
  return risk;
}

double Aurc(std::span<const double> risk) {
  double sum = 0;
  for (const double value : risk) sum += value;
  return sum / static_cast<double>(risk.size());
}

double RiskAtCoverage(std::span<const double> risk, double coverage) {
  return risk[std::max<std::size_t>(CountOf(coverage, risk.size()), 1) - 1];
}

Answered AtConfidence(std::span<const double> confidence, std::span<const double> correct,
                      double threshold) {
  Answered result;
  for (std::size_t i = 0; i < confidence.size(); ++i) {
    if (confidence[i] < threshold) continue;
    ++result.images;
    result.correct += correct[i];
  }
  return result;
}

std::size_t CountOf(double fraction, std::size_t count) {
  constexpr double kSlack = 1e-9;
  return static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(count) - kSlack));
}

}  // namespace mu8::host
