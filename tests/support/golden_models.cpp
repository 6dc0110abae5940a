#include "tests/support/golden_models.h"

#include <bit>
#include <utility>

#include "tests/support/moments_models.h"

namespace mu8::testing {
namespace {

TestModel WithHead(TestModel model, format::Head head) {
  model.content.head = head;
  return model;
}

TestModel WithNumbers(TestModel model, std::vector<float> affine) {
  model.content.input_affine = std::move(affine);
  model.content.input_table.clear();
  return model;
}

TestModel WithNoise(TestModel model) {
  model.content.outputs.noise_variance = {0.25F, 3.0F, 1e-6F};
  return model;
}

TestModel WithRanges(TestModel model) {
  model.content.outputs.ranges = {{-1.5F, 2.0F}, {0.0F, 1e-3F}, {-4.0F, -3.0F}};
  if (model.content.head == format::Head::kGaussian) model.content.outputs.ranges.pop_back();
  return model;
}

TestModel WithAbstain(TestModel model, std::uint32_t measure, std::vector<float> thresholds) {
  model.content.outputs.abstain = {measure, 32};
  model.content.outputs.abstain_thresholds = std::move(thresholds);
  return model;
}

}  // namespace

std::map<std::string, Golden> GoldenModels() {
  constexpr auto kLogVariance = format::ScaleForm::kLogVariance;
  constexpr auto kSoftplus = format::ScaleForm::kSoftplus;
  return {
      {"tiny_sigma8", {0, TinyModel(8)}},
      {"tiny_sigma4", {0, TinyModel(4)}},
      {"tiny_sigma2", {0, TinyModel(2)}},
      {"tiny_sigma1", {0, TinyModel(1)}},
      {"tiny_sigma0", {0, TinyModel(0)}},
      {"tiny_deterministic", {0, TinyModel(0, false)}},
      {"tiny_mu1", {1, TinyModel(4, true, 1)}},
      {"tiny_mu3", {1, TinyModel(2, true, 3)}},
      {"tiny_mu4_deterministic", {1, TinyModel(0, false, 4)}},
      {"tiny_mu5", {1, TinyModel(1, true, 5)}},
      {"tiny_mu6_deterministic", {1, TinyModel(0, false, 6)}},
      {"tiny_mu7", {1, TinyModel(8, true, 7)}},
      {"every_operator", {0, EveryOperatorModel()}},
      {"deterministic_prefix", {0, EveryOperatorModel(5)}},
      {"every_operator_mu_by_panel", {2, EveryOperatorModel(5, format::kMuBitsByPanel)}},
      {"deterministic", {0, EveryOperatorModel(12)}},
      {"table_operators", {4, TableOperatorsModel()}},
      {"table_operators_prefix", {4, TableOperatorsModel(9)}},
      {"tiny_sigmoid", {3, WithHead(TinyModel(4), format::Head::kSigmoid)}},
      {"tiny_values", {3, WithHead(TinyModel(8), format::Head::kValues)}},
      {"every_operator_values", {3, WithHead(EveryOperatorModel(), format::Head::kValues)}},
      {"tiny_values_noise", {3, WithNoise(WithHead(TinyModel(2), format::Head::kValues))}},
      {"tiny_values_ranges",
       {4, WithRanges(WithNoise(WithHead(TinyModel(4), format::Head::kValues)))}},
      {"tiny_gaussian_ranges", {4, WithRanges(WithGaussian(TinyModel(2, true, 8, 4), kSoftplus))}},
      {"tiny_abstain", {5, WithAbstain(TinyModel(4), 2, {0.37F})}},
      {"tiny_sigmoid_abstain",
       {5, WithAbstain(WithHead(TinyModel(2), format::Head::kSigmoid), 1, {1.6125F})}},
      {"tiny_gaussian_abstain",
       {5, WithAbstain(WithGaussian(TinyModel(4, true, 8, 4), kSoftplus), 4, {7.25F, 6.5F})}},
      {"dense_reconstruction_abstain", {5, WithAbstain(DenseReconstructionModel(), 5, {15.72F})}},
      {"tiny_moments", {6, WithMoments(TinyModel(4))}},
      {"every_operator_moments", {6, WithMoments(EveryOperatorModel(), UsedCodes())}},
      {"table_operators_moments", {6, WithMoments(TableOperatorsModel(), UsedCodes())}},
      {"tiny_values_moments",
       {6, WithMoments(WithHead(TinyModel(8, true, 5), format::Head::kValues), UsedCodes())}},
      {"dense_sigmoid_moments",
       {6, WithMoments(WithHead(DenseOutputModel(2, 1), format::Head::kSigmoid), UsedCodes())}},
      {"dense_gaussian_moments",
       {6, WithMoments(WithGaussian(DenseOutputModel(4, 0), kSoftplus), UsedCodes())}},
      {"tiny_gaussian", {3, WithGaussian(TinyModel(8, true, 8, 4), kLogVariance)}},
      {"tiny_gaussian_softplus", {3, WithGaussian(TinyModel(4, true, 8, 6), kSoftplus)}},
      {"every_operator_gaussian", {3, WithGaussian(EveryOperatorModel(5), kSoftplus)}},
      {"dense_softmax", {3, DenseOutputModel(3)}},
      {"dense_sigmoid", {3, WithHead(DenseOutputModel(2, 2), format::Head::kSigmoid)}},
      {"dense_values", {3, WithHead(DenseOutputModel(1, 8), format::Head::kValues)}},
      {"dense_gaussian", {3, WithGaussian(DenseOutputModel(4), kLogVariance)}},
      {"tiny_reconstruction", {3, WithReconstruction(TinyModel(4, true, 8, 36))}},
      {"dense_reconstruction", {3, DenseReconstructionModel()}},
      {"dense_reconstruction_numbers",
       {3, WithNumbers(DenseReconstructionModel(), {16.0F, 128.0F, 20.0F, 100.0F})}},
      {"tiny_numbers", {3, WithNumbers(TinyModel(4), {21.7F, 101.3F})}},
      {"every_operator_numbers",
       {3, WithNumbers(EveryOperatorModel(),
                       {16.0F, 128.0F, 1e30F, 0.25F, 0.1F, std::bit_cast<float>(0x437f8000U)})}}};
}

}  // namespace mu8::testing
