#include "engine/src/passes.h"

#include <cstring>

#include "engine/src/float_state.h"
#include "engine/src/gaussian.h"
#include "engine/src/layers.h"
#include "engine/src/pass_job.h"
#include "engine/src/reconstruction.h"
#include "engine/src/unit_probes.h"
#include "mu8/config.h"

namespace mu8 {

float ProbePasses(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

kernels::StreamId StreamOf(const SessionOptions& options, std::uint32_t pass) {
  if (!config::kAntithetic || options.noise == Noise::kIndependent)
    return {.seed = options.seed, .pass = pass};
  const std::uint8_t flip = pass % 2 == 0 ? 0 : 0x80;
  return {.seed = options.seed, .pass = pass - pass % 2, .flip = flip};
}

// Part `index` of `count` about equal parts of a list.
ImageList Part(const ImageList& list, std::uint32_t index, std::uint32_t count) {
  const std::uint64_t all = list.count;
  const auto begin = static_cast<std::uint32_t>(all * index / count);
  const auto end = static_cast<std::uint32_t>(all * (index + 1) / count);
  return {list.list, list.first + begin, end - begin};
}

// Logits overwrite the accumulators that they come from unless the caller keeps them, or the head
// takes the accumulators.
void PlaceLogits(const Job& job, std::uint32_t group, std::uint32_t pass, PassContext* context) {
  const bool keep = job.options.keep_logits;
  context->logits = keep ? job.space.Logits(pass)
                    : HasNumbers(job.space.head())
                        ? nullptr
                        : reinterpret_cast<float*>(job.space.Accumulators(group));
  context->logits_stride = keep ? job.space.logits() : job.space.positions() * job.space.slots();
}

std::span<const float> LogitsOf(const PassContext& context, std::uint32_t image,
                                std::size_t logits) {
  return {context.logits + image * context.logits_stride, logits};
}

// Adds one image's outputs of a pass to sums of `group`.
void AddPass(const Job& job, const PassContext& context, std::uint32_t group, std::uint32_t image,
             float* probabilities) {
  const Workspace& space = job.space;
  const Sums sums = space.SumsOf(group, image);
  const std::size_t row = space.positions() * space.slots();
  const Accumulators accumulators = {.first = context.accumulators + image * row,
                                     .positions = space.positions(),
                                     .channels = space.logits() / space.positions(),
                                     .slots = space.slots()};
  switch (space.head()) {
    case Head::kSoftmax:
      if constexpr (!config::kSoftmax) break;
      return AddSoftmax(LogitsOf(context, image, space.logits()), sums, probabilities);
    case Head::kSigmoid:
      if constexpr (!config::kSigmoid) break;
      return AddSigmoid(LogitsOf(context, image, space.logits()), sums, probabilities);
    case Head::kValues:
      if constexpr (!config::kValues) break;
      return AddValues(accumulators, sums);
    case Head::kGaussian:
      if constexpr (!config::kGaussian) break;
      return AddGaussian(job.view, accumulators, sums);
    case Head::kReconstruction:
      if constexpr (!config::kReconstruction) break;
      return AddReconstruction(job.view, accumulators, space.Targets(image), sums);
  }
}

// The layers that are the same in every pass, for a worker's part of the images, and copies of what
// they computed for the other groups.
void RunPrefix(const Job& job, std::uint32_t worker) {
  const Grid& grid = job.space.grid();
  PassContext context = MakeContext(job, worker / grid.image_groups, worker % grid.image_groups);
  context.activations = job.space.Activations(0);
  context.images = Part(job.images, worker, grid.workers());
  RunOnce(&context);
  if (context.failed) return;
  const auto bytes = static_cast<std::size_t>(job.view.model.activation_bytes);
  for (std::uint32_t group = 1; group < grid.pass_groups; ++group) {
    for (std::uint32_t i = 0; i < context.images.count; ++i) {
      const std::size_t at = context.images[i] * bytes;
      std::memcpy(job.space.Activations(group) + at, job.space.Activations(0) + at, bytes);
    }
  }
}

// A worker's passes of the round over its part of the images.
void RunShare(const Job& job, std::uint32_t worker) {
  const Grid& grid = job.space.grid();
  const std::uint32_t group = worker / grid.image_groups;
  PassContext context = MakeContext(job, group, worker % grid.image_groups);
  context.images = Part(job.images, worker % grid.image_groups, grid.image_groups);
  if (context.images.count == 0) return;
  for (std::uint32_t pass = job.first_pass + group; pass < job.last_pass;
       pass += grid.pass_groups) {
    context.stream = StreamOf(job.options, pass);
    context.pass = pass;
    PlaceLogits(job, group, pass, &context);
    RunPass(&context);
    if (context.failed) return;
    if (job.add_in_order()) continue;  // one pass a round
    for (std::uint32_t i = 0; i < context.images.count; ++i) {
      AddPass(job, context, group, context.images[i], nullptr);
    }
  }
}

// A task as options.parallel_for runs it, on any thread, whose floating-point state is anybody's.
template <void (*run)(const Job&, std::uint32_t)>
void RunTask(void* opaque, std::uint32_t worker) {
  const Job& job = *static_cast<const Job*>(opaque);
  if (worker >= job.space.grid().workers()) return;
  const FloatState ieee;
  run(job, worker);
  job.space.TasksDone()[worker] = 1;
}

// Returns how many tasks were not run to their end.
template <void (*run)(const Job&, std::uint32_t)>
std::uint32_t ForWorkers(Job* job) {
  const std::uint32_t workers = job->space.grid().workers();
  if (!config::kWorkers || job->options.parallel_for == nullptr) {
    for (std::uint32_t worker = 0; worker < workers; ++worker) run(*job, worker);
    return 0;
  }
  std::uint32_t* done = job->space.TasksDone();
  for (std::uint32_t worker = 0; worker < workers; ++worker) done[worker] = 0;
  job->options.parallel_for(job->options.parallel_context, workers, RunTask<run>, job);
  std::uint32_t undone = 0;
  for (std::uint32_t worker = 0; worker < workers; ++worker) undone += 1 - done[worker];
  return undone;
}

// The first worker's, if any has one.
const Diagnostic* FindFault(const Job& job) {
  for (std::uint32_t worker = 0; worker < job.space.grid().workers(); ++worker) {
    if (job.faults[worker].status != Status::kOk) return &job.faults[worker];
  }
  return nullptr;
}

// The value that the stop rule is about, as a share of its range, in place of a probability.
void ShareOfRange(const Job& job, const PassContext& context, std::uint32_t image,
                  StopState* state) {
  const Workspace& space = job.space;
  const std::uint32_t output = job.options.stop.class_index;
  const Share share{job.view.range(output).low, job.view.range(output).high};
  const std::int32_t accumulator = context.accumulators[image * space.slots() + output];
  const float value = static_cast<float>(accumulator) * OutputMultipliers(job.view)(output);
  if (share.clips(value)) ++state->clipped;
  space.Probabilities()[output] = share(value);
}

// Shows the stop rule an image's pass, which is added already.
Ended Watch(const Job& job, const Stop& stop, std::uint32_t pass, std::uint32_t image) {
  const Workspace& space = job.space;
  const std::span<const float> probabilities(space.Probabilities(), space.outputs());
  if (stop.rule == StopRule::kThresholds) {
    return WatchOutputs(stop, job.options.noise, pass, probabilities, space.BetsOf(image),
                        space.DecisionsOf(image));
  }
  return WatchPass(stop, job.options.noise, pass, probabilities, space.SumsOf(0, image),
                   &space.ProgressOf(image).stop);
}

// Adds the round's passes in their order; images that are decided leave the list.
void AddRound(const Job& job, std::uint32_t* active_count) {
  const Workspace& space = job.space;
  std::uint32_t* active = space.ActiveImages();
  const bool has_numbers = HasNumbers(space.head());
  const Stop stop = RuleOfOne(job);
  for (std::uint32_t pass = job.first_pass; pass < job.last_pass; ++pass) {
    PassContext context = MakeContext(job, pass - job.first_pass, 0);
    PlaceLogits(job, pass - job.first_pass, pass, &context);
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < *active_count; ++i) {
      const std::uint32_t image = active[i];
      Progress& progress = space.ProgressOf(image);
      AddPass(job, context, 0, image, space.Probabilities());
      if (has_numbers) ShareOfRange(job, context, image, &progress.stop);
      progress.samples = pass + 1;
      progress.ended = Watch(job, stop, pass, image);
      if (progress.ended == Ended::kAllSamples) active[kept++] = image;
    }
    *active_count = kept;
  }
}

// Between two rounds, or layers; no: the images that are not decided end with the passes they have.
bool MayGoOn(const Job& job, RunState* state) {
  const SessionOptions& options = job.options;
  const bool has_prediction = state->passes != 0 || IsAuto(options);
  if (!config::kEarlyEndings || !has_prediction || options.keep_going == nullptr ||
      options.keep_going(options.keep_going_context)) {
    return true;
  }
  for (std::uint32_t i = 0; i < state->active; ++i) {
    job.space.ProgressOf(job.space.ActiveImages()[i]).ended = Ended::kDeadline;
  }
  state->done = true;
  return false;
}

// The next passes of all groups, one each, over the images that are not decided.
void SetRound(const RunState& state, Job* job) {
  const std::uint32_t left = job->options.mc_samples - state.passes;
  const std::uint32_t groups = job->space.grid().pass_groups;
  job->first_pass = state.passes;
  job->last_pass = state.passes + (left < groups ? left : groups);
  const std::uint32_t* active = EndsEarly(job->options) ? job->space.ActiveImages() : nullptr;
  job->images = {active, 0, state.active};
}

// After the round's passes have run.
void FinishRound(const Job& job, RunState* state) {
  state->passes = job.last_pass;
  if (job.add_in_order()) {
    AddRound(job, &state->active);
  } else if (EndsEarly(job.options)) {
    for (std::uint32_t i = 0; i < state->active; ++i) {
      job.space.ProgressOf(job.space.ActiveImages()[i]).samples = state->passes;
    }
  }
  state->done = state->passes == job.options.mc_samples || state->active == 0;
}

// Before the first pass is added: until then the images have a prediction by moments.
void ClearMoments(const Job& job, const RunState& state) {
  if (!IsAuto(job.options) || state.passes != 0) return;
  for (std::uint32_t i = 0; i < state.active; ++i) {
    ClearSums(job.space.SumsOf(0, job.space.ActiveImages()[i]));
  }
}

// Round by round, one pass of each group, until all images are decided or there is no more time.
// Returns how many tasks of a round were left undone.
std::uint32_t RunRounds(Job* job, RunState* state) {
  // At most mc_samples rounds.
  while (!state->done && MayGoOn(*job, state)) {
    SetRound(*state, job);
    ClearMoments(*job, *state);
    if (const std::uint32_t undone = ForWorkers<RunShare>(job); undone != 0) return undone;
    if (FindFault(*job) != nullptr) return 0;
    FinishRound(*job, state);
  }
  return 0;
}

// All passes in one round: each worker adds its own.
std::uint32_t RunAll(Job* job, RunState* state) {
  job->last_pass = state->passes = job->options.mc_samples;
  state->done = true;
  return ForWorkers<RunShare>(job);
}

Job MakeJob(const Run& run, const RunState& state) {
  return {.view = run.view,
          .kernels = run.kernels,
          .options = run.options,
          .space = run.space,
          .layer = run.layer,
          .images = {nullptr, 0, state.images},
          .has_stop_rule = run.options.stop.rule != StopRule::kNone,
          .by_moments = config::kMoments && state.by_moments};
}

// A part of the layers before the first Bayesian one, or of a pass of a single worker.
[[gnu::noinline]] void Advance(std::uint32_t panels, Job* job, RunState* state) {
  if (config::kMoments && job->by_moments) return AdvanceMoments(job, state);
  const std::uint32_t first = state->first_pass_layer;
  if (state->at.layer < first) {
    PassContext context = MakeContext(*job, 0, 0);
    RunNext(&context, panels, &state->at, &job->layer);
    return;  // or failed: job->faults says so
  }
  if (state->at.panel == 0 && !MayGoOn(*job, state)) return;
  SetRound(*state, job);
  PassContext context = MakeContext(*job, 0, 0);
  context.stream = StreamOf(job->options, state->passes);
  context.pass = state->passes;
  PlaceLogits(*job, 0, state->passes, &context);
  RunNext(&context, panels, &state->at, &job->layer);
  if (context.failed || state->at.layer < job->view.layer_count()) return;
  state->at = {.layer = first};
  ClearMoments(*job, *state);
  for (std::uint32_t i = 0; !job->add_in_order() && i < context.images.count; ++i) {
    AddPass(*job, context, 0, context.images[i], nullptr);
  }
  FinishRound(*job, state);
}

}  // namespace

