// One image for `mu8 predict`: a picture, an entry of a data set, or an array of floats.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/npz.h"
#include "mu8/mu8.h"

namespace mu8::tool {

// NHWC. Exactly one of the two is filled.
struct ImageInput {
  std::string path;
  std::vector<std::uint8_t> pixels;
  std::vector<float> values;  // in the network's own input units (normalized)
};

// `path` is a PNG or JPEG file, "FILE#n" for entry n of an IDX or CIFAR-10 file, or a .npy file of
// floats. Throws host::Error unless the size is the model's; pictures are not resized.
ImageInput LoadInput(const std::string& path, const Model& model);

// The elements of `array` in HWC order. It holds them as the ONNX network takes them: (C, H, W) or
// (1, C, H, W), and a flat vector (1 x 1 pixels) also as (C) or (1, C). Throws host::Error.
std::vector<float> HwcFromChwArray(const std::string& where, const host::NpyArray& array,
                                   std::size_t height, std::size_t width, std::size_t channels);

}  // namespace mu8::tool
