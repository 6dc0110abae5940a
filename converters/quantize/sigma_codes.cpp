// Few levels for many sigmas: 8-bit levels, and codebooks of 16, 4, 2 or 1 level whose produced
// variance is what the layer's output needs.
#include "converters/quantize/sigma_codes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "converters/quantize/codebook.h"
#include "converters/quantize/noise_moments.h"

namespace mu8::convert {
namespace {

constexpr std::size_t kLevelBins = 256;

// sigma = level * 2^(5 - shift) steps.
double LevelUnit(std::uint8_t shift) { return std::ldexp(1.0, 5 - shift); }

// The level nearest to sigma (in levels) that is a tie for none of the shifts.
std::uint8_t PlainLevel(double sigma, std::span<const std::uint8_t> shifts) {
  const int nearest = static_cast<int>(std::clamp(std::nearbyint(sigma), 0.0, 255.0));
  const auto admissible = [&](int level) {
    return level >= 0 && level <= 255 &&
           std::none_of(shifts.begin(), shifts.end(),
                        [&](std::uint8_t shift) { return IsTieLevel(level, shift); });
  };
  for (int distance = 0;; ++distance) {  // level 0 is never a tie
    if (admissible(nearest + distance)) return static_cast<std::uint8_t>(nearest + distance);
    if (admissible(nearest - distance)) return static_cast<std::uint8_t>(nearest - distance);
  }
}

// 8 bits: each weight its own level. Where levels are coarse (sigma a fraction of a step) the
// weighted error is carried to the next weight, so that the channel's noise power comes out right.
void FitLevels8(LayerWork* work, std::size_t c) {
  const std::uint8_t shift = work->out.shift[c];
  const LevelTable& levels = Levels(shift);
  const ChannelView channel = work->Channel(c);
  double carry = 0.0;
  for (std::size_t i = 0; i < work->k; ++i) {
    const double target = work->Sigma(c, i) * work->Sigma(c, i);
    const int below = levels.Below(target);
    const int above = levels.Above(target);
    const double up =
        carry + channel.importance[i] * (target - levels.variance[static_cast<std::size_t>(above)]);
    const double down =
        carry + channel.importance[i] * (target - levels.variance[static_cast<std::size_t>(below)]);
    const bool take_above = std::abs(up) < std::abs(down);
    carry = take_above ? up : down;
    work->out.code[c * work->k + i] = static_cast<std::uint8_t>(take_above ? above : below);
    work->out.mu[c * work->k + i] = FitMu(work->Mu(c, i), take_above ? above : below, shift);
  }
}

// Replaces level and mu of the weights that the clamp touches by a joint fit.
void FitClipped8(LayerWork* work, std::size_t c) {
  const std::uint8_t shift = work->out.shift[c];
  for (std::size_t i = 0; i < work->k; ++i) {
    const std::size_t at = c * work->k + i;
    const int reach = std::abs(int{work->out.mu[at]}) + Levels(shift).max_noise[work->out.code[at]];
    if (reach <= kMaxWeight) continue;
    const FittedWeight fitted = FitWeight(work->Mu(c, i), work->Sigma(c, i), shift);
    work->out.mu[at] = fitted.mu;
    work->out.code[at] = fitted.level;
  }
}

// Members of one codebook: channels [first, last).
struct CodebookScope {
  std::size_t first, last;
  std::size_t codebook;  // offset in out.codebook
  std::size_t size;      // levels
};

// Each channel's error counts relative to its own noise power.
double ChannelWeight(const LayerWork& work, std::size_t c) {
  double total = 0.0;
  const ChannelView channel = work.Channel(c);
  for (std::size_t i = 0; i < work.k; ++i) {
    total += channel.importance[i] * work.Sigma(c, i) * work.Sigma(c, i);
  }
  return total > 0.0 ? 1.0 / total : 0.0;
}

// The admissible level whose produced variance, summed over the cluster's channels, is nearest to
// what those weights need. `need` and `weight` are per channel of the scope.
std::uint8_t MatchLevel(const LayerWork& work, const CodebookScope& scope,
                        const std::vector<double>& need, const std::vector<double>& weight) {
  double total = 0.0;
  for (const double value : need) total += value;
  int best = 0;
  double best_error = std::numeric_limits<double>::infinity();
  for (int level = 0; level < 256; ++level) {
    double produced = 0.0;
    bool tie = false;
    for (std::size_t c = scope.first; c < scope.last; ++c) {
      const std::uint8_t shift = work.out.shift[c];
      tie = tie || IsTieLevel(level, shift);
      produced += weight[c - scope.first] * Levels(shift).variance[static_cast<std::size_t>(level)];
    }
    if (!tie && std::abs(produced - total) < best_error) {
      best_error = std::abs(produced - total);
      best = level;
    }
  }
  return static_cast<std::uint8_t>(best);
}

// Fits one codebook. `inflate[c]` scales the target variance of channel c: it makes good for what
// the clamp takes.
void FitCodebook(LayerWork* work, const CodebookScope& scope, const std::vector<double>& inflate) {
  std::vector<double> values(kLevelBins);
  std::vector<double> bin_weight(kLevelBins, 0.0);
  for (std::size_t bin = 0; bin < kLevelBins; ++bin) values[bin] = static_cast<double>(bin);
  std::vector<std::uint8_t> bins;  // of every weight
  bins.reserve((scope.last - scope.first) * work->k);
  for (std::size_t c = scope.first; c < scope.last; ++c) {
    const double unit = LevelUnit(work->out.shift[c]);
    const double relative = ChannelWeight(*work, c) * unit * unit;
    const ChannelView channel = work->Channel(c);
    const double root = std::sqrt(inflate[c]);
    for (std::size_t i = 0; i < work->k; ++i) {
      const double bin = std::nearbyint(work->Sigma(c, i) * root / unit);
      bins.push_back(static_cast<std::uint8_t>(std::clamp(bin, 0.0, 255.0)));
      bin_weight[bins.back()] += channel.importance[i] * relative;
    }
  }
  const std::vector<std::size_t> first = ClusterSigmas(values, bin_weight, scope.size);
  std::array<std::uint8_t, kLevelBins> code_of{};
  for (std::size_t code = 0; code < scope.size; ++code) {
    std::fill(code_of.begin() + static_cast<std::ptrdiff_t>(first[code]), code_of.end(),
              static_cast<std::uint8_t>(code));
  }
  const std::vector<double> zeros(scope.last - scope.first, 0.0);
  std::vector<std::vector<double>> need(scope.size, zeros), weight(scope.size, zeros);
  const std::uint8_t* bin = bins.data();
  for (std::size_t c = scope.first; c < scope.last; ++c) {
    const double relative = ChannelWeight(*work, c);
    const ChannelView channel = work->Channel(c);
    for (std::size_t i = 0; i < work->k; ++i) {
      const std::uint8_t code = code_of[*bin++];
      work->out.code[c * work->k + i] = code;
      weight[code][c - scope.first] += relative * channel.importance[i];
      need[code][c - scope.first] +=
          relative * channel.importance[i] * work->Sigma(c, i) * work->Sigma(c, i) * inflate[c];
    }
  }
  for (std::size_t code = 0; code < scope.size; ++code) {
    work->out.codebook[scope.codebook + code] = MatchLevel(*work, scope, need[code], weight[code]);
  }
}

// The paper's rule: levels evenly spaced between the least and the greatest sigma, nearest level
// taken, no variance matched. Codebooks are shared by a panel in units of each channel's level.
void FitAffine(LayerWork* work, const CodebookScope& scope) {
  std::vector<double> sigmas;
  for (std::size_t c = scope.first; c < scope.last; ++c) {
    for (std::size_t i = 0; i < work->k; ++i) {
      sigmas.push_back(work->Sigma(c, i) / LevelUnit(work->out.shift[c]));
    }
  }
  const std::vector<double> levels = AffineLevels(sigmas, scope.size);
  const double gap = levels[1] - levels[0];
  for (std::size_t j = 0; j < sigmas.size(); ++j) {
    const double code = gap > 0.0 ? std::nearbyint((sigmas[j] - levels[0]) / gap) : 0.0;
    work->out.code[scope.first * work->k + j] = static_cast<std::uint8_t>(code);
  }
  const std::span<const std::uint8_t> shifts(work->out.shift.data() + scope.first,
                                             scope.last - scope.first);
  for (std::size_t code = 0; code < scope.size; ++code) {
    work->out.codebook[scope.codebook + code] = PlainLevel(levels[code], shifts);
  }
}

void FitMeans(LayerWork* work, std::size_t c) {
  for (std::size_t i = 0; i < work->k; ++i) {
    work->out.mu[c * work->k + i] = FitMu(work->Mu(c, i), work->Level(c, i), work->out.shift[c]);
  }
}

// What the channel should produce, noise_gain sum importance sigma^2, over what it does.
double VarianceShortfall(const LayerWork& work, std::size_t c) {
  const ChannelView channel = work.Channel(c);
  double wanted = 0.0;
  double produced = 0.0;
  for (std::size_t i = 0; i < work.k; ++i) {
    wanted += channel.importance[i] * work.Sigma(c, i) * work.Sigma(c, i);
    produced +=
        channel.importance[i] *
        WeightMoments(work.out.mu[c * work.k + i], work.Level(c, i), work.out.shift[c]).variance;
  }
  return produced > 0.0 ? work.settings.noise_gain * wanted / produced : 1.0;
}

void FitWeightedCodebook(LayerWork* work, const CodebookScope& scope) {
  constexpr int kRounds = 4;
  std::vector<double> inflate(work->channels, work->settings.noise_gain);
  for (int round = 0; round < kRounds; ++round) {
    FitCodebook(work, scope, inflate);
    for (std::size_t c = scope.first; c < scope.last; ++c) {
      FitMeans(work, c);
      // At most doubled: beyond that the clamp eats whatever is added.
      inflate[c] = std::clamp(inflate[c] * VarianceShortfall(*work, c), 0.5, 2.0);
    }
  }
}

void FitSigmas8(LayerWork* work) {
  for (std::size_t c = 0; c < work->channels; ++c) {
    if (work->settings.sigma_quantizer == SigmaQuantizer::kAffine) {
      std::vector<double> sigmas;
      for (std::size_t i = 0; i < work->k; ++i) sigmas.push_back(work->Sigma(c, i));
      const std::vector<double> levels = AffineLevels(sigmas, 256);
      const double gap = levels[1] - levels[0];
      for (std::size_t i = 0; i < work->k; ++i) {
        const double code = gap > 0.0 ? std::nearbyint((sigmas[i] - levels[0]) / gap) : 0.0;
        work->out.code[c * work->k + i] =
            PlainLevel(levels[static_cast<std::size_t>(code)] / LevelUnit(work->out.shift[c]),
                       {&work->out.shift[c], 1});
      }
    } else {
      FitLevels8(work, c);
      FitClipped8(work, c);
    }
  }
}

}  // namespace

void FitSigmas(LayerWork* work) {
  const int bits = work->settings.sigma_bits;
  if (bits == 8) return FitSigmas8(work);
  const std::size_t levels = std::size_t{1} << bits;
  const std::size_t panels = work->PanelOf(work->channels - 1) + 1;
  work->out.codebook.assign(bits == 4 ? panels * 16 : work->channels * levels, 0);
  for (std::size_t c = 0; c < work->channels;) {
    CodebookScope scope{c, c + 1, c * levels, levels};
    if (bits == 4) {
      scope.codebook = work->PanelOf(c) * 16;
      while (scope.last < work->channels && work->PanelOf(scope.last) == work->PanelOf(c)) {
        ++scope.last;
      }
    }
    if (work->settings.sigma_quantizer == SigmaQuantizer::kAffine) {
      FitAffine(work, scope);
    } else {
      FitWeightedCodebook(work, scope);
    }
    c = scope.last;
  }
}

}  // namespace mu8::convert
