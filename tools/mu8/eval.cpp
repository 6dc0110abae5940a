// mu8 eval: accuracy, calibration and uncertainty over data sets, of a .mu8 file or of the FP32
// reference. Here are the options, the data and the runs; eval_report.cpp judges what came out.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "converters/convert.h"
#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/host/output_file.h"
#include "converters/judge/ensemble_quantized.h"
#include "converters/judge/ensemble_recorded.h"
#include "converters/judge/ensemble_reference.h"
#include "tools/mu8/command.h"
#include "tools/mu8/eval_report.h"
#include "tools/mu8/eval_targets.h"
#include "tools/mu8/eval_text.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  std::string model_path;                              // a .mu8 file, or
  std::string onnx_path, posterior_path, output_name;  // the FP32 reference
  HeadArguments head;
  bool mean_weights = false;
  bool engine_noise = false;
  std::string engine_weights;
  std::vector<std::string> recorded, recorded_uncertainty;  // of --data, then of each --ood
  std::string mean, std, noise;
  std::string data_path;
  host::DataOptions data;
  bool sorted_folders = false;
  std::size_t limit = std::numeric_limits<std::size_t>::max();
  SamplingOptions sampling;
  std::optional<std::uint32_t> batch;
  std::vector<std::string> ood_paths;
  std::size_t ood_limit = std::numeric_limits<std::size_t>::max();
  std::string predictions_path;
  std::string uncertainty_path;
  std::string against_path;
  bool json = false;
  bool curves = false;
};

constexpr std::uint32_t kQuantizedBatch = 64;
constexpr std::uint32_t kReferenceBatch = 16;  // its activations stay in the caches

constexpr const char* kFooter = R"(
DATA: pictures, an IDX image file (MNIST; labels in the file beside it), a CIFAR-10 binary batch, or
a folder of images in class folders, .gz and .xz unpacked; or numbers, .npz (arrays x and y), .npy,
.csv or .f32. Without labels or targets only the figures that need none are given. Class folders are
named as the model's labels, or by the index of the class.

A softmax takes the index of a class as target, a sigmoid 0 or 1 for each label, values a number for
each output. The figures of values are in the units of their targets; those of a Gaussian need the
noise of observations, which --noise gives or the file holds.

Every figure, with its formula and source, is in tools/mu8/METRICS.md. The usual ones:

accuracy   fraction of images whose most probable class is the label
nll        mean of -ln max(p[label], 1e-12), nats
brier      mean of sum_c (p_c - 1[c = label])^2, 0 to 2
ece        expected calibration error, equal-width right-closed bins of the top probability
uce        the same of the error and the entropy over ln(classes)
entropy    total uncertainty, nats: aleatoric + mutual information (epistemic); the latter grows with
           the samples: compare at equal T
AUROC, AUPR, FPR95   how well a score tells errors from correct answers, or the images of --ood from
           those of --data
kl_against mean KL(other || this) in nats, both clipped at 1e-9

All follow from the labels and the two float32 files that --predictions (images x classes) and
--uncertainty (images x 3: entropy, aleatoric, mutual information) write; they have no header.
--against reads the predictions of another run over the same data. The time is that of the
predictions alone.

--recorded judges predictions that something else made of the network in M.onnx, PyTorch say: one
file for --data and one for each --ood, in their order, as --predictions writes them. Without
--recorded-uncertainty each is taken for a single pass: all of its entropy is aleatoric.)";

// What the data must fit.
struct Shape {
  host::InputSpec input;
  Outputs outputs;
};

// Recorded predictions were sampled elsewhere: no option may say how.
void CheckRecordedUsage(const Options& options) {
  if (options.onnx_path.empty()) {
    throw UsageError("--recorded: expected --model M.onnx with it, the network that was run");
  }
  if (!options.posterior_path.empty() || options.mean_weights || options.engine_noise ||
      !options.engine_weights.empty() || !options.mean.empty() || !options.std.empty() ||
      options.batch || options.sampling.EngineOnly() != nullptr) {
    throw UsageError(
        "--recorded: nothing is run, of the sampling options only --samples and "
        "--seed mean something: what the predictions were made with");
  }
  const std::size_t sets = 1 + options.ood_paths.size();
  if (options.recorded.size() != sets) {
    throw UsageError("--recorded: given " + std::to_string(options.recorded.size()) +
                     " times, expected " + std::to_string(sets) +
                     ": for --data, then for each --ood");
  }
  if (!options.recorded_uncertainty.empty() && options.recorded_uncertainty.size() != sets) {
    throw UsageError("--recorded-uncertainty: given " +
                     std::to_string(options.recorded_uncertainty.size()) + " times, expected " +
                     std::to_string(sets) + ", as often as --recorded");
  }
}