PassContext MakeContext(const Job& job, std::uint32_t group, std::uint32_t image_group) {
  return {.view = job.view,
          .kernels = job.kernels,
          .stream = {.seed = job.options.seed},
          .images = job.images,
          .activations = job.space.Activations(group),
          .panel = job.space.Panel(group, image_group),
          .accumulators = job.space.Accumulators(group),
          .logits = nullptr,
          .logits_stride = 0,
          .profile = job.options.profile,
          .profile_context = job.options.profile_context,
          .panel_bytes = job.options.panel_bytes,
          .check_products = config::kCheckProducts && job.options.check_products,
          .fault = job.faults + group * job.space.grid().image_groups + image_group,
          .variances = config::kMoments && job.by_moments ? job.space.Variances() : nullptr,
          .scratch = &job.space.scratch()};
}

Stop RuleOfOne(const Job& job) {
  Stop stop = job.options.stop;
  if (HasNumbers(job.space.head())) {
    const format::OutputRange range = job.view.range(stop.class_index);
    return InShares(stop, {range.low, range.high});
  }
  if (stop.rule == StopRule::kThresholds) {
    stop.error /= static_cast<float>(ChosenCount(stop, job.space.outputs()));
  }
  return stop;
}

RunState BeginRun(const Run& run, std::uint32_t images) {
  const Workspace& space = run.space;
  for (std::uint32_t group = 0; group < space.grid().pass_groups; ++group) {
    for (std::uint32_t i = 0; i < images; ++i) ClearSums(space.SumsOf(group, i));
  }
  for (std::uint32_t i = 0; EndsEarly(run.options) && i < images; ++i) {
    space.ActiveImages()[i] = i;
    space.ProgressOf(i) = {.stop = {}, .samples = 0, .ended = Ended::kAllSamples};
    ClearDecisions(run.options.stop, space.BetsOf(i), space.DecisionsOf(i));
  }
  return {.images = images,
          .active = images,
          .first_pass_layer = run.view.first_pass_layer(),
          .by_moments = run.options.method != Method::kSampling,
          .at = {}};
}

