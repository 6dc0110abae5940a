/* The C API as a C11 program uses it; called by test_c_api.cpp. Returns 0, or the line of the first
 * check that failed. */
#include <string.h>

#include "mu8/mu8_c.h"

#define MU8_TEST(condition) \
  do {                      \
    if (!(condition)) {     \
      return __LINE__;      \
    }                       \
  } while (0)

enum { kTruncated = 1, kArenaTooSmall = 60, kMisalignedArena = 61, kBadOption = 62 };
enum { kKernelsUnavailable = 63, kInputNotFinite = 65, kBatchSize = 66, kNotReady = 67 };

int mu8_test_c_defaults(void);
int mu8_test_c_errors(const void* bytes, size_t size, void* arena, size_t arena_bytes);
int mu8_test_c_predict(const void* bytes, size_t size, void* arena, size_t arena_bytes,
                       const uint8_t* pixels, const float* values, float* results);
int mu8_test_c_decisions(const void* bytes, size_t size, void* arena, size_t arena_bytes,
                         const uint8_t* pixels, uint8_t* decisions);

int mu8_test_c_defaults(void) {
  const mu8_options options = mu8_default_options();
  MU8_TEST(options.mc_samples == 50);
  MU8_TEST(options.batch == 1);
  MU8_TEST(options.seed == 1);
  MU8_TEST(options.keep_logits == 0);
  MU8_TEST(options.kernels == MU8_KERNELS_AUTO);
  MU8_TEST(options.noise == MU8_NOISE_INDEPENDENT);
  MU8_TEST(options.stop_rule == MU8_STOP_NONE);
  MU8_TEST(options.stop_chosen == NULL);
  MU8_TEST(options.workers == 1);
  MU8_TEST(options.parallel_for == NULL && options.keep_going == NULL);
  MU8_TEST(options.panel_bytes == 16384);
  MU8_TEST(strcmp(mu8_status_text(0), "ok") == 0);
  MU8_TEST(strcmp(mu8_status_text(12345), "unknown status") == 0);
  return 0;
}

int mu8_test_c_errors(const void* bytes, size_t size, void* arena, size_t arena_bytes) {
  mu8_model model;
  mu8_session session;
  mu8_diagnostic diagnostic;
  mu8_options options = mu8_default_options();
  mu8_prediction prediction;
  char message[200];
  float bad[64];
  float low, high;
  size_t length;

  memset(&model, 0, sizeof(model));
  memset(&session, 0, sizeof(session));
  MU8_TEST(mu8_model_open(bytes, size - 1, &model, &diagnostic) == kTruncated);
  MU8_TEST(diagnostic.status == kTruncated);
  MU8_TEST(diagnostic.found == size - 1);
  MU8_TEST(diagnostic.expected == size);
  MU8_TEST(diagnostic.option == MU8_OPTION_NONE);
  MU8_TEST(diagnostic.layer == -1 && diagnostic.tensor == -1);
  length = mu8_explain(&diagnostic, message, sizeof(message));
  MU8_TEST(length == strlen(message));
  MU8_TEST(strncmp(message, "mu8 error 1: file is truncated", 30) == 0);
  MU8_TEST(mu8_explain(&diagnostic, message, 10) == 9);
  MU8_TEST(strcmp(message, "mu8 error") == 0);
  MU8_TEST(mu8_model_open(bytes, 0, &model, NULL) == kTruncated);

  /* Zeroed storage is a model that was never opened. */
  MU8_TEST(mu8_arena_bytes(&model, &options) == 0);
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, &diagnostic) ==
           kNotReady);
  MU8_TEST(mu8_predict_u8(&session, (const uint8_t*)bytes, 1, &prediction, NULL) == kNotReady);

  MU8_TEST(mu8_model_open(bytes, size, &model, &diagnostic) == 0);
  MU8_TEST(diagnostic.status == 0);
  MU8_TEST(mu8_session_create(&model, &options, arena, mu8_arena_bytes(&model, &options) - 1,
                              &session, &diagnostic) == kArenaTooSmall);
  MU8_TEST(mu8_session_create(&model, &options, (char*)arena + 8, arena_bytes - 8, &session,
                              NULL) == kMisalignedArena);
  options.kernels = 200;
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, NULL) ==
           kKernelsUnavailable);
  options = mu8_default_options();
  options.mc_samples = 0;
  MU8_TEST(mu8_arena_bytes(&model, &options) == 0);
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, NULL) == kBadOption);
  options = mu8_default_options();
  options.panel_bytes = 63;
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, &diagnostic) ==
           kBadOption);
  MU8_TEST(diagnostic.option == MU8_OPTION_PANEL_BYTES && diagnostic.found == 63);
  options = mu8_default_options();
  options.stop_rule = MU8_STOP_THRESHOLD;
  options.stop_class = 3;
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, &diagnostic) ==
           kBadOption);
  MU8_TEST(diagnostic.status == kBadOption && diagnostic.option == MU8_OPTION_STOP_CLASS);
  MU8_TEST(diagnostic.found == 3 && diagnostic.expected == 2);
  mu8_explain(&diagnostic, message, sizeof(message));
  MU8_TEST(strcmp(message,
                  "mu8 error 62: an option is out of range; option stop.class_index: found 3, "
                  "expected 0 to 2") == 0);

  options.stop_class = 2;
  options.stop_rule = MU8_STOP_WITHIN; /* not of classes, which have no range either */
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, &diagnostic) ==
           kBadOption);
  MU8_TEST(diagnostic.option == MU8_OPTION_STOP_RULE);
  MU8_TEST(!mu8_model_output_range(&model, 0, &low, &high));
  MU8_TEST(!mu8_model_output_range(NULL, 0, &low, &high));

  options = mu8_default_options();
  MU8_TEST(options.stop_within == 0);
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, NULL) == 0);
  MU8_TEST(mu8_predict_u8(&session, (const uint8_t*)bytes, 0, &prediction, NULL) == kBatchSize);
  MU8_TEST(mu8_predict_u8(&session, (const uint8_t*)bytes, 2, &prediction, NULL) == kBatchSize);
  /* count * elements would wrap around. */
  MU8_TEST(mu8_predict_u8(&session, (const uint8_t*)bytes, (size_t)-1, &prediction, NULL) ==
           kBatchSize);
  memset(bad, 0xff, sizeof(bad)); /* NaN */
  MU8_TEST(mu8_predict_f32(&session, bad, 1, &prediction, &diagnostic) == kInputNotFinite);
  MU8_TEST(diagnostic.status == kInputNotFinite);
  return 0;
}

