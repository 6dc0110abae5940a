// Sets of classes that hold the label with a promised probability: split conformal prediction. How
// large they must be says what a network's probabilities are worth.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "converters/host/metrics.h"

namespace mu8::host {

struct ConformalSets {
  std::size_t calibration_images = 0;
  std::size_t test_images = 0;
  // A class belongs to the set when 1 - p is at most this; nothing when there are too few
  // calibration images for `alpha`, and every class belongs.
  std::optional<double> threshold;
  double coverage = 0;       // fraction of test images whose set holds the label
  double mean_set_size = 0;  // classes; a set may be empty
};

// Score 1 - p[label] (LAC: Sadinle, Lei and Wasserman 2019; the first method of Angelopoulos and
// Bates 2021). Calibrates on the images of even index and tests on those of odd index. With
// n calibration images the threshold is the ceil((n + 1)(1 - alpha))-th smallest score: coverage is
// at least 1 - alpha on average if the images are exchangeable. `labels` as in metrics.h; needs two
// images or more.
ConformalSets SplitConformal(const Probabilities& probabilities, std::span<const int> labels,
                             double alpha);

}  // namespace mu8::host
