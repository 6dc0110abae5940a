#include "converters/host/metrics_conformal.h"

#include <algorithm>
#include <vector>

#include "converters/host/metrics_ranking.h"

namespace mu8::host {
namespace {

double Score(float probability) { return 1.0 - static_cast<double>(probability); }

}  // namespace

ConformalSets SplitConformal(const Probabilities& probabilities, std::span<const int> labels,
                             double alpha) {
  const auto label_score = [&](std::size_t image) {
    return Score(probabilities.row(image)[static_cast<std::size_t>(labels[image])]);
  };
  std::vector<double> scores;
  for (std::size_t i = 0; i < labels.size(); i += 2) scores.push_back(label_score(i));
  ConformalSets result{.calibration_images = scores.size(),
                       .test_images = labels.size() - scores.size(),
                       .threshold = {}};
  const std::size_t rank = CountOf(1.0 - alpha, scores.size() + 1);
  if (rank <= scores.size()) {
    const auto at = scores.begin() + static_cast<std::ptrdiff_t>(rank) - 1;
    std::nth_element(scores.begin(), at, scores.end());
    result.threshold = *at;
  }

  const auto belongs = [&](double score) {
    return !result.threshold || score <= *result.threshold;
  };
  std::size_t covered = 0;
  std::size_t classes = 0;
  for (std::size_t i = 1; i < labels.size(); i += 2) {
    covered += belongs(label_score(i));
    for (const float p : probabilities.row(i)) classes += belongs(Score(p));
  }
  result.coverage = static_cast<double>(covered) / static_cast<double>(result.test_images);
  result.mean_set_size = static_cast<double>(classes) / static_cast<double>(result.test_images);
  return result;
}

}  // namespace mu8::host
