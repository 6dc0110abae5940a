// `mu8 convert --report`: what --json says, as a page for people.
#pragma once

#include <string>

#include "tools/mu8/json_output.h"

namespace mu8::tool {

std::string ConversionPage(const Json& json);

}  // namespace mu8::tool
