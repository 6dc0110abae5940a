// Sources that fail, and bytes that change behind them: a status, or a wrong answer, and never an
// access outside the resident memory and the arena, which end at guard pages.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "mu8/scrub.h"
#include "tests/support/effort.h"
#include "tests/support/streamed.h"

namespace mu8::testing {
namespace {

TEST_CASE("streamed: a read that fails ends the call, and the next one is as before") {
  std::size_t failed = 0;
  for (const auto& entry : GoldenFiles()) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    for (const std::uint32_t workers : {1U, 3U}) {
      StreamedEngine engine(file);
      StreamedFile& streamed = engine.streamed;
      REQUIRE(engine.Open({.mc_samples = 2, .workers = workers}) == Status::kOk);
      streamed.Reset();
      const auto expected = All(&engine, 1, 1);
      const std::size_t calls = streamed.calls;
      REQUIRE(calls > 4);
      const auto pixels = RandomPixels(engine.model, 1, 11);
      const auto numbers = AsNumbers(pixels);
      for (std::size_t call = 0; call < calls; ++call) {
        CAPTURE(call);
        streamed.Reset();
        streamed.log = true;
        streamed.fail_at = call;
        Diagnostic diagnostic;
        const bool floats = engine.model.input_kind() == InputKind::kNumbers;
        const Status status =
            floats ? engine.session.Run(std::span<const float>(numbers), 1, &diagnostic)
                   : engine.session.Run(std::span<const std::uint8_t>(pixels), 1, &diagnostic);
        CHECK(status == Status::kReadFailed);
        CHECK(diagnostic.status == Status::kReadFailed);
        REQUIRE(streamed.reads.size() > call);
        CHECK(diagnostic.offset == streamed.reads[call].first);
        CHECK(diagnostic.expected == streamed.reads[call].second);
        CHECK(engine.session.CheckResult(0) == Status::kNotReady);
        CHECK(engine.session.Result(0).mean.empty());
        ++failed;
      }
      streamed.fail_at = ~std::size_t{0};
      CHECK(All(&engine, 1, 1) == expected);
      if (workers > 1) continue;
      for (std::size_t call = 0; call < calls; call += 3) {
        streamed.Reset();
        streamed.fail_at = call;
        Status status;
        Diagnostic diagnostic;
        CHECK(InSteps(&engine, &status, &diagnostic).empty());
        CHECK(status == Status::kReadFailed);
        CHECK(engine.session.Step() == Status::kNotReady);
        ++failed;
      }
    }
  }
  MESSAGE("reads that failed: " << failed);
}

// Changes before and within runs, of what the source gives and of what is resident: another answer
// or a status; resident memory and arena end at guard pages.
TEST_CASE("streamed: bytes that change give a wrong answer or a status") {
  std::size_t same = 0, other = 0, refused = 0;
  const int rounds = Effort(120, 10);
  for (const auto& entry : GoldenFiles()) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    StreamedEngine engine(file);
    REQUIRE(engine.Open({.mc_samples = 2, .panel_bytes = 64}) == Status::kOk);
    const std::vector<std::byte> resident(engine.Resident().begin(), engine.Resident().end());
    Status status;
    const auto expected = InSteps(&engine, &status, nullptr);
    REQUIRE(status == Status::kOk);
    Random random(file.size());
    const auto pixels = RandomPixels(engine.model, 1, 11);
    for (int round = 0; round < rounds; ++round) {
      CAPTURE(round);
      const auto change = [&](std::span<std::byte> bytes) {
        const std::size_t at = random.Below(static_cast<std::uint32_t>(bytes.size()));
        bytes[at] = static_cast<std::byte>(random.Below(256));
      };
      int steps_before = static_cast<int>(random.Below(8));
      status = Begin(&engine, pixels);
      REQUIRE(status == Status::kOk);
      status = Status::kInProgress;
      while (status == Status::kInProgress) {
        if (steps_before-- == 0) {
          for (int i = 0; i < 20; ++i) change(engine.streamed.file);
          if (round % 2 == 0) change(engine.Resident());
        }
        status = engine.session.Step();
      }
      REQUIRE((status == Status::kOk || status == Status::kModelChanged));
      CHECK(!engine.streamed.beyond);
      std::vector<std::byte> bytes;
      if (status == Status::kOk) {
        const Prediction prediction = engine.session.Result(0);
        AppendPrediction(prediction, &bytes);
        AppendOthers(engine.model, prediction, &bytes);
      }
      ++(status != Status::kOk ? refused : bytes == expected ? same : other);
      status = Begin(&engine, pixels);  // with what has changed
      REQUIRE((status == Status::kOk || status == Status::kModelChanged));
      engine.streamed.file = file;
      std::copy(resident.begin(), resident.end(), engine.Resident().begin());
    }
    CHECK(InSteps(&engine, &status, nullptr) == expected);
  }
  MESSAGE("runs with changed bytes: same answer " << same << ", another " << other << ", refused "
                                                  << refused);
  CHECK(other > 0);
  CHECK(refused > 0);
}

