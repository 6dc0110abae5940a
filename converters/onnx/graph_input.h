// The graph's input: its shape, and which of its dimensions are channels, height and width.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// (N, C, H, W), (N, C, W) or (N, F), of which only N may be symbolic. What first looks at the axes
// says when it is another: (N, H, W, C) or (N, W, C) before a Transpose, or before a MatMul along
// the last axis; (N, H, W) or (N, F) of pictures without an axis for their one channel. Problems
// are reported.
void ImportInput(OnnxImporter* importer);

}  // namespace mu8::convert
