#include "tools/mu8/prediction_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>

#include "converters/network/network.h"
#include "tools/mu8/text.h"
#include "tools/mu8/verdict.h"

namespace mu8::tool {
namespace {

// Why an image got no more passes: the JSON's word, and what follows "N samples".
struct EndedWords {
  const char* name;
  const char* sentence;
};

EndedWords WordsOf(Ended ended, const Stop& stop) {
  switch (ended) {
    case Ended::kAllSamples:
      return {"all_samples", stop.rule == StopRule::kNone         ? ""
                             : stop.rule == StopRule::kThresholds ? ", not all decided"
                                                                  : ", undecided"};
    case Ended::kLabel:
      return {"label", ", then the label was decided"};
    case Ended::kAbove:
      return {"above", ", then above the threshold was decided"};
    case Ended::kBelow:
      return {"below", ", then below the threshold was decided"};
    case Ended::kWithin:
      return {"within", ", then the mean was known well enough"};
    case Ended::kDecided:
      return {"decided", ", then all were decided"};
    case Ended::kDeadline:
      return {"deadline", ", then time was up"};
    case Ended::kMoments:
      return {"moments", ", which left no doubt"};
  }
  return {"unknown", ""};
}

// What was decided of an output that was asked about.
const char* DecisionName(Decision decision) {
  return decision == Decision::kAbove   ? "above"
         : decision == Decision::kBelow ? "below"
                                        : "undecided";
}

Json DecisionsJson(const Prediction& prediction, const Names& names) {
  Json json = Json::array();
  for (std::uint32_t c = 0; c < prediction.decisions.size(); ++c) {
    if (prediction.decisions[c] == Decision::kNotChosen) continue;
    json.push_back({{"label", c},
                    {"label_name", names[c]},
                    {"decision", DecisionName(prediction.decisions[c])}});
  }
  return json;
}

// A line for each outcome, with the names of all that have it.
void PrintDecisions(const Prediction& prediction, const Names& names, float threshold) {
  for (const Decision outcome : {Decision::kAbove, Decision::kBelow, Decision::kUndecided}) {
    std::string list;
    for (std::uint32_t c = 0; c < prediction.decisions.size(); ++c) {
      if (prediction.decisions[c] != outcome) continue;
      list += (list.empty() ? "" : ", ") + Printable(names[c]);
    }
    if (list.empty()) continue;
    std::printf("  %s%s: %s\n", DecisionName(outcome),
                outcome == Decision::kUndecided
                    ? ""
                    : (" " + Significant(static_cast<double>(threshold), 6)).c_str(),
                list.c_str());
  }
}

// Class indices, the most probable first; the lowest index among equals.
std::vector<std::uint32_t> Ranking(const Prediction& prediction, std::size_t count) {
  std::vector<std::uint32_t> order(prediction.mean.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return prediction.mean[a] > prediction.mean[b];
  });
  order.resize(std::min(order.size(), count));
  return order;
}

float Deviation(const Prediction& prediction, std::uint32_t class_index) {
  return std::sqrt(std::max(prediction.variance[class_index], 0.0f));
}

// Whether it says what networks would disagree about: one network alone does not.
bool TellsDisagreement(const Prediction& prediction) {
  return prediction.samples_used > 1 || prediction.replay.method == Method::kMoments;
}

Verdict VerdictOf(const Prediction& prediction) {
  return Judge(static_cast<double>(prediction.expected_entropy),
               static_cast<double>(prediction.mutual_information), prediction.mean.size(),
               TellsDisagreement(prediction) ? 2 : 1);
}

// What every head has.
Json CommonJson(const std::string& path, const Prediction& prediction, Head head) {
  std::vector<float> deviations;
  for (std::uint32_t c = 0; c < prediction.mean.size(); ++c) {
    deviations.push_back(Deviation(prediction, c));
  }
  Json json{{"image", path},
            {"head", convert::HeadName(static_cast<format::Head>(head))},
            {"samples_used", prediction.samples_used},
            {"ended", WordsOf(prediction.ended, {}).name}};
  json["clamped_inputs"] = prediction.clamped_inputs;
  if (prediction.clipped_passes > 0) json["clipped_passes"] = prediction.clipped_passes;
  json["mean"] = FloatArray(prediction.mean);
  json["standard_deviation"] = FloatArray(deviations);
  return json;
}

void AddEntropies(const Prediction& prediction, Json* json) {
  (*json)["predictive_entropy"] = ShortestDouble(prediction.predictive_entropy);
  (*json)["expected_entropy"] = ShortestDouble(prediction.expected_entropy);
  (*json)["mutual_information"] = ShortestDouble(prediction.mutual_information);
}

Json SoftmaxJson(const std::string& path, const Prediction& prediction, const Names& names,
                 std::size_t top) {
  const Verdict verdict = VerdictOf(prediction);
  Json json = CommonJson(path, prediction, Head::kSoftmax);
  AddEntropies(prediction, &json);
  json["label"] = prediction.label;
  json["label_name"] = names[prediction.label];
  json["probability"] = ShortestDouble(prediction.mean[prediction.label]);
  json["verdict"] = VerdictName(verdict);
  json["why"] = VerdictSentence(verdict);
  json["top"] = Json::array();
  for (const std::uint32_t c : Ranking(prediction, top)) {
    json["top"].push_back({{"label", c},
                           {"label_name", names[c]},
                           {"probability", ShortestDouble(prediction.mean[c])},
                           {"standard_deviation", ShortestDouble(Deviation(prediction, c))}});
  }
  return json;
}

// What a label's uncertainty is beyond its own noise: the passes disagree about it.
double Epistemic(const Prediction& prediction, std::uint32_t label) {
  const auto total = static_cast<double>(prediction.output_entropy[label]);
  return std::max(total - static_cast<double>(prediction.output_expected_entropy[label]), 0.0);
}

Json SigmoidJson(const std::string& path, const Prediction& prediction, const Names& names,
                 std::size_t top) {
  Json json = CommonJson(path, prediction, Head::kSigmoid);
  AddEntropies(prediction, &json);
  json["labels"] = Json::array();
  for (const std::uint32_t c : Ranking(prediction, top)) {
    json["labels"].push_back(
        {{"label", c},
         {"label_name", names[c]},
         {"probability", ShortestDouble(prediction.mean[c])},
         {"standard_deviation", ShortestDouble(Deviation(prediction, c))},
         {"predictive_entropy", ShortestDouble(prediction.output_entropy[c])},
         {"expected_entropy", ShortestDouble(prediction.output_expected_entropy[c])},
         {"mutual_information", Epistemic(prediction, c)}});
  }
  return json;
}

// Half of the interval that holds 95 % of a Gaussian with this deviation.
constexpr double kInterval95 = 1.959964;

// The deviation of the noise, where it is known.
std::optional<float> NoiseDeviation(const Prediction& prediction, std::uint32_t output) {
  if (prediction.noise_variance.empty()) return {};
  return std::sqrt(prediction.noise_variance[output]);
}

// Half of the interval of an observation, or where its noise is not known of the networks' values;
// nothing of one network, which disagrees with nobody.
std::optional<double> HalfInterval(const Prediction& prediction, std::uint32_t output) {
  const auto epistemic = static_cast<double>(Deviation(prediction, output));
  const auto noise = static_cast<double>(NoiseDeviation(prediction, output).value_or(0.0F));
  if (!TellsDisagreement(prediction)) return {};
  return kInterval95 * std::sqrt(epistemic * epistemic + noise * noise);
}

Json ValuesJson(const std::string& path, const Prediction& prediction, Head head,
                const Names& names) {
  Json json = CommonJson(path, prediction, head);
  if (head == Head::kGaussian) json["clamped_scales"] = prediction.clamped_scales;
  json["values"] = Json::array();
  for (std::uint32_t c = 0; c < prediction.mean.size(); ++c) {
    const auto value = static_cast<double>(prediction.mean[c]);
    const std::optional<double> half = HalfInterval(prediction, c);
    Json one{{"output", c},
             {"name", names[c]},
             {"value", ShortestDouble(prediction.mean[c])},
             {"standard_deviation", ShortestDouble(Deviation(prediction, c))}};
    if (const auto noise = NoiseDeviation(prediction, c)) {
      one["noise_standard_deviation"] = ShortestDouble(*noise);
    }
    one["interval_95"] = half ? Json{value - *half, value + *half} : Json();
    json["values"].push_back(one);
  }
  return json;
}

Json ReconstructionJson(const std::string& path, const Prediction& prediction) {
  Json json = CommonJson(path, prediction, Head::kReconstruction);
  json["error"] = ShortestDouble(prediction.error);
  json["error_standard_deviation"] = ShortestDouble(std::sqrt(prediction.error_variance));
  return json;
}

void PrintEntropies(const Prediction& prediction, double most) {
  std::printf("  entropy %.4f of at most %.4f nats = aleatoric %.4f + epistemic %.4f\n",
              static_cast<double>(prediction.predictive_entropy), most,
              static_cast<double>(prediction.expected_entropy),
              static_cast<double>(prediction.mutual_information));
}

void PrintSoftmax(const std::string& path, const Prediction& prediction, const Names& names,
                  std::size_t top) {
  std::printf("%s: %s (%s)\n", Printable(path).c_str(), Printable(names[prediction.label]).c_str(),
              Percent(static_cast<double>(prediction.mean[prediction.label]), 2).c_str());
  std::printf("  %s\n", VerdictSentence(VerdictOf(prediction)));
  Table table({{"class", Table::Align::kLeft}, {"probability"}, {"sd over passes"}});
  for (const std::uint32_t c : Ranking(prediction, top)) {
    table.Add({Printable(names[c]), Percent(static_cast<double>(prediction.mean[c]), 2),
               Percent(static_cast<double>(Deviation(prediction, c)), 2)});
  }
  std::fputs(table.ToString("  ").c_str(), stdout);
  PrintEntropies(prediction, std::log(static_cast<double>(prediction.mean.size())));
}

void PrintSigmoid(const std::string& path, const Prediction& prediction, const Names& names,
                  std::size_t top) {
  const std::size_t count = prediction.mean.size();
  const std::string what =
      count == 1 ? "one label, true or not"
                 : std::to_string(count) + " labels, each true or not; the most probable first";
  std::printf("%s: %s\n", Printable(path).c_str(), what.c_str());
  Table table({{"label", Table::Align::kLeft},
               {"probability"},
               {"sd over passes"},
               {"entropy"},
               {"aleatoric"},
               {"epistemic"}});
  for (const std::uint32_t c : Ranking(prediction, top)) {
    table.Add({Printable(names[c]), Percent(static_cast<double>(prediction.mean[c]), 2),
               Percent(static_cast<double>(Deviation(prediction, c)), 2),
               Fixed(static_cast<double>(prediction.output_entropy[c]), 4),
               Fixed(static_cast<double>(prediction.output_expected_entropy[c]), 4),
               Fixed(Epistemic(prediction, c), 4)});
  }
  std::fputs(table.ToString("  ").c_str(), stdout);
  PrintEntropies(prediction, std::log(2.0) * static_cast<double>(prediction.mean.size()));
}

void PrintValues(const std::string& path, const Prediction& prediction, const Names& names) {
  std::printf("%s:\n", Printable(path).c_str());
  const bool has_noise = !prediction.noise_variance.empty();
  Table table({{"output", Table::Align::kLeft},
               {"value"},
               {"sd over networks"},
               {"sd of noise"},
               {has_noise ? "95 % of observations" : "95 % of networks"}});
  for (std::uint32_t c = 0; c < prediction.mean.size(); ++c) {
    const auto value = static_cast<double>(prediction.mean[c]);
    const std::optional<double> half = HalfInterval(prediction, c);
    const std::optional<float> noise = NoiseDeviation(prediction, c);
    table.Add(
        {Printable(names[c]), Significant(value, 6),
         Significant(static_cast<double>(Deviation(prediction, c)), 3),
         noise ? Significant(static_cast<double>(*noise), 3) : "-",
         half ? Significant(value - *half, 6) + " .. " + Significant(value + *half, 6) : "-"});
  }
  std::fputs(table.ToString("  ").c_str(), stdout);
  std::printf(!TellsDisagreement(prediction)
                  ? "  one network alone says nothing about what it does not know\n"
              : has_noise
                  ? "  sd over networks: epistemic, more data would settle it; sd of noise: "
                    "aleatoric\n"
                  : "  epistemic: what the networks disagree about; the noise of observations is "
                    "not in it\n");
  if (prediction.clamped_scales > 0) {
    std::printf("  %u of the passes' noise variances were moved to the bounds of the file\n",
                prediction.clamped_scales);
  }
}

void PrintReconstruction(const std::string& path, const Prediction& prediction) {
  std::printf("%s: squared error %s an output, sd over networks %s\n", Printable(path).c_str(),
              Significant(static_cast<double>(prediction.error), 4).c_str(),
              Significant(std::sqrt(static_cast<double>(prediction.error_variance)), 3).c_str());
}

Json JsonOf(const std::string& path, const Prediction& prediction, Head head, const Names& names,
            std::size_t top) {
  switch (head) {
    case Head::kSoftmax:
      return SoftmaxJson(path, prediction, names, top);
    case Head::kSigmoid:
      return SigmoidJson(path, prediction, names, top);
    case Head::kValues:
    case Head::kGaussian:
      return ValuesJson(path, prediction, head, names);
    case Head::kReconstruction:
      return ReconstructionJson(path, prediction);
  }
  return {};
}

}  // namespace

