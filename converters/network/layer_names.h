// The names by which plans, files and reports know a network's layers.
#pragma once

#include "converters/network/network.h"

namespace mu8::convert {

// ONNX lets nodes share a name, and lets it hold any bytes. Afterwards each name is UTF-8 on one
// line (host/printable.h), as a file's metadata and a plan need it, and no two nodes with weights
// have the same: of those that had, the second ends in #2.
void NameLayers(Network* network);

}  // namespace mu8::convert
