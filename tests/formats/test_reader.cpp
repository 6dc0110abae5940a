// What the reader accepts, and what it says about it.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

#include "formats/reader.h"
#include "tests/support/damage.h"
#include "tests/support/effort.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/predict.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

TEST_CASE("reader: accepts the small model in every sigma width and shows its records") {
  for (const std::uint32_t bits : {8U, 4U, 2U, 1U, 0U}) {
    const TestModel model = TinyModel(bits);
    const AlignedBytes file = model.File();
    format::View view;
    Diagnostic diagnostic;
    CAPTURE(bits);
    REQUIRE(format::Open(file.span(), &view, &diagnostic) == Status::kOk);
    CHECK(diagnostic.status == Status::kOk);
    CHECK(view.file_bytes == file.size());
    REQUIRE(view.tensor_count() == 2);
    REQUIRE(view.layer_count() == 2);
    CHECK(view.tensor(0).height == 6);
    CHECK(view.tensor(1).channels == 5);
    CHECK(view.layer(0).kernel_h == 3);
    CHECK(view.layer(1).sigma_bits == bits);
    CHECK(view.model.class_count == 3);
    CHECK(view.input_lookup()[17] == model.content.input_table[17]);
    for (std::uint32_t i = 0; i < 2; ++i) {
      const format::LayerRecord layer = view.layer(i);
      CHECK(std::memcmp(view.layer_parameters(layer), model.content.parameters[i].data(),
                        model.content.parameters[i].size()) == 0);
    }
  }
}

TEST_CASE("reader: a diagnostic is not obligatory") {
  const AlignedBytes file = TinyModel(1).File();
  format::View view;
  CHECK(format::Open(file.span(), &view) == Status::kOk);
  CHECK(format::Open(file.span().first(100), &view) == Status::kTruncated);
}

TEST_CASE("reader: reopening gives the same view without checks") {
  const AlignedBytes file = EveryOperatorModel().File();
  format::View view;
  REQUIRE(format::Open(file.span(), &view) == Status::kOk);
  const format::View again = format::Reopen(file.span());
  CHECK(again.data == view.data);
  CHECK(again.file_bytes == view.file_bytes);
  CHECK(again.tensors.offset == view.tensors.offset);
  CHECK(again.layers.bytes == view.layers.bytes);
  CHECK(again.input_table.offset == view.input_table.offset);
  CHECK(again.parameters.offset == view.parameters.offset);
  CHECK(again.metadata.bytes == view.metadata.bytes);
  CHECK(again.model.arena_bytes == view.model.arena_bytes);
}

TEST_CASE("reader: accepts random models and reads nothing outside them") {
  Random random(51);
  const int count = Effort(2000, 300);
  GuardedBuffer guarded(1 << 20);
  std::array<int, 14> operators{};
  int residuals = 0;
  for (int i = 0; i < count; ++i) {
    const TestModel model = RandomModel(&random);
    const std::vector<std::byte> file = format::Write(model.content);
    format::View view;
    Diagnostic diagnostic;
    const Status status = format::Open({guarded.CopyLast(file), file.size()}, &view, &diagnostic);
    std::array<char, 256> message{};
    Explain(diagnostic, message);
    const std::string text = message.data();
    CAPTURE(i);
    CAPTURE(text);
    REQUIRE(status == Status::kOk);
    for (const format::LayerRecord& layer : model.content.layers) {
      ++operators.at(layer.op);
      residuals += layer.op == 1 && layer.input2 != format::kNoTensor ? 1 : 0;
    }
  }
  MESSAGE("random models opened: "
          << count << "; convolutions " << operators[1] << ", dense " << operators[2]
          << ", max-pools " << operators[3] << ", average pools " << operators[4] << ", look-ups "
          << operators[5] << ", sums " << operators[6] << ", products " << operators[7]
          << ", slices " << operators[8] << ", concatenations " << operators[9] << ", gathers "
          << operators[10] << ", maxima " << operators[11] << ", minima " << operators[12]
          << ", constants " << operators[13] << ", residuals " << residuals);
  for (std::size_t op = 1; op < operators.size(); ++op) CHECK(operators.at(op) > count / 20);
  CHECK(residuals > count / 20);
}

Status StatusOf(const TestModel& model) {
  const AlignedBytes file = model.File();
  format::View view;
  return format::Open(file.span(), &view);
}

