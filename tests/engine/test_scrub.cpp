// Bits that flip at rest: the scrubber finds each of them, wherever it lies and however the walk is
// cut into slices.
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "formats/crc32c.h"
#include "mu8/mu8_c.h"
#include "mu8/scrub.h"
#include "tests/support/effort.h"
#include "tests/support/model_builder.h"
#include "tests/support/moments_models.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

Model Opened(const AlignedBytes& file) {
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  return model;
}

void Flip(const AlignedBytes& file, std::size_t byte, std::uint32_t bit) {
  file.data()[byte] ^= static_cast<std::byte>(1U << bit);
}

// Scrubs to the end of a round, or to the first finding.
Status ScrubRound(Scrubber* scrubber, std::size_t slice, Diagnostic* diagnostic = nullptr) {
  const std::uint32_t rounds = scrubber->rounds();
  while (scrubber->rounds() == rounds) {
    const std::size_t before = scrubber->offset();
    if (const Status s = scrubber->Scrub(slice, diagnostic); s != Status::kOk) return s;
    REQUIRE((scrubber->rounds() != rounds || scrubber->offset() == before + slice));
  }
  CHECK(scrubber->offset() == 0);
  return Status::kOk;
}

// Begin and end of a section, by its place in the table.
format::SectionRecord SectionOf(const AlignedBytes& file, std::uint32_t index) {
  format::SectionRecord record;
  std::memcpy(&record, file.data() + sizeof(format::FileHeader) + index * sizeof(record),
              sizeof(record));
  return record;
}

TEST_CASE("scrub: rounds over an unchanged file end without a finding, in slices of any size") {
  const AlignedBytes file = EveryOperatorModel().File();
  const Model model = Opened(file);
  for (const std::size_t slice : {std::size_t{1}, std::size_t{7}, std::size_t{64},
                                  std::size_t{1000}, file.size(), 2 * file.size()}) {
    Scrubber scrubber(model);
    for (std::uint32_t round = 1; round <= 3; ++round) {
      REQUIRE(ScrubRound(&scrubber, slice) == Status::kOk);
      CHECK(scrubber.rounds() == round);
    }
  }
  Scrubber idle(model);
  CHECK(idle.Scrub(0) == Status::kOk);
  CHECK(idle.offset() == 0);
  CHECK(idle.rounds() == 0);
  Scrubber closed;
  CHECK(closed.Scrub(1) == Status::kNotReady);
}

TEST_CASE("scrub: every bit of a file is covered: header, table, sections and padding") {
  std::size_t flips = 0;
  for (const bool bayesian : {true, false}) {
    const TestModel model = TinyModel(bayesian ? 4 : 0, bayesian);
    const AlignedBytes file = bayesian ? WithMoments(model).File() : model.File();
    Scrubber scrubber(Opened(file));
    for (std::size_t byte = 0; byte < file.size(); ++byte) {
      for (std::uint32_t bit = 0; bit < 8; ++bit, ++flips) {
        CAPTURE(byte);
        CAPTURE(bit);
        Flip(file, byte, bit);
        REQUIRE(ScrubRound(&scrubber, 333) == Status::kModelChanged);
        Flip(file, byte, bit);
      }
    }
    CHECK(ScrubRound(&scrubber, 64) == Status::kOk);
  }
  MESSAGE("bits flipped: " << flips << ", all found");
  CHECK(flips > 20000);
}

TEST_CASE("scrub: finds 10,000 single-bit flips in the weights at rest and says where") {
  const AlignedBytes file = TableOperatorsModel().File();
  const format::SectionRecord weights = SectionOf(file, 4);
  REQUIRE(weights.id == static_cast<std::uint32_t>(format::SectionId::kParameters));
  Scrubber scrubber(Opened(file));
  Random random(10000);
  const int flips = Effort(10000, 1000);
  int found = 0;
  for (int i = 0; i < flips; ++i) {
    const std::size_t byte =
        weights.offset + random.Below(static_cast<std::uint32_t>(weights.bytes));
    const std::uint32_t bit = random.Below(8);
    Flip(file, byte, bit);
    Diagnostic diagnostic;
    const Status status = ScrubRound(&scrubber, 1 + random.Below(4096), &diagnostic);
    found += status == Status::kModelChanged ? 1 : 0;
    CHECK(diagnostic.status == Status::kModelChanged);
    CHECK(diagnostic.offset == weights.offset);
    CHECK(diagnostic.expected == weights.crc);
    CHECK(diagnostic.found != weights.crc);
    Flip(file, byte, bit);
  }
  MESSAGE("flips in weights: " << flips << ", found: " << found);
  CHECK(found == flips);
  CHECK(scrubber.rounds() == 0);
  CHECK(ScrubRound(&scrubber, 512) == Status::kOk);
}

