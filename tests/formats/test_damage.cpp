// Damaged files: every byte of the small model changed, every length cut, with and without repaired
// checksums. Whatever happens, nothing outside the file and the arena is touched: both end at guard
// pages; and what is rejected is rejected for a field that the diagnostic names.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <map>
#include <string>

#include "tests/support/damage.h"
#include "tests/support/effort.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

// What a byte is changed by: a few bits, or every other value that it can have.
std::vector<std::uint8_t> Masks() {
  if (Thoroughness() == 1) return {0x01, 0x02, 0x10, 0x40, 0x80, 0xff};
  std::vector<std::uint8_t> masks;
  for (int mask = 1; mask < 256; ++mask) masks.push_back(static_cast<std::uint8_t>(mask));
  return masks;
}

struct Small {
  std::uint32_t sigma_bits;
  bool bayesian;
};
constexpr Small kSmall[] = {{8, true}, {4, true}, {2, true}, {1, true}, {0, true}, {0, false}};

std::vector<std::byte> FileOf(const Small& small) {
  return format::Write(TinyModel(small.sigma_bits, small.bayesian).content);
}

// Statuses of numbers that follow from fields, or of codes of some bits: StatusText says so.
bool IsDerived(const Diagnostic& diagnostic) {
  switch (diagnostic.status) {
    case Status::kTruncated:
    case Status::kRecordCount:
    case Status::kTooManyLiveTensors:
    case Status::kFixedPoint:
    case Status::kGatherPlace:
    case Status::kWeightScale:
    case Status::kAccumulatorOverflow:
    case Status::kMuRange:
    case Status::kPaddingWeight:
    case Status::kOutputParameters:
      return true;
    case Status::kSectionMissing:
      return diagnostic.found == 0;  // the table ends there
    default:
      return false;
  }
}

std::string Explained(const Diagnostic& diagnostic) {
  std::array<char, 256> message{};
  return {message.data(), Explain(diagnostic, message)};
}

// Whether the diagnostic of a rejected file names a field: another value is expected, and the one
// found is what the file has there.
bool NamesField(std::span<const std::byte> file, const Diagnostic& diagnostic) {
  if (diagnostic.status == Status::kOk) return true;
  if (diagnostic.found == diagnostic.expected || diagnostic.offset > file.size()) return false;
  if (IsDerived(diagnostic)) return true;
  for (const std::size_t bytes : {1U, 2U, 4U, 8U}) {
    if (file.size() - diagnostic.offset < bytes) break;
    std::uint64_t value = 0;
    std::memcpy(&value, file.data() + diagnostic.offset, bytes);
    if (value == diagnostic.found) return true;
  }
  return false;
}

TEST_CASE("damage: any byte changed is rejected, or predictions stay the same") {
  Sandbox sandbox;
  std::size_t executed = 0;
  std::size_t expected = 0;
  std::size_t accepted = 0;
  for (const Small& small : kSmall) {
    const std::vector<std::byte> file = FileOf(small);
    const Outcome original = sandbox.Run(file);
    REQUIRE(original.ran);
    for (const std::uint8_t mask : Masks()) {
      for (std::size_t i = 0; i < file.size(); ++i) {
        std::vector<std::byte> damaged = file;
        damaged[i] ^= static_cast<std::byte>(mask);
        const Outcome outcome = sandbox.Run(damaged);
        CAPTURE(small.sigma_bits);
        CAPTURE(int{mask});
        CAPTURE(i);
        REQUIRE(NamesField(damaged, outcome.diagnostic));
        if (outcome.status == Status::kOk) {
          ++accepted;
          REQUIRE(outcome.predictions == original.predictions);
        }
        ++executed;
      }
    }
    expected += file.size() * Masks().size();
  }
  MESSAGE("bytes changed: " << executed << ", of these accepted: " << accepted);
  CHECK(executed == expected);
}

TEST_CASE("damage: a file cut anywhere is rejected") {
  Sandbox sandbox;
  for (const Small& small : kSmall) {
    const std::vector<std::byte> file = FileOf(small);
    for (std::size_t size = 0; size < file.size(); ++size) {
      CAPTURE(size);
      REQUIRE(sandbox.Run(std::span(file).first(size)).status == Status::kTruncated);
    }
  }
}

TEST_CASE("damage: bytes added at the end are rejected") {
  Sandbox sandbox;
  std::vector<std::byte> file = FileOf(kSmall[1]);
  for (int added = 1; added <= 200; ++added) {
    file.push_back(std::byte{0});
    REQUIRE(sandbox.Run(file).status == Status::kFileSize);
  }
}

