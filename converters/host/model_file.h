// A .mu8 file in memory and a session over it: what predict, eval and bench start from. All
// failures throw host::Error with the path and the engine's own explanation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "converters/host/aligned_buffer.h"
#include "converters/host/datasets.h"
#include "mu8/mu8.h"
#include "mu8/thread_pool.h"

namespace mu8::host {

struct ModelFile {
  std::string path;
  AlignedBuffer bytes;
  Model model;  // a view over `bytes`
};

ModelFile OpenModel(const std::string& path);

// The same of a file in memory, copied; `name` is what messages call it.
ModelFile OpenBytes(const std::string& name, std::span<const std::byte> bytes);

// What went wrong, in words; ends with the place in the file where there is one.
std::string Explained(const Diagnostic& diagnostic);

// The file's class names, in one walk; empty where it has none.
std::vector<std::string> Labels(const Model& model);

// The same, the class's index as text where the file has no name for it.
std::vector<std::string> ClassNames(const Model& model);

// The model's input, and how its source file takes arrays where the file says so.
InputSpec InputSpecOf(const Model& model);

// A session with the arena it lives in, and a pool where options.workers is above 1. `file` must
// outlive it.
class Runner {
 public:
  Runner(const ModelFile& file, const SessionOptions& options);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // `where` names the images in messages.
  void Predict(const std::string& where, std::span<const std::uint8_t> images,
               std::span<Prediction> predictions);
  void Predict(const std::string& where, std::span<const float> images,
               std::span<Prediction> predictions);
  // Inputs [first, first + predictions.size()) of a data set.
  void Predict(const std::string& where, const Dataset& data, std::size_t first,
               std::span<Prediction> predictions);

  const char* kernels() const { return session_.kernels(); }
  std::size_t arena_bytes() const { return session_.arena_bytes(); }

 private:
  InputKind kind_;
  std::optional<ThreadPool> pool_;
  AlignedBuffer arena_;
  Session session_;
};

}  // namespace mu8::host
