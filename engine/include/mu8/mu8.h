// mu8: inference with quantized Bayesian neural networks. Open a model, ask for the arena's size,
// create a session in your own memory, predict. Nothing here allocates, throws or keeps global
// state; the same seed gives the same bytes on every target, whatever rounding mode the caller's
// thread is in (it is put aside for the call, and so in every task; callbacks leave it as they find
// it, as calling conventions ask for).
//
// Lifetimes: the file's bytes outlive Model and Session, the arena outlives Session, and no call
// writes to the file's bytes. A Session keeps its own copy of Model and options.
// Threads: a Model is read only, and may be shared. A Session serves one call at a time; sessions
// with arenas of their own run at the same time, over one model, too. A prediction's spans hold
// until the session's next Run or Predict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "mu8/options.h"
#include "mu8/prediction.h"
#include "mu8/run_state.h"
#include "mu8/source.h"
#include "mu8/status.h"
#include "mu8/version.h"

namespace mu8 {

class Scrubber;  // mu8/scrub.h
// Internal.
struct Run;
struct SessionWork;
namespace format {
struct View;
}

// A view over a .mu8 file in memory, or behind a Source, which must outlive it. Copyable.
class Model {
 public:
  // Validates all of `bytes` (start: a multiple of 16) against FORMAT.md, in time linear in its
  // size. On failure `*model` is unchanged and `*diagnostic`, if given, says where and why.
  static Status Open(std::span<const std::byte> bytes, Model* model,
                     Diagnostic* diagnostic = nullptr);

  // The same for a file that no pointer reaches: `source` gives its bytes. Section 5, the
  // parameters and by far the most of it, is read again in every pass, panel by panel; all else is
  // copied to `resident`, which must outlive the model and has file_bytes - section 5's bytes. If
  // it is smaller, kArenaTooSmall says what it must have (Option::kResident; ask with an empty
  // one). `scratch` has 640 bytes at least, more make fewer reads, and is free afterwards: it may
  // be the arena-to-be. Findings are Open's, kReadFailed comes in addition: from every call that
  // reads. Predictions are the same bytes as of the file in memory. If the source later gives other
  // bytes, a call gives another answer or a status, as with bytes in memory (docs/FAULTS.md).
  static Status OpenStreamed(const Source& source, std::span<std::byte> resident,
                             std::span<std::byte> scratch, Model* model,
                             Diagnostic* diagnostic = nullptr);

  // For a build that trusts its model: `mu8 embed`, or any host, has opened the file and taken its
  // TrustedHash. Checks no rule of the file, only that these are its bytes, else kWrongModel; the
  // code of the validation is not linked. The hash finds accidents, not attackers.
  static Status OpenTrusted(std::span<const std::byte> bytes, std::uint32_t hash, Model* model,
                            Diagnostic* diagnostic = nullptr);
  // CRC-32C of all bytes.
  static std::uint32_t TrustedHash(std::span<const std::byte> bytes);

  std::uint32_t input_height() const;
  std::uint32_t input_width() const;
  std::uint32_t input_channels() const;
  std::size_t input_size() const;  // elements of one image, NHWC
  // The answer: class_count outputs, of whatever head (of kGaussian the numbers alone), at each of
  // output_height x output_width positions; 1 x 1 unless the network answers pixel by pixel.
  std::uint32_t class_count() const;
  std::uint32_t output_height() const;
  std::uint32_t output_width() const;
  // Elements of a prediction's mean, height by width by outputs.
  std::size_t output_size() const;
  Head head() const;
  InputKind input_kind() const;
  // The range of an output, of which a stop rule's promise for values speaks. False, and nothing is
  // written, if the file has none.
  bool OutputRange(std::uint32_t output, float* low, float* high) const;
  // When predictions abstain: which measure the file has a threshold for, that of an output (of
  // every output alike where the measure is of the whole prediction), and how many passes it was
  // measured with (0: not known). False, and nothing is written, if there is none.
  AbstainMeasure abstain_measure() const { return abstain_measure_; }
  bool AbstainThreshold(std::uint32_t output, float* threshold) const;
  std::uint32_t abstain_samples() const;
  // Whether Method::kMoments can be asked for.
  bool has_moments() const;
  // Names the file, of its stored checksums as Open has found them: header_crc, and in the upper
  // half the crc of section 5, the parameters. Two files that differ by accident share it with
  // probability 2^-32 at most, 2^-64 where parameters differ. CRCs are no signature: a file can be
  // made to have any hash, so it guards against mixing files up, not against an adversary.
  std::uint64_t hash() const { return hash_; }

  // Metadata; empty when the file has none. Text is UTF-8 without a final NUL.
  std::string_view name() const { return Metadata("name"); }
  std::string_view label(std::uint32_t class_index) const;
  std::string_view Metadata(std::string_view key) const;

  bool is_open() const;
  // The file; empty if it is not in memory.
  std::span<const std::byte> bytes() const;
  bool is_streamed() const;

 private:
  friend class Session;
  friend const format::View& ViewOf(const Model& model);
  void Take(const format::View& view);
  format::View& view();

