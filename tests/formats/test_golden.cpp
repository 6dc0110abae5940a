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
#include "tests/support/golden_models.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

const std::filesystem::path kFolder = "tests/data/golden";
constexpr std::uint32_t kSamples = 32;

AlignedBytes Committed(const std::string& name) {
  return AlignedBytes(ReadFile(kFolder / (name + ".mu8")));
}

// CRC-32C of every image's prediction, as the head of predictions.txt says.
std::string Hash(const AlignedBytes& file, KernelSet kernels) {
  Engine engine;
  const SessionOptions options{.mc_samples = kSamples, .seed = kGoldenSeed, .kernels = kernels};
  REQUIRE(engine.Open(file.span(), options) == Status::kOk);
  if (kernels != KernelSet::kAuto) {
    REQUIRE(std::string(engine.session.kernels()) == NameOf(kernels));
  }
  const auto pixels = RandomPixels(engine.model, kGoldenImages, 7);
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
