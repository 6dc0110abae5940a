// Sampled weights: reproducible, and distributed as the Gaussians that they are drawn from.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "converters/fp32/executor.h"
#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// Only the parameters matter here: N(3, 0.5^2) weights and biases.
Node Layer(std::size_t weight_count, std::size_t bias_count) {
  Node node{};
  node.op = Op::kDense;
  node.weights.mu.assign(weight_count, 3.0F);
  node.weights.sigma.assign(weight_count, 0.5F);
  node.bias.mu.assign(bias_count, 3.0F);
  node.bias.sigma.assign(bias_count, 0.5F);
  return node;
}

// An odd count in between, so that a pair of numbers spans two arrays.
Network TwoLayers() {
  Network network;
  network.nodes = {Layer(301, 16), Layer(0, 0), Layer(800, 10)};
  network.nodes[0].name = "node0";
  network.nodes[1].op = Op::kClip;
  network.nodes[2].name = "node2";
  return network;
}

}  // namespace

TEST_CASE("sampled weights: a pure function of seed and pass") {
  const Network network = TwoLayers();
  SampledWeights first, again, other;
  SampleGaussian(network, 7, 3, &first);
  SampleGaussian(network, 7, 2, &again);  // leaves something to overwrite
  SampleGaussian(network, 7, 3, &again);
  CHECK(first.weights == again.weights);
  CHECK(first.biases == again.biases);
  SampleGaussian(network, 7, 4, &other);
  CHECK(first.weights[0] != other.weights[0]);
  CHECK(first.weights[2] != other.weights[2]);
  CHECK(first.biases[2] != other.biases[2]);
  SampleGaussian(network, 8, 3, &other);
  CHECK(first.weights[0] != other.weights[0]);
}

TEST_CASE("sampled weights: parameters without sigma keep their mean") {
  Network network = TwoLayers();
  network.nodes[0].weights.sigma.clear();
  for (Node& node : network.nodes) node.bias.sigma.clear();
  SampledWeights mean, sample;
  MeanWeights(network, &mean);
  SampleGaussian(network, 1, 0, &sample);
  CHECK(sample.weights[0] == network.nodes[0].weights.mu);
  CHECK(sample.biases == mean.biases);
  CHECK(sample.weights[1].empty());
  CHECK(sample.weights[2] != mean.weights[2]);
  network.nodes[2].weights.sigma.pop_back();
  CHECK_THROWS_WITH_AS(SampleGaussian(network, 1, 0, &sample),
                       "node 'node2': 799 sigmas, expected 800 as means", host::Error);
}

TEST_CASE("sampled weights: mean, variance, tails and independence are a standard normal's") {
  constexpr std::size_t kWeights = 10000;
  constexpr std::uint32_t kPasses = 200;
  Network network;
  network.nodes = {Layer(kWeights, 0)};
  SampledWeights sample;
  double sum = 0, squares = 0, fourth = 0, neighbours = 0, passes = 0;
  std::size_t beyond_three = 0;
  std::vector<double> before(kWeights, 0.0);
  for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
    SampleGaussian(network, 42, pass, &sample);
    double neighbour = 0;
    for (std::size_t i = 0; i < kWeights; ++i) {
      const double z = (static_cast<double>(sample.weights[0][i]) - 3.0) / 0.5;
      sum += z;
      squares += z * z;
      fourth += z * z * z * z;
      neighbours += z * neighbour;
      passes += z * before[i];
      beyond_three += std::fabs(z) > 3.0 ? 1 : 0;
      neighbour = z;
      before[i] = z;
    }
  }
  // Bounds are five standard errors for n = 2e6 draws: sqrt(1, 2, 96, 1, 1) / sqrt(n), and
  // P(|z| > 3) = 0.0027.
  const double n = static_cast<double>(kWeights) * kPasses;
  CHECK(std::fabs(sum / n) < 5 * std::sqrt(1 / n));
  CHECK(std::fabs(squares / n - 1) < 5 * std::sqrt(2 / n));
  CHECK(std::fabs(fourth / n - 3) < 5 * std::sqrt(96 / n));
  CHECK(std::fabs(neighbours / n) < 5 * std::sqrt(1 / n));
  CHECK(std::fabs(passes / n) < 5 * std::sqrt(1 / n));
  CHECK(std::fabs(static_cast<double>(beyond_three) / n - 0.0026998) < 5 * std::sqrt(0.0027 / n));
}

}  // namespace mu8::convert
