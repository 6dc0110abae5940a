// Bytes of a model that change after Open, by flash that loses bits or by somebody who writes: a
// wrong answer or kModelChanged, never an access outside the file and the arena (both end at guard
// pages), and never what sanitizers would report. Changes come before a run, which its checksum of
// the records sees, and within a run, which only the checks of every layer can see.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/effort.h"
#include "tests/support/golden.h"
#include "tests/support/model_builder.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

struct Outcomes {
  std::size_t same = 0, wrong = 0, refused = 0;
  std::size_t all() const { return same + wrong + refused; }
};

// A model between guard pages whose bytes may be changed, and a session over it.
class Victim {
 public:
  Victim(const std::vector<std::byte>& file, const SessionOptions& options)
      : original_(file), memory_(file.size()) {
    bytes_ = memory_.CopyLast(original_);
    REQUIRE(engine_.Open({bytes_, file.size()}, options) == Status::kOk);
    images_ = RandomPixels(engine_.model, options.batch, 5);
    numbers_ = AsNumbers(images_);
    count_ = options.batch;
    expected_ = Predict();
    REQUIRE(status_ == Status::kOk);
    REQUIRE(!expected_.empty());
  }

  std::size_t size() const { return original_.size(); }
  std::uint8_t at(std::size_t i) const { return static_cast<std::uint8_t>(bytes_[i]); }
  void Set(std::size_t i, std::uint8_t value) { bytes_[i] = static_cast<std::byte>(value); }
  void Restore() { std::memcpy(bytes_, original_.data(), original_.size()); }

  // Whatever has changed, calls return; counts how.
  void Run(Outcomes* outcomes) {
    const std::vector<std::byte> bytes = Predict();
    Ask();
    REQUIRE((status_ == Status::kOk || status_ == Status::kModelChanged));
    status_ != Status::kOk ? ++outcomes->refused
                           : ++(bytes == expected_ ? outcomes->same : outcomes->wrong);
  }
  // The same with `change` after `steps` steps of the run.
  template <typename Change>
  void RunAndChange(int steps, const Change& change, Outcomes* outcomes) {
    Status status = Begin();
    REQUIRE(status == Status::kOk);
    status = Status::kInProgress;
    for (; steps > 0 && status == Status::kInProgress; --steps) {
      status = engine_.session.Step();
    }
    change();
    int left = 100000;
    while (status == Status::kInProgress && --left > 0) status = engine_.session.Step();
    REQUIRE(left > 0);
    REQUIRE((status == Status::kOk || status == Status::kModelChanged));
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; status == Status::kOk && i < count_; ++i) Append(i, &bytes);
    Ask();
    status != Status::kOk ? ++outcomes->refused
                          : ++(bytes == expected_ ? outcomes->same : outcomes->wrong);
  }
  // Restored, all is as before.
  void CheckWhole() {
    Restore();
    CHECK(Predict() == expected_);
  }

 private:
  bool pixels() const { return engine_.model.input_kind() == InputKind::kPixels; }
  Status Begin() {
    return pixels() ? engine_.session.Begin(std::span<const std::uint8_t>(images_), count_)
                    : engine_.session.Begin(std::span<const float>(numbers_), count_);
  }
  std::vector<std::byte> Predict() {
    status_ = pixels() ? engine_.session.Run(std::span<const std::uint8_t>(images_), count_)
                       : engine_.session.Run(std::span<const float>(numbers_), count_);
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; status_ == Status::kOk && i < count_; ++i) Append(i, &bytes);
    return bytes;
  }
  void Append(std::size_t image, std::vector<std::byte>* bytes) {
    const Prediction prediction = engine_.session.Result(image);
    AppendPrediction(prediction, bytes);
    AppendOthers(engine_.model, prediction, bytes);
  }
  // What else reads the file.
  void Ask() {
    sum_ += engine_.model.name().size() + engine_.model.label(1).size();
    float low, high;
    sum_ += engine_.model.OutputRange(0, &low, &high) ? 1U : 0U;
  }

  std::vector<std::byte> original_;
  GuardedBuffer memory_;
  std::byte* bytes_;
  Engine engine_;
  std::vector<std::uint8_t> images_;
  std::vector<float> numbers_;
  std::size_t count_ = 0, sum_ = 0;
  std::vector<std::byte> expected_;
  Status status_ = Status::kOk;
};

// Every golden file, by its name.
std::map<std::string, std::vector<std::byte>> GoldenFiles() {
  std::map<std::string, std::vector<std::byte>> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/data/golden")) {
    if (entry.path().extension() == ".mu8") files[entry.path().stem()] = ReadFile(entry.path());
  }
  REQUIRE(files.size() > 30);
  return files;
}

constexpr SessionOptions kOptions = {.mc_samples = 2, .kernels = KernelSet::kScalar};

