// What the Python package calls beside the C API: sessions that own their memory and threads, and
// predictions copied into arrays. ctypes mirrors the structs (mu8/_library.py) and compares sizes.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <vector>

#include "mu8/mu8_c.h"
#include "mu8/thread_pool.h"

extern "C" {
// NOLINTBEGIN(readability-identifier-naming): names as in C

// Where the predictions of a call go, one row an image; null: nowhere. Rows of `outputs` floats but
// logits, [mc_samples][row] of them, and the covariance.
typedef struct mu8_python_arrays {
  float *mean, *variance, *noise_variance, *target;
  float *output_entropy, *output_expected_entropy;  // [entropies]
  float *logits, *logit_covariance;
  std::uint8_t* decisions;
  float *predictive_entropy, *expected_entropy, *mutual_information, *error, *error_variance;
  std::uint32_t *label, *samples_used, *clamped_inputs, *clamped_scales, *clipped_passes;
  std::uint8_t *ended, *abstains;
  mu8_replay_record* replay;
  std::size_t outputs, entropies, logits_row, covariance;  // elements of one image
} mu8_python_arrays;

typedef struct mu8_python_session mu8_python_session;

// Not statuses of the engine.
enum { MU8_PYTHON_NO_MEMORY = -1, MU8_PYTHON_NO_THREADS = -2 };

void mu8_python_sizes(std::size_t sizes[5]);
// 0, a status or MU8_PYTHON_*. `model` must outlive the session; `options` are copied, with one
// worker a thread (0: as many as the machine has cores).
std::int32_t mu8_python_start(const mu8_model* model, const mu8_options* options,
                              std::uint32_t threads, mu8_python_session** session,
                              mu8_diagnostic* diagnostic);
// `images`: count x input_size of u8 or f32, NHWC; any count, in batches of the options'.
std::int32_t mu8_python_run(mu8_python_session* session, const void* images, bool are_floats,
                            std::size_t count, const mu8_python_arrays* arrays,
                            mu8_diagnostic* diagnostic);
void mu8_python_end(mu8_python_session* session);

// NOLINTEND(readability-identifier-naming)
}

struct mu8_python_session {
  mu8_options options;
  std::size_t input_size = 0;
  std::unique_ptr<mu8::ThreadPool> pool;
  std::vector<std::max_align_t> arena;
  std::vector<std::uint8_t> chosen;
  std::vector<mu8_prediction> predictions;
  mu8_session engine;
};

