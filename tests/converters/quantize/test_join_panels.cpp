// Layers whose panels come from quantizations of several widths.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/converters/quantize/quantizer_fixture.h"

namespace mu8::convert {
namespace {

using testing::Layer;
using testing::MakeLayer;
using testing::Quantize;
using testing::Random;
using testing::Result;

template <typename T>
bool SameSlice(const std::vector<T>& a, const std::vector<T>& b, std::size_t first,
               std::size_t count) {
  const auto at = static_cast<std::ptrdiff_t>(first);
  const auto end = at + static_cast<std::ptrdiff_t>(count);
  return a.size() >= first + count && b.size() >= first + count &&
         std::equal(a.begin() + at, a.begin() + end, b.begin() + at);
}

TEST_CASE("join panels: every panel is that of its quantization, in arrays and in the report") {
  Random random(3);
  int panels = 0;
  int fallbacks = 0;  // to 4 bits
  for (const int sigma_bits : {8, 4, 2, 1, 0}) {
    // Panels of 16, 16 and 8 channels; sigmas of twice the means make 5 to 7 bits store 4.
    const Layer layer = MakeLayer(31, 40, 27, sigma_bits % 4 == 0 ? 2.0 : 0.1);
    std::vector<Result> by_width;
    for (int bits = 1; bits <= 8; ++bits) {
      by_width.push_back(Quantize(layer, sigma_bits, SigmaQuantizer::kWeighted, bits));
    }
    for (int round = 0; round < 6; ++round) {
      std::vector<const Result*> from;
      std::vector<const QuantizedWeights*> weights;
      for (int p = 0; p < 3; ++p) {
        from.push_back(&by_width[random.Below(8)]);
        weights.push_back(&from.back()->weights);
      }
      LayerReport report;
      const QuantizerSettings settings{sigma_bits, SigmaQuantizer::kWeighted};
      const QuantizedWeights joined =
          JoinPanels(layer.node, layer.channels, layer.inputs, weights, settings, &report);
      double average = 0;
      for (std::size_t c = 0; c < 40; ++c) {
        const QuantizedWeights& own = *weights[c / 16];
        CAPTURE(sigma_bits);
        CAPTURE(c);
        CHECK(joined.weight_scale[c] == own.weight_scale[c]);
        CHECK(joined.shift[c] == own.shift[c]);
        CHECK(joined.bias_mu[c] == own.bias_mu[c]);
        CHECK(joined.bias_level[c] == own.bias_level[c]);
        CHECK(joined.bias_shift[c] == own.bias_shift[c]);
        CHECK(SameSlice(joined.mu, own.mu, c * 27, 27));
        CHECK(SameSlice(joined.code, own.code, c * 27, 27));
        const std::size_t levels = std::size_t{1} << sigma_bits;
        if (sigma_bits == 4) CHECK(SameSlice(joined.codebook, own.codebook, c / 16 * 16, 16));
        if (sigma_bits < 4) CHECK(SameSlice(joined.codebook, own.codebook, c * levels, levels));
        average += own.mu_bits.front() / 40.0;
      }
      CHECK(report.average_mu_bits == doctest::Approx(average));
      CHECK(report.mu_bits == joined.mu_bits);
      for (std::size_t p = 0; p < 3; ++p) {
        const int bits = weights[p]->mu_bits.front();
        fallbacks += from[p] - by_width.data() + 1 > bits;
        CHECK((joined.mu_bits.size() == 1 ? joined.mu_bits.front() : joined.mu_bits[p]) == bits);
        if (bits <= 4) CHECK(SameSlice(joined.mu_table, weights[p]->mu_table, p * 16, 16));
        const bool empty = joined.mu_table.empty() || bits <= 4;
        CHECK((empty ||
               std::all_of(joined.mu_table.begin() + static_cast<std::ptrdiff_t>(p * 16),
                           joined.mu_table.begin() + static_cast<std::ptrdiff_t>(p * 16 + 16),
                           [](std::int8_t entry) { return entry == 0; })));
        CHECK(report.panel_errors[p] == doctest::Approx(from[p]->report.panel_errors[p]));
        ++panels;
      }
    }
  }
  CHECK(panels == 5 * 6 * 3);
  CHECK(fallbacks > 5);
}

TEST_CASE("join panels: groups, depthwise layers and layers without sigma") {
  Random random(4);
  for (const int groups : {1, 4, 40}) {
    for (const double spread : {0.0, 0.1}) {
      Layer layer = MakeLayer(32, 40, 27, spread);
      layer.node.groups = groups;
      while (layer.inputs.power.size() < static_cast<std::size_t>(groups) * layer.k) {
        const std::size_t at = layer.inputs.power.size() % layer.k;
        layer.inputs.power.push_back(layer.inputs.power[at]);
        layer.inputs.mean.push_back(layer.inputs.mean[at]);
      }
      layer.node.window.kernel_h = groups == 40 ? 27 : 1;  // one input a channel: depthwise
      const Result narrow = Quantize(layer, 4, SigmaQuantizer::kWeighted, 2);
      const Result wide = Quantize(layer, 4, SigmaQuantizer::kWeighted, 8);
      // Groups have panels of their own; those of a depthwise layer hold 16 channels.
      const std::size_t per_group = groups == 4 ? 10 : 40;
      std::vector<const QuantizedWeights*> from;
      for (std::size_t c = 0; c < 40; ++c) {
        if (c % per_group % 16 != 0) continue;
        from.push_back(from.size() % 2 == 0 ? &narrow.weights : &wide.weights);
      }
      LayerReport report;
      const QuantizerSettings settings{4, SigmaQuantizer::kWeighted};
      const QuantizedWeights joined =
          JoinPanels(layer.node, layer.channels, layer.inputs, from, settings, &report);
      CAPTURE(groups);
      CAPTURE(spread);
      REQUIRE(joined.mu_bits.size() == from.size());
      std::size_t panel = 0;
      for (std::size_t c = 0; c < 40; ++c) {
        if (c > 0 && c % per_group % 16 == 0) ++panel;
        CHECK(SameSlice(joined.mu, from[panel]->mu, c * 27, 27));
        CHECK(joined.weight_scale[c] == from[panel]->weight_scale[c]);
      }
    }
  }
}

}  // namespace
}  // namespace mu8::convert
