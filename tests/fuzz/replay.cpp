// Runs files through one fuzz target without libFuzzer, so that what once failed is tested by every
// build: mu8_replay_NAME FOLDER ... . Each folder must exist; one of them must hold a file.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& path : files) {
    std::fprintf(stderr, "%s\n", path.c_str());  // the last line names what fails
    std::ifstream file(path, std::ios::binary);
    // Of exactly this size on the heap, where AddressSanitizer sees what is behind it.
    const std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  std::fprintf(stderr, "files: %zu\n", files.size());
  return files.empty() ? 1 : 0;
}
