/* mu8 for C: the same engine as mu8.h, with the same status numbers (mu8/status.h). Nothing
 * allocates; every object lives in memory of the caller. */
#ifndef MU8_MU8_C_H_
#define MU8_MU8_C_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names as in C. NOLINTBEGIN(readability-identifier-naming) */

/* Opaque; create with mu8_model_open and mu8_session_create. The model's bytes and the arena must
 * outlive them. */
typedef struct mu8_model {
  uint64_t storage[25];
} mu8_model;
typedef struct mu8_session {
  uint64_t storage[116 + 10 * sizeof(void*)];
} mu8_session;
/* Opaque; create with mu8_scrubber_create. The model's bytes must outlive it. */
typedef struct mu8_scrubber {
  uint64_t storage[10];
} mu8_scrubber;

/* Which of mu8_options an error 62 is about. */
enum {
  MU8_OPTION_NONE = 0,
  MU8_OPTION_MC_SAMPLES = 1,
  MU8_OPTION_BATCH = 2,
  MU8_OPTION_WORKERS = 3,
  MU8_OPTION_NOISE = 4,
  MU8_OPTION_STOP_RULE = 5,
  MU8_OPTION_STOP_ERROR = 6,
  MU8_OPTION_STOP_CLASS = 7,
  MU8_OPTION_STOP_THRESHOLD = 8,
  MU8_OPTION_STOP_WITHIN = 9,
  MU8_OPTION_STOP_CHOSEN = 10,
  /* Which of two regions, of an error about an arena. */
  MU8_OPTION_FAST_ARENA = 11,
  MU8_OPTION_SLOW_ARENA = 12,
  MU8_OPTION_PANEL_BYTES = 13,
  /* Of mu8_model_open_streamed. */
  MU8_OPTION_RESIDENT = 14,
  MU8_OPTION_SCRATCH = 15,
  MU8_OPTION_STREAMED = 16,
  MU8_OPTION_CHECK_PRODUCTS = 17,
  MU8_OPTION_METHOD = 18,
  MU8_OPTION_KEEP_LOGITS = 19,
  MU8_OPTION_DOUBT_MARGIN = 20,
  MU8_OPTION_DOUBT_ENTROPY = 21
};

typedef struct mu8_diagnostic {
  int32_t status;
  int32_t option; /* MU8_OPTION_* */
  uint64_t offset;
  int32_t layer;  /* -1: none */
  int32_t tensor; /* -1: none */
  uint64_t found;
  uint64_t expected;
} mu8_diagnostic;

enum {
  MU8_KERNELS_AUTO = 0,
  MU8_KERNELS_SCALAR = 1,
  MU8_KERNELS_AVX2 = 2,
  MU8_KERNELS_AVX512VNNI = 3,
  MU8_KERNELS_AVX512VBMI = 4,
  MU8_KERNELS_AVXVNNI = 5,
  MU8_KERNELS_PORTABLE = 6,
  MU8_KERNELS_NEON = 7,
  MU8_KERNELS_NEONDOT = 8,
  MU8_KERNELS_NEONI8MM = 9,
  MU8_KERNELS_ARMDSP = 10,
  MU8_KERNELS_HELIUM = 11,
  MU8_KERNELS_WASM128 = 12
};

/* How predictions are made: of drawn networks, or in one pass with means and variances, of files
 * that have what it needs (78 of others); mu8/options.h. */
enum {
  MU8_METHOD_SAMPLING = 0,
  MU8_METHOD_MOMENTS = 1,
  MU8_METHOD_AUTO = 2 /* moments, then sampling where they leave doubt */
};
enum { MU8_NOISE_INDEPENDENT = 0, MU8_NOISE_ANTITHETIC = 1 };
enum {
  MU8_STOP_NONE = 0,
  MU8_STOP_LABEL = 1,
  MU8_STOP_THRESHOLD = 2,
  MU8_STOP_WITHIN = 3,
  MU8_STOP_THRESHOLDS = 4
};
enum {
  MU8_ENDED_ALL_SAMPLES = 0,
  MU8_ENDED_LABEL = 1,
  MU8_ENDED_ABOVE = 2,
  MU8_ENDED_BELOW = 3,
  MU8_ENDED_DEADLINE = 4,
  MU8_ENDED_WITHIN = 5,
  MU8_ENDED_DECIDED = 6,
  MU8_ENDED_MOMENTS = 7 /* MU8_METHOD_AUTO: moments left no doubt */
};
/* Of an output, by MU8_STOP_THRESHOLDS. */
enum {
  MU8_DECISION_NOT_CHOSEN = 0,
  MU8_DECISION_UNDECIDED = 1,
  MU8_DECISION_ABOVE = 2,
  MU8_DECISION_BELOW = 3
};

