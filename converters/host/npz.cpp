// ZIP and .npy readers for untrusted files. Sources: PKWARE APPNOTE.TXT 6.3 (4.3.7, 4.3.12, 4.3.16)
// and NEP 1. Only the central directory is believed: numpy writes ZIP64 placeholders into the local
// headers of small files, too.
#include "converters/host/npz.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>

#include "converters/host/bytes.h"
#include "converters/host/error.h"

namespace mu8::host {
namespace {

constexpr std::size_t kEndRecordBytes = 22;
constexpr std::size_t kDirectoryEntryBytes = 46;
constexpr std::size_t kLocalHeaderBytes = 30;
constexpr std::uint32_t kEndRecordMagic = 0x06054b50;
constexpr std::size_t kEndRecord64Bytes = 56 + 20;  // with its locator
constexpr std::uint32_t kEndRecord64Magic = 0x06064b50;
constexpr std::uint32_t kDirectoryMagic = 0x02014b50;
constexpr std::uint32_t kLocalMagic = 0x04034b50;
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 32;
constexpr std::size_t kMaxRank = 32;  // numpy's own limit
// Deflate emits at most 258 bytes for 2 bits: no honest member expands further than this.
constexpr std::uint64_t kMaxDeflateRatio = 1032;

std::uint16_t Load16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return LoadLittleEndian<std::uint16_t>(bytes.data() + at);
}
std::uint32_t Load32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return LoadLittleEndian<std::uint32_t>(bytes.data() + at);
}

std::string Text(std::uint64_t number) { return std::to_string(number); }

// Offset of the end-of-central-directory record, searched from the end: only a comment of up to
// 65,535 bytes may follow it.
std::size_t FindEndRecord(const std::string& path, std::span<const std::uint8_t> archive) {
  if (archive.size() >= kEndRecordBytes) {
    const std::size_t last = archive.size() - kEndRecordBytes;
    const std::size_t first = last > 65535 ? last - 65535 : 0;
    for (std::size_t at = last + 1; at-- > first;) {
      if (Load32(archive, at) != kEndRecordMagic) continue;
      if (at + kEndRecordBytes + Load16(archive, at + 20) == archive.size()) return at;
    }
  }
  throw Error(path + ": the ZIP archive of " + Text(archive.size()) +
              " bytes has no end-of-central-directory record; the file is truncated");
}

// The bytes between the member's local header and whatever follows it.
std::span<const std::uint8_t> MemberData(const std::string& where,
                                         std::span<const std::uint8_t> archive, std::size_t local,
                                         std::size_t compressed_bytes) {
  if (local > archive.size() || archive.size() - local < kLocalHeaderBytes ||
      Load32(archive, local) != kLocalMagic) {
    throw Error(where + "no local header at offset " + Text(local));
  }
  const std::size_t data =
      local + kLocalHeaderBytes + Load16(archive, local + 26) + Load16(archive, local + 28);
  if (data > archive.size() || archive.size() - data < compressed_bytes) {
    throw Error(where + Text(compressed_bytes) + " bytes at offset " + Text(data) +
                " run past the end of the file (" + Text(archive.size()) + " bytes)");
  }
  return archive.subspan(data, compressed_bytes);
}

// A single-disk directory inside the archive, in front of its end record.
struct Directory {
  std::size_t count = 0;
  std::size_t offset = 0;
  std::size_t end = 0;
};

Directory LocateDirectory(const std::string& path, std::span<const std::uint8_t> archive) {
  const std::size_t record = FindEndRecord(path, archive);
  Directory directory{
      .count = Load16(archive, record + 10), .offset = Load32(archive, record + 16), .end = record};
  const std::uint32_t bytes = Load32(archive, record + 12);
  if (directory.count == 0xffff || directory.offset == 0xffffffff || bytes == 0xffffffff) {
    throw Error(path + ": ZIP64 archives (4 GiB, 65,535 members or more) are not supported");
  }
  if (Load16(archive, record + 4) != 0 || Load16(archive, record + 8) != directory.count) {
    throw Error(path + ": multi-volume ZIP archives are not supported");
  }
  // PyTorch writes ZIP64 records into small files, too; the numbers are in both.
  if (record >= kEndRecord64Bytes &&
      Load32(archive, record - kEndRecord64Bytes) == kEndRecord64Magic) {
    directory.end -= kEndRecord64Bytes;
  }
  if (directory.offset > directory.end || directory.end - directory.offset != bytes) {
    throw Error(path + ": the ZIP central directory (" + Text(bytes) + " bytes at offset " +
                Text(directory.offset) + ") does not end at its end record, offset " +
                Text(directory.end));
  }
  return directory;
}

