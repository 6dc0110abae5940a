// Golden models: committed files whose predictions have a committed hash. Every kernel set and
// every target must give these bytes.
#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <iomanip>
#include <map>
#include <sstream>
#include <string>

#include "formats/crc32c.h"
#include "tests/support/golden.h"
#include "tests/support/model_builder.h"
#include "tests/support/moments_models.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

const std::filesystem::path kFolder = "tests/data/golden";
constexpr std::uint64_t kSeed = 2026;
constexpr std::uint32_t kSamples = 32;
constexpr std::size_t kImages = 8;

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
  model.content.outputs.abstain = {measure, kSamples};
  model.content.outputs.abstain_thresholds = std::move(thresholds);
  return model;
}

struct Golden {
  int version_minor;  // the least that has what the model uses: FORMAT.md 2
  TestModel model;
};

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

AlignedBytes Committed(const std::string& name) {
  return AlignedBytes(ReadFile(kFolder / (name + ".mu8")));
}

// CRC-32C of every image's prediction, as the head of predictions.txt says.
std::string Hash(const AlignedBytes& file, KernelSet kernels) {
  Engine engine;
  const SessionOptions options{.mc_samples = kSamples, .seed = kSeed, .kernels = kernels};
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  if (kernels != KernelSet::kAuto) {
    REQUIRE(std::string(engine.session.kernels()) == NameOf(kernels));
  }
  const auto pixels = RandomPixels(engine.model, kImages, 7);
  const bool numbers = engine.model.input_kind() == InputKind::kNumbers;
  const auto bytes =
      numbers ? PredictAll(&engine, AsNumbers(pixels), 1) : PredictAll(&engine, pixels, 1);
  REQUIRE(!bytes.empty());
  std::ostringstream hash;
  hash << std::hex << std::setw(8) << std::setfill('0')
       << format::Crc32c(bytes.data(), bytes.size());
  return hash.str();
}

void Update() {
  std::ofstream list(kFolder / "predictions.txt", std::ios::trunc);
  list
      << "# CRC-32C of the predictions of each model: for 8 images of SplitMix64 outputs mod 256 "
         "(seed 7),\n"
         "# T = 32, seed 2026, the float bits of mean[], variance[], predictive entropy, expected\n"
         "# entropy and mutual information; then of what the head has: output_entropy[] and\n"
         "# output_expected_entropy[], noise_variance[], error and error_variance, clamped_scales\n"
         "# (u32). Of a file of numbers the images are (u8 - 128) / 16, and clamped_inputs (u32)\n"
         "# ends each prediction. Of a file with section 9 abstains (u8) does. The same for every\n"
         "# kernel set and every target.\n"
         "# Written by mu8_device_tests with MU8_UPDATE_GOLDEN=1; see tests/formats/"
         "test_golden.cpp.\n";
  for (const auto& [name, golden] : GoldenModels()) {
    WriteFile(kFolder / (name + ".mu8"), format::Write(golden.model.content));
    list << name << " " << Hash(Committed(name), KernelSet::kScalar) << "\n";
  }
}

std::map<std::string, std::string> CommittedHashes() {
  std::ifstream list(kFolder / "predictions.txt");
  std::map<std::string, std::string> hashes;
  for (std::string line; std::getline(list, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t space = line.find(' ');
    hashes[line.substr(0, space)] = line.substr(space + 1);
  }
  return hashes;
}

TEST_CASE("golden: the committed models are those that the builder makes") {
  if (UpdateGolden()) Update();
  for (const auto& golden : GoldenModels()) {
    const std::string name = golden.first;
    CAPTURE(name);
    CHECK(ReadFile(kFolder / (name + ".mu8")) == format::Write(golden.second.model.content));
  }
}

TEST_CASE("golden: no model has a later version than its content needs") {
  for (const auto& golden : GoldenModels()) {
    const std::string name = golden.first;
    CAPTURE(name);
    const AlignedBytes file = Committed(name);
    format::FileHeader header;
    REQUIRE(file.span().size() >= sizeof(header));
    std::memcpy(&header, file.data(), sizeof(header));
    CHECK(header.version_major == 1);
    CHECK(header.version_minor == golden.second.version_minor);
  }
}

TEST_CASE("golden: predictions have the committed hash with every kernel set") {
  const auto hashes = CommittedHashes();
  CHECK(hashes.size() == GoldenModels().size());
  std::size_t executed = 0;
  std::size_t sets = 0;
  for (const auto& committed : hashes) {
    const std::string name = committed.first;
    const std::string hash = committed.second;
    const AlignedBytes file = Committed(name);
    Model model;
    CAPTURE(name);
    REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
    const auto runnable = RunnableKernels(model);
    sets = runnable.size();
    for (const KernelSet kernels : runnable) {
      CAPTURE(std::string(NameOf(kernels)));
      CHECK(Hash(file, kernels) == hash);
      ++executed;
    }
    CHECK(Hash(file, KernelSet::kAuto) == hash);
  }
  MESSAGE("golden predictions compared: " << executed);
  CHECK(executed == hashes.size() * sets);
  CHECK(sets >= 1);
}

}  // namespace
}  // namespace mu8::testing
