#include "converters/calibrate/range_before.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mu8::convert {
namespace {

constexpr double kLeastRange = 0x1p-110;  // as in ChooseRange
// A narrower range is taken if it leaves less than this part of the error.
constexpr double kWorthIt = 0.98;
// A clamp errs alike in every pass, rounding does not: the mean of 16 passes keeps a sixteenth of
// the power of one, all of the other.
constexpr double kClampWeight = 16.0;
// Squared steps of a result that are no error, but rounding in double.
constexpr double kNothing = 1e-6;

// sum of h (r - at)^2 over bins of which the sums of h, h r, h r^2 are known.
struct Moments {
  double count = 0.0, sum = 0.0, square = 0.0;

  void Add(double h, double r) {
    count += h;
    sum += h * r;
    square += h * r * r;
  }
  double ErrorAt(double at) const {
    return std::max(square - 2.0 * at * sum + at * at * count, 0.0);
  }
};

// Errors of the results summed over bins, so that those of any range are known at once.
class RangeErrors {
 public:
  RangeErrors(const ValueStatistics& statistics, const std::vector<ResultBehind>& results)
      : least_(statistics.least), width_(BinEdge(statistics, 1) - BinEdge(statistics, 0)) {
    for (const ResultBehind& result : results) Add(statistics, result);
  }

  // Ends between two edges count as those on the inner side.
  double Of(double scale, double zero_point) const {
    constexpr double kRounding = 1e-6;  // of a bin
    const double low = (-zero_point * scale - least_) / width_;
    const double high = ((255.0 - zero_point) * scale - least_) / width_;
    const auto first = static_cast<std::size_t>(
        std::clamp(std::ceil(low - kRounding), 0.0, double{kHistogramBins}));
    const auto last = static_cast<std::size_t>(
        std::clamp(std::floor(high + kRounding), 0.0, double{kHistogramBins}));
    if (first >= last) return std::numeric_limits<double>::infinity();
    return of_results_ + kClampWeight * (below_[first] + above_[last]) +
           scale * scale * (moved_[last] - moved_[first]);
  }
  double count() const { return count_; }

 private:
  void Add(const ValueStatistics& statistics, const ResultBehind& result) {
    Moments passed;
    double rounded = 0.0, moved = 0.0;
    const auto pass = [&](std::size_t bin) {
      const double h = result.weight * statistics.histogram[bin];
      const double r = (result.at[bin] + result.at[bin + 1]) / 2.0;
      const double slope = (result.at[bin + 1] - result.at[bin]) / width_;
      passed.Add(h, r);
      rounded += h * (r - std::nearbyint(r)) * (r - std::nearbyint(r));
      moved += h * slope * slope / 12.0;
    };
    // What moving all that has passed to an edge adds.
    const auto clamped = [&](std::size_t edge) {
      return std::max(passed.ErrorAt(std::nearbyint(result.at[edge])) - rounded, 0.0);
    };
    for (std::size_t edge = 1; edge <= kHistogramBins; ++edge) {
      pass(edge - 1);
      below_[edge] += clamped(edge);
      moved_[edge] += moved;
    }
    of_results_ += rounded;
    count_ += passed.count;
    passed = {};
    rounded = 0.0;
    for (std::size_t edge = kHistogramBins; edge-- > 0;) {
      pass(edge);
      above_[edge] += clamped(edge);
    }
  }

  using ByEdge = std::vector<double>;
  double least_, width_, count_ = 0.0;
  double of_results_ = 0.0;                    // rounding them
  ByEdge moved_ = ByEdge(kHistogramBins + 1);  // rounding all bins below to steps of 1
  ByEdge below_ = moved_, above_ = moved_;     // clamping all bins on that side to the edge
};

}  // namespace

double BinEdge(const ValueStatistics& statistics, std::size_t edge) {
  const double least{statistics.least}, greatest{statistics.greatest};
  return least + (greatest - least) * static_cast<double>(edge) / kHistogramBins;
}

Quantization ChooseRangeBefore(const ValueStatistics& statistics,
                               const std::vector<ResultBehind>& results) {
  const double low = std::min(0.0, double{statistics.least});
  const double high = std::max(0.0, double{statistics.greatest});
  if (!(high - low > kLeastRange)) return {1.0F, 0};
  const RangeErrors errors(statistics, results);
  struct Candidate {
    double scale, zero_point, error;
  };
  const double full_scale = (high - low) / 255.0;
  const double full_zero_point = std::nearbyint(-low / full_scale);
  const Candidate full{full_scale, full_zero_point, errors.Of(full_scale, full_zero_point)};
  Candidate best = full;
  const auto consider = [&](double scale, double zero_point) {
    const double error = errors.Of(scale, zero_point);
    if (error < best.error) best = {scale, zero_point, error};
  };
  // Parts of the full scale, then finer ones around the best.
  constexpr int kParts = 128, kFiner = 64;
  const double part = full_scale / kParts;
  for (int zero_point = 0; zero_point <= 255; ++zero_point) {
    for (int parts = kParts; parts > 0; --parts) consider(part * parts, zero_point);
  }
  const Candidate around = best;
  for (double zero_point = std::max(around.zero_point - 2.0, 0.0);
       zero_point <= std::min(around.zero_point + 2.0, 255.0); ++zero_point) {
    for (int finer = kFiner; finer > -kFiner; --finer) {
      consider(around.scale + part * finer / kFiner, zero_point);
    }
  }
  const double nothing = kNothing * errors.count();
  if (!(best.error + nothing < kWorthIt * (full.error + nothing))) best = full;
  return {static_cast<float>(best.scale), static_cast<std::uint8_t>(best.zero_point)};
}

}  // namespace mu8::convert
