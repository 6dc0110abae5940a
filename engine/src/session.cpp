// Session: the calls of a user, checked, and their results. passes.cpp runs them, per pass and
// layer each panel once for every image, so a seed names T networks and a batch changes nothing.
#include <cstdint>
#include <new>

#include "engine/src/check_options.h"
#include "engine/src/float_state.h"
#include "engine/src/input.h"
#include "engine/src/model_view.h"
#include "engine/src/operators.h"
#include "engine/src/passes.h"
#include "engine/src/reconstruction.h"
#include "engine/src/session_work.h"
#include "engine/src/unit_probes.h"
#include "engine/src/workspace.h"
#include "formats/arithmetic.h"
#include "formats/recheck.h"
#include "kernels/kernel_table.h"
#include "mu8/config.h"
#include "mu8/mu8.h"

namespace mu8 {

float ProbeSession(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

Status Report(Diagnostic* diagnostic, Status status, std::size_t found, std::size_t expected) {
  if (diagnostic != nullptr) {
    *diagnostic = {.status = status, .found = found, .expected = expected};
  }
  return status;
}

template <typename Enumeration>
std::size_t Number(Enumeration value) {
  return static_cast<std::size_t>(value);
}

// The tables' names, by KernelSet.
constexpr const char* kKernelNames[] = {
    "auto", "scalar",  "avx2",     "avx512vnni", "avx512vbmi", "avxvnni", "portable",
    "neon", "neondot", "neoni8mm", "armdsp",     "helium",     "wasm128",
};

const kernels::KernelTable* Choose(KernelSet set) {
  const std::uint32_t features = kernels::DetectFeatures();
  if (set == KernelSet::kAuto) return kernels::SelectKernels(features);
  constexpr std::size_t kSets = sizeof(kKernelNames) / sizeof(*kKernelNames);
  const auto index = static_cast<std::size_t>(set);
  return index < kSets ? kernels::FindKernels(kKernelNames[index], features) : nullptr;
}

// Of an arena, or of a region that `option` names: large enough, there, and aligned. `place` is the
// argument's in the call.
Status CheckMemory(std::span<std::byte> memory, std::size_t needed, Option option,
                   std::size_t place, Diagnostic* diagnostic) {
  const auto report = [&](Status status, std::size_t found, std::size_t expected) {
    Report(diagnostic, status, found, expected);
    if (diagnostic != nullptr) diagnostic->option = option;
    return status;
  };
  if (memory.size() < needed) return report(Status::kArenaTooSmall, memory.size(), needed);
  if (memory.data() == nullptr) return Report(diagnostic, Status::kNullPointer, place, 0);
  const auto misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % kArenaAlignment;
  return misaligned == 0 ? Status::kOk : report(Status::kMisalignedArena, misaligned, 0);
}

Status CheckRegions(std::span<std::byte> fast, std::span<std::byte> slow, const RegionBytes& needed,
                    Diagnostic* diagnostic) {
  const Status status = CheckMemory(fast, needed.fast, Option::kFastArena, 3, diagnostic);
  if (status != Status::kOk) return status;
  return CheckMemory(slow, needed.slow, Option::kSlowArena, 4, diagnostic);
}

bool LoadImage(const format::View& view, const std::uint8_t* image, std::uint8_t* activations,
               Diagnostic* fault) {
  return LoadPixels(view, image, activations, fault);
}
bool LoadImage(const format::View& view, const float* image, std::uint8_t* activations,
               Diagnostic* fault) {
  return LoadFloats(view, image, activations, fault);
}

// Whether the model takes such inputs, of finite values.
Status CheckKind(const Model& model, std::span<const std::uint8_t>, Diagnostic* diagnostic) {
  if (model.input_kind() == InputKind::kPixels) return Status::kOk;
  return Report(diagnostic, Status::kInputKind, Number(InputKind::kPixels),
                Number(model.input_kind()));
}

Status CheckKind(const Model& model, std::span<const float> values, Diagnostic* diagnostic) {
  // The file's targets are pixels', so there is none for floats in the network's units.
  if (model.head() == Head::kReconstruction && model.input_kind() == InputKind::kPixels) {
    return Report(diagnostic, Status::kInputKind, Number(InputKind::kNumbers),
                  Number(InputKind::kPixels));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!format::IsFinite(values[i])) {
      return Report(diagnostic, Status::kInputNotFinite, i, 0);
    }
  }
  return Status::kOk;
}

// Whether a prediction by moments is asked for that the model cannot give.
bool LacksMoments(const Model& model, const SessionOptions& options) {
  return HasMoments(options) && !model.has_moments();
}

// More than a 32-bit target can address: no arena is large enough.
RegionBytes RegionsOf(const Workspace& space) {
  if (space.fast_bytes() + space.slow_bytes() > SIZE_MAX) return {SIZE_MAX, 0};
  return {static_cast<std::size_t>(space.fast_bytes()),
          static_cast<std::size_t>(space.slow_bytes())};
}

}  // namespace