/* What the outputs are; mu8.h says what a prediction then holds. */
enum {
  MU8_HEAD_SOFTMAX = 0,
  MU8_HEAD_SIGMOID = 1,
  MU8_HEAD_VALUES = 2,
  MU8_HEAD_GAUSSIAN = 3,
  MU8_HEAD_RECONSTRUCTION = 4
};
#define MU8_NO_LABEL 0xffffffffu

/* What the inputs are: u8 pixels (or floats in the network's own units), or floats alone. */
enum { MU8_INPUT_PIXELS = 0, MU8_INPUT_NUMBERS = 1 };

/* mu8/options.h says what each means. Start from mu8_default_options(). */
typedef struct mu8_options {
  uint32_t mc_samples; /* T, 1 to 65536 */
  uint32_t batch;      /* most images per call, 1 to 65536 */
  uint64_t seed;
  uint8_t keep_logits;
  uint8_t kernels;      /* MU8_KERNELS_* */
  uint8_t noise;        /* MU8_NOISE_* */
  uint8_t stop_rule;    /* MU8_STOP_* */
  float stop_error;     /* 1e-6 to 0.5 */
  uint32_t stop_class;  /* MU8_STOP_THRESHOLD, MU8_STOP_WITHIN: the output */
  float stop_threshold; /* MU8_STOP_THRESHOLD(S): 1e-6 to 1 - 1e-6, of values in their unit */
  float stop_within;    /* MU8_STOP_WITHIN: a tolerance in the value's unit */
  uint32_t workers;     /* tasks at a time, 1 to 1024 */
  /* Calls task(job, i) for every i < count and returns when all have returned; may be null. */
  void (*parallel_for)(void* context, uint32_t count, void (*task)(void* job, uint32_t index),
                       void* job);
  void* parallel_context;
  /* Asked before each round of passes but the first, and by a single worker before each layer of
   * these; false ends the call with the passes that are done. May be null. */
  bool (*keep_going)(void* context);
  void* keep_going_context;
  /* MU8_STOP_THRESHOLDS: [mu8_model_class_count], not 0 for each output to decide about, one at
   * least; null: all. Must outlive the session. */
  const uint8_t* stop_chosen;
  /* Told when a layer of a pass begins and ends; mu8/options.h has the details. May be null. */
  void (*profile)(void* context, uint32_t layer, uint32_t pass, bool begins);
  void* profile_context;
  uint8_t check_products; /* 74 where sums of accumulators are wrong; mu8/options.h */
  uint8_t method;         /* MU8_METHOD_* */
  uint32_t panel_bytes;   /* most bytes of drawn weights at a time, 64 at least; mu8/options.h */
  /* MU8_METHOD_AUTO: which images are sampled; mu8/options.h (Doubt). */
  float doubt_margin;
  float doubt_entropy_from;
  float doubt_entropy_to;
} mu8_options;

/* What a file's threshold of abstaining is compared with; mu8/prediction.h. */
enum {
  MU8_ABSTAIN_NONE = 0,
  MU8_ABSTAIN_PREDICTIVE_ENTROPY = 1,
  MU8_ABSTAIN_MUTUAL_INFORMATION = 2,
  MU8_ABSTAIN_VARIANCE = 3,
  MU8_ABSTAIN_TOTAL_VARIANCE = 4,
  MU8_ABSTAIN_ERROR = 5
};

/* All that a prediction is a function of beside its image; mu8/prediction.h says what each is.
 * mu8_replay_options makes options of it that compute the prediction again, bit for bit. */
typedef struct mu8_replay_record {
  uint64_t model_hash; /* mu8_model_hash */
  uint64_t seed;
  uint32_t mc_samples;
  uint32_t samples_used;
  float stop_error;
  float stop_threshold;
  float stop_within;
  uint32_t stop_class;
  uint32_t stop_chosen_crc;
  uint32_t library_version; /* 0x00MMmmpp */
  uint16_t format_major;
  uint16_t format_minor;
  uint8_t method;    /* MU8_METHOD_* */
  uint8_t noise;     /* MU8_NOISE_* */
  uint8_t stop_rule; /* MU8_STOP_* */
  uint8_t ended;     /* MU8_ENDED_* */
} mu8_replay_record;

