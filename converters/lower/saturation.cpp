#include "converters/lower/saturation.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "converters/calibrate/quantization.h"

namespace mu8::convert {
namespace {

// A narrower range than this part of all is taken.
constexpr double kWorthIt = 0.98;

struct Reach {
  double low, high;
};

const ValueStatistics& At(const Calibration& calibration, int value) {
  return calibration.values[static_cast<std::size_t>(value)];
}

double Evaluate(const Node& node, double x) {
  if (node.op == Op::kLookup) return node.function(x);
  return std::min(std::max(x, double{node.low}), double{node.high});
}

// Where within `all` the node's stored output still changes. Empty (low > high) if nowhere.
Reach ReachOf(const Node& node, const ValueStatistics& output, const Reach& all) {
  const Quantization stored = ChooseRange(output, output.least >= 0.0F);
  constexpr int kPoints = 8192;  // many within each of 255 steps
  const auto x = [&](int i) { return all.low + (all.high - all.low) * i / kPoints; };
  const auto byte = [&](int i) {
    const double q = std::nearbyint(Evaluate(node, x(i)) / double{stored.scale});
    return std::clamp(q + stored.zero_point, 0.0, 255.0);
  };
  int first = 0, last = kPoints;
  while (first < kPoints && byte(first + 1) == byte(0)) ++first;
  while (last > 0 && byte(last - 1) == byte(kPoints)) --last;
  return {x(first), x(last)};
}

// What any reader of the value needs within `all`; nothing: all of it.
std::optional<Reach> NeededOf(const Network& network, const Calibration& calibration, int value,
                              const Reach& all) {
  if (value == network.output) return std::nullopt;
  std::optional<Reach> needed;
  for (const int reader : network.Consumers(value)) {
    const Node& node = network.nodes[static_cast<std::size_t>(reader)];
    std::optional<Reach> reach;
    if (node.op == Op::kMaxPool || node.op == Op::kSlice) {
      reach = NeededOf(network, calibration, node.output, all);
    } else if (node.op == Op::kLookup || node.op == Op::kClip) {
      // As it is stored, which its own readers may have narrowed.
      reach = ReachOf(node, ReachedStatistics(network, calibration, node.output), all);
    }
    if (!reach) return std::nullopt;
    needed = needed ? Reach{std::min(needed->low, reach->low), std::max(needed->high, reach->high)}
                    : *reach;
  }
  return needed;
}

}  // namespace

ValueStatistics ReachedStatistics(const Network& network, const Calibration& calibration,
                                  int value) {
  const ValueStatistics& seen = At(calibration, value);
  const Reach all{double{seen.least}, double{seen.greatest}};
  ValueStatistics reached;
  reached.least = seen.least;
  reached.greatest = seen.greatest;
  reached.histogram = seen.histogram;
  reached.zeros = seen.zeros;
  const std::optional<Reach> needed = NeededOf(network, calibration, value, all);
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
