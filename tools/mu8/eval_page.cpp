#include "tools/mu8/eval_page.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tools/mu8/page.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

// What a key has, or null.
const Json& At(const Json& json, const char* key) {
  static const Json null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

double Number(const Json& json, const char* key) {
  if (!json.is_object()) return std::nan("");
  const Json& found = At(json, key);
  return found.is_number() ? found.get<double>() : std::nan("");
}

std::string Text(const Json& json, const char* key) {
  const Json& found = At(json, key);
  if (found.is_null()) return "none";
  return found.is_string() ? found.get<std::string>() : found.dump();
}

// A number for a table: integers as they are, others with four significant digits.
std::string Cell(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return Significant(value.get<double>(), 4);
  return value.is_null() ? "none" : value.dump();
}

std::vector<std::pair<double, double>> Points(const std::vector<double>& x, const Json& y) {
  std::vector<std::pair<double, double>> points;
  for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
    points.emplace_back(x[i], y[i].is_number() ? y[i].get<double>() : std::nan(""));
  }
  return points;
}

// Where `count` equal parts of low to high begin.
std::vector<double> Begins(std::size_t count, double low, double high) {
  std::vector<double> begins;
  for (std::size_t i = 0; i < count; ++i) {
    begins.push_back(low + (high - low) * static_cast<double>(i) / static_cast<double>(count));
  }
  return begins;
}

// Of an AUROC, in words whose bounds the page states.
const char* HowWell(double auroc) {
  return auroc >= 0.95 ? "very well" : auroc >= 0.8 ? "well" : auroc >= 0.6 ? "somewhat" : "hardly";
}
constexpr const char* kHowWell =
    "Hardly, somewhat, well, very well: an AUROC below 0.6, 0.8, 0.95, and from there on; 0.5 is "
    "chance.";

void AddAccuracy(const Json& json, Page* page) {
  const double accuracy = Number(json, "accuracy"), ece = Number(json, "ece");
  if (!std::isfinite(accuracy)) return;
  page->Paragraph(Percent(accuracy, 2) + " of " + Text(json, "images") +
                  " images are labelled right. Its probabilities are off by " + Percent(ece, 2) +
                  " on average (ECE, 15 bins).");
  const Json& selective = json["selective_accuracy"];
  for (std::size_t i = 0; i < selective["coverage"].size(); ++i) {
    if (selective["coverage"][i].get<double>() != 0.9) continue;
    page->Paragraph("Leave the least sure tenth to somebody else, and " +
                    Percent(selective["accuracy"][i].get<double>(), 2) + " of the rest are right.");
  }
  const Json& errors = json["misclassification"];
  const double auroc = Number(At(errors, "by_entropy"), "auroc");
  page->Paragraph(std::isfinite(auroc)
                      ? "Entropy tells its " + Text(errors, "errors") + " errors from the rest " +
                            HowWell(auroc) + " (AUROC " + Fixed(auroc, 3) + ")."
                      : "Errors: " + Text(errors, "errors") +
                            ", so how well uncertainty finds them is not known.");
}

void AddForeign(const Json& json, Page* page) {
  if (!json.contains("ood")) return;
  for (const Json& set : json["ood"]) {
    std::string text;
    double best = 0;
    for (const auto& [key, name] : {std::pair{"by_entropy", "entropy"},
                                    {"by_mutual_information", "mutual information"},
                                    {"by_variance", "variance"},
                                    {"by_error", "error"}}) {
      const double auroc = Number(At(set, key), "auroc");
      if (!std::isfinite(auroc)) continue;
      text += (text.empty() ? "by " : ", by ") + std::string(name) + " " + Fixed(auroc, 3);
      best = std::max(best, auroc);
    }
    page->Paragraph("From the data it tells " + Text(set, "data") + " (" + Text(set, "images") +
                    " inputs) " + HowWell(best) + ": AUROC " + text + ".");
  }
}

void AddUncertainty(const Json& json, Page* page) {
  const double all = Number(json, "mean_entropy"),
               epistemic = Number(json, "mean_mutual_information");
  if (!std::isfinite(all) || !std::isfinite(epistemic)) return;
  page->Paragraph(
      "Mean entropy " + Significant(all, 3) + " nats; of it " +
      Percent(all > 0 ? epistemic / all : 0, 1) +
      " is epistemic (the networks disagree, which more training data would mend), the rest "
      "aleatoric (they agree that the input is ambiguous).");
}

void AddValues(const Json& json, Page* page) {
  if (!json.contains("values")) return;
  for (const Json& output : json["values"]) {
    const std::string name = Text(output, "name");
    std::string text = (name == Text(output, "output") ? "Output " + name : name) +
                       ": the networks' means deviate by " +
                       Significant(Number(output, "mean_epistemic_deviation"), 3) + " (epistemic)";
    if (output.contains("rmse")) {
      text += "; from the targets the prediction is off by " +
              Significant(Number(output, "rmse"), 3) + " (root mean square)";
    }
    for (const Json& interval : At(output, "intervals")) {
      if (Number(interval, "level") != 0.9) continue;
      text += "; its 90 % intervals hold " + Percent(Number(interval, "coverage"), 1) +
              " of the targets";
    }
    page->Paragraph(text + ".");
  }
}

