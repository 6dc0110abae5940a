// The C face of the engine: the same objects in caller-owned storage.
#include <cstddef>
#include <cstring>
#include <new>
#include <string_view>

#include "mu8/mu8.h"
#include "mu8/mu8_c.h"
#include "mu8/scrub.h"

namespace {

static_assert(sizeof(mu8::Model) <= sizeof(mu8_model));
static_assert(sizeof(mu8::Session) <= sizeof(mu8_session));
static_assert(alignof(mu8::Session) <= alignof(mu8_session));
static_assert(sizeof(mu8::Scrubber) <= sizeof(mu8_scrubber));

constexpr std::size_t kMostKeyBytes = 65535;  // FORMAT.md 7

constexpr bool Same(int c, mu8::Option option) { return c == static_cast<int>(option); }
static_assert(Same(MU8_OPTION_NONE, mu8::Option::kNone) &&
              Same(MU8_OPTION_MC_SAMPLES, mu8::Option::kMcSamples) &&
              Same(MU8_OPTION_BATCH, mu8::Option::kBatch) &&
              Same(MU8_OPTION_WORKERS, mu8::Option::kWorkers) &&
              Same(MU8_OPTION_NOISE, mu8::Option::kNoise) &&
              Same(MU8_OPTION_STOP_RULE, mu8::Option::kStopRule) &&
              Same(MU8_OPTION_STOP_ERROR, mu8::Option::kStopError) &&
              Same(MU8_OPTION_STOP_CLASS, mu8::Option::kStopClass) &&
              Same(MU8_OPTION_STOP_THRESHOLD, mu8::Option::kStopThreshold) &&
              Same(MU8_OPTION_STOP_WITHIN, mu8::Option::kStopWithin) &&
              Same(MU8_OPTION_STOP_CHOSEN, mu8::Option::kStopChosen) &&
              Same(MU8_OPTION_FAST_ARENA, mu8::Option::kFastArena) &&
              Same(MU8_OPTION_SLOW_ARENA, mu8::Option::kSlowArena) &&
              Same(MU8_OPTION_PANEL_BYTES, mu8::Option::kPanelBytes) &&
              Same(MU8_OPTION_RESIDENT, mu8::Option::kResident) &&
              Same(MU8_OPTION_SCRATCH, mu8::Option::kScratch) &&
              Same(MU8_OPTION_STREAMED, mu8::Option::kStreamed) &&
              Same(MU8_OPTION_CHECK_PRODUCTS, mu8::Option::kCheckProducts) &&
              Same(MU8_OPTION_METHOD, mu8::Option::kMethod) &&
              Same(MU8_OPTION_KEEP_LOGITS, mu8::Option::kKeepLogits) &&
              Same(MU8_OPTION_DOUBT_MARGIN, mu8::Option::kDoubtMargin) &&
              Same(MU8_OPTION_DOUBT_ENTROPY, mu8::Option::kDoubtEntropy));
static_assert(MU8_METHOD_MOMENTS == static_cast<int>(mu8::Method::kMoments) &&
              MU8_METHOD_AUTO == static_cast<int>(mu8::Method::kAuto));
static_assert(MU8_STOP_THRESHOLDS == static_cast<int>(mu8::StopRule::kThresholds) &&
              MU8_ENDED_DECIDED == static_cast<int>(mu8::Ended::kDecided) &&
              MU8_ENDED_MOMENTS == static_cast<int>(mu8::Ended::kMoments) &&
              MU8_DECISION_UNDECIDED == static_cast<int>(mu8::Decision::kUndecided) &&
              MU8_DECISION_ABOVE == static_cast<int>(mu8::Decision::kAbove) &&
              MU8_DECISION_BELOW == static_cast<int>(mu8::Decision::kBelow));
static_assert(sizeof(mu8::Decision) == 1);  // C reads decisions as bytes

const mu8::Model* AsModel(const mu8_model* model) {
  return reinterpret_cast<const mu8::Model*>(model->storage);
}
mu8::Session* AsSession(mu8_session* session) {
  return reinterpret_cast<mu8::Session*>(session->storage);
}
const mu8::Session* AsSession(const mu8_session* session) {
  return reinterpret_cast<const mu8::Session*>(session->storage);
}

mu8::Scrubber* AsScrubber(mu8_scrubber* scrubber) {
  return reinterpret_cast<mu8::Scrubber*>(scrubber->storage);
}
const mu8::Scrubber* AsScrubber(const mu8_scrubber* scrubber) {
  return reinterpret_cast<const mu8::Scrubber*>(scrubber->storage);
}

std::int32_t Return(mu8::Status status, const mu8::Diagnostic& from, mu8_diagnostic* to) {
  if (to != nullptr) {
    *to = {static_cast<std::int32_t>(from.status),
           static_cast<std::int32_t>(from.option),
           from.offset,
           from.layer,
           from.tensor,
           from.found,
           from.expected};
  }
  return static_cast<std::int32_t>(status);
}

mu8::SessionOptions Options(const mu8_model* model, const mu8_options& options) {
  const std::size_t chosen = options.stop_chosen == nullptr ? 0 : AsModel(model)->class_count();
  return {.mc_samples = options.mc_samples,
          .seed = options.seed,
          .batch = options.batch,
          .keep_logits = options.keep_logits != 0,
          .kernels = static_cast<mu8::KernelSet>(options.kernels),
          .method = static_cast<mu8::Method>(options.method),
          .doubt = {.margin = options.doubt_margin,
                    .entropy_from = options.doubt_entropy_from,
                    .entropy_to = options.doubt_entropy_to},
          .noise = static_cast<mu8::Noise>(options.noise),
          .stop = {.rule = static_cast<mu8::StopRule>(options.stop_rule),
                   .error = options.stop_error,
                   .class_index = options.stop_class,
                   .threshold = options.stop_threshold,
                   .within = options.stop_within,
                   .chosen = {options.stop_chosen, chosen}},
          .workers = options.workers,
          .parallel_for = options.parallel_for,
          .parallel_context = options.parallel_context,
          .panel_bytes = options.panel_bytes,
          .check_products = options.check_products != 0,
          .keep_going = options.keep_going,
          .keep_going_context = options.keep_going_context,
          .profile = options.profile,
          .profile_context = options.profile_context};
}

// Between the two languages' records, which are the same bytes.
template <typename To, typename From>
To Record(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  static_assert(offsetof(mu8::ReplayRecord, library_version) ==
                    offsetof(mu8_replay_record, library_version) &&
                offsetof(mu8::ReplayRecord, ended) == offsetof(mu8_replay_record, ended));
  To to;
  std::memcpy(static_cast<void*>(&to), &from, sizeof(to));
  return to;
}

mu8_prediction Convert(const mu8::Prediction& p) {
  return {p.label,
          static_cast<std::uint32_t>(p.mean.size()),
          p.samples_used,
          static_cast<std::uint32_t>(p.ended),
          p.predictive_entropy,
          p.expected_entropy,
          p.mutual_information,
          p.mean.data(),
          p.variance.data(),
          p.logits.empty() ? nullptr : p.logits.data(),
          p.logits_stride,
          p.output_entropy.empty() ? nullptr : p.output_entropy.data(),
          p.output_expected_entropy.empty() ? nullptr : p.output_expected_entropy.data(),
          p.clamped_inputs,
          p.clamped_scales,
          p.noise_variance.empty() ? nullptr : p.noise_variance.data(),
          p.error,
          p.error_variance,
          p.target.empty() ? nullptr : p.target.data(),
          p.clipped_passes,
          p.decisions.empty() ? nullptr : reinterpret_cast<const std::uint8_t*>(p.decisions.data()),
          Record<mu8_replay_record>(p.replay),
          p.abstains,
          p.logit_covariance.empty() ? nullptr : p.logit_covariance.data(),
          p.logit_covariance.size()};
}

// The first null pointer of the arguments that must be none, counted from 1; 0: there is none.
template <typename... Pointers>
std::uint64_t FirstNull(Pointers... pointers) {
  std::uint64_t place = 0, found = 0;
  ((++place, found = found == 0 && pointers == nullptr ? place : found), ...);
  return found;
}

std::int32_t ReturnNull(std::uint64_t place, mu8_diagnostic* diagnostic) {
  return Return(mu8::Status::kNullPointer, {.status = mu8::Status::kNullPointer, .found = place},
                diagnostic);
}

template <typename Element>
std::int32_t Predict(mu8_session* session, const Element* images, std::size_t count,
                     mu8_prediction* predictions, mu8_diagnostic* diagnostic) {
  const void* const unused = session;  // `count` is the third argument
  if (const std::uint64_t null = FirstNull(session, images, unused, predictions); null != 0) {
    return ReturnNull(null, diagnostic);
  }
  mu8::Diagnostic detail;
  mu8::Session* engine = AsSession(session);
  const std::span<const Element> pixels(images, count * engine->input_size());
  const mu8::Status status = engine->Run(pixels, count, &detail);
  if (status == mu8::Status::kOk) {
    for (std::size_t i = 0; i < count; ++i) predictions[i] = Convert(engine->Result(i));
  }
  return Return(status, detail, diagnostic);
}

template <typename Element>
std::int32_t Begin(mu8_session* session, const Element* images, std::size_t count,
                   mu8_diagnostic* diagnostic) {
  if (const std::uint64_t null = FirstNull(session, images); null != 0) {
    return ReturnNull(null, diagnostic);
  }
  mu8::Diagnostic detail;
  mu8::Session* engine = AsSession(session);
  const std::span<const Element> pixels(images, count * engine->input_size());
  return Return(engine->Begin(pixels, count, &detail), detail, diagnostic);
}

}  // namespace

