// mu8 convert: from a trained FP32 posterior to a .mu8 file, with a table of what quantization did.
#include "converters/convert.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>

#include "converters/allocate/bit_plan.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/labels.h"
#include "converters/host/output_file.h"
#include "converters/judge/abstain.h"
#include "tools/mu8/command.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  convert::ConvertOptions convert;
  std::string output_path;
  std::string quantizer = "weighted";
  std::string importance = "measured";
  std::string mean, std, labels_path, plan_path, noise, range;
  std::string abstain, abstain_fraction;
  std::uint32_t abstain_samples = 50;
  HeadArguments head;
  bool deterministic = false;
  bool json = false;
  bool accept = false;
};

constexpr const char* kFooter = R"(
Without --mean and --std the ONNX file's metadata "mean" and "std" count, else 0 and 1; without
--labels its metadata "labels", else classes have no names.

Heads: softmax, classes that exclude each other; sigmoid, labels each true or not; values, numbers;
gaussian, numbers each with its noise (--scale). A graph that ends in Softmax or Sigmoid says so
itself, and so does its metadata "head". Outputs of a graph that belong together are joined, say
--output-name mean,log_variance.

DATA: pictures, an IDX image file (MNIST), a CIFAR-10 binary batch, or a folder of images in class
folders, .gz and .xz unpacked; or numbers, a .npz file (array x; y are targets), a .npy array, a .csv
table with a header, a .f32 file of float32, inputs along the first dimension. A file made from
numbers takes numbers in the same units: each channel is scaled for itself, (x - mean) / std first if
they are given, and the stored range is wider than that of DATA where this costs little. Labels and
targets are not used, nor the names of class folders. Calibrate on training data.

The table: weight step (smallest .. largest over the channels); variance kept, that of the quantized
sampled weights over the posterior's, plain and weighted by each weight's input power; weights
saturated, draws at the largest INT8 value; SQNR of the weights' means and of their noise; outputs
saturated, calibration outputs above the stored range, before a Tanh or another function those that
it tells from its end.)";

// Of "MEASURE=NUMBERS", as `option` takes it.
std::optional<convert::AbstainOptions> ParseAbstain(const Options& options) {
  if (options.abstain.empty() && options.abstain_fraction.empty()) return {};
  if (!options.abstain.empty() && !options.abstain_fraction.empty()) {
    throw UsageError("--abstain and --abstain-fraction exclude each other");
  }
  const bool by_share = options.abstain.empty();
  const std::string option = by_share ? "--abstain-fraction" : "--abstain";
  const std::string& text = by_share ? options.abstain_fraction : options.abstain;
  const std::size_t equals = text.find('=');
  const auto measure = convert::ParseAbstainMeasure(text.substr(0, equals));
  if (equals == std::string::npos || !measure) {
    throw UsageError(option + ": '" + text +
                     "', expected MEASURE=NUMBER with predictive_entropy, mutual_information, "
                     "variance, total_variance or error");
  }
  convert::AbstainOptions abstain{.measure = *measure,
                                  .thresholds = {},
                                  .fraction = 0.0,
                                  .mc_samples = options.abstain_samples};
  const std::vector<float> numbers = ParseFloats(option, text.substr(equals + 1));
  for (const float number : numbers) {
    if (std::signbit(number) || (by_share && (number > 1 || numbers.size() != 1))) {
      throw UsageError(option + ": '" + text + "', expected " +
                       (by_share ? "one share from 0 to 1" : "thresholds not below zero"));
    }
  }
  if (by_share) {
    abstain.fraction = static_cast<double>(numbers[0]);
  } else {
    abstain.thresholds = numbers;
  }
  return abstain;
}

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

