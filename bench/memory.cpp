// mu8_bench_memory MODEL.mu8 BATCH: what one prediction needs in memory, as one line of JSON. A
// process of its own, because a process's peak never sinks again.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "converters/host/aligned_buffer.h"
#include "mu8/mu8.h"

namespace {

using mu8::host::AlignedBuffer;

// Not getrusage: that peak is inherited from whoever started the process.
long PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

AlignedBuffer ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  AlignedBuffer bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return file ? std::move(bytes) : AlignedBuffer();
}

int Fail(const mu8::Diagnostic& why) {
  char message[256];
  mu8::Explain(why, message);
  std::fprintf(stderr, "mu8_bench_memory: %s\n", message);
  return 1;
}

int Run(const char* path, std::uint32_t batch) {
  const long before = PeakBytes();
  const AlignedBuffer bytes = ReadFile(path);
  if (bytes.size() == 0) return std::fprintf(stderr, "mu8_bench_memory: cannot read %s\n", path), 1;
  mu8::Model model;
  mu8::Session session;
  mu8::Diagnostic why;
  if (mu8::Model::Open(bytes.span(), &model, &why) != mu8::Status::kOk) return Fail(why);
  const mu8::SessionOptions options = {.mc_samples = 2, .batch = batch};
  AlignedBuffer arena(mu8::ArenaBytes(model, options));
  std::vector<std::uint8_t> images(model.input_size() * batch, 100);
  if (mu8::Session::Create(model, options, arena.span(), &session, &why) != mu8::Status::kOk ||
      session.Run(images, batch, &why) != mu8::Status::kOk) {
    return Fail(why);
  }
  std::printf(
      "{\"batch\": %u, \"file_bytes\": %zu, \"arena_bytes\": %zu, \"image_bytes\": %zu, "
      "\"process_bytes_before\": %ld, \"process_bytes_peak\": %ld}\n",
      batch, bytes.size(), session.arena_bytes(), images.size(), before, PeakBytes());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long batch = argc == 3 ? std::strtol(argv[2], nullptr, 10) : 0;
  if (batch < 1 || batch > 65536) {
    return std::fprintf(stderr, "usage: mu8_bench_memory MODEL.mu8 BATCH (1 to 65536)\n"), 2;
  }
  return Run(argv[1], static_cast<std::uint32_t>(batch));
}
