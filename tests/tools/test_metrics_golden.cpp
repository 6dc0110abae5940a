// Every figure of `mu8 eval --json --curves` on recorded predictions, and every metric of labels
// and of values, against golden.json, which tools/check_metrics makes with scikit-learn, netcal,
// torchmetrics, torch-uncertainty, MAPIE and scipy.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "converters/host/metrics_labels.h"
#include "converters/host/metrics_values.h"
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
  result.mean = ReadArray<float>(name + ".f32");
  result.uncertainty = ReadArray<convert::Uncertainty>(name + "_uncertainty.f32");
  result.classes = result.mean.size() / result.uncertainty.size();
  result.seconds = 1;
  return result;
}

// The same predictions, each image with those of the image before it: "another run".
std::vector<float> Rolled(std::vector<float> probabilities, std::size_t classes) {
  std::rotate(probabilities.begin(), probabilities.end() - static_cast<std::ptrdiff_t>(classes),
              probabilities.end());
  return probabilities;
}

Report ReadReport(const std::string& name, const std::vector<std::string>& ood) {
  Report report;
  report.result = ReadResult(name);
  for (const std::uint8_t label : ReadArray<std::uint8_t>(name + "_labels.u8")) {
    report.targets.labels.push_back(label);
  }
  REQUIRE(report.targets.labels.size() == report.result.images());
  for (const std::string& other : ood) report.ood.push_back({other, ReadResult(other)});
  report.curves = true;
  const std::vector<float> rolled = Rolled(report.result.mean, report.result.classes);
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

Json ReadGolden() {
  const std::vector<char> text = ReadArray<char>("golden.json");
  return Json::parse(text.begin(), text.end());
}

std::size_t CompareSet(const std::string& name, const std::vector<std::string>& ood) {
  const Json golden = ReadGolden();
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
  const Json golden = ReadGolden();
  const Json found = ReportJson(ReadReport("digits", {"fashion"}));
  for (const auto& item : found.items()) {
    const std::string& key = item.key();
    const bool of_the_run =
        std::string(
            " model data images classes method samples seed kernels head seconds "
            "images_per_second ")
            .find(" " + key + " ") != std::string::npos;
    CHECK_MESSAGE((of_the_run || golden["digits"].contains(key)), key);
  }
  for (const auto& item : found["curves"].items()) {
    CHECK_MESSAGE(golden["digits"]["curves"].contains(item.key()), item.key());
  }
}

Json OptionalJson(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

Json LabelJson(const host::LabelMetrics& metrics) {
  return {{"prevalence", metrics.prevalence},
          {"accuracy", metrics.accuracy},
          {"nll", metrics.nll},
          {"brier", metrics.brier},
          {"ece", metrics.ece},
          {"auroc", OptionalJson(metrics.auroc)},
          {"average_precision", OptionalJson(metrics.average_precision)}};
}

TEST_CASE("metrics: four labels with ties, sure mistakes and one never true equal the libraries") {
  constexpr std::size_t kLabels = 4;
  const std::vector<float> p = ReadArray<float>("labels.f32");
  const std::vector<float> rolled = Rolled(p, kLabels);
  const std::vector<std::uint8_t> bytes = ReadArray<std::uint8_t>("labels_targets.u8");
  const std::vector<float> targets(bytes.begin(), bytes.end());
  REQUIRE(targets.size() == p.size());

  const std::vector<host::LabelMetrics> labels = host::ScoreLabels({p, kLabels}, targets);
  Json found{{"labels", Json::array()},
             {"macro", LabelJson(host::MacroAverage(labels))},
             {"exact_match", host::ExactMatch({p, kLabels}, targets)},
             {"bernoulli_kl", host::MeanBernoulliKl({rolled, kLabels}, {p, kLabels})}};
  for (const host::LabelMetrics& label : labels) found["labels"].push_back(LabelJson(label));
  CHECK(Compare(ReadGolden()["labels"], found, "labels") == 37);
}

Json IntervalsJson(std::span<const host::IntervalMetrics> intervals) {
  Json json;
  for (const host::IntervalMetrics& interval : intervals) {
    json["level"].push_back(interval.level);
    json["coverage"].push_back(interval.coverage);
    json["mean_width"].push_back(interval.mean_width);
  }
  return json;
}

Json GaussianJson(const host::GaussianMetrics& metrics) {
  return {{"nll", metrics.nll},
          {"crps", metrics.crps},
          {"intervals", IntervalsJson(metrics.intervals)},
          {"curve", IntervalsJson(metrics.curve)},
          {"calibration_error", metrics.calibration_error}};
}

// One of mean, epistemic variance, target and noise variance, in this order in the file.
std::vector<float> ReadValues(std::size_t which) {
  const std::vector<float> all = ReadArray<float>("values.f32");
  std::vector<float> values;
  for (std::size_t i = which; i < all.size(); i += 4) values.push_back(all[i]);
  return values;
}

TEST_CASE("metrics: honest, overconfident and too unsure values equal the libraries") {
  const std::vector<float> mean = ReadValues(0), variance = ReadValues(1), targets = ReadValues(2);
  const std::vector<float> noise_f32 = ReadValues(3);
  const std::vector<double> noise(noise_f32.begin(), noise_f32.end());
  const host::ValuePredictions predictions{mean, variance, 3};
  const Json golden = ReadGolden()["values"];

  const std::vector<host::ValueMetrics> metrics = host::ScoreValues(predictions, targets);
  const std::vector<double> fitted = host::FitNoise(predictions, targets, 1e-6);
  const auto of_each_input = host::ScoreGaussian(predictions, targets, noise);
  const auto of_all_inputs = host::ScoreGaussian(predictions, targets, fitted);
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    Json found{{"rmse", metrics[i].rmse},
               {"mae", metrics[i].mae},
               {"bias", metrics[i].bias},
               {"r2", OptionalJson(metrics[i].r2)},
               {"error_correlation", OptionalJson(metrics[i].error_correlation)},
               {"fitted_noise", fitted[i]},
               {"noise_per_input", GaussianJson(of_each_input[i])},
               {"noise_per_output", GaussianJson(of_all_inputs[i])}};
    CHECK(Compare(golden["outputs"][i], found, "outputs/" + std::to_string(i)) == 144);
  }
}

}  // namespace
}  // namespace mu8::tool
