#include "tools/mu8/image_input.h"

#include <limits>
#include <optional>
#include <span>

#include "converters/host/error.h"
#include "converters/host/model_file.h"
#include "converters/host/number_files.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

// Input i of a data set.
host::Dataset One(const host::Dataset& all, std::size_t i) {
  host::Dataset one{.height = all.height, .width = all.width, .channels = all.channels, .count = 1};
  if (all.is_numbers()) {
    const std::span<const float> values = all.Values(i, 1);
    one.values.assign(values.begin(), values.end());
  } else {
    const std::span<const std::uint8_t> pixels = all.Pixels(i, 1);
    one.pixels.assign(pixels.begin(), pixels.end());
  }
  return one;
}

std::vector<ImageInput> LoadNumberInputs(const std::string& path, std::optional<std::size_t> entry,
                                         const host::InputSpec& spec,
                                         const host::DataOptions& options,
                                         std::vector<std::string>* notices) {
  const host::Dataset all = host::LoadNumbers(path, kAll, spec, options);
  notices->insert(notices->end(), all.notices.begin(), all.notices.end());
  if (entry && *entry >= all.count) {
    throw host::Error(path + ": has no entry " + std::to_string(*entry) + ", expected 0 to " +
                      std::to_string(all.count - 1));
  }
  std::vector<ImageInput> inputs;
  for (std::size_t i = entry.value_or(0); i < (entry ? *entry + 1 : all.count); ++i) {
    inputs.push_back({all.count == 1 ? path : path + "#" + std::to_string(i), One(all, i)});
  }
  return inputs;
}

}  // namespace

std::vector<ImageInput> LoadInputs(const std::string& path, const Model& model,
                                   const host::DataOptions& options,
                                   std::vector<std::string>* notices) {
  const host::InputSpec spec = host::InputSpecOf(model);
  const std::optional<std::size_t> entry = host::EntryOf(path);
  const std::string file = entry ? path.substr(0, path.rfind('#')) : path;
  if (host::IsNumberFile(file)) return LoadNumberInputs(file, entry, spec, options, notices);
  const host::ImageSize& size = spec.size;
  const bool is_picture = size.channels == 1 || size.channels == 3;
  const bool is_flat = size.height == 1 && size.width == 1 && !is_picture;
  if (model.input_kind() == InputKind::kNumbers || (!is_picture && !is_flat)) {
    throw host::Error(
        path + ": the model takes " +
        Dimensions(model.input_height(), model.input_width(), model.input_channels()) +
        (model.input_kind() == InputKind::kNumbers ? " numbers" : "") +
        " (height x width x channels), which is no picture; expected a .npy, .npz, "
        ".csv or .f32 file");
  }
  // A flat input takes pictures of one channel and as many pixels, of whatever shape.
  const host::ImageSize any = {0, 0, 1};
  host::Dataset image = host::LoadImage(path, is_flat ? any : size);
  if (is_flat) host::CheckImageSize(path, {image.height, image.width, image.channels}, size);
  return {{path, std::move(image)}};
}

}  // namespace mu8::tool
