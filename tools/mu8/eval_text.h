// The figures of `mu8 eval` for people: the same as the JSON, in groups.
#pragma once

#include "tools/mu8/eval_report.h"

namespace mu8::tool {

// Grouped text on stdout; `json` is the report's.
void PrintReport(const Report& report, const Json& json);

}  // namespace mu8::tool
