#include "tools/mu8/conversion_page.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tools/mu8/page.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

// A cell of a table: what is not there is empty.
std::string Cell(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_float() ? Significant(found->get<double>(), 4) : found->dump();
}

// Shares as percentages.
std::string PercentCell(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_number() ? "" : Percent(found->get<double>(), 3);
}

void AddVerdict(const Json& json, Page* page) {
  const Json& verdict = json["verdict"];
  const std::string name = verdict["verdict"].get<std::string>();
  page->Verdict(name + ": " + verdict["reason"].get<std::string>(), name == "kept");
  page->Paragraph(
      name == "kept" ? "On the calibration inputs the file tells what the FP32 network tells."
      : name == "unproven"
          ? "Whether the file tells what the FP32 network tells is not shown: give it more "
            "calibration inputs, unlike each other."
          : "The file is not the network any more; the layers below say where it was lost.");
  if (!verdict["written"].get<bool>()) page->Paragraph("It was not written.");
  if (verdict["findings"].empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const Json& finding : verdict["findings"]) {
    rows.push_back({Cell(finding, "layer"), Cell(finding, "sqnr_db") + " dB",
                    Cell(finding, "cause"), Cell(finding, "remedy")});
  }
  page->Table({"layer", "SQNR", "cause", "what to do"}, rows);
}

void AddBesideFp32(const Json& verdict, Page* page) {
  std::vector<std::vector<std::string>> rows = {
      {"inputs, passes", Cell(verdict, "inputs") + ", " + Cell(verdict, "passes"), ""},
      {"divergence from FP32", Cell(verdict, "divergence"), Cell(verdict, "information")},
      {"epistemic uncertainty over FP32's", Cell(verdict, "epistemic_ratio"), "1"}};
  if (verdict.contains("mean_uncertainty")) {
    const Json &mine = verdict["mean_uncertainty"], &theirs = verdict["mean_uncertainty_fp32"];
    rows.push_back({"label agreement", PercentCell(verdict, "label_agreement"), "100 %"});
    rows.push_back({"mean entropy, nats", Cell(mine, "entropy"), Cell(theirs, "entropy")});
    rows.push_back({"mean mutual information, nats", Cell(mine, "mutual_information"),
                    Cell(theirs, "mutual_information")});
  }
  page->Table({"", "file", "FP32, or all that it tells"}, rows);
  page->Note(
      "The same random bytes in both. Divergences: of classes KL in nats, of numbers in units of "
      "the "
      "outputs' variance; beside it what FP32 itself tells of an input.");
}

void AddLayers(const Json& layers, Page* page) {
  std::vector<std::vector<std::string>> rows;
  Chart chart{.title = "Signal to quantization noise of each layer's weights",
              .x = {.label = "layer, first to last", .high = static_cast<double>(layers.size())},
              .y = {.label = "SQNR, dB", .high = 10},
              .series = {{.name = "of the means", .form = Series::Form::kSteps, .points = {}},
                         {.name = "of their noise", .form = Series::Form::kSteps, .points = {}}}};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Json& layer = layers[i];
    rows.push_back({Cell(layer, "name"), Cell(layer, "op"), Cell(layer, "shape"),
                    Cell(layer, "weights"), Cell(layer, "mu_bits"), Cell(layer, "sigma_bits"),
                    Cell(layer, "mean_sqnr_db"), Cell(layer, "noise_sqnr_db"),
                    Cell(layer, "variance_kept"), PercentCell(layer, "saturation"),
                    PercentCell(layer, "output_saturation")});
    for (std::size_t k = 0; k < 2; ++k) {
      const char* key = k == 0 ? "mean_sqnr_db" : "noise_sqnr_db";
      const bool has = layer.contains(key) && layer[key].is_number();
      const double value = has ? layer[key].get<double>() : std::nan("");
      chart.series[k].points.emplace_back(static_cast<double>(i), value);
      if (has) chart.y.high = std::max(chart.y.high, value);
    }
  }
  page->Table({"layer", "op", "shape", "weights", "mu bits", "sigma bits", "SQNR of means, dB",
               "of noise, dB", "variance kept", "weights saturated", "outputs saturated"},
              rows);
  page->Figure(chart, "Higher is nearer to FP32; layers without weights have none.");
}

void AddMoments(const Json& moments, Page* page) {
  page->Section("Predictions by moments");
  std::vector<std::vector<std::string>> rows;
  for (const Json& layer : moments["layers"]) {
    rows.push_back({Cell(layer, "name"), Cell(layer, "factor"), Cell(layer, "step")});
  }
  page->Table({"layer", "factor", "step"}, rows);
  if (!moments.contains("quality")) return;
  const Json& quality = moments["quality"];
  page->Table({"on " + Cell(quality, "images") + " other inputs, beside sampling", "moments",
               "other passes"},
              {{"divergence", Cell(quality, "divergence"), Cell(quality, "divergence_of_passes")},
               {"correlation of the epistemic part", Cell(quality, "epistemic_correlation"),
                Cell(quality, "epistemic_correlation_of_passes")},
               {"its mean over sampling's", Cell(quality, "epistemic_ratio"), ""}});
}

}  // namespace

std::string ConversionPage(const Json& json) {
  Page page("mu8 convert: " + Cell(json, "file"));
  page.Note(Cell(json, "file_bytes") + " bytes; an arena of " + Cell(json, "arena_bytes") +
            " bytes for one input; " + Cell(json, "average_mu_bits") + " bits a mean, " +
            Cell(json, "sigma_bits") + " a sigma; calibrated on " +
            Cell(json, "calibration_images") + " inputs; head " + Cell(json, "head") + ": " +
            Cell(json, "head_reason"));
  page.Section("Verdict");
  AddVerdict(json, &page);
  AddBesideFp32(json["verdict"], &page);
  if (!json["notices"].empty()) {
    page.Section("Notes");
    for (const Json& notice : json["notices"]) page.Paragraph(notice.get<std::string>());
  }
  page.Section("Layers");
  AddLayers(json["layers"], &page);
  if (json.contains("moments")) AddMoments(json["moments"], &page);
  page.Note("\"mu8 convert --help\" says what the columns are.");
  return page.Html();
}

}  // namespace mu8::tool