/* Arrays lie in the arena and hold until the session's next call, [outputs] of them
 * mu8_model_output_size. Entropies in nats. */
typedef struct mu8_prediction {
  uint32_t label; /* MU8_NO_LABEL where the head has none */
  uint32_t class_count;
  uint32_t samples_used;
  uint32_t ended; /* MU8_ENDED_* */
  float predictive_entropy;
  float expected_entropy;
  float mutual_information;
  const float* mean;     /* [outputs] */
  const float* variance; /* [outputs] */
  const float* logits;   /* [samples_used] rows, logits_stride floats apart, by moments one row,
                            their mean; null unless kept */
  size_t logits_stride;
  const float* output_entropy;          /* MU8_HEAD_SIGMOID: [outputs]; MU8_HEAD_SOFTMAX:
                                           [positions] if there are several; else null */
  const float* output_expected_entropy; /* the same */
  uint32_t clamped_inputs;              /* values of the image beyond the stored range */
  uint32_t clamped_scales;              /* MU8_HEAD_GAUSSIAN: variances clamped, of all passes */
  const float* noise_variance;          /* [outputs] MU8_HEAD_GAUSSIAN, else null but for
                                           MU8_HEAD_VALUES where the file has it */
  float error; /* MU8_HEAD_RECONSTRUCTION: mean squared error, and its variance */
  float error_variance;
  const float* target;      /* [outputs] MU8_HEAD_RECONSTRUCTION: what each ought to have been; else
                               null. Output i's squared error is (mean - target)^2 + variance */
  uint32_t clipped_passes;  /* of a stop rule for values: passes outside the output's range */
  const uint8_t* decisions; /* [outputs] MU8_DECISION_* of MU8_STOP_THRESHOLDS; else null */
  mu8_replay_record replay;
  bool abstains; /* the file's measure of uncertainty is above its threshold */
  /* MU8_METHOD_MOMENTS where logits are kept: their covariance, mu8/prediction.h; else null. */
  const float* logit_covariance;
  size_t logit_covariance_size; /* floats */
} mu8_prediction;

/* T = 50, batch 1, seed 1, no logits, automatic kernels, independent noise, one worker, no early
 * end. */
mu8_options mu8_default_options(void);
/* Those that compute a prediction again. The caller sets stop_chosen, where the record's rule had
 * one. A null record: the default ones. */
mu8_options mu8_replay_options(const mu8_replay_record* record);

/* All return 0 or a status number; `diagnostic` may be null. Another null pointer is answered with
 * 68 (its place in the call in `found`), by the functions below that return a size or a count with
 * 0. mu8.h says what may be used by several threads, and for how long. */
int32_t mu8_model_open(const void* bytes, size_t size, mu8_model* model,
                       mu8_diagnostic* diagnostic);
/* A file that no pointer reaches: what reads it (mu8/source.h), in memory that is resident and
 * holds all of it but the parameters; mu8.h says how much, and what is scratch
 * (Model::OpenStreamed). 72 where a read failed, of this call and of every later one that reads. */
typedef struct mu8_source {
  void* context;
  uint64_t bytes; /* of the file */
  bool (*read)(void* context, uint64_t offset, void* to, size_t bytes);
} mu8_source;
int32_t mu8_model_open_streamed(const mu8_source* source, void* resident, size_t resident_bytes,
                                void* scratch, size_t scratch_bytes, mu8_model* model,
                                mu8_diagnostic* diagnostic);
size_t mu8_model_input_size(const mu8_model* model); /* height * width * channels */
uint32_t mu8_model_input_height(const mu8_model* model);
uint32_t mu8_model_input_width(const mu8_model* model);
uint32_t mu8_model_input_channels(const mu8_model* model);
/* Outputs, of whatever head, at each of output_height x output_width positions (1 x 1 unless the
 * network answers pixel by pixel); all together output_size. */
