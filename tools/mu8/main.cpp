// The `mu8` command: from a trained posterior to a .mu8 file, and from there to predictions,
// figures and timings. command_line.cpp runs it; this file is what a process has beside that.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "tools/mu8/command.h"
#include "tools/mu8/command_line.h"

namespace mu8::tool {
namespace {

// A destructor that wants memory, as those of JSON values do, and the initializers of libraries end
// here when there is none.
[[noreturn]] void Terminate() {
  try {
    if (std::current_exception() != nullptr) throw;
  } catch (const std::bad_alloc&) {
    std::fputs("mu8: out of memory\n", stderr);
    std::_Exit(kFailed);
  } catch (...) {
  }
  std::abort();
}

#ifdef __ELF__
// Before the libraries' initializers, which run before main.
[[gnu::section(".preinit_array"), gnu::used]] void (*const kSetTerminate)() = [] {
  std::set_terminate(Terminate);
};
#endif

}  // namespace
}  // namespace mu8::tool

int main(int argc, char** argv) {
  std::set_terminate(mu8::tool::Terminate);
  // A reader that has gone and a file over the size limit are errors of writing, with a reason, not
  // the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return mu8::tool::RunCommandLine(argc, argv);
  } catch (const std::bad_alloc&) {  // before a command ran, or while another error was printed
    std::fputs("mu8: out of memory\n", stderr);
    return mu8::tool::kFailed;
  } catch (...) {
    std::fputs("mu8: unexpected failure\n", stderr);
    return mu8::tool::kFailed;
  }
}