TEST_CASE("damage: any byte changed with checksums repaired does not crash") {
  Sandbox sandbox;
  std::size_t executed = 0;
  std::size_t accepted = 0;
  std::map<int, int> codes;
  for (const Small& small : kSmall) {
    const std::vector<std::byte> file = FileOf(small);
    for (const std::uint8_t mask : Masks()) {
      for (std::size_t i = 0; i < file.size(); ++i) {
        std::vector<std::byte> damaged = file;
        damaged[i] ^= static_cast<std::byte>(mask);
        RepairDamaged(damaged);
        const Outcome outcome = sandbox.Run(damaged);
        CAPTURE(small.sigma_bits);
        CAPTURE(int{mask});
        CAPTURE(i);
        CAPTURE(Explained(outcome.diagnostic));
        REQUIRE(NamesField(damaged, outcome.diagnostic));
        accepted += outcome.ran ? 1 : 0;
        ++codes[static_cast<int>(outcome.status)];
        ++executed;
      }
    }
  }
  MESSAGE("bytes changed: " << executed << ", of these accepted: " << accepted
                            << ", different statuses: " << codes.size());
  CHECK(accepted > executed / 4);  // most bytes are weights
  CHECK(codes.size() > 20);
}

// What files of version 1.3 have beside: a head, section 7, numbers as input.
std::vector<TestModel> LaterModels() {
  TestModel values = TinyModel(2);
  values.content.head = format::Head::kValues;
  values.content.outputs.noise_variance = {1, 2, 3};
  TestModel ranges = values;
  ranges.content.outputs.ranges = {{-1, 1}, {0, 2}, {3, 4}};
  TestModel numbers = TinyModel(2);
  numbers.content.input_affine = {20, 120};
  TestModel labels = DenseOutputModel(2);
  labels.content.head = format::Head::kSigmoid;
  return {values,
          ranges,
          numbers,
          labels,
          DenseOutputModel(3),
          DenseReconstructionModel(),
          WithReconstruction(TinyModel(2, true, 8, 36)),
          WithGaussian(TinyModel(2, true, 8, 4), format::ScaleForm::kLogVariance),
          WithGaussian(TinyModel(2, true, 8, 4), format::ScaleForm::kSoftplus)};
}

TEST_CASE("damage: files of heads and numbers with any byte changed do not crash") {
  Sandbox sandbox;
  std::size_t accepted = 0, executed = 0;
  std::map<int, int> codes;
  for (const TestModel& model : LaterModels()) {
    const std::vector<std::byte> file = format::Write(model.content);
    REQUIRE(sandbox.Run(file).ran);
    for (const std::uint8_t mask : Masks()) {
      for (std::size_t i = 0; i < file.size(); ++i) {
        std::vector<std::byte> damaged = file;
        damaged[i] ^= static_cast<std::byte>(mask);
        RepairDamaged(damaged);
        const Outcome outcome = sandbox.Run(damaged);
        CAPTURE(int{mask});
        CAPTURE(i);
        CAPTURE(Explained(outcome.diagnostic));
        REQUIRE(NamesField(damaged, outcome.diagnostic));
        accepted += outcome.ran ? 1 : 0;
        ++codes[static_cast<int>(outcome.status)];
        ++executed;
      }
    }
  }
  MESSAGE("bytes changed: " << executed << ", of these accepted: " << accepted);
  CHECK(accepted > executed / 4);
  for (const Status status :
       {Status::kInputAffine, Status::kOutputParameters, Status::kHeadShape}) {
    CHECK(codes.contains(static_cast<int>(status)));
  }
}

// Structure-aware noise: a few bytes of records or parameters become random or extreme values.
TEST_CASE("damage: random models with several bytes changed do not crash") {
  Sandbox sandbox;
  Random random(61);
  const int models = Effort(800, 60);
  const int changes = Effort(60, 30);
  std::size_t accepted = 0;
  std::map<int, int> codes;
  for (int m = 0; m < models; ++m) {
    const std::vector<std::byte> file = format::Write(RandomModel(&random).content);
    if (file.size() > Sandbox::kMaxBytes) continue;
    for (int c = 0; c < changes; ++c) {
      std::vector<std::byte> damaged = file;
      // The first bytes hold all records; parameters and tables fill the rest.
      const auto records = static_cast<std::uint32_t>(std::min<std::size_t>(file.size(), 1500));
      for (int n = random.Between(1, 3); n > 0; --n) {
        const std::uint32_t at = random.OneIn(3)
                                     ? random.Below(static_cast<std::uint32_t>(file.size()))
                                     : random.Below(records);
        damaged[at] = static_cast<std::byte>(
            random.OneOf<int>({0, 1, 2, 127, 128, 255, random.Between(0, 255)}));
      }
      RepairDamaged(damaged);
      const Outcome outcome = sandbox.Run(damaged);
      CAPTURE(m);
      CAPTURE(c);
      CAPTURE(Explained(outcome.diagnostic));
      REQUIRE(NamesField(damaged, outcome.diagnostic));
      accepted += outcome.ran ? 1 : 0;
      ++codes[static_cast<int>(outcome.status)];
    }
  }
  MESSAGE("damaged random models: " << models * changes << ", accepted: " << accepted
                                    << ", different statuses: " << codes.size());
  CHECK(accepted > 0);
  CHECK(codes.size() > 15);
}

}  // namespace
}  // namespace mu8::testing
