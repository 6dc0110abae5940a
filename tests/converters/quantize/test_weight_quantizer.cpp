// What quantized weights must keep, over random layers and every sigma width: the variance that the
// layer passes on, the mean of each sampled weight and of the output. test_affine_quantizer.cpp has
// the rule that keeps neither.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "converters/quantize/weight_quantizer.h"
#include "tests/converters/quantize/quantizer_fixture.h"

namespace mu8::convert {
namespace {

using namespace testing;

struct Kind {
  const char* name;
  double spread;  // sigma over |mu|
  int channels, k, groups;
};
constexpr Kind kKinds[] = {
    {"sigma a hundredth of |mu|", 0.01, 20, 150, 1},
    {"sigma a tenth of |mu|", 0.1, 10, 300, 1},
    {"sigma as |mu|", 1.0, 33, 90, 1},
    {"sigma five times |mu|", 5.0, 6, 200, 1},
    {"one channel", 0.3, 1, 400, 1},
    {"groups", 0.5, 40, 36, 2},
    {"depthwise", 0.5, 24, 9, 24},
};

// The least of sum E[x^2] sigma^2 that a width must keep. Few levels are fitted with more regard
// for the weights of small sigma, those that the posterior is sure of; where sigma says nothing
// about its input, as in these layers (log-normal, a factor of 2 either way), that gives away
// noise.
double LeastVariance(int bits) {
  return bits == 8 ? 0.98 : bits == 4 ? 0.94 : bits == 2 ? 0.8 : bits == 1 ? 0.7 : 0.3;
}

TEST_CASE("weight quantizer: variance, means and ranges hold for every width and kind of layer") {
  for (const Kind& kind : kKinds) {
    for (const int bits : kBits) {
      for (const bool covariance : {false, true}) {
        Layer layer = MakeLayer(7, kind.channels, kind.k, kind.spread, kind.groups);
        if (covariance) AddCovariance(&layer);
        const Result result = Quantize(layer, bits);
        INFO(std::string(kind.name) << ", " << bits << " bits, covariance " << covariance);
        CheckStored(result);
        CheckMeans(result);
        const double kept = VarianceKept(result);
        CHECK(kept > LeastVariance(bits));
        CHECK(kept < 1.02);
        CHECK(std::abs(result.report.variance_kept_weighted - kept) < 1e-9);
      }
    }
  }
}

TEST_CASE("weight quantizer: where a channel's sigmas are alike every width keeps the variance") {
  for (const double spread : {0.05, 0.5, 3.0}) {
    for (const int bits : kBits) {
      Layer layer = MakeLayer(19, 20, 120, spread);
      for (std::size_t c = 0; c < 20; ++c) {
        const double sigma = 0.1 * spread * (1.0 + 0.05 * static_cast<double>(c));
        std::fill_n(layer.node.weights.sigma.begin() + static_cast<std::ptrdiff_t>(c * layer.k),
                    layer.k, static_cast<float>(sigma));
      }
      CAPTURE(spread);
      CAPTURE(bits);
      CHECK(std::abs(VarianceKept(Quantize(layer, bits)) - 1.0) < 0.03);
    }
  }
}

TEST_CASE("weight quantizer: codebooks keep the variance times the gain") {
  for (const int bits : {4, 2, 1}) {
    const Layer layer = MakeLayer(19, 20, 120, 0.5);
    const double plain = VarianceKept(Quantize(layer, bits));
    for (const double gain : {0.8, 1.2}) {
      Result result{layer, bits, {}, {}};
      const QuantizerSettings settings{.sigma_bits = bits, .noise_gain = gain};
      result.weights = QuantizeWeights(layer.node, layer.channels, layer.inputs,
                                       {.input_scale = kInputScale}, 8, settings, &result.report);
      CAPTURE(bits);
      CAPTURE(gain);
      CHECK(std::abs(VarianceKept(result) / plain - gain) < 0.04);
    }
  }
}

TEST_CASE("weight quantizer: the bias gives back what rounding took from the mean output") {
  for (const double spread : {0.0, 0.1, 2.0}) {
    for (const int bits : kBits) {
      const Layer layer = MakeLayer(8, 12, 120, spread);
      const Result result = Quantize(layer, bits);
      CAPTURE(spread);
      CAPTURE(bits);
      for (int c = 0; c < layer.channels; ++c) {
        const auto at = static_cast<std::size_t>(c);
        const double unit = double{result.weights.weight_scale[at]} * double{kInputScale};
        const double error = MeanOutput(result, c, true) - MeanOutput(result, c, false);
        CHECK(std::abs(error) <= 0.5001 * unit);
        // The bias as it would be stored alone is farther off, or was right already.
        const double plain = std::nearbyint(double{layer.node.bias.mu[at]} / unit);
        const double uncorrected = error + (plain - result.weights.bias_mu[at]) * unit;
        CHECK(std::abs(error) <= std::abs(uncorrected) + 1e-9);
      }
    }
  }
}

TEST_CASE("weight quantizer: bias noise has the bias's own sigma") {
  const Layer layer = MakeLayer(9, 30, 20, 0.5);
  const Result result = Quantize(layer, 8);
  for (std::size_t c = 0; c < 30; ++c) {
    const double unit = double{result.weights.weight_scale[c]} * double{kInputScale};
    double variance = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const double n = NoiseValue(result.weights.bias_level[c], result.weights.bias_shift[c],
                                  static_cast<std::uint8_t>(byte));
      variance += n * n / 256;
    }
    const double sigma = double{layer.node.bias.sigma[c]};
    CAPTURE(c);
    CHECK(std::abs(std::sqrt(variance) * unit - sigma) < 0.005 * sigma + unit);
  }
}

TEST_CASE("weight quantizer: a deterministic layer has no levels and the plain nearest means") {
  const Layer layer = MakeLayer(10, 20, 100, 0.0);
  const Result result = Quantize(layer, 4);
  CheckStored(result);
  CheckMeans(result);
  CHECK(result.weights.codebook.empty());
  CHECK_FALSE(result.report.bayesian);
  CHECK(result.report.sigma_bits == 0);
  CHECK(result.report.mean_sqnr_db > 35.0);
}

TEST_CASE("weight quantizer: a channel of zeros keeps a usable step and stays zero") {
  for (const double spread : {0.0, 0.5}) {
    for (const int bits : kBits) {
      for (const SigmaQuantizer rule : {SigmaQuantizer::kWeighted, SigmaQuantizer::kAffine}) {
        if (bits == 0 && rule == SigmaQuantizer::kAffine) continue;
        Layer layer = MakeLayer(11, 5, 40, spread);
        std::fill_n(layer.node.weights.mu.begin() + 40, 40, 0.0F);
        if (spread > 0) std::fill_n(layer.node.weights.sigma.begin() + 40, 40, 0.0F);
        const Result result = Quantize(layer, bits, rule);
        CAPTURE(spread);
        CAPTURE(bits);
        REQUIRE(std::isnormal(result.weights.weight_scale[1]));
        for (std::size_t i = 0; i < 40; ++i) {
          CHECK(result.At(1, i).mu == 0);
          // A panel shares 16 levels, the least of which need not be 0.
          if (rule == SigmaQuantizer::kWeighted && bits != 4) {
            CHECK(result.At(1, i).moments().variance == 0.0);
          }
        }
      }
    }
  }
}

TEST_CASE("weight quantizer: a layer whose inputs are all silent still gets finite numbers") {
  for (const int bits : kBits) {
    Layer layer = MakeLayer(12, 8, 30, 0.5);
    std::fill(layer.inputs.power.begin(), layer.inputs.power.end(), 0.0);
    std::fill(layer.inputs.mean.begin(), layer.inputs.mean.end(), 0.0);
    const Result result = Quantize(layer, bits);
    CAPTURE(bits);
    CheckStored(result);
    CHECK(std::isfinite(result.report.variance_kept));
    CHECK(result.report.variance_kept_weighted == 1.0);
  }
}

TEST_CASE("weight quantizer: where sigma is wide the step covers the sampled weight") {
  for (const double spread : {2.0, 5.0, 20.0}) {
    const Layer layer = MakeLayer(13, 8, 150, spread);
    const Result weighted = Quantize(layer, 8);
    const Result affine = Quantize(layer, 8, SigmaQuantizer::kAffine);
    CAPTURE(spread);
    for (std::size_t c = 0; c < 8; ++c) {
      const float* sigma = layer.node.weights.sigma.data() + c * layer.k;
      const double widest = double{*std::max_element(sigma, sigma + layer.k)};
      CHECK(127.0 * double{weighted.weights.weight_scale[c]} >= 0.999 * widest);
      CHECK(weighted.weights.weight_scale[c] > affine.weights.weight_scale[c]);
    }
    CHECK(weighted.report.saturation < 0.02);
    CHECK(weighted.report.saturation < affine.report.saturation);
    CHECK(affine.report.variance_kept_weighted < 0.9);
  }
}

TEST_CASE("weight quantizer: sigma a fraction of one step keeps its summed variance at 8 bits") {
  // One huge mean per channel makes the step coarse: all sigmas are 1/20 to 1/3 of it.
  for (const double fraction : {0.05, 0.1, 0.2, 0.33}) {
    Layer layer = MakeLayer(14, 6, 400, 0.1);
    for (std::size_t c = 0; c < 6; ++c) layer.node.weights.mu[c * layer.k] = 1.27F;
    Random random(15);
    for (float& sigma : layer.node.weights.sigma) {
      sigma = static_cast<float>(0.01 * fraction * (0.8 + 0.4 * random.Unit()));
    }
    const Result result = Quantize(layer, 8);
    CAPTURE(fraction);
    CheckStored(result);
    // The carry balances the sum weighted by importance. At 1/20 of a step a third of the 2,400
    // weights carry all the noise (1/128 each), so the sum weighted by power alone scatters by
    // 1 / sqrt(2400 / 3) = 3.5 %.
    CHECK(std::abs(VarianceKept(result) - 1.0) < 0.05);
  }
}

TEST_CASE("weight quantizer: the same layer gives the same numbers twice") {
  for (const int bits : kBits) {
    Layer layer = MakeLayer(18, 18, 60, 0.5);
    AddCovariance(&layer);
    const Result one = Quantize(layer, bits);
    const Result two = Quantize(layer, bits);
    CHECK(one.weights.mu == two.weights.mu);
    CHECK(one.weights.code == two.weights.code);
    CHECK(one.weights.codebook == two.weights.codebook);
    CHECK(one.weights.bias_mu == two.weights.bias_mu);
    CHECK(one.weights.weight_scale == two.weights.weight_scale);
  }
}

}  // namespace
}  // namespace mu8::convert
