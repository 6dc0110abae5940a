// Mutations of .gz, .xz and ZIP files that change what is packed, and pack it again with right
// checksums; of .npy headers and of safetensors, whose first 8 bytes are the header's size. A share
// is left to libFuzzer, which changes the bytes as they are. MU8_FUZZ_OPTION_BYTES come first in an
// input and are the target's own.
#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/npz.h"
#include "tests/converters/array_files.h"
#include "tests/fuzz/memory_file.h"
#include "tests/support/random.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace mu8::fuzz {
namespace {

using testing::Random;

std::string Mutated(const std::string& content, std::size_t most) {
  std::string out = content;
  out.resize(std::max(content.size(), most));
  auto* const bytes = reinterpret_cast<std::uint8_t*>(out.data());
  out.resize(LLVMFuzzerMutate(bytes, content.size(), out.size()));
  return out;
}

std::string Gzip(const std::string& content) {
  std::string out = "\x1f\x8b\x08" + std::string(6, '\0') + "\x03";
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  return out + convert::testing::Deflate(content) + convert::testing::LittleEndian(crc, 4) +
         convert::testing::LittleEndian(content.size(), 4);
}

std::string Xz(const std::string& content) {
  std::string out(content.size() + content.size() / 2 + 1024, '\0');
  std::size_t bytes = 0;
  if (lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, nullptr,
                              reinterpret_cast<const std::uint8_t*>(content.data()), content.size(),
                              reinterpret_cast<std::uint8_t*>(out.data()), &bytes,
                              out.size()) != LZMA_OK) {
    return content;
  }
  out.resize(bytes);
  return out;
}

std::string Unpacked(std::string_view file, std::size_t most) {
  static const testing::MemoryFile memory;
  memory.Write({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()});
  const std::vector<std::uint8_t> bytes = host::ReadUnpackedFile(memory.path(), most);
  return {bytes.begin(), bytes.end()};
}

// One member's bytes or name changes, or members are doubled or left out.
std::string Rezipped(std::string_view file, std::size_t most, Random* random) {
  std::vector<std::pair<std::string, std::string>> members;
  for (const host::ZipMember& member : host::ReadZipDirectory(
           "", {reinterpret_cast<const std::uint8_t*>(file.data()), file.size()})) {
    const std::vector<std::uint8_t> bytes = host::ExtractMember("", member);
    members.emplace_back(member.name, std::string(bytes.begin(), bytes.end()));
  }
  if (members.empty()) return Mutated(std::string(file), most);
  const std::size_t i = random->Next() % members.size();
  switch (random->Below(8)) {
    case 0:
      members.push_back(members[i]);
      break;
    case 1:
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    case 2:
    case 3:
      members[i].first = Mutated(members[i].first, 64);
      break;
    default:
      members[i].second = Mutated(members[i].second, most);
      break;
  }
  return convert::testing::Zip(members, random->OneIn(2), random->OneIn(8));
}

// The header of a safetensors file.
std::string Reheaded(std::string_view file, std::size_t most) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, file.data(), sizeof(bytes));
  const std::size_t length = std::min<std::size_t>(bytes, file.size() - 8);
  const std::string header = Mutated(std::string(file.substr(8, length)), most);
  return convert::testing::LittleEndian(header.size(), 8) + header +
         std::string(file.substr(8 + length));
}

std::string MutatePacked(std::string_view file, std::size_t most, unsigned seed) {
  Random random(seed);
  if (!random.OneIn(4)) try {
      if (file.starts_with("\x1f\x8b")) return Gzip(Mutated(Unpacked(file, 1 << 18), most));
      if (file.starts_with("\xfd"
                           "7zXZ")) {
        return Xz(Mutated(Unpacked(file, 1 << 18), most));
      }
      if (file.starts_with("PK")) return Rezipped(file, most, &random);
      if (file.size() > 8 && file[8] == '{') return Reheaded(file, most);
      if (random.OneIn(8)) return random.OneIn(2) ? Gzip(std::string(file)) : Xz(std::string(file));
    } catch (const host::Error&) {
      // Damaged before: as bytes.
    }
  return Mutated(std::string(file), most);
}

}  // namespace
}  // namespace mu8::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  constexpr std::size_t kOwn = MU8_FUZZ_OPTION_BYTES;
  if (size <= kOwn || (kOwn != 0 && seed % 8 == 0)) return LLVMFuzzerMutate(data, size, most);
  const std::string file = mu8::fuzz::MutatePacked(
      {reinterpret_cast<const char*>(data) + kOwn, size - kOwn}, most - kOwn, seed);
  const std::size_t bytes = std::min(file.size(), most - kOwn);
  std::memcpy(data + kOwn, file.data(), bytes);
  return kOwn + bytes;
}
