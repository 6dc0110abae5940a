#include "converters/lower/function_ranges.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <utility>

namespace mu8::convert {
namespace {

// What the node computes: a function, or one for each channel.
std::vector<std::function<double(double)>> FunctionsOf(const Node& node) {
  if (node.op == Op::kLookup) {
    return node.functions.empty() ? std::vector{node.function} : node.functions;
  }
  return {[&node](double x) { return std::min(std::max(x, double{node.low}), double{node.high}); }};
}

// A function's results over what `seen` spans, as they will be stored, but for rounding. It may be
// dozens of nodes: it is computed at every kApart-th edge, in between results lie on a line.
ResultBehind Tabulate(const std::function<double(double)>& function, const Quantization& stored,
                      const ValueStatistics& seen, double weight) {
  constexpr std::size_t kApart = 4;
  const double least = 0.0 - stored.zero_point, most = 255.0 + least;
  const auto result_at = [&](std::size_t edge) {
    const double steps = function(BinEdge(seen, edge)) / double{stored.scale};
    return std::isnan(steps) ? 0.0 : std::clamp(steps, least, most);
  };
  ResultBehind result{.weight = weight, .at = {result_at(0)}};
  result.at.reserve(kHistogramBins + 1);
  for (std::size_t edge = kApart; edge <= kHistogramBins; edge += kApart) {
    const double last = result.at.back(), next = result_at(edge);
    for (std::size_t i = 1; i < kApart; ++i) {
      result.at.push_back(last + (next - last) * static_cast<double>(i) / kApart);
    }
    result.at.push_back(next);
  }
  return result;
}

}  // namespace

// Of all functions that read the value; nothing: something else does, or nothing at all.
std::optional<std::vector<ResultBehind>> FunctionRanges::Behind(int value,
                                                                const ValueStatistics& seen) {
  if (value == network_.output) return std::nullopt;
  std::vector<ResultBehind> all;
  for (const int reader : network_.Consumers(value)) {
    const Node& node = network_.nodes[static_cast<std::size_t>(reader)];
    if (node.op == Op::kMaxPool || node.op == Op::kSlice || node.op == Op::kGather) {
      std::optional<std::vector<ResultBehind>> more = Behind(node.output, seen);
      if (!more) return std::nullopt;
      std::ranges::move(*more, std::back_inserter(all));
    } else if (node.op == Op::kLookup || node.op == Op::kClip) {
      const std::vector<std::function<double(double)>> functions = FunctionsOf(node);
      const Quantization stored = Of(node.output);
      for (const auto& function : functions) {
        all.push_back(
            Tabulate(function, stored, seen, 1.0 / static_cast<double>(functions.size())));
      }
    } else {
      return std::nullopt;
    }
  }
  if (all.empty()) return std::nullopt;
  return all;
}

Quantization FunctionRanges::Of(int value) {
  std::optional<Quantization>& chosen = chosen_[static_cast<std::size_t>(value)];
  if (!chosen) {
    const ValueStatistics& seen = calibration_.values[static_cast<std::size_t>(value)];
    const std::optional<std::vector<ResultBehind>> behind = Behind(value, seen);
    chosen = behind ? ChooseRangeBefore(seen, *behind) : ChooseRange(seen, seen.least >= 0.0F);
  }
  return *chosen;
}

double FunctionRanges::Saturation(int value, const Quantization& stored) {
  const ValueStatistics& seen = calibration_.values[static_cast<std::size_t>(value)];
  const double high = (255.0 - stored.zero_point) * double{stored.scale};
  const double width = BinEdge(seen, 1) - BinEdge(seen, 0);
  if (high >= double{seen.greatest}) return 0.0;
  const std::optional<std::vector<ResultBehind>> behind = Behind(value, seen);
  const auto end = static_cast<std::size_t>(
      std::clamp((high - double{seen.least}) / width, 0.0, double{kHistogramBins}));
  const auto is_told = [&](std::size_t bin) {
    return std::ranges::any_of(*behind, [&](const ResultBehind& result) {
      return std::fabs((result.at[bin] + result.at[bin + 1]) / 2.0 - result.at[end]) >= 1.0;
    });
  };
  double above = 0.0;
  double total = seen.zeros;
  for (std::size_t bin = 0; bin < kHistogramBins; ++bin) {
    total += seen.histogram[bin];
    if (BinEdge(seen, bin) + width / 2.0 > high && (!behind || is_told(bin))) {
      above += seen.histogram[bin];
    }
  }
  return total > 0.0 ? above / total : 0.0;
}

}  // namespace mu8::convert
