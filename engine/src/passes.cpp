#include "engine/src/passes.h"

#include <cstring>

#include "engine/src/float_state.h"
#include "engine/src/gaussian.h"
#include "engine/src/layers.h"
#include "engine/src/reconstruction.h"

namespace mu8 {
namespace {

// What the tasks of a call share. Passes [first_pass, last_pass) are this round's.
struct Job {
  const format::View& view;
  const kernels::KernelTable& kernels;
  const SessionOptions& options;
  const Workspace& space;
  ImageList images;  // those that take part in this round
  std::uint32_t first_pass = 0, last_pass = 0;
  // Under a stop rule passes must be added in order, so the workers leave their logits.
  bool add_in_order = false;
};

kernels::StreamId StreamOf(const SessionOptions& options, std::uint32_t pass) {
  if (options.noise == Noise::kIndependent) return {.seed = options.seed, .pass = pass};
  const std::uint8_t flip = pass % 2 == 0 ? 0 : 0x80;
  return {.seed = options.seed, .pass = pass - pass % 2, .flip = flip};
}

PassContext MakeContext(const Job& job, std::uint32_t group, std::uint32_t image_group) {
  return {.view = job.view,
          .kernels = job.kernels,
          .stream = {.seed = job.options.seed},
          .images = job.images,
          .activations = job.space.Activations(group),
          .panel = job.space.Panel(group, image_group),
          .accumulators = job.space.Accumulators(group),
          .logits = nullptr,
          .logits_stride = 0};
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
      return AddSoftmax(LogitsOf(context, image, space.logits()), sums, probabilities);
    case Head::kSigmoid:
      return AddSigmoid(LogitsOf(context, image, space.logits()), sums, probabilities);
    case Head::kValues:
      return AddValues(accumulators, sums);
    case Head::kGaussian:
      return AddGaussian(job.view, accumulators, sums);
    case Head::kReconstruction:
      return AddReconstruction(job.view, accumulators, space.Targets(image), sums);
  }
}

// The layers that are the same in every pass, for a worker's part of the images, and copies of what
// they computed for the other groups.
bool RunPrefix(const Job& job, std::uint32_t worker) {
  const Grid& grid = job.space.grid();
  PassContext context = MakeContext(job, worker / grid.image_groups, worker % grid.image_groups);
  context.activations = job.space.Activations(0);
  context.images = Part(job.images, worker, grid.workers());
  RunOnce(&context);
  const auto bytes = static_cast<std::size_t>(job.view.model.activation_bytes);
  for (std::uint32_t group = 1; group < grid.pass_groups; ++group) {
    for (std::uint32_t i = 0; i < context.images.count; ++i) {
      const std::size_t at = context.images[i] * bytes;
      std::memcpy(job.space.Activations(group) + at, job.space.Activations(0) + at, bytes);
    }
  }
  return true;
}

// A worker's passes of the round over its part of the images. False if keep_going, asked within a
// pass, has said no: that pass has left no trace.
bool RunShare(const Job& job, std::uint32_t worker) {
  const Grid& grid = job.space.grid();
  const std::uint32_t group = worker / grid.image_groups;
  PassContext context = MakeContext(job, group, worker % grid.image_groups);
  context.images = Part(job.images, worker % grid.image_groups, grid.image_groups);
  if (context.images.count == 0) return true;
  // Only the calling thread asks, and there is an answer to give after the first pass.
  if (grid.workers() == 1 && job.first_pass > 0) {
    context.keep_going = job.options.keep_going;
    context.keep_going_context = job.options.keep_going_context;
  }
  for (std::uint32_t pass = job.first_pass + group; pass < job.last_pass;
       pass += grid.pass_groups) {
    context.stream = StreamOf(job.options, pass);
    PlaceLogits(job, group, pass, &context);
    if (!RunPass(&context)) return false;
    if (job.add_in_order) continue;  // one pass a round
    for (std::uint32_t i = 0; i < context.images.count; ++i) {
      AddPass(job, context, group, context.images[i], nullptr);
    }
  }
  return true;
}

// A task as options.parallel_for runs it, on any thread, whose floating-point state is anybody's.
template <bool (*run)(const Job&, std::uint32_t)>
void RunTask(void* opaque, std::uint32_t worker) {
  const Job& job = *static_cast<const Job*>(opaque);
  if (worker >= job.space.grid().workers()) return;
  const FloatState ieee;
  job.space.TasksDone()[worker] = run(job, worker) ? 1 : 0;
}

// Returns how many tasks were not run to their end.
template <bool (*run)(const Job&, std::uint32_t)>
std::uint32_t ForWorkers(Job* job) {
  const std::uint32_t workers = job->space.grid().workers();
  if (job->options.parallel_for == nullptr || workers == 1) {
    std::uint32_t undone = 0;
    for (std::uint32_t worker = 0; worker < workers; ++worker)
      undone += run(*job, worker) ? 0U : 1U;
    return undone;
  }
  std::uint32_t* done = job->space.TasksDone();
  for (std::uint32_t worker = 0; worker < workers; ++worker) done[worker] = 0;
  job->options.parallel_for(job->options.parallel_context, workers, RunTask<run>, job);
  std::uint32_t undone = 0;
  for (std::uint32_t worker = 0; worker < workers; ++worker) undone += 1 - done[worker];
  return undone;
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

// The rule as one output is watched by it: in shares of a value's range, with its share of the
// error.
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
void AddRound(const Job& job, std::uint32_t* active, std::uint32_t* active_count) {
  const Workspace& space = job.space;
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

// For the images that are not decided.
void EndAtDeadline(const Workspace& space, const std::uint32_t* active, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) space.ProgressOf(active[i]).ended = Ended::kDeadline;
}

// Round by round, one pass of each group, until all images are decided or there is no more time.
// Returns how many tasks of a round were left undone.
std::uint32_t RunRounds(Job* job) {
  const Workspace& space = job->space;
  const std::uint32_t images = job->images.count;
  const std::uint32_t samples = job->options.mc_samples;
  std::uint32_t* active = space.ActiveImages();
  std::uint32_t active_count = images;
  for (std::uint32_t i = 0; i < images; ++i) {
    active[i] = i;
    space.ProgressOf(i) = {.stop = {}, .samples = 0, .ended = Ended::kAllSamples};
    ClearDecisions(job->options.stop, space.BetsOf(i), space.DecisionsOf(i));
  }
  std::uint32_t done = 0;
  while (done < samples && active_count > 0) {
    if (done > 0 && job->options.keep_going != nullptr &&
        !job->options.keep_going(job->options.keep_going_context)) {
      EndAtDeadline(space, active, active_count);
      return 0;
    }
    const std::uint32_t left = samples - done;
    const std::uint32_t groups = space.grid().pass_groups;
    job->first_pass = done;
    job->last_pass = done + (left < groups ? left : groups);
    job->images = {active, 0, active_count};
    if (const std::uint32_t undone = ForWorkers<RunShare>(job); undone != 0) {
      if (space.grid().workers() > 1) return undone;
      EndAtDeadline(space, active, active_count);
      return 0;
    }
    done = job->last_pass;
    if (job->add_in_order) {
      AddRound(*job, active, &active_count);
    } else {
      for (std::uint32_t i = 0; i < images; ++i) space.ProgressOf(i).samples = done;
    }
  }
  return 0;
}

}  // namespace

std::uint32_t RunPasses(const format::View& view, const kernels::KernelTable& kernels,
                        const SessionOptions& options, const Workspace& space,
                        std::uint32_t images) {
  const std::uint32_t groups = space.grid().pass_groups;
  for (std::uint32_t group = 0; group < groups; ++group) {
    for (std::uint32_t i = 0; i < images; ++i) ClearSums(space.SumsOf(group, i));
  }
  Job job{.view = view,
          .kernels = kernels,
          .options = options,
          .space = space,
          .images = {nullptr, 0, images},
          .first_pass = 0,
          .last_pass = options.mc_samples,
          .add_in_order = options.stop.rule != StopRule::kNone};
  std::uint32_t undone = ForWorkers<RunPrefix>(&job);
  if (undone == 0) undone = EndsEarly(options) ? RunRounds(&job) : ForWorkers<RunShare>(&job);
  if (undone != 0) return undone;
  for (std::uint32_t group = 1; group < groups; ++group) {
    for (std::uint32_t i = 0; i < images; ++i) {
      MergeSums(space.head(), space.SumsOf(group, i), space.SumsOf(0, i));
    }
  }
  return 0;
}

}  // namespace mu8
