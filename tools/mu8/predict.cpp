// mu8 predict: what the model says about each image, how sure it is, and why.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/model_file.h"
#include "converters/host/output_file.h"
#include "tools/mu8/command.h"
#include "tools/mu8/image_input.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/maps.h"
#include "tools/mu8/options.h"
#include "tools/mu8/prediction_report.h"
#include "tools/mu8/replay_record.h"
#include "tools/mu8/verdict.h"

namespace mu8::tool {
namespace {

struct Options {
  std::string model_path;
  std::vector<std::string> images;
  host::DataOptions data{.may_be_one = true};
  SamplingOptions sampling;
  std::uint32_t top = 3;
  std::optional<std::uint32_t> deadline_ms;
  std::string maps;
  bool json = false;
};

// Time for each image's passes, for SessionOptions::keep_going.
struct Deadline {
  using Clock = std::chrono::steady_clock;
  Clock::time_point end;

  void Start(std::uint32_t milliseconds) {
    end = Clock::now() + std::chrono::milliseconds(milliseconds);
  }
  static bool IsAhead(void* deadline) {
    return Clock::now() < static_cast<Deadline*>(deadline)->end;
  }
};

constexpr const char* kFooter = R"(
An IMAGE is a PNG or JPEG file, FILE#7 for entry 7 (from 0) of an IDX or CIFAR-10 file, or a file of
numbers: .npy, .npz (its array x), .csv (a header, one input a row) or .f32, all of its inputs or
FILE#7. A .npy array of one input may be without a batch dimension. Arrays are taken as the model's
ONNX file takes them, say (N, C, H, W), or in another layout that fits, which is then said. A model
made from numbers takes them in the units of its calibration data, one made from pictures in the
network's own input units (normalized). Inputs must have the model's size.

)";

// Every image, or every problem.
std::vector<ImageInput> LoadAll(const Options& options, const Model& model) {
  std::vector<ImageInput> inputs;
  std::vector<std::string> problems;
  for (const std::string& path : options.images) {
    try {
      std::vector<std::string> notices;
      for (ImageInput& input : LoadInputs(path, model, options.data, &notices)) {
        inputs.push_back(std::move(input));
      }
      PrintNotices(notices);
    } catch (const host::Error& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  }
  if (!problems.empty()) throw host::Error(problems);
  return inputs;
}

// Before any is written: no two inputs have maps of the same names, and none takes the place of a
// file that was read.
void CheckMaps(const std::string& folder, const std::vector<ImageInput>& inputs, Head head) {
  if (folder.empty()) return;
  std::set<std::string> bases;
  for (const ImageInput& input : inputs) {
    const std::string base = MapBase(folder, input.name);
    if (!bases.insert(base).second) {
      throw host::Error(input.name + ": another input's maps have the same names, " + base +
                        ".*; predict them into other folders");
    }
    for (const char* ending : MapEndings(head)) host::CheckNotRead(base + ending);
  }
}

void Run(const Options& options, host::OutputFiles* files) {
  const host::ModelFile file = host::OpenModel(options.model_path);
  const std::vector<ImageInput> inputs = LoadAll(options, file.model);
  std::vector<std::uint8_t> chosen;
  SessionOptions session = options.sampling.ForSession(file.model, 1, &chosen);
  Deadline deadline;
  if (options.deadline_ms) {
    if (session.method == Method::kMoments) {
      throw UsageError(
          "--deadline-ms: ends the passes of --method sampling, --method moments has none");
    }
    session.keep_going = Deadline::IsAhead;
    session.keep_going_context = &deadline;
  }
  host::Runner runner(file, session);
  const Names names = host::ClassNames(file.model);
  const Head head = file.model.head();
  const MapShape shape = ShapeOf(file.model), picture = PictureShapeOf(file.model);
  if (!options.maps.empty() && !picture.is_map()) {
    throw UsageError("--maps: the model answers once, not at each position of its input");
  }
  CheckMaps(options.maps, inputs, head);
  const bool may_abstain = file.model.abstain_measure() != AbstainMeasure::kNone;
  Json predictions = Json::array();
  bool first = true;
  for (const ImageInput& input : inputs) {
    Prediction prediction;
    const std::span<Prediction> one(&prediction, 1);
    if (options.deadline_ms) deadline.Start(*options.deadline_ms);
    runner.Predict(input.name, input.data, 0, one);
    std::vector<std::string> maps;
    if (!options.maps.empty()) {
      maps = AddMaps(options.maps, input.name, prediction, head, picture, files);
      files->Commit();  // together; thousands of inputs would have too many files open
    }
    if (shape.is_map() || options.json) {
      Json answer = shape.is_map()
                        ? MapJson(input.name, prediction, head, shape)
                        : PredictionJson(input.name, prediction, head, names, options.top);
      if (!maps.empty()) answer["maps"] = maps;
      if (may_abstain) answer["abstains"] = prediction.abstains;
      if (options.json) answer["replay"] = ReplayJson(prediction);
      if (!options.json) PrintMap(input.name, answer);
      predictions.push_back(std::move(answer));
    } else {
      if (!first) std::putchar('\n');
      PrintPrediction(input.name, prediction, head, names, options.top, session.stop);
      if (prediction.abstains) std::puts("  abstains: above the uncertainty that the file allows");
    }
    first = false;
  }
  if (!options.json) return;
  PrintJson({{"model", options.model_path},
             {"method", options.sampling.method},
             {"samples", options.sampling.by_moments() ? 0 : options.sampling.samples},
             {"seed", options.sampling.seed},
             {"kernels", runner.kernels()},
             {"predictions", predictions}});
}

}  // namespace

Command AddPredict(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("predict", "Predict for images or arrays, with the uncertainty");
  const auto options = std::make_shared<Options>();
  app->add_option("MODEL", options->model_path, "A .mu8 file")->required();
  app->add_option("IMAGE", options->images, "One or more images")->required();
  options->sampling.AddTo(app);
  app->add_option("--top", options->top, "How many classes or labels to list")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--deadline-ms", options->deadline_ms,
                  "After so many milliseconds answer with the passes that are done, at least one; "
                  "asked before every layer, with more threads before every round of passes")
      ->check(WholeNumber(0, 1000000000))
      ->type_name("N");
  app->add_option(
         "--maps", options->maps,
         "Of a network that answers pixel by pixel or gives its input again: write its "
         "maps into this folder, NAME.mean.npy, .variance.npy, ..., .label.png, .error.png")
      ->check(CLI::ExistingDirectory)
      ->type_name("FOLDER");
  AddDataOptions(app, &options->data);
  AddTargets(app, &options->data);
  AddJsonFlag(app, &options->json);
  app->footer(kFooter + ThresholdText());
  return {app, [options](host::OutputFiles* files) { Run(*options, files); }};
}

}  // namespace mu8::tool
