// Opens a model, creates sessions and predicts in a program whose allocator kills it. It is linked
// as C, so libmu8.a has no C++ run-time library to lean on either. The model is read by read(2)
// into a static buffer; from then on nobody may allocate.
//
//   mu8_no_heap tests/data/golden/tiny_sigma4.mu8
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "mu8/mu8.h"
#include "mu8/mu8_c.h"

namespace {

bool armed = false;

void Say(const char* text) {
  std::size_t length = 0;
  while (text[length] != '\0') ++length;
  if (write(2, text, length) < 0) _exit(3);
}

[[noreturn]] void Fail(const char* text) {
  Say(text);
  Say("\n");
  _exit(1);
}

// Start-up code of the C library may allocate before main: it gets a few static bytes.
void* Allocate(std::size_t bytes) {
  alignas(64) static std::byte pool[std::size_t{1} << 16];
  static std::size_t used = 0;
  if (armed) Fail("no_heap: an allocation after the model was loaded");
  used = (used + 63) / 64 * 64;
  if (bytes > sizeof(pool) - used) Fail("no_heap: start-up allocates too much");
  void* memory = pool + used;
  used += bytes;
  return memory;
}

void Release() {
  if (armed) Fail("no_heap: memory freed after the model was loaded");
}

alignas(64) std::byte model_bytes[65536];
alignas(64) std::byte arena[262144];

std::size_t Load(const char* path) {
  const int file = open(path, O_RDONLY);
  if (file < 0) Fail("no_heap: cannot open the model");
  std::size_t size = 0;
  for (;;) {
    const ssize_t bytes = read(file, model_bytes + size, sizeof(model_bytes) - size);
    if (bytes < 0) Fail("no_heap: cannot read the model");
    if (bytes == 0) return size;
    size += static_cast<std::size_t>(bytes);
  }
}

void Require(bool condition, const char* what) {
  if (!condition) Fail(what);
}

// One prediction; returns whether the kernel set is there.
bool Predict(const mu8::Model& model, mu8::KernelSet kernels) {
  const mu8::SessionOptions options{
      .mc_samples = 5, .batch = 2, .keep_logits = true, .kernels = kernels};
  mu8::Session session;
  const mu8::Status status = mu8::Session::Create(model, options, arena, &session);
  if (status == mu8::Status::kKernelsUnavailable) return false;
  Require(status == mu8::Status::kOk, "no_heap: Session::Create");
  static std::uint8_t pixels[128];
  static float values[128];
  Require(2 * model.input_size() <= sizeof(pixels), "no_heap: the model's images are too large");
  for (std::size_t i = 0; i < 128; ++i) pixels[i] = static_cast<std::uint8_t>(i * 31);
  mu8::Prediction predictions[2];
  Require(session.Predict(std::span<const std::uint8_t>(pixels, 2 * model.input_size()),
                          predictions) == mu8::Status::kOk,
          "no_heap: Predict");
  Require(session.Predict(std::span<const float>(values, 2 * model.input_size()), predictions) ==
              mu8::Status::kOk,
          "no_heap: Predict from floats");
  float sum = 0;
  for (const float mean : predictions[1].mean) sum += mean;
  Require(sum > 0.999F && sum < 1.001F, "no_heap: probabilities do not add up to 1");
  return true;
}

// Several outputs with a decision of their own.
void Decide(const mu8::Model& model) {
  const mu8::SessionOptions options{.stop = {.rule = mu8::StopRule::kThresholds}};
  mu8::Session session;
  mu8::Prediction prediction;
  static std::uint8_t pixels[128];
  Require(mu8::Session::Create(model, options, arena, &session) == mu8::Status::kOk &&
              session.Predict(std::span<const std::uint8_t>(pixels, model.input_size()),
                              {&prediction, 1}) == mu8::Status::kOk &&
              prediction.decisions.size() == model.class_count(),
          "no_heap: decisions");
}

void Explain(std::size_t size) {
  mu8::Model model;
  mu8::Diagnostic diagnostic;
  char message[128];
  Require(mu8::Model::Open({model_bytes, size - 1}, &model, &diagnostic) == mu8::Status::kTruncated,
          "no_heap: a truncated model");
  Require(mu8::Explain(diagnostic, message) > 20, "no_heap: Explain");
}

void UseC(std::size_t size) {
  mu8_model model;
  mu8_session session;
  mu8_prediction prediction;
  const mu8_options options = mu8_default_options();
  static std::uint8_t pixels[128];
  Require(mu8_model_open(model_bytes, size, &model, nullptr) == 0 &&
              mu8_session_create(&model, &options, arena, sizeof(arena), &session, nullptr) == 0 &&
              mu8_predict_u8(&session, pixels, 1, &prediction, nullptr) == 0,
          "no_heap: the C functions");
}

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) { return Allocate(bytes); }
void* calloc(std::size_t count, std::size_t bytes) { return Allocate(count * bytes); }
void* realloc(void*, std::size_t bytes) { return Allocate(bytes); }
void* aligned_alloc(std::size_t, std::size_t bytes) { return Allocate(bytes); }
void free(void*) { Release(); }
}
void* operator new(std::size_t bytes) { return Allocate(bytes); }
void* operator new[](std::size_t bytes) { return Allocate(bytes); }
void operator delete(void*) noexcept { Release(); }
void operator delete[](void*) noexcept { Release(); }
void operator delete(void*, std::size_t) noexcept { Release(); }
void operator delete[](void*, std::size_t) noexcept { Release(); }

int main(int argc, char** argv) {
  if (argc != 2) Fail("usage: mu8_no_heap MODEL.mu8");
  const std::size_t size = Load(argv[1]);
  armed = true;
  mu8::Model model;
  Require(mu8::Model::Open({model_bytes, size}, &model) == mu8::Status::kOk,
          "no_heap: Model::Open");
  Require(model.name().size() + model.label(0).size() > 0, "no_heap: metadata");
  int sets = 0;
  for (int set = 0; set <= static_cast<int>(mu8::KernelSet::kWasm128); ++set) {
    sets += Predict(model, static_cast<mu8::KernelSet>(set)) ? 1 : 0;
  }
  Require(sets >= 3, "no_heap: too few kernel sets ran");
  Decide(model);
  Explain(size);
  UseC(size);
  Say("no_heap: 0 allocations\n");
  // Not exit: its handlers may free.
  _exit(0);
}
