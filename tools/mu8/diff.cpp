// mu8 diff: the engine beside its FP32 reference, layer by layer, with the same random bytes.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/judge/difference.h"
#include "converters/network/head.h"
#include "converters/network/input.h"
#include "converters/onnx/import.h"
#include "formats/reader.h"
#include "tools/mu8/command.h"
#include "tools/mu8/diff_moments.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

constexpr std::uint32_t kSamples = 10, kMomentsSamples = 50;

struct Options {
  std::string model_path, onnx_path, posterior_path, data_path;
  std::string mean, std, output_name, method = "sampling";
  host::DataOptions data;
  std::size_t limit = 128;
  std::optional<std::uint32_t> samples;
  std::uint64_t seed = 1;
  bool json = false;
};

constexpr const char* kFooter = R"(
Both networks draw the same random bytes, so all that differs is quantization. For each layer, in
the order of the file:

sqnr          power of the FP32 activations over that of the engine's error, dB, pass by pass
mean          the same of the means over the passes
variance      the same of the variances over the passes
kept          summed variance of the engine's activations over that of FP32's
saturated     fraction of stored values at the end of their range
by weights    divergence of FP32 with this layer's weights as the engine draws them
by values     divergence of FP32 with this layer's result as the engine stores it

A divergence from FP32 is, of a softmax, KL(FP32 || other) of the mean predictions in nats; of
sigmoids the sum of KL over the labels; of values the sum over the outputs of the squared differences
of mean and deviation over the output's variance. The last two columns quantize one layer at a time.
They need not add up to the engine's. With few samples they still compare layers: the noise is the
same in all.)";

// The network as the file takes it, and the data.
struct Loaded {
  convert::Network network;
  host::Dataset data;
};

// Whether any of the file's weights have deviations.
bool IsRandom(const host::ModelFile& file) {
  format::View view;
  Diagnostic diagnostic;
  if (format::Open(file.bytes.span(), &view, &diagnostic) != Status::kOk) {
    throw host::Error(file.path + ": " + host::Explained(diagnostic));
  }
  for (std::uint32_t i = 0; i < view.layer_count(); ++i) {
    if ((view.layer(i).flags & format::kLayerBayesian) != 0) return true;
  }
  return false;
}

Loaded Load(const Options& options, const host::ModelFile& file) {
  if (options.posterior_path.empty() && IsRandom(file)) {
    throw UsageError("--posterior is required: the file's weights are random");
  }
  convert::Network network =
      convert::ImportWithPosterior(options.onnx_path, options.posterior_path, options.output_name);
  std::vector<std::string> notices, problems;
  // As the file says: its conversion was told so.
  const auto metadata = [&](const char* key) { return std::string(file.model.Metadata(key)); };
  convert::HeadOptions outputs{.head = static_cast<convert::Head>(file.model.head()),
                               .scale = convert::FindScale(metadata("scale"))};
  if (!metadata("output_mean").empty()) {
    outputs.mean = ParseFloats("output_mean", metadata("output_mean"));
  }
  if (!metadata("output_std").empty()) {
    outputs.std = ParseFloats("output_std", metadata("output_std"));
  }
  convert::ResolveOutputs(outputs, &network, &notices, &problems);
  notices.clear();
  convert::Normalization given;
  ParseNormalization(options.mean, options.std, &given.mean, &given.std);
  host::InputSpec input = convert::InputSpecOf(network);
  input.columns = host::InputSpecOf(file.model).columns;
  host::Dataset data = host::LoadDataset(options.data_path, options.limit, input, options.data);
  convert::FitInput(data, &network, &problems);
  convert::ResolveNormalization(given, data, &network, &notices, &problems);
  if (!problems.empty()) throw host::Error(problems);
  PrintNotices(data.notices);
  PrintNotices(notices);
  return {std::move(network), std::move(data)};
}

bool HasDecisions(convert::Head head) {
  return head == convert::Head::kSoftmax || head == convert::Head::kSigmoid;
}

// What a divergence is called: of values it is no KL.
std::string Key(convert::Head head, const char* what = "") {
  return std::string(HasDecisions(head) ? "kl" : "divergence") + what;
}

Json LayerJson(convert::Head head, const convert::LayerDifference& layer) {
  return {{"name", layer.name},
          {"operator", layer.op},
          {"sqnr_db", layer.sqnr},
          {"sqnr_of_mean_db", layer.sqnr_of_mean},
          {"sqnr_of_variance_db", layer.sqnr_of_variance},
          {"variance_kept", layer.variance_kept},
          {"saturation", layer.saturation},
          {Key(head, "_of_weights"), layer.divergence_of_weights},
          {Key(head, "_of_activations"), layer.divergence_of_activations}};
}

Json DifferenceJson(const Options& options, const convert::Difference& difference) {
  Json layers = Json::array();
  for (const convert::LayerDifference& layer : difference.layers)
    layers.push_back(LayerJson(difference.head, layer));
  Json json{{"model", options.model_path},
            {"reference", options.onnx_path},
            {"data", options.data_path},
            {"images", difference.images},
            {"samples", *options.samples},
            {"seed", options.seed},
            {"head", convert::HeadName(difference.head)},
            {Key(difference.head), difference.divergence},
            {Key(difference.head, "_of_input"), difference.divergence_of_input}};
  if (HasDecisions(difference.head)) json["label_agreement"] = difference.agreement;
  json["layers"] = layers;
  return json;
}

