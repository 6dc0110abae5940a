#include "tools/mu8/conversion_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "converters/judge/abstain.h"
#include "tools/mu8/options.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

// What section 9 of the file says.
Json AbstainJson(const convert::ConvertResult& result) {
  Json json{{"measure", convert::AbstainMeasureName(
                            static_cast<format::AbstainMeasure>(result.abstain.measure))},
            {"thresholds", FloatArray(result.abstain_thresholds)},
            {"samples", result.abstain.mc_samples}};
  if (result.abstain_share) json["share"] = *result.abstain_share;
  return json;
}

void AddAbstain(const convert::ConvertResult& result, Table* fields) {
  if (result.abstain_thresholds.empty()) return;
  std::string text =
      convert::AbstainMeasureName(static_cast<format::AbstainMeasure>(result.abstain.measure));
  for (std::size_t k = 0; k < result.abstain_thresholds.size(); ++k) {
    text += (k == 0 ? " above " : ", ") +
            Significant(static_cast<double>(result.abstain_thresholds[k]), 6);
  }
  if (result.abstain_share) {
    text += ": " + Percent(*result.abstain_share, 2) + " of the calibration inputs, " +
            std::to_string(result.abstain.mc_samples) + " samples";
  }
  fields->Add({"abstains", text});
}

// What section 10 of the file says, and how good it is.
Json MomentsJson(const convert::MomentsReport& report,
                 const std::vector<convert::LayerReport>& layers) {
  Json json{{"images", report.images},
            {"output_images", report.output_images},
            {"passes", report.passes},
            {"layers", Json::array()}};
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    json["layers"].push_back({{"name", layers[i].name},
                              {"step", ShortestDouble(report.layers[i].step)},
                              {"factor", ShortestDouble(report.layers[i].factor)}});
  }
  const convert::MomentsQuality& quality = report.quality;
  if (quality.images == 0) return json;
  json["quality"] = {{"images", quality.images},
                     {"divergence", quality.divergence},
                     {"divergence_of_passes", quality.divergence_of_passes},
                     {"epistemic_correlation", quality.correlation},
                     {"epistemic_correlation_of_passes", quality.correlation_of_passes},
                     {"epistemic_ratio", quality.ratio},
                     {"epistemic_ratio_error", quality.ratio_error}};
  return json;
}

void AddMoments(const convert::ConvertResult& result, Table* fields) {
  const convert::MomentsReport& report = result.moments;
  if (report.layers.empty()) return;
  double least = 0, most = 0;
  for (std::size_t i = 0; i + 1 < report.layers.size(); ++i) {
    const auto factor = static_cast<double>(report.layers[i].factor);
    least = i == 0 ? factor : std::min(least, factor);
    most = std::max(most, factor);
  }
  const auto digits = [](double value) { return Significant(value, 3); };
  fields->Add({"moments", "factors " + digits(least) + " .. " + digits(most) + ", of the outputs " +
                              digits(static_cast<double>(report.layers.back().factor)) +
                              "; measured on " + std::to_string(report.images) + " and " +
                              std::to_string(report.output_images) + " inputs, " +
                              std::to_string(report.passes) + " passes"});
  const convert::MomentsQuality& quality = report.quality;
  if (quality.images == 0) return;
  const bool decides = result.fidelity.has_decisions();
  fields->Add({"beside sampling", std::to_string(quality.images) +
                                      " other inputs: " + (decides ? "KL " : "divergence ") +
                                      digits(quality.divergence) + ", of " +
                                      std::to_string(quality.passes) + " other passes " +
                                      digits(quality.divergence_of_passes)});
  fields->Add({"", std::string(decides ? "mutual information" : "variance") + ": correlation " +
                       Fixed(quality.correlation, 3) + ", of other passes " +
                       Fixed(quality.correlation_of_passes, 3) + "; mean " +
                       Fixed(quality.ratio, 3) + " times sampling's, standard error " +
                       Fixed(quality.ratio_error, 3)});
}

// Bits per weight, biases not counted: sum n_l b_l / sum n_l.
double AverageBits(const std::vector<convert::LayerReport>& layers) {
  double bits = 0, weights = 0;
  for (const convert::LayerReport& layer : layers) {
    bits += static_cast<double>(layer.weights) * layer.average_mu_bits;
    weights += static_cast<double>(layer.weights);
  }
  return weights > 0 ? bits / weights : 0;
}

