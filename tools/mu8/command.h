// The subcommands of `mu8`, and how one of them ends. Each lives in the file of its name: it adds
// its options to the parent, and `run` does the work once the command line is known to be right.
// What it adds to the files takes its place when it has ended well and stdout has what it printed.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>

#include "converters/host/output_file.h"

namespace mu8::tool {

// `mu8 --help` documents these.
enum ExitCode : int {
  kSuccess = 0,
  kFailed = 1,        // the input (file, model, data) is bad or the operation failed
  kWrongCommand = 2,  // wrong command line
  kLost = 3,          // `mu8 convert`: the result is not what the network was; no file is left
};

// A command line that CLI11 accepts and the command does not, such as two options that exclude each
// other. Everything else that fails throws host::Error.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A conversion that works and whose result is worth nothing.
class LostNetwork : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Command {
  CLI::App* app = nullptr;
  std::function<void(host::OutputFiles* files)> run;
};

Command AddAllocate(CLI::App* parent);
Command AddConvert(CLI::App* parent);
Command AddInspect(CLI::App* parent);
Command AddPredict(CLI::App* parent);
Command AddEval(CLI::App* parent);
Command AddDiff(CLI::App* parent);
Command AddBench(CLI::App* parent);
Command AddEmbed(CLI::App* parent);
Command AddReplay(CLI::App* parent);

}  // namespace mu8::tool
