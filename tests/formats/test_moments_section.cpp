// Section 10: readers find what a writer was given, however a file is opened, and predictions by
// sampling do not depend on it.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/src/model_view.h"
#include "formats/reader.h"
#include "tests/support/moments_models.h"
#include "tests/support/predict.h"
#include "tests/support/streamed.h"

namespace mu8::testing {
namespace {

using format::MomentsRecord;

std::vector<TestModel> Models() {
  TestModel values = TinyModel(2);
  values.content.head = format::Head::kValues;
  values.content.outputs.noise_variance = {1, 2, 3};
  values.content.outputs.ranges = {{-1, 1}, {0, 2}, {3, 4}};
  values.content.outputs.abstain = {3, 0};
  values.content.outputs.abstain_thresholds = {1, 2, 3};
  return {TinyModel(4),
          TinyModel(0, false),
          EveryOperatorModel(5),
          DenseOutputModel(3),
          values,
          WithGaussian(TinyModel(2, true, 8, 4), format::ScaleForm::kSoftplus),
          DenseReconstructionModel()};
}

void CheckRecords(const format::View& view, const std::vector<MomentsRecord>& expected) {
  CHECK(view.has_moments());
  REQUIRE(view.layer_count() == expected.size());
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    const MomentsRecord found = view.layer_moments(i);
    CHECK(found.step == expected[i].step);
    CHECK(found.factor == expected[i].factor);
  }
}

TEST_CASE("moments section: read as it was written, mapped, streamed and trusted") {
  for (const TestModel& plain : Models()) {
    const TestModel model = WithMoments(plain);
    const std::vector<MomentsRecord>& records = model.content.outputs.moments;
    const bool has_head = model.content.head != format::Head::kReconstruction;
    const AlignedBytes file = model.File();
    CHECK(file.data()[10] == std::byte{6});  // version_minor
    format::View view;
    REQUIRE(format::Open(file.span(), &view) == Status::kOk);
    CheckRecords(view, records);
    CheckRecords(format::Reopen(file.span()), records);

    Model opened, trusted;
    REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
    CHECK(opened.has_moments() == has_head);
    CheckRecords(ViewOf(opened), records);
    REQUIRE(Model::OpenTrusted(file.span(), Model::TrustedHash(file.span()), &trusted) ==
            Status::kOk);
    CHECK(trusted.has_moments() == has_head);
    CheckRecords(ViewOf(trusted), records);

    StreamedEngine streamed(file.span());
    REQUIRE(streamed.OpenModel() == Status::kOk);
    CHECK_FALSE(streamed.model.has_moments());
    CheckRecords(ViewOf(streamed.model), records);
  }
}

TEST_CASE("moments section: a file without one has no moments, and its version does not rise") {
  for (const TestModel& model : Models()) {
    const AlignedBytes file = model.File();
    CHECK(file.data()[10] < std::byte{6});
    Model opened, trusted;
    REQUIRE(Model::Open(file.span(), &opened) == Status::kOk);
    CHECK_FALSE(opened.has_moments());
    CHECK_FALSE(ViewOf(opened).has_moments());
    REQUIRE(Model::OpenTrusted(file.span(), Model::TrustedHash(file.span()), &trusted) ==
            Status::kOk);
    CHECK_FALSE(trusted.has_moments());
  }
  CHECK_FALSE(Model().has_moments());
}

TEST_CASE("moments section: predictions by sampling are those of the file without it") {
  for (const TestModel& model : Models()) {
    std::vector<std::byte> predictions[2];
    for (const bool has_moments : {false, true}) {
      const AlignedBytes file = (has_moments ? WithMoments(model) : model).File();
      Engine engine;
      REQUIRE(engine.Open(file.span(), {.mc_samples = 4, .seed = 3}) == Status::kOk);
      predictions[has_moments ? 1 : 0] = PredictAll(&engine, RandomPixels(engine.model, 2, 5), 1);
    }
    CHECK_FALSE(predictions[0].empty());
    CHECK(predictions[0] == predictions[1]);
  }
}

// What lies beyond the ends is among the invalid files.
TEST_CASE("moments section: steps and factors may be the ends of their ranges") {
  for (const MomentsRecord record :
       {MomentsRecord{format::kLeastMomentsStep, format::kLeastMomentsFactor},
        MomentsRecord{format::kMostMomentsStep, format::kMostMomentsFactor}}) {
    TestModel model = TinyModel(2);
    model.content.outputs.moments.assign(model.content.layers.size(), record);
    const AlignedBytes file = model.File();
    format::View view;
    REQUIRE(format::Open(file.span(), &view) == Status::kOk);
    CheckRecords(view, model.content.outputs.moments);
  }
}

// Readers of this version know the section, so a file may require it.
TEST_CASE("moments section: it may be marked as required") {
  std::vector<std::byte> file = format::Write(WithMoments(TinyModel(2)).content);
  const std::size_t flags = sizeof(format::FileHeader) + 6 * sizeof(format::SectionRecord) +
                            offsetof(format::SectionRecord, flags);
  CHECK(file[flags] == std::byte{0});
  file[flags] = std::byte{1};
  format::RepairChecksums(&file);
  const AlignedBytes aligned(file);
  Model model;
  REQUIRE(Model::Open(aligned.span(), &model) == Status::kOk);
  CHECK(model.has_moments());
}

}  // namespace
}  // namespace mu8::testing