  // A format::View, which is what Open has found of the file: where its parts lie and how much
  // memory they need is not asked of its bytes again, which may have changed.
  static constexpr std::size_t kViewBytes = 152 + 4 * sizeof(void*);
  alignas(std::uint64_t) std::byte view_[kViewBytes] = {};
  std::uint64_t hash_ = 0;
  std::uint16_t version_major_ = 0, version_minor_ = 0;
  AbstainMeasure abstain_measure_ = AbstainMeasure::kNone;
};

// Exact bytes that Session::Create needs; 0 if an option is out of range or the model is not open.
std::size_t ArenaBytes(const Model& model, const SessionOptions& options);

// The same in two regions, for devices with fast and slow RAM; multiples of 16, ArenaBytes in all.
struct RegionBytes {
  std::size_t fast = 0;  // what inner loops touch: activations, a drawn panel, accumulators
  std::size_t slow = 0;  // the rest: sums, results, targets, logits that are kept, progress
};
RegionBytes ArenaRegionBytes(const Model& model, const SessionOptions& options);

class Session {
 public:
  // Uses the first ArenaBytes(model, options) bytes of `arena` (start: a multiple of 16).
  static Status Create(const Model& model, const SessionOptions& options,
                       std::span<std::byte> arena, Session* session,
                       Diagnostic* diagnostic = nullptr);
  // The same in two spans, which both outlive the session, each of ArenaRegionBytes and starting at
  // a multiple of 16. A diagnostic about one of them has Option::kFastArena or kSlowArena.
  static Status Create(const Model& model, const SessionOptions& options, std::span<std::byte> fast,
                       std::span<std::byte> slow, Session* session,
                       Diagnostic* diagnostic = nullptr);

  // Raw u8 pixels, NHWC, predictions.size() images of model.input_size() each. The file's input
  // table maps them; a prediction does not depend on the other images of the batch. A model of
  // InputKind::kNumbers has no such table: kInputKind.
  Status Predict(std::span<const std::uint8_t> images, std::span<Prediction> predictions,
                 Diagnostic* diagnostic = nullptr);
  // Floats, NHWC: of kPixels in the network's own input units (normalized), of kNumbers as the
  // file's affine map takes them. NaN and infinity are rejected; floats for pixels to be
  // reconstructed, too (kInputKind): the file knows what a pixel ought to become, not they.
  Status Predict(std::span<const float> images, std::span<Prediction> predictions,
                 Diagnostic* diagnostic = nullptr);

  // The two steps of Predict, for callers without an array of Predictions: run `count` images, then
  // ask for each result before the next Run. Result is empty for an index beyond that Run's images.
  Status Run(std::span<const std::uint8_t> images, std::size_t count,
             Diagnostic* diagnostic = nullptr);
  Status Run(std::span<const float> images, std::size_t count, Diagnostic* diagnostic = nullptr);
  Prediction Result(std::size_t index) const;
  // Whether Result has one: kNotReady before the run's end, kBatchSize beyond its images.
  Status CheckResult(std::size_t index, Diagnostic* diagnostic = nullptr) const;

  // Run in steps that return to the caller, for watchdogs and cooperative schedulers: Begin takes
  // the images as Run does, and copies what it needs of them; then Step until it answers kOk, and
  // Result. kInProgress: call again. Run is the same steps in one call, so the predictions are the
  // same bytes; keep_going is asked as Run asks it. A step is one panel of one layer (16 output
  // channels at most: draw 16 K weights with K inputs each, and multiply them at every position of
  // every image of the batch), or one layer without weights; the last of a pass adds the pass to
  // the sums as well. Begin takes time linear in the images and in the sums. Only of a session with
  // options.workers = 1: else kBadOption. Between steps the session may be left or moved for as
  // long as the arena stays as it is; Run and Begin start anew at any time.
  Status Begin(std::span<const std::uint8_t> images, std::size_t count,
               Diagnostic* diagnostic = nullptr);
  Status Begin(std::span<const float> images, std::size_t count, Diagnostic* diagnostic = nullptr);
  // kNotReady: nothing was begun, or it was abandoned. After the end it answers kOk again.
  Status Step(Diagnostic* diagnostic = nullptr);
  // Forgets the run and its results. From within keep_going or profile it ends the call, with
  // kNotReady.
  void Abandon() { run_ = {}; }
  // Of the run that was begun last: passes done, of mc_samples at most; 0 if there is none. A stop
  // rule or keep_going may end it before.
  std::uint32_t passes_done() const { return run_.passes; }

  std::size_t input_size() const { return model_.input_size(); }
  // The kernels that run, by the name of their table: "scalar", "portable", "neondot", ...
  const char* kernels() const;
  std::size_t arena_bytes() const;  // of both regions

 private:
  // Create; without `slow` that is behind `fast`.
  static Status Make(const Model& model, const SessionOptions& options, std::span<std::byte> fast,
                     const std::span<std::byte>* slow, Session* session, Diagnostic* diagnostic);
  Status Take(const Model& model, const SessionOptions& options, std::uint64_t image_bytes,
              const void* kernels, std::span<std::byte> fast, const std::span<std::byte>* slow,
              Diagnostic* diagnostic);
  Status CheckCall(const void* data, std::size_t elements, std::size_t images,
                   Diagnostic* diagnostic) const;
  template <typename Element>
  Status Load(std::span<const Element> images, std::size_t count, Diagnostic* diagnostic);
  template <typename Element>
  Status RunAll(std::span<const Element> images, std::size_t count, Diagnostic* diagnostic);
  template <typename Element>
  Status BeginSteps(std::span<const Element> images, std::size_t count, Diagnostic* diagnostic);
  Status EndIfFailed(const Diagnostic& fault, Diagnostic* diagnostic);
  // Result of an image that has one.
  void Summarize(std::size_t index, Prediction* to) const;
  // The end of Predict, whose Run has answered `status`.
  Status SummarizeAll(Status status, std::span<Prediction> predictions,
                      Diagnostic* diagnostic) const;
  const SessionWork& work() const;
  struct Run CurrentRun();
  Model model_;
  SessionOptions options_;
  const void* kernels_ = nullptr;  // kernels::KernelTable
  RunState run_;
  // A SessionWork, made once: no call asks the model's bytes again.
  static constexpr std::size_t kWorkBytes = 616 + 69 * sizeof(void*);
  alignas(std::uint64_t) std::byte work_[kWorkBytes] = {};
};

}  // namespace mu8
