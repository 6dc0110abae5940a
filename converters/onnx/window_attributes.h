// The attributes that all windows have, checked: those of convolutions, pools, transposed
// convolutions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "converters/onnx/importer.h"

namespace mu8::convert {

using Pair = std::array<std::int64_t, 2>;  // height, width

// Each of `least` or more, `least` where absent; a sequence (rank 3) is an image of height 1.
// Throws NodeProblem, as the others do.
Pair ReadPair(const OnnxNode& node, const char* name, int rank, std::int64_t least = 1);

// Top, left, bottom, right, each of 0 or more.
std::array<std::int64_t, 4> ReadPads(const OnnxNode& node, int rank);

// NOTSET, VALID, SAME_UPPER or SAME_LOWER.
std::string ReadAutoPad(const OnnxNode& node);

// Of weights whose dimensions are two of channels, then height and width or width alone.
Pair KernelOf(const std::vector<std::int64_t>& dims);

// Throws NodeProblem for weights that no window can have, or another than kernel_shape says.
void CheckKernel(const OnnxNode& node, const std::vector<std::int64_t>& dims);

// Adds `layer` and the image that it writes, of as many dimensions as `input`.
void AddImageLayer(OnnxImporter* importer, const OnnxNode& node, Node layer,
                   const Activation& input, std::int64_t height, std::int64_t width,
                   std::int64_t channels);

}  // namespace mu8::convert
