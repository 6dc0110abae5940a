// What `mu8 predict` is given: pictures, entries of data sets, arrays of numbers.
#pragma once

#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "mu8/mu8.h"

namespace mu8::tool {

// One input and what to call it: its file, or "FILE#n".
struct ImageInput {
  std::string name;
  host::Dataset data;  // of count 1
};

// `path` is a PNG or JPEG file, a file of numbers (all of its inputs), or "FILE#n" for entry n of
// an IDX or CIFAR-10 file or of one of numbers. Throws host::Error unless the size is the model's;
// pictures are not resized. How a file was read goes to `notices` where it could be read otherwise.
std::vector<ImageInput> LoadInputs(const std::string& path, const Model& model,
                                   const host::DataOptions& options,
                                   std::vector<std::string>* notices);

}  // namespace mu8::tool
