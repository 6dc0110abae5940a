// The engine for JavaScript: mu8.h behind functions whose arguments and results are 32-bit words in
// the module's memory, which mu8.js reads and writes by their place. Nothing here throws; what
// fails answers null or a status and leaves its text for mu8_js_message. One prediction is one
// image.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include "mu8/mu8.h"
#include "tools/mu8/prediction_crc.h"
#include "tools/mu8/verdict.h"

#define MU8_JS(name) __attribute__((export_name(#name))) name

namespace mu8::web {
namespace {

// Where a text or an array lies; what mu8.js calls a view.
struct View {
  const void* data = nullptr;
  std::size_t count = 0;  // bytes of a text, elements of an array
};
static_assert(sizeof(View) == 8, "mu8.js reads words");

View Of(std::string_view text) { return {text.data(), text.size()}; }
template <typename Element>
View Of(std::span<Element> values) {
  return {values.data(), values.size()};
}

// A .mu8 file in memory that belongs to it.
struct OpenModel {
  Model model;
  void* bytes = nullptr;
};

struct ModelWords {
  std::uint32_t input_height, input_width, input_channels;
  std::uint32_t class_count, output_height, output_width;
  std::uint32_t head, input_kind;     // Head, InputKind
  std::uint32_t has_moments;          // 0, 1
  std::uint32_t abstain_measure;      // AbstainMeasure
  std::uint32_t hash_low, hash_high;  // Model::hash
  std::uint32_t file_bytes;
  View name;
};
static_assert(sizeof(ModelWords) == 15 * 4);

// SessionOptions of one image and one worker.
struct OptionWords {
  std::uint32_t mc_samples, seed_low, seed_high;
  std::uint32_t keep_logits, method, noise;
  std::uint32_t stop_rule;
  float stop_error;
  std::uint32_t stop_class;
  float stop_threshold, stop_within;
  const std::uint8_t* chosen;  // belongs to the run from mu8_js_begin on, as does the input
  std::uint32_t chosen_count;
  float doubt_margin, doubt_entropy_from, doubt_entropy_to;
};
static_assert(sizeof(OptionWords) == 16 * 4);

struct ResultWords {
  std::uint32_t label, samples_used, ended;
  float predictive_entropy, expected_entropy, mutual_information;
  View mean, variance, output_entropy, output_expected_entropy;
  View logits;  // all rows, logits_stride apart
  std::uint32_t logits_stride;
  View noise_variance, target, decisions;
  std::uint32_t clamped_inputs, clamped_scales, clipped_passes;
  float error, error_variance;
  std::uint32_t abstains;
  View verdict, why;  // tools/mu8/verdict.h, of a softmax that answers once; else empty
  ReplayRecord replay;
  std::uint32_t prediction_crc;
  View kernels;
};
static_assert(offsetof(ResultWords, replay) == 34 * 4 && sizeof(ResultWords) == 52 * 4);

// A prediction that is being made, and then its result.
struct Running {
  Session session;
  Head head = Head::kSoftmax;
  void* arena = nullptr;
  void* input = nullptr;
  const void* chosen = nullptr;
  ResultWords words = {};
};

struct {
  Status status = Status::kOk;
  char text[512] = {};
} problem;

// The engine's own sentence; true if there is a problem.
bool Failed(Status status, const Diagnostic& diagnostic) {
  problem.status = status;
  if (status == Status::kOk) return false;
  Explain(diagnostic, problem.text);
  return true;
}

// The module has no memory left: not one of the engine's, which asks for none.
void NoMemory() {
  problem.status = Status{-1};
  constexpr std::string_view kText = "out of memory: the module's memory cannot grow any further";
  std::memcpy(problem.text, kText.data(), kText.size() + 1);
}

constexpr std::size_t kAlignment = 64;

void* Allocate(std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment) / kAlignment * kAlignment;
  void* memory = rounded > bytes ? std::aligned_alloc(kAlignment, rounded) : nullptr;
  if (memory == nullptr) NoMemory();
  return memory;
}

template <typename Object>
Object* Make() {
  void* memory = Allocate(sizeof(Object));
  return memory == nullptr ? nullptr : new (memory) Object{};
}

void Free(Running* running) {
  if (running == nullptr) return;
  std::free(running->arena);
  std::free(running->input);
  std::free(const_cast<void*>(running->chosen));
  std::free(running);
}

std::uint64_t Join(std::uint32_t low, std::uint32_t high) {
  return low | std::uint64_t{high} << 32;
}

SessionOptions OptionsOf(const OptionWords& words) {
  SessionOptions options;
  options.mc_samples = words.mc_samples;
  options.seed = Join(words.seed_low, words.seed_high);
  options.keep_logits = words.keep_logits != 0;
  options.method = Method{static_cast<std::uint8_t>(words.method)};
  options.noise = Noise{static_cast<std::uint8_t>(words.noise)};
  options.stop = {.rule = StopRule{static_cast<std::uint8_t>(words.stop_rule)},
                  .error = words.stop_error,
                  .class_index = words.stop_class,
                  .threshold = words.stop_threshold,
                  .within = words.stop_within,
                  .chosen = {words.chosen, words.chosen_count}};
  options.doubt = {.margin = words.doubt_margin,
                   .entropy_from = words.doubt_entropy_from,
                   .entropy_to = words.doubt_entropy_to};
  return options;
}

void SetVerdict(const Prediction& p, ResultWords* words) {
  const bool tells = p.samples_used > 1 || p.replay.method == Method::kMoments;
  const tool::Verdict verdict =
      tool::Judge(static_cast<double>(p.expected_entropy),
                  static_cast<double>(p.mutual_information), p.mean.size(), tells ? 2 : 1);
  words->verdict = Of(std::string_view(tool::VerdictName(verdict)));
  words->why = Of(std::string_view(tool::VerdictSentence(verdict)));
}

void SetResult(const Prediction& p, Head head, const char* kernels, ResultWords* words) {
  *words = {.label = p.label,
            .samples_used = p.samples_used,
            .ended = static_cast<std::uint32_t>(p.ended),
            .predictive_entropy = p.predictive_entropy,
            .expected_entropy = p.expected_entropy,
            .mutual_information = p.mutual_information,
            .mean = Of(p.mean),
            .variance = Of(p.variance),
            .output_entropy = Of(p.output_entropy),
            .output_expected_entropy = Of(p.output_expected_entropy),
            .logits = Of(p.logits),
            .logits_stride = static_cast<std::uint32_t>(p.logits_stride),
            .noise_variance = Of(p.noise_variance),
            .target = Of(p.target),
            .decisions = Of(p.decisions),
            .clamped_inputs = p.clamped_inputs,
            .clamped_scales = p.clamped_scales,
            .clipped_passes = p.clipped_passes,
            .error = p.error,
            .error_variance = p.error_variance,
            .abstains = p.abstains ? 1U : 0U,
            .verdict = {},
            .why = {},
            .replay = p.replay,
            .prediction_crc = tool::PredictionCrc(p),
            .kernels = Of(std::string_view(kernels))};
  if (head == Head::kSoftmax && p.label != kNoLabel) SetVerdict(p, words);
}

}  // namespace

