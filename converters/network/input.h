// From the numbers of a data set to a network's input: normalization, and the shape and scale that
// serve both.
#pragma once

#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/network/network.h"

namespace mu8::convert {

// x = (v - mean[c]) / std[c], v being u8 / 255 of pixels, or the number itself.
struct Normalization {
  std::vector<float> mean, std;  // one for all channels, or one each; empty: not given
};

// Sets network->mean and std, one each channel: what is `given`, else for pixels what the source
// file says, else 0 and 1. Says so where that is an assumption.
void ResolveNormalization(const Normalization& given, const host::Dataset& data, Network* network,
                          std::vector<std::string>* notices, std::vector<std::string>* problems);

// Adds a problem where a reconstruction cannot be held against its input: the outputs are a
// Sigmoid's, between 0 and 1, and the normalized pixels reach beyond, or more than a tenth of the
// normalized numbers do; a notice where fewer do. To be called after the normalization is resolved.
void CheckTargets(const Network& network, const host::Dataset& data,
                  std::vector<std::string>* notices, std::vector<std::string>* problems);

// A flat input that only dense layers read has no shape of its own: it takes that of pictures, so
// that pictures can be predicted, or of numbers one channel each, so that each has its own scale.
// To be called before the normalization is resolved.
void FitInput(const host::Dataset& data, Network* network, std::vector<std::string>* problems);

// Inputs [first, first + count) of `data`, normalized, NHWC.
std::vector<float> Normalize(const Network& network, const host::Dataset& data, std::size_t first,
                             std::size_t count);

// What to divide each channel of numbers by so that all have one range, over `data`; 1 where a
// scale cannot be moved into the layers that read the input (sums, products, pools), and of pixels.
std::vector<float> InputScales(const Network& network, const host::Dataset& data);

// Divides the input by `scales` (into std) and multiplies the weights that read it: the network
// computes what it did.
void ScaleInput(const std::vector<float>& scales, Network* network);

}  // namespace mu8::convert
