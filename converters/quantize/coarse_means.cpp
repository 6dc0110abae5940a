#include "converters/quantize/coarse_means.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "converters/quantize/noise_moments.h"
#include "formats/layout.h"

namespace mu8::convert {
namespace {

// A Gaussian's 3.2 deviations reach 127 at the start; the search goes on from there.
constexpr double kStartDeviation = 40.0;
// Scales must leave room for this much noise beyond a mean of 0.
constexpr double kLeastSigmas = 2.5;
constexpr double kScaleRatio = 1.05;
constexpr int kScaleTries = 8;  // up and down
constexpr int kRounds = 6;
constexpr int kLloydRounds = 50;

double Rms(std::span<const float> values) {
  double sum = 0.0;
  for (const float v : values) sum += double{v} * double{v};
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// Sums of importance, importance mu and importance mu^2 over some means.
struct Moments {
  double importance = 0.0, first = 0.0, second = 0.0;

  Moments operator-(const Moments& other) const {
    return {importance - other.importance, first - other.first, second - other.second};
  }
};

// One channel's means in ascending order with running sums: what any scale and table costs takes a
// few binary searches, not a pass over the weights.
class SortedChannel {
 public:
  explicit SortedChannel(const ChannelView& channel) : running_(channel.mu.size() + 1) {
    std::vector<std::size_t> order(channel.mu.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return channel.mu[a] < channel.mu[b]; });
    for (std::size_t i = 0; i < order.size(); ++i) {
      const double mu = double{channel.mu[order[i]]};
      const double importance = channel.importance[order[i]];
      const Moments& before = running_[i];
      mu_.push_back(mu);
      running_[i + 1] = {before.importance + importance, before.first + importance * mu,
                         before.second + importance * mu * mu};
    }
  }

  // Of the means up to `limit`.
  const Moments& UpTo(double limit) const {
    const auto end = std::upper_bound(mu_.begin(), mu_.end(), limit);
    return running_[static_cast<std::size_t>(end - mu_.begin())];
  }
  const Moments& All() const { return running_.back(); }
  double Largest() const {  // |mu|
    return mu_.empty() ? 0.0 : std::max(std::abs(mu_.front()), std::abs(mu_.back()));
  }

 private:
  std::vector<double> mu_;
  std::vector<Moments> running_;  // [i]: of the first i means
};

// sum importance (Q(mu) - mu)^2 of one channel, in real units.
double ChannelError(const SortedChannel& channel, const std::vector<std::int8_t>& allowed,
                    double scale) {
  double error = 0.0;
  Moments below;
  for (std::size_t j = 0; j < allowed.size(); ++j) {
    const bool last = j + 1 == allowed.size();
    const Moments up_to =
        last ? channel.All() : channel.UpTo(0.5 * (allowed[j] + allowed[j + 1]) * scale);
    const Moments here = up_to - below;
    const double q = allowed[j] * scale;
    error += here.second - 2.0 * q * here.first + q * q * here.importance;
    below = up_to;
  }
  return std::max(error, 0.0);  // rounding
}

double LeastScale(const LayerWork& work, std::size_t c) {
  double sigma = 0.0;
  for (std::size_t i = 0; work.bayesian() && i < work.k; ++i) {
    sigma = std::max(sigma, double{work.node.weights.sigma[c * work.k + i]});
  }
  return kLeastSigmas * sigma / kMaxWeight;
}

// The best of the scales around the present one.
void SearchScale(LayerWork* work, std::size_t c, const SortedChannel& channel) {
  const std::vector<std::int8_t> allowed = AllowedMeans(*work, c);
  const double least = LeastScale(*work, c);
  const double start = double{work->out.weight_scale[c]};
  double best = start;
  double best_error = std::numeric_limits<double>::infinity();
  for (int j = -kScaleTries; j <= kScaleTries; ++j) {
    const double scale = std::max(start * std::pow(kScaleRatio, j), least);
    const double error = ChannelError(channel, allowed, scale);
    if (error < best_error) {
      best = scale;
      best_error = error;
    }
  }
  work->out.weight_scale[c] = static_cast<float>(best);
}

// A panel's means, each in steps of its channel, so with scale^2 times its importance.
struct PanelMeans {
  std::span<const SortedChannel> channels;
  std::span<const float> scales;