void CheckUsage(const Options& options) {
  const bool reference = !options.onnx_path.empty();
  if (reference == !options.model_path.empty()) {
    throw UsageError("expected either MODEL.mu8 or --model M.onnx (the FP32 reference)");
  }
  if (!options.recorded.empty()) {
    CheckRecordedUsage(options);
  } else if (reference) {
    const int weights = (options.mean_weights ? 1 : 0) + (options.engine_noise ? 1 : 0) +
                        (options.engine_weights.empty() ? 0 : 1);
    if (weights > 1) {
      throw UsageError(
          "--mean-weights, --engine-noise, --engine-weights: expected one of them at most");
    }
    if (options.posterior_path.empty() && (weights == 0 || options.engine_noise)) {
      throw UsageError(
          "--model: expected --posterior P.npz with it, or --mean-weights, or --engine-weights "
          "FILE.mu8");
    }
    if (const char* name = options.sampling.EngineOnly()) {
      throw UsageError(std::string(name) + ": belongs to a .mu8 file, not to the FP32 reference");
    }
  } else if (!options.posterior_path.empty() || options.mean_weights || options.engine_noise ||
             !options.engine_weights.empty() || !options.mean.empty() || !options.std.empty()) {
    throw UsageError(
        "--posterior, --mean-weights, --engine-noise, --engine-weights, --mean and --std belong to "
        "--model M.onnx; a .mu8 file has its own");
  }
  if (options.curves && !options.json) throw UsageError("--curves: expected --json with it");
}

host::Dataset Load(const Options& options, const std::string& path, std::size_t limit,
                   const Shape& shape) {
  host::Dataset data = host::LoadDataset(path, limit, shape.input, options.data);
  PrintNotices(data.notices);
  return data;
}

bool IsNumeric(convert::Head head) {
  return head != convert::Head::kSoftmax && head != convert::Head::kSigmoid;
}

// Files of predictions made elsewhere, and comparisons with them, are of classes so far.
void CheckHead(const Options& options, convert::Head head) {
  if (head != convert::Head::kValues && !options.noise.empty()) {
    throw UsageError(std::string("--noise: belongs to values, the head is ") +
                     convert::HeadName(head));
  }
  if (head == convert::Head::kSoftmax) return;
  const char* option = !options.recorded.empty()                              ? "--recorded"
                       : !options.against_path.empty()                        ? "--against"
                       : options.curves                                       ? "--curves"
                       : IsNumeric(head) && !options.uncertainty_path.empty() ? "--uncertainty"
                                                                              : nullptr;
  if (option != nullptr) {
    throw UsageError(std::string(option) + ": is about probabilities of classes, the outputs are " +
                     (head == convert::Head::kSigmoid ? "labels" : "numbers"));
  }
}

// One variance for each output; empty: not given.
std::vector<double> ParseNoise(const std::string& text, const Outputs& outputs) {
  if (text.empty()) return {};
  const std::vector<float> values = ParseFloats("--noise", text);
  if (values.size() != outputs.count ||
      std::ranges::any_of(values, [](float value) { return value <= 0; })) {
    throw UsageError("--noise: is \"" + text + "\", expected " + std::to_string(outputs.count) +
                     " variances above zero, one for each output");
  }
  return {values.begin(), values.end()};
}

// Of each number the variance of its observation, where it is known: as the option says, or the
// network or its file.
std::vector<double> NoiseOf(const Options& options, const Outputs& outputs,
                            const convert::EnsembleResult& result) {
  std::vector<double> given = ParseNoise(options.noise, outputs);
  if (!given.empty()) return given;
  return {result.noise.begin(), result.noise.end()};
}

void WriteOutputs(const Options& options, const convert::EnsembleResult& result) {
  if (!options.predictions_path.empty()) {
    host::WriteFileAtomically(options.predictions_path, result.mean.data(),
                              result.mean.size() * sizeof(float));
  }
  static_assert(sizeof(convert::Uncertainty) == 3 * sizeof(float));
  if (!options.uncertainty_path.empty()) {
    host::WriteFileAtomically(options.uncertainty_path, result.uncertainty.data(),
                              result.uncertainty.size() * sizeof(convert::Uncertainty));
  }
}

using Predict = std::function<convert::EnsembleResult(const host::Dataset&)>;

