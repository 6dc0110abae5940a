#include "tools/mu8/image_input.h"

#include <algorithm>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/model_file.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

constexpr std::size_t kMostArrayBytes = std::size_t{1} << 30;

std::string TupleText(std::span<const std::size_t> shape) {
  std::string text;
  for (const std::size_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "(" + text + ")";
}

}  // namespace

std::vector<float> HwcFromChwArray(const std::string& where, const host::NpyArray& array,
                                   std::size_t height, std::size_t width, std::size_t channels) {
  std::span<const std::size_t> shape = array.shape;
  const std::size_t wanted[] = {channels, height, width};
  const bool is_flat = height == 1 && width == 1;
  const bool has_batch = shape.size() == 4 || (is_flat && shape.size() == 2);
  if (has_batch && shape.front() == 1) shape = shape.subspan(1);
  const bool fits = (shape.size() == 3 && std::equal(shape.begin(), shape.end(), wanted)) ||
                    (is_flat && shape.size() == 1 && shape.front() == channels);
  if (!fits) {
    throw host::Error(where + ": the array's shape is " + TupleText(array.shape) +
                      ", the model expects " + TupleText(wanted) +
                      " (channels, height, width), with or without a leading 1");
  }
  std::vector<float> values;
  values.reserve(array.values.size());
  for (std::size_t pixel = 0; pixel < height * width; ++pixel) {
    for (std::size_t c = 0; c < channels; ++c) {
      values.push_back(array.values[c * height * width + pixel]);
    }
  }
  return values;
}

ImageInput LoadInput(const std::string& path, const Model& model) {
  ImageInput input{.path = path, .pixels = {}, .values = {}};
  const std::size_t height = model.input_height();
  const std::size_t width = model.input_width();
  const std::size_t channels = model.input_channels();
  if (path.ends_with(".npy")) {
    const std::vector<std::uint8_t> bytes =
        host::ReadRawFile(path, "a .npy array of floats", kMostArrayBytes);
    const host::NpyArray array = host::ReadNpy(path + ": ", bytes);
    input.values = HwcFromChwArray(path, array, height, width, channels);
    return input;
  }
  if (channels != 1 && channels != 3) {
    throw host::Error(path + ": the model takes " + Dimensions(height, width, channels) +
                      " (height x width x channels), which is no picture; expected a .npy file");
  }
  host::Dataset image = host::LoadImage(
      path, {static_cast<int>(height), static_cast<int>(width), static_cast<int>(channels)});
  input.pixels = std::move(image.pixels);
  return input;
}

}  // namespace mu8::tool
