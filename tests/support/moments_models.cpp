#include "tests/support/moments_models.h"

#include <cmath>
#include <utility>

#include "tests/support/golden_models.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

using format::MomentsRecord;

TestModel WithHead(TestModel model, format::Head head) {
  model.content.head = head;
  return model;
}

// The first layer whose output may have a variance: D of FORMAT.md 4.
std::size_t FirstUncertain(const format::FileContent& content) {
  std::size_t first = 0;
  while (first + 1 < content.layers.size() &&
         (content.layers[first].flags & format::kLayerBayesian) == 0) {
    ++first;
  }
  return first;
}

// Such that codes of variances, which are large where weights are random, are neither all 0 nor
// 255.
const std::vector<MomentsRecord> kRecords = {
    {6, 1.5F}, {1.5F, 0.8F}, {25, 1}, {0.4F, 1.7F}, {12, 0.6F}};

// Powers of two: the same on every target.
MomentsRecord RandomRecord(Random* random) {
  const auto step =
      static_cast<float>((1 + random->Unit()) * std::ldexp(1, random->Between(-3, 6)));
  return {step, static_cast<float>((1 + random->Unit()) * std::ldexp(1, random->Between(-2, 1)))};
}

}  // namespace

TestModel WithMoments(TestModel model, const std::vector<MomentsRecord>& records) {
  format::FileContent& content = model.content;
  const std::size_t first = FirstUncertain(content);
  content.outputs.moments.assign(content.layers.size(), {1, 1});
  for (std::size_t i = first; i < content.layers.size(); ++i) {
    content.outputs.moments[i] = records[(i - first) % records.size()];
  }
  content.outputs.moments.back().step = 1;
  return model;
}

std::map<std::string, TestModel> MomentsModels() {
  std::map<std::string, TestModel> models;
  for (auto& [name, golden] : GoldenModels()) {
    const format::FileContent& content = golden.model.content;
    if (content.head == format::Head::kReconstruction) continue;
    models[name] = content.outputs.moments.empty() ? WithMoments(golden.model, kRecords)
                                                   : std::move(golden.model);
  }
  constexpr float kLeastStep = format::kLeastMomentsStep, kMostStep = format::kMostMomentsStep;
  constexpr float kLeast = format::kLeastMomentsFactor, kMost = format::kMostMomentsFactor;
  for (const bool tables : {false, true}) {
    const std::string name = tables ? "tables" : "every";
    const TestModel model = tables ? TableOperatorsModel() : EveryOperatorModel();
    models[name + "_least_steps"] = WithMoments(model, {{kLeastStep, 1}});
    models[name + "_most_steps"] = WithMoments(model, {{kMostStep, 1}});
    models[name + "_least_factors"] = WithMoments(model, {{1, kLeast}});
    models[name + "_most_factors"] = WithMoments(model, {{1, kMost}});
    models[name + "_all_ends"] = WithMoments(
        model, {{kLeastStep, kMost}, {kMostStep, kMost}, {1, kLeast}, {kMostStep, kLeast}});
    models[name + "_fine_steps"] = WithMoments(model, {{0x1p-10F, 1}});
  }
  models["replaced_residual"] = WithMoments(ReplacedResidualModel(), kRecords);
  models["classes_64"] = WithMoments(TinyModel(4, true, 8, 64), kRecords);
  models["classes_65"] = WithMoments(TinyModel(4, true, 8, 65), kRecords);
  models["dense_output_70"] = WithMoments(DenseOutputModel(70, 2), kRecords);
  models["labels_70"] =
      WithMoments(WithHead(TinyModel(1, true, 3, 70), format::Head::kSigmoid), kRecords);
  models["one_class"] = WithMoments(TinyModel(8, true, 8, 1), kRecords);
  return models;
}

TestModel RandomMomentsModel(std::uint64_t number) {
  Random random(number + 4000);
  TestModel model = RandomModel(&random, number % 5 == 4);
  std::vector<MomentsRecord> records(model.content.layers.size());
  for (MomentsRecord& record : records) record = RandomRecord(&random);
  model = WithMoments(std::move(model), records);
  switch (number % 4) {
    case 1:
      return WithHead(std::move(model), format::Head::kSigmoid);
    case 2:
      return WithHead(std::move(model), format::Head::kValues);
    case 3:
      if (model.content.layers.back().output_channels % 2 != 0) break;
      return WithGaussian(std::move(model), format::ScaleForm::kLogVariance);
    default:
      break;
  }
  return model;
}

}  // namespace mu8::testing
