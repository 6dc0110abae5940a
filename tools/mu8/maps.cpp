#include "tools/mu8/maps.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <vector>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

#include "converters/host/error.h"
#include "converters/host/output_file.h"
#include "converters/network/network.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

using Floats = std::vector<float>;

Floats Copy(std::span<const float> values) { return {values.begin(), values.end()}; }

// The most probable class of each position.
std::vector<std::uint32_t> LabelsOf(const Prediction& prediction, std::uint32_t classes) {
  std::vector<std::uint32_t> labels;
  for (std::size_t i = 0; i < prediction.mean.size(); i += classes) {
    const auto row = prediction.mean.subspan(i, classes);
    labels.push_back(static_cast<std::uint32_t>(std::ranges::max_element(row) - row.begin()));
  }
  return labels;
}

Floats MutualInformation(const Prediction& prediction) {
  Floats epistemic;
  for (std::size_t i = 0; i < prediction.output_entropy.size(); ++i) {
    epistemic.push_back(
        std::max(prediction.output_entropy[i] - prediction.output_expected_entropy[i], 0.0F));
  }
  return epistemic;
}

// Of a reconstruction, each output's.
Floats SquaredErrors(const Prediction& prediction) {
  Floats errors;
  for (std::size_t i = 0; i < prediction.mean.size(); ++i) {
    errors.push_back(SquaredError(prediction, i));
  }
  return errors;
}

// Means of `outputs` values each.
Floats PositionMeans(const Floats& values, std::uint32_t outputs) {
  Floats means;
  for (std::size_t i = 0; i < values.size(); i += outputs) {
    float sum = 0.0F;
    for (std::size_t c = 0; c < outputs; ++c) sum += values[i + c];
    means.push_back(sum / static_cast<float>(outputs));
  }
  return means;
}

// A .npy file, format 1.0 (NEP 1): the header ends at a multiple of 64.
void AddNpy(const std::string& path, const std::vector<std::uint32_t>& shape, const Floats& values,
            host::OutputFiles* files) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const std::uint32_t size : shape) text += std::to_string(size) + ", ";
  text += "), }";
  constexpr std::size_t kPrefix = 10;
  text += std::string(63 - (kPrefix + text.size()) % 64, ' ') + "\n";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(text.size() & 255);
  file += static_cast<char>(text.size() >> 8);
  file += text;
  const std::size_t at = file.size();
  file.resize(at + values.size() * sizeof(float));
  std::memcpy(file.data() + at, values.data(), values.size() * sizeof(float));
  files->Add(path, file.data(), file.size());
}

// Grey, 0 to `most` as 0 to 255.
void AddPng(const std::string& path, const MapShape& shape, const Floats& values, float most,
            host::OutputFiles* files) {
  std::vector<std::uint8_t> pixels;
  for (const float value : values) {
    pixels.push_back(static_cast<std::uint8_t>(
        std::lround(255.0F * std::clamp(most > 0.0F ? value / most : 0.0F, 0.0F, 1.0F))));
  }
  std::string file;
  const auto append = [](void* to, void* bytes, int count) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes),
                                          static_cast<std::size_t>(count));
  };
  const int width = static_cast<int>(shape.width);
  if (stbi_write_png_to_func(append, &file, width, static_cast<int>(shape.height), 1, pixels.data(),
                             width) == 0) {
    throw host::Error(path + ": cannot be made a PNG picture");
  }
  files->Add(path, file.data(), file.size());
}

std::string FileName(const std::string& name) {
  std::string file = std::filesystem::path(name).filename().string();
  for (char& c : file) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '.' || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return file;
}

}  // namespace

MapShape ShapeOf(const Model& model) {
  return {model.output_height(), model.output_width(), model.class_count()};
}

MapShape PictureShapeOf(const Model& model) {
  if (model.head() != Head::kReconstruction) return ShapeOf(model);
  return {model.input_height(), model.input_width(), model.input_channels()};
}

std::string MapBase(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / FileName(name)).string();
}

