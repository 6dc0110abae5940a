// Why the reader refuses what was lowered, in the words of the network: its layers have names.
#pragma once

#include <string>
#include <vector>

#include "converters/report.h"
#include "mu8/status.h"

namespace mu8::convert {

// "the converted model does not fit the file format (layer 'conv1'): mu8 error 43: ...". `layers`
// are those of the file.
std::string RefusalText(const Diagnostic& diagnostic, const std::vector<LayerReport>& layers);

}  // namespace mu8::convert
