// What the file's metadata_props say about normalization and classes.
#pragma once

#include "converters/onnx/importer.h"

namespace mu8::convert {

// "mean", "std" and "labels" into the Network.
void ImportMetadata(OnnxImporter* importer);

}  // namespace mu8::convert