uint32_t mu8_model_class_count(const mu8_model* model);
uint32_t mu8_model_output_height(const mu8_model* model);
uint32_t mu8_model_output_width(const mu8_model* model);
size_t mu8_model_output_size(const mu8_model* model);
uint32_t mu8_model_head(const mu8_model* model);       /* MU8_HEAD_* */
uint32_t mu8_model_input_kind(const mu8_model* model); /* MU8_INPUT_* */
/* The range of an output, of which a stop rule's promise for values speaks; false: it has none. */
bool mu8_model_output_range(const mu8_model* model, uint32_t output, float* low, float* high);
/* When predictions abstain: MU8_ABSTAIN_*, and the threshold of an output; false: it has none. */
uint32_t mu8_model_abstain_measure(const mu8_model* model);
bool mu8_model_abstain_threshold(const mu8_model* model, uint32_t output, float* threshold);
/* Whether MU8_METHOD_MOMENTS can be asked for. */
bool mu8_model_has_moments(const mu8_model* model);
/* The value of a metadata key, "name" or "labels" (one a line) say: UTF-8 in the model's bytes,
 * without a final NUL, and its length; a null `*text` and 0 if there is none. */
size_t mu8_model_metadata(const mu8_model* model, const char* key, const char** text);
/* Names the file, of its checksums: against mixing files up, not against an adversary. */
uint64_t mu8_model_hash(const mu8_model* model);
size_t mu8_arena_bytes(const mu8_model* model, const mu8_options* options);
int32_t mu8_session_create(const mu8_model* model, const mu8_options* options, void* arena,
                           size_t arena_bytes, mu8_session* session, mu8_diagnostic* diagnostic);

/* The same in two regions, for devices with fast and slow RAM: activations, panel and accumulators
 * in the fast one, all else in the slow one. Both sizes are 0 where mu8_arena_bytes is, their sum.
 */
void mu8_arena_region_bytes(const mu8_model* model, const mu8_options* options, size_t* fast_bytes,
                            size_t* slow_bytes);
int32_t mu8_session_create_in_regions(const mu8_model* model, const mu8_options* options,
                                      void* fast, size_t fast_bytes, void* slow, size_t slow_bytes,
                                      mu8_session* session, mu8_diagnostic* diagnostic);

/* `count` images of mu8_model_input_size elements each, NHWC; count predictions out. */
int32_t mu8_predict_u8(mu8_session* session, const uint8_t* images, size_t count,
                       mu8_prediction* predictions, mu8_diagnostic* diagnostic);
int32_t mu8_predict_f32(mu8_session* session, const float* images, size_t count,
                        mu8_prediction* predictions, mu8_diagnostic* diagnostic);

/* The same in steps that return, for watchdogs and schedulers: begin, then step until it answers 0
 * (77: call again), then a result for each image. mu8.h says how much a step is (Session::Step). */
int32_t mu8_begin_u8(mu8_session* session, const uint8_t* images, size_t count,
                     mu8_diagnostic* diagnostic);
int32_t mu8_begin_f32(mu8_session* session, const float* images, size_t count,
                      mu8_diagnostic* diagnostic);
int32_t mu8_step(mu8_session* session, mu8_diagnostic* diagnostic);
/* 67 before the run's end, 66 beyond its images. */
int32_t mu8_result(const mu8_session* session, size_t index, mu8_prediction* prediction,
                   mu8_diagnostic* diagnostic);
void mu8_abandon(mu8_session* session);
uint32_t mu8_passes_done(const mu8_session* session);

/* Looks for bytes of the model that have changed since it was opened (73), a slice at a time;
 * mu8/scrub.h says what is found. mu8_scrub checks the next `bytes` bytes of a round, or what is
 * left of it; mu8_scrub_rounds counts those that ended without a finding. */
int32_t mu8_scrubber_create(const mu8_model* model, mu8_scrubber* scrubber,
                            mu8_diagnostic* diagnostic);
int32_t mu8_scrub(mu8_scrubber* scrubber, size_t bytes, mu8_diagnostic* diagnostic);
uint32_t mu8_scrub_rounds(const mu8_scrubber* scrubber);

/* Text of a status, and a full message; see mu8/status.h. */
const char* mu8_status_text(int32_t status);
size_t mu8_explain(const mu8_diagnostic* diagnostic, char* buffer, size_t buffer_bytes);

/* NOLINTEND(readability-identifier-naming) */

#ifdef __cplusplus
}
#endif

#endif /* MU8_MU8_C_H_ */
