// What `mu8 eval` holds predictions against: the labels or targets of a data set, as the model's
// head reads them. Nothing about them is guessed: what does not fit the head is refused.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/network/network.h"

namespace mu8::tool {

// Of a softmax `labels`, of other heads `values`; both empty: the data have none.
struct Targets {
  std::vector<int> labels;    // images
  std::vector<float> values;  // images x positions x outputs: of sigmoids 0 or 1
  std::string notice = {};    // how their array was read, where others might read it else

  bool empty() const { return labels.empty() && values.empty(); }
};

// What the model says of its outputs.
struct Outputs {
  convert::Head head = convert::Head::kSoftmax;
  std::size_t count = 0;                // at each position
  std::size_t positions = 1;            // of the answer
  host::InputSpec array = {};           // of an answer (target_layout.h)
  std::vector<std::string> names = {};  // of classes, labels, values; or empty
};

// `sorted_folders`: class folders count in sorted order whatever their names are. Throws Error that
// names `path`, the image and what was expected.
Targets ReadTargets(const std::string& path, const host::Dataset& data, const Outputs& outputs,
                    bool sorted_folders);

}  // namespace mu8::tool