bool IsRefused(const Options& options, const convert::ConvertResult& result) {
  return result.judged.verdict == convert::FileVerdict::kLost && !options.accept;
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

Json VerdictJson(const Options& options, const convert::ConvertResult& result) {
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
  json["written"] = !IsRefused(options, result);
  json["findings"] = Json::array();
  for (const convert::Finding& finding : result.judged.findings) {
    json["findings"].push_back({{"layer", finding.layer},
                                {"sqnr_db", finding.sqnr},
                                {"cause", finding.cause},
                                {"remedy", finding.remedy}});
  }
  return json;
}

void PrintAsJson(const Options& options, const convert::ConvertResult& result) {
  Json json{{"file", options.output_path},
            {"file_bytes", result.file.size()},
            {"arena_bytes", result.arena_bytes},
            {"average_mu_bits", AverageBits(result.layers)},
            {"sigma_bits", options.convert.sigma_bits},
            {"sigma_quantizer", options.quantizer},
            {"sigma_importance",
             result.sigma_importance == convert::SigmaImportance::kPower ? "power" : "fisher"},
            {"sigma_gain", result.sigma_gain},
            {"calibration_images", result.calibration_images},
            {"input", result.is_numbers ? Json{{"kind", "numbers"},
                                               {"room", result.input_room},
                                               {"output_error", result.input_error}}
                                        : Json{{"kind", "pixels"}}},
            {"calibration_passes", options.convert.calibration_passes},
            {"seed", options.convert.seed},
            {"head", convert::HeadName(result.head)},
            {"head_reason", result.head_reason}};
  json["layers"] = Json::array();
  for (const convert::LayerReport& layer : result.layers) {
    json["layers"].push_back(LayerJson(layer));
  }
  if (!result.noise_variance.empty()) json["noise_variance"] = result.noise_variance;
  json["verdict"] = VerdictJson(options, result);
  if (!result.abstain_thresholds.empty()) json["abstain"] = AbstainJson(result);
  for (const format::OutputRange& range : result.ranges) {
    json["output_ranges"].push_back({ShortestDouble(range.low), ShortestDouble(range.high)});
  }
  json["notices"] = result.notices;
  PrintJson(json);
}

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

void PrintAsText(const Options& options, const convert::ConvertResult& result) {
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
  fields.Add(
      {IsRefused(options, result) ? "not written" : "written", Printable(options.output_path)});
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
  fields.Add({"mu", Fixed(AverageBits(result.layers), 3) + " bits on average of the weights"});
  fields.Add({"arena", ByteCount(result.arena_bytes) + " for one image at a time"});
  fields.Add({"calibrated", std::to_string(result.calibration_images) +
                                (result.is_numbers ? " inputs, " : " images, ") +
                                std::to_string(options.convert.calibration_passes) + " passes"});
  AddVerdict(result, &fields);
  std::printf("\n%s", fields.ToString().c_str());
}

void Run(Options* options) {
  convert::ConvertOptions& convert_options = options->convert;
  if (options->deterministic != convert_options.posterior_path.empty()) {
    throw UsageError("expected either --posterior P.npz or --deterministic");
  }
  ParseNormalization(options->mean, options->std, &convert_options.mean, &convert_options.std);
  convert_options.head = options->head.Parse();
  convert_options.fit_noise = options->noise == "fit";
  if (!options->noise.empty() && !convert_options.fit_noise) {
    convert_options.noise = ParseFloats("--noise", options->noise);
  }
  convert_options.calibrate_range = options->range == "calibrated";
  if (!options->range.empty() && !convert_options.calibrate_range) {
    convert_options.output_range = ParseFloats("--output-range", options->range);
  }
  convert_options.abstain = ParseAbstain(*options);
  if (!options->plan_path.empty())
    convert_options.layer_mu_bits = convert::ReadPlan(options->plan_path);
  if (!options->labels_path.empty())
    convert_options.labels = host::ReadLabels(options->labels_path);
  convert_options.sigma_quantizer = options->quantizer == "affine"
                                        ? convert::SigmaQuantizer::kAffine
                                        : convert::SigmaQuantizer::kWeighted;
  convert_options.sigma_importance =
      options->importance == "power"    ? convert::SigmaImportance::kPower
      : options->importance == "fisher" ? convert::SigmaImportance::kFisher
                                        : convert::SigmaImportance::kMeasured;
  CheckOutputs({{"--output", options->output_path}},
               {{"--model", convert_options.model_path},
                {"--posterior", convert_options.posterior_path},
                {"--calibration", convert_options.calibration_path},
                {"--bits", options->plan_path},
                {"--labels", options->labels_path}});

  ProgressBar progress;
  convert_options.progress = progress.Function();
  const convert::ConvertResult result = convert::Convert(convert_options);
  progress.Clear();
  PrintNotices(result.notices);
  const bool refused = IsRefused(*options, result);
  if (!refused) {
    host::WriteFileAtomically(options->output_path, result.file.data(), result.file.size());
  }
  if (options->json) {
    PrintAsJson(*options, result);
  } else {
    PrintAsText(*options, result);
  }
  if (refused) {
    throw LostNetwork(options->output_path + ": not written: " + result.judged.reason +
                      " (--accept writes it all the same)");
  }
}

void AddFiles(CLI::App* app, Options* options) {
  convert::ConvertOptions& to = options->convert;
  app->add_option("--model", to.model_path, "ONNX file of the mean network")
      ->required()
      ->type_name("M.onnx");
  app->add_option("--output-name", to.output_name,
                  "Which of the graph's outputs, if it has several; A,B joins them")
      ->type_name("NAME");
  app->add_option("--posterior", to.posterior_path,
                  "Sigmas, .npz or .safetensors: arrays \"<initializer>.sigma\", and \".mean\" to "
                  "compare")
      ->type_name("P.npz");
  app->add_flag("--deterministic", options->deterministic,
                "Instead of it: all weights are known, every pass is the same");
  app->add_option("--calibration", to.calibration_path, "Data that activations are measured on")
      ->required()
      ->type_name("DATA");
  app->add_option("-o,--output", options->output_path, "The file to write; replaced if it exists")
      ->required()
      ->type_name("OUT.mu8");
}

// How many bits stay, and how they are chosen.
void AddBits(CLI::App* app, Options* options) {
  convert::ConvertOptions& to = options->convert;
  app->add_option("--mu-bits", to.mu_bits,
                  "Bits stored per mean; of 5 to 7, 4 where they serve better")
      ->check(WholeNumber(1, 8))
      ->type_name("BITS")
      ->capture_default_str();
  app->add_option(
         "--bits", options->plan_path,
         "Bits of the means layer by layer, as `mu8 allocate` writes them; --mu-bits holds "
         "for layers that it does not name")
      ->type_name("PLAN.json");
  app->add_option("--sigma-bits", to.sigma_bits, "Bits stored per sigma")
      ->check(CLI::IsMember({8, 4, 2, 1, 0}))
      ->type_name("BITS")
      ->capture_default_str();
  app->add_option("--sigma-quantizer", options->quantizer,
                  "Codebooks weighted by importance, or evenly spaced for comparison")
      ->check(CLI::IsMember({"weighted", "affine"}))
      ->type_name("RULE")
      ->capture_default_str();
  app->add_option("--sigma-importance", options->importance,
                  "What errors of sigma are weighed with: input power, also the posterior's own "
                  "Fisher information, or (2, 1, 0 bits) the better on the calibration images")
      ->check(CLI::IsMember({"measured", "power", "fisher"}))
      ->type_name("RULE")
      ->capture_default_str();
}

// How calibration measures, and what the file says about input and classes.
void AddCalibrationAndMetadata(CLI::App* app, Options* options) {
  convert::ConvertOptions& to = options->convert;
  app->add_option("--calibration-limit", to.calibration_limit, "Use at most this many images")
      ->check(WholeNumber(1, 1000000000))
      ->capture_default_str();
  app->add_option("--calibration-passes", to.calibration_passes, "Weight samples drawn for it")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--seed", to.seed, "Seed of the calibration's weight samples")
      ->check(WholeNumber(0, std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  AddMaxMemory(app, &to.max_memory_bytes);
  AddDataOptions(app, &to.data);
  AddTargets(app, &to.data);
  options->head.AddTo(app);
  app->add_option("--mean", options->mean,
                  "Input is (u8 / 255 - mean) / std, of numbers (x - mean) / std; one, or one per "
                  "channel")
      ->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
  app->add_option("--noise", options->noise,
                  "Values: the variance of an observation's noise, one per output, kept in the "
                  "file; or fit, to the targets of the calibration data by maximum likelihood")
      ->type_name("A,B,..|fit");
  app->add_option(
         "--output-range", options->range,
         "Values and gaussian: kept in the file for --stop-within and --stop-threshold, "
         "which decide about the mean of an output clipped to it; one pair, or one per "
         "output; or calibrated, what calibration has seen and a quarter more on each side")
      ->type_name("LOW,HIGH,..|calibrated");
  app->add_option("--abstain", options->abstain,
                  "A prediction abstains above this predictive_entropy or mutual_information "
                  "(nats), variance or total_variance (with the noise; one, or one per output) or "
                  "error; kept in the file")
      ->type_name("MEASURE=A,B,..");
  app->add_option("--abstain-fraction", options->abstain_fraction,
                  "The same, at the threshold above which this share of the calibration inputs is "
                  "at most; on data like them about as many will abstain, on others more or fewer")
      ->type_name("MEASURE=SHARE");
  app->add_option("--abstain-samples", options->abstain_samples,
                  "Passes to measure it with: thresholds hold for as many")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--labels", options->labels_path,
                  "Names of the classes, labels or values, one per line, the first first")
      ->type_name("FILE");
  app->add_option("--name", to.name, "The model's name; default: the ONNX file's stem");
}

}  // namespace

Command AddConvert(CLI::App* parent) {
  CLI::App* app = parent->add_subcommand("convert", "Make a .mu8 file from a trained posterior");
  const auto options = std::make_shared<Options>();
  AddFiles(app, options.get());
  AddBits(app, options.get());
  AddCalibrationAndMetadata(app, options.get());
  app->add_flag("--accept", options->accept, "Write the file whatever the verdict on it is");
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options] { Run(options.get()); }};
}

}  // namespace mu8::tool