std::vector<std::uint8_t> Inflate(const std::string& where, const ZipMember& member) {
  if (member.uncompressed_bytes > member.compressed.size() * kMaxDeflateRatio) {
    throw Error(where + Text(member.uncompressed_bytes) + " bytes cannot come from " +
                Text(member.compressed.size()) + " deflated ones");
  }
  // One spare byte: output beyond the promised size shows as avail_out == 0.
  std::vector<std::uint8_t> bytes(member.uncompressed_bytes + 1);
  z_stream stream{};
  const int started = inflateInit2(&stream, -MAX_WBITS);
  if (started == Z_MEM_ERROR) throw std::bad_alloc();
  if (started != Z_OK) throw Error(where + "zlib does not start");
  // Both sizes are below 4 GiB (no ZIP64), so they fit zlib's 32-bit counters.
  stream.next_in = const_cast<Bytef*>(member.compressed.data());
  stream.avail_in = static_cast<uInt>(member.compressed.size());
  stream.next_out = bytes.data();
  stream.avail_out =
      static_cast<uInt>(std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max()));
  const int status = inflate(&stream, Z_FINISH);
  const std::size_t produced = stream.total_out;
  inflateEnd(&stream);
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  if (status != Z_STREAM_END || produced != member.uncompressed_bytes) {
    throw Error(where + "damaged deflate stream: " + Text(produced) + " bytes, expected " +
                Text(member.uncompressed_bytes));
  }
  bytes.resize(member.uncompressed_bytes);
  return bytes;
}

// The header's Python literal, of which numpy writes one form:
// {'descr': '<f4', 'fortran_order': False, 'shape': (6, 1, 5, 5), }
class NpyHeader {
 public:
  NpyHeader(std::string where, std::string_view text) : where_(std::move(where)), text_(text) {}

  void Parse() {
    Expect('{');
    while (!Accept('}')) {
      const std::string_view key = String();
      Expect(':');
      if (key == "descr") {
        Once(&has_descr_, key);
        descr = String();
      } else if (key == "fortran_order") {
        Once(&has_order_, key);
        fortran_order = Boolean();
      } else if (key == "shape") {
        Once(&has_shape_, key);
        Shape();
      } else {
        Fail("has an unknown key '" + std::string(key) + "'");
      }
      if (!Accept(',')) {
        Expect('}');
        break;
      }
    }
    SkipSpace();
    if (at_ != text_.size()) Fail("goes on after its dictionary");
    if (!has_descr_ || !has_order_ || !has_shape_) {
      Fail("lacks one of descr, fortran_order, shape");
    }
  }

  std::string_view descr;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(where_ + "the .npy header " + what + ": " + std::string(text_.substr(0, 120)));
  }
  void Once(bool* seen, std::string_view key) const {
    if (*seen) Fail("repeats '" + std::string(key) + "'");
    *seen = true;
  }
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool Accept(char c) {
    SkipSpace();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Expect(char c) {
    if (!Accept(c)) {
      Fail("has no '" + std::string(1, c) + "' at character " + std::to_string(at_));
    }
  }
  std::string_view String() {
    SkipSpace();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    const std::size_t end =
        quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string_view::npos;
    if (quote == '[') Fail("is that of a structured array, expected one of plain numbers");
    if (end == std::string_view::npos) {
      Fail("has no string at character " + std::to_string(at_));
    }
    const std::string_view string = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return string;
  }
  bool Boolean() {
    SkipSpace();
    const std::string_view rest = text_.substr(at_);
    const bool value = rest.starts_with("True");
    if (!value && !rest.starts_with("False")) {
      Fail("has no True or False at character " + std::to_string(at_));
    }
    at_ += value ? 4 : 5;
    return value;
  }
  void Shape() {
    Expect('(');
    while (!Accept(')')) {
      SkipSpace();
      std::uint64_t dim = 0;
      const auto [end, code] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), dim);
      if (code != std::errc()) Fail("has no dimension at character " + std::to_string(at_));
      at_ = static_cast<std::size_t>(end - text_.data());
      shape.push_back(dim);
      if (shape.size() > kMaxRank) Fail("has more than 32 dimensions");
      if (!Accept(',')) {
        Expect(')');
        break;
      }
    }
  }

  std::string where_;
  std::string_view text_;
  std::size_t at_ = 0;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

