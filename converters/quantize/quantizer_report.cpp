#include "converters/quantize/quantizer_report.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "converters/host/decibels.h"
#include "converters/quantize/noise_moments.h"

namespace mu8::convert {
namespace {

constexpr double kLeastVariance = 1e-20;  // in squared weight steps

}  // namespace

void ReportWeights(const LayerWork& work, const InputStatistics& statistics, LayerReport* report) {
  double variance = 0, true_variance = 0, power = 0, true_power = 0;
  double mean_power = 0, mean_error = 0, noise_error = 0, clipped = 0;
  std::vector<double> panel_errors(work.PanelOf(work.channels - 1) + 1, 0.0);
  for (std::size_t c = 0; c < work.channels; ++c) {
    const double unit = double{work.out.weight_scale[c]} * double{work.out.weight_scale[c]};
    const double* p = statistics.power.data() + c / work.group_channels * work.k;
    for (std::size_t i = 0; i < work.k; ++i) {
      const std::int32_t mu = work.out.mu[c * work.k + i];
      const int level = work.Level(c, i);
      const ClampedMoments moments = WeightMoments(mu, level, work.out.shift[c]);
      const double sigma = work.bayesian() ? work.Sigma(c, i) : 0.0;
      const double error = moments.mean - work.Mu(c, i);
      variance += moments.variance * unit;
      true_variance += sigma * sigma * unit;
      power += p[i] * moments.variance * unit;
      true_power += p[i] * sigma * sigma * unit;
      mean_power += p[i] * work.Mu(c, i) * work.Mu(c, i) * unit;
      mean_error += p[i] * error * error * unit;
      clipped += moments.clipped;
      if (work.bayesian()) {
        panel_errors[work.PanelOf(c)] +=
            0.5 * error * error / std::max(sigma * sigma, kLeastVariance);
        // E[(w - E[w] - sigma z)^2]
        const double off = moments.variance - 2.0 * sigma * moments.along + sigma * sigma;
        noise_error += p[i] * off * unit;
      }
    }
  }
  report->weights = work.channels * work.k;
  report->bayesian = work.bayesian();
  report->mu_bits = work.out.mu_bits;
  int bits = 0;
  for (std::size_t c = 0; c < work.channels; ++c) {
    bits += work.out.mu_bits[work.out.mu_bits.size() > 1 ? work.PanelOf(c) : 0];
  }
  report->average_mu_bits = bits / static_cast<double>(work.channels);
  report->sigma_bits = work.bayesian() ? work.settings.sigma_bits : 0;
  const auto [low, high] =
      std::minmax_element(work.out.weight_scale.begin(), work.out.weight_scale.end());
  report->weight_scale_min = *low;
  report->weight_scale_max = *high;
  report->variance_kept = true_variance > 0.0 ? variance / true_variance : 1.0;
  report->variance_kept_weighted = true_power > 0.0 ? power / true_power : 1.0;
  report->saturation = clipped / static_cast<double>(work.channels * work.k);
  report->mean_sqnr_db = host::Decibels(mean_power, mean_error);
  report->panel_errors = std::move(panel_errors);
  report->noise_sqnr_db = host::Decibels(true_power, noise_error);
}

}  // namespace mu8::convert