// The other side of each bound is among the invalid files.
TEST_CASE("reader: bounds of fixed-point sums and products are met exactly") {
  constexpr float kBelow = 0x1.fffffep19F;
  CHECK(StatusOf(BinaryModel(format::OpCode::kAdd, kBelow, 1, 1)) == Status::kOk);
  CHECK(StatusOf(BinaryModel(format::OpCode::kAdd, 1, kBelow, 1)) == Status::kOk);
  CHECK(StatusOf(BinaryModel(format::OpCode::kAdd, 0x1p-10F, 0x1p-100F, 1)) == Status::kOk);
  CHECK(StatusOf(BinaryModel(format::OpCode::kMultiply, 1, 0x1.fffffep-1F, 1)) == Status::kOk);
  CHECK(StatusOf(ResidualModel(kBelow, 1, 0)) == Status::kOk);
  CHECK(StatusOf(ResidualModel(0x1p-10F, 1, 0)) == Status::kOk);
  CHECK(StatusOf(ResidualModel(1, 1, kResidualMostBias)) == Status::kOk);
}

// How many tensors lie over the input's memory.
int OverInput(const TestModel& model) {
  const std::vector<format::TensorRecord>& tensors = model.content.tensors;
  int found = 0;
  for (std::size_t t = 1; t < tensors.size(); ++t) {
    const bool clear = tensors[t].offset >= tensors[0].offset + tensors[0].bytes ||
                       tensors[0].offset >= tensors[t].offset + tensors[t].bytes;
    found += clear ? 0 : 1;
  }
  return found;
}

TEST_CASE("reader: an input that only the prefix reads leaves its memory to others") {
  CHECK(OverInput(EveryOperatorModel(0)) == 0);  // every pass reads it again
  for (const std::size_t first_bayesian : {5U, 12U}) {
    const TestModel model = EveryOperatorModel(first_bayesian);
    CHECK(OverInput(model) > 0);
    CHECK(StatusOf(model) == Status::kOk);
  }
}

TEST_CASE("reader: skips an optional section that it does not know") {
  const TestModel model = TinyModel(4);
  const std::vector<std::byte> plain = format::Write(model.content);
  std::vector<format::Section> sections;
  for (std::uint32_t id = 1; id <= 6; ++id) {
    format::SectionRecord record;
    std::memcpy(
        &record,
        plain.data() + sizeof(format::FileHeader) + (id - 1) * sizeof(format::SectionRecord),
        sizeof(record));
    const auto begin = plain.begin() + static_cast<std::ptrdiff_t>(record.offset);
    sections.push_back(
        {id, record.flags, {begin, begin + static_cast<std::ptrdiff_t>(record.bytes)}});
  }
  sections.push_back({1000, 0, std::vector<std::byte>(77, std::byte{9})});
  const AlignedBytes extended(format::Assemble(sections));
  const AlignedBytes original(plain);
  Engine with;
  Engine without;
  REQUIRE(with.Open(extended.span(), {.mc_samples = 3}) == Status::kOk);
  REQUIRE(without.Open(original.span(), {.mc_samples = 3}) == Status::kOk);
  const auto pixels = RandomPixels(with.model, 2, 1);
  CHECK(PredictAll(&with, pixels, 1) == PredictAll(&without, pixels, 1));
}

TEST_CASE("reader: at most 4096 tensors and layers") {
  for (const auto& [id, bytes] :
       {std::pair{format::SectionId::kTensors, sizeof(format::TensorRecord)},
        std::pair{format::SectionId::kLayers, std::size_t{format::kLayerRecordBytes}}}) {
    for (const std::size_t count : {4096U, 4097U}) {
      std::vector<format::Section> sections;
      for (std::uint32_t i = 1; i <= 6; ++i) {
        sections.push_back({i, format::kSectionRequired, std::vector<std::byte>(128 * 3)});
      }
      sections[0].bytes.resize(format::kModelRecordBytes);
      sections[static_cast<std::size_t>(id) - 1].bytes.resize(count * bytes);
      const AlignedBytes file(format::Assemble(sections));
      format::View view;
      // With 4096 records the first one, all zero, is looked at.
      CHECK(format::Open(file.span(), &view) ==
            (count == 4096 ? Status::kTensorShape : Status::kRecordCount));
    }
  }
}