Json LayerJson(const convert::LayerReport& layer) {
  Json json{{"name", layer.name}, {"op", layer.op}, {"shape", layer.shape}};
  json["weights"] = layer.weights;
  if (layer.weights > 0) {
    json["bayesian"] = layer.bayesian;
    json["mu_bits"] = BitsJson(layer.mu_bits);
    json["sigma_bits"] = layer.sigma_bits;
    json["weight_step_min"] = ShortestDouble(layer.weight_scale_min);
    json["weight_step_max"] = ShortestDouble(layer.weight_scale_max);
    json["mean_sqnr_db"] = layer.mean_sqnr_db;
    json["saturation"] = layer.saturation;
    if (layer.bayesian) {
      json["variance_kept"] = layer.variance_kept;
      json["variance_kept_weighted"] = layer.variance_kept_weighted;
      json["noise_sqnr_db"] = layer.noise_sqnr_db;
    }
  }
  json["output_saturation"] = layer.output_saturation;
  return json;
}

// Beside FP32's, of heads that have them.
Json UncertaintyJson(const convert::MeanUncertainty& mean) {
  return {{"entropy", mean.entropy}, {"mutual_information", mean.mutual_information}};
}

Json VerdictJson(const convert::ConvertResult& result, bool written) {
  const convert::Fidelity& fidelity = result.fidelity;
  Json json{{"verdict", convert::VerdictName(result.judged.verdict)},
            {"reason", result.judged.reason},
            {"inputs", fidelity.inputs},
            {"passes", fidelity.passes},
            {"divergence", fidelity.divergence},
            {"information", fidelity.information},
            {"epistemic_ratio", fidelity.epistemic_ratio},
            {"epistemic_ratio_error", fidelity.epistemic_error}};
  if (fidelity.has_decisions()) {
    json["label_agreement"] = fidelity.agreement;
    json["mean_uncertainty"] = UncertaintyJson(fidelity.file);
    json["mean_uncertainty_fp32"] = UncertaintyJson(fidelity.fp32);
  }
  json["written"] = written;
  json["findings"] = Json::array();
  for (const convert::Finding& finding : result.judged.findings) {
    json["findings"].push_back({{"layer", finding.layer},
                                {"sqnr_db", finding.sqnr},
                                {"cause", finding.cause},
                                {"remedy", finding.remedy}});
  }
  return json;
}

}  // namespace

Json ConversionJson(const Conversion& conversion) {
  const convert::ConvertOptions& options = conversion.options;
  const convert::ConvertResult& result = conversion.result;
  Json json{{"file", conversion.path},
            {"file_bytes", result.file.size()},
            {"arena_bytes", result.arena_bytes},
            {"average_mu_bits", AverageBits(result.layers)},
            {"sigma_bits", options.sigma_bits},
            {"sigma_quantizer", conversion.quantizer},
            {"sigma_importance",
             result.sigma_importance == convert::SigmaImportance::kPower ? "power" : "fisher"},
            {"sigma_gain", result.sigma_gain},
            {"calibration_images", result.calibration_images},
            {"input", result.is_numbers ? Json{{"kind", "numbers"},
                                               {"room", result.input_room},
                                               {"output_error", result.input_error}}
                                        : Json{{"kind", "pixels"}}},
            {"calibration_passes", options.calibration_passes},
            {"seed", options.seed},
            {"head", convert::HeadName(result.head)},
            {"head_reason", result.head_reason}};
  json["layers"] = Json::array();
  for (const convert::LayerReport& layer : result.layers) {
    json["layers"].push_back(LayerJson(layer));
  }
  if (!result.noise_variance.empty()) json["noise_variance"] = result.noise_variance;
  json["verdict"] = VerdictJson(result, conversion.written);
  if (!result.abstain_thresholds.empty()) json["abstain"] = AbstainJson(result);
  if (!result.moments.layers.empty()) json["moments"] = MomentsJson(result.moments, result.layers);
  for (const format::OutputRange& range : result.ranges) {
    json["output_ranges"].push_back({ShortestDouble(range.low), ShortestDouble(range.high)});
  }
  json["notices"] = result.notices;
  return json;
}