// Fortran order (first index fastest) to C order (last index fastest).
std::vector<float> ToCOrder(const std::vector<float>& fortran,
                            const std::vector<std::size_t>& shape) {
  std::vector<float> values(fortran.size());
  std::vector<std::size_t> index(shape.size(), 0);
  for (float& value : values) {
    std::size_t at = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) at = at * shape[axis] + index[axis];
    value = fortran[at];
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
  return values;
}

// numpy's name of an element's type, "<f4": byte order, kind, bytes.
struct ElementType {
  bool big_endian = false;
  char kind = 0;          // f, i, u, b; 0: not read
  std::size_t bytes = 0;  // 1, 2, 4 or 8
};

ElementType ParseType(std::string_view descr, NpyElements elements) {
  if (descr.size() != 3) return {};
  const char order = descr[0], kind = descr[1];
  const auto bytes = static_cast<std::size_t>(descr[2] - '0');
  const bool is_byte = kind != 'f' && bytes == 1;
  if (is_byte ? order != '|' : order != '<' && order != '>') return {};
  if (!is_byte && bytes != 2 && bytes != 4 && bytes != 8) return {};
  const bool is_integer = kind == 'i' || kind == 'u' || (kind == 'b' && bytes == 1);
  if (kind != 'f' && (!is_integer || elements == NpyElements::kFloats)) return {};
  return {.big_endian = order == '>', .kind = kind, .bytes = bytes};
}

template <typename Unsigned>
std::vector<float> LoadIntegers(std::span<const std::uint8_t> bytes, const ElementType& type) {
  const bool is_signed = type.kind == 'i';
  std::vector<float> values;
  values.reserve(bytes.size() / sizeof(Unsigned));
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Unsigned)) {
    std::uint8_t stored[sizeof(Unsigned)];
    std::copy_n(bytes.data() + at, sizeof(Unsigned), stored);
    if (type.big_endian) std::reverse(stored, stored + sizeof(Unsigned));
    const auto bits = LoadLittleEndian<Unsigned>(stored);
    values.push_back(is_signed ? static_cast<float>(static_cast<std::make_signed_t<Unsigned>>(bits))
                               : static_cast<float>(bits));
  }
  return values;
}

std::vector<float> LoadElements(const ElementType& type, std::span<const std::uint8_t> bytes) {
  if (type.kind == 'f') {
    return LoadFloats(bytes,
                      type.bytes == 2   ? FloatFormat::kFloat16
                      : type.bytes == 4 ? FloatFormat::kFloat32
                                        : FloatFormat::kFloat64,
                      type.big_endian);
  }
  switch (type.bytes) {
    case 1:
      return LoadIntegers<std::uint8_t>(bytes, type);
    case 2:
      return LoadIntegers<std::uint16_t>(bytes, type);
    case 4:
      return LoadIntegers<std::uint32_t>(bytes, type);
    default:
      return LoadIntegers<std::uint64_t>(bytes, type);
  }
}

}  // namespace

