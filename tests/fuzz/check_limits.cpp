// Whether the limits of target.h end a program that goes beyond them, and no other: each case runs
// in a process of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

constexpr std::size_t kInputBytes = 1000;
constexpr mu8::fuzz::Allowance kAllowance = {
    .bytes = 1 << 20, .bytes_each = 1000, .seconds = 0.2, .seconds_each = 1e-4};

void Allocate(std::size_t bytes, int times) {
  for (; times > 0; --times) {
    const std::vector<char> memory(bytes, 1);
    if (memory.back() != 1) _exit(2);
  }
}

void Work(double seconds) {
  const std::clock_t end = std::clock() + static_cast<std::clock_t>(seconds * CLOCKS_PER_SEC);
  while (std::clock() < end) {
  }
}

template <typename Run>
bool EndsWell(const Run& run) {
  const pid_t child = fork();
  if (child == 0) {
    {
      const mu8::fuzz::Limits limits(kInputBytes, kAllowance);
      run();
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

int main() {
  int wrong = 0;
  const auto check = [&](const char* what, bool is, bool ought) {
    std::printf("%s: %s\n", what, is ? "allowed" : "ended");
    wrong += is == ought ? 0 : 1;
  };
  check("2,000,000 bytes", EndsWell([] { Allocate(2000000, 1); }), true);
  check("2,000,000 bytes, 20 times", EndsWell([] { Allocate(2000000, 20); }), true);
  check("2,100,000 bytes", EndsWell([] { Allocate(2100000, 1); }), false);
  check("0.01 s", EndsWell([] { Work(0.01); }), true);
  check("0.6 s", EndsWell([] { Work(0.6); }), false);
  return wrong;
}
