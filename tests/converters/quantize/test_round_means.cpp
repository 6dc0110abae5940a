// Rounding a channel's means together, and the covariance that it goes by.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "converters/calibrate/covariance.h"
#include "converters/quantize/round_means.h"

using namespace mu8::convert;

namespace {

// d^T C d, with the diagonal raised as RoundTogether does (5 % of its mean).
double Cost(const std::vector<double>& covariance, const std::vector<double>& d) {
  const std::size_t k = d.size();
  double ridge = 0.0;
  for (std::size_t i = 0; i < k; ++i)
    ridge += 0.05 * covariance[i * k + i] / static_cast<double>(k);
  double cost = 0.0;
  for (std::size_t i = 0; i < k; ++i) {
    cost += ridge * d[i] * d[i];
    for (std::size_t j = 0; j < k; ++j) cost += d[i] * covariance[i * k + j] * d[j];
  }
  return cost;
}

struct Channel {
  std::vector<double> covariance, target, produced;
  std::vector<std::uint8_t> free;
  std::vector<std::int8_t> mu;

  std::vector<double> Errors() const {
    std::vector<double> d;
    for (std::size_t i = 0; i < target.size(); ++i) d.push_back(produced[i] - target[i]);
    return d;
  }
};

// Strongly correlated inputs: C = A A^T from few factors, and means rounded one by one.
Channel RandomChannel(std::size_t k, std::mt19937* random) {
  std::normal_distribution<double> normal;
  std::vector<double> factors(k * 3);
  for (double& f : factors) f = normal(*random);
  Channel channel;
  channel.covariance.assign(k * k, 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      for (std::size_t f = 0; f < 3; ++f) {
        channel.covariance[i * k + j] += factors[i * 3 + f] * factors[j * 3 + f];
      }
    }
    channel.target.push_back(20.0 * normal(*random));
    channel.produced.push_back(std::nearbyint(channel.target[i]));
    channel.mu.push_back(static_cast<std::int8_t>(channel.produced[i]));
    channel.free.push_back(1);
  }
  return channel;
}

void Round(Channel* channel) {
  std::vector<std::int8_t> integers;
  for (int value = -127; value <= 127; ++value) integers.push_back(static_cast<std::int8_t>(value));
  RoundTogether({.covariance = channel->covariance,
                 .target = channel->target,
                 .free = channel->free,
                 .allowed = integers,
                 .produced = channel->produced,
                 .mu = channel->mu});
}

}  // namespace

TEST_CASE("round means: cost falls, values stay beside the target, fixed weights stay") {
  std::mt19937 random(5);
  int improved = 0;
  for (int trial = 0; trial < 50; ++trial) {
    CAPTURE(trial);
    Channel channel = RandomChannel(40, &random);
    channel.free[7] = 0;
    const std::int8_t fixed = channel.mu[7];
    const double before = Cost(channel.covariance, channel.Errors());
    Round(&channel);
    const double after = Cost(channel.covariance, channel.Errors());
    CHECK(after <= before);
    improved += after < 0.5 * before;
    CHECK(channel.mu[7] == fixed);
    for (std::size_t i = 0; i < channel.mu.size(); ++i) {
      CHECK(std::abs(channel.produced[i] - channel.target[i]) < 1.0);
      CHECK(channel.produced[i] == channel.mu[i]);
    }
  }
  CHECK(improved >= 45);  // correlated inputs: most of the error cancels
}

TEST_CASE("round means: no single flip lowers the cost further") {
  std::mt19937 random(6);
  Channel channel = RandomChannel(12, &random);
  Round(&channel);
  const double cost = Cost(channel.covariance, channel.Errors());
  for (std::size_t i = 0; i < channel.mu.size(); ++i) {
    std::vector<double> d = channel.Errors();
    d[i] += d[i] > 0.0 ? -1.0 : 1.0;
    CHECK(Cost(channel.covariance, d) >= cost - 1e-9);
  }
}

TEST_CASE("covariance: dense layer equals the plain formula") {
  Network network;
  network.values = {{"x", 1, 1, 3}, {"y", 1, 1, 2}};
  Node node{.op = Op::kDense, .name = "fc", .inputs = {0}, .output = 1};
  network.nodes = {node};
  std::mt19937 random(7);
  std::normal_distribution<float> normal(1.0F, 2.0F);
  std::vector<float> x(30);
  for (float& value : x) value = normal(random);
  CovarianceCollector collector(network, network.nodes[0]);
  collector.Add(x.data(), 0, 4);
  collector.Add(x.data() + 12, 4, 6);
  const std::vector<double> covariance = collector.Covariance();
  REQUIRE(covariance.size() == 9);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      double product = 0.0, a = 0.0, b = 0.0;
      for (std::size_t n = 0; n < 10; ++n) {
        product += double{x[n * 3 + i]} * double{x[n * 3 + j]} / 10.0;
        a += double{x[n * 3 + i]} / 10.0;
        b += double{x[n * 3 + j]} / 10.0;
      }
      CHECK(covariance[i * 3 + j] == doctest::Approx(product - a * b).epsilon(1e-4));
    }
  }
}

TEST_CASE("covariance: a padded convolution sees zeros, a wide layer is left out") {
  Network network;
  network.values = {{"x", 2, 2, 1}, {"y", 2, 2, 1}, {"wide", 1, 1, 2000}, {"z", 1, 1, 1}};
  Node conv{.op = Op::kConv2d, .name = "conv", .inputs = {0}, .output = 1};
  conv.window = {
      .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  Node wide{.op = Op::kDense, .name = "fc", .inputs = {2}, .output = 3};
  network.nodes = {conv, wide};
  CovarianceCollector collector(network, network.nodes[0]);
  const std::vector<float> ones(4, 1.0F);
  collector.Add(ones.data(), 0, 1);
  const std::vector<double> covariance = collector.Covariance();
  REQUIRE(covariance.size() == 81);
  CHECK(covariance[4 * 9 + 4] == doctest::Approx(0.0));  // the middle is always 1
  CHECK(covariance[0] == doctest::Approx(0.25 * 0.75));  // a corner is real in 1 window of 4
  CHECK(CovarianceCollector(network, network.nodes[1]).Covariance().empty());
}