void StepRun(const Run& run, RunState* state, Diagnostic* fault) {
  Job job = MakeJob(run, *state);
  job.faults = fault;
  if (!state->done) Advance(1, &job, state);
}

namespace {

// All that is left, of several workers. Apart: it takes more of the stack than one of them.
[[gnu::noinline]] void RunWorkers(Job* job, RunState* state, Diagnostic* fault) {
  const Workspace& space = job->space;
  const std::uint32_t workers = space.grid().workers();
  job->faults = space.Faults();
  for (std::uint32_t worker = 0; worker < workers; ++worker) job->faults[worker] = {};
  std::uint32_t undone = ForWorkers<RunPrefix>(job);
  state->at = {.layer = state->first_pass_layer};
  // At most once a layer: its end is by_moments' end.
  while (config::kMoments && job->by_moments && undone == 0 && FindFault(*job) == nullptr) {
    AdvanceMoments(job, state);
  }
  if (undone == 0 && FindFault(*job) == nullptr) {
    undone = EndsEarly(job->options) ? RunRounds(job, state) : RunAll(job, state);
  }
  if (undone != 0) {
    *fault = {.status = Status::kTasksNotRun, .found = undone, .expected = workers};
    return;
  }
  if (const Diagnostic* found = FindFault(*job); found != nullptr) {
    *fault = *found;
    return;
  }
  for (std::uint32_t group = 1; group < space.grid().pass_groups; ++group) {
    for (std::uint32_t i = 0; i < state->images; ++i) {
      MergeSums(space.head(), space.SumsOf(group, i), space.SumsOf(0, i));
    }
  }
}

}  // namespace

void FinishRun(const Run& run, RunState* state, Diagnostic* fault) {
  Job job = MakeJob(run, *state);
  job.faults = fault;
  if (config::kWorkers && run.space.grid().workers() > 1) return RunWorkers(&job, state, fault);
  // At most mc_samples passes of all layers, and one by moments.
  while (!state->done && fault->status == Status::kOk) Advance(kAllPanels, &job, state);
}

}  // namespace mu8