Json PredictionJson(const std::string& path, const Prediction& prediction, Head head,
                    const Names& names, std::size_t top) {
  Json json = JsonOf(path, prediction, head, names, top);
  if (!prediction.decisions.empty()) json["decisions"] = DecisionsJson(prediction, names);
  return json;
}

void PrintPrediction(const std::string& path, const Prediction& prediction, Head head,
                     const Names& names, std::size_t top, const Stop& stop) {
  switch (head) {
    case Head::kSoftmax:
      PrintSoftmax(path, prediction, names, top);
      break;
    case Head::kSigmoid:
      PrintSigmoid(path, prediction, names, top);
      break;
    case Head::kValues:
    case Head::kGaussian:
      PrintValues(path, prediction, names);
      break;
    case Head::kReconstruction:
      PrintReconstruction(path, prediction);
      break;
  }
  if (prediction.replay.method == Method::kMoments) {
    std::printf("  by moments%s\n", WordsOf(prediction.ended, stop).sentence);
  } else {
    std::printf("  %u samples%s\n", prediction.samples_used,
                WordsOf(prediction.ended, stop).sentence);
  }
  PrintDecisions(prediction, names, stop.threshold);
  if (prediction.clipped_passes > 0) {
    std::printf(
        "  %u of the samples lay outside the output's range in the file: what was decided is about "
        "the mean of the values clipped to it\n",
        prediction.clipped_passes);
  }
  if (prediction.clamped_inputs == 0) return;
  std::printf(
      "  %u of the input's numbers lie beyond the range that the file stores and were moved to its "
      "edge: the prediction, and its uncertainty, are those of another input\n",
      prediction.clamped_inputs);
}

}  // namespace mu8::tool
