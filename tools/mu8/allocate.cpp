// mu8 allocate: a bit plan for `mu8 convert --bits`.
#include "converters/allocate/allocate.h"

#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>

#include "converters/host/error.h"
#include "converters/host/output_file.h"
#include "converters/network/network.h"
#include "tools/mu8/command.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  convert::AllocateOptions allocate;
  std::vector<std::string> methods = {"quantile-inform"};
  std::vector<double> average_bits;
  std::vector<std::uint64_t> seeds = {1};
  std::string output_path;
  HeadArguments head;
  std::string mean, std, layer_bits = "1..8", unit = "layer", judge = "sampling";
  bool json = false;
};

constexpr const char* kFooter = R"(
Methods (converters/ALLOCATION.md):
quantile-inform     log2(2 max|mu| / the --quantile of sigma) and an offset that meets the budget
random-bits         widths as random variables, by stochastic gradient from quantile-inform's plan
uniform             all layers alike, with the whole number of bits below B
snr                 log2 of the median |mu| / sigma, and an offset (after Blundell et al. 2015)
posterior-variance  log2(2 max|mu| / the RMS of sigma), and an offset (after Louizos et al. 2017)
greedy              where the posterior-weighted error falls most per weight
sensitivity         where the divergence falls most per weight, one layer at a time
random-search       the best of as many random plans as random-bits may judge)";

// "2..6": both ends from 1 to 8.
void ParseLayerBits(const std::string& text, convert::AllocateOptions* options) {
  int used = 0;
  if (std::sscanf(text.c_str(), "%1d..%1d%n", &options->least, &options->most, &used) != 2 ||
      static_cast<std::size_t>(used) != text.size()) {
    throw UsageError("--layer-bits: is \"" + text + "\", expected LEAST..MOST, such as 1..8");
  }
}

// Every method with every budget; only those that search have more than one seed.
std::vector<convert::Request> Requests(const Options& options) {
  std::vector<convert::Request> requests;
  for (const std::string& method : options.methods) {
    const bool searches = method == "random-bits" || method == "random-search";
    for (const double bits : options.average_bits) {
      for (std::size_t i = 0; i < (searches ? options.seeds.size() : 1); ++i) {
        requests.push_back({method, bits, options.seeds[i]});
      }
    }
  }
  return requests;
}

Json PlanJson(const Options& options, const convert::Request& request,
              const convert::Allocation& found) {
  const convert::AllocateOptions& asked = options.allocate;
  Json json{{"method", request.method},
            {"average_bits_allowed", request.average_bits},
            {"average_bits", found.average_bits},
            {"unit", options.unit},
            {"layer_bits", {asked.least, asked.most}},
            {"sigma_bits", asked.convert.sigma_bits},
            {"seed", request.seed},
            {"posterior_error", found.posterior_error},
            {"divergence", found.divergence},
            {"judge", options.judge},
            {"evaluations", found.evaluations},
            {"seconds", found.seconds},
            {"layers", Json::array()}};
  for (const convert::PlannedLayer& layer : found.layers) {
    Json row{
        {"name", layer.name}, {"weights", layer.weights}, {"mu_bits", BitsJson(layer.mu_bits)}};
    if (layer.scores.size() == 1) row["score"] = layer.scores.front();
    if (layer.scores.size() > 1) row["score"] = layer.scores;
    json["layers"].push_back(row);
  }
  return json;
}

void PrintAsText(const std::string& path, const Json& plan) {
  Table table({{"layer", Table::Align::kLeft}, {"weights"}, {"mu bits"}});
  for (const Json& layer : plan["layers"]) {
    table.Add({Printable(layer["name"].get<std::string>()), layer["weights"].dump(),
               layer["mu_bits"].dump()});
  }
  std::fputs(table.ToString().c_str(), stdout);
  Table fields = Fields();
  fields.Add({"written", Printable(path)});
  fields.Add({"average", Fixed(plan["average_bits"], 3) + " bits of " +
                             Fixed(plan["average_bits_allowed"], 3)});
  fields.Add({"divergence",
              Significant(plan["divergence"], 4) + " nats from FP32 on the calibration images"});
  fields.Add({"judged", plan["evaluations"].dump() + " plans"});
  std::printf("\n%s", fields.ToString().c_str());
}

// FOLDER/METHOD.BITS.seedN.json
std::string PlanPath(const std::string& folder, const convert::Request& request) {
  char bits[32];
  std::snprintf(bits, sizeof bits, "%g", request.average_bits);
  const std::filesystem::path name =
      request.method + "." + bits + ".seed" + std::to_string(request.seed) + ".json";
  return (std::filesystem::path(folder) / name).string();
}