/* Two images, T = 8, logits kept. `results` gets, per image, mean[], variance[] and the three
 * entropies. */
int mu8_test_c_predict(const void* bytes, size_t size, void* arena, size_t arena_bytes,
                       const uint8_t* pixels, const float* values, float* results) {
  mu8_model model;
  mu8_session session;
  mu8_prediction predictions[2];
  mu8_options options = mu8_default_options();
  uint32_t classes;
  size_t i;

  const char* text;

  options.mc_samples = 8;
  options.batch = 2;
  options.seed = 1234567890123456789U;
  options.keep_logits = 1;
  MU8_TEST(mu8_model_open(bytes, size, &model, NULL) == 0);
  classes = mu8_model_class_count(&model);
  MU8_TEST(classes == 3);
  MU8_TEST(mu8_model_input_size(&model) == 36);
  MU8_TEST(mu8_model_input_height(&model) * mu8_model_input_width(&model) *
               mu8_model_input_channels(&model) ==
           36);
  MU8_TEST(mu8_model_input_channels(NULL) == 0);
  MU8_TEST(mu8_model_metadata(&model, "name", &text) == 4 && memcmp(text, "tiny", 4) == 0);
  MU8_TEST(mu8_model_metadata(&model, "nam", &text) == 0 && text == NULL);
  MU8_TEST(mu8_model_metadata(NULL, "name", &text) == 0);
  MU8_TEST(mu8_model_metadata(&model, NULL, &text) == 0);
  MU8_TEST(mu8_arena_bytes(&model, &options) == arena_bytes);
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, NULL) == 0);
  if (pixels != NULL) {
    MU8_TEST(mu8_predict_u8(&session, pixels, 2, predictions, NULL) == 0);
  } else {
    MU8_TEST(mu8_predict_f32(&session, values, 2, predictions, NULL) == 0);
  }
  for (i = 0; i < 2; ++i) {
    const mu8_prediction* p = &predictions[i];
    MU8_TEST(p->class_count == classes);
    MU8_TEST(p->samples_used == 8);
    MU8_TEST(p->ended == MU8_ENDED_ALL_SAMPLES);
    MU8_TEST(p->decisions == NULL);
    MU8_TEST(p->label < classes);
    MU8_TEST(p->logits != NULL);
    MU8_TEST(p->logits_stride == 2 * classes);
    memcpy(results, p->mean, classes * sizeof(float));
    memcpy(results + classes, p->variance, classes * sizeof(float));
    results[2 * classes] = p->predictive_entropy;
    results[2 * classes + 1] = p->expected_entropy;
    results[2 * classes + 2] = p->mutual_information;
    results += 2 * classes + 3;
  }
  options.keep_logits = 0;
  options.workers = 2;
  MU8_TEST(mu8_arena_bytes(&model, &options) > arena_bytes);
  options.workers = 0;
  MU8_TEST(mu8_arena_bytes(&model, &options) == 0);
  options.workers = 1;
  options.noise = MU8_NOISE_ANTITHETIC;
  MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, NULL) == 0);
  if (pixels != NULL) {
    MU8_TEST(mu8_predict_u8(&session, pixels, 1, predictions, NULL) == 0);
    MU8_TEST(predictions[0].logits == NULL);
  }
  return 0;
}

/* One image, all three classes and then the first and the last. `decisions` gets both, and the
 * samples used. */
int mu8_test_c_decisions(const void* bytes, size_t size, void* arena, size_t arena_bytes,
                         const uint8_t* pixels, uint8_t* decisions) {
  static const uint8_t ends[3] = {1, 0, 1};
  mu8_model model;
  mu8_session session;
  mu8_prediction prediction;
  mu8_options options = mu8_default_options();
  uint32_t i;

  MU8_TEST(mu8_model_open(bytes, size, &model, NULL) == 0);
  options.stop_rule = MU8_STOP_THRESHOLDS;
  options.stop_threshold = 0.4F;
  for (i = 0; i < 2; ++i) {
    options.stop_chosen = i == 0 ? NULL : ends;
    MU8_TEST(mu8_arena_bytes(&model, &options) <= arena_bytes);
    MU8_TEST(mu8_session_create(&model, &options, arena, arena_bytes, &session, NULL) == 0);
    MU8_TEST(mu8_predict_u8(&session, pixels, 1, &prediction, NULL) == 0);
    MU8_TEST(prediction.ended == MU8_ENDED_DECIDED || prediction.ended == MU8_ENDED_ALL_SAMPLES);
    MU8_TEST(prediction.decisions != NULL);
    memcpy(decisions, prediction.decisions, 3);
    decisions[3] = (uint8_t)prediction.samples_used;
    decisions += 4;
  }
  MU8_TEST(prediction.decisions[1] == MU8_DECISION_NOT_CHOSEN);
  return 0;
}
