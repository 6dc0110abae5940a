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
#include "tools/mu8/conversion_page.h"
#include "tools/mu8/conversion_report.h"
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
  bool moments = false;
  convert::MomentsOptions moments_of;
  bool json = false;
  std::string report_path;
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

void Run(Options* options, host::OutputFiles* files) {
  convert::ConvertOptions& convert_options = options->convert;
  if (options->deterministic != convert_options.posterior_path.empty()) {
    throw UsageError("expected either --posterior P.npz or --deterministic");
  }
  if (options->deterministic && options->moments) {
    throw UsageError("--moments: expected --posterior P.npz with it: all passes would be the same");
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
  if (options->moments) convert_options.moments = options->moments_of;
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
  CheckOutputs({{"--output", options->output_path}, {"--report", options->report_path}},
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
  const bool refused = result.judged.verdict == convert::FileVerdict::kLost && !options->accept;
  if (!refused) {
    files->Add(options->output_path, result.file.data(), result.file.size());
  }
  const Conversion conversion{.options = convert_options,
                              .result = result,
                              .path = options->output_path,
                              .quantizer = options->quantizer,
                              .written = !refused};
  if (!options->report_path.empty()) {
    const std::string page = ConversionPage(ConversionJson(conversion));
    files->Add(options->report_path, page.data(), page.size());
  }
  options->json ? PrintJson(ConversionJson(conversion)) : PrintAsText(conversion);
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
      ->check(FileName())
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
  AddSigmaBits(app, &to.sigma_bits);
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
  CLI::Option* moments =
      app->add_flag("--moments", options->moments,
                    "Also measure what predictions by moments need (--method moments, in one "
                    "pass), by sampled passes, and how good they are; kept in the file");
  app->add_option("--moments-images", options->moments_of.images,
                  "Calibration images to measure it on, at most")
      ->check(WholeNumber(1, 1000000000))
      ->needs(moments)
      ->capture_default_str();
  app->add_option("--moments-passes", options->moments_of.passes, "Passes to measure it with")
      ->check(WholeNumber(2, 65536))
      ->needs(moments)
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
  AddReport(app, &options->report_path);
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options](host::OutputFiles* files) { Run(options.get(), files); }};
}

}  // namespace mu8::tool
