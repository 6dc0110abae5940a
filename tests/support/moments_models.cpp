#include "tests/support/moments_models.h"

#include <cmath>
#include <utility>

#include "tests/support/golden_models.h"
#include "tests/support/random_model.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
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

// Powers of two: the same on every target.
MomentsRecord RandomRecord(Random* random) {
  const auto step =
      static_cast<float>((1 + random->Unit()) * std::ldexp(1, random->Between(-3, 6)));
  return {step, static_cast<float>((1 + random->Unit()) * std::ldexp(1, random->Between(-2, 1)))};
}

// Logits that are `factor` times as large.
TestModel WithLogits(TestModel model, float factor) {
  for (float& scale : model.weights.back().scale) scale *= factor;
  model.content.parameters.back() = Pack(model.content.layers.back(), model.weights.back());
  return model;
}

// 64 classes without noise of their own, from 45 values: their covariance has no full rank.
TestModel DependentClasses() {
  TestModel model = TinyModel(4, true, 8, 64);
  LayerRecord& last = model.content.layers.back();
  last.flags = 0;
  last.sigma_bits = 0;
  Random random(64);
  model.weights.back() = RandomWeights(last, model.content.tensors.back().scale, 0, &random);
  model.content.parameters.back() = Pack(last, model.weights.back());
  return model;
}

// Gains of three sizes, the largest bounded: the K of the classes is no covariance, and its factor
// would pass the largest float.
TestModel NoCovariance() {
  Random random(5);
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(1, 1, 16, 1.0F, 0), MakeTensor(1, 1, 64, 1.0F, 0)};
  content.layers = {MakeLayer(format::OpCode::kDense, 0, 64),
                    MakeLayer(format::OpCode::kDense, 1, 3)};
  content.layers[0].flags = format::kLayerBayesian;
  content.layers[0].sigma_bits = 8;
  for (const std::size_t i : {0U, 1U}) {
    SetRuns(content.tensors[i], &content.layers[i]);
    model.weights.push_back(RandomWeights(content.layers[i], 1.0F, i == 0 ? 1.0F : 0.0F, &random));
  }
  LayerWeights& last = model.weights[1];
  for (std::size_t k = 0; k < last.mu.size(); ++k) {
    last.mu[k] = k / 64 == 1 && k % 4 == 0 ? 20 : 100;
  }
  last.scale = {0x1p-50F, 0x1.8p22F, 0x1.8p63F};
  last.bias_mu = {0, 0, 0};
  Finish(&content, false);
  for (const std::size_t i : {0U, 1U}) {
    content.parameters.push_back(Pack(content.layers[i], model.weights[i]));
  }
  for (int i = 0; i < 16 * 256; ++i) {
    content.input_table.push_back(static_cast<std::uint8_t>(i % 256));
  }
  content.outputs.moments = {{0x1p8F, format::kMostMomentsFactor}, {1, format::kMostMomentsFactor}};
  return model;
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

std::vector<MomentsRecord> UsedCodes() {
  return {{6, 1.5F}, {1.5F, 0.8F}, {25, 1}, {0.4F, 1.7F}, {12, 0.6F}};
}

std::map<std::string, TestModel> MomentsModels() {
  std::map<std::string, TestModel> models;
  for (auto& [name, golden] : GoldenModels()) {
    const format::FileContent& content = golden.model.content;
    if (content.head == format::Head::kReconstruction) continue;
    models[name] = content.outputs.moments.empty() ? WithMoments(golden.model, UsedCodes())
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
  // Second moments of 15 bits and more; squares of multipliers beyond what Bound leaves.
  models["every_large"] = WithMoments(EveryOperatorModel(), {{1000, kMost}});
  for (const bool large : {false, true}) {
    const float factor = large ? 0x1p62F : 0x1p-54F;
    const std::string size = large ? "large_" : "small_";
    models[size + "logits"] = WithMoments(WithLogits(TinyModel(4), factor), UsedCodes());
    models[size + "values"] = WithMoments(
        WithHead(WithLogits(DenseOutputModel(2), factor), format::Head::kValues), UsedCodes());
    models[size + "gaussian"] = WithMoments(
        WithGaussian(WithLogits(TinyModel(2, true, 8, 4), factor), format::ScaleForm::kSoftplus),
        UsedCodes());
  }
  models["no_covariance"] = NoCovariance();
  models["dependent_classes"] = WithMoments(DependentClasses(), UsedCodes());
  models["replaced_residual"] = WithMoments(ReplacedResidualModel(), UsedCodes());
  models["classes_64"] = WithMoments(TinyModel(4, true, 8, 64), UsedCodes());
  models["classes_65"] = WithMoments(TinyModel(4, true, 8, 65), UsedCodes());
  models["dense_output_70"] = WithMoments(DenseOutputModel(70, 2), UsedCodes());
  models["labels_70"] =
      WithMoments(WithHead(TinyModel(1, true, 3, 70), format::Head::kSigmoid), UsedCodes());
  models["one_class"] = WithMoments(TinyModel(8, true, 8, 1), UsedCodes());
  return models;
}

TestModel RandomMomentsModel(std::uint64_t number) {
  Random random(number + 4000);
  return RandomMomentsModel(number, &random);
}

TestModel RandomMomentsModel(std::uint64_t number, Random* random) {
  TestModel model = RandomModel(random, number % 5 == 4);
  std::vector<MomentsRecord> records(model.content.layers.size());
  for (MomentsRecord& record : records) record = RandomRecord(random);
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