void Report(const std::string& what, const Outcomes& outcomes) {
  MESSAGE(what << ": " << outcomes.all() << ", same prediction " << outcomes.same << ", another "
               << outcomes.wrong << ", status 73 " << outcomes.refused);
}

// By moments, too, where a file has what they need.
bool HasMoments(const std::string& name) { return name.find("moments") != std::string::npos; }

TEST_CASE("changed model: any byte changed after Open, predictions by moments") {
  Outcomes outcomes;
  std::size_t files = 0;
  for (const auto& golden : GoldenFiles()) {
    const auto& name = golden.first;
    const auto& file = golden.second;
    if (!HasMoments(name)) continue;
    ++files;
    CAPTURE(name);
    SessionOptions options = kOptions;
    options.method = Method::kMoments;
    for (const KernelSet kernels : {KernelSet::kScalar, KernelSet::kAuto}) {
      options.kernels = kernels;
      Victim victim(file, options);
      const std::size_t stride = kLight || file.size() > 4000 ? 7 : 1;
      for (std::size_t i = 0; i < file.size(); i += stride) {
        CAPTURE(i);
        const std::uint8_t was = victim.at(i);
        for (const int value : {was ^ 1, was ^ 0x80, 0xff}) {
          victim.Set(i, static_cast<std::uint8_t>(value));
          victim.Run(&outcomes);
        }
        victim.Set(i, was);
      }
      victim.CheckWhole();
    }
  }
  Report("bytes changed after Open, by moments", outcomes);
  CHECK(files >= 5);
  CHECK(outcomes.refused > 0);
  CHECK(outcomes.wrong > 0);
}

TEST_CASE("changed model: any byte changed after Open") {
  Outcomes outcomes;
  std::size_t bytes = 0;
  for (const auto& golden : GoldenFiles()) {
    const auto& name = golden.first;
    const auto& file = golden.second;
    CAPTURE(name);
    if (kLight && file.size() > 2000) continue;
    Victim victim(file, kOptions);
    for (std::size_t i = 0; i < file.size(); ++i, ++bytes) {
      CAPTURE(i);
      const std::uint8_t was = victim.at(i);
      for (const int value : {was ^ 1, was ^ 0x80, 0xff}) {
        victim.Set(i, static_cast<std::uint8_t>(value));
        victim.Run(&outcomes);
        if (file.size() > 4000) break;  // one value of the large ones
      }
      victim.Set(i, was);
    }
    victim.CheckWhole();
  }
  Report("bytes changed after Open", outcomes);
  CHECK(bytes > (kLight ? 10000U : 100000U));
  CHECK(outcomes.refused > 0);
  CHECK(outcomes.wrong > 0);
}

TEST_CASE("changed model: records changed within a run") {
  Outcomes outcomes;
  for (const auto& golden : GoldenFiles()) {
    const auto& name = golden.first;
    const auto& file = golden.second;
    CAPTURE(name);
    Victim victim(file, kOptions);
    format::SectionRecord input_table;  // behind the records
    std::memcpy(&input_table, file.data() + 64 + 3 * 32, sizeof(input_table));
    const int stride = kLight ? 7 : file.size() > 4000 ? 2 : 1;
    for (std::size_t i = 64; i < input_table.offset; i += static_cast<std::size_t>(stride)) {
      CAPTURE(i);
      const std::uint8_t was = victim.at(i);
      for (const int value : {was ^ 1, was ^ 0x10, was ^ 0x80, 0xff, 0, 2}) {
        const auto change = [&] { victim.Set(i, static_cast<std::uint8_t>(value)); };
        victim.RunAndChange(0, change, &outcomes);
        victim.Set(i, was);
        if (file.size() > 4000 && value == (was ^ 0x80)) break;
      }
    }
    victim.CheckWhole();
  }
  Report("bytes of records changed within a run", outcomes);
  CHECK(outcomes.refused > 1000);
  CHECK(outcomes.wrong > (kLight ? 100 : 1000));
}

TEST_CASE("changed model: several bytes changed at any step, with every kernel set and head") {
  Outcomes outcomes;
  Random random(19);
  const auto files = GoldenFiles();
  for (const auto& golden : files) {
    const auto& name = golden.first;
    const auto& file = golden.second;
    CAPTURE(name);
    for (const KernelSet kernels : {KernelSet::kScalar, KernelSet::kAuto}) {
      SessionOptions options = kOptions;
      options.kernels = kernels;
      options.mc_samples = 3;
      options.batch = 2;
      options.keep_logits = random.OneIn(2);
      options.noise = random.OneIn(2) ? Noise::kAntithetic : Noise::kIndependent;
      Victim victim(file, options);
      for (int n = Effort(400, 20); n > 0; --n) {
        const auto change = [&] {
          for (int c = random.Between(1, 6); c > 0; --c) {
            const auto end = static_cast<std::uint32_t>(random.OneIn(2) ? file.size() : 1000);
            victim.Set(random.Below(end), static_cast<std::uint8_t>(random.OneOf<int>(
                                              {0, 1, 127, 128, 255, random.Between(0, 255)})));
          }
        };
        victim.RunAndChange(random.Between(0, 12), change, &outcomes);
        victim.Restore();
        change();
        victim.Run(&outcomes);
        victim.Restore();
      }
      victim.CheckWhole();
    }
  }
  Report("runs with several bytes changed", outcomes);
  CHECK(outcomes.all() == files.size() * 2 * 2 * static_cast<std::size_t>(Effort(400, 20)));
  CHECK(outcomes.refused > 100);
}