// Every read of Open may give what it likes: it ends, and what it has accepted can run.
TEST_CASE("streamed: a source that gives other bytes at each read harms nobody") {
  struct Liar {
    StreamedFile file;
    Random random{1};
    static bool Read(void* context, std::uint64_t offset, void* to, std::size_t bytes) {
      auto& self = *static_cast<Liar*>(context);
      const Source honest = self.file.source();
      if (!honest.read(honest.context, offset, to, bytes)) return false;
      if (self.random.OneIn(40)) {
        static_cast<std::uint8_t*>(to)[self.random.Below(static_cast<std::uint32_t>(bytes))] ^=
            static_cast<std::uint8_t>(1U << self.random.Below(8));
      }
      return true;
    }
  };
  std::size_t accepted = 0, all = 0;
  for (const auto& entry : GoldenFiles()) {
    const std::string& name = entry.first;
    const std::vector<std::byte>& file = entry.second;
    CAPTURE(name);
    const std::size_t needed = ResidentBytes(file);
    Liar liar{StreamedFile(file)};
    liar.random = Random(needed);
    GuardedBuffer resident(needed), scratch(640);
    for (int i = 0; i < Effort(60, 6); ++i) {
      StreamedEngine engine(file);
      const Source source{&liar, file.size(), &Liar::Read};
      ++all;
      if (Model::OpenStreamed(source, {resident.Last(needed), needed}, {scratch.Last(640), 640},
                              &engine.model) != Status::kOk) {
        continue;
      }
      ++accepted;
      REQUIRE(engine.CreateSession({.mc_samples = 3}) == Status::kOk);
      for (int run = 0; run < 5; ++run) {
        Status status;
        InSteps(&engine, &status, nullptr);
        CHECK((status == Status::kOk || status == Status::kModelChanged));
      }
      CHECK(!liar.file.beyond);
    }
  }
  MESSAGE("opened from an unsteady source: " << accepted << " of " << all);
  CHECK(accepted > 0);
}

TEST_CASE("streamed: the scrubber finds what changes behind the source, or is resident") {
  const std::vector<std::byte> file = ReadFile("tests/data/golden/table_operators.mu8");
  StreamedEngine engine(file);
  REQUIRE(engine.OpenModel() == Status::kOk);
  Scrubber scrubber(engine.model);
  const auto round = [&](std::size_t slice, Diagnostic* diagnostic) {
    const std::uint32_t rounds = scrubber.rounds();
    Status status = Status::kOk;
    while (status == Status::kOk && scrubber.rounds() == rounds) {
      status = scrubber.Scrub(slice, diagnostic);
    }
    return status;
  };
  Diagnostic diagnostic;
  for (const std::size_t slice : {std::size_t{1}, std::size_t{100}, file.size()}) {
    engine.streamed.Reset();
    CHECK(round(slice, &diagnostic) == Status::kOk);
    CHECK(engine.streamed.bytes_read == file.size());
    CHECK(engine.streamed.largest <= 64);
  }
  Random random(3);
  for (int i = 0; i < Effort(400, 40); ++i) {
    const std::size_t at = random.Below(static_cast<std::uint32_t>(file.size()));
    engine.streamed.file[at] ^= static_cast<std::byte>(1U << random.Below(8));
    CHECK(round(777, &diagnostic) == Status::kModelChanged);
    CHECK(diagnostic.status == Status::kModelChanged);
    engine.streamed.file = file;
    const std::span<std::byte> resident = engine.Resident();
    std::byte& byte = resident[random.Below(static_cast<std::uint32_t>(resident.size()))];
    const std::byte before = byte;
    byte ^= static_cast<std::byte>(1U << random.Below(8));
    CHECK(round(777, &diagnostic) == Status::kModelChanged);
    byte = before;
  }
  CHECK(round(777, &diagnostic) == Status::kOk);
  engine.streamed.Reset();
  engine.streamed.fail_at = 5;
  CHECK(round(64, &diagnostic) == Status::kReadFailed);
  CHECK(diagnostic.status == Status::kReadFailed);
  CHECK(scrubber.offset() == 0);
  CHECK(round(64, &diagnostic) == Status::kOk);
}

}  // namespace
}  // namespace mu8::testing
