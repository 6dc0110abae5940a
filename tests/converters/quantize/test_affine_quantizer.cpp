// The rule of Subedar 2021, Algorithm 1, kept for comparison: mu's own step, levels of sigma evenly
// spaced. It may be noisier than it should be, but must be what the paper says, and never biased.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/converters/quantize/quantizer_fixture.h"

namespace mu8::convert {
namespace {

using namespace testing;

TEST_CASE("affine quantizer: takes mu's own step and evenly spaced levels of sigma") {
  const Layer layer = MakeLayer(16, 3, 250, 0.4);
  for (const int bits : {8, 2, 1}) {
    const Result result = Quantize(layer, bits, SigmaQuantizer::kAffine);
    CAPTURE(bits);
    CheckStored(result);
    for (int c = 0; c < 3; ++c) {
      const auto at = static_cast<std::size_t>(c) * layer.k;
      const auto mu = [&](std::size_t i) { return layer.node.weights.mu[at + i]; };
      const auto sigma = [&](std::size_t i) { return double{layer.node.weights.sigma[at + i]}; };
      float largest = 0.0F;
      double low = sigma(0), high = sigma(0);
      for (std::size_t i = 0; i < layer.k; ++i) {
        largest = std::max(largest, std::abs(mu(i)));
        low = std::min(low, sigma(i));
        high = std::max(high, sigma(i));
      }
      CHECK(result.weights.weight_scale[static_cast<std::size_t>(c)] == largest / 127.0F);
      const double gap = (high - low) / ((1 << bits) - 1);
      for (std::size_t i = 0; i < layer.k; ++i) {
        const Stored stored = result.At(c, i);
        const double even = low + gap * std::nearbyint((sigma(i) - low) / gap);
        const double level = std::ldexp(even / stored.scale, stored.shift) / 32;
        REQUIRE(std::abs(stored.level - level) <=
                0.5001 + IsTieLevel(stored.level - 1, stored.shift));
        REQUIRE(stored.mu == std::nearbyint(double{mu(i)} / stored.scale));
      }
    }
  }
}

TEST_CASE("affine quantizer: stores no tie levels, also in a panel of unlike channels") {
  for (const int bits : {8, 4, 2, 1}) {
    Layer layer = MakeLayer(20, 16, 64, 0.4);
    for (std::size_t i = 0; i < layer.node.weights.sigma.size(); ++i) {
      layer.node.weights.sigma[i] *= static_cast<float>(1 << (i / layer.k % 10));
    }
    CAPTURE(bits);
    CheckStored(Quantize(layer, bits, SigmaQuantizer::kAffine));
  }
}

TEST_CASE("affine quantizer: sigma far above |mu| makes noise, not silence") {
  // A pruned channel of an ELBO posterior: |mu| 1e-4, sigma 0.05 is 60,000 of mu's steps.
  for (const int bits : {8, 4, 2, 1}) {
    Layer layer = MakeLayer(17, 4, 50, 0.5);
    for (float& mu : layer.node.weights.mu) mu *= 0.001F;
    std::fill(layer.node.weights.sigma.begin(), layer.node.weights.sigma.end(), 0.05F);
    const Result result = Quantize(layer, bits, SigmaQuantizer::kAffine);
    CAPTURE(bits);
    double least = 1e9;
    for (std::size_t i = 0; i < layer.k; ++i) {
      least = std::min(least, result.At(0, i).moments().variance);
    }
    CHECK(least > 1000.0);
  }
}

}  // namespace
}  // namespace mu8::convert
