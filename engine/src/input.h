// An image becomes the input tensor (FORMAT.md 5.1).
#pragma once

#include <cstdint>

#include "formats/reader.h"

namespace mu8 {

// Writes one image into its input tensor, padding included, and how many of its values were clamped
// behind all tensors. NHWC. Of files of pixels. False if the tensor's record has changed since
// Open.
bool LoadPixels(const format::View& view, const std::uint8_t* pixels, std::uint8_t* activations,
                Diagnostic* fault = nullptr);
// The same from finite floats: in the network's input units, or, of files of numbers, in theirs.
bool LoadFloats(const format::View& view, const float* values, std::uint8_t* activations,
                Diagnostic* fault = nullptr);

// What the load of this image left behind its tensors, whatever has run since. These 4 bytes are
// the last of its activation memory, so they lie in the tail of each tensor that reaches there
// (FORMAT.md section 4), and no layer writes a tail.
std::uint32_t ClampedInputs(const format::View& view, const std::uint8_t* activations);

}  // namespace mu8
