// Files of arrays as numpy writes them: .npy and ZIP archives (.npz), and little-endian numbers.
#pragma once

#include <zlib.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace mu8::convert::testing {

template <typename T>
std::string LittleEndian(T number, std::size_t bytes = sizeof(T)) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    text += static_cast<char>(
        static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> (8 * i)));
  }
  return text;
}

inline std::string Float32Bytes(const std::vector<float>& values) {
  std::string text;
  for (const float value : values) text += LittleEndian(std::bit_cast<std::uint32_t>(value));
  return text;
}
inline std::string Float64Bytes(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += LittleEndian(std::bit_cast<std::uint64_t>(value));
  return text;
}

// A .npy file, format major.0; `shape` as Python writes it: "(2, 3)".
inline std::string Npy(const std::string& descr, const std::string& shape, const std::string& data,
                       bool fortran_order = false, int major = 1) {
  std::string header = "{'descr': '" + descr +
                       "', 'fortran_order': " + (fortran_order ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  while ((header.size() + 13) % 64 != 0) header += ' ';
  header += '\n';
  std::string npy = "\x93NUMPY";
  npy += static_cast<char>(major);
  npy += '\0';
  npy += LittleEndian(header.size(), major == 1 ? 2 : 4);
  return npy + header + data;
}

inline std::string Deflate(const std::string& data) {
  std::string out(data.size() + data.size() / 1000 + 1024, '\0');
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// A ZIP archive of (name, content) members, as numpy writes it.
inline std::string Zip(const std::vector<std::pair<std::string, std::string>>& members,
                       bool deflated = false, bool zip64 = false) {
  std::string archive, directory;
  for (const auto& [name, content] : members) {
    const std::string stored = deflated ? Deflate(content) : content;
    const std::string common =
        LittleEndian(std::uint16_t{20}) + LittleEndian(std::uint16_t{0}) +
        LittleEndian(static_cast<std::uint16_t>(deflated ? 8 : 0)) +
        LittleEndian(std::uint32_t{0}) +
        LittleEndian(crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()),
                     4) +
        LittleEndian(stored.size(), 4) + LittleEndian(content.size(), 4) +
        LittleEndian(name.size(), 2) + LittleEndian(std::uint16_t{0});
    directory += "PK\x01\x02" + LittleEndian(std::uint16_t{20}) + common + std::string(10, '\0') +
                 LittleEndian(archive.size(), 4) + name;
    archive += "PK\x03\x04" + common + name + stored;
  }
  std::string end = "PK\x05\x06" + std::string(4, '\0') + LittleEndian(members.size(), 2) +
                    LittleEndian(members.size(), 2) + LittleEndian(directory.size(), 4) +
                    LittleEndian(archive.size(), 4) + LittleEndian(std::uint16_t{0});
  if (!zip64) return archive + directory + end;
  const std::uint64_t at = archive.size(), bytes = directory.size(), count = members.size();
  const std::string end64 = "PK\x06\x06" + LittleEndian(std::uint64_t{44}) + std::string(12, '\0') +
                            LittleEndian(count) + LittleEndian(count) + LittleEndian(bytes) +
                            LittleEndian(at);
  const std::string locator = "PK\x06\x07" + std::string(4, '\0') + LittleEndian(at + bytes) +
                              LittleEndian(std::uint32_t{1});
  return archive + directory + end64 + locator + end;
}

}  // namespace mu8::convert::testing
