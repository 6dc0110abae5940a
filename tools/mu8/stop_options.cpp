#include "tools/mu8/stop_options.h"

#include "converters/host/model_file.h"
#include "tools/mu8/command.h"
#include "tools/mu8/options.h"
#include "tools/mu8/output_names.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

bool HasNumbers(const Model& model) {
  return model.head() == Head::kValues || model.head() == Head::kGaussian;
}

// That the options belong together, whatever the outputs are called.
void CheckWhole(const StopOptions& options, const Model& model) {
  if (options.threshold && options.within) {
    throw UsageError("--stop-within and --stop-threshold: expected one of them");
  }
  const bool of_outputs = options.threshold || options.within;
  // A label's threshold is 0.5 unless another is given.
  if (options.outputs.has_value() != of_outputs &&
      !(options.outputs && model.head() == Head::kSigmoid)) {
    throw UsageError(
        "--stop-class and --stop-threshold (or --stop-within): expected both or neither");
  }
  if (!options.error && options.outputs) {
    throw UsageError("--stop-class: expected --stop-error with it");
  }
}

// That some rule is about the model's outputs.
void CheckModel(const StopOptions& options, const Model& model) {
  if (model.head() == Head::kReconstruction) {
    throw UsageError(
        "--stop-error: decides about probabilities or single numbers, the model's outputs are its "
        "input again");
  }
  if (model.output_size() > model.class_count()) {
    throw UsageError(
        "--stop-error: decides about one answer, the model gives one at each position");
  }
  const bool of_numbers = HasNumbers(model);
  if (!options.outputs && model.head() != Head::kSoftmax) {
    throw UsageError(
        of_numbers ? "--stop-error: the model's outputs are numbers, none of which is the most "
                     "probable one: give --stop-class and --stop-within or --stop-threshold for "
                     "one of them"
                   : "--stop-error: the model's outputs are labels, none of which is the most "
                     "probable one: give --stop-class, all or some of them");
  }
  if (options.within && !of_numbers) {
    throw UsageError("--stop-within: is for numbers, the model's outputs are probabilities");
  }
}

struct Range {
  float low, high;
};

// That a threshold or tolerance fits the range of what it is about.
void CheckInRange(const StopOptions& options, const Range& range) {
  const double low = static_cast<double>(range.low);
  const double width = static_cast<double>(range.high) - low;
  const auto check = [](const char* option, float found, double least, double most) {
    if (found >= static_cast<float>(least) && found <= static_cast<float>(most)) return;
    throw UsageError(std::string(option) + ": is " + Significant(static_cast<double>(found), 7) +
                     ", expected a number from " + Significant(least, 7) + " to " +
                     Significant(most, 7));
  };
  if (options.threshold) {
    check("--stop-threshold", *options.threshold, low + 1e-6 * width, low + (1.0 - 1e-6) * width);
  }
  if (options.within) check("--stop-within", *options.within, 1e-6 * width, 0.5 * width);
}

}  // namespace

void StopOptions::AddTo(CLI::App* app) {
  app->add_option("--stop-error", error,
                  "End an image's passes once its label is decided, wrongly with at most this "
                  "probability (engine/STOPPING.md)")
      ->check(Share(0.5))
      ->type_name("P");
  app->add_option("--stop-class", outputs,
                  "Decide instead about these classes, labels or outputs, by name or index (name:3 "
                  "or index:3 where both fit), with commas, or all: whether each is above "
                  "--stop-threshold, or one's value within --stop-within")
      ->type_name("C,..");
  app->add_option(
         "--stop-threshold", threshold,
         "See --stop-class; a probability between 0 and 1, for labels 0.5 unless given, of "
         "numbers a value in the file's range of the output")
      ->type_name("H");
  app->add_option("--stop-within", within,
                  "Numbers: end once the output's mean is known up to this, in its unit")
      ->type_name("W");
}

Stop StopOptions::Parse(const Model& model, std::vector<std::uint8_t>* chosen) const {
  CheckWhole(*this, model);
  if (!error) return {};
  CheckModel(*this, model);
  if (!outputs) return {.rule = StopRule::kLabel, .error = *error};
  const ChosenOutputs about = ParseOutputs("--stop-class", *outputs, host::Labels(model));
  const bool of_numbers = HasNumbers(model);
  if (about.several && of_numbers) {
    throw UsageError(
        "--stop-class: several are for labels and classes, the model's outputs are numbers: "
        "expected one of them");
  }
  Range range{0.0F, 1.0F};
  if (of_numbers && !model.OutputRange(about.indices.front(), &range.low, &range.high)) {
    throw UsageError(
        "--stop-error: the file has no range for its outputs, without which nothing can be "
        "promised of their means: convert with --output-range");
  }
  CheckInRange(*this, range);
  Stop stop{.rule = within ? StopRule::kWithin : StopRule::kThreshold,
            .error = *error,
            .class_index = about.indices.front(),
            .threshold = threshold.value_or(0.5F),
            .within = within.value_or(0.0F)};
  if (!about.several) return stop;
  stop.rule = StopRule::kThresholds;
  chosen->assign(model.class_count(), 0);
  for (const std::uint32_t output : about.indices) (*chosen)[output] = 1;
  stop.chosen = *chosen;
  return stop;
}

std::vector<StopRuleName> StopRulesOf(const Model& model) {
  constexpr StopRuleName kLabel{StopRule::kLabel, "label", "--stop-error alone"};
  constexpr StopRuleName kThreshold{StopRule::kThreshold, "threshold", "--stop-threshold"};
  constexpr StopRuleName kThresholds{StopRule::kThresholds, "thresholds",
                                     "--stop-threshold of several"};
  constexpr StopRuleName kWithin{StopRule::kWithin, "within", "--stop-within"};
  if (model.output_size() > model.class_count()) return {};
  float low = 0, high = 0;
  switch (model.head()) {
    case Head::kSoftmax:
      return {kLabel, kThreshold, kThresholds};
    case Head::kSigmoid:
      return {kThreshold, kThresholds};
    case Head::kValues:
    case Head::kGaussian:
      if (model.OutputRange(0, &low, &high)) return {kThreshold, kWithin};
      return {};
    case Head::kReconstruction:
      return {};
  }
  return {};
}

}  // namespace mu8::tool