void Run(Options* options, host::OutputFiles* files) {
  convert::AllocateOptions& asked = options->allocate;
  ParseLayerBits(options->layer_bits, &asked);
  asked.by_panel = options->unit == "panel";
  if (options->judge == "moments") asked.convert.moments.emplace();
  asked.convert.head = options->head.Parse();
  ParseNormalization(options->mean, options->std, &asked.convert.mean, &asked.convert.std);
  const std::vector<convert::Request> requests = Requests(*options);
  std::error_code problem;
  const bool to_folder = std::filesystem::is_directory(options->output_path, problem);
  if (!to_folder && requests.size() > 1) {
    throw host::Error(options->output_path + ": is no folder, expected one for " +
                      std::to_string(requests.size()) + " plans");
  }
  std::vector<NamedPath> outputs;
  for (const convert::Request& request : requests) {
    outputs.push_back(
        {"--output", to_folder ? PlanPath(options->output_path, request) : options->output_path});
  }
  CheckOutputs(outputs, {{"--model", asked.convert.model_path},
                         {"--posterior", asked.convert.posterior_path},
                         {"--calibration", asked.convert.calibration_path}});
  ProgressBar progress;
  asked.convert.progress = progress.Function();
  convert::Allocator allocator(asked, requests);
  for (const std::string& notice : allocator.notices()) {
    progress.Clear();
    std::fprintf(stderr, "mu8: note: %s\n", Printable(notice).c_str());
  }
  Json plans = Json::array();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::string& path = outputs[i].path;
    const Json plan = PlanJson(*options, requests[i], allocator.Find(requests[i]));
    const std::string text = plan.dump(1) + "\n";
    files->Add(path, text.data(), text.size());
    if (to_folder) files->Commit();  // each may have taken long, and stands alone
    progress.Clear();
    if (!options->json) PrintAsText(path, plan);
    plans.push_back(plan);
  }
  if (options->json) PrintJson(to_folder ? plans : plans[0]);
}

// What is read, what is wanted of the plan, and where it goes.
void AddPlanOptions(CLI::App* app, Options* options) {
  convert::AllocateOptions& to = options->allocate;
  app->add_option("--model", to.convert.model_path, "ONNX file of the mean network")
      ->required()
      ->type_name("M.onnx");
  app->add_option("--output-name", to.convert.output_name,
                  "Which of the graph's outputs, if it has several")
      ->type_name("NAME");
  app->add_option("--posterior", to.convert.posterior_path, "Its sigmas, as for mu8 convert")
      ->required()
      ->type_name("P.npz");
  app->add_option("--calibration", to.convert.calibration_path,
                  "Training images: activations and divergences are measured on them")
      ->required()
      ->type_name("DATA");
  app->add_option("--method", options->methods, "One or more, with commas; see below")
      ->delimiter(',')
      ->check(CLI::IsMember(convert::AllocationMethods()))
      ->capture_default_str();
  app->add_option("--average-bits", options->average_bits,
                  "Most bits per weight on average; several with commas")
      ->required()
      ->delimiter(',')
      ->check(Number(1.0, 8.0))
      ->type_name("B,..");
  app->add_option("--unit", options->unit,
                  "What gets a width of its own: layer, or panel (up to 16 output channels)")
      ->check(CLI::IsMember({"layer", "panel"}))
      ->capture_default_str();
  app->add_option("--layer-bits", options->layer_bits, "Least and most bits of a unit")
      ->type_name("LEAST..MOST")
      ->capture_default_str();
  AddSigmaBits(app, &to.convert.sigma_bits);
  app->add_option(
         "-o,--output", options->output_path,
         "The plan to write; replaced if it exists. For several plans a folder, which gets "
         "METHOD.BITS.seedN.json of each")
      ->required()
      ->check(FileName())
      ->type_name("PLAN.json");
}

// How it is searched for and measured.
void AddSearchOptions(CLI::App* app, Options* options) {
  convert::AllocateOptions& to = options->allocate;
  app->add_option("--quantile", to.quantile, "Of quantile-inform")
      ->check(Number(0.0, 1.0))
      ->capture_default_str();
  app->add_option("--training-images", to.training_images,
                  "random-bits, random-search: the posterior's error counts 1/N beside the "
                  "divergence; 0 leaves it out")
      ->check(Number(0.0, 1e12))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--evaluations", to.evaluations, "Plans that the searches may judge")
      ->check(WholeNumber(1, 1000000))
      ->capture_default_str();
  app->add_option(
         "--judge", options->judge,
         "What plans predict with when they are judged: 16 sampled networks, or one pass by "
         "moments, which is sooner")
      ->check(CLI::IsMember({"sampling", "moments"}))
      ->capture_default_str();
  app->add_option("--seed", options->seeds, "Of the searches; several with commas")
      ->delimiter(',')
      ->check(WholeNumber(0, std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  app->add_option("--calibration-limit", to.convert.calibration_limit,
                  "Use at most this many images")
      ->check(WholeNumber(1, 1000000000))
      ->capture_default_str();
  app->add_option("--calibration-passes", to.convert.calibration_passes,
                  "Weight samples drawn for the activations")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  AddMaxMemory(app, &to.convert.max_memory_bytes);
  AddDataOptions(app, &to.convert.data);
  AddTargets(app, &to.convert.data);
  options->head.AddTo(app);
  app->add_option("--mean", options->mean, "Input is (u8 / 255 - mean) / std; one per channel")
      ->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
}

}  // namespace

Command AddAllocate(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("allocate", "Spend few bits where the posterior is unsure");
  const auto options = std::make_shared<Options>();
  AddPlanOptions(app, options.get());
  AddSearchOptions(app, options.get());
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options](host::OutputFiles* files) { Run(options.get(), files); }};
}

}  // namespace mu8::tool