// Everything after loading the network: `run` predicts. All that can be wrong with the options and
// the files is found before that.
void Evaluate(const Options& options, const Shape& shape, const Predict& run) {
  const Outputs& outputs = shape.outputs;
  const host::Dataset data = Load(options, options.data_path, options.limit, shape);
  Targets targets = ReadTargets(options.data_path, data, outputs, options.sorted_folders);
  std::vector<host::Dataset> ood;
  for (const std::string& path : options.ood_paths) {
    ood.push_back(Load(options, path, options.ood_limit, shape));
  }
  CheckHead(options, outputs.head);
  std::vector<float> other;
  if (!options.against_path.empty()) {
    other = convert::ReadPredictions(options.against_path, data.count * outputs.positions,
                                     outputs.count);
  }
  std::vector<NamedPath> inputs = {
      {"MODEL", options.model_path},           {"--model", options.onnx_path},
      {"--posterior", options.posterior_path}, {"--engine-weights", options.engine_weights},
      {"--data", options.data_path},           {"--against", options.against_path}};
  const auto add = [&inputs](const std::string& option, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) inputs.push_back({option, path});
  };
  add("--ood", options.ood_paths);
  add("--recorded", options.recorded);
  add("--recorded-uncertainty", options.recorded_uncertainty);
  CheckOutputs(
      {{"--predictions", options.predictions_path}, {"--uncertainty", options.uncertainty_path}},
      inputs);

  Report report{.model = options.onnx_path.empty() ? options.model_path : options.onnx_path,
                .data = options.data_path,
                .seed = options.sampling.seed,
                .result = run(data),
                .names = outputs.names,
                .targets = std::move(targets),
                .noise = {},
                .against = options.against_path,
                .kl_against = {},
                .label_agreement = {},
                .ood = {},
                .curves = options.curves};
  report.noise = NoiseOf(options, outputs, report.result);
  if (!other.empty()) {
    const host::Probabilities there{other, outputs.count};
    report.kl_against = host::MeanKl(there, report.result.view());
    report.label_agreement = host::LabelAgreement(there, report.result.view());
  }
  WriteOutputs(options, report.result);
  for (std::size_t i = 0; i < ood.size(); ++i) {
    report.ood.push_back({.data = options.ood_paths[i], .result = run(ood[i])});
  }
  const Json json = ReportJson(report);
  if (options.json) {
    PrintJson(json);
  } else {
    PrintReport(report, json);
  }
}

// What the network's predictions are judged by.
Shape ShapeOf(const convert::Reference& reference) {
  return {.input = reference.input(),
          .outputs = {.head = reference.head(),
                      .count = reference.classes(),
                      .positions = reference.positions(),
                      .names = reference.labels()}};
}

void RunRecorded(const Options& options) {
  convert::ReferenceOptions of;
  of.onnx_path = options.onnx_path;
  of.head = options.head.Parse();
  of.output_name = options.output_name;
  const convert::Reference network(of);
  std::size_t set = 0;  // Evaluate asks for --data first, then for each --ood in order
  Evaluate(options, ShapeOf(network), [&](const host::Dataset& data) {
    const std::string& predictions = options.recorded[set];
    const std::string uncertainty =
        options.recorded_uncertainty.empty() ? "" : options.recorded_uncertainty[set];
    ++set;
    convert::EnsembleResult result =
        convert::ReadRecorded(predictions, uncertainty, data.count, network.classes());
    result.samples = options.sampling.samples;
    return result;
  });
}

void RunReference(const Options& options) {
  convert::ReferenceOptions to{.onnx_path = options.onnx_path,
                               .posterior_path = options.posterior_path,
                               .head = options.head.Parse(),
                               .output_name = options.output_name,
                               .samples = options.sampling.samples,
                               .seed = options.sampling.seed,
                               .batch = options.batch.value_or(kReferenceBatch),
                               .mean_weights = options.mean_weights,
                               .engine_noise = options.engine_noise,
                               .engine_weights = options.engine_weights,
                               .mean = {},
                               .std = {}};
  ParseNormalization(options.mean, options.std, &to.mean, &to.std);
  convert::Reference reference(to);
  PrintNotices(reference.notices());
  Evaluate(options, ShapeOf(reference), [&reference](const host::Dataset& data) {
    PrintNotices(reference.Fit(data));
    ProgressBar progress;
    return reference.Run(data, progress.Function());
  });
}

void RunModel(const Options& options) {
  const host::ModelFile file = host::OpenModel(options.model_path);
  const Model& model = file.model;
  const Shape shape{.input = host::InputSpecOf(model),
                    .outputs = {.head = static_cast<convert::Head>(model.head()),
                                .count = model.class_count(),
                                .positions = model.output_size() / model.class_count(),
                                .names = host::Labels(model)}};
  if (options.sampling.stop_error) {
    std::fputs(
        "mu8: note: with --stop-error images have different numbers of samples; mutual information "
        "grows with them, so its means and rankings do not compare with those of other runs\n",
        stderr);
  }
  const SessionOptions session =
      options.sampling.ForSession(model, options.batch.value_or(kQuantizedBatch));
  Evaluate(options, shape, [&](const host::Dataset& data) {
    ProgressBar progress;
    return convert::RunQuantized(file, session, data, progress.Function());
  });
}

