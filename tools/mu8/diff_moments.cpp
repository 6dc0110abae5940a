#include "tools/mu8/diff_moments.h"

#include <cstdio>

#include "converters/judge/moments_difference.h"
#include "converters/judge/moments_quality.h"
#include "converters/network/head.h"
#include "tools/mu8/file_summary.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/progress.h"
#include "tools/mu8/text.h"

namespace mu8::tool {

const char* const kMomentsDiffText = R"(
With --method moments the file alone is needed: its predictions by moments beside those of sampling,
for each layer from the first Bayesian one on but the last:

mean          power of the sampled means over that of the difference of moments' means, dB; the
              sampled ones have an error of their own, which falls with --samples
variance      mean by sampling, squared codes
ratio         mean variance by moments over it
correlation   of the two variances over elements and images
saturated     fraction of moments' variances at the largest code

Below: the divergence from sampled predictions to moments and to as many other passes; of mutual
information (of numbers the variance) the correlation over the images, and the mean over sampling's.)";

namespace {

constexpr std::uint32_t kBatch = 16;

struct Found {
  std::vector<LayerSummary> layers;  // of the file, from the first that is compared on
  std::vector<convert::LayerMomentsDifference> differences;
  convert::MomentsQuality quality;
  bool decides = true;
  const char* head = "";
};

Json FoundJson(const MomentsDiff& options, const Found& found) {
  Json json{
      {"model", options.model_path},
      {"data", options.data_path},
      {"method", "moments"},
      {"images", found.quality.images},
      {"samples", options.samples},
      {"seed", options.seed},
      {"head", found.head},
      {found.decides ? "kl" : "divergence", found.quality.divergence},
      {found.decides ? "kl_of_passes" : "divergence_of_passes", found.quality.divergence_of_passes},
      {"epistemic_correlation", found.quality.correlation},
      {"epistemic_correlation_of_passes", found.quality.correlation_of_passes},
      {"epistemic_ratio", found.quality.ratio},
      {"epistemic_ratio_error", found.quality.ratio_error},
      {"layers", Json::array()}};
  for (std::size_t i = 0; i < found.differences.size(); ++i) {
    const convert::LayerMomentsDifference& layer = found.differences[i];
    json["layers"].push_back({{"name", found.layers[i].name},
                              {"operator", OpName(found.layers[i].record.op)},
                              {"sqnr_of_mean_db", layer.sqnr_of_mean},
                              {"variance", layer.variance},
                              {"variance_ratio", layer.variance_ratio},
                              {"variance_correlation", layer.variance_correlation},
                              {"saturation", layer.saturation}});
  }
  return json;
}

void PrintFound(const MomentsDiff& options, const Found& found) {
  using Align = Table::Align;
  Table table({{"layer", Align::kLeft},
               {"operator", Align::kLeft},
               {"mean dB"},
               {"variance"},
               {"ratio"},
               {"correlation"},
               {"saturated"}});
  for (std::size_t i = 0; i < found.differences.size(); ++i) {
    const convert::LayerMomentsDifference& layer = found.differences[i];
    table.Add({Printable(found.layers[i].name), OpName(found.layers[i].record.op),
               Fixed(layer.sqnr_of_mean, 1), Significant(layer.variance, 3),
               Fixed(layer.variance_ratio, 3), Fixed(layer.variance_correlation, 3),
               Percent(layer.saturation, 3)});
  }
  std::fputs(table.ToString().c_str(), stdout);
  const convert::MomentsQuality& quality = found.quality;
  Table fields = Fields();
  fields.Add({"images, samples", std::to_string(quality.images) + ", " +
                                     std::to_string(options.samples) + " of seed " +
                                     std::to_string(options.seed)});
  fields.Add({found.decides ? "KL(sampling || moments)" : "sampling to moments",
              Significant(quality.divergence, 4) + ", to other passes " +
                  Significant(quality.divergence_of_passes, 4)});
  fields.Add({found.decides ? "mutual information" : "variance",
              "correlation " + Fixed(quality.correlation, 3) + ", of other passes " +
                  Fixed(quality.correlation_of_passes, 3) + "; mean " + Fixed(quality.ratio, 3) +
                  " times sampling's, standard error " + Fixed(quality.ratio_error, 3)});
  std::fputs(fields.ToString().c_str(), stdout);
}

}  // namespace

void DiffMoments(const MomentsDiff& options) {
  const host::ModelFile file = host::OpenModel(options.model_path);
  const host::Runner checked(file, {.method = Method::kMoments});  // says why it cannot
  const host::Dataset data = host::LoadDataset(options.data_path, options.limit,
                                               host::InputSpecOf(file.model), options.data);
  PrintNotices(data.notices);
  Found found;
  const Summary summary = Summarize(file);
  found.layers.assign(summary.layers.begin() + summary.view.first_pass_layer(),
                      summary.layers.end());
  const auto head = static_cast<convert::Head>(file.model.head());
  found.decides = head == convert::Head::kSoftmax || head == convert::Head::kSigmoid;
  found.head = convert::HeadName(head);
  ProgressBar progress;
  found.differences =
      convert::CompareMoments(file, data, options.samples, options.seed, progress.Function());
  found.quality = convert::MeasureMoments(file, data, options.samples, options.seed, kBatch,
                                          progress.Function());
  progress.Clear();
  if (options.json) {
    PrintJson(FoundJson(options, found));
  } else {
    PrintFound(options, found);
  }
}

}  // namespace mu8::tool
