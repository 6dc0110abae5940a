#include "converters/lower/saturation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <vector>

#include "converters/calibrate/quantization.h"

namespace mu8::convert {
namespace {

// A narrower range than this part of all is taken.
constexpr double kWorthIt = 0.98;

// What the node computes: a function, or one for each channel.
std::vector<std::function<double(double)>> FunctionsOf(const Node& node) {
  if (node.op == Op::kLookup) {
    return node.functions.empty() ? std::vector{node.function} : node.functions;
  }
  return {[&node](double x) { return std::min(std::max(x, double{node.low}), double{node.high}); }};
}

}  // namespace

Reaches::Reach Reaches::Union(const Reach& a, const Reach& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}

// Where within `all` a function's stored output still changes. Empty (low > high) if nowhere.
Reaches::Reach Reaches::ReachOf(const std::function<double(double)>& function,
                                const Quantization& stored, const Reach& all) {
  // A function may be thousands of nodes: first in blocks, two within each of 255 steps, then
  // within the block where it changes.
  constexpr int kBlock = 16, kPoints = 512 * kBlock;
  const auto x = [&](int i) { return all.low + (all.high - all.low) * i / kPoints; };
  const auto byte = [&](int i) {
    const double q = std::nearbyint(function(x(i)) / double{stored.scale});
    return std::clamp(q + stored.zero_point, 0.0, 255.0);
  };
  const double lowest = byte(0), highest = byte(kPoints);
  int first = 0, last = kPoints;
  while (first < kPoints && byte(first + kBlock) == lowest) first += kBlock;
  while (first < kPoints && byte(first + 1) == lowest) ++first;
  while (last > 0 && byte(last - kBlock) == highest) last -= kBlock;
  while (last > 0 && byte(last - 1) == highest) --last;
  return {x(first), x(last)};
}

// What any reader of the value needs within `all`; nothing: all of it.
std::optional<Reaches::Reach> Reaches::NeededOf(int value, const Reach& all) {
  if (value == network_.output) return std::nullopt;
  std::optional<Reach> needed;
  for (const int reader : network_.Consumers(value)) {
    const Node& node = network_.nodes[static_cast<std::size_t>(reader)];
    std::optional<Reach> reach;
    if (node.op == Op::kMaxPool || node.op == Op::kSlice || node.op == Op::kGather) {
      reach = NeededOf(node.output, all);
    } else if (node.op == Op::kLookup || node.op == Op::kClip) {
      const Quantization stored = StoredOf(node.output);
      for (const auto& function : FunctionsOf(node)) {
        const Reach of_one = ReachOf(function, stored, all);
        reach = reach ? Union(*reach, of_one) : of_one;
      }
    }
    if (!reach) return std::nullopt;
    needed = needed ? Union(*needed, *reach) : *reach;
  }
  return needed;
}

// As it will be, which its own readers may have narrowed.
Quantization Reaches::StoredOf(int value) {
  std::optional<Quantization>& stored = stored_[static_cast<std::size_t>(value)];
  if (!stored) {
    const ValueStatistics reached = Of(value);
    stored = ChooseRange(reached, reached.least >= 0.0F);
  }
  return *stored;
}

ValueStatistics Reaches::Of(int value) {
  const ValueStatistics& seen = calibration_.values[static_cast<std::size_t>(value)];
  const Reach all{double{seen.least}, double{seen.greatest}};
  ValueStatistics reached;
  reached.least = seen.least;
  reached.greatest = seen.greatest;
  reached.histogram = seen.histogram;
  reached.zeros = seen.zeros;
  const std::optional<Reach> needed = NeededOf(value, all);
  if (!needed || !(needed->low < needed->high)) return reached;
  const double step = (needed->high - needed->low) / 255.0;
  reached.least = static_cast<float>(std::max(needed->low - step, all.low));
  reached.greatest = static_cast<float>(std::min(needed->high + step, all.high));
  if (double{reached.greatest} - double{reached.least} > kWorthIt * (all.high - all.low)) {
    reached.least = seen.least;
    reached.greatest = seen.greatest;
    return reached;
  }
  std::ranges::fill(reached.histogram, 0.0);
  const double low = double{reached.least}, width = double{reached.greatest} - low;
  for (std::size_t bin = 0; bin < kHistogramBins; ++bin) {
    const double x =
        all.low + (static_cast<double>(bin) + 0.5) * (all.high - all.low) / kHistogramBins;
    const double place = std::clamp((x - low) / width, 0.0, 1.0) * kHistogramBins;
    reached.histogram[std::min(static_cast<std::size_t>(place), kHistogramBins - 1)] +=
        seen.histogram[bin];
  }
  return reached;
}

}  // namespace mu8::convert
