// Means of fewer than 8 bits: only values that their codes have, and errors that bits pay for.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/converters/quantize/quantizer_fixture.h"

namespace mu8::convert::testing {
namespace {

// sum E[x^2] (E[w] - mu)^2 over sum E[x^2] mu^2, in decibels below.
double Snr(const Result& result) { return result.report.mean_sqnr_db; }

TEST_CASE("coarse means: each panel uses no more values than its codes can say") {
  int panels = 0;
  int fewer = 0;
  for (const double spread : {0.0, 0.1, 2.0}) {
    for (int may_use = 1; may_use <= 8; ++may_use) {
      const Layer layer = MakeLayer(7, 40, 33, spread);
      const Result result = Quantize(layer, 4, SigmaQuantizer::kWeighted, may_use);
      CheckStored(result);
      CAPTURE(may_use);
      CAPTURE(spread);
      const int mu_bits = result.report.mu_bits.front();
      CHECK(result.weights.mu_bits == result.report.mu_bits);
      if (mu_bits != may_use) {  // sigmas of twice the means
        CHECK(spread == 2.0);
        CHECK(mu_bits == 4);
        CHECK(may_use >= 5);
        CHECK(may_use <= 7);
        ++fewer;
      }
      CHECK(result.weights.mu_table.size() == (mu_bits <= 4 ? 3 * 16 : 0));
      for (std::size_t panel = 0; panel < 3; ++panel) {
        std::set<int> used;
        for (std::size_t c = panel * 16; c < std::min<std::size_t>(40, panel * 16 + 16); ++c) {
          for (std::size_t i = 0; i < layer.k; ++i) used.insert(result.weights.mu[c * layer.k + i]);
        }
        CHECK(used.size() <= std::size_t{1} << mu_bits);
        CHECK(used.count(-128) == 0);
        if (mu_bits <= 4) {
          const auto table =
              result.weights.mu_table.begin() + static_cast<std::ptrdiff_t>(panel * 16);
          CHECK(std::is_sorted(table, table + (1 << mu_bits)));
          for (const int value : used) CHECK(std::count(table, table + (1 << mu_bits), value) > 0);
        } else {
          for (const int value : used) CHECK(value % (1 << (8 - mu_bits)) == 0);
        }
        ++panels;
      }
    }
  }
  CHECK(panels == 3 * 8 * 3);
  CHECK(fewer > 0);
}

TEST_CASE("coarse means: with sigmas far beyond the means, more bits never leave more error") {
  int fewer = 0;
  for (const double spread : {1.0, 4.0, 10.0}) {
    const Layer layer = MakeLayer(19, 32, 120, spread);
    double four = 0.0;
    for (int may_use = 1; may_use <= 8; ++may_use) {
      const Result result = Quantize(layer, 4, SigmaQuantizer::kWeighted, may_use);
      CAPTURE(spread);
      CAPTURE(may_use);
      if (may_use == 4) four = Snr(result);
      if (may_use > 4 && may_use < 8) CHECK(Snr(result) >= four - 0.1);
      fewer += result.report.mu_bits.front() < may_use;
    }
    CHECK(four > 8.0);
  }
  CHECK(fewer >= 3);
}

// A Gaussian's Lloyd-Max quantizer reaches 4.4, 9.3, 14.6 and 20.2 dB with 1 to 4 bits (Max 1960,
// table I). Inputs of unequal power, which the errors are weighted with, only help.
TEST_CASE("coarse means: every bit pays, and few bits reach what Max 1960 promises") {
  constexpr double kMax1960[] = {4.4, 9.3, 14.6, 20.2};
  for (const bool covariance : {false, true}) {
    for (const double spread : {0.0, 0.1}) {
      Layer layer = MakeLayer(11, 32, 120, spread);
      if (covariance) AddCovariance(&layer);
      double last = 0.0;
      for (int mu_bits = 1; mu_bits <= 8; ++mu_bits) {
        const double snr = Snr(Quantize(layer, 8, SigmaQuantizer::kWeighted, mu_bits));
        CAPTURE(mu_bits);
        CAPTURE(spread);
        CAPTURE(covariance);
        // Rounding together trades single errors for their sum.
        if (!covariance && mu_bits <= 4) CHECK(snr > kMax1960[mu_bits - 1] - 1.0);
        CHECK(snr > last + 2.0);
        last = snr;
      }
      CHECK(last > 35.0);
    }
  }
}

// Nearest values alone would lose 12 % with 2 bits and 3.5 % with 3 (Max 1960: D = .1175, .03454).
TEST_CASE("coarse means: without covariance a layer's means keep their power") {
  int layers = 0;
  for (const double spread : {0.0, 0.1, 4.0}) {
    for (int mu_bits = 2; mu_bits <= 7; ++mu_bits) {
      const Layer layer = MakeLayer(23, 32, 240, spread);
      const Result result = Quantize(layer, 4, SigmaQuantizer::kWeighted, mu_bits);
      double wanted = 0.0;
      double kept = 0.0;
      for (std::size_t i = 0; i < layer.node.weights.mu.size(); ++i) {
        const double power = layer.inputs.power[i % layer.k];
        const double mu = double{layer.node.weights.mu[i]};
        const double w = result.weights.mu[i] * double{result.weights.weight_scale[i / layer.k]};
        wanted += power * mu * mu;
        kept += power * w * w;
      }
      CAPTURE(spread);
      CAPTURE(mu_bits);
      CHECK(kept > 0.98 * wanted);
      CHECK(kept < 1.08 * wanted);  // steps are never shrunk
      ++layers;
    }
  }
  CHECK(layers == 18);
}

// The error of an output whose inputs go together, which rounding together is for.
TEST_CASE("coarse means: rounding together lowers the outputs' error") {
  int lower = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Layer plain = MakeLayer(seed, 16, 64, 0.05);
    Layer joint = plain;
    AddCovariance(&joint);
    double error[2];
    for (const bool together : {false, true}) {
      const Result result = Quantize(together ? joint : plain, 8, SigmaQuantizer::kWeighted, 3);
      double sum = 0.0;
      for (int c = 0; c < 16; ++c) {
        std::vector<double> off;
        for (std::size_t i = 0; i < plain.k; ++i) {
          const Stored stored = result.At(c, i);
          const double mu = plain.node.weights.mu[static_cast<std::size_t>(c) * plain.k + i];
          off.push_back(stored.moments().mean * stored.scale - mu);
        }
        for (std::size_t i = 0; i < plain.k; ++i) {
          for (std::size_t j = 0; j < plain.k; ++j) {
            sum += off[i] * off[j] * joint.inputs.covariance[i * plain.k + j];
          }
        }
      }
      error[together ? 1 : 0] = sum;
    }
    lower += error[1] < 0.8 * error[0] ? 1 : 0;
  }
  CHECK(lower == 10);
}

}  // namespace
}  // namespace mu8::convert::testing
