// A prediction of the embedded model in SAMPLES passes by the kernels of SET, of an image of
// arbitrary pixels, with check_products if CHECKED.
#include <cstddef>
#include <cstdint>

#include "bench/instructions/write_hash.h"
#include "mu8/mu8.h"

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
  static const volatile std::uint32_t samples = SAMPLES;
  mu8::Model opened;
  mu8::Session session;
  mu8::Diagnostic diagnostic;
  const std::span<const std::byte> file(model, static_cast<std::size_t>(model_end - model));
  if (mu8::Model::Open(file, &opened, &diagnostic) != mu8::Status::kOk) return Fail(diagnostic);
  const mu8::SessionOptions options{
      .mc_samples = samples, .seed = 1, .kernels = mu8::KernelSet::SET, .check_products = CHECKED};
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
  if (session.Predict(pixels, {&prediction, 1}, &diagnostic) != mu8::Status::kOk) {
    return Fail(diagnostic);
  }
  mu8::bench::WriteHash(mu8::bench::Hash(prediction.mean.data(), prediction.mean.size_bytes()));
  return 0;
}
