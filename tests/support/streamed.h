// A file behind a Source, as external flash is: what was read of it is known, a read may fail, and
// its bytes may change between reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mu8/mu8.h"
#include "tests/support/golden.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/predict.h"

namespace mu8::testing {

class StreamedFile {
 public:
  explicit StreamedFile(std::span<const std::byte> bytes) : file(bytes.begin(), bytes.end()) {}

  Source source() { return {this, file.size(), &StreamedFile::Read}; }
  void Reset() {
    calls = bytes_read = largest = 0;
    reads.clear();
  }

  std::vector<std::byte> file;
  std::size_t calls = 0, bytes_read = 0, largest = 0;
  std::size_t fail_at = ~std::size_t{0};  // this call fails, counted from 0, and spoils the memory
  bool log = false;
  std::vector<std::pair<std::uint64_t, std::size_t>> reads;  // offset, bytes; if `log`
  bool beyond = false;  // a read outside the file was asked for

 private:
  static bool Read(void* context, std::uint64_t offset, void* to, std::size_t bytes) {
    auto& self = *static_cast<StreamedFile*>(context);
    const bool fails = self.calls++ == self.fail_at;
    if (offset > self.file.size() || bytes > self.file.size() - offset || bytes == 0) {
      self.beyond = true;
      return false;
    }
    self.bytes_read += bytes;
    if (bytes > self.largest) self.largest = bytes;
    if (self.log) self.reads.emplace_back(offset, bytes);
    std::memcpy(to, self.file.data() + offset, bytes);
    if (fails) std::memset(to, 0xee, bytes / 2);
    return !fails;
  }
};

// Bytes of a valid file that are resident: all but section 5.
inline std::size_t ResidentBytes(std::span<const std::byte> file) {
  StreamedFile streamed(file);
  std::byte scratch[640];
  Model model;
  Diagnostic diagnostic;
  if (Model::OpenStreamed(streamed.source(), {}, scratch, &model, &diagnostic) !=
      Status::kArenaTooSmall) {
    return 0;
  }
  return static_cast<std::size_t>(diagnostic.expected);
}

// As Engine, of a streamed file: resident memory, scratch and arena have exact sizes and end at
// guard pages.
struct StreamedEngine : Engine {
  StreamedFile streamed;
  std::size_t resident_bytes;
  GuardedBuffer resident, scratch{640};

  explicit StreamedEngine(std::span<const std::byte> file)
      : streamed(file), resident_bytes(ResidentBytes(file)), resident(resident_bytes) {}

  std::span<std::byte> Resident() { return {resident.Last(resident_bytes), resident_bytes}; }
  Status OpenModel(Diagnostic* diagnostic = nullptr) {
    return Model::OpenStreamed(streamed.source(), Resident(), {scratch.Last(640), 640}, &model,
                               diagnostic);
  }
  Status Open(const SessionOptions& options, Diagnostic* diagnostic = nullptr) {
    const Status status = OpenModel(diagnostic);
    return status == Status::kOk ? CreateSession(options, diagnostic) : status;
  }
};

// Every golden file, by its name.
inline std::map<std::string, std::vector<std::byte>> GoldenFiles() {
  std::map<std::string, std::vector<std::byte>> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/data/golden")) {
    if (entry.path().extension() != ".mu8") continue;
    files[entry.path().filename()] = ReadFile(entry.path());
  }
  return files;
}

// Predictions of random images, with the last logits and record of replay.
inline std::vector<std::byte> All(Engine* engine, std::uint32_t images, std::uint32_t batch) {
  const auto pixels = RandomPixels(engine->model, images, 11);
  const bool numbers = engine->model.input_kind() == InputKind::kNumbers;
  std::vector<std::byte> bytes =
      numbers ? PredictAll(engine, AsNumbers(pixels), batch) : PredictAll(engine, pixels, batch);
  const Prediction last = engine->session.Result(0);
  AppendBytes(last.logits, &bytes);
  AppendBytes(last.decisions, &bytes);
  AppendBytes(std::span(&last.replay, 1), &bytes);
  return bytes;
}

inline Status Begin(Engine* engine, std::span<const std::uint8_t> pixels) {
  if (engine->model.input_kind() == InputKind::kPixels) return engine->session.Begin(pixels, 1);
  return engine->session.Begin(std::span<const float>(AsNumbers(pixels)), 1);
}

// The prediction of a run in steps; empty, and `*status` says why, if it fails.
inline std::vector<std::byte> InSteps(Engine* engine, Status* status, Diagnostic* diagnostic) {
  const auto pixels = RandomPixels(engine->model, 1, 11);
  *status = Begin(engine, pixels);
  if (*status != Status::kOk) return {};
  do {
    *status = engine->session.Step(diagnostic);
  } while (*status == Status::kInProgress);
  std::vector<std::byte> bytes;
  if (*status != Status::kOk) return bytes;
  const Prediction prediction = engine->session.Result(0);
  AppendPrediction(prediction, &bytes);
  AppendOthers(engine->model, prediction, &bytes);
  return bytes;
}

}  // namespace mu8::testing