// Writes into the file whenever a layer begins.
struct Writer {
  Victim* victim;
  Random random{7};
  std::uint32_t first, last;

  static void Write(void* self, std::uint32_t, std::uint32_t, bool) {
    auto* writer = static_cast<Writer*>(self);
    if (writer->victim == nullptr) return;
    writer->victim->Set(writer->first + writer->random.Below(writer->last - writer->first),
                        static_cast<std::uint8_t>(writer->random.Next()));
  }
};

TEST_CASE("changed model: somebody writes while several workers run") {
  Outcomes outcomes;
  for (const auto& golden : GoldenFiles()) {
    const auto& name = golden.first;
    const auto& file = golden.second;
    CAPTURE(name);
    Writer writer{.victim = nullptr, .first = 64, .last = static_cast<std::uint32_t>(file.size())};
    SessionOptions options = kOptions;
    options.mc_samples = 6;
    options.batch = 3;
    options.workers = 4;
    options.profile = Writer::Write;
    options.profile_context = &writer;
    Victim victim(file, options);
    for (int n = Effort(40, 5); n > 0; --n) {
      writer.victim = &victim;
      victim.Run(&outcomes);
      writer.victim = nullptr;
      victim.Restore();
    }
    victim.CheckWhole();
  }
  Report("runs with a writer", outcomes);
  CHECK(outcomes.refused > 50);
}

// Found by mu8_fuzz_predict: a bias so far out that sums wrap is a product that is wrong.
TEST_CASE("changed model: with check_products, sums that wrap are a computation fault") {
  const std::vector<std::byte> original = format::Write(TinyModel(4).content);
  AlignedBytes bytes(original);
  SessionOptions options = kOptions;
  std::size_t faults = 0, others = 0;
  for (const bool check : {false, true}) {
    options.check_products = check;
    Engine engine;
    REQUIRE(engine.Open(bytes.span(), options) == Status::kOk);
    const auto pixels = RandomPixels(engine.model, 1, 5);
    for (std::size_t i = 0; i < original.size(); ++i) {
      for (const std::byte value : {std::byte{0x7f}, std::byte{0x80}}) {
        bytes.data()[i] = value;
        const Status status = engine.session.Run(std::span<const std::uint8_t>(pixels), 1);
        const bool fault = status == Status::kComputationFault;
        REQUIRE((status == Status::kOk || status == Status::kModelChanged || (fault && check)));
        ++(fault ? faults : others);
      }
      bytes.data()[i] = original[i];
    }
  }
  MESSAGE("bytes changed: " << others << " without a fault, " << faults << " with");
  CHECK(faults > 0);
  CHECK(others > original.size());
}

TEST_CASE("changed model: the diagnostic names the record") {
  std::vector<std::byte> file = format::Write(TinyModel(4).content);
  AlignedBytes bytes(file);
  Engine engine;
  REQUIRE(engine.Open(bytes.span(), kOptions) == Status::kOk);
  const auto pixels = RandomPixels(engine.model, 1, 5);
  REQUIRE(engine.session.Begin(std::span<const std::uint8_t>(pixels), 1) == Status::kOk);
  format::SectionRecord layers;
  std::memcpy(&layers, file.data() + 64 + 2 * 32, sizeof(layers));
  const std::size_t at =
      layers.offset + format::kLayerRecordBytes + offsetof(format::LayerRecord, run_length);
  bytes.data()[at] ^= std::byte{1};
  Diagnostic diagnostic;
  REQUIRE(engine.session.Step(&diagnostic) == Status::kInProgress);  // layer 0
  REQUIRE(engine.session.Step(&diagnostic) == Status::kModelChanged);
  CHECK(diagnostic.status == Status::kModelChanged);
  CHECK(diagnostic.layer == 1);
  CHECK(diagnostic.offset == at);
  CHECK(diagnostic.found == (diagnostic.expected ^ 1));
  CHECK(engine.session.Step() == Status::kNotReady);
  CHECK(engine.session.Result(0).mean.empty());
  // The next run's checksum of all records.
  CHECK(engine.session.Run(std::span<const std::uint8_t>(pixels), 1, &diagnostic) ==
        Status::kModelChanged);
  CHECK(diagnostic.found != diagnostic.expected);
}

}  // namespace
}  // namespace mu8::testing
