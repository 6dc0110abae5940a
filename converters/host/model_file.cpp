#include "converters/host/model_file.h"

#include <array>
#include <cstring>
#include <system_error>
#include <utility>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/words.h"
#include "formats/layout.h"

namespace mu8::host {

std::string Explained(const Diagnostic& diagnostic) {
  std::array<char, 512> text{};
  return {text.data(), Explain(diagnostic, text)};
}

namespace {

ModelFile Opened(const std::string& name, AlignedBuffer bytes) {
  ModelFile file{.path = name, .bytes = std::move(bytes), .model = {}};
  Diagnostic diagnostic;
  if (Model::Open(file.bytes.span(), &file.model, &diagnostic) != Status::kOk) {
    throw Error(name + ": " + Explained(diagnostic));
  }
  return file;
}

}  // namespace

ModelFile OpenModel(const std::string& path) {
  return Opened(path, ReadAlignedFile(path, "a .mu8 model", format::kMaxFileBytes));
}

ModelFile OpenBytes(const std::string& name, std::span<const std::byte> bytes) {
  AlignedBuffer copy(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return Opened(name, std::move(copy));
}

std::vector<std::string> Labels(const Model& model) {
  std::vector<std::string> labels(model.class_count());
  std::string_view text = model.Metadata("labels");
  for (std::string& label : labels) {
    const std::size_t end = text.find('\n');
    label = text.substr(0, end);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return labels;
}

std::vector<std::string> ClassNames(const Model& model) {
  std::vector<std::string> names = Labels(model);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) names[i] = std::to_string(i);
  }
  return names;
}

InputSpec InputSpecOf(const Model& model) {
  InputSpec spec =
      DefaultSpec({static_cast<int>(model.input_height()), static_cast<int>(model.input_width()),
                   static_cast<int>(model.input_channels())});
  ReadLayoutText(model.Metadata("input_layout"), &spec);
  if (const std::string_view names = model.Metadata("input_columns"); !names.empty()) {
    for (const std::string_view name : Split(names, '\n')) spec.columns.emplace_back(name);
  }
  return spec;
}

Runner::Runner(const ModelFile& file, const SessionOptions& options)
    : kind_(file.model.input_kind()), arena_(ArenaBytes(file.model, options)) {
  SessionOptions threaded = options;
  if (options.workers > 1) {
    try {
      pool_.emplace(options.workers);
    } catch (const std::system_error& error) {
      throw Error("--threads: " + std::to_string(options.workers) +
                  " threads cannot be started: " + error.what());
    }
    threaded.parallel_for = ThreadPool::For;
    threaded.parallel_context = &*pool_;
  }
  Diagnostic diagnostic;
  if (Session::Create(file.model, threaded, arena_.span(), &session_, &diagnostic) != Status::kOk) {
    throw Error(file.path + ": " + Explained(diagnostic));
  }
}

void Runner::Predict(const std::string& where, std::span<const std::uint8_t> images,
                     std::span<Prediction> predictions) {
  Diagnostic diagnostic;
  if (session_.Predict(images, predictions, &diagnostic) != Status::kOk) {
    throw Error(where + ": " + Explained(diagnostic));
  }
}

void Runner::Predict(const std::string& where, std::span<const float> images,
                     std::span<Prediction> predictions) {
  Diagnostic diagnostic;
  if (session_.Predict(images, predictions, &diagnostic) != Status::kOk) {
    throw Error(where + ": " + Explained(diagnostic));
  }
}

void Runner::Predict(const std::string& where, const Dataset& data, std::size_t first,
                     std::span<Prediction> predictions) {
  if (data.is_numbers()) return Predict(where, data.Values(first, predictions.size()), predictions);
  if (kind_ == InputKind::kNumbers) {
    throw Error(where +
                ": holds pixels (uint8), the model takes numbers in the units of its calibration "
                "data: expected an array of floats or wider integers, such as array.astype(float)");
  }
  Predict(where, data.Pixels(first, predictions.size()), predictions);
}

}  // namespace mu8::host