void Run(const Options& options) {
  CheckUsage(options);
  if (!options.recorded.empty()) {
    RunRecorded(options);
  } else if (options.onnx_path.empty()) {
    RunModel(options);
  } else {
    RunReference(options);
  }
}

// The model, or the FP32 reference and how it draws.
void AddModelOptions(CLI::App* app, Options* options) {
  app->add_option("MODEL", options->model_path, "A .mu8 file");
  app->add_option("--model", options->onnx_path, "Instead of it: the FP32 reference's ONNX file")
      ->type_name("M.onnx");
  app->add_option("--posterior", options->posterior_path, "The reference's sigmas")
      ->type_name("P.npz");
  options->head.AddTo(app);
  app->add_option("--output-name", options->output_name,
                  "Which of the reference's outputs, if it has several")
      ->type_name("NAME");
  app->add_flag("--mean-weights", options->mean_weights,
                "Reference: one pass with the mean weights");
  app->add_flag("--engine-noise", options->engine_noise,
                "Reference: the random bytes that the engine draws for this seed, so that only "
                "quantization separates the two");
  app->add_option("--engine-weights", options->engine_weights,
                  "Reference: the weights that the engine draws from this file, made of M.onnx, so "
                  "that only activations are quantized differently; needs no --posterior")
      ->type_name("FILE.mu8");
  app->add_option("--mean", options->mean, "Reference: input is (u8 / 255 - mean) / std")
      ->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
}

void AddDataSets(CLI::App* app, Options* options) {
  app->add_flag("--sorted-folders", options->sorted_folders,
                "Class folders are the classes in sorted order, whatever their names");
  AddDataOptions(app, &options->data);
  AddTargets(app, &options->data);
  app->add_option("--data", options->data_path, "Data, with or without labels or targets")
      ->required()
      ->type_name("DATA");
  app->add_option("--noise", options->noise,
                  "Values: the variance of the observations' noise, one for each output")
      ->type_name("A,B,..");
  app->add_option("--limit", options->limit, "Use the first N images only")
      ->check(WholeNumber(1, std::numeric_limits<std::size_t>::max()))
      ->type_name("N");
  options->sampling.AddTo(app);
  app->add_option("--batch", options->batch, "Images a call [64; FP32 reference: 16]")
      ->check(WholeNumber(1, 65536));
  CLI::Option* ood = app->add_option("--ood", options->ood_paths,
                                     "Images of something else: how well uncertainty tells them "
                                     "from those of --data; may be given again")
                         ->type_name("DATA")
                         ->expected(1)
                         ->take_all();
  app->add_option("--ood-limit", options->ood_limit, "Use the first N images of each --ood only")
      ->check(WholeNumber(1, std::numeric_limits<std::size_t>::max()))
      ->needs(ood)
      ->type_name("N");
}

// Predictions written, and predictions of other runs.
void AddPredictionFiles(CLI::App* app, Options* options) {
  app->add_option("--predictions", options->predictions_path,
                  "Write the float32 probabilities, images x classes")
      ->type_name("FILE");
  app->add_option("--uncertainty", options->uncertainty_path,
                  "Write float32 entropy, aleatoric entropy and mutual information, images x 3")
      ->type_name("FILE");
  CLI::Option* recorded =
      app->add_option("--recorded", options->recorded,
                      "Judge these predictions of M.onnx instead of running it; see below")
          ->type_name("FILE.f32")
          ->expected(1)
          ->take_all();
  app->add_option("--recorded-uncertainty", options->recorded_uncertainty,
                  "Their entropies, as --uncertainty writes them")
      ->type_name("FILE.f32")
      ->expected(1)
      ->take_all()
      ->needs(recorded);
  app->add_option("--against", options->against_path,
                  "Such a file of another run: gives kl_against")
      ->type_name("FILE.f32");
}

}  // namespace

Command AddEval(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("eval", "Accuracy, calibration and uncertainty over a data set");
  const auto options = std::make_shared<Options>();
  AddModelOptions(app, options.get());
  AddDataSets(app, options.get());
  AddPredictionFiles(app, options.get());
  AddJsonFlag(app, &options->json);
  app->add_flag("--curves", options->curves,
                "With --json: also bins, curves and histograms for plots");
  app->footer(kFooter);
  return {app, [options] { Run(*options); }};
}

}  // namespace mu8::tool
