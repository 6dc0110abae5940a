// Targets of several outputs at several positions: their array has a layout, as an input's has.
#pragma once

#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/input_layout.h"

namespace mu8::host {

// The array of an answer of `size`, as its network takes inputs: channels last, or else NCHW.
InputSpec AnswerSpec(const ImageSize& size, const InputSpec& input);

// The targets of `data`, answer.elements() an input, in the order of predictions, NHWC. `notice`:
// how they were read, where others might read them else, or empty. Throws Error naming `path` where
// no layout fits their array, or several do.
std::vector<float> ArrangeTargets(const std::string& path, const Dataset& data,
                                  const InputSpec& answer, std::string* notice);

}  // namespace mu8::host
