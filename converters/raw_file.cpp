#include "converters/raw_file.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "converters/error.h"

namespace mu8::convert {
namespace {

constexpr std::string_view kLfsMagic = "version https://git-lfs";

// The "size N" line of a Git LFS pointer; empty when there is none.
std::string LfsSize(std::string_view pointer) {
  const std::size_t at = pointer.find("\nsize ");
  if (at == std::string_view::npos) return {};
  const std::string_view rest = pointer.substr(at + 6);
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

}  // namespace

std::vector<std::uint8_t> ReadRawFile(const std::string& path, const std::string& expected,
                                      std::size_t limit_bytes) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) {
    throw Error(path + ": no such file; expected " + expected);
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw Error(path + ": not a regular file; expected " + expected);
  }
  const std::uintmax_t size = std::filesystem::file_size(path, code);
  if (code) throw Error(path + ": cannot be read: " + code.message());
  if (size == 0) throw Error(path + ": the file is empty; expected " + expected);
  if (size > limit_bytes) {
    throw Error(path + ": " + std::to_string(size) + " bytes; at most " +
                std::to_string(limit_bytes) + " are read");
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Error(path + ": cannot be read: " + std::strerror(errno));
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (static_cast<std::uintmax_t>(stream.gcount()) != size) {
    throw Error(path + ": read " + std::to_string(stream.gcount()) + " of " + std::to_string(size) +
                " bytes; the file changed or the disk failed");
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kLfsMagic)) {
    const std::string content_bytes = LfsSize(text.substr(0, 1024));
    throw Error(path + ": a Git LFS pointer of " + std::to_string(size) + " bytes, not the file " +
                (content_bytes.empty() ? "" : "of " + content_bytes + " bytes ") +
                "it stands for; run \"git lfs pull\"; expected " + expected);
  }
  return bytes;
}

std::string DescribeStart(std::span<const std::uint8_t> bytes) {
  std::string hex, text;
  for (const std::uint8_t byte : bytes.first(std::min<std::size_t>(bytes.size(), 8))) {
    char pair[4];
    std::snprintf(pair, sizeof pair, "%02x ", byte);
    hex += pair;
    text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  return hex + "\"" + text + "\"";
}

std::vector<float> LoadFloats(std::span<const std::uint8_t> bytes, std::size_t width) {
  std::vector<float> values(bytes.size() / width);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint8_t* at = bytes.data() + i * width;
    values[i] =
        width == 4 ? std::bit_cast<float>(LoadLittleEndian<std::uint32_t>(at))
                   : static_cast<float>(std::bit_cast<double>(LoadLittleEndian<std::uint64_t>(at)));
  }
  return values;
}

bool CheckedProduct(std::span<const std::uint64_t> dims, std::uint64_t limit,
                    std::size_t* product) {
  std::uint64_t nonzero_product = 1;
  bool has_zero = false;
  for (const std::uint64_t dim : dims) {
    if (dim == 0) {
      has_zero = true;
      continue;
    }
    if (dim > limit / nonzero_product) return false;
    nonzero_product *= dim;
  }
  *product = has_zero ? 0 : static_cast<std::size_t>(nonzero_product);
  return true;
}

}  // namespace mu8::convert
