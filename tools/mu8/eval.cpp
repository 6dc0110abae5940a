// mu8 eval: accuracy, calibration and uncertainty over data sets, of a .mu8 file or of the FP32
// reference. Here are the data and the runs; eval_options.cpp has the options, eval_report.cpp
// judges what came out.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "converters/convert.h"
#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/host/metrics_labels.h"
#include "converters/host/output_file.h"
#include "converters/host/target_layout.h"
#include "converters/judge/ensemble_members.h"
#include "converters/judge/ensemble_quantized.h"
#include "converters/judge/ensemble_recorded.h"
#include "converters/judge/ensemble_reference.h"
#include "tools/mu8/command.h"
#include "tools/mu8/eval_options.h"
#include "tools/mu8/eval_page.h"
#include "tools/mu8/eval_report.h"
#include "tools/mu8/eval_targets.h"
#include "tools/mu8/eval_text.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

constexpr std::uint32_t kQuantizedBatch = 64;
constexpr std::uint32_t kReferenceBatch = 16;  // its activations stay in the caches

// What the data must fit.
struct Shape {
  host::InputSpec input;
  Outputs outputs;
};

host::Dataset Load(const EvalOptions& options, const std::string& path, std::size_t limit,
                   const Shape& shape) {
  host::Dataset data = host::LoadDataset(path, limit, shape.input, options.data);
  PrintNotices(data.notices);
  return data;
}

// Of each number the variance of its observation, where it is known: as the option says, or the
// network or its file.
std::vector<double> NoiseOf(const EvalOptions& options, const Outputs& outputs,
                            const convert::EnsembleResult& result) {
  std::vector<double> given = ParseNoise(options.noise, outputs);
  if (!given.empty()) return given;
  return {result.noise.begin(), result.noise.end()};
}

void AddOutputs(const EvalOptions& options, const convert::EnsembleResult& result,
                host::OutputFiles* files) {
  if (!options.predictions_path.empty()) {
    files->Add(options.predictions_path, result.mean.data(), result.mean.size() * sizeof(float));
  }
  static_assert(sizeof(convert::Uncertainty) == 3 * sizeof(float));
  if (!options.uncertainty_path.empty()) {
    files->Add(options.uncertainty_path, result.uncertainty.data(),
               result.uncertainty.size() * sizeof(convert::Uncertainty));
  }
}

using Predict = std::function<convert::EnsembleResult(const host::Dataset&)>;

// Everything after loading the network: `run` predicts. All that can be wrong with the options and
// the files is found before that.
void Evaluate(const EvalOptions& options, const Shape& shape, const Predict& run,
              host::OutputFiles* files) {
  const Outputs& outputs = shape.outputs;
  const host::Dataset data = Load(options, options.data_path, options.limit, shape);
  Targets targets = ReadTargets(options.data_path, data, outputs, options.sorted_folders);
  if (!targets.notice.empty()) PrintNotices({targets.notice});
  std::vector<host::Dataset> ood;
  for (const std::string& path : options.ood_paths) {
    ood.push_back(Load(options, path, options.ood_limit, shape));
  }
  CheckHead(options, outputs.head);
  std::vector<float> other;
  if (!options.against_path.empty()) {
    other = convert::ReadPredictions(options.against_path, outputs.head,
                                     data.count * outputs.positions, outputs.count);
  }
  std::vector<NamedPath> inputs = {{"--model", options.onnx_path},
                                   {"--posterior", options.posterior_path},
                                   {"--engine-weights", options.engine_weights},
                                   {"--data", options.data_path},
                                   {"--against", options.against_path}};
  const auto add = [&inputs](const std::string& option, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) inputs.push_back({option, path});
  };
  add("MODEL", options.model_paths);
  add("--ood", options.ood_paths);
  add("--recorded", options.recorded);
  add("--recorded-uncertainty", options.recorded_uncertainty);
  CheckOutputs({{"--predictions", options.predictions_path},
                {"--uncertainty", options.uncertainty_path},
                {"--report", options.report_path}},
               inputs);

  Report report{
      .model = options.onnx_path.empty() ? options.model_paths.front() : options.onnx_path,
      .members = options.model_paths,
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
      .curves = options.curves ||
                (!options.report_path.empty() && outputs.head == convert::Head::kSoftmax)};
  report.noise = NoiseOf(options, outputs, report.result);
  if (!other.empty()) {
    const host::Probabilities there{other, outputs.count};
    const bool softmax = outputs.head == convert::Head::kSoftmax;
    report.kl_against = softmax ? host::MeanKl(there, report.result.view())
                                : host::MeanBernoulliKl(there, report.result.view());
    if (softmax) report.label_agreement = host::LabelAgreement(there, report.result.view());
  }
  AddOutputs(options, report.result, files);
  for (std::size_t i = 0; i < ood.size(); ++i) {
    report.ood.push_back({.data = options.ood_paths[i], .result = run(ood[i])});
  }
  Json json = ReportJson(report);
  if (!options.report_path.empty()) {
    const std::string page = EvalPage(json);
    files->Add(options.report_path, page.data(), page.size());
  }
  if (!options.curves) json.erase("curves");
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
                      .array = host::AnswerSpec(reference.output_size(), reference.input()),
                      .names = reference.labels()}};
}