std::vector<ZipMember> ReadZipDirectory(const std::string& path,
                                        std::span<const std::uint8_t> archive) {
  const Directory directory = LocateDirectory(path, archive);
  std::vector<ZipMember> members;
  std::size_t at = directory.offset, compressed_total = 0;
  for (std::size_t i = 0; i < directory.count; ++i) {
    if (directory.end - at < kDirectoryEntryBytes || Load32(archive, at) != kDirectoryMagic) {
      throw Error(path + ": entry " + Text(i) + " of the ZIP central directory is damaged");
    }
    const std::size_t name_bytes = Load16(archive, at + 28);
    const std::size_t entry_bytes =
        kDirectoryEntryBytes + name_bytes + Load16(archive, at + 30) + Load16(archive, at + 32);
    if (directory.end - at < entry_bytes) {
      throw Error(path + ": entry " + Text(i) + " runs past the ZIP central directory");
    }
    ZipMember member;
    member.name.assign(reinterpret_cast<const char*>(archive.data()) + at + kDirectoryEntryBytes,
                       name_bytes);
    const std::string where = path + ": \"" + member.name + "\": ";
    member.method = Load16(archive, at + 10);
    member.crc32 = Load32(archive, at + 16);
    const std::uint32_t compressed_bytes = Load32(archive, at + 20);
    const std::uint32_t uncompressed_bytes = Load32(archive, at + 24);
    const std::uint32_t local = Load32(archive, at + 42);
    if ((Load16(archive, at + 8) & 1) != 0) throw Error(where + "the member is encrypted");
    if (compressed_bytes == 0xffffffff || uncompressed_bytes == 0xffffffff || local == 0xffffffff) {
      throw Error(where + "ZIP64 members (4 GiB and more) are not supported");
    }
    member.uncompressed_bytes = uncompressed_bytes;
    member.compressed = MemberData(where, archive, local, compressed_bytes);
    // Members that share bytes would let a small file ask for unbounded work.
    compressed_total += compressed_bytes;
    if (compressed_total > archive.size()) throw Error(path + ": ZIP members overlap");
    members.push_back(std::move(member));
    at += entry_bytes;
  }
  if (at != directory.end) {
    throw Error(path + ": the ZIP central directory holds more than its " + Text(directory.count) +
                " entries");
  }
  return members;
}

std::vector<std::uint8_t> ExtractMember(const std::string& where, const ZipMember& member) {
  std::vector<std::uint8_t> bytes;
  if (member.method == 0) {
    if (member.uncompressed_bytes != member.compressed.size()) {
      throw Error(where + "stored as " + Text(member.compressed.size()) + " bytes, expected " +
                  Text(member.uncompressed_bytes));
    }
    bytes.assign(member.compressed.begin(), member.compressed.end());
  } else if (member.method == 8) {
    bytes = Inflate(where, member);
  } else {
    throw Error(where + "ZIP compression method " + Text(member.method) +
                " is not supported (0 stored, 8 deflated are)");
  }
  const std::uint32_t crc =
      static_cast<std::uint32_t>(crc32_z(crc32_z(0, nullptr, 0), bytes.data(), bytes.size()));
  if (crc != member.crc32) throw Error(where + "the CRC-32 does not match; the file is damaged");
  return bytes;
}

NpyArray ReadNpy(const std::string& where, std::span<const std::uint8_t> bytes,
                 NpyElements elements) {
  static constexpr std::uint8_t kMagic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
  if (bytes.size() < 10 || !std::equal(std::begin(kMagic), std::end(kMagic), bytes.begin())) {
    throw Error(where + "not a .npy array: starts with " + DescribeStart(bytes) +
                ", expected 93 4e 55 4d 50 59");
  }
  const unsigned major = bytes[6];
  if (major != 1 && major != 2) {
    throw Error(where + ".npy format " + Text(major) + "." + Text(bytes[7]) +
                " is not supported (1.0 and 2.0 are)");
  }
  const std::size_t prefix = major == 1 ? 10 : 12;
  const std::uint64_t header_bytes =
      major == 1 ? Load16(bytes, 8) : (bytes.size() < 12 ? 0 : Load32(bytes, 8));
  if (bytes.size() < prefix || bytes.size() - prefix < header_bytes) {
    throw Error(where + "the .npy header of " + Text(header_bytes) +
                " bytes runs past the end of the array's " + Text(bytes.size()));
  }
  NpyHeader header(where, std::string_view(reinterpret_cast<const char*>(bytes.data()) + prefix,
                                           static_cast<std::size_t>(header_bytes)));
  header.Parse();
  const ElementType type = ParseType(header.descr, elements);
  if (type.kind == 0) {
    throw Error(where + "element type '" + std::string(header.descr) +
                "' is not supported (float16, float32 and float64" +
                (elements == NpyElements::kNumbers ? ", integers and truth values" : "") + " are)");
  }
  const std::span<const std::uint8_t> data = bytes.subspan(prefix + header_bytes);
  std::size_t count = 0;
  if (!CheckedProduct(header.shape, kMaxElements, &count) || count * type.bytes != data.size()) {
    throw Error(where + "the shape and element type do not match the " + Text(data.size()) +
                " bytes of data");
  }
  NpyArray array{.shape = {header.shape.begin(), header.shape.end()},
                 .values = LoadElements(type, data),
                 .is_bytes = header.descr == "|u1"};
  if (header.fortran_order) array.values = ToCOrder(array.values, array.shape);
  return array;
}

}  // namespace mu8::host