namespace {

std::vector<std::string> LayerCells(const convert::LayerReport& layer) {
  std::vector<std::string> cells = {Printable(layer.name), layer.op, layer.shape};
  if (layer.weights == 0) {
    cells.insert(cells.end(), 8, "-");
  } else {
    const std::string low = Significant(static_cast<double>(layer.weight_scale_min), 3);
    const std::string high = Significant(static_cast<double>(layer.weight_scale_max), 3);
    cells.push_back(layer.mu_bits.size() == 1 ? std::to_string(layer.mu_bits.front())
                                              : Fixed(layer.average_mu_bits, 2));
    cells.push_back(layer.bayesian ? std::to_string(layer.sigma_bits) : "-");
    cells.push_back(low == high ? low : low + " .. " + high);
    cells.push_back(layer.bayesian ? Fixed(layer.variance_kept, 4) : "-");
    cells.push_back(layer.bayesian ? Fixed(layer.variance_kept_weighted, 4) : "-");
    cells.push_back(Percent(layer.saturation, 3));
    cells.push_back(Fixed(layer.mean_sqnr_db, 1) + " dB");
    cells.push_back(layer.bayesian ? Fixed(layer.noise_sqnr_db, 1) + " dB" : "-");
  }
  cells.push_back(Percent(layer.output_saturation, 3));
  return cells;
}

void AddVerdict(const convert::ConvertResult& result, Table* fields) {
  const convert::Fidelity& fidelity = result.fidelity;
  const auto digits = [](double value) { return Significant(value, 3); };
  fields->Add({"verdict", std::string(convert::VerdictName(result.judged.verdict)) + ": " +
                              result.judged.reason});
  std::string beside = std::to_string(fidelity.inputs) + " inputs, " +
                       std::to_string(fidelity.passes) + " passes of the same random bytes: ";
  if (fidelity.has_decisions()) {
    beside += "label agreement " + Percent(fidelity.agreement, 2) + ", KL " +
              digits(fidelity.divergence) + " of " + digits(fidelity.information) + " nats";
    fields->Add({"beside FP32", beside});
    fields->Add({"entropy", digits(fidelity.file.entropy) + ", FP32 " +
                                digits(fidelity.fp32.entropy) + " nats"});
    fields->Add({"mutual information", digits(fidelity.file.mutual_information) + ", FP32 " +
                                           digits(fidelity.fp32.mutual_information) + " nats"});
  } else {
    fields->Add({"beside FP32", beside + "divergence " + digits(fidelity.divergence) + " of " +
                                    digits(fidelity.information) + " of the outputs' variance"});
  }
  if (std::isfinite(fidelity.epistemic_ratio)) {
    fields->Add({fidelity.has_decisions() ? "" : "variance over passes",
                 "ratio to FP32's " + Fixed(fidelity.epistemic_ratio, 3) + ", standard error " +
                     Fixed(fidelity.epistemic_error, 3)});
  }
  for (const convert::Finding& finding : result.judged.findings) {
    fields->Add({Printable(finding.layer), Fixed(finding.sqnr, 1) +
                                               " dB: " + Printable(finding.cause) + ". " +
                                               Printable(finding.remedy)});
  }
}

}  // namespace

void PrintAsText(const Conversion& conversion) {
  const convert::ConvertResult& result = conversion.result;
  using Align = Table::Align;
  Table table({{"layer", Align::kLeft},
               {"op", Align::kLeft},
               {"shape", Align::kLeft},
               {"mu bits"},
               {"sigma bits"},
               {"weight step"},
               {"variance kept"},
               {"weighted"},
               {"weights saturated"},
               {"mean SQNR"},
               {"noise SQNR"},
               {"outputs saturated"}});
  for (const convert::LayerReport& layer : result.layers) table.Add(LayerCells(layer));
  std::fputs(table.ToString().c_str(), stdout);

  Table fields = Fields();
  fields.Add({conversion.written ? "written" : "not written", Printable(conversion.path)});
  fields.Add({"file", ByteCount(result.file.size())});
  fields.Add({"head", std::string(convert::HeadName(result.head)) + ": " + result.head_reason});
  if (result.is_numbers) {
    fields.Add({"input", "numbers, stored over " + Significant(result.input_room, 3) +
                             " times the calibrated range; rounding them changes the outputs by " +
                             Percent(result.input_error, 2) + " of their spread"});
  }
  for (std::size_t k = 0; k < result.noise_variance.size(); ++k) {
    fields.Add({k == 0 ? "noise" : "", "variance " + Significant(result.noise_variance[k], 4) +
                                           " of output " + std::to_string(k)});
  }
  for (std::size_t k = 0; k < result.ranges.size(); ++k) {
    fields.Add(
        {k == 0 ? "range" : "", Significant(static_cast<double>(result.ranges[k].low), 6) + " .. " +
                                    Significant(static_cast<double>(result.ranges[k].high), 6) +
                                    " of output " + std::to_string(k)});
  }
  AddAbstain(result, &fields);
  AddMoments(result, &fields);
  fields.Add({"mu", Fixed(AverageBits(result.layers), 3) + " bits on average of the weights"});
  fields.Add({"arena", ByteCount(result.arena_bytes) + " for one image at a time"});
  fields.Add({"calibrated", std::to_string(result.calibration_images) +
                                (result.is_numbers ? " inputs, " : " images, ") +
                                std::to_string(conversion.options.calibration_passes) + " passes"});
  AddVerdict(result, &fields);
  std::printf("\n%s", fields.ToString().c_str());
}

}  // namespace mu8::tool
