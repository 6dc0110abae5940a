// A network in flash classifies a picture and says how sure it is. The network is model.h and
// model.c, of `mu8 embed MODEL.mu8 --name model`: put yours in their place.
#if defined(ARDUINO)
#include <Arduino.h>
#endif

#include <model.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>

#include "mu8/mu8.h"

namespace {

alignas(64) std::byte arena[MODEL_ARENA_BYTES];
std::uint8_t pixels[MODEL_INPUT_SIZE];

void Write(const char* text) {
#if defined(ARDUINO)
  Serial.print(text);
#else
  std::fputs(text, stdout);
#endif
}

// Four decimals, without a printf that knows floats: small C libraries have none.
void WriteNumber(const char* name, float value) {
  const auto units = static_cast<unsigned>(value * 10000 + 0.5F);
  char text[80];
  std::snprintf(text, sizeof(text), ", %s %u.%04u", name, units / 10000, units % 10000);
  Write(text);
}

int Fail(const mu8::Diagnostic& why) {
  char text[200];
  mu8::Explain(why, text);
  Write(text);
  Write("\n");
  return 1;
}

int Classify() {
  mu8::Model model;
  mu8::Session session;
  mu8::Prediction prediction;
  mu8::Diagnostic why;
  for (std::size_t i = 0; i < sizeof(pixels); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37);
  const mu8::SessionOptions options{.mc_samples = MODEL_MC_SAMPLES,
                                    .panel_bytes = MODEL_PANEL_BYTES};
  if (mu8::Model::OpenTrusted(std::as_bytes(std::span(model_mu8)), MODEL_HASH, &model, &why) !=
          mu8::Status::kOk ||
      mu8::Session::Create(model, options, arena, &session, &why) != mu8::Status::kOk ||
      session.Predict(pixels, {&prediction, 1}, &why) != mu8::Status::kOk) {
    return Fail(why);
  }
  Write(model_labels[prediction.label]);
  WriteNumber("p", prediction.mean[prediction.label]);
  WriteNumber("predictive entropy", prediction.predictive_entropy);
  WriteNumber("mutual information", prediction.mutual_information);
  Write("\n");
  return 0;
}

}  // namespace

#if defined(ARDUINO)
void setup() {
  Serial.begin(115200);
  Classify();
}
void loop() {}
#elif defined(ESP_PLATFORM)
extern "C" void app_main() { Classify(); }
#else
int main() { return Classify(); }
#endif
