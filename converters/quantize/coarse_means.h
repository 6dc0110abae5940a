// Means of 1 to 7 bits: which of the 255 values of an s8 weight a layer may use, and the weight
// scales that go with them.
#pragma once

#include <cstdint>
#include <vector>

#include "converters/quantize/quantizer_work.h"

namespace mu8::convert {

// The values that a mean of channel c may take, ascending (FORMAT.md 6.7): multiples of
// 2^(8 - bits), or the table of the channel's panel; for 8 bits -127 to 127.
std::vector<std::int8_t> AllowedMeans(const LayerWork& work, std::size_t c);

// Chooses out.weight_scale, and out.mu_table for 1 to 4 bits, so that sum importance (Q(mu) - mu)^2
// is small: per panel k-means over the means in units of their channels' steps (Lloyd 1982), in
// turns with a search for each channel's scale. Starts from the means' spread, or, for 5 to 7 bits
// and where all means are 0, from the scales of 8 bits.
//
// Where sigmas exceed the means they set the scale, the means are a few steps, and multiples of
// 2^(8 - bits) are too coarse for them. A layer that may use 5 to 7 bits therefore takes 4, mu_bits
// says so, if tables of 16 values leave a smaller error.
void ChooseCoarseScales(LayerWork* work);

// The index of the value nearest to `mu`; the lower one of two.
std::size_t NearestMean(const std::vector<std::int8_t>& allowed, double mu);

}  // namespace mu8::convert
