#include "tools/mu8/model_file.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "converters/error.h"
#include "formats/layout.h"
#include "tools/mu8/command.h"

namespace mu8::tool {

convert::AlignedBuffer ReadBytes(const std::string& path, const std::string& expected) {
  std::error_code problem;
  const std::filesystem::file_status status = std::filesystem::status(path, problem);
  if (!std::filesystem::exists(status)) {
    throw convert::Error(path + ": no such file, expected " + expected);
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw convert::Error(path + ": not a regular file, expected " + expected);
  }
  const std::uintmax_t size = std::filesystem::file_size(path, problem);
  if (problem) throw convert::Error(path + ": cannot be read: " + problem.message());
  if (size > format::kMaxFileBytes) {
    throw convert::Error(path + ": has " + std::to_string(size) + " bytes, expected " + expected +
                         " of at most " + std::to_string(format::kMaxFileBytes));
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (!file) throw convert::Error(path + ": cannot be opened: " + std::strerror(errno));
  convert::AlignedBuffer buffer(static_cast<std::size_t>(size));
  const std::size_t read = std::fread(buffer.data(), 1, buffer.size(), file.get());
  if (read != buffer.size()) {
    throw convert::Error(path + ": read " + std::to_string(read) + " of " + std::to_string(size) +
                         " bytes; the file changed or the disk failed");
  }
  return buffer;
}

std::string Explained(const Diagnostic& diagnostic) {
  std::array<char, 512> text{};
  return {text.data(), Explain(diagnostic, text)};
}

ModelFile OpenModel(const std::string& path) {
  ModelFile file{.path = path, .bytes = ReadBytes(path, "a .mu8 model"), .model = {}};
  Diagnostic diagnostic;
  if (Model::Open(file.bytes.span(), &file.model, &diagnostic) != Status::kOk) {
    throw convert::Error(path + ": " + Explained(diagnostic));
  }
  return file;
}

std::string ClassName(const Model& model, std::uint32_t class_index) {
  const std::string_view label = model.label(class_index);
  return label.empty() ? std::to_string(class_index) : std::string(label);
}

Runner::Runner(const ModelFile& file, const SessionOptions& options)
    : arena_(ArenaBytes(file.model, options)) {
  if (options.stop.rule == StopRule::kThreshold &&
      options.stop.class_index >= file.model.class_count()) {
    throw UsageError("--stop-class: is " + std::to_string(options.stop.class_index) +
                     ", the model has classes 0 to " +
                     std::to_string(file.model.class_count() - 1));
  }
  SessionOptions threaded = options;
  if (options.workers > 1) {
    try {
      pool_.emplace(options.workers);
    } catch (const std::system_error& error) {
      throw convert::Error("--threads: " + std::to_string(options.workers) +
                           " threads cannot be started: " + error.what());
    }
    threaded.parallel_for = ThreadPool::For;
    threaded.parallel_context = &*pool_;
  }
  Diagnostic diagnostic;
  if (Session::Create(file.model, threaded, arena_.span(), &session_, &diagnostic) != Status::kOk) {
    throw convert::Error(file.path + ": " + Explained(diagnostic));
  }
}

void Runner::Predict(const std::string& where, std::span<const std::uint8_t> images,
                     std::span<Prediction> predictions) {
  Diagnostic diagnostic;
  if (session_.Predict(images, predictions, &diagnostic) != Status::kOk) {
    throw convert::Error(where + ": " + Explained(diagnostic));
  }
}

void Runner::Predict(const std::string& where, std::span<const float> images,
                     std::span<Prediction> predictions) {
  Diagnostic diagnostic;
  if (session_.Predict(images, predictions, &diagnostic) != Status::kOk) {
    throw convert::Error(where + ": " + Explained(diagnostic));
  }
}

}  // namespace mu8::tool