TEST_CASE("scrub: another valid file in the same place is a change, too") {
  const AlignedBytes file = TinyModel(4).File();
  Scrubber scrubber(Opened(file));
  // One weight and its checksums: Open would accept the file.
  const format::SectionRecord weights = SectionOf(file, 4);
  Flip(file, weights.offset + weights.bytes - 1, 0);
  format::SectionRecord changed = weights;
  changed.crc = format::Crc32c(file.data() + weights.offset, weights.bytes);
  std::memcpy(file.data() + sizeof(format::FileHeader) + 4 * sizeof(changed), &changed,
              sizeof(changed));
  constexpr std::size_t kCrcAt = offsetof(format::FileHeader, header_crc);
  std::uint32_t before, crc = format::Crc32c(file.data(), kCrcAt);
  std::memcpy(&before, file.data() + kCrcAt, sizeof(before));
  std::uint32_t sections;
  std::memcpy(&sections, file.data() + offsetof(format::FileHeader, section_count),
              sizeof(sections));
  crc = format::Crc32c(file.data() + sizeof(format::FileHeader),
                       sections * sizeof(format::SectionRecord), crc);
  std::memcpy(file.data() + kCrcAt, &crc, sizeof(crc));
  Model again;
  REQUIRE(Model::Open(file.span(), &again) == Status::kOk);
  Diagnostic diagnostic;
  CHECK(ScrubRound(&scrubber, 128, &diagnostic) == Status::kModelChanged);
  CHECK(diagnostic.offset < sizeof(format::FileHeader));
  char text[256];
  Explain(diagnostic, text);
  CHECK(std::strncmp(text, "mu8 error 73: the model has changed since", 41) == 0);
  CHECK(std::strstr(text, "; byte 60: found ") != nullptr);
}

TEST_CASE("scrub: whatever the bytes become under the walk, it ends and stays in the file") {
  const std::vector<std::byte> original = format::Write(TinyModel(2).content);
  Random random(73);
  const int walks = Effort(20000, 1000);
  int changed = 0;
  GuardedBuffer guarded(original.size());
  for (int i = 0; i < walks; ++i) {
    auto* file = reinterpret_cast<std::byte*>(guarded.CopyLast(std::span(original)));
    Model model;
    REQUIRE(Model::Open({file, original.size()}, &model) == Status::kOk);
    Scrubber scrubber(model);
    Status status = scrubber.Scrub(1 + random.Below(static_cast<std::uint32_t>(original.size())));
    const std::uint32_t table = 64 + 6 * 32;
    for (int n = random.Between(1, 4); n > 0; --n) {
      file[random.Below(random.OneIn(4) ? static_cast<std::uint32_t>(original.size()) : table)] =
          static_cast<std::byte>(random.OneOf<int>({0, 1, 127, 128, 255, random.Between(0, 255)}));
    }
    for (int calls = 0; status == Status::kOk && scrubber.rounds() < 3; ++calls) {
      REQUIRE(calls < 10000);
      status = scrubber.Scrub(100);
    }
    changed += status == Status::kModelChanged ? 1 : 0;
  }
  MESSAGE("walks: " << walks << ", with a finding: " << changed);
  CHECK(changed > walks * 9 / 10);
}

TEST_CASE("scrub: the C API finds the same") {
  const AlignedBytes file = TinyModel(4).File();
  mu8_model model;
  mu8_scrubber scrubber;
  mu8_diagnostic diagnostic;
  REQUIRE(mu8_model_open(file.data(), file.size(), &model, nullptr) == 0);
  REQUIRE(mu8_scrubber_create(&model, &scrubber, &diagnostic) == 0);
  CHECK(mu8_scrub(&scrubber, file.size(), &diagnostic) == 0);
  CHECK(mu8_scrub_rounds(&scrubber) == 1);
  Flip(file, file.size() - 300, 3);
  CHECK(mu8_scrub(&scrubber, file.size(), &diagnostic) == 73);
  CHECK(diagnostic.status == 73);
  CHECK(diagnostic.offset != 0);
  CHECK(mu8_scrubber_create(nullptr, &scrubber, &diagnostic) == 68);
  CHECK(diagnostic.found == 1);
  CHECK(mu8_scrub(nullptr, 1, nullptr) == 68);
  CHECK(mu8_scrub_rounds(nullptr) == 0);
  const mu8_model closed = {};
  CHECK(mu8_scrubber_create(&closed, &scrubber, nullptr) == 67);
}

}  // namespace
}  // namespace mu8::testing
