// Every figure of `mu8 eval --json --curves` on recorded predictions, against golden.json, which
// tools/check_metrics makes with scikit-learn, netcal, torchmetrics, torch-uncertainty, MAPIE and
// scipy.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/support/golden.h"
#include "tools/mu8/eval_report.h"

namespace mu8::tool {
namespace {

const std::string kFolder = "tests/data/metrics/";

template <typename T>
std::vector<T> ReadArray(const std::string& name) {
  static_assert(std::is_trivially_copyable_v<T>);
  const std::vector<std::byte> bytes = testing::ReadFile(kFolder + name);
  REQUIRE_MESSAGE(!bytes.empty(), name << " is missing or empty");
  REQUIRE(bytes.size() % sizeof(T) == 0);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

convert::EnsembleResult ReadResult(const std::string& name) {
  convert::EnsembleResult result;
  result.probabilities = ReadArray<float>(name + ".f32");
  result.uncertainty = ReadArray<convert::Uncertainty>(name + "_uncertainty.f32");
  result.classes = result.probabilities.size() / result.uncertainty.size();
  result.seconds = 1;
  return result;
}

// The same predictions, each image with those of the image before it: "another run".
std::vector<float> Rolled(const convert::EnsembleResult& result) {
  const auto row = static_cast<std::ptrdiff_t>(result.classes);
  std::vector<float> rolled(result.probabilities.end() - row, result.probabilities.end());
  rolled.insert(rolled.end(), result.probabilities.begin(), result.probabilities.end() - row);
  return rolled;
}

Report ReadReport(const std::string& name, const std::vector<std::string>& ood) {
  Report report;
  report.result = ReadResult(name);
  for (const std::uint8_t label : ReadArray<std::uint8_t>(name + "_labels.u8")) {
    report.labels.push_back(label);
  }
  REQUIRE(report.labels.size() == report.result.images());
  for (const std::string& other : ood) report.ood.push_back({other, ReadResult(other)});
  report.curves = true;
  const std::vector<float> rolled = Rolled(report.result);
  report.kl_against = MeanKl({rolled, report.result.classes}, report.result.view());
  report.label_agreement = LabelAgreement({rolled, report.result.classes}, report.result.view());
  return report;
}

// Compares every leaf of `golden` with the one at the same place in `found`; returns how many.
std::size_t Compare(const Json& golden, const Json& found, const std::string& path) {
  INFO(path);
  if (golden.is_structured()) {
    REQUIRE(found.type() == golden.type());
    if (golden.is_array()) REQUIRE(found.size() == golden.size());
    std::size_t leaves = 0;
    for (const auto& item : golden.items()) {
      const std::string& key = item.key();
      INFO(path << "/" << key);
      if (golden.is_object()) REQUIRE(found.contains(key));
      const Json& other = golden.is_object() ? found[key] : found[std::stoul(key)];
      leaves += Compare(item.value(), other, path + "/" + key);
    }
    return leaves;
  }
  if (golden.is_number()) {
    REQUIRE(found.is_number());
    const double expected = golden.get<double>();
    const double difference = std::abs(found.get<double>() - expected);
    CHECK_MESSAGE(difference <= 1e-9 * std::max(1.0, std::abs(expected)),
                  path << " is " << found.get<double>() << ", golden " << expected);
  } else {
    CHECK_MESSAGE(found == golden, path << " is " << found.dump() << ", golden " << golden.dump());
  }
  return 1;
}

std::size_t CompareSet(const std::string& name, const std::vector<std::string>& ood) {
  const std::vector<char> text = ReadArray<char>("golden.json");
  const Json golden = Json::parse(text.begin(), text.end());
  REQUIRE(golden.contains(name));
  return Compare(golden[name], ReportJson(ReadReport(name, ood)), name);
}

TEST_CASE("metrics: LeNet-5 on distorted digits and Fashion-MNIST equals the libraries") {
  CHECK(CompareSet("digits", {"fashion"}) > 890);
}

TEST_CASE("metrics: 100 overconfident classes with ties, zeros and edges equal the libraries") {
  CHECK(CompareSet("synthetic", {}) > 700);
}

// Keys that the golden file lacks would go unchecked.
TEST_CASE("metrics: the golden file covers every figure of the report") {
  const std::vector<char> text = ReadArray<char>("golden.json");
  const Json golden = Json::parse(text.begin(), text.end());
  const Json found = ReportJson(ReadReport("digits", {"fashion"}));
  for (const auto& item : found.items()) {
    const std::string& key = item.key();
    const bool of_the_run = std::string(
                                " model data images classes samples seed kernels seconds "
                                "images_per_second ")
                                .find(" " + key + " ") != std::string::npos;
    CHECK_MESSAGE((of_the_run || golden["digits"].contains(key)), key);
  }
  for (const auto& item : found["curves"].items()) {
    CHECK_MESSAGE(golden["digits"]["curves"].contains(item.key()), item.key());
  }
}

}  // namespace
}  // namespace mu8::tool
