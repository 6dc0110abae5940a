// mu8 allocate: a bit plan for `mu8 convert --bits`.
#include "converters/allocate.h"

#include <cstdio>
#include <limits>
#include <memory>

#include "converters/error.h"
#include "tools/mu8/command.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  convert::AllocateOptions allocate;
  std::string output_path;
  std::string mean, std, layer_bits = "1..8";
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
void ParseLayerBits(const std::string& text, convert::Budget* budget) {
  int used = 0;
  if (std::sscanf(text.c_str(), "%1d..%1d%n", &budget->least, &budget->most, &used) != 2 ||
      static_cast<std::size_t>(used) != text.size()) {
    throw UsageError("--layer-bits: is \"" + text + "\", expected LEAST..MOST, such as 1..8");
  }
}

Json PlanJson(const Options& options, const convert::Allocation& found) {
  const convert::AllocateOptions& asked = options.allocate;
  Json json{{"method", asked.method},
            {"average_bits_allowed", asked.budget.average},
            {"average_bits", found.average_bits},
            {"layer_bits", {asked.budget.least, asked.budget.most}},
            {"sigma_bits", asked.convert.sigma_bits},
            {"seed", asked.search.seed},
            {"posterior_error", found.posterior_error},
            {"divergence", found.divergence},
            {"evaluations", found.evaluations},
            {"layers", Json::array()}};
  for (std::size_t l = 0; l < found.layers.size(); ++l) {
    const convert::LayerCosts& layer = found.layers[l];
    Json row{{"name", layer.name}, {"weights", layer.weights}, {"mu_bits", found.plan[l]}};
    if (!found.scores.empty()) row["score"] = found.scores[l];
    json["layers"].push_back(row);
  }
  return json;
}

void PrintAsText(const Options& options, const convert::Allocation& found) {
  Table table({{"layer", Table::Align::kLeft}, {"weights"}, {"mu bits"}});
  for (std::size_t l = 0; l < found.layers.size(); ++l) {
    table.Add({Printable(found.layers[l].name), std::to_string(found.layers[l].weights),
               std::to_string(found.plan[l])});
  }
  std::fputs(table.ToString().c_str(), stdout);
  Table fields = Fields();
  fields.Add({"written", Printable(options.output_path)});
  fields.Add({"average", Fixed(found.average_bits, 3) + " bits of " +
                             Fixed(options.allocate.budget.average, 3)});
  fields.Add({"divergence",
              Significant(found.divergence, 4) + " nats from FP32 on the calibration images"});
  fields.Add({"judged", std::to_string(found.evaluations) + " plans"});
  std::printf("\n%s", fields.ToString().c_str());
}

void Run(Options* options) {
  convert::AllocateOptions& asked = options->allocate;
  ParseLayerBits(options->layer_bits, &asked.budget);
  ParseNormalization(options->mean, options->std, &asked.convert.mean, &asked.convert.std);
  CheckOutputFolder(options->output_path);
  Progress progress;
  asked.convert.progress = [&progress](const std::string& stage, double fraction) {
    progress.Show(stage, fraction);
  };
  const convert::Allocation found = convert::Allocate(asked);
  progress.Clear();
  for (const std::string& notice : found.notices) {
    std::fprintf(stderr, "mu8: note: %s\n", Printable(notice).c_str());
  }
  const Json json = PlanJson(*options, found);
  const std::string text = json.dump(1) + "\n";
  convert::WriteFileAtomically(options->output_path, text.data(), text.size());
  if (options->json) {
    PrintJson(json);
  } else {
    PrintAsText(*options, found);
  }
}

}  // namespace

Command AddAllocate(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("allocate", "Spend few bits where the posterior is unsure");
  const auto options = std::make_shared<Options>();
  convert::AllocateOptions& to = options->allocate;
  app->add_option("--model", to.convert.model_path, "ONNX file of the mean network")
      ->required()
      ->type_name("M.onnx");
  app->add_option("--posterior", to.convert.posterior_path, "Its sigmas, as for mu8 convert")
      ->required()
      ->type_name("P.npz");
  app->add_option("--calibration", to.convert.calibration_path,
                  "Training images: activations and divergences are measured on them")
      ->required()
      ->type_name("DATA");
  app->add_option("--method", to.method, "See below")
      ->check(CLI::IsMember(convert::AllocationMethods()))
      ->capture_default_str();
  app->add_option("--average-bits", to.budget.average, "Most bits per weight on average")
      ->required()
      ->check(CLI::Range(1.0, 8.0))
      ->type_name("B");
  app->add_option("--layer-bits", options->layer_bits, "Least and most bits of a layer")
      ->type_name("LEAST..MOST")
      ->capture_default_str();
  app->add_option("--sigma-bits", to.convert.sigma_bits, "Bits stored per sigma")
      ->check(CLI::IsMember({8, 4, 2, 1, 0}))
      ->type_name("BITS")
      ->capture_default_str();
  app->add_option("-o,--output", options->output_path, "The plan to write; replaced if it exists")
      ->required()
      ->type_name("PLAN.json");
  app->add_option("--quantile", to.quantile, "Of quantile-inform")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app->add_option("--training-images", to.training_images,
                  "random-bits, random-search: the posterior's error counts 1/N beside the "
                  "divergence; 0 leaves it out")
      ->check(CLI::Range(0.0, 1e12))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--evaluations", to.search.evaluations, "Plans that the searches may judge")
      ->check(WholeNumber(1, 1000000))
      ->capture_default_str();
  app->add_option("--seed", to.search.seed, "Of the searches")
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
  app->add_option("--mean", options->mean, "Input is (u8 / 255 - mean) / std; one per channel")
      ->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options] { Run(options.get()); }};
}

}  // namespace mu8::tool
