// The layers of a prediction by moments, one after the other, and what Method::kAuto makes of it.
#include "engine/src/moments.h"
#include "engine/src/pass_job.h"
#include "engine/src/stopping.h"
#include "formats/recheck.h"

namespace mu8 {

namespace {

// What moments have found of an image of a softmax or sigmoid head; of others it is in the results.
void SummarizeMoments(const Job& job, std::uint32_t image, Prediction* prediction) {
  const Workspace& space = job.space;
  const std::uint32_t rows = MomentsRows(job.view.model.class_count);
  const Sums sums = space.SumsOf(0, image);
  const Results results = space.ResultsOf(image);
  if (config::kSoftmax && space.head() == Head::kSoftmax) {
    SummarizeSoftmax(sums, rows, results, prediction);
  } else if (config::kSigmoid && space.head() == Head::kSigmoid) {
    SummarizeSigmoid(sums, rows, results, prediction);
  }
}

bool LeavesDoubt(const Job& job, const Stop& stop, std::uint32_t image) {
  const Workspace& space = job.space;
  Prediction prediction;
  SummarizeMoments(job, image, &prediction);
  const std::span<const float> mean = space.ResultsOf(image).mean;
  Share share{};
  const bool has_numbers = HasNumbers(space.head());
  if (has_numbers && stop.rule == StopRule::kThreshold) {
    share = {job.view.range(stop.class_index).low, job.view.range(stop.class_index).high};
  }
  if (LeavesDoubt(stop, job.options.doubt, has_numbers ? &share : nullptr, mean,
                  prediction.predictive_entropy)) {
    return true;
  }
  DecideByMean(stop, mean, space.DecisionsOf(image));
  return false;
}

// Method::kAuto, after moments: the images in doubt are to be sampled.
[[gnu::noinline]] void LeaveToSampling(Job* job, RunState* state) {
  const Workspace& space = job->space;
  const Stop stop = RuleOfOne(*job);
  state->active = 0;
  for (std::uint32_t i = 0; i < state->images; ++i) {
    if (LeavesDoubt(*job, stop, i)) {
      space.ActiveImages()[state->active++] = i;
    } else {
      space.ProgressOf(i).ended = Ended::kMoments;
    }
  }
  state->at = {.layer = state->first_pass_layer};
  state->by_moments = job->by_moments = false;
  state->done = state->active == 0;
}

}  // namespace

void AdvanceMoments(Job* job, RunState* state) {
  const format::View& view = job->view;
  PassContext context = MakeContext(*job, 0, 0);
  context.images = {nullptr, 0, state->images};
  if (state->at.layer + 1 < view.layer_count()) {
    RunNext(&context, kAllPanels, &state->at, &job->layer);
    return;
  }
  Layer& layer = job->layer.layer;
  layer.index = state->at.layer;
  if (!format::LoadLayer(view, layer.index, &layer.record, &layer, context.fault)) return;
  for (std::uint32_t i = 0; i < state->images && !context.failed; ++i) {
    const Sums sums = job->space.SumsOf(0, i);
    std::uint32_t clamped = 0;
    const KeptLogits kept = {job->space.LogitMeans(i), job->space.LogitCovariance(i)};
    RunMomentsOutputs(layer, i, sums, job->space.ResultsOf(i), kept, &clamped, &context);
    if (!sums.clamped_scales.empty()) sums.clamped_scales[0] = clamped;
  }
  if (IsAuto(job->options) && !context.failed) return LeaveToSampling(job, state);
  state->passes = 1;
  state->done = true;
}

}  // namespace mu8
