// Preloaded into a program by test_allocation_failure.py: the request for memory with the number
// MU8_FAIL_AT (the first is 1) is answered with nullptr. At its end the program writes to the file
// MU8_COUNT_TO how many there were. A request that fails and was made for oneDNN is told on stderr.
#include <dlfcn.h>
#include <execinfo.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {

std::atomic<long> requests{0};

void TellIfForDnnl() {
  void* frames[32];
  const int count = backtrace(frames, 32);
  for (int i = 0; i < count; ++i) {
    Dl_info info;
    if (dladdr(frames[i], &info) == 0 || info.dli_fname == nullptr ||
        std::strstr(info.dli_fname, "libdnnl") == nullptr) {
      continue;
    }
    constexpr char kText[] = "fail_allocation: for oneDNN\n";
    if (write(STDERR_FILENO, kText, sizeof(kText) - 1) < 0) std::abort();
    return;
  }
}

bool Fails() {
  static const long at = [] {
    const char* text = std::getenv("MU8_FAIL_AT");
    return text == nullptr ? 0L : std::atol(text);
  }();
  if (++requests != at) return false;
  TellIfForDnnl();  // its own requests come after this one
  errno = ENOMEM;
  return true;
}

struct Counter {
  ~Counter() {
    const long count = requests;
    const char* path = std::getenv("MU8_COUNT_TO");
    std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "w");
    if (file == nullptr) return;
    std::fprintf(file, "%ld\n", count);
    std::fclose(file);
  }
} counter;

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return Fails() ? nullptr : __libc_malloc(size); }
void* calloc(std::size_t count, std::size_t size) {
  return Fails() ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
  return Fails() ? nullptr : __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return Fails() ? nullptr : __libc_memalign(alignment, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  return Fails() ? nullptr : __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  if (Fails()) return ENOMEM;
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
}
