#include "tools/mu8/eval_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "converters/host/metrics_calibration.h"
#include "converters/host/metrics_conformal.h"
#include "converters/host/metrics_ranking.h"
#include "tools/mu8/eval_heads.h"

namespace mu8::tool {
namespace {

constexpr std::size_t kCoarseBins = 10;
constexpr double kCoverages[] = {0.5, 0.8, 0.9, 0.95};
constexpr double kConfidences[] = {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99};
constexpr double kAlphas[] = {0.1, 0.05};
constexpr std::size_t kHistogramBins = 50;
constexpr int kCurvePoints = 100;

// What images are told apart by: the higher, the less sure.
struct Score {
  const char* key;
  std::vector<double> values;  // one per image
};

// The sum over the outputs of their variance, each in units of its mean over `inside`.
std::vector<double> RelativeVariance(const convert::EnsembleResult& result,
                                     const convert::EnsembleResult& inside) {
  std::vector<double> mean(result.classes, 0.0);
  for (std::size_t i = 0; i < inside.variance.size(); ++i) {
    mean[i % result.classes] +=
        static_cast<double>(inside.variance[i]) / static_cast<double>(inside.images());
  }
  std::vector<double> sums(result.images(), 0.0);
  for (std::size_t i = 0; i < result.variance.size(); ++i) {
    const double unit = mean[i % result.classes];
    if (unit > 0) sums[i / result.classes] += static_cast<double>(result.variance[i]) / unit;
  }
  return sums;
}

// `inside`: the result of the data, of which the spread of values is known.
std::vector<Score> Scores(const convert::EnsembleResult& result,
                          const convert::EnsembleResult& inside) {
  if (result.head == convert::Head::kReconstruction) {
    return {{"by_error", {result.error.begin(), result.error.end()}},
            {"by_error_variance", {result.error_variance.begin(), result.error_variance.end()}}};
  }
  if (result.has_numbers()) {
    return {{"by_variance", RelativeVariance(result, inside)}};
  }
  if (result.head == convert::Head::kSigmoid) {
    return {{"by_entropy", result.Column(&convert::Uncertainty::entropy)},
            {"by_mutual_information", result.Column(&convert::Uncertainty::mutual_information)}};
  }
  std::vector<double> doubt;
  for (std::size_t i = 0; i < result.images(); ++i) {
    const std::span<const float> row = result.view().row(i);
    doubt.push_back(1.0 - static_cast<double>(row[host::TopClass(row)]));
  }
  return {{"by_entropy", result.Column(&convert::Uncertainty::entropy)},
          {"by_mutual_information", result.Column(&convert::Uncertainty::mutual_information)},
          {"by_confidence", std::move(doubt)}};
}

Json DetectionJson(std::span<const double> negatives, std::span<const double> positives,
                   const char* positive_key, const char* negative_key) {
  const std::optional<host::Detection> found = host::Detect(negatives, positives);
  if (!found) return nullptr;
  return Json{{"auroc", found->auroc},
              {positive_key, found->aupr_positive},
              {negative_key, found->aupr_negative},
              {"fpr95", found->fpr95}};
}

// Errors against correct answers.
Json MisclassificationJson(const convert::EnsembleResult& result, std::span<const double> correct) {
  Json json{{"errors", std::count(correct.begin(), correct.end(), 0.0)}};
  for (const Score& score : Scores(result, result)) {
    std::vector<double> right, wrong;
    for (std::size_t i = 0; i < correct.size(); ++i) {
      (correct[i] == 1.0 ? right : wrong).push_back(score.values[i]);
    }
    json[score.key] = DetectionJson(right, wrong, "aupr_error", "aupr_correct");
  }
  return json;
}

Json MeansJson(const convert::EnsembleResult& result) {
  if (result.uncertainty.empty()) return Json::object();
  const bool softmax = result.head == convert::Head::kSoftmax;
  return {{"mean_entropy", softmax ? host::MeanEntropy(result.view())
                                   : host::Mean(result.Column(&convert::Uncertainty::entropy))},
          {"mean_aleatoric_entropy", host::Mean(result.Column(&convert::Uncertainty::aleatoric))},
          {"mean_mutual_information",
           host::Mean(result.Column(&convert::Uncertainty::mutual_information))}};
}

// Images of another kind against those of the data.
Json OodJson(const Report& report) {
  Json sets = Json::array();
  const std::vector<Score> inside = Scores(report.result, report.result);
  for (const OodSet& set : report.ood) {
    Json json{{"data", set.data}, {"images", set.result.images()}};
    json.update(MeansJson(set.result));
    const std::vector<Score> outside = Scores(set.result, report.result);
    for (std::size_t i = 0; i < inside.size(); ++i) {
      json[inside[i].key] =
          DetectionJson(inside[i].values, outside[i].values, "aupr_out", "aupr_in");
    }
    if (set.result.seconds > 0) json["seconds"] = set.result.seconds;
    sets.push_back(json);
  }
  return sets;
}

Json SelectiveJson(std::span<const double> risk) {
  Json json{{"coverage", kCoverages}, {"accuracy", Json::array()}};
  for (const double coverage : kCoverages) {
    json["accuracy"].push_back(1.0 - host::RiskAtCoverage(risk, coverage));
  }
  return json;
}

Json AtConfidenceJson(const host::TopPredictions& top, std::span<const double> thresholds) {
  Json json{{"confidence", thresholds}, {"images", Json::array()}, {"accuracy", Json::array()}};
  for (const double threshold : thresholds) {
    const host::Answered answered = host::AtConfidence(top.confidence, top.correct, threshold);
    json["images"].push_back(answered.images);
    json["accuracy"].push_back(answered.images == 0
                                   ? Json(nullptr)
                                   : Json(answered.correct / static_cast<double>(answered.images)));
  }
  return json;
}

Json ConformalJson(const host::Probabilities& probabilities, std::span<const int> labels) {
  Json array = Json::array();
  for (const double alpha : kAlphas) {
    const host::ConformalSets sets = host::SplitConformal(probabilities, labels, alpha);
    array.push_back({{"alpha", alpha},
                     {"calibration_images", sets.calibration_images},
                     {"test_images", sets.test_images},
                     {"threshold", sets.threshold ? Json(*sets.threshold) : Json(nullptr)},
                     {"coverage", sets.coverage},
                     {"mean_set_size", sets.mean_set_size}});
  }
  return array;
}

Json LabelledJson(const Report& report) {
  const host::Probabilities p = report.result.view();
  const std::vector<int>& labels = report.targets.labels;
  const host::TopPredictions top = host::FindTopPredictions(p, labels);
  const std::vector<double> risk = host::RiskCoverage(top.confidence, top.correct);
  Json json{{"accuracy", host::Accuracy(p, labels)},
            {"top5_accuracy", host::TopKAccuracy(p, labels, 5)},
            {"nll", host::NegativeLogLikelihood(p, labels)},
            {"brier", host::BrierScore(p, labels)},
            {"ece", host::ExpectedCalibrationError(p, labels)},
            {"ece_10", host::ExpectedCalibrationError(p, labels, kCoarseBins)},
            {"mce", host::MaximumCalibrationError(p, labels)},
            {"adaptive_ece", host::AdaptiveCalibrationError(p, labels)},
            {"uce", host::UncertaintyCalibrationError(p, labels)},
            {"aurc", host::Aurc(risk)},
            {"selective_accuracy", SelectiveJson(risk)},
            {"accuracy_at_confidence", AtConfidenceJson(top, kConfidences)},
            {"misclassification", MisclassificationJson(report.result, top.correct)}};
  if (report.result.positions > 1) json["mean_iou"] = host::MeanIou(p, labels);
  if (labels.size() >= 2) json["conformal"] = ConformalJson(p, labels);
  return json;
}

// Columns; null where a bin is empty.
Json BinsJson(std::span<const host::Bin> bins, const char* predicted_key,
              const char* observed_key) {
  Json json{
      {"count", Json::array()}, {predicted_key, Json::array()}, {observed_key, Json::array()}};
  for (const host::Bin& bin : bins) {
    const bool empty = bin.count == 0;
    json["count"].push_back(bin.count);
    json[predicted_key].push_back(empty ? Json(nullptr) : Json(bin.mean_predicted()));
    json[observed_key].push_back(empty ? Json(nullptr) : Json(bin.mean_observed()));
  }
  return json;
}

// Counts in equal-width bins of [0, ln C], closed as those of the calibration errors.
Json HistogramsJson(const convert::EnsembleResult& result) {
  const double highest = std::log(static_cast<double>(result.classes));
  const auto counts = [&](float convert::Uncertainty::*field) {
    std::vector<std::size_t> bins(kHistogramBins, 0);
    for (const double value : result.Column(field)) {
      ++bins[highest > 0 ? host::BinOf(value / highest, kHistogramBins) : 0];
    }
    return bins;
  };
  return {{"entropy", counts(&convert::Uncertainty::entropy)},
          {"mutual_information", counts(&convert::Uncertainty::mutual_information)}};
}

Json LabelledCurvesJson(const Report& report) {
  const host::Probabilities p = report.result.view();
  const host::TopPredictions top = host::FindTopPredictions(p, report.targets.labels);
  const std::vector<double> risk = host::RiskCoverage(top.confidence, top.correct);
  std::vector<double> thresholds, coverages, risks;
  for (int i = 0; i <= kCurvePoints; ++i) {
    thresholds.push_back(static_cast<double>(i) / kCurvePoints);
    if (i == 0) continue;
    coverages.push_back(thresholds.back());
    risks.push_back(host::RiskAtCoverage(risk, thresholds.back()));
  }
  return {{"reliability",
           BinsJson(host::ReliabilityBins(p, report.targets.labels), "confidence", "accuracy")},
          {"uncertainty_calibration",
           BinsJson(host::UncertaintyBins(p, report.targets.labels), "uncertainty", "error")},
          {"accuracy_at_confidence", AtConfidenceJson(top, thresholds)},
          {"risk_coverage", {{"coverage", coverages}, {"risk", risks}}}};
}

// How many passes early endings took: mean, nearest-rank percentiles, how many images stayed
// undecided, what share of the passes was clipped, if any, and of a rule about several outputs what
// was decided of them.
Json SamplesUsedJson(const convert::EnsembleResult& result) {
  std::vector<std::uint32_t> sorted = result.used;
  std::sort(sorted.begin(), sorted.end());
  const double count = static_cast<double>(sorted.size());
  double sum = 0;
  for (const std::uint32_t used : sorted) sum += used;
  const auto rank = [&](double share) {
    return sorted[static_cast<std::size_t>(std::ceil(share * count)) - 1];
  };
  Json json{{"mean", sum / count},
            {"p50", rank(0.5)},
            {"p90", rank(0.9)},
            {"undecided", static_cast<double>(result.undecided) / count}};
  if (result.method == Method::kAuto) {
    json["by_moments"] = static_cast<double>(result.by_moments) / count;
  }
  if (result.clipped > 0) json["clipped"] = static_cast<double>(result.clipped) / sum;
  const auto above = static_cast<double>(result.outputs_above);
  const auto below = static_cast<double>(result.outputs_below);
  const auto open = static_cast<double>(result.outputs_undecided), all = above + below + open;
  if (all > 0) {
    json["decisions"] = {{"above", above / all}, {"below", below / all}, {"undecided", open / all}};
  }
  return json;
}

// Inputs with numbers beyond the range that the file stores.
Json ClampedJson(const convert::EnsembleResult& result) {
  std::size_t numbers = 0, inputs = 0;
  for (const std::uint32_t clamped : result.clamped) numbers += clamped, inputs += clamped > 0;
  return {{"numbers", numbers}, {"inputs", inputs}};
}

// How many abstain, and how right the others are, where that is one label an image.
Json AbstainJson(const Report& report) {
  const convert::EnsembleResult& result = report.result;
  std::size_t answered = 0, right = 0;
  const bool judged = result.head == convert::Head::kSoftmax && result.positions == 1 &&
                      report.targets.labels.size() == result.images();
  for (std::size_t i = 0; i < result.abstains.size(); ++i) {
    if (result.abstains[i] != 0) continue;
    ++answered;
    if (judged)
      right += static_cast<int>(host::TopClass(result.view().row(i))) == report.targets.labels[i]
                   ? 1U
                   : 0U;
  }
  const auto all = static_cast<double>(result.abstains.size());
  Json json{{"share", 1.0 - static_cast<double>(answered) / all}, {"answered", answered}};
  if (judged) {
    json["accuracy"] =
        answered == 0 ? Json() : Json(static_cast<double>(right) / static_cast<double>(answered));
  }
  return json;
}

Json CurvesJson(const Report& report) {
  Json json = report.targets.labels.empty() ? Json::object() : LabelledCurvesJson(report);
  Json ood = Json::array();
  for (const OodSet& set : report.ood) {
    ood.push_back({{"data", set.data}});
    ood.back().update(HistogramsJson(set.result));
  }
  json["histograms"] = {{"bins", kHistogramBins},
                        {"low", 0.0},
                        {"high", std::log(static_cast<double>(report.result.classes))},
                        {"in_distribution", HistogramsJson(report.result)},
                        {"ood", ood}};
  return json;
}

}  // namespace

Json ReportJson(const Report& report) {
  const convert::EnsembleResult& result = report.result;
  Json json{{"model", report.model},     {"data", report.data},       {"images", result.images()},
            {"classes", result.classes}, {"samples", result.samples}, {"seed", report.seed},
            {"kernels", result.kernels}};
  if (report.members.size() > 1) json["members"] = report.members;
  json["method"] = result.method == Method::kMoments ? "moments"
                   : result.method == Method::kAuto  ? "auto"
                                                     : "sampling";
  json["head"] = convert::HeadName(result.head);
  if (result.positions > 1) {
    json["images"] = result.images() / result.positions;
    json["positions"] = result.positions;
  }
  if (!report.targets.labels.empty()) json.update(LabelledJson(report));
  if (result.head == convert::Head::kSigmoid && !report.targets.empty()) {
    json.update(LabelsJson(report));
  }
  if (result.head == convert::Head::kReconstruction) {
    const std::vector<double> errors(result.error.begin(), result.error.end());
    json["error"] = host::Mean(errors);
  } else if (result.has_numbers()) {
    json.update(ValuesJson(report));
  }
  if (!result.clamped.empty()) json["clamped"] = ClampedJson(result);
  if (!result.abstains.empty()) json["abstain"] = AbstainJson(report);
  json.update(MeansJson(result));
  if (!result.used.empty()) json["samples_used"] = SamplesUsedJson(result);
  if (report.kl_against) {
    json["kl_against"] = *report.kl_against;
    if (report.label_agreement) json["label_agreement"] = *report.label_agreement;
  }
  if (!report.ood.empty()) json["ood"] = OodJson(report);
  if (report.curves) json["curves"] = CurvesJson(report);
  if (result.seconds > 0) {
    json["seconds"] = result.seconds;
    json["images_per_second"] = static_cast<double>(result.images()) / result.seconds;
  }
  return json;
}

}  // namespace mu8::tool
