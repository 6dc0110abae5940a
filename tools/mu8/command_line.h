// The `mu8` command without its process, so that a fuzzer can run it as well.
#pragma once

namespace mu8::tool {

// What `mu8` does with its arguments, argv[0] the program's name. Throws std::bad_alloc where
// memory ends before a command runs.
int RunCommandLine(int argc, const char* const* argv);

}  // namespace mu8::tool