TEST_CASE("reader: a file of more than 2 GiB is rejected") {
  constexpr std::size_t kBytes = (std::size_t{1} << 31) + 64;
  // Only the first page is ever touched.
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    MESSAGE("not run: no address space for it");
    return;
  }
  const std::vector<std::byte> tiny = format::Write(TinyModel(4).content);
  std::memcpy(memory, tiny.data(), tiny.size());
  const std::uint64_t file_bytes = kBytes;
  std::memcpy(static_cast<std::byte*>(memory) + 16, &file_bytes, sizeof(file_bytes));
  format::View view;
  Diagnostic diagnostic;
  CHECK(format::Open({static_cast<const std::byte*>(memory), kBytes}, &view, &diagnostic) ==
        Status::kFileSize);
  CHECK(diagnostic.offset == 16);
  CHECK(diagnostic.found == kBytes);
  CHECK(diagnostic.expected == kBytes - 64);
  munmap(memory, kBytes);
}

// FORMAT.md section 11 says so; it once said otherwise.
TEST_CASE("reader: the depthwise flag is looked at before the window, runs after it") {
  TestModel model = TinyModel(2);
  format::LayerRecord& layer = model.content.layers[0];
  layer.runs = 99;
  CHECK(StatusOf(model) == Status::kRunLayout);
  layer.kernel_h = 0;
  CHECK(StatusOf(model) == Status::kWindow);
  layer.flags |= format::kLayerDepthwise;
  CHECK(StatusOf(model) == Status::kRunLayout);
  layer.groups = 0;
  CHECK(StatusOf(model) == Status::kGroups);
}

// Its size is no multiple of 64, so it cannot end at a guard page as the invalid files do.
TEST_CASE("reader: a section that would begin behind the end of the file") {
  std::vector<std::byte> file = format::Write(TinyModel(2).content);
  format::SectionRecord tensors;
  std::memcpy(&tensors, file.data() + 96, sizeof(tensors));
  file.resize(tensors.offset + tensors.bytes + 1);  // in the padding before the layers
  const std::uint64_t file_bytes = file.size();
  std::memcpy(file.data() + 16, &file_bytes, sizeof(file_bytes));
  RepairDamaged(file);
  const AlignedBytes aligned(file);
  format::View view;
  Diagnostic diagnostic;
  CHECK(format::Open(aligned.span().first(file_bytes), &view, &diagnostic) ==
        Status::kSectionLayout);
  CHECK(diagnostic.offset == 128 + offsetof(format::SectionRecord, offset));
  CHECK(diagnostic.found == format::RoundUp(file_bytes, 64));
  CHECK(diagnostic.expected == file_bytes);
}

TEST_CASE("reader: a newer minor version is readable") {
  std::vector<std::byte> file = format::Write(TinyModel(4).content);
  file[10] = std::byte{7};  // version_minor
  format::RepairChecksums(&file);
  const AlignedBytes aligned(file);
  format::View view;
  CHECK(format::Open(aligned.span(), &view) == Status::kOk);
}

TEST_CASE("metadata: found by key, listed in order") {
  TestModel model = TinyModel(4);
  model.content.metadata = {{"a", ""}, {"labels", "cat\ndog\n\nowl"}, {"name", "tiny \xc2\xb5"}};
  const AlignedBytes file = model.File();
  format::View view;
  REQUIRE(format::Open(file.span(), &view) == Status::kOk);
  std::string_view value = "untouched";
  CHECK_FALSE(format::FindMetadata(view, "nam", &value));
  CHECK_FALSE(format::FindMetadata(view, "", &value));
  CHECK(value == "untouched");
  CHECK(format::FindMetadata(view, "name", &value));
  CHECK(value == "tiny \xc2\xb5");
  CHECK(format::FindMetadata(view, "a", &value));
  CHECK(value.empty());
  REQUIRE(format::MetadataCount(view) == 3);
  std::string_view key;
  std::uint64_t place = 0;
  for (int i = 0; i < 2; ++i) format::NextMetadata(view, &place, &key, &value);
  CHECK(key == "labels");
  CHECK(format::Line(value, 0) == "cat");
  CHECK(format::Line(value, 2).empty());
  CHECK(format::Line(value, 3) == "owl");
  CHECK(format::Line(value, 4).empty());
}

TEST_CASE("metadata: a model without any has no name and no labels") {
  TestModel model = TinyModel(4);
  model.content.metadata.clear();
  const AlignedBytes file = model.File();
  Model opened;
  CHECK(opened.name().empty());
  REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
  CHECK(opened.name().empty());
  CHECK(opened.label(0).empty());
  CHECK(opened.Metadata("provenance").empty());
}

}  // namespace
}  // namespace mu8::testing
