// An image becomes the input tensor (FORMAT.md 5.1).
#pragma once

#include <cstdint>

#include "formats/reader.h"

namespace mu8 {

// Writes one image into its input tensor, padding included. NHWC.
void LoadPixels(const format::View& view, const std::uint8_t* pixels, std::uint8_t* activations);
// The same from floats in the network's input units; finite.
void LoadFloats(const format::View& view, const float* values, std::uint8_t* activations);

}  // namespace mu8
