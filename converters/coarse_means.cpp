#include "converters/coarse_means.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "converters/noise_moments.h"
#include "formats/layout.h"

namespace mu8::convert {
namespace {

// A Gaussian's 3.2 deviations reach 127 at the start; the search goes on from there.
constexpr double kStartDeviation = 40.0;
// Steps must leave room for this much noise beyond a mean of 0.
constexpr double kLeastSigmas = 2.5;
constexpr double kStepRatio = 1.05;
constexpr int kStepTries = 8;  // up and down
constexpr int kRounds = 6;
constexpr int kLloydRounds = 50;

struct WeightedValue {
  double value, weight;
};

double Rms(std::span<const float> values) {
  double sum = 0.0;
  for (const float v : values) sum += double{v} * double{v};
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// sum power (Q(mu) - mu)^2 of one channel, in real units.
double ChannelError(const ChannelView& channel, const std::vector<std::int8_t>& allowed,
                    double step) {
  double error = 0.0;
  for (std::size_t i = 0; i < channel.mu.size(); ++i) {
    const double mu = double{channel.mu[i]} / step;
    const double off = allowed[NearestMean(allowed, mu)] - mu;
    error += channel.power[i] * off * off;
  }
  return error * step * step;
}

double LeastStep(const LayerWork& work, std::size_t c) {
  double sigma = 0.0;
  for (std::size_t i = 0; work.bayesian() && i < work.k; ++i) {
    sigma = std::max(sigma, double{work.node.weights.sigma[c * work.k + i]});
  }
  return kLeastSigmas * sigma / kMaxWeight;
}

// The best of the steps around the present one.
void SearchStep(LayerWork* work, std::size_t c, double ratio) {
  const std::vector<std::int8_t> allowed = AllowedMeans(*work, c);
  const ChannelView channel = work->Channel(c);
  const double least = LeastStep(*work, c);
  const double start = double{work->out.weight_scale[c]};
  double best = start;
  double best_error = std::numeric_limits<double>::infinity();
  for (int j = -kStepTries; j <= kStepTries; ++j) {
    const double step = std::max(start * std::pow(ratio, j), least);
    const double error = ChannelError(channel, allowed, step);
    if (error < best_error) {
      best = step;
      best_error = error;
    }
  }
  work->out.weight_scale[c] = static_cast<float>(best);
}

// The panel's levels: k-means of its means, each in its channel's steps.
void FitTable(LayerWork* work, std::size_t first, std::size_t last) {
  std::vector<WeightedValue> values;
  double total = 0.0;
  for (std::size_t c = first; c < last; ++c) {
    const double unit = double{work->out.weight_scale[c]} * double{work->out.weight_scale[c]};
    for (std::size_t i = 0; i < work->k; ++i) {
      const double weight = work->power[c * work->k + i] * unit;
      values.push_back({std::clamp(work->Mu(c, i), -127.0, 127.0), weight});
      total += weight;
    }
  }
  std::sort(values.begin(), values.end(),
            [](const WeightedValue& a, const WeightedValue& b) { return a.value < b.value; });
  const std::size_t levels = std::size_t{1} << work->mu_bits;
  // Start in the middle of `levels` shares of equal weight.
  std::vector<double> centre;
  double passed = 0.0;
  for (const WeightedValue& v : values) {
    passed += v.weight;
    while (centre.size() < levels && passed >= (static_cast<double>(centre.size()) + 0.5) /
                                                   static_cast<double>(levels) * total) {
      centre.push_back(v.value);
    }
  }
  centre.resize(levels, centre.empty() ? 0.0 : centre.back());
  for (int round = 0; round < kLloydRounds; ++round) {
    std::vector<double> sum(levels, 0.0), weight(levels, 0.0);
    std::size_t level = 0;
    for (const WeightedValue& v : values) {
      while (level + 1 < levels &&
             std::abs(centre[level + 1] - v.value) < std::abs(centre[level] - v.value)) {
        ++level;
      }
      sum[level] += v.value * v.weight;
      weight[level] += v.weight;
    }
    for (std::size_t j = 0; j < levels; ++j) {
      if (weight[j] > 0.0) centre[j] = sum[j] / weight[j];
    }
    std::sort(centre.begin(), centre.end());  // centres without values may have been overtaken
  }
  std::int8_t* table = work->out.mu_table.data() + work->PanelOf(first) * format::kMuTableEntries;
  for (std::size_t j = 0; j < levels; ++j) {
    table[j] = static_cast<std::int8_t>(std::clamp(std::nearbyint(centre[j]), -127.0, 127.0));
  }
}

// Tables and steps for 1 to 4 bits.
void FitTables(LayerWork* work) {
  const std::size_t panels = work->PanelOf(work->channels - 1) + 1;
  work->out.mu_table.assign(panels * format::kMuTableEntries, 0);
  for (std::size_t c = 0; c < work->channels; ++c) {
    const double start = Rms(work->Channel(c).mu) / kStartDeviation;
    if (start > 0.0) {
      work->out.weight_scale[c] = static_cast<float>(std::max(start, LeastStep(*work, c)));
    }
  }
  for (std::size_t first = 0; first < work->channels;) {
    std::size_t last = first + 1;
    while (last < work->channels && work->PanelOf(last) == work->PanelOf(first)) ++last;
    for (int round = 0; round < kRounds; ++round) {
      FitTable(work, first, last);
      for (std::size_t c = first; c < last; ++c) SearchStep(work, c, kStepRatio);
    }
    FitTable(work, first, last);
    first = last;
  }
}

double LayerError(const LayerWork& work) {
  double error = 0.0;
  for (std::size_t c = 0; c < work.channels; ++c) {
    error += ChannelError(work.Channel(c), AllowedMeans(work, c), double{work.out.weight_scale[c]});
  }
  return error;
}

}  // namespace

std::vector<std::int8_t> AllowedMeans(const LayerWork& work, std::size_t c) {
  std::vector<std::int8_t> allowed;
  if (work.mu_bits <= static_cast<int>(format::kMostTableBits)) {
    const std::int8_t* table = work.out.mu_table.data() + work.PanelOf(c) * format::kMuTableEntries;
    allowed.assign(table, table + (std::size_t{1} << work.mu_bits));
    allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
    return allowed;
  }
  const int gap = 1 << (8 - work.mu_bits);
  for (int value = -127 / gap * gap; value <= 127; value += gap) {
    allowed.push_back(static_cast<std::int8_t>(value));
  }
  return allowed;
}

std::size_t NearestMean(const std::vector<std::int8_t>& allowed, double mu) {
  const auto above = std::lower_bound(allowed.begin(), allowed.end(), mu,
                                      [](std::int8_t value, double m) { return value < m; });
  if (above == allowed.begin()) return 0;
  const auto index = static_cast<std::size_t>(above - allowed.begin());
  if (above == allowed.end()) return index - 1;
  return mu - allowed[index - 1] <= *above - mu ? index - 1 : index;
}

void ChooseCoarseSteps(LayerWork* work) {
  if (work->mu_bits <= static_cast<int>(format::kMostTableBits)) return FitTables(work);
  LayerWork table = *work;
  table.mu_bits = static_cast<int>(format::kMostTableBits);
  FitTables(&table);
  for (std::size_t c = 0; c < work->channels; ++c) SearchStep(work, c, kStepRatio);
  if (LayerError(table) < LayerError(*work)) {
    work->mu_bits = table.mu_bits;
    work->out = std::move(table.out);
  }
}

}  // namespace mu8::convert