  // Of the means up to `limit`; .second is not computed.
  Moments UpTo(double limit) const {
    Moments sum;
    for (std::size_t c = 0; c < channels.size(); ++c) {
      const double scale = double{scales[c]};
      const Moments& here = channels[c].UpTo(limit * scale);
      sum.importance += here.importance * scale * scale;
      sum.first += here.first * scale;
    }
    return sum;
  }
  double Largest() const {
    double largest = 0.0;
    for (std::size_t c = 0; c < channels.size(); ++c) {
      largest = std::max(largest, channels[c].Largest() / double{scales[c]});
    }
    return largest;
  }
};

// The value in the middle of each of `levels` shares of equal importance.
std::vector<double> EqualShares(const PanelMeans& means, std::size_t levels) {
  constexpr int kHalvings = 24;
  const double largest = means.Largest();
  const double total = means.UpTo(largest).importance;
  std::vector<double> centre;
  for (std::size_t j = 0; j < levels; ++j) {
    const double share = (static_cast<double>(j) + 0.5) / static_cast<double>(levels) * total;
    double low = -largest;
    double high = largest;
    for (int i = 0; i < kHalvings; ++i) {
      const double middle = 0.5 * (low + high);
      (means.UpTo(middle).importance < share ? low : high) = middle;
    }
    centre.push_back(high);
  }
  return centre;
}

// The panel's levels: k-means of its means.
void FitTable(const PanelMeans& means, std::size_t levels, std::int8_t* table) {
  std::vector<double> centre = EqualShares(means, levels);
  for (int round = 0; round < kLloydRounds; ++round) {
    const std::vector<double> before = centre;
    Moments below;
    for (std::size_t j = 0; j < levels; ++j) {
      const bool last = j + 1 == levels;
      const double limit = last ? HUGE_VAL : 0.5 * (before[j] + before[j + 1]);
      const Moments up_to = means.UpTo(limit);
      const Moments here = up_to - below;
      if (here.importance > 0.0) centre[j] = here.first / here.importance;
      below = up_to;
    }
    std::sort(centre.begin(), centre.end());  // centres without values may have been overtaken
    if (centre == before) break;
  }
  for (std::size_t j = 0; j < levels; ++j) {
    table[j] = static_cast<std::int8_t>(std::clamp(std::nearbyint(centre[j]), -127.0, 127.0));
  }
}

// Tables and scales for 1 to 4 bits.
void FitTables(const std::vector<SortedChannel>& sorted, LayerWork* work) {
  const std::size_t panels = work->PanelOf(work->channels - 1) + 1;
  work->out.mu_table.assign(panels * format::kMuTableEntries, 0);
  for (std::size_t c = 0; c < work->channels; ++c) {
    const double start = Rms(work->Channel(c).mu) / kStartDeviation;
    if (start > 0.0) {
      work->out.weight_scale[c] = static_cast<float>(std::max(start, LeastScale(*work, c)));
    }
  }
  for (std::size_t first = 0; first < work->channels;) {
    std::size_t last = first + 1;
    while (last < work->channels && work->PanelOf(last) == work->PanelOf(first)) ++last;
    const PanelMeans means{std::span(sorted).subspan(first, last - first),
                           std::span(work->out.weight_scale).subspan(first, last - first)};
    const std::size_t levels = std::size_t{1} << work->mu_bits;
    std::int8_t* table = work->out.mu_table.data() + work->PanelOf(first) * format::kMuTableEntries;
    for (int round = 0; round < kRounds; ++round) {
      FitTable(means, levels, table);
      for (std::size_t c = first; c < last; ++c) SearchScale(work, c, sorted[c]);
    }
    FitTable(means, levels, table);
    first = last;
  }
}

double LayerError(const std::vector<SortedChannel>& sorted, const LayerWork& work) {
  double error = 0.0;
  for (std::size_t c = 0; c < work.channels; ++c) {
    error += ChannelError(sorted[c], AllowedMeans(work, c), double{work.out.weight_scale[c]});
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

void ChooseCoarseScales(LayerWork* work) {
  std::vector<SortedChannel> sorted;
  for (std::size_t c = 0; c < work->channels; ++c) sorted.emplace_back(work->Channel(c));
  if (work->mu_bits <= static_cast<int>(format::kMostTableBits)) return FitTables(sorted, work);
  LayerWork table = *work;
  table.mu_bits = static_cast<int>(format::kMostTableBits);
  FitTables(sorted, &table);
  for (std::size_t c = 0; c < work->channels; ++c) SearchScale(work, c, sorted[c]);
  if (LayerError(sorted, table) < LayerError(sorted, *work)) {
    work->mu_bits = table.mu_bits;
    work->out = std::move(table.out);
  }
}

}  // namespace mu8::convert
