#include "tools/mu8/eval_text.h"

#include <cstdio>

#include "tools/mu8/eval_heads.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

std::string Nats(const Json& value) { return Fixed(value.get<double>(), 5) + " nats"; }

void PrintGroup(const char* heading, const Table& table) {
  std::printf("\n%s\n%s", heading, table.ToString().c_str());
}

Table RunFields(const Report& report, const Json& json) {
  Table fields = Fields();
  fields.Add({"model", Printable(report.model)});
  for (std::size_t i = 1; i < report.members.size(); ++i) {
    fields.Add({"", Printable(report.members[i])});
  }
  const std::size_t positions = report.result.positions;
  fields.Add({"data", Printable(report.data) + ", " +
                          std::to_string(report.result.images() / positions) + " images" +
                          (positions > 1 ? " of " + std::to_string(positions) +
                                               " positions, each of which counts below"
                                         : "") +
                          (report.targets.empty() ? " without labels or targets" : "")});
  if (report.result.method == Method::kMoments) {
    fields.Add({"method", "moments, kernels " + report.result.kernels});
  } else {
    const bool is_auto = report.result.method == Method::kAuto;
    if (is_auto) fields.Add({"method", "auto: moments first, then the samples"});
    fields.Add({"samples", std::to_string(report.result.samples) + ", seed " +
                               std::to_string(report.seed) + ", kernels " + report.result.kernels});
  }
  if (json.contains("seconds")) {
    fields.Add({"time", Fixed(report.result.seconds, 2) + " s, " +
                            Fixed(json["images_per_second"].get<double>(), 1) + " images/s"});
  }
  return fields;
}

void PrintScores(const Json& json) {
  Table scores = Fields();
  scores.Add({"accuracy", Percent(json["accuracy"], 2)});
  if (json.contains("mean_iou")) scores.Add({"mean IoU", Percent(json["mean_iou"], 2)});
  scores.Add({"top-5 accuracy", Percent(json["top5_accuracy"], 2)});
  scores.Add({"NLL", Nats(json["nll"])});
  scores.Add({"Brier score", Fixed(json["brier"], 5)});
  PrintGroup("Predictions", scores);

  Table calibration = Fields();
  calibration.Add({"ECE, 15 bins", Percent(json["ece"], 3)});
  calibration.Add({"ECE, 10 bins", Percent(json["ece_10"], 3)});
  calibration.Add({"MCE, 15 bins", Percent(json["mce"], 3)});
  calibration.Add({"adaptive ECE, 15 bins", Percent(json["adaptive_ece"], 3)});
  calibration.Add({"UCE, 15 bins", Percent(json["uce"], 3)});
  PrintGroup("Calibration", calibration);
}

void PrintUncertainty(const Report& report, const Json& json) {
  Table fields = Fields();
  if (json.contains("mean_entropy")) {
    fields.Add({"mean entropy", Nats(json["mean_entropy"])});
    fields.Add({"mean aleatoric entropy", Nats(json["mean_aleatoric_entropy"])});
    fields.Add({"mean mutual information", Nats(json["mean_mutual_information"])});
  }
  if (json.contains("error")) {
    fields.Add({"mean squared error", Significant(json["error"], 5) + " an output"});
  }
  if (json.contains("clamped") && json["clamped"]["inputs"] > 0) {
    fields.Add({"inputs beyond the range", json["clamped"]["inputs"].dump() +
                                               ", moved to its edge: their predictions are those "
                                               "of others"});
  }
  if (json.contains("abstain")) {
    const Json& abstain = json["abstain"];
    std::string text = Percent(abstain["share"], 2);
    if (abstain.contains("accuracy") && !abstain["accuracy"].is_null()) {
      text += "; accuracy of the others " + Percent(abstain["accuracy"], 2);
    }
    fields.Add({"abstain", text});
  }
  if (json.contains("samples_used")) {
    const Json& used = json["samples_used"];
    fields.Add({"samples used", Fixed(used["mean"].get<double>(), 2) +
                                    " on average, half at most " +
                                    std::to_string(used["p50"].get<int>()) + ", 90 % at most " +
                                    std::to_string(used["p90"].get<int>()) + "; " +
                                    Percent(used["undecided"], 2) + " undecided"});
    if (used.contains("by_moments")) {
      fields.Add({"decided by moments", Percent(used["by_moments"], 2) +
                                            ", without samples and without the rule's promise"});
    }
    if (used.contains("decisions")) {
      const Json& decisions = used["decisions"];
      fields.Add({"decisions", Percent(decisions["above"], 2) + " of the labels above, " +
                                   Percent(decisions["below"], 2) + " below, " +
                                   Percent(decisions["undecided"], 2) + " undecided"});
    }
    if (used.contains("clipped")) {
      fields.Add({"clipped", Percent(used["clipped"], 2) +
                                 " of the passes, to the output's range: the decisions are about "
                                 "the mean of the clipped values"});
    }
  }
  if (report.kl_against) {
    if (report.label_agreement) {
      fields.Add({"same label as the other", Percent(*report.label_agreement, 2)});
    }
    fields.Add({"KL(other || this)", Significant(*report.kl_against, 5) + " nats, other is " +
                                         Printable(report.against)});
  }
  if (!fields.ToString().empty()) PrintGroup("Uncertainty", fields);
}

