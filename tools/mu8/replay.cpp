// mu8 replay: computes a recorded prediction again and says whether the bytes are the same.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/model_file.h"
#include "tools/mu8/command.h"
#include "tools/mu8/image_input.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/prediction_crc.h"
#include "tools/mu8/replay_record.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  std::string record_path, model_path, image;
  host::DataOptions data{.may_be_one = true};
  std::uint32_t index = 0;
  bool json = false;
};

constexpr const char* kFooter = R"(
RECORD is what `mu8 predict --json` printed, of which --index says the prediction (from 0), or the
object "replay" of one. The record holds everything but the image: the model's hash, method, seed,
passes, noise and stop rule. Exit code 0: the prediction has the same bytes; 1: it has others, or the model
is another one.)";

// The record within what was printed.
Json FindRecord(const Options& options) {
  Json json;
  try {
    json = Json::parse(host::ReadTextFile(options.record_path, "what `mu8 predict --json` printed",
                                          std::size_t{1} << 30));
  } catch (const Json::exception& problem) {
    throw host::Error(options.record_path + ": is no JSON: " + problem.what());
  }
  if (!json.is_object()) throw host::Error(options.record_path + ": expected a JSON object");
  if (json.contains("predictions")) {
    const Json predictions = json["predictions"];
    if (!predictions.is_array() || options.index >= predictions.size()) {
      throw host::Error(options.record_path + ": has no prediction " +
                        std::to_string(options.index));
    }
    json = predictions[options.index];
  }
  return json.is_object() && json.contains("replay") ? json["replay"] : json;
}

void Run(const Options& options) {
  const Recorded recorded = ParseReplay(FindRecord(options));
  const host::ModelFile file = host::OpenModel(options.model_path);
  if (file.model.hash() != recorded.record.model_hash) {
    throw host::Error(options.model_path + ": is not the model of " + options.record_path +
                      ", its hash is another one");
  }
  std::vector<std::string> notices;
  const std::vector<ImageInput> inputs =
      LoadInputs(options.image, file.model, options.data, &notices);
  PrintNotices(notices);
  if (inputs.size() != 1) throw host::Error(options.image + ": expected one image, FILE#n");
  host::Runner runner(file, ReplayOptions(recorded.record, recorded.chosen));
  Prediction prediction;
  runner.Predict(inputs[0].name, inputs[0].data, 0, {&prediction, 1});
  const bool equal = PredictionCrc(prediction) == recorded.prediction_crc;
  if (options.json) {
    PrintJson(
        {{"equal", equal}, {"kernels", runner.kernels()}, {"replay", ReplayJson(prediction)}});
  } else if (equal) {
    const std::string how = recorded.record.method == Method::kMoments
                                ? "by moments"
                                : std::to_string(prediction.samples_used) + " samples";
    std::printf("%s: the same bytes, %s, kernels %s\n", Printable(options.image).c_str(),
                how.c_str(), runner.kernels());
  }
  if (!equal) {
    throw host::Error(options.image +
                      ": the prediction has other bytes than the recorded one: "
                      "another image, or a bug");
  }
}

}  // namespace

Command AddReplay(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("replay", "Compute a recorded prediction again, and compare");
  const auto options = std::make_shared<Options>();
  app->add_option("RECORD", options->record_path, "JSON with the record")->required();
  app->add_option("MODEL", options->model_path, "A .mu8 file")->required();
  app->add_option("IMAGE", options->image, "The image, as `mu8 predict` takes it")->required();
  app->add_option("--index", options->index, "Which of several predictions")
      ->check(WholeNumber(0, 1000000000))
      ->capture_default_str();
  AddDataOptions(app, &options->data);
  AddTargets(app, &options->data);
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options] { Run(*options); }};
}

}  // namespace mu8::tool