namespace {

constexpr std::size_t kAlignment = 64;

template <typename T>
void Copy(const T* from, std::size_t count, std::size_t image, T* to) {
  if (from != nullptr && to != nullptr) std::memcpy(to + image * count, from, count * sizeof(T));
}

template <typename T, typename From>
void Put(From value, std::size_t image, T* to) {
  if (to != nullptr) to[image] = static_cast<T>(value);
}

void CopyLogits(const mu8_prediction& p, const mu8_options& options, std::size_t image,
                const mu8_python_arrays& to) {
  if (p.logits == nullptr || to.logits == nullptr) return;
  const std::size_t passes = options.method == MU8_METHOD_MOMENTS ? 1 : options.mc_samples;
  const std::size_t done = options.method == MU8_METHOD_MOMENTS ? 1 : p.samples_used;
  float* row = to.logits + image * passes * to.logits_row;
  for (std::size_t pass = 0; pass < done; ++pass, row += to.logits_row) {
    std::memcpy(row, p.logits + pass * p.logits_stride, to.logits_row * sizeof(float));
  }
}

void CopyPrediction(const mu8_prediction& p, const mu8_options& options, std::size_t image,
                    const mu8_python_arrays& to) {
  Copy(p.mean, to.outputs, image, to.mean);
  Copy(p.variance, to.outputs, image, to.variance);
  Copy(p.noise_variance, to.outputs, image, to.noise_variance);
  Copy(p.target, to.outputs, image, to.target);
  Copy(p.output_entropy, to.entropies, image, to.output_entropy);
  Copy(p.output_expected_entropy, to.entropies, image, to.output_expected_entropy);
  CopyLogits(p, options, image, to);
  if (p.logit_covariance_size == to.covariance) {
    Copy(p.logit_covariance, to.covariance, image, to.logit_covariance);
  }
  Copy(p.decisions, to.outputs, image, to.decisions);
  Put(p.predictive_entropy, image, to.predictive_entropy);
  Put(p.expected_entropy, image, to.expected_entropy);
  Put(p.mutual_information, image, to.mutual_information);
  Put(p.error, image, to.error);
  Put(p.error_variance, image, to.error_variance);
  Put(p.label, image, to.label);
  Put(p.samples_used, image, to.samples_used);
  Put(p.clamped_inputs, image, to.clamped_inputs);
  Put(p.clamped_scales, image, to.clamped_scales);
  Put(p.clipped_passes, image, to.clipped_passes);
  Put(p.ended, image, to.ended);
  Put(p.abstains, image, to.abstains);
  Put(p.replay, image, to.replay);
}

std::int32_t Start(const mu8_model* model, std::uint32_t threads, mu8_python_session* session,
                   mu8_diagnostic* diagnostic) {
  mu8_options& options = session->options;
  session->input_size = mu8_model_input_size(model);
  if (options.stop_chosen != nullptr) {
    session->chosen.assign(options.stop_chosen, options.stop_chosen + mu8_model_class_count(model));
    options.stop_chosen = session->chosen.data();
  }
  if (threads != 1) {
    session->pool = std::make_unique<mu8::ThreadPool>(threads);
    options.workers = session->pool->size();
    options.parallel_for = mu8::ThreadPool::For;
    options.parallel_context = session->pool.get();
  }
  // 0 where the options are wrong, which creating the session then says.
  const std::size_t bytes = mu8_arena_bytes(model, &options);
  session->arena.resize((bytes + kAlignment) / sizeof(std::max_align_t) + 1);
  session->predictions.resize(options.batch);
  void* arena = session->arena.data();
  std::size_t space = session->arena.size() * sizeof(std::max_align_t);
  std::align(kAlignment, bytes, arena, space);
  return mu8_session_create(model, &options, arena, bytes, &session->engine, diagnostic);
}

}  // namespace

void mu8_python_sizes(std::size_t sizes[5]) {
  sizes[0] = sizeof(mu8_model);
  sizes[1] = sizeof(mu8_options);
  sizes[2] = sizeof(mu8_diagnostic);
  sizes[3] = sizeof(mu8_replay_record);
  sizes[4] = sizeof(mu8_python_arrays);
}

std::int32_t mu8_python_start(const mu8_model* model, const mu8_options* options,
                              std::uint32_t threads, mu8_python_session** session,
                              mu8_diagnostic* diagnostic) {
  try {
    auto made = std::make_unique<mu8_python_session>();
    made->options = *options;
    const std::int32_t status = Start(model, threads, made.get(), diagnostic);
    if (status == 0) *session = made.release();
    return status;
  } catch (const std::bad_alloc&) {
    return MU8_PYTHON_NO_MEMORY;
  } catch (const std::system_error&) {
    return MU8_PYTHON_NO_THREADS;
  }
}

std::int32_t mu8_python_run(mu8_python_session* session, const void* images, bool are_floats,
                            std::size_t count, const mu8_python_arrays* arrays,
                            mu8_diagnostic* diagnostic) {
  const std::size_t batch = session->predictions.size();
  for (std::size_t first = 0; first < count; first += batch) {
    const std::size_t taken = count - first < batch ? count - first : batch;
    const std::size_t at = first * session->input_size;
    mu8_prediction* predictions = session->predictions.data();
    const std::int32_t status =
        are_floats ? mu8_predict_f32(&session->engine, static_cast<const float*>(images) + at,
                                     taken, predictions, diagnostic)
                   : mu8_predict_u8(&session->engine, static_cast<const std::uint8_t*>(images) + at,
                                    taken, predictions, diagnostic);
    if (status != 0) return status;
    for (std::size_t i = 0; i < taken; ++i) {
      CopyPrediction(predictions[i], session->options, first + i, *arrays);
    }
  }
  return 0;
}

void mu8_python_end(mu8_python_session* session) { delete session; }
