// Classifies pictures on a processor without an operating system: the model stays in flash, the
// arena is a static array of exactly the size that `mu8 embed` has printed.
#include <model.h>  // of `mu8 embed --name model`

#include <cstddef>
#include <cstdint>
#include <span>

#include "mu8/mu8.h"
#include "tools/firmware/board/board.h"
#include "tools/firmware/digits/pictures.h"

namespace {

alignas(64) std::byte arena[MODEL_ARENA_BYTES];
std::uint8_t pixels[MODEL_INPUT_SIZE];

void WriteInteger(std::uint32_t value, int least_digits = 1) {
  char text[11] = {};
  char* at = text + 10;
  for (; value != 0 || text + 10 - at < least_digits; value /= 10) {
    *--at = static_cast<char>('0' + value % 10);
  }
  BoardWrite(at);
}

// Four decimals; there is no printf here.
void WriteNumber(const char* name, float value) {
  const auto units = static_cast<std::uint32_t>(value * 10000 + 0.5F);
  BoardWrite(name);
  WriteInteger(units / 10000);
  BoardWrite(".");
  WriteInteger(units % 10000, 4);
}

std::uint8_t Digit(char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

int Fail(const mu8::Diagnostic& why) {
  char text[200];
  mu8::Explain(why, text);
  BoardWrite(text);
  BoardWrite("\n");
  return 1;
}

}  // namespace

int main() {
  mu8::Model model;
  mu8::Session session;
  mu8::Diagnostic why;
  const mu8::SessionOptions options{.mc_samples = MODEL_MC_SAMPLES,
                                    .panel_bytes = MODEL_PANEL_BYTES};
  if (mu8::Model::OpenTrusted(std::as_bytes(std::span(model_mu8)), MODEL_HASH, &model, &why) !=
          mu8::Status::kOk ||
      mu8::Session::Create(model, options, arena, &session, &why) != mu8::Status::kOk) {
    return Fail(why);
  }
  for (const Picture& picture : kPictures) {
    for (std::size_t i = 0; i < sizeof(pixels); ++i) {
      pixels[i] = static_cast<std::uint8_t>(Digit(picture.pixels[2 * i]) * 16 +
                                            Digit(picture.pixels[2 * i + 1]));
    }
    mu8::Prediction prediction;
    if (session.Predict(pixels, {&prediction, 1}, &why) != mu8::Status::kOk) return Fail(why);
    BoardWrite(picture.name);
    BoardWrite(": class ");
    BoardWrite(model_labels[prediction.label]);
    WriteNumber(", p = ", prediction.mean[prediction.label]);
    WriteNumber(", predictive entropy ", prediction.predictive_entropy);
    WriteNumber(", mutual information ", prediction.mutual_information);
    BoardWrite("\n");
  }
  BoardWrite("kernels ");
  BoardWrite(session.kernels());
  BoardWrite(", arena ");
  WriteInteger(static_cast<std::uint32_t>(session.arena_bytes()));
  BoardWrite(" bytes, stack ");
  WriteInteger(BoardStackUsed());
  BoardWrite(" bytes\n");
  return 0;
}
