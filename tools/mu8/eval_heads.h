// What `mu8 eval` says of heads that are no softmax: labels, each true or not, and values.
#pragma once

#include "tools/mu8/eval_report.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

// Figures of sigmoids that need targets: "labels", one object each, "macro", "exact_match".
Json LabelsJson(const Report& report);

// "values", one object for each output: with targets how far off they are; with the noise of
// observations, too, how good the predicted Gaussians are.
Json ValuesJson(const Report& report);

// The same for people.
void PrintLabels(const Json& json);
void PrintValues(const Json& json);

}  // namespace mu8::tool