// One row per score; `json` has the by_... objects.
void PrintDetection(const std::string& heading, const Json& json, const char* positive_key,
                    const char* positive_name, const char* negative_key,
                    const char* negative_name) {
  Table table({{"", Table::Align::kLeft}, {"AUROC"}, {positive_name}, {negative_name}, {"FPR95"}});
  for (const auto& [key, name] :
       {std::pair{"by_entropy", "by entropy"},
        std::pair{"by_mutual_information", "by mutual information"},
        std::pair{"by_confidence", "by 1 - confidence"}, std::pair{"by_variance", "by variance"}}) {
    if (!json.contains(key)) continue;
    const Json& found = json[key];
    if (found.is_null()) {
      table.Add({name, "-", "-", "-", "-"});
    } else {
      table.Add({name, Fixed(found["auroc"], 4), Fixed(found[positive_key], 4),
                 Fixed(found[negative_key], 4), Fixed(found["fpr95"], 4)});
    }
  }
  PrintGroup(heading.c_str(), table);
}

void PrintSelective(const Json& json) {
  const Json& selective = json["selective_accuracy"];
  Table table({{"of the images", Table::Align::kLeft}, {"accuracy"}});
  for (std::size_t i = 0; i < selective["coverage"].size(); ++i) {
    table.Add({Percent(selective["coverage"][i], 0), Percent(selective["accuracy"][i], 2)});
  }
  PrintGroup("Most confident first", table);
  std::printf("AURC %s\n", Significant(json["aurc"], 4).c_str());
}

void PrintConformal(const Json& json) {
  Table table({{"promised", Table::Align::kLeft}, {"coverage"}, {"mean set size"}});
  for (const Json& sets : json) {
    table.Add({Percent(1.0 - sets["alpha"].get<double>(), 0), Percent(sets["coverage"], 2),
               Fixed(sets["mean_set_size"], 3)});
  }
  PrintGroup("Conformal sets, calibrated on every second image", table);
}

}  // namespace

void PrintReport(const Report& report, const Json& json) {
  std::fputs(RunFields(report, json).ToString().c_str(), stdout);
  if (!report.targets.labels.empty()) PrintScores(json);
  if (json.contains("labels")) PrintLabels(json);
  if (json.contains("values")) PrintValues(json);
  PrintUncertainty(report, json);
  if (!report.targets.labels.empty()) {
    const Json& errors = json["misclassification"];
    PrintDetection("Finding the errors, " + std::to_string(errors["errors"].get<std::size_t>()) +
                       " of " + std::to_string(report.result.images()),
                   errors, "aupr_error", "AUPR errors", "aupr_correct", "AUPR correct");
    PrintSelective(json);
    if (json.contains("conformal")) PrintConformal(json["conformal"]);
  }
  for (std::size_t i = 0; i < report.ood.size(); ++i) {
    PrintDetection("Out of distribution: " + Printable(report.ood[i].data) + ", " +
                       std::to_string(report.ood[i].result.images()) + " images",
                   json["ood"][i], "aupr_out", "AUPR out", "aupr_in", "AUPR in");
  }
}

}  // namespace mu8::tool
