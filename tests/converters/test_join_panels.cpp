// Layers whose panels come from quantizations of several widths.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/converters/quantizer_fixture.h"

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
  for (const int sigma_bits : {8, 4, 2, 1, 0}) {
    const Layer layer = MakeLayer(31, 40, 27, 0.1);  // panels of 16, 16 and 8 channels
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
}

}  // namespace
}  // namespace mu8::convert
