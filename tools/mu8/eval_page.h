// `mu8 eval --report`: what --json says, as a page for people. It takes the JSON alone, so that it
// shows nothing that the other does not say.
#pragma once

#include <string>

#include "tools/mu8/json_output.h"

namespace mu8::tool {

// With curves, where the head has them.
std::string EvalPage(const Json& json);

}  // namespace mu8::tool