void RunRecorded(const EvalOptions& options, host::OutputFiles* files) {
  convert::ReferenceOptions of;
  of.onnx_path = options.onnx_path;
  of.head = options.head.Parse();
  of.output_name = options.output_name;
  const convert::Reference network(of);
  std::size_t set = 0;  // Evaluate asks for --data first, then for each --ood in order
  Evaluate(
      options, ShapeOf(network),
      [&](const host::Dataset& data) {
        const std::string& predictions = options.recorded[set];
        const std::string uncertainty =
            options.recorded_uncertainty.empty() ? "" : options.recorded_uncertainty[set];
        ++set;
        convert::EnsembleResult result = convert::ReadRecorded(
            predictions, uncertainty, data.count * network.positions(), network.classes());
        result.positions = network.positions();
        result.samples = options.sampling.samples;
        return result;
      },
      files);
}

void RunReference(const EvalOptions& options, host::OutputFiles* files) {
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
  Evaluate(
      options, ShapeOf(reference),
      [&reference](const host::Dataset& data) {
        PrintNotices(reference.Fit(data));
        ProgressBar progress;
        return reference.Run(data, progress.Function());
      },
      files);
}

Shape ShapeOf(const Model& model) {
  const host::InputSpec input = host::InputSpecOf(model);
  const host::ImageSize size = {static_cast<int>(model.output_height()),
                                static_cast<int>(model.output_width()),
                                static_cast<int>(model.class_count())};
  return {.input = input,
          .outputs = {.head = static_cast<convert::Head>(model.head()),
                      .count = model.class_count(),
                      .positions = model.output_size() / model.class_count(),
                      .array = host::AnswerSpec(size, input),
                      .names = host::Labels(model)}};
}

// Members of an ensemble answer the same question about the same inputs, each in its own way.
void CheckMember(const host::ModelFile& first, const host::ModelFile& other) {
  const Model &a = first.model, &b = other.model;
  const auto differ = [&](const char* what) {
    throw host::Error(other.path + ": differs from " + first.path + " in its " + what +
                      ", expected members of an ensemble to be alike in it");
  };
  if (a.input_height() != b.input_height() || a.input_width() != b.input_width() ||
      a.input_channels() != b.input_channels() || a.input_kind() != b.input_kind()) {
    differ("input");
  }
  if (host::LayoutText(host::InputSpecOf(a)) != host::LayoutText(host::InputSpecOf(b))) {
    differ("layout of arrays");
  }
  if (a.head() != b.head()) differ("head");
  if (a.class_count() != b.class_count() || a.output_size() != b.output_size()) {
    differ("outputs");
  }
  if (host::Labels(a) != host::Labels(b)) differ("names of the outputs");
  if (a.hash() == b.hash()) {
    throw host::Error(other.path + ": is the same model as " + first.path +
                      ", expected members of an ensemble to be different ones");
  }
}

void RunModels(const EvalOptions& options, host::OutputFiles* outputs) {
  std::vector<host::ModelFile> files;
  for (const std::string& path : options.model_paths) {
    files.push_back(host::OpenModel(path));
    for (std::size_t i = 0; i + 1 < files.size(); ++i) CheckMember(files[i], files.back());
  }
  if (options.sampling.stop.error || options.sampling.is_auto()) {
    const std::string option = options.sampling.is_auto() ? "--method auto" : "--stop-error";
    std::fputs(
        ("mu8: note: with " + option +
         " images have different numbers of samples; mutual information "
         "grows with them, so its means and rankings do not compare with those of other runs\n")
            .c_str(),
        stderr);
  }
  std::vector<std::uint8_t> chosen;
  const SessionOptions session = options.sampling.ForSession(
      files.front().model, options.batch.value_or(kQuantizedBatch), &chosen);
  Evaluate(
      options, ShapeOf(files.front().model),
      [&](const host::Dataset& data) {
        ProgressBar progress;
        std::vector<convert::EnsembleResult> results;
        for (const host::ModelFile& file : files) {
          results.push_back(convert::RunQuantized(file, session, data, progress.Function()));
        }
        return files.size() == 1 ? std::move(results.front()) : convert::Together(results);
      },
      outputs);
}

void Run(const EvalOptions& options, host::OutputFiles* files) {
  CheckUsage(options);
  if (!options.recorded.empty()) {
    RunRecorded(options, files);
  } else if (options.onnx_path.empty()) {
    RunModels(options, files);
  } else {
    RunReference(options, files);
  }
}

}  // namespace

Command AddEval(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("eval", "Accuracy, calibration and uncertainty over a data set");
  const auto options = std::make_shared<EvalOptions>();
  AddEvalOptions(app, options.get());
  AddReport(app, &options->report_path);
  AddJsonFlag(app, &options->json);
  app->add_flag("--curves", options->curves,
                "With --json: also bins, curves and histograms for plots");
  return {app, [options](host::OutputFiles* files) { Run(*options, files); }};
}

}  // namespace mu8::tool