extern "C" {

// Of what failed last: its status (-1: out of memory, else mu8/status.h) and text.
std::int32_t MU8_JS(mu8_js_status)() { return static_cast<std::int32_t>(problem.status); }
const char* MU8_JS(mu8_js_message)() { return problem.text; }

// What SessionOptions says where nothing is asked for.
OptionWords* MU8_JS(mu8_js_default_options)() {
  static OptionWords words;
  const SessionOptions options;
  words = {.mc_samples = options.mc_samples,
           .seed_low = static_cast<std::uint32_t>(options.seed),
           .seed_high = static_cast<std::uint32_t>(options.seed >> 32),
           .keep_logits = options.keep_logits ? 1U : 0U,
           .method = static_cast<std::uint32_t>(options.method),
           .noise = static_cast<std::uint32_t>(options.noise),
           .stop_rule = static_cast<std::uint32_t>(options.stop.rule),
           .stop_error = options.stop.error,
           .stop_class = options.stop.class_index,
           .stop_threshold = options.stop.threshold,
           .stop_within = options.stop.within,
           .chosen = nullptr,
           .chosen_count = 0,
           .doubt_margin = options.doubt.margin,
           .doubt_entropy_from = options.doubt.entropy_from,
           .doubt_entropy_to = options.doubt.entropy_to};
  return &words;
}

std::uint32_t MU8_JS(mu8_js_library_version)() { return kLibraryVersion; }

// Memory for a file, an input, a list of outputs; null: there is none.
void* MU8_JS(mu8_js_allocate)(std::size_t bytes) { return Allocate(bytes); }
void MU8_JS(mu8_js_free)(void* memory) { std::free(memory); }

// `bytes` is of mu8_js_allocate and belongs to the model from now on, freed where it is null.
OpenModel* MU8_JS(mu8_js_open)(void* bytes, std::size_t size) {
  auto* open = Make<OpenModel>();
  Diagnostic diagnostic;
  if (open == nullptr ||
      Failed(Model::Open({static_cast<const std::byte*>(bytes), size}, &open->model, &diagnostic),
             diagnostic)) {
    std::free(open);
    std::free(bytes);
    return nullptr;
  }
  open->bytes = bytes;
  return open;
}

void MU8_JS(mu8_js_close)(OpenModel* open) {
  std::free(open->bytes);
  std::free(open);
}

const ModelWords* MU8_JS(mu8_js_model)(const OpenModel* open) {
  static ModelWords words;
  const Model& model = open->model;
  words = {.input_height = model.input_height(),
           .input_width = model.input_width(),
           .input_channels = model.input_channels(),
           .class_count = model.class_count(),
           .output_height = model.output_height(),
           .output_width = model.output_width(),
           .head = static_cast<std::uint32_t>(model.head()),
           .input_kind = static_cast<std::uint32_t>(model.input_kind()),
           .has_moments = model.has_moments() ? 1U : 0U,
           .abstain_measure = static_cast<std::uint32_t>(model.abstain_measure()),
           .hash_low = static_cast<std::uint32_t>(model.hash()),
           .hash_high = static_cast<std::uint32_t>(model.hash() >> 32),
           .file_bytes = static_cast<std::uint32_t>(model.bytes().size()),
           .name = Of(model.name())};
  return &words;
}

// The name of an output; empty: the file has none.
const View* MU8_JS(mu8_js_label)(const OpenModel* open, std::uint32_t output) {
  static View view;
  view = Of(open->model.label(output));
  return &view;
}

// A value of the file's metadata; empty: there is none. The key is `size` bytes.
const View* MU8_JS(mu8_js_metadata)(const OpenModel* open, const char* key, std::size_t size) {
  static View view;
  view = Of(open->model.Metadata({key, size}));
  return &view;
}

// 0: an option is out of range; mu8_js_begin then says which.
std::size_t MU8_JS(mu8_js_arena_bytes)(const OpenModel* open, const OptionWords* words) {
  return ArenaBytes(open->model, OptionsOf(*words));
}

// Begins a prediction of one input, `count` u8 pixels or (is_float) f32 numbers. The input and the
// list of chosen outputs are of mu8_js_allocate and belong to the run, freed where it is null.
Running* MU8_JS(mu8_js_begin)(const OpenModel* open, const OptionWords* words, void* input,
                              std::size_t count, std::uint32_t is_float) {
  const SessionOptions options = OptionsOf(*words);
  auto* running = Make<Running>();
  if (running == nullptr) {
    std::free(input);
    std::free(const_cast<std::uint8_t*>(words->chosen));
    return nullptr;
  }
  running->head = open->model.head();
  running->input = input;
  running->chosen = words->chosen;
  const std::size_t arena_bytes = ArenaBytes(open->model, options);
  running->arena = Allocate(arena_bytes);
  if (running->arena == nullptr) {
    Free(running);
    return nullptr;
  }
  Diagnostic diagnostic;
  Status status =
      Session::Create(open->model, options, {static_cast<std::byte*>(running->arena), arena_bytes},
                      &running->session, &diagnostic);
  if (status == Status::kOk) {
    status = is_float != 0
                 ? running->session.Begin(std::span(static_cast<const float*>(input), count), 1,
                                          &diagnostic)
                 : running->session.Begin(std::span(static_cast<const std::uint8_t*>(input), count),
                                          1, &diagnostic);
  }
  if (Failed(status, diagnostic)) {
    Free(running);
    return nullptr;
  }
  return running;
}

// Steps until `passes` more are done, or the end. 0: the end; 77: call again; else a problem.
std::int32_t MU8_JS(mu8_js_step)(Running* running, std::uint32_t passes) {
  const std::uint32_t before = running->session.passes_done();
  Diagnostic diagnostic;
  Status status = Status::kInProgress;
  while (status == Status::kInProgress && running->session.passes_done() - before < passes) {
    status = running->session.Step(&diagnostic);
  }
  if (status != Status::kInProgress) Failed(status, diagnostic);
  return static_cast<std::int32_t>(status);
}

std::uint32_t MU8_JS(mu8_js_passes_done)(const Running* running) {
  return running->session.passes_done();
}

// After the end. What it points to holds until mu8_js_end.
const ResultWords* MU8_JS(mu8_js_result)(Running* running) {
  SetResult(running->session.Result(0), running->head, running->session.kernels(), &running->words);
  return &running->words;
}

void MU8_JS(mu8_js_end)(Running* running) { Free(running); }

}  // extern "C"

}  // namespace mu8::web
