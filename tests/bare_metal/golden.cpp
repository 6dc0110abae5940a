// Predicts with each model linked in as tests/formats/test_golden.cpp does, with every kernel set
// of the build and processor, by one worker and by several, and prints "NAME KERNELS WORKERS HASH"
// each time (or "too large: N bytes of arena" in the hash's place); predictions by moments, of
// models that have them, as "NAME/moments". Then the stack.
// tools/golden_table builds it for every target, lists the models and compares the hashes.
#include <cstddef>
#include <cstdint>
#include <span>
#if defined(GOLDEN_THREADS)
#include <thread>
#include <vector>
#endif

#include "mu8/mu8.h"
#include "tests/support/random.h"
#include "tools/firmware/board/board.h"

extern "C" {
struct EmbeddedFile {
  const char* name;
  const std::byte* begin;
  const std::byte* end;
};
extern const EmbeddedFile embedded_files[];
extern const std::uint32_t embedded_file_count;
}

namespace {

constexpr std::uint32_t kImages = 8;
constexpr std::uint32_t kWorkers[] = {1, 3};
constexpr std::size_t kMostInputs = 512;
alignas(64) std::byte arena[ARENA_BYTES];
std::uint8_t pixels[kMostInputs];
float numbers[kMostInputs];

// mu8::ParallelFor: on threads where there are any, else one after the other, the last first.
void RunTasks(void* /*context*/, std::uint32_t count, mu8::Task task, void* job) {
#if defined(GOLDEN_THREADS)
  std::vector<std::thread> threads;
  for (; count > 1; --count) threads.emplace_back(task, job, count - 1);
  if (count > 0) task(job, 0);
  for (std::thread& thread : threads) thread.join();
#else
  while (count > 0) task(job, --count);
#endif
}

void WriteNumber(std::uint32_t value, std::uint32_t base, int least_digits) {
  char text[12] = {};
  int i = 11;
  do {
    text[--i] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0 || 11 - i < least_digits);
  BoardWrite(text + i);
}

// CRC-32C (Castagnoli) of parts in turn.
struct Hash {
  std::uint32_t crc = 0xffffffff;

  void Add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      crc ^= static_cast<std::uint8_t>(byte);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    }
  }
  template <typename T>
  void Value(const T& value) {
    Add(std::as_bytes(std::span(&value, 1)));
  }
};

void AddPrediction(const mu8::Model& model, const mu8::Prediction& p, Hash* hash) {
  hash->Add(std::as_bytes(p.mean));
  hash->Add(std::as_bytes(p.variance));
  hash->Value(p.predictive_entropy);
  hash->Value(p.expected_entropy);
  hash->Value(p.mutual_information);
  hash->Add(std::as_bytes(p.output_entropy));
  hash->Add(std::as_bytes(p.output_expected_entropy));
  hash->Add(std::as_bytes(p.noise_variance));
  if (model.head() == mu8::Head::kReconstruction) {
    hash->Value(p.error);
    hash->Value(p.error_variance);
  }
  if (model.head() == mu8::Head::kGaussian) hash->Value(p.clamped_scales);
  if (model.input_kind() == mu8::InputKind::kNumbers) hash->Value(p.clamped_inputs);
  if (model.abstain_measure() != mu8::AbstainMeasure::kNone) hash->Value(p.abstains);
}

mu8::Status PredictImage(const mu8::Model& model, mu8::Session* session,
                         mu8::testing::Random* random, mu8::Prediction* prediction) {
  const std::size_t size = model.input_size();
  for (std::size_t i = 0; i < size; ++i) {
    pixels[i] = static_cast<std::uint8_t>(random->Between(0, 255));
    numbers[i] = (static_cast<float>(pixels[i]) - 128) / 16;
  }
  return model.input_kind() == mu8::InputKind::kNumbers
             ? session->Predict(std::span<const float>(numbers, size), {prediction, 1})
             : session->Predict(std::span<const std::uint8_t>(pixels, size), {prediction, 1});
}

bool Fail(const mu8::Diagnostic& why) {
  char text[200];
  mu8::Explain(why, text);
  BoardWrite(text);
  BoardWrite("\n");
  return false;
}

// One run: the model has been opened with the same options.
bool PrintHash(const mu8::Model& model, const mu8::SessionOptions& options, mu8::Session* session) {
  const std::size_t bytes = mu8::ArenaBytes(model, options);
  if (bytes > sizeof(arena) || model.input_size() > kMostInputs) {
    BoardWrite("too large: ");
    WriteNumber(static_cast<std::uint32_t>(bytes), 10, 1);
    BoardWrite(" bytes of arena\n");
    return true;
  }
  mu8::Diagnostic why;
  if (mu8::Session::Create(model, options, arena, session, &why) != mu8::Status::kOk) {
    return Fail(why);
  }
  Hash hash;
  mu8::testing::Random random(7);
  for (std::uint32_t i = 0; i < kImages; ++i) {
    mu8::Prediction prediction;
    if (PredictImage(model, session, &random, &prediction) != mu8::Status::kOk) return false;
    AddPrediction(model, prediction, &hash);
  }
  WriteNumber(~hash.crc, 16, 8);
  BoardWrite("\n");
  return true;
}

// The name of a kernel set that is there, or null; by the numbers that options.h gives.
const char* NameOf(const mu8::Model& model, mu8::KernelSet set) {
  mu8::Session session;
  const mu8::SessionOptions options{.mc_samples = 1, .kernels = set};
  const mu8::Status status = mu8::Session::Create(model, options, arena, &session);
  return status == mu8::Status::kOk ? session.kernels() : nullptr;
}

bool Golden(const EmbeddedFile& file, mu8::Session* session) {
  mu8::Model model;
  mu8::Diagnostic why;
  if (mu8::Model::Open({file.begin, file.end}, &model, &why) != mu8::Status::kOk) return Fail(why);
  for (int number = 1; number < 256; ++number) {
    const auto set = static_cast<mu8::KernelSet>(number);
    const char* kernels = NameOf(model, set);
    if (kernels == nullptr) continue;
    for (const std::uint32_t workers : kWorkers) {
      for (const mu8::Method method : {mu8::Method::kSampling, mu8::Method::kMoments}) {
        const bool by_moments = method == mu8::Method::kMoments;
        const mu8::SessionOptions options{.mc_samples = 32,
                                          .seed = 2026,
                                          .kernels = set,
                                          .method = method,
                                          .workers = workers,
                                          .parallel_for = RunTasks};
        // The model has none, or the build.
        if (by_moments && mu8::ArenaBytes(model, options) == 0) continue;
        BoardWrite(file.name);
        BoardWrite(by_moments ? "/moments " : " ");
        BoardWrite(kernels);
        BoardWrite(" ");
        WriteNumber(workers, 10, 1);
        BoardWrite(" ");
        if (!PrintHash(model, options, session)) return false;
      }
    }
  }
  return true;
}

}  // namespace

int main() {
  mu8::Session session;
  for (std::uint32_t i = 0; i < embedded_file_count; ++i) {
    if (!Golden(embedded_files[i], &session)) return 1;
  }
  BoardWrite("stack ");
  WriteNumber(BoardStackUsed(), 10, 1);
  BoardWrite("\n");
  return 0;
}
