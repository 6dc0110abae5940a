// FORMAT.md's annotated example, taken from the document itself: the dump is a valid file, and an
// engine gets from it what the document says.
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "formats/layout.h"
#include "formats/limits.h"
#include "kernels/random.h"
#include "tests/support/aligned_bytes.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

constexpr const char* kDocument = "formats/FORMAT.md";

bool IsOffset(const std::string& word) {
  return word.size() == 4 && word.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The bytes of section 1's dump. Lines are "OFFSET  BYTES  COMMENT"; "00 ..." are zeros up to the
// next line, "00 01 02 03 ... fe ff" counts up.
std::vector<std::byte> DumpedFile() {
  std::ifstream document(kDocument);
  std::vector<std::byte> file;
  std::string line;
  while (std::getline(document, line) && !line.starts_with("-- file header")) {
  }
  while (std::getline(document, line) && !line.starts_with("```")) {
    std::istringstream words(line.substr(0, line.find("  ", 6)));
    std::string word;
    words >> word;
    if (!IsOffset(word)) continue;  // the name of a section
    const std::size_t offset = std::stoul(word, nullptr, 16);
    REQUIRE(offset >= file.size());
    file.resize(offset);
    while (words >> word) {
      if (word == "...") {
        const auto next = static_cast<int>(file.back());
        if (next == 0) break;
        for (int byte = next + 1; byte < 0xfe; ++byte) file.push_back(static_cast<std::byte>(byte));
        continue;
      }
      file.push_back(static_cast<std::byte>(std::stoul(word, nullptr, 16)));
    }
  }
  file.resize((file.size() + 63) / 64 * 64);
  return file;
}

// Rows "| what | `words` |" of the table behind the dump: the 8-digit hexadecimal words.
std::map<std::string, std::vector<std::uint32_t>> StatedResults() {
  std::ifstream document(kDocument);
  std::map<std::string, std::vector<std::uint32_t>> results;
  for (std::string line; std::getline(document, line) && !line.starts_with("## 2.");) {
    if (!line.starts_with("| ")) continue;
    const std::size_t bar = line.find(" | ", 2);
    if (bar == std::string::npos) continue;
    std::vector<std::uint32_t> words;
    std::istringstream values(line.substr(bar + 3));
    for (std::string word; values >> word;) {
      std::erase(word, '`');
      if (word.size() == 8 && word.find_first_not_of("0123456789abcdef") == std::string::npos) {
        words.push_back(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
      }
    }
    results[line.substr(2, bar - 2)] = words;
  }
  return results;
}

std::vector<std::uint32_t> Bits(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

TEST_CASE("format document: its title has the version of formats/layout.h") {
  std::ifstream document(kDocument);
  std::string title;
  std::getline(document, title);
  const std::string version = "version " + std::to_string(format::kVersionMajor) + "." +
                              std::to_string(format::kVersionMinor);
  CAPTURE(title);
  CHECK(title.ends_with(", " + version));
}

TEST_CASE("format document: the dump is a valid file of 1600 bytes") {
  const std::vector<std::byte> file = DumpedFile();
  CHECK(file.size() == 1600);
  const AlignedBytes aligned(file);
  Model model;
  Diagnostic diagnostic;
  REQUIRE(Model::Open(aligned.span(), &model, &diagnostic) == Status::kOk);
  CHECK(model.name() == "tiny");
  CHECK(model.label(2) == "owl");
  // Open has held the file's arena_bytes against the sum of section 8; the engine needs its own.
  CHECK(ArenaBytes(model, {.batch = 2}) > 832);
}

TEST_CASE("format document: the stated results come out with every kernel set") {
  const AlignedBytes file(DumpedFile());
  const auto stated = StatedResults();
  std::array<std::uint8_t, 16> pixels{};
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels.at(i) = static_cast<std::uint8_t>(16 * i);
  Model model;
  REQUIRE(Model::Open(file.span(), &model) == Status::kOk);
  for (const KernelSet kernels : RunnableKernels(model)) {
    Engine engine;
    REQUIRE(engine.Open(file.span(),
                        {.mc_samples = 2, .seed = 1, .keep_logits = true, .kernels = kernels}) ==
            Status::kOk);
    Prediction p;
    REQUIRE(engine.session.Predict(std::span<const std::uint8_t>(pixels), {&p, 1}) == Status::kOk);
    const float entropies[] = {p.predictive_entropy, p.expected_entropy, p.mutual_information};
    CHECK(Bits(p.logits.first(3)) == stated.at("logits of pass 0"));
    CHECK(Bits(p.logits.last(3)) == stated.at("logits of pass 1"));
    CHECK(Bits(p.mean) == stated.at("mean"));
    CHECK(Bits(p.variance) == stated.at("variance"));
    CHECK(Bits(entropies) == stated.at("predictive entropy, expected entropy, mutual information"));
    CHECK(p.label == 0);
  }
}

TEST_CASE("format document: the stated random numbers") {
  const auto stated = StatedResults();
  kernels::Xoshiro lane = kernels::MakeLane({.seed = 1}, 0);
  CHECK(std::vector<std::uint32_t>(lane.s.begin(), lane.s.end()) ==
        stated.at("lane 0 of pass 0, layer 0, panel 0: first state"));
  const std::vector<std::uint32_t> outputs = {lane.Next(), lane.Next(), lane.Next()};
  CHECK(outputs == stated.at("its first three outputs"));
}

// Rows "| kName | value | ..." of section 12.
std::map<std::string, std::uint64_t> StatedLimits() {
  std::ifstream document(kDocument);
  std::map<std::string, std::uint64_t> limits;
  for (std::string line; std::getline(document, line);) {
    if (!line.starts_with("| kM")) continue;
    std::istringstream words(line.substr(2));
    std::string name, bar;
    std::uint64_t value = 0;
    REQUIRE((words >> name >> bar >> value));
    CHECK(limits.emplace(name, value).second);
  }
  return limits;
}

// The names of the constants in formats/limits.h.
std::set<std::string> DeclaredLimits() {
  std::ifstream header("formats/limits.h");
  std::set<std::string> names;
  std::string word;
  for (std::string before; header >> word; before = word) {
    if (word == "=") names.insert(before);
  }
  return names;
}

TEST_CASE("format document: its limits are those of formats/limits.h, all of them") {
  const std::map<std::string, std::uint64_t> limits = {
      {"kMaxFileBytes", format::kMaxFileBytes},
      {"kMaxSections", format::kMaxSections},
      {"kMaxTensors", format::kMaxTensors},
      {"kMaxLayers", format::kMaxLayers},
      {"kMaxLiveTensors", format::kMaxLiveTensors},
      {"kMaxDimension", format::kMaxDimension},
      {"kMaxPadding", format::kMaxPadding},
      {"kMaxWindow", format::kMaxWindow},
      {"kMaxOffset", format::kMaxOffset},
      {"kMaxTensorBytes", format::kMaxTensorBytes},
      {"kMaxTensorOffset", format::kMaxTensorOffset},
      {"kMaxAccumulator", format::kMaxAccumulator},
      {"kMaxInputs", format::kMaxInputs},
      {"kMaxOutputs", format::kMaxOutputs},
      {"kMaxMuBits", format::kMaxMuBits},
      {"kMinNoiseShift", format::kMinNoiseShift},
      {"kMaxNoiseShift", format::kMaxNoiseShift},
      {"kMaxVarianceShift", format::kMaxVarianceShift},
      {"kMaxSamples", format::kMaxSamples},
  };
  CHECK(StatedLimits() == limits);
  std::set<std::string> names;
  for (const auto& [name, value] : limits) names.insert(name);
  CHECK(DeclaredLimits() == names);
}

}  // namespace
}  // namespace mu8::testing