extern "C" {

mu8_options mu8_default_options(void) {
  const mu8::SessionOptions defaults;
  return {.mc_samples = defaults.mc_samples,
          .batch = defaults.batch,
          .seed = defaults.seed,
          .keep_logits = 0,
          .kernels = MU8_KERNELS_AUTO,
          .noise = MU8_NOISE_INDEPENDENT,
          .stop_rule = MU8_STOP_NONE,
          .stop_error = defaults.stop.error,
          .stop_class = defaults.stop.class_index,
          .stop_threshold = defaults.stop.threshold,
          .stop_within = defaults.stop.within,
          .workers = defaults.workers,
          .parallel_for = nullptr,
          .parallel_context = nullptr,
          .keep_going = nullptr,
          .keep_going_context = nullptr,
          .stop_chosen = nullptr,
          .profile = nullptr,
          .profile_context = nullptr,
          .check_products = 0,
          .method = MU8_METHOD_SAMPLING,
          .panel_bytes = defaults.panel_bytes,
          .doubt_margin = defaults.doubt.margin,
          .doubt_entropy_from = defaults.doubt.entropy_from,
          .doubt_entropy_to = defaults.doubt.entropy_to};
}

mu8_options mu8_replay_options(const mu8_replay_record* record) {
  mu8_options options = mu8_default_options();
  if (record == nullptr) return options;
  const mu8::SessionOptions replay = mu8::ReplayOptions(Record<mu8::ReplayRecord>(*record));
  options.mc_samples = replay.mc_samples;
  options.seed = replay.seed;
  options.method = static_cast<std::uint8_t>(replay.method);
  options.noise = static_cast<std::uint8_t>(replay.noise);
  options.stop_rule = static_cast<std::uint8_t>(replay.stop.rule);
  options.stop_error = replay.stop.error;
  options.stop_class = replay.stop.class_index;
  options.stop_threshold = replay.stop.threshold;
  options.stop_within = replay.stop.within;
  return options;
}

std::int32_t mu8_model_open(const void* bytes, size_t size, mu8_model* model,
                            mu8_diagnostic* diagnostic) {
  const void* const unused = bytes;  // `size` is the second argument
  if (const std::uint64_t null = FirstNull(bytes, unused, model); null != 0) {
    return ReturnNull(null, diagnostic);
  }
  mu8::Diagnostic detail;
  mu8::Model opened;
  const mu8::Status status =
      mu8::Model::Open({static_cast<const std::byte*>(bytes), size}, &opened, &detail);
  if (status == mu8::Status::kOk) new (model->storage) mu8::Model(opened);
  return Return(status, detail, diagnostic);
}

std::int32_t mu8_model_open_streamed(const mu8_source* source, void* resident,
                                     size_t resident_bytes, void* scratch, size_t scratch_bytes,
                                     mu8_model* model, mu8_diagnostic* diagnostic) {
  // Sizes are the third and fifth argument; memory of no bytes may be null.
  const void* const unused = source;
  if (const std::uint64_t null = FirstNull(source, resident_bytes == 0 ? unused : resident, unused,
                                           scratch_bytes == 0 ? unused : scratch, unused, model);
      null != 0) {
    return ReturnNull(null, diagnostic);
  }
  mu8::Diagnostic detail;
  mu8::Model opened;
  const mu8::Status status =
      mu8::Model::OpenStreamed({source->context, source->bytes, source->read},
                               {static_cast<std::byte*>(resident), resident_bytes},
                               {static_cast<std::byte*>(scratch), scratch_bytes}, &opened, &detail);
  if (status == mu8::Status::kOk) new (model->storage) mu8::Model(opened);
  return Return(status, detail, diagnostic);
}

size_t mu8_model_input_size(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->input_size();
}

uint32_t mu8_model_input_height(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->input_height();
}

uint32_t mu8_model_input_width(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->input_width();
}

uint32_t mu8_model_input_channels(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->input_channels();
}

uint32_t mu8_model_class_count(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->class_count();
}

uint32_t mu8_model_output_height(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->output_height();
}

uint32_t mu8_model_output_width(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->output_width();
}

size_t mu8_model_output_size(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->output_size();
}

uint32_t mu8_model_head(const mu8_model* model) {
  return model == nullptr ? 0 : static_cast<uint32_t>(AsModel(model)->head());
}

uint32_t mu8_model_input_kind(const mu8_model* model) {
  return model == nullptr ? 0 : static_cast<uint32_t>(AsModel(model)->input_kind());
}

bool mu8_model_output_range(const mu8_model* model, uint32_t output, float* low, float* high) {
  if (model == nullptr || low == nullptr || high == nullptr) return false;
  return AsModel(model)->OutputRange(output, low, high);
}

uint32_t mu8_model_abstain_measure(const mu8_model* model) {
  return model == nullptr ? 0 : static_cast<uint32_t>(AsModel(model)->abstain_measure());
}

bool mu8_model_abstain_threshold(const mu8_model* model, uint32_t output, float* threshold) {
  if (model == nullptr || threshold == nullptr) return false;
  return AsModel(model)->AbstainThreshold(output, threshold);
}

bool mu8_model_has_moments(const mu8_model* model) {
  return model != nullptr && AsModel(model)->has_moments();
}

size_t mu8_model_metadata(const mu8_model* model, const char* key, const char** text) {
  if (text != nullptr) *text = nullptr;
  if (model == nullptr || key == nullptr || text == nullptr) return 0;
  std::size_t length = 0;
  // By hand: no strlen where a device has none. At most the bytes of the longest key.
  while (length < kMostKeyBytes && key[length] != '\0') ++length;
  const std::string_view value = AsModel(model)->Metadata({key, length});
  if (!value.empty()) *text = value.data();
  return value.size();
}

uint64_t mu8_model_hash(const mu8_model* model) {
  return model == nullptr ? 0 : AsModel(model)->hash();
}

size_t mu8_arena_bytes(const mu8_model* model, const mu8_options* options) {
  if (model == nullptr || options == nullptr) return 0;
  return mu8::ArenaBytes(*AsModel(model), Options(model, *options));
}

std::int32_t mu8_session_create(const mu8_model* model, const mu8_options* options, void* arena,
                                size_t arena_bytes, mu8_session* session,
                                mu8_diagnostic* diagnostic) {
  if (const std::uint64_t null = FirstNull(model, options, arena); null != 0) {
    return ReturnNull(null, diagnostic);
  }
  if (session == nullptr) return ReturnNull(5, diagnostic);
  mu8::Diagnostic detail;
  const mu8::Status status = mu8::Session::Create(*AsModel(model), Options(model, *options),
                                                  {static_cast<std::byte*>(arena), arena_bytes},
                                                  AsSession(session), &detail);
  return Return(status, detail, diagnostic);
}

void mu8_arena_region_bytes(const mu8_model* model, const mu8_options* options, size_t* fast_bytes,
                            size_t* slow_bytes) {
  mu8::RegionBytes bytes;
  if (model != nullptr && options != nullptr) {
    bytes = mu8::ArenaRegionBytes(*AsModel(model), Options(model, *options));
  }
  if (fast_bytes != nullptr) *fast_bytes = bytes.fast;
  if (slow_bytes != nullptr) *slow_bytes = bytes.slow;
}

std::int32_t mu8_session_create_in_regions(const mu8_model* model, const mu8_options* options,
                                           void* fast, size_t fast_bytes, void* slow,
                                           size_t slow_bytes, mu8_session* session,
                                           mu8_diagnostic* diagnostic) {
  const void* const unused = options;  // sizes are the fourth and sixth argument
  if (const std::uint64_t null = FirstNull(model, options, fast, unused, slow, unused, session);
      null != 0) {
    return ReturnNull(null, diagnostic);
  }
  mu8::Diagnostic detail;
  const mu8::Status status = mu8::Session::Create(
      *AsModel(model), Options(model, *options), {static_cast<std::byte*>(fast), fast_bytes},
      {static_cast<std::byte*>(slow), slow_bytes}, AsSession(session), &detail);
  return Return(status, detail, diagnostic);
}

std::int32_t mu8_predict_u8(mu8_session* session, const uint8_t* images, size_t count,
                            mu8_prediction* predictions, mu8_diagnostic* diagnostic) {
  return Predict(session, images, count, predictions, diagnostic);
}
std::int32_t mu8_predict_f32(mu8_session* session, const float* images, size_t count,
                             mu8_prediction* predictions, mu8_diagnostic* diagnostic) {
  return Predict(session, images, count, predictions, diagnostic);
}

std::int32_t mu8_begin_u8(mu8_session* session, const uint8_t* images, size_t count,
                          mu8_diagnostic* diagnostic) {
  return Begin(session, images, count, diagnostic);
}
std::int32_t mu8_begin_f32(mu8_session* session, const float* images, size_t count,
                           mu8_diagnostic* diagnostic) {
  return Begin(session, images, count, diagnostic);
}
std::int32_t mu8_step(mu8_session* session, mu8_diagnostic* diagnostic) {
  if (session == nullptr) return ReturnNull(1, diagnostic);
  mu8::Diagnostic detail;
  return Return(AsSession(session)->Step(&detail), detail, diagnostic);
}
std::int32_t mu8_result(const mu8_session* session, size_t index, mu8_prediction* prediction,
                        mu8_diagnostic* diagnostic) {
  const void* const unused = session;  // `index` is the second argument
  if (const std::uint64_t null = FirstNull(session, unused, prediction); null != 0) {
    return ReturnNull(null, diagnostic);
  }
  mu8::Diagnostic detail;
  const mu8::Status status = AsSession(session)->CheckResult(index, &detail);
  if (status == mu8::Status::kOk) *prediction = Convert(AsSession(session)->Result(index));
  return Return(status, detail, diagnostic);
}
void mu8_abandon(mu8_session* session) {
  if (session != nullptr) AsSession(session)->Abandon();
}
std::uint32_t mu8_passes_done(const mu8_session* session) {
  return session == nullptr ? 0 : AsSession(session)->passes_done();
}

std::int32_t mu8_scrubber_create(const mu8_model* model, mu8_scrubber* scrubber,
                                 mu8_diagnostic* diagnostic) {
  if (const std::uint64_t null = FirstNull(model, scrubber); null != 0) {
    return ReturnNull(null, diagnostic);
  }
  mu8::Diagnostic detail;
  if (!AsModel(model)->is_open()) detail.status = mu8::Status::kNotReady;
  new (scrubber->storage) mu8::Scrubber(*AsModel(model));
  return Return(detail.status, detail, diagnostic);
}

std::int32_t mu8_scrub(mu8_scrubber* scrubber, size_t bytes, mu8_diagnostic* diagnostic) {
  if (scrubber == nullptr) return ReturnNull(1, diagnostic);
  mu8::Diagnostic detail;
  mu8::Scrubber* const engine = AsScrubber(scrubber);
  const mu8::Status status = engine->Scrub(bytes, &detail);
  return Return(status, detail, diagnostic);
}

uint32_t mu8_scrub_rounds(const mu8_scrubber* scrubber) {
  return scrubber == nullptr ? 0 : AsScrubber(scrubber)->rounds();
}

const char* mu8_status_text(std::int32_t status) {
  return mu8::StatusText(static_cast<mu8::Status>(status));
}

size_t mu8_explain(const mu8_diagnostic* diagnostic, char* buffer, size_t buffer_bytes) {
  if (diagnostic == nullptr || buffer == nullptr) return 0;
  const mu8::Diagnostic detail{static_cast<mu8::Status>(diagnostic->status),
                               static_cast<mu8::Option>(diagnostic->option),
                               diagnostic->offset,
                               diagnostic->layer,
                               diagnostic->tensor,
                               diagnostic->found,
                               diagnostic->expected};
  return mu8::Explain(detail, {buffer, buffer_bytes});
}

}  // extern "C"
