// Opens each file that it is given and, where this build can, predicts: "NAME STATUS OFFSET LAYER
// FOUND BYTES", the last in hexadecimal; then asks for what config.h may have left out. Compiled
// with the amalgamation (test_trimmed.py).
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "mu8/mu8.h"

namespace {

alignas(64) std::byte arena[1 << 20];

template <typename T>
void Write(std::span<const T> values) {
  for (const std::byte byte : std::as_bytes(values))
    std::printf("%02x", static_cast<unsigned>(byte));
}

// Two images of numbers or pixels; false if a call fails.
template <typename Pixel>
bool Predict(const mu8::Model& model, mu8::Session* session) {
  std::vector<Pixel> image(model.input_size());
  for (unsigned i = 0; i < 2; ++i) {
    for (std::size_t at = 0; at < image.size(); ++at) {
      image[at] = static_cast<Pixel>((at * 37 + i * 101) % 251);
    }
    mu8::Prediction prediction;
    if (session->Predict(std::span<const Pixel>(image), {&prediction, 1}) != mu8::Status::kOk) {
      return false;
    }
    Write(prediction.mean);
    Write(prediction.variance);
    Write(prediction.noise_variance);
    const float numbers[] = {prediction.predictive_entropy, prediction.expected_entropy,
                             prediction.mutual_information};
    Write(std::span<const float>(numbers));
  }
  return true;
}

int StatusWith(const mu8::Model& model, const mu8::SessionOptions& options) {
  mu8::Session session;
  return static_cast<int>(mu8::Session::Create(model, options, arena, &session));
}

// Of the same file through a Source.
int StatusStreamed(std::span<const std::byte> file) {
  const mu8::Source source{&file, file.size(),
                           [](void* context, std::uint64_t offset, void* to, std::size_t bytes) {
                             const auto& from = *static_cast<std::span<const std::byte>*>(context);
                             std::memcpy(to, from.data() + offset, bytes);
                             return true;
                           }};
  std::vector<std::byte> resident(file.size());
  mu8::Model model;
  return static_cast<int>(mu8::Model::OpenStreamed(source, resident, arena, &model));
}

void WriteModel(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::uint64_t> words(content.size() / 8 + 2);  // files start at multiples of 16
  char* bytes = reinterpret_cast<char*>(words.data());
  bytes += -reinterpret_cast<std::uintptr_t>(bytes) % 16;
  std::copy(content.begin(), content.end(), bytes);
  mu8::Model model;
  mu8::Diagnostic why;
  const mu8::Status status =
      mu8::Model::Open({reinterpret_cast<std::byte*>(bytes), content.size()}, &model, &why);
  std::printf("%s %d %llu %d %llu ", path, static_cast<int>(status),
              static_cast<unsigned long long>(why.offset), why.layer,
              static_cast<unsigned long long>(why.found));
  mu8::Session session;
  if (status == mu8::Status::kOk &&
      mu8::Session::Create(model, {.mc_samples = 6}, arena, &session) == mu8::Status::kOk) {
    const bool done = model.input_kind() == mu8::InputKind::kNumbers
                          ? Predict<float>(model, &session)
                          : Predict<std::uint8_t>(model, &session);
    if (!done) std::printf("failed");
  }
  std::printf("\n");
  if (status != mu8::Status::kOk) return;
  std::printf("options %d %d %d %d %d\n",
              StatusWith(model, {.keep_going = [](void*) { return true; }}),
              StatusWith(model, {.noise = mu8::Noise::kAntithetic}),
              StatusWith(model, {.workers = 2}), StatusWith(model, {.check_products = true}),
              StatusStreamed({reinterpret_cast<std::byte*>(bytes), content.size()}));
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) WriteModel(arguments[i]);
  return 0;
}
