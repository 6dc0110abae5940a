// Channels of unlike ranges share one scale in a stored tensor, and inputs of unlike weights one in
// a channel of weights: the small ones fall between two steps. Where that would cost a layer much,
// factors move between layers so that both come nearer to each other (network/channel_scales.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/network/network.h"

namespace mu8::convert {

// A layer is helped that 8-bit inputs and weights alone would cost more than this fraction of its
// outputs' power, 20 dB; trained networks lose a tenth of it, and keep their bytes.
inline constexpr double kMostPredictedLoss = 0.01;

// Exponents by group of ChannelGroups(*network), all 0 (empty) where no layer needs help or none is
// helped by half. Scales the network's layers by them. What was done goes to `notices`.
std::vector<int> Equalize(const host::Dataset& data, std::uint64_t seed, Network* network,
                          std::vector<std::string>* notices);

}  // namespace mu8::convert
