// Fitting a few sigma levels to many sigmas, each weighted by how much the network feels it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mu8::convert {

// Cuts sorted values into `count` contiguous clusters so that sum weight * (value - level)^2 is
// least, where a cluster's level is its weighted RMS: it keeps sum weight * value^2, the variance
// that the layer passes on. Exact dynamic programming over the histogram bins given.
// `values` ascending (one per bin), `weights` >= 0. Returns the first bin of each cluster; clusters
// may be empty when there are fewer bins with weight than clusters.
std::vector<std::size_t> ClusterSigmas(std::span<const double> values,
                                       std::span<const double> weights, std::size_t count);

// `count` values evenly spaced from the least to the greatest (Subedar 2021, Algorithm 1).
std::vector<double> AffineLevels(std::span<const double> values, std::size_t count);

}  // namespace mu8::convert
