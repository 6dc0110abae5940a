#include "tools/mu8/eval_heads.h"

#include <cmath>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "converters/host/metrics_labels.h"
#include "converters/host/metrics_values.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

std::string NameOf(const Report& report, std::size_t output) {
  const std::vector<std::string>& names = report.names;
  return output < names.size() && !names[output].empty() ? names[output] : std::to_string(output);
}

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json LabelJson(const host::LabelMetrics& label) {
  return {{"prevalence", label.prevalence},
          {"accuracy", label.accuracy},
          {"nll", label.nll},
          {"brier", label.brier},
          {"ece", label.ece},
          {"auroc", OrNull(label.auroc)},
          {"average_precision", OrNull(label.average_precision)}};
}

// Mean over the inputs of the deviation of one output.
double MeanDeviation(const convert::EnsembleResult& result, std::size_t output) {
  double sum = 0.0;
  for (std::size_t i = output; i < result.variance.size(); i += result.classes) {
    sum += std::sqrt(static_cast<double>(result.variance[i]));
  }
  return sum / static_cast<double>(result.images());
}

// Of one output: `noise` has one number an output, or one an input and output.
double MeanNoise(const Report& report, std::size_t output) {
  double sum = 0.0, count = 0.0;
  for (std::size_t i = output; i < report.noise.size(); i += report.result.classes, ++count) {
    sum += report.noise[i];
  }
  return sum / count;
}

Json IntervalsJson(std::span<const host::IntervalMetrics> intervals) {
  Json json{{"level", Json::array()}, {"coverage", Json::array()}, {"mean_width", Json::array()}};
  for (const host::IntervalMetrics& interval : intervals) {
    json["level"].push_back(interval.level);
    json["coverage"].push_back(interval.coverage);
    json["mean_width"].push_back(interval.mean_width);
  }
  return json;
}

void AddValueMetrics(const host::ValueMetrics& found, Json* json) {
  (*json)["rmse"] = found.rmse;
  (*json)["mae"] = found.mae;
  (*json)["bias"] = found.bias;
  (*json)["r2"] = OrNull(found.r2);
  (*json)["error_correlation"] = OrNull(found.error_correlation);
}

void AddGaussianMetrics(const host::GaussianMetrics& found, Json* json) {
  (*json)["nll"] = found.nll;
  (*json)["crps"] = found.crps;
  (*json)["calibration_error"] = found.calibration_error;
  (*json)["intervals"] = IntervalsJson(found.intervals);
  (*json)["curve"] = IntervalsJson(found.curve);
}

std::string Cell(const Json& json, const char* key, int digits) {
  return !json.contains(key) || json[key].is_null() ? "-" : Significant(json[key], digits);
}

}  // namespace

Json LabelsJson(const Report& report) {
  const host::Probabilities p = report.result.view();
  const std::vector<host::LabelMetrics> labels = host::ScoreLabels(p, report.targets.values);
  Json json{{"labels", Json::array()},
            {"macro", LabelJson(host::MacroAverage(labels))},
            {"exact_match", host::ExactMatch(p, report.targets.values)}};
  for (std::size_t c = 0; c < labels.size(); ++c) {
    Json label{{"label", c}, {"label_name", NameOf(report, c)}};
    label.update(LabelJson(labels[c]));
    json["labels"].push_back(label);
  }
  return json;
}

Json ValuesJson(const Report& report) {
  const convert::EnsembleResult& result = report.result;
  Json values = Json::array();
  for (std::size_t c = 0; c < result.classes; ++c) {
    values.push_back({{"output", c},
                      {"name", NameOf(report, c)},
                      {"mean_epistemic_deviation", MeanDeviation(result, c)}});
    if (!report.noise.empty()) values[c]["mean_noise_variance"] = MeanNoise(report, c);
  }
  if (report.targets.empty()) return {{"values", values}};
  const host::ValuePredictions predictions{result.mean, result.variance, result.classes};
  const auto scores = host::ScoreValues(predictions, report.targets.values);
  for (std::size_t c = 0; c < scores.size(); ++c) AddValueMetrics(scores[c], &values[c]);
  if (report.noise.empty()) return {{"values", values}};
  const auto gaussian = host::ScoreGaussian(predictions, report.targets.values, report.noise);
  for (std::size_t c = 0; c < gaussian.size(); ++c) AddGaussianMetrics(gaussian[c], &values[c]);
  return {{"values", values}};
}

void PrintLabels(const Json& json) {
  Table table({{"label", Table::Align::kLeft},
               {"share true"},
               {"accuracy"},
               {"NLL"},
               {"Brier"},
               {"ECE"},
               {"AUROC"},
               {"average precision"}});
  const auto add = [&](const std::string& name, const Json& label) {
    table.Add({Printable(name), Percent(label["prevalence"], 2), Percent(label["accuracy"], 2),
               Fixed(label["nll"], 5), Fixed(label["brier"], 5), Percent(label["ece"], 3),
               Cell(label, "auroc", 4), Cell(label, "average_precision", 4)});
  };
  for (const Json& label : json["labels"]) add(label["label_name"], label);
  if (json["labels"].size() > 1) add("mean", json["macro"]);
  std::printf("\nLabels, true from a probability of 50 %% on\n%s", table.ToString().c_str());
  if (json["labels"].size() > 1) {
    std::printf("all labels right: %s of the inputs\n", Percent(json["exact_match"], 2).c_str());
  }
}

void PrintValues(const Json& json) {
  const Json& values = json["values"];
  Table table({{"output", Table::Align::kLeft},
               {"RMSE"},
               {"MAE"},
               {"bias"},
               {"R2"},
               {"epistemic sd"},
               {"|error| with it"}});
  for (const Json& value : values) {
    table.Add({Printable(value["name"].get<std::string>()), Cell(value, "rmse", 4),
               Cell(value, "mae", 4), Cell(value, "bias", 3), Cell(value, "r2", 4),
               Cell(value, "mean_epistemic_deviation", 4), Cell(value, "error_correlation", 3)});
  }
  std::printf("\nValues\n%s", table.ToString().c_str());
  if (!values[0].contains("nll")) {
    std::fputs("the noise of observations is not known (--noise): no likelihood, no intervals\n",
               stdout);
    return;
  }
  Table gaussian({{"output", Table::Align::kLeft},
                  {"NLL"},
                  {"CRPS"},
                  {"in 50 %"},
                  {"in 90 %"},
                  {"in 95 %"},
                  {"width of 90 %"},
                  {"calibration error"}});
  for (const Json& value : values) {
    const Json& covered = value["intervals"]["coverage"];
    gaussian.Add({Printable(value["name"].get<std::string>()), Fixed(value["nll"], 4),
                  Cell(value, "crps", 4), Percent(covered[0], 2), Percent(covered[1], 2),
                  Percent(covered[2], 2), Significant(value["intervals"]["mean_width"][1], 4),
                  Fixed(value["calibration_error"], 4)});
  }
  std::printf("\nGaussians of epistemic and noise variance\n%s", gaussian.ToString().c_str());
}

}  // namespace mu8::tool