void AddFigures(const Json& curves, Page* page) {
  if (const Json& bins = At(curves, "reliability"); !bins.is_null()) {
    const std::vector<double> begins = Begins(bins["count"].size(), 0, 1);
    page->Figure(
        {.title = "Reliability diagram",
         .x = {.label = "probability of the predicted class"},
         .y = {.label = "share that is right"},
         .series = {{.name = "accuracy in the bin",
                     .form = Series::Form::kBars,
                     .points = Points(begins, bins["accuracy"])},
                    {.name = "perfect calibration", .points = {{0, 0}, {1, 1}}, .dashed = true}}},
        "Reliability: bars above the line are right more often than their probability says, below "
        "it "
        "less often (overconfident). Bins of few images say little.");
    double most = 1;
    for (const Json& count : bins["count"]) most = std::max(most, count.get<double>());
    page->Figure({.title = "Images in each bin of the reliability diagram",
                  .x = {.label = "probability of the predicted class"},
                  .y = {.label = "images", .high = most},
                  .series = {{.name = "",
                              .form = Series::Form::kBars,
                              .points = Points(begins, bins["count"])}}},
                 "How many images each of these bins has.");
  }
  if (const Json& risk = At(curves, "risk_coverage"); !risk.is_null()) {
    std::vector<double> coverage;
    double most = 1e-3;
    for (const Json& value : risk["coverage"]) coverage.push_back(value.get<double>());
    for (const Json& value : risk["risk"]) most = std::max(most, value.get<double>());
    page->Figure(
        {.title = "Risk against coverage",
         .x = {.label = "share answered, the surest first"},
         .y = {.label = "share of them that is wrong", .high = most},
         .series = {{.name = "", .points = Points(coverage, risk["risk"])}}},
        "Risk and coverage: how wrong the answers are if the less sure ones are left out.");
  }
}

void AddHistograms(const Json& all, Page* page) {
  const auto bins = all["bins"].get<std::size_t>();
  const double low = all["low"].get<double>(), high = all["high"].get<double>();
  if (!(high > low)) return;
  for (const char* key : {"entropy", "mutual_information"}) {
    Chart chart{
        .title = std::string("Histogram of ") + (key[0] == 'e' ? "entropy" : "mutual information"),
        .x = {.label = std::string(key[0] == 'e' ? "predictive entropy" : "mutual information") +
                       ", nats",
              .low = low,
              .high = high},
        .y = {.label = "share of the inputs", .high = 1e-3},
        .series = {}};
    const auto add = [&](const std::string& name, const Json& counts) {
      double sum = 0;
      for (const Json& count : counts) sum += count.get<double>();
      Series series{.name = name, .form = Series::Form::kSteps, .points = {}};
      const std::vector<double> begins = Begins(bins, low, high);
      for (std::size_t i = 0; i < bins && sum > 0; ++i) {
        const double share = counts[i].get<double>() / sum;
        series.points.emplace_back(begins[i], share);
        chart.y.high = std::max(chart.y.high, share);
      }
      chart.series.push_back(series);
    };
    add("data", all["in_distribution"][key]);
    for (const Json& set : all["ood"]) add(Text(set, "data"), set[key]);
    page->Figure(chart, key[0] == 'e' ? "All of the uncertainty." : "The epistemic part.");
  }
}

// Objects of one shape as a table: their keys are its columns.
void AddObjects(const Json& list, const std::vector<std::string>& columns, Page* page) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& object : list) {
    rows.emplace_back();
    for (const std::string& column : columns) {
      rows.back().push_back(object.contains(column) ? Cell(object[column]) : "");
    }
  }
  page->Table(columns, rows);
}

void AddNumbers(const Json& json, Page* page) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_structured()) rows.push_back({key, Cell(value)});
  }
  page->Table({"figure", "value"}, rows);
  if (json.contains("labels")) {
    page->Section("Labels");
    AddObjects(json["labels"],
               {"label_name", "label", "prevalence", "accuracy", "nll", "brier", "ece", "auroc",
                "average_precision"},
               page);
  }
  if (json.contains("values")) {
    page->Section("Numbers");
    AddObjects(json["values"],
               {"name", "output", "mean_epistemic_deviation", "mean_noise_variance", "rmse", "mae",
                "bias", "r2", "nll", "crps", "calibration_error"},
               page);
    page->Note("Intervals, of each output: the share of the targets within them.");
    for (const Json& output : json["values"]) {
      if (output.contains("intervals"))
        AddObjects(output["intervals"], {"level", "coverage", "mean_width"}, page);
    }
  }
}

}  // namespace

std::string EvalPage(const Json& json) {
  Page page("mu8 eval: " + Text(json, "model"));
  page.Note(Text(json, "data") + ", " + Text(json, "images") + " inputs; method " +
            Text(json, "method") + ", T = " + Text(json, "samples") + ", seed " +
            Text(json, "seed") + ", head " + Text(json, "head"));
  page.Section("In words");
  AddAccuracy(json, &page);
  AddUncertainty(json, &page);
  AddValues(json, &page);
  AddForeign(json, &page);
  page.Note(kHowWell);
  if (json.contains("curves")) {
    page.Section("Figures");
    AddFigures(json["curves"], &page);
    AddHistograms(json["curves"]["histograms"], &page);
  }
  page.Section("All figures");
  AddNumbers(json, &page);
  page.Note(
      "What each is, with its formula: tools/mu8/METRICS.md. Mutual information grows with T: "
      "compare at "
      "equal T.");
  return page.Html();
}

}  // namespace mu8::tool