// The layer whose quantization alone changes the predictions most.
const convert::LayerDifference& Costliest(const convert::Difference& difference) {
  return *std::max_element(
      difference.layers.begin(), difference.layers.end(),
      [](const convert::LayerDifference& a, const convert::LayerDifference& b) {
        return a.divergence_of_weights + a.divergence_of_activations <
               b.divergence_of_weights + b.divergence_of_activations;
      });
}

void PrintAsText(const Options& options, const convert::Difference& difference) {
  using Align = Table::Align;
  Table table({{"layer", Align::kLeft},
               {"operator", Align::kLeft},
               {"sqnr dB"},
               {"mean"},
               {"variance"},
               {"kept"},
               {"saturated"},
               {"by weights"},
               {"by values"}});
  for (const convert::LayerDifference& layer : difference.layers) {
    table.Add({Printable(layer.name), Printable(layer.op), Fixed(layer.sqnr, 1),
               Fixed(layer.sqnr_of_mean, 1), Fixed(layer.sqnr_of_variance, 1),
               Fixed(layer.variance_kept, 3), Percent(layer.saturation, 3),
               Significant(layer.divergence_of_weights, 3),
               Significant(layer.divergence_of_activations, 3)});
  }
  std::fputs(table.ToString().c_str(), stdout);
  const convert::LayerDifference& costliest = Costliest(difference);
  Table fields = Fields();
  fields.Add({"images, samples", std::to_string(difference.images) + ", " +
                                     std::to_string(*options.samples) + " of seed " +
                                     std::to_string(options.seed)});
  const char* unit = HasDecisions(difference.head) ? " nats" : " of the outputs' variance";
  fields.Add({HasDecisions(difference.head) ? "KL(FP32 || engine)" : "FP32 to engine",
              Significant(difference.divergence, 4) + unit});
  fields.Add({"of the input alone", Significant(difference.divergence_of_input, 4) + unit});
  if (HasDecisions(difference.head)) {
    fields.Add({"same label", Percent(difference.agreement, 2)});
  }
  fields.Add(
      {"costs most", Printable(costliest.name) + ": " +
                         Significant(costliest.divergence_of_weights, 3) + " by its weights, " +
                         Significant(costliest.divergence_of_activations, 3) + " by its values"});
  std::fputs(fields.ToString().c_str(), stdout);
}

// Nothing of FP32.
void RunMoments(const Options& options) {
  if (!options.onnx_path.empty() || !options.posterior_path.empty() ||
      !options.output_name.empty() || !options.mean.empty() || !options.std.empty()) {
    throw UsageError(
        "--method moments: compares the file with itself, without --model and what belongs to it");
  }
  if (options.samples == 1) {
    throw UsageError("--samples: is 1, --method moments needs 2 to tell a variance");
  }
  DiffMoments({.model_path = options.model_path,
               .data_path = options.data_path,
               .data = options.data,
               .limit = options.limit,
               .samples = options.samples.value_or(kMomentsSamples),
               .seed = options.seed,
               .json = options.json});
}

void Run(Options options) {
  if (options.method == "moments") return RunMoments(options);
  if (options.onnx_path.empty()) {
    throw UsageError("--model is required, the ONNX file, or --method moments");
  }
  if (!options.samples) options.samples = kSamples;
  const host::ModelFile file = host::OpenModel(options.model_path);
  Loaded loaded = Load(options, file);
  ProgressBar progress;
  const convert::Difference difference =
      convert::Compare(file, std::move(loaded.network), loaded.data,
                       {.samples = *options.samples, .seed = options.seed}, progress.Function());
  progress.Clear();
  if (options.json) {
    PrintJson(DifferenceJson(options, difference));
  } else {
    PrintAsText(options, difference);
  }
}

}  // namespace

Command AddDiff(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("diff", "Where a .mu8 file leaves its FP32 reference, by layer");
  const auto options = std::make_shared<Options>();
  app->add_option("MODEL", options->model_path, "A .mu8 file")->required();
  app->add_option("--method", options->method,
                  "What is compared: sampling with FP32, or moments with sampling")
      ->check(CLI::IsMember({"sampling", "moments"}))
      ->type_name("HOW")
      ->capture_default_str();
  app->add_option("--model", options->onnx_path, "The ONNX file that it was made from")
      ->type_name("M.onnx");
  app->add_option("--posterior", options->posterior_path,
                  "The sigmas that it was made from, if it has any")
      ->type_name("P.npz");
  app->add_option("--output-name", options->output_name,
                  "Which of the graph's outputs, if it has several")
      ->type_name("NAME");
  app->add_option("--mean", options->mean, "Input is (u8 / 255 - mean) / std")->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
  AddDataOptions(app, &options->data);
  AddTargets(app, &options->data);
  app->add_option("--data", options->data_path, "Images or numbers; labels are not used")
      ->required()
      ->type_name("DATA");
  app->add_option("--limit", options->limit, "Use the first N images only [128]")
      ->check(WholeNumber(1, std::numeric_limits<std::size_t>::max()))
      ->type_name("N");
  app->add_option("--samples", options->samples, "Passes [10; by moments 50]")
      ->check(WholeNumber(1, 65536));
  app->add_option("--seed", options->seed, "Of the random bytes [1]")
      ->check(WholeNumber(0, std::numeric_limits<std::uint64_t>::max()));
  AddJsonFlag(app, &options->json);
  app->footer(std::string(kFooter) + "\n" + kMomentsDiffText);
  return {app, [options](host::OutputFiles*) { Run(*options); }};
}

}  // namespace mu8::tool