RegionBytes ArenaRegionBytes(const Model& model, const SessionOptions& options) {
  if (!model.is_open() || CheckOptions(model, options).bad()) return {};
  if (LacksMoments(model, options)) return {};
  const format::View& view = ViewOf(model);
  return RegionsOf(Workspace(view, options, ImageBytes(view, options)));
}

std::size_t ArenaBytes(const Model& model, const SessionOptions& options) {
  const RegionBytes needed = ArenaRegionBytes(model, options);
  return needed.fast + needed.slow;
}

const SessionWork& Session::work() const {
  static_assert(sizeof(work_) >= sizeof(SessionWork) &&
                alignof(std::uint64_t) >= alignof(SessionWork));
  return *reinterpret_cast<const SessionWork*>(work_);
}

Status Session::Create(const Model& model, const SessionOptions& options,
                       std::span<std::byte> arena, Session* session, Diagnostic* diagnostic) {
  return Make(model, options, arena, nullptr, session, diagnostic);
}

Status Session::Create(const Model& model, const SessionOptions& options, std::span<std::byte> fast,
                       std::span<std::byte> slow, Session* session, Diagnostic* diagnostic) {
  return Make(model, options, fast, &slow, session, diagnostic);
}

Status Session::Make(const Model& model, const SessionOptions& options, std::span<std::byte> fast,
                     const std::span<std::byte>* slow, Session* session, Diagnostic* diagnostic) {
  if (session == nullptr) return Report(diagnostic, Status::kNullPointer, 4, 0);
  if (!model.is_open()) return Report(diagnostic, Status::kNotReady, 0, 0);
  if (const BadOption bad = CheckOptions(model, options); bad.bad()) {
    if (diagnostic != nullptr) {
      *diagnostic = {.status = Status::kBadOption,
                     .option = bad.option,
                     .found = bad.found,
                     .expected = bad.expected};
    }
    return Status::kBadOption;
  }
  if (LacksMoments(model, options)) {
    return Report(diagnostic, Status::kNoMoments, Number(model.head()), 0);
  }
  const kernels::KernelTable* table = Choose(options.kernels);
  if (table == nullptr) {
    return Report(diagnostic, Status::kKernelsUnavailable, Number(options.kernels), 0);
  }
  if (const Unit unit = SelfTest(*table); unit != Unit::kNone) {
    return Report(diagnostic, Status::kSelfTest, Number(unit), 0);
  }
  const std::uint64_t image_bytes = ImageBytes(ViewOf(model), options);
  return session->Take(model, options, image_bytes, table, fast, slow, diagnostic);
}

// Apart, so that a workspace is not on the stack while ImageBytes is.
[[gnu::noinline]] Status Session::Take(const Model& model, const SessionOptions& options,
                                       std::uint64_t image_bytes, const void* table,
                                       std::span<std::byte> fast, const std::span<std::byte>* slow,
                                       Diagnostic* diagnostic) {
  Workspace space(ViewOf(model), options, image_bytes);
  const RegionBytes needed = RegionsOf(space);
  const Status status =
      slow == nullptr ? CheckMemory(fast, needed.fast + needed.slow, Option::kNone, 3, diagnostic)
                      : CheckRegions(fast, *slow, needed, diagnostic);
  if (status != Status::kOk) return status;
  space.SetRegions(fast.data(), slow == nullptr ? fast.data() + needed.fast : slow->data());
  model_ = model;
  options_ = options;
  kernels_ = table;
  run_ = {};
  (new (work_) SessionWork)->space = space;
  format::View& view = model_.view();
  view.model.activation_bytes = space.image_bytes();
  if (view.is_streamed()) view.output_scales = space.OutputScales();
  return Status::kOk;
}

std::size_t Session::arena_bytes() const {
  const RegionBytes bytes = RegionsOf(work().space);
  return bytes.fast + bytes.slow;
}

const char* Session::kernels() const {
  return kernels_ == nullptr ? "none" : static_cast<const kernels::KernelTable*>(kernels_)->name;
}

Status Session::CheckCall(const void* data, std::size_t elements, std::size_t images,
                          Diagnostic* diagnostic) const {
  if (kernels_ == nullptr) return Report(diagnostic, Status::kNotReady, 0, 0);
  if (images < 1 || images > options_.batch) {
    return Report(diagnostic, Status::kBatchSize, images, options_.batch);
  }
  if (elements != images * model_.input_size()) {
    return Report(diagnostic, Status::kInputSize, elements, images * model_.input_size());
  }
  if (data == nullptr) return Report(diagnostic, Status::kNullPointer, 1, 0);
  return Status::kOk;
}

Run Session::CurrentRun() {
  auto& work = *reinterpret_cast<SessionWork*>(work_);
  return {ViewOf(model_), *static_cast<const kernels::KernelTable*>(kernels_), options_, work.space,
          work.layer};
}

