// The limits of target.h. With AddressSanitizer every allocation counts; without it those of C++.
#include <malloc.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>

#include "tests/fuzz/target.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MU8_FUZZ_HAS_HOOKS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MU8_FUZZ_HAS_HOOKS 1
#endif

namespace mu8::fuzz {
namespace {

std::atomic<std::int64_t> in_use{0};
std::atomic<std::int64_t> most_in_use{INT64_MAX};

void Allocated(std::size_t bytes) {
  const std::int64_t now = in_use += static_cast<std::int64_t>(bytes);
  const std::int64_t most = most_in_use;
  if (now <= most) return;
  most_in_use = INT64_MAX;  // what is printed and traced allocates as well
  std::fprintf(stderr, "mu8_fuzz: %lld bytes in use, the input allows %lld\n",
               static_cast<long long>(now), static_cast<long long>(most));
  std::abort();
}

void Freed(std::size_t bytes) { in_use -= static_cast<std::int64_t>(bytes); }

double Seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Limits::Limits(std::size_t input_bytes, const Allowance& allowance)
    : most_seconds_(allowance.seconds + static_cast<double>(input_bytes) * allowance.seconds_each),
      start_(Seconds()) {
  in_use = 0;
  most_in_use = static_cast<std::int64_t>(allowance.bytes + input_bytes * allowance.bytes_each);
}

Limits::~Limits() {
  most_in_use = INT64_MAX;
  const double took = Seconds() - start_;
  if (took <= most_seconds_) return;
  std::fprintf(stderr, "mu8_fuzz: %.2f s of processor time, the input allows %.2f\n", took,
               most_seconds_);
  std::abort();
}

}  // namespace mu8::fuzz

#ifdef MU8_FUZZ_HAS_HOOKS

// As sanitizer/allocator_interface.h has them, which GCC does not install.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*,
                                                                           std::size_t),
                                                         void (*freed)(const volatile void*));
extern "C" std::size_t __sanitizer_get_allocated_size(const volatile void* at);

namespace {

[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t bytes) { mu8::fuzz::Allocated(bytes); },
    [](const volatile void* at) {
      if (at != nullptr) mu8::fuzz::Freed(__sanitizer_get_allocated_size(at));
    });

}  // namespace

#else

void* operator new(std::size_t bytes) {
  void* const at = std::malloc(bytes == 0 ? 1 : bytes);
  if (at == nullptr) throw std::bad_alloc();
  mu8::fuzz::Allocated(malloc_usable_size(at));
  return at;
}
void operator delete(void* at) noexcept {
  if (at != nullptr) mu8::fuzz::Freed(malloc_usable_size(at));
  std::free(at);
}
void operator delete(void* at, std::size_t) noexcept { operator delete(at); }

#endif
