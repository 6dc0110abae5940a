// PREDICTIONS predictions (1) of the embedded model, of an image of arbitrary pixels: by METHOD
// (kSampling), in SAMPLES passes, by the kernels of SET, with check_products if CHECKED (false).
#include <cstddef>
#include <cstdint>

#include "bench/instructions/write_hash.h"
#include "mu8/mu8.h"

#if !defined(PREDICTIONS)
#define PREDICTIONS 1
#endif
#if !defined(METHOD)
#define METHOD kSampling
#endif
#if !defined(CHECKED)
#define CHECKED false
#endif

extern "C" const std::byte model[], model_end[];

namespace {

alignas(64) std::byte arena[ARENA_BYTES];
std::uint8_t image[4096];

int Fail(mu8::Diagnostic diagnostic) {
  char text[256];
  mu8::Explain(diagnostic, text);
  BoardWrite(text);
  BoardWrite("\n");
  return 1;
}

}  // namespace

int main() {
  static const volatile std::uint32_t samples = SAMPLES, predictions = PREDICTIONS;
  mu8::Model opened;
  mu8::Session session;
  mu8::Diagnostic diagnostic;
  const std::span<const std::byte> file(model, static_cast<std::size_t>(model_end - model));
  if (mu8::Model::Open(file, &opened, &diagnostic) != mu8::Status::kOk) return Fail(diagnostic);
  const mu8::SessionOptions options{.mc_samples = samples,
                                    .seed = 1,
                                    .kernels = mu8::KernelSet::SET,
                                    .method = mu8::Method::METHOD,
                                    .check_products = CHECKED};
  if (mu8::Session::Create(opened, options, arena, &session, &diagnostic) != mu8::Status::kOk) {
    return Fail(diagnostic);
  }
  std::uint32_t state = 1;
  for (std::uint8_t& pixel : image) {
    state = state * 1664525U + 1013904223U;
    pixel = static_cast<std::uint8_t>(state >> 24);
  }
  mu8::Prediction prediction;
  const std::span<const std::uint8_t> pixels(image, opened.input_size());
  for (std::uint32_t left = predictions; left != 0; --left) {
    if (session.Predict(pixels, {&prediction, 1}, &diagnostic) != mu8::Status::kOk) {
      return Fail(diagnostic);
    }
  }
  mu8::bench::WriteHash(mu8::bench::Hash(prediction.mean.data(), prediction.mean.size_bytes()));
  return 0;
}
