// Tables, arrays and archives of numbers, told by their names: the first byte chooses the name, the
// input's shape, and whether a series is cut into windows.
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "converters/host/datasets.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

namespace {

// Names for one file in memory.
class Names {
 public:
  explicit Names(const std::string& target) {
    std::string folder = (std::filesystem::temp_directory_path() / "mu8_fuzz_XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) std::abort();
    for (const char* name : {"x.csv", "x.npy", "x.npz", "x.f32"}) {
      paths_[count_] = folder + "/" + name;
      std::filesystem::create_symlink(target, paths_[count_++]);
    }
  }
  const std::string& operator[](std::size_t i) const { return paths_[i % count_]; }

 private:
  std::array<std::string, 4> paths_;
  std::size_t count_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const mu8::fuzz::Limits limits(size, {.bytes = std::size_t{16} << 20, .bytes_each = 4096});
  static const mu8::testing::MemoryFile file;
  static const Names names(file.path());
  if (size == 0) return 0;
  file.Write({data + 1, size - 1});
  mu8::host::InputSpec spec{.size = {1, 1, 2}};
  if ((data[0] & 4) != 0) spec.size = {2, 3, 2};
  if ((data[0] & 8) != 0) mu8::host::ReadLayoutText("nchw:2,2,3", &spec);
  mu8::host::DataOptions options{.may_be_one = (data[0] & 16) != 0};
  options.window_step = (data[0] & 32) != 0 ? 1 : 0;
  mu8::testing::ReadOrRefuse(
      [&] { mu8::host::LoadDataset(names[data[0] & 3], 100, spec, options); });
  return 0;
}
