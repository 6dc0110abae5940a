// The least firmware of one model, for bench/sizes: opens it, predicts one image, prints the
// deepest stack. All that mu8 asks its caller to keep is static, so that the linker's map has its
// size; a session has its own copy of the Model.
#include <model.h>  // of `mu8 embed --name model`

#include <cstddef>
#include <cstdint>
#include <span>

#include "mu8/mu8.h"
#include "tools/firmware/board/board.h"

namespace {

alignas(16) std::byte arena[MODEL_ARENA_BYTES];
std::uint8_t image[MODEL_INPUT_SIZE];
mu8::Session session;
mu8::Prediction prediction;

mu8::Status Open(std::span<const std::byte> file, mu8::Model* opened) {
#if TRUSTED
  return mu8::Model::OpenTrusted(file, MODEL_HASH, opened);
#else
  return mu8::Model::Open(file, opened);
#endif
}

[[gnu::noinline]] mu8::Status Start() {
  static constexpr mu8::SessionOptions kOptions{.mc_samples = MODEL_MC_SAMPLES,
                                                .panel_bytes = MODEL_PANEL_BYTES};
  mu8::Model opened;
  const mu8::Status status = Open(std::as_bytes(std::span(model_mu8)), &opened);
  if (status != mu8::Status::kOk) return status;
  return mu8::Session::Create(opened, kOptions, arena, &session);
}

}  // namespace

int main() {
  if (Start() != mu8::Status::kOk || session.Predict(image, {&prediction, 1}) != mu8::Status::kOk) {
    BoardWrite("no prediction\n");
    return 1;
  }
  char text[] = "stack       \n";
  char* at = text + sizeof(text) - 3;
  for (unsigned bytes = BoardStackUsed(); bytes != 0; bytes /= 10) {
    *at-- = static_cast<char>('0' + bytes % 10);
  }
  BoardWrite(text);
  return 0;
}
