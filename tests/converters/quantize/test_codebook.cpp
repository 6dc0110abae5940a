// Clustering sigmas: the dynamic programme against every way to cut, and the paper's even levels.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "converters/quantize/codebook.h"
#include "tests/support/random.h"

namespace mu8::convert {
namespace {

using testing::Random;
using Doubles = std::vector<double>;
using Cuts = std::vector<std::size_t>;

enum class Centre { kRms, kMean };

// sum w (v - level)^2 of one cluster [begin, end), level its weighted RMS or weighted mean.
double ClusterCost(const Doubles& v, const Doubles& w, std::size_t begin, std::size_t end,
                   Centre centre) {
  double weight = 0, first = 0, second = 0;
  for (std::size_t i = begin; i < end; ++i) {
    weight += w[i];
    first += w[i] * v[i];
    second += w[i] * v[i] * v[i];
  }
  if (weight == 0) return 0;
  const double level = centre == Centre::kRms ? std::sqrt(second / weight) : first / weight;
  double cost = 0;
  for (std::size_t i = begin; i < end; ++i) cost += w[i] * (v[i] - level) * (v[i] - level);
  return cost;
}

double CostOf(const Doubles& v, const Doubles& w, const Cuts& first, Centre centre = Centre::kRms) {
  double cost = 0;
  for (std::size_t k = 0; k < first.size(); ++k) {
    cost += ClusterCost(v, w, first[k], k + 1 < first.size() ? first[k + 1] : v.size(), centre);
  }
  return cost;
}

// The cheapest of all ways to cut bins [begin, end) into `count` clusters, empty ones included.
double Cheapest(const Doubles& v, const Doubles& w, Cuts* cuts, std::size_t count, Centre centre,
                Cuts* best, double least = std::numeric_limits<double>::infinity()) {
  if (cuts->size() == count) {
    const double cost = CostOf(v, w, *cuts, centre);
    if (cost < least) *best = *cuts;
    return std::min(cost, least);
  }
  for (std::size_t next = cuts->empty() ? 0 : cuts->back(); next <= v.size(); ++next) {
    if (cuts->empty() && next > 0) break;
    cuts->push_back(next);
    least = Cheapest(v, w, cuts, count, centre, best, least);
    cuts->pop_back();
  }
  return least;
}

void CheckCuts(const Cuts& first, std::size_t count, std::size_t bins) {
  REQUIRE(first.size() == count);
  CHECK(first[0] == 0);
  CHECK(std::is_sorted(first.begin(), first.end()));
  CHECK(first.back() <= bins);
}

TEST_CASE("codebook: the clusters cost no more than the cheapest of all ways to cut") {
  Random random(1);
  int by_rms_only = 0;
  for (int round = 0; round < 400; ++round) {
    const auto bins = static_cast<std::size_t>(random.Between(1, 9));
    const auto count = static_cast<std::size_t>(random.Between(1, 4));
    Doubles values(bins), weights(bins);
    for (double& v : values) v = random.OneIn(3) ? random.Between(0, 5) : 10 * random.Unit();
    std::sort(values.begin(), values.end());
    for (double& w : weights) w = random.OneIn(4) ? 0.0 : std::exp(6 * random.Unit() - 3);
    const Cuts first = ClusterSigmas(values, weights, count);
    CAPTURE(round);
    CheckCuts(first, count, bins);
    Cuts cuts, best, best_mean;
    const double least = Cheapest(values, weights, &cuts, count, Centre::kRms, &best);
    Cheapest(values, weights, &cuts, count, Centre::kMean, &best_mean);
    CHECK(CostOf(values, weights, first) <= least + 1e-9 * (1 + least));
    by_rms_only += CostOf(values, weights, best_mean) > least * (1 + 1e-6) + 1e-9;
  }
  // The level really is the RMS: clusters around the weighted mean would sometimes be cut
  // elsewhere.
  CHECK(by_rms_only > 0);
}

TEST_CASE("codebook: at full size no cluster gains from moving one bin across a boundary") {
  Random random(2);
  Doubles values(256), weights(256);
  for (std::size_t i = 0; i < 256; ++i) {
    values[i] = static_cast<double>(i);
    weights[i] = random.OneIn(5) ? 0.0 : std::exp(-values[i] / 40) * random.Unit();
  }
  double before = std::numeric_limits<double>::infinity();
  for (const std::size_t count : {1U, 2U, 4U, 16U}) {
    Cuts first = ClusterSigmas(values, weights, count);
    CAPTURE(count);
    CheckCuts(first, count, 256);
    const double cost = CostOf(values, weights, first);
    CHECK(cost < before);
    before = cost;
    for (std::size_t k = 1; k < count; ++k) {
      for (const int move : {-1, 1}) {
        Cuts moved = first;
        moved[k] += static_cast<std::size_t>(move);
        if (!std::is_sorted(moved.begin(), moved.end()) || moved[k] > 256) continue;
        CHECK(CostOf(values, weights, moved) >= cost - 1e-9 * cost);
      }
    }
  }
}

TEST_CASE("codebook: as many clusters as distinct values cost nothing") {
  const Doubles values = {0, 1, 2, 3, 4, 5, 6, 7};
  const Doubles weights = {0, 3, 0, 0, 2, 0, 0.5, 0};
  const Cuts first = ClusterSigmas(values, weights, 3);
  CheckCuts(first, 3, 8);
  CHECK(CostOf(values, weights, first) == 0.0);
}

TEST_CASE("codebook: weights that are all zero still give cuts in order") {
  const Doubles values = {1, 2, 3};
  CheckCuts(ClusterSigmas(values, Doubles(3, 0.0), 4), 4, 3);
}

TEST_CASE("codebook: a heavy bin takes the cut that a light one would get unweighted") {
  const Doubles values = {0, 10, 100};
  CHECK(ClusterSigmas(values, Doubles{1, 1, 1}, 2) == Cuts{0, 2});
  CHECK(ClusterSigmas(values, Doubles{1, 1000, 1e-6}, 2) == Cuts{0, 1});
}

TEST_CASE("codebook: affine levels are evenly spaced from the least to the greatest value") {
  const Doubles values = {0.5, 0.1, 0.7, 0.3};
  for (const std::size_t count : {2U, 4U, 16U, 256U}) {
    const Doubles levels = AffineLevels(values, count);
    CAPTURE(count);
    REQUIRE(levels.size() == count);
    CHECK(levels.front() == 0.1);
    CHECK(std::abs(levels.back() - 0.7) < 1e-15);
    for (std::size_t i = 0; i < count; ++i) {
      const double even = 0.1 + 0.6 * static_cast<double>(i) / static_cast<double>(count - 1);
      CHECK(std::abs(levels[i] - even) < 1e-15);
    }
  }
  CHECK(AffineLevels(Doubles{2, 2, 2}, 4) == Doubles(4, 2.0));
}

}  // namespace
}  // namespace mu8::convert
