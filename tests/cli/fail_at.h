// What the libraries share that make a call of a program fail: they are preloaded, each alone. The
// call with the number MU8_FAIL_AT (the first is 1) fails, with MU8_FAIL_ALL all that follow as
// well; at its end the program writes to the file MU8_COUNT_TO how many there were.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace {

std::atomic<long> calls{0};

// Counts a call; whether it has to fail, and then errno is `error`.
bool Fails(int error) {
  static const long at = [] {
    const char* text = std::getenv("MU8_FAIL_AT");
    return text == nullptr ? 0L : std::atol(text);
  }();
  static const bool all = std::getenv("MU8_FAIL_ALL") != nullptr;
  const long call = ++calls;
  if (call != at && !(all && at != 0 && call > at)) return false;
  errno = error;
  return true;
}

struct Counter {
  ~Counter() {
    const long count = calls;
    const char* path = std::getenv("MU8_COUNT_TO");
    std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "w");
    if (file == nullptr) return;
    std::fprintf(file, "%ld\n", count);
    std::fclose(file);
  }
} counter;

}  // namespace
