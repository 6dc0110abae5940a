// mu8 embed: a .mu8 file as source text for a device's flash, with what a program must know of it
// before it runs.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/model_file.h"
#include "converters/host/output_file.h"
#include "tools/mu8/command.h"
#include "tools/mu8/embedded_source.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/stop_options.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  std::string model_path, folder, name, method = "sampling";
  std::uint32_t samples = 50, batch = 1, panel_bytes = SessionOptions{}.panel_bytes;
  StopOptions stop;
  bool antithetic = false, keep_logits = false, deadline = false, check_products = false;
  bool fixed = false, assembly = false, json = false;
};

constexpr const char* kFooter = R"(
Writes DIR/NAME.h, constants for C and C++, and DIR/NAME.c, an array for flash: compile it with the
program. With --assembly it is DIR/NAME.S for the GNU assembler, which takes models of many
megabytes in a moment. DIR/NAME_config.h leaves out of the library what the model does not need
(-DMU8_CONFIG=NAME_config.h). The model is validated first; its hash lets a device open it without
doing so again (mu8.h). The arena's size is exact for the options given here: ask for the same ones
on the device.)";

SessionOptions SessionOf(const Options& options, const Model& model,
                         std::vector<std::uint8_t>* chosen) {
  return {.mc_samples = options.samples,
          .batch = options.batch,
          .keep_logits = options.keep_logits,
          .method = options.method == "moments" ? Method::kMoments : Method::kSampling,
          .noise = options.antithetic ? Noise::kAntithetic : Noise::kIndependent,
          .stop = options.stop.Parse(model, chosen),
          .panel_bytes = options.panel_bytes,
          .check_products = options.check_products,
          .keep_going = options.deadline ? [](void*) { return true; } : KeepGoing{nullptr}};
}

std::string NameFor(const Options& options) {
  if (options.name.empty()) return EmbeddedSource::NameOf(options.model_path);
  if (!EmbeddedSource::IsName(options.name)) {
    throw UsageError("--name: found \"" + options.name +
                     "\", expected a C identifier: letters, digits and _, a letter first");
  }
  return options.name;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void Print(const EmbeddedSource& source, const std::string& header, const std::string& array,
           bool json) {
  const Needs needs = NeedsOf(*source.file);
  char hash[9];
  std::snprintf(hash, sizeof(hash), "%08x", static_cast<unsigned>(HashOf(*source.file)));
  if (json) {
    PrintJson({{"header", header},
               {"source", array},
               {"name", source.name},
               {"model_bytes", source.file->bytes.size()},
               {"model_hash", hash},
               {"arena_bytes", source.arena_bytes()},
               {"operators", needs.operators},
               {"head", needs.head}});
    return;
  }
  Table fields = Fields();
  fields.Add({"header", Printable(header)});
  fields.Add({"source", Printable(array)});
  fields.Add({"model", ByteCount(source.file->bytes.size()) + ", hash " + hash});
  fields.Add({"arena", ByteCount(source.arena_bytes()) + " for " +
                           std::to_string(source.session.batch) + " at a time, " +
                           std::to_string(source.session.mc_samples) + " samples"});
  fields.Add({"operators", Joined(needs.operators)});
  fields.Add({"head", needs.head});
  std::fputs(fields.ToString().c_str(), stdout);
}

void Run(const Options& options, host::OutputFiles* output) {
  const host::ModelFile file = host::OpenModel(options.model_path);
  std::vector<std::uint8_t> chosen;
  const EmbeddedSource source{NameFor(options), &file, SessionOf(options, file.model, &chosen),
                              options.fixed};
  const host::Runner checked(file, source.session);  // says which option is wrong
  const std::filesystem::path folder(options.folder);
  const auto path = [&](const char* suffix) { return (folder / (source.name + suffix)).string(); };
  const std::string array = path(options.assembly ? ".S" : ".c");
  const std::string header = path(".h");
  const std::vector<std::pair<std::string, std::string>> files = {
      {array, options.assembly ? source.Assembly() : source.Array()},
      {path("_config.h"), source.Config()},
      {header, source.Header()}};
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) {
    throw host::Error("-o: " + options.folder +
                      ": not a folder, and none can be made there: " + problem.message());
  }
  std::vector<NamedPath> outputs;
  for (const auto& [name, text] : files) outputs.push_back({"-o", name});
  CheckOutputs(outputs, {{"MODEL", options.model_path}});
  for (const auto& [name, text] : files) output->Add(name, text.data(), text.size());
  Print(source, header, array, options.json);
}

}  // namespace

Command AddEmbed(CLI::App* parent) {
  CLI::App* app =
      parent->add_subcommand("embed", "Write a .mu8 file as source text for a device's flash");
  const auto options = std::make_shared<Options>();
  app->add_option("MODEL", options->model_path, "A .mu8 file")->required();
  app->add_option("-o,--output", options->folder, "A folder, made if there is none")
      ->required()
      ->check(FileName())
      ->type_name("DIR");
  app->add_option("--name", options->name, "Of the files and all in them [the model's file]");
  app->add_option("--samples", options->samples, "Weight samples T per prediction, 1 to 65536")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--batch", options->batch, "Most images of one call, 1 to 65536")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--panel-bytes", options->panel_bytes,
                  "Most bytes of drawn weights at a time where a layer has one output position")
      ->check(WholeNumber(64, 1U << 30))
      ->capture_default_str();
  app->add_option("--method", options->method,
                  "Predict by sampling, or by moments: the arena is for this method; the code of "
                  "moments is left out with sampling")
      ->check(CLI::IsMember({"sampling", "moments"}))
      ->type_name("HOW")
      ->capture_default_str();
  app->add_flag("--antithetic", options->antithetic, "Passes in pairs of opposite noise");
  app->add_flag("--keep-logits", options->keep_logits, "The session keeps each pass's logits");
  app->add_flag("--deadline", options->deadline, "The session is given keep_going");
  app->add_flag("--check-products", options->check_products, "The session checks its products");
  app->add_flag(
      "--fixed", options->fixed,
      "The model's bytes cannot change once it is open, as in flash that corrects itself: "
      "leaves out some 5 KB of code that answers those that do");
  options->stop.AddTo(app);
  app->add_flag("--assembly", options->assembly, "Write assembler instead of C");
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options](host::OutputFiles* output) { Run(*options, output); }};
}

}  // namespace mu8::tool
