// mu8 replay: computes a recorded prediction again and says whether the bytes are the same.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/json.h"
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
passes, noise and stop rule. Exit code 0: the prediction has the same bytes, and the record's other fields
but library_version are the same; 1: something differs, or the model is another one.)";

// The record within what was printed.
nlohmann::json FindRecord(const Options& options) {
  const std::string& path = options.record_path;
  constexpr const char* kExpected = "what `mu8 predict --json` printed";
  constexpr std::size_t kMostBytes = std::size_t{1} << 30;
  nlohmann::json json =
      host::ParseJson(path + ": ", host::ReadTextFile(path, kExpected, kMostBytes), kExpected);
  if (!json.is_object()) throw host::Error(path + ": expected a JSON object");
  if (const auto found = json.find("predictions"); found != json.end()) {
    if (!found->is_array() || options.index >= found->size()) {
      throw host::Error(path + ": has no prediction " + std::to_string(options.index));
    }
    nlohmann::json prediction = std::move((*found)[options.index]);
    json = std::move(prediction);
  }
  if (!json.is_object() || !json.contains("replay")) return json;
  return std::move(json["replay"]);
}

// Everything that speaks against the record.
void CheckSame(const Options& options, const std::vector<std::string>& differences,
               bool same_bytes) {
  std::vector<std::string> problems;
  if (!same_bytes) {
    problems.push_back(options.image +
                       ": the prediction has other bytes than the recorded one: another image, or "
                       "a bug");
  }
  for (const std::string& difference : differences) {
    problems.push_back(options.record_path + ": replay record: " + difference);
  }
  if (!problems.empty()) throw host::Error(problems);
}

void Run(const Options& options) {
  const Recorded recorded = ParseReplay(options.record_path, FindRecord(options));
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
  const bool same_bytes = PredictionCrc(prediction) == recorded.prediction_crc;
  const std::vector<std::string> differences =
      RecordDifferences(recorded.record, prediction.replay);
  const bool equal = same_bytes && differences.empty();
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
  CheckSame(options, differences, same_bytes);
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
  return {app, [options](host::OutputFiles*) { Run(*options); }};
}

}  // namespace mu8::tool