template <typename Element>
Status Session::Load(std::span<const Element> images, std::size_t count, Diagnostic* diagnostic) {
  Status status = CheckCall(images.data(), images.size(), count, diagnostic);
  if (status == Status::kOk) status = CheckKind(model_, images, diagnostic);
  if (status != Status::kOk) return status;
  const FloatState ieee;
  const format::View& view = ViewOf(model_);
  const Workspace& space = work().space;
  run_ = {};
  if (!format::RecordsAreUnchanged(view, diagnostic)) return Status::kModelChanged;
  for (std::size_t i = 0; i < count; ++i) {
    const Element* image = images.data() + i * model_.input_size();
    if (!LoadImage(view, image, space.Activations(0) + i * space.image_bytes(), diagnostic)) {
      return Status::kModelChanged;
    }
    if (config::kReconstruction && model_.head() == Head::kReconstruction) {
      LoadTargets(view, image, space.Targets(i));
    }
  }
  if (view.is_streamed() && HasNumbers(space.head())) {
    Diagnostic fault;
    if (!ReadOutputScales(view, space.OutputScales(), &fault)) {
      return EndIfFailed(fault, diagnostic);
    }
  }
  run_ = BeginRun(CurrentRun(), static_cast<std::uint32_t>(count));
  return Status::kOk;
}

template <typename Element>
Status Session::RunAll(std::span<const Element> images, std::size_t count, Diagnostic* diagnostic) {
  const Status status = Load(images, count, diagnostic);
  if (status != Status::kOk) return status;
  const FloatState ieee;
  Diagnostic fault;
  FinishRun(CurrentRun(), &run_, &fault);
  return EndIfFailed(fault, diagnostic);
}

// After a fault there are no results, nor where keep_going or profile has abandoned the run.
Status Session::EndIfFailed(const Diagnostic& fault, Diagnostic* diagnostic) {
  if (fault.status == Status::kOk && run_.images != 0) return Status::kOk;
  run_ = {};
  if (fault.status == Status::kOk) return Report(diagnostic, Status::kNotReady, 0, 0);
  if (diagnostic != nullptr) *diagnostic = fault;
  return fault.status;
}

template <typename Element>
Status Session::BeginSteps(std::span<const Element> images, std::size_t count,
                           Diagnostic* diagnostic) {
  if (kernels_ != nullptr && options_.workers > 1) {
    Report(diagnostic, Status::kBadOption, options_.workers, 1);
    if (diagnostic != nullptr) diagnostic->option = Option::kWorkers;
    return Status::kBadOption;
  }
  return Load(images, count, diagnostic);
}

Status Session::Run(std::span<const std::uint8_t> images, std::size_t count,
                    Diagnostic* diagnostic) {
  return RunAll(images, count, diagnostic);
}
Status Session::Run(std::span<const float> images, std::size_t count, Diagnostic* diagnostic) {
  return RunAll(images, count, diagnostic);
}

Status Session::Begin(std::span<const std::uint8_t> images, std::size_t count,
                      Diagnostic* diagnostic) {
  return BeginSteps(images, count, diagnostic);
}
Status Session::Begin(std::span<const float> images, std::size_t count, Diagnostic* diagnostic) {
  return BeginSteps(images, count, diagnostic);
}

Status Session::Step(Diagnostic* diagnostic) {
  if (run_.images == 0) return Report(diagnostic, Status::kNotReady, 0, 0);
  if (run_.done) return Status::kOk;
  const FloatState ieee;
  Diagnostic fault;
  StepRun(CurrentRun(), &run_, &fault);
  const Status status = EndIfFailed(fault, diagnostic);
  if (status != Status::kOk) return status;
  return run_.done ? Status::kOk : Status::kInProgress;
}

Status Session::Predict(std::span<const std::uint8_t> images, std::span<Prediction> predictions,
                        Diagnostic* diagnostic) {
  return SummarizeAll(Run(images, predictions.size(), diagnostic), predictions, diagnostic);
}

Status Session::Predict(std::span<const float> images, std::span<Prediction> predictions,
                        Diagnostic* diagnostic) {
  return SummarizeAll(Run(images, predictions.size(), diagnostic), predictions, diagnostic);
}

Status Session::SummarizeAll(Status status, std::span<Prediction> predictions,
                             Diagnostic* diagnostic) const {
  if (status != Status::kOk) return status;
  if (predictions.data() == nullptr) return Report(diagnostic, Status::kNullPointer, 2, 0);
  for (std::size_t i = 0; i < predictions.size(); ++i) Summarize(i, &predictions[i]);
  return Status::kOk;
}

Status Session::CheckResult(std::size_t index, Diagnostic* diagnostic) const {
  if (!run_.done) return Report(diagnostic, Status::kNotReady, 0, 0);
  if (index < run_.images) return Status::kOk;
  return Report(diagnostic, Status::kBatchSize, index + 1, run_.images);
}

}  // namespace mu8