std::vector<const char*> MapEndings(Head head) {
  std::vector<const char*> endings = {".mean.npy", ".variance.npy"};
  const auto add = [&endings](std::initializer_list<const char*> more) {
    endings.insert(endings.end(), more);
  };
  if (head == Head::kGaussian) add({".noise_variance.npy"});
  if (head == Head::kReconstruction) add({".error.npy", ".error.png"});
  if (head == Head::kSoftmax) {
    add({".entropy.npy", ".mutual_information.npy", ".label.png", ".mutual_information.png"});
  }
  return endings;
}

std::vector<std::string> AddMaps(const std::string& folder, const std::string& name,
                                 const Prediction& prediction, Head head, const MapShape& shape,
                                 host::OutputFiles* files) {
  const std::string base = MapBase(folder, name);
  std::vector<std::string> paths;
  const auto npy = [&](const char* ending, const std::vector<std::uint32_t>& sizes,
                       const Floats& values) {
    paths.push_back(base + ending);
    AddNpy(paths.back(), sizes, values, files);
  };
  const auto png = [&](const char* ending, const Floats& values, float most) {
    paths.push_back(base + ending);
    AddPng(paths.back(), shape, values, most, files);
  };
  const std::vector<std::uint32_t> all = {shape.height, shape.width, shape.outputs};
  const std::vector<std::uint32_t> plane = {shape.height, shape.width};
  npy(".mean.npy", all, Copy(prediction.mean));
  npy(".variance.npy", all, Copy(prediction.variance));
  if (head == Head::kGaussian) {
    npy(".noise_variance.npy", all, Copy(prediction.noise_variance));
  }
  if (head == Head::kReconstruction) {
    const Floats errors = SquaredErrors(prediction);
    const Floats means = PositionMeans(errors, shape.outputs);
    npy(".error.npy", all, errors);
    png(".error.png", means, *std::ranges::max_element(means));
  }
  if (head != Head::kSoftmax) return paths;
  const std::vector<std::uint32_t> labels = LabelsOf(prediction, shape.outputs);
  const Floats epistemic = MutualInformation(prediction);
  npy(".entropy.npy", plane, Copy(prediction.output_entropy));
  npy(".mutual_information.npy", plane, epistemic);
  png(".label.png", {labels.begin(), labels.end()}, static_cast<float>(shape.outputs - 1));
  png(".mutual_information.png", epistemic, std::log(static_cast<float>(shape.outputs)));
  return paths;
}

Json MapJson(const std::string& path, const Prediction& prediction, Head head,
             const MapShape& shape) {
  Json json{{"image", path},
            {"head", convert::HeadName(static_cast<format::Head>(head))},
            {"samples_used", prediction.samples_used},
            {"clamped_inputs", prediction.clamped_inputs},
            {"shape", {shape.height, shape.width, shape.outputs}}};
  if (head == Head::kSoftmax || head == Head::kSigmoid) {
    json["predictive_entropy"] = ShortestDouble(prediction.predictive_entropy);
    json["expected_entropy"] = ShortestDouble(prediction.expected_entropy);
    json["mutual_information"] = ShortestDouble(prediction.mutual_information);
  }
  if (head == Head::kSoftmax) {
    std::vector<std::size_t> counts(shape.outputs, 0);
    for (const std::uint32_t label : LabelsOf(prediction, shape.outputs)) ++counts[label];
    json["positions_of_class"] = counts;
  }
  if (head == Head::kReconstruction) json["error"] = ShortestDouble(prediction.error);
  return json;
}

void PrintMap(const std::string& path, const Json& map) {
  std::printf("%s: %s x %s positions of %s outputs\n", Printable(path).c_str(),
              map["shape"][0].dump().c_str(), map["shape"][1].dump().c_str(),
              map["shape"][2].dump().c_str());
  for (const char* key : {"predictive_entropy", "expected_entropy", "mutual_information", "error",
                          "positions_of_class"}) {
    if (map.contains(key)) std::printf("  %s %s\n", key, map[key].dump().c_str());
  }
}

}  // namespace mu8::tool
