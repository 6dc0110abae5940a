// What a conversion says of one layer. The quantizers fill in what they know of its weights, lower/
// the rest.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "converters/settings.h"

namespace mu8::convert {

// One line of the table that `mu8 convert` prints.
struct LayerReport {
  std::string name;
  std::string op;
  std::string shape;        // "OHWI 6x5x5x1", "120x400", "28x28x6 -> 14x14x6"
  std::size_t weights = 0;  // 0 for layers without parameters; the fields below then do not apply
  MuBits mu_bits;           // as stored
  double average_mu_bits = 0;
  int sigma_bits = 0;
  bool bayesian = false;
  float weight_scale_min = 0, weight_scale_max = 0;  // s_w over the output channels
  double variance_kept = 0;                          // sum Var[w_q] / sum sigma^2
  double variance_kept_weighted = 0;                 // the same with E[x^2] of each weight's input
  double saturation = 0;                             // fraction of draws at +-127
  double mean_sqnr_db = 0;           // 10 log10(sum E[x^2] mu^2 / sum E[x^2] (E[w_q] - mu)^2)
  double noise_sqnr_db = 0;          // 10 log10 of noise power over the noise's error, same draws
  std::vector<double> panel_errors;  // 1/2 sum (E[w_q] - mu)^2 / sigma^2, nats; see ALLOCATION.md
  // Fraction of calibration outputs above the stored range; FunctionRanges::Saturation.
  double output_saturation = 0;
};

}  // namespace mu8::convert
