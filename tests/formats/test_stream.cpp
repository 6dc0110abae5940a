// Files that are opened through a Source: the same findings as of the file in memory, in a few
// hundred bytes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "formats/stream.h"
#include "tests/support/damage.h"
#include "tests/support/effort.h"
#include "tests/support/golden.h"
#include "tests/support/random_model.h"
#include "tests/support/streamed.h"

namespace mu8::testing {
namespace {

// Of a folder, by their names.
std::map<std::string, std::vector<std::byte>> Files(const char* folder) {
  std::map<std::string, std::vector<std::byte>> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".mu8") continue;
    files[entry.path().filename()] = ReadFile(entry.path());
  }
  REQUIRE(!files.empty());
  return files;
}

// Opened both ways. The streamed one in memory between guard pages that is as large as the file,
// so that what is wrong with the file comes before what is too small for it.
struct BothWays {
  Diagnostic mapped, streamed;
  Status mapped_status, streamed_status;
  std::size_t calls = 0, largest = 0;

  BothWays(const std::vector<std::byte>& file, std::size_t scratch_bytes) {
    const AlignedBytes aligned(file);
    StreamedFile source(file);
    GuardedBuffer resident(file.size()), scratch(scratch_bytes);
    Model model;
    mapped_status = Model::Open(aligned.span(), &model, &mapped);
    streamed_status =
        Model::OpenStreamed(source.source(), {resident.Last(file.size()), file.size()},
                            {scratch.Last(scratch_bytes), scratch_bytes}, &model, &streamed);
    CHECK(!source.beyond);
    CHECK(scratch_bytes >= format::kLeastScratchBytes);
    calls = source.calls;
    largest = source.largest;
  }

  void CheckAlike() const {
    CHECK(streamed_status == mapped_status);
    CHECK(streamed.status == mapped.status);
    CHECK(streamed.option == mapped.option);
    CHECK(streamed.offset == mapped.offset);
    CHECK(streamed.layer == mapped.layer);
    CHECK(streamed.tensor == mapped.tensor);
    CHECK(streamed.found == mapped.found);
    CHECK(streamed.expected == mapped.expected);
  }
};

constexpr std::size_t kScratchSizes[] = {640, 641, 1000, 1 << 16};

TEST_CASE("stream: every invalid file has the same diagnostic as in memory") {
  std::size_t refused = 0;
  for (const auto& entry : Files("tests/data/invalid")) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    for (const std::size_t scratch : kScratchSizes) {
      const BothWays opened(file, scratch);
      opened.CheckAlike();
      refused += opened.streamed_status != Status::kOk ? 1U : 0U;
    }
  }
  MESSAGE("invalid files, by sizes of scratch: " << refused);
  CHECK(refused == Files("tests/data/invalid").size() * std::size(kScratchSizes));
}

TEST_CASE("stream: golden files are accepted, and more scratch takes fewer reads") {
  for (const auto& entry : Files("tests/data/golden")) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    std::size_t calls = ~std::size_t{0};
    for (const std::size_t scratch : kScratchSizes) {
      const BothWays opened(file, scratch);
      opened.CheckAlike();
      CHECK(opened.streamed_status == Status::kOk);
      CHECK(opened.calls <= calls);
      calls = opened.calls;
    }
  }
}

// Bytes of any section changed, with right checksums, so that the rules behind them are reached.
TEST_CASE("stream: damaged files have the same diagnostic as in memory") {
  std::map<Status, int> seen;
  const int models = Effort(40, 6);
  for (int seed = 0; seed < models; ++seed) {
    Random random(static_cast<std::uint64_t>(seed) + 1000);
    const std::vector<std::byte> valid = format::Write(RandomModel(&random).content);
    for (int i = 0; i < 40; ++i) {
      std::vector<std::byte> file = valid;
      for (int left = random.Between(1, 3); left > 0; --left) {
        const std::size_t at = random.Below(static_cast<std::uint32_t>(file.size()));
        file[at] = static_cast<std::byte>(random.Below(256));
      }
      if (i % 4 != 0) RepairDamaged(file);
      CAPTURE(seed);
      CAPTURE(i);
      const BothWays opened(file, kScratchSizes[i % 4]);
      opened.CheckAlike();
      ++seen[opened.streamed_status];
    }
  }
  MESSAGE("different statuses of damaged files: " << seen.size());
  CHECK(seen.size() > 10);
}

