// mu8 diff: the engine beside its FP32 reference, layer by layer, with the same random bytes.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>

#include "converters/host/datasets.h"
#include "converters/host/error.h"
#include "converters/judge/difference.h"
#include "converters/network/head.h"
#include "converters/onnx/import.h"
#include "tools/mu8/command.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  std::string model_path, onnx_path, posterior_path, data_path;
  std::string mean, std, output_name;
  std::size_t limit = 128;
  std::uint32_t samples = 10;
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
KL weights    KL(FP32 || FP32 with this layer's weights as the engine draws them), nats
KL values     KL(FP32 || FP32 with this layer's result as the engine stores it), nats

The last two are of the mean predictions, one layer quantized at a time. They need not add up to
the KL of the engine. With few samples they still compare layers: the noise is the same in all.)";

convert::Network LoadNetwork(const Options& options, convert::Head head) {
  convert::Network network = convert::ImportOnnx(
      options.onnx_path, convert::ReadPosteriorOf(options.onnx_path, options.posterior_path),
      options.output_name);
  std::vector<std::string> notices, problems;
  convert::ResolveHead(head, &network, &notices, &problems);  // that of the file
  if (!problems.empty()) throw host::Error(problems);
  std::vector<float> mean, std;
  ParseNormalization(options.mean, options.std, &mean, &std);
  const convert::Value& input = network.values[static_cast<std::size_t>(network.input)];
  const auto channels = static_cast<std::size_t>(input.channels);
  if (!mean.empty()) network.mean = mean;
  if (!std.empty()) network.std = std;
  if (network.mean.empty()) network.mean.assign(channels, 0.0F);
  if (network.std.empty()) network.std.assign(channels, 1.0F);
  if (network.mean.size() != channels || network.std.size() != channels) {
    throw host::Error("--mean, --std: expected one number for each of the " +
                      std::to_string(channels) + " input channels");
  }
  return network;
}

Json LayerJson(const convert::LayerDifference& layer) {
  return {{"name", layer.name},
          {"operator", layer.op},
          {"sqnr_db", layer.sqnr},
          {"sqnr_of_mean_db", layer.sqnr_of_mean},
          {"sqnr_of_variance_db", layer.sqnr_of_variance},
          {"variance_kept", layer.variance_kept},
          {"saturation", layer.saturation},
          {"kl_of_weights", layer.kl_of_weights},
          {"kl_of_activations", layer.kl_of_activations}};
}

Json DifferenceJson(const Options& options, const convert::Difference& difference) {
  Json layers = Json::array();
  for (const convert::LayerDifference& layer : difference.layers)
    layers.push_back(LayerJson(layer));
  return {{"model", options.model_path},
          {"reference", options.onnx_path},
          {"data", options.data_path},
          {"images", difference.images},
          {"samples", options.samples},
          {"seed", options.seed},
          {"kl", difference.kl},
          {"kl_of_input", difference.kl_of_input},
          {"label_agreement", difference.label_agreement},
          {"layers", layers}};
}

// The layer whose quantization alone changes the predictions most.
const convert::LayerDifference& Costliest(const convert::Difference& difference) {
  return *std::max_element(
      difference.layers.begin(), difference.layers.end(),
      [](const convert::LayerDifference& a, const convert::LayerDifference& b) {
        return a.kl_of_weights + a.kl_of_activations < b.kl_of_weights + b.kl_of_activations;
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
               {"KL weights"},
               {"KL values"}});
  for (const convert::LayerDifference& layer : difference.layers) {
    table.Add({Printable(layer.name), Printable(layer.op), Fixed(layer.sqnr, 1),
               Fixed(layer.sqnr_of_mean, 1), Fixed(layer.sqnr_of_variance, 1),
               Fixed(layer.variance_kept, 3), Percent(layer.saturation, 3),
               Significant(layer.kl_of_weights, 3), Significant(layer.kl_of_activations, 3)});
  }
  std::fputs(table.ToString().c_str(), stdout);
  const convert::LayerDifference& costliest = Costliest(difference);
  Table fields = Fields();
  fields.Add({"images, samples", std::to_string(difference.images) + ", " +
                                     std::to_string(options.samples) + " of seed " +
                                     std::to_string(options.seed)});
  fields.Add({"KL(FP32 || engine)", Significant(difference.kl, 4) + " nats"});
  fields.Add({"KL of the input alone", Significant(difference.kl_of_input, 4) + " nats"});
  fields.Add({"same label", Percent(difference.label_agreement, 2)});
  fields.Add({"costs most", Printable(costliest.name) + ": " +
                                Significant(costliest.kl_of_weights, 3) + " by its weights, " +
                                Significant(costliest.kl_of_activations, 3) + " by its values"});
  std::fputs(fields.ToString().c_str(), stdout);
}

void Run(const Options& options) {
  const host::ModelFile file = host::OpenModel(options.model_path);
  convert::Network network = LoadNetwork(options, static_cast<convert::Head>(file.model.head()));
  const convert::Value& input = network.values[static_cast<std::size_t>(network.input)];
  const host::Dataset data = host::LoadDataset(options.data_path, options.limit,
                                               {input.height, input.width, input.channels});
  ProgressBar progress;
  const convert::Difference difference =
      convert::Compare(file, std::move(network), data,
                       {.samples = options.samples, .seed = options.seed}, progress.Function());
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
  app->add_option("--model", options->onnx_path, "The ONNX file that it was made from")
      ->required()
      ->type_name("M.onnx");
  app->add_option("--posterior", options->posterior_path, "The sigmas that it was made from")
      ->required()
      ->type_name("P.npz");
  app->add_option("--output-name", options->output_name,
                  "Which of the graph's outputs, if it has several")
      ->type_name("NAME");
  app->add_option("--mean", options->mean, "Input is (u8 / 255 - mean) / std")->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
  app->add_option("--data", options->data_path, "Images; labels are not used")
      ->required()
      ->type_name("DATA");
  app->add_option("--limit", options->limit, "Use the first N images only [128]")
      ->check(WholeNumber(1, std::numeric_limits<std::size_t>::max()))
      ->type_name("N");
  app->add_option("--samples", options->samples, "Passes [10]")->check(WholeNumber(1, 65536));
  app->add_option("--seed", options->seed, "Of the random bytes [1]")
      ->check(WholeNumber(0, std::numeric_limits<std::uint64_t>::max()));
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options] { Run(*options); }};
}

}  // namespace mu8::tool
