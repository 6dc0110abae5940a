// Parses a command line, runs one subcommand and turns its outcome into an exit code.
#include "tools/mu8/command_line.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/files_read.h"
#include "converters/host/output_file.h"
#include "formats/layout.h"
#include "tools/mu8/command.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

constexpr const char* kVersion = MU8_VERSION;  // the project's, from CMake

constexpr const char* kDescription =
    "mu8: quantized Bayesian neural networks. A .mu8 file holds a Gaussian for every weight;\n"
    "a prediction is the mean over many networks drawn from it, and says how sure it is and why.\n";

constexpr const char* kFooter = R"(
Example, from the root of the source tree:
  mu8 convert --model tests/data/lenet5_mnist.onnx --posterior tests/data/lenet5_mnist.npz
      --calibration tests/data/mnist/calibration-images-idx3-ubyte.gz
      --mean 0.1307 --std 0.3081 -o lenet5.mu8
  mu8 inspect lenet5.mu8
  mu8 predict lenet5.mu8 tests/data/mnist/digit_0_label7.png
  mu8 eval lenet5.mu8 --data tests/data/mnist/digits-images-idx3-ubyte.gz

Results go to stdout, everything else to stderr. With --json stdout is one JSON object. The same
model, image, samples and seed give the same prediction, byte for byte, with all kernels.

Exit codes:
  0  success
  1  the input (file, model, data) is bad, or the operation failed; no output file is left
  2  wrong command line
  3  `convert`: the converted network is not what the FP32 network was; no file is left

"mu8 COMMAND --help" describes a command and all of its options.)";

// One line of stderr: names from files are in it, and must not look like more of them.
void PrintError(std::string_view text) {
  std::fprintf(stderr, "mu8: %s\n", Printable(text).c_str());
}

// All of them, but for the many that one cause can make.
void PrintProblems(const std::vector<std::string>& problems) {
  constexpr std::size_t kMostPrinted = 100;
  const std::size_t count = std::min(problems.size(), kMostPrinted);
  for (std::size_t i = 0; i < count; ++i) PrintError(problems[i]);
  if (count < problems.size()) {
    PrintError("and " + std::to_string(problems.size() - count) + " more problems");
  }
}

// What was printed has arrived, or the program has failed.
int FlushStdout() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return kSuccess;
  PrintError(std::string("cannot write to stdout") +
             (errno == 0 ? "" : std::string(": ") + std::strerror(errno)));
  return kFailed;
}

int ParseProblem(const CLI::App& app, const std::string& what) {
  const std::vector<const CLI::App*> chosen =
      app.get_subcommands([](const CLI::App* sub) { return sub->parsed(); });
  PrintError(what);
  std::fprintf(stderr, "mu8: run \"mu8 %s--help\" for the options\n",
               chosen.empty() ? "" : (chosen.front()->get_name() + " ").c_str());
  return kWrongCommand;
}

// Runs the command; its files take their places once what it printed has arrived.
int RunToEnd(const Command& command) {
  host::OutputFiles files;
  int code = kSuccess;
  try {
    command.run(&files);
  } catch (const LostNetwork& lost) {
    PrintError(lost.what());
    code = kLost;
  }
  const int flushed = FlushStdout();
  if (flushed == kSuccess) files.Commit();
  return std::max(code, flushed);
}

int Run(const CLI::App& app, const Command& command) {
  try {
    return RunToEnd(command);
  } catch (const UsageError& error) {
    return ParseProblem(app, error.what());
  } catch (const std::bad_alloc&) {
    PrintError("out of memory");
    return kFailed;
  } catch (const host::Error& error) {
    PrintProblems(error.problems());
    return kFailed;
  } catch (const std::exception& error) {
    PrintError(error.what());
    return kFailed;
  }
}

}  // namespace

int RunCommandLine(int argc, const char* const* argv) {
  host::ForgetFilesRead();
  CLI::App app(kDescription, "mu8");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("mu8 ") + kVersion + ", file format " +
                                        std::to_string(format::kVersionMajor) + "." +
                                        std::to_string(format::kVersionMinor));
  const std::vector<Command> commands = {AddAllocate(&app), AddConvert(&app), AddInspect(&app),
                                         AddPredict(&app),  AddEval(&app),    AddDiff(&app),
                                         AddBench(&app),    AddEmbed(&app),   AddReplay(&app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error);
      std::cout.flush();
      return FlushStdout();
    }
    return ParseProblem(app, error.what());
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return Run(app, command);
  }
  return kWrongCommand;
}

}  // namespace mu8::tool