TEST_CASE("stream: what is resident is the file without section 5") {
  for (const auto& entry : Files("tests/data/golden")) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    const AlignedBytes aligned(file);
    format::View view;
    REQUIRE(format::Open(aligned.span(), &view) == Status::kOk);
    const std::size_t bytes = ResidentBytes(file);
    CHECK(bytes == file.size() - view.parameters.bytes);
    StreamedEngine engine(file);
    REQUIRE(engine.OpenModel() == Status::kOk);
    std::vector<std::byte> without = file;
    const auto begin = without.begin() + static_cast<std::ptrdiff_t>(view.parameters.offset);
    without.erase(begin, begin + static_cast<std::ptrdiff_t>(view.parameters.bytes));
    CHECK(std::equal(without.begin(), without.end(), engine.Resident().begin()));
    CHECK(engine.model.is_streamed());
    CHECK(engine.model.bytes().empty());
    Model mapped;
    REQUIRE(Model::Open(aligned.span(), &mapped) == Status::kOk);
    CHECK(engine.model.hash() == mapped.hash());
    CHECK(engine.model.name() == mapped.name());
    CHECK(engine.model.label(1) == mapped.label(1));
    CHECK(!mapped.is_streamed());
  }
}

TEST_CASE("stream: memory that is too small, or missing, is named with what it must have") {
  const std::vector<std::byte> file = format::Write(EveryOperatorModel().content);
  StreamedFile streamed(file);
  const std::size_t needed = ResidentBytes(file);
  REQUIRE(needed > 0);
  std::vector<std::byte> resident(needed), scratch(640);
  Model model;
  Diagnostic diagnostic;
  const auto open = [&](std::span<std::byte> in, std::span<std::byte> with) {
    return Model::OpenStreamed(streamed.source(), in, with, &model, &diagnostic);
  };
  CHECK(open(std::span(resident).first(needed - 1), scratch) == Status::kArenaTooSmall);
  CHECK(diagnostic.option == Option::kResident);
  CHECK(diagnostic.found == needed - 1);
  CHECK(diagnostic.expected == needed);
  CHECK(open(resident, std::span(scratch).first(639)) == Status::kArenaTooSmall);
  CHECK(diagnostic.option == Option::kScratch);
  CHECK(diagnostic.found == 639);
  CHECK(diagnostic.expected == 640);
  char text[200];
  Explain(diagnostic, text);
  CHECK(std::string(text) ==
        "mu8 error 60: arena is too small (found: its bytes, expected: at least); scratch memory: "
        "found 639, expected 640");
  CHECK(open({static_cast<std::byte*>(nullptr), needed}, scratch) == Status::kNullPointer);
  CHECK(diagnostic.found == 2);
  CHECK(open(resident, {static_cast<std::byte*>(nullptr), 640}) == Status::kNullPointer);
  CHECK(diagnostic.found == 3);
  CHECK(Model::OpenStreamed({}, resident, scratch, &model, &diagnostic) == Status::kNullPointer);
  CHECK(diagnostic.found == 1);
  CHECK(Model::OpenStreamed(streamed.source(), resident, scratch, nullptr, &diagnostic) ==
        Status::kNullPointer);
  CHECK(diagnostic.found == 4);
  CHECK(!model.is_open());
  CHECK(open(resident, scratch) == Status::kOk);
  CHECK(model.is_open());
}

TEST_CASE("stream: a read that fails ends Open with its place") {
  for (const char* name : {"every_operator.mu8", "table_operators.mu8", "tiny_sigma2.mu8",
                           "every_operator_mu_by_panel.mu8", "tiny_gaussian_ranges.mu8"}) {
    CAPTURE(name);
    StreamedEngine engine(ReadFile(std::filesystem::path("tests/data/golden") / name));
    StreamedFile& streamed = engine.streamed;
    streamed.log = true;
    REQUIRE(engine.OpenModel() == Status::kOk);
    const auto reads = streamed.reads;
    REQUIRE(reads.size() > 10);
    for (std::size_t call = 0; call < reads.size(); ++call) {
      CAPTURE(call);
      streamed.Reset();
      streamed.fail_at = call;
      engine.model = {};
      Diagnostic diagnostic;
      CHECK(engine.OpenModel(&diagnostic) == Status::kReadFailed);
      CHECK(diagnostic.status == Status::kReadFailed);
      CHECK(diagnostic.offset == reads[call].first);
      CHECK(diagnostic.expected == reads[call].second);
      CHECK(!engine.model.is_open());
      CHECK(streamed.calls == call + 1);  // nothing is read afterwards
    }
    streamed.Reset();
    streamed.fail_at = ~std::size_t{0};
    CHECK(engine.OpenModel() == Status::kOk);
  }
}

}  // namespace
}  // namespace mu8::testing
