// Plain, gzip and xz files, told apart by their first bytes. When something is decompressed the
// output grows with what really came out, never with a size that a header claims.
#include "converters/host/files.h"

#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <system_error>

#include "converters/host/error.h"
#include "converters/host/files_read.h"

namespace mu8::host {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{4} << 30;  // after decompression
constexpr std::size_t kChunkBytes = std::size_t{256} << 10;
// What decoding may allocate besides the output; `xz -9` needs 65 MiB.
constexpr std::uint64_t kXzMemoryBytes = std::uint64_t{256} << 20;

constexpr std::string_view kLfsMagic = "version https://git-lfs";
constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kXzMagic(
    "\xfd"
    "7zXZ\0",
    6);

// A regular file, open for reading.
class File {
 public:
  File(const std::string& path, const std::string& expected)
      : path_(path), file_(nullptr, &std::fclose) {
    std::error_code problem;
    const std::filesystem::file_status status = std::filesystem::status(path, problem);
    if (!std::filesystem::exists(status)) {
      throw Error(path + ": no such file, expected " + expected);
    }
    if (std::filesystem::is_directory(status)) {
      throw Error(path + ": is a folder, expected " + expected);
    }
    if (!std::filesystem::is_regular_file(status)) {
      throw Error(path + ": not a regular file, expected " + expected);
    }
    bytes_ = std::filesystem::file_size(path, problem);
    if (problem) throw Error(path + ": cannot be read: " + problem.message());
    file_.reset(std::fopen(path.c_str(), "rb"));
    if (!file_) throw Error(path + ": cannot be read: " + std::strerror(errno));
    NoteFileRead(path, ::fileno(file_.get()));
  }

  // Fewer bytes than asked for: the end of the file.
  std::size_t Read(void* data, std::size_t bytes) {
    const std::size_t read = std::fread(data, 1, bytes, file_.get());
    if (std::ferror(file_.get()) != 0) {
      throw Error(path_ + ": cannot be read: " + std::strerror(errno));
    }
    return read;
  }

  std::uintmax_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::uintmax_t bytes_ = 0;
};

// The "size N" line of a Git LFS pointer; empty when there is none.
std::string LfsSize(std::string_view pointer) {
  const std::size_t at = pointer.find("\nsize ");
  if (at == std::string_view::npos) return {};
  const std::string_view rest = pointer.substr(at + 6);
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

void RefuseLfsPointer(const std::string& path, std::string_view start) {
  if (!start.starts_with(kLfsMagic)) return;
  const std::string content_bytes = LfsSize(start.substr(0, 1024));
  throw Error(path + ": is a Git LFS pointer, not the file " +
              (content_bytes.empty() ? "" : "of " + content_bytes + " bytes ") +
              "it stands for; run \"git lfs pull\"");
}

// The whole file into what `allocate`(bytes) gives: a container with data() and size().
template <typename Allocate>
auto ReadWhole(const std::string& path, const std::string& expected, std::size_t limit_bytes,
               const Allocate& allocate) {
  File file(path, expected);
  if (file.bytes() == 0) throw Error(path + ": the file is empty, expected " + expected);
  if (file.bytes() > limit_bytes) {
    throw Error(path + ": has " + std::to_string(file.bytes()) + " bytes, expected " + expected +
                " of at most " + std::to_string(limit_bytes));
  }
  auto buffer = allocate(static_cast<std::size_t>(file.bytes()));
  const std::size_t read = file.Read(buffer.data(), buffer.size());
  if (read != buffer.size()) {
    throw Error(path + ": read " + std::to_string(read) + " of " + std::to_string(file.bytes()) +
                " bytes; the file changed or the disk failed");
  }
  RefuseLfsPointer(path, {reinterpret_cast<const char*>(buffer.data()), buffer.size()});
  return buffer;
}

// The stored bytes of a file, one chunk after the other.
class Source {
 public:
  explicit Source(const std::string& path) : file_(path, "a data file") { Next(); }

  // Replaces the chunk; it is empty at the end of the file.
  void Next() { size_ = file_.Read(buffer_.data(), buffer_.size()); }

  std::span<std::uint8_t> chunk() { return std::span(buffer_).first(size_); }
  std::string_view text() const { return {reinterpret_cast<const char*>(buffer_.data()), size_}; }
  const std::string& path() const { return file_.path(); }
  std::uintmax_t bytes() const { return file_.bytes(); }

 private:
  File file_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kChunkBytes);
  std::size_t size_ = 0;
};

// The decompressed bytes: `limit` of them end the reading, kMaxFileBytes are an error.
class Sink {
 public:
  Sink(const std::string& path, std::size_t limit) : path_(path), limit_(limit) {}

  bool full() const { return used_ == limit_; }

  // For so many bytes and the last room, so that growing does not copy what is there.
  void Reserve(std::uintmax_t bytes) {
    bytes_.reserve(static_cast<std::size_t>(std::min<std::uintmax_t>(bytes, limit_)) + kChunkBytes);
  }

  // Room for more output, at least one byte; call Commit with what was written there.
  std::span<std::uint8_t> Room() {
    if (used_ == kMaxFileBytes)
      throw Error(path_ + ": reaches the limit of 4 GiB when decompressed");
    const std::size_t bytes = std::min({kChunkBytes, limit_ - used_, kMaxFileBytes - used_});
    bytes_.resize(used_ + bytes);
    return std::span(bytes_).subspan(used_);
  }

  void Commit(std::size_t bytes) { used_ += bytes; }

  std::vector<std::uint8_t> Take() {
    bytes_.resize(used_);
    return std::move(bytes_);
  }

 private:
  std::string path_;
  std::size_t limit_;
  std::size_t used_ = 0;
  std::vector<std::uint8_t> bytes_;
};

std::string Truncated(const std::string& path, const char* format) {
  return path + ": truncated: the file ends inside its " + format + " data";
}

void ReadPlain(Source* source, Sink* sink) {
  sink->Reserve(std::min<std::uintmax_t>(source->bytes(), kMaxFileBytes));
  for (; !source->chunk().empty(); source->Next()) {
    std::span<const std::uint8_t> rest = source->chunk();
    while (!rest.empty()) {
      if (sink->full()) return;
      const std::span<std::uint8_t> room = sink->Room();
      const std::size_t bytes = std::min(room.size(), rest.size());
      std::memcpy(room.data(), rest.data(), bytes);
      sink->Commit(bytes);
      rest = rest.subspan(bytes);
    }
  }
}

void ReadGzip(Source* source, Sink* sink) {
  z_stream stream{};
  constexpr int kGzipOnly = 16;
  const int started = inflateInit2(&stream, MAX_WBITS + kGzipOnly);
  if (started == Z_MEM_ERROR) throw std::bad_alloc();
  if (started != Z_OK) throw Error("zlib: cannot start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, &inflateEnd);

  bool member_complete = false;  // a .gz file may hold several members, one after the other
  stream.next_in = source->chunk().data();
  stream.avail_in = static_cast<uInt>(source->chunk().size());
  while (!sink->full()) {
    if (stream.avail_in == 0) {
      source->Next();
      stream.next_in = source->chunk().data();
      stream.avail_in = static_cast<uInt>(source->chunk().size());
      if (stream.avail_in == 0 && member_complete) return;
    }
    if (member_complete) inflateReset(&stream);
    const std::span<std::uint8_t> room = sink->Room();
    stream.next_out = room.data();
    stream.avail_out = static_cast<uInt>(room.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    sink->Commit(room.size() - stream.avail_out);
    member_complete = result == Z_STREAM_END;
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result == Z_BUF_ERROR) throw Error(Truncated(source->path(), "gzip"));
    if (result != Z_OK && result != Z_STREAM_END) {
      throw Error(source->path() +
                  ": damaged gzip data: " + (stream.msg != nullptr ? stream.msg : zError(result)));
    }
  }
}

std::string XzProblem(const std::string& path, lzma_ret result) {
  switch (result) {
    case LZMA_BUF_ERROR:
      return Truncated(path, "xz");
    case LZMA_MEMLIMIT_ERROR:
      return path + ": decompressing needs more than 256 MiB; compress with xz -9 or less";
    case LZMA_FORMAT_ERROR:
      return path + ": damaged xz data: other bytes follow the end of a stream";
    default:
      return path + ": damaged xz data (liblzma error " + std::to_string(result) + ")";
  }
}

void ReadXz(Source* source, Sink* sink) {
  lzma_stream stream = LZMA_STREAM_INIT;
  const lzma_ret started = lzma_stream_decoder(&stream, kXzMemoryBytes, LZMA_CONCATENATED);
  if (started == LZMA_MEM_ERROR) throw std::bad_alloc();
  if (started != LZMA_OK) throw Error("liblzma: cannot start");
  const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> guard(&stream, &lzma_end);

  stream.next_in = source->chunk().data();
  stream.avail_in = source->chunk().size();
  while (!sink->full()) {
    if (stream.avail_in == 0) {
      source->Next();
      stream.next_in = source->chunk().data();
      stream.avail_in = source->chunk().size();
    }
    const std::span<std::uint8_t> room = sink->Room();
    stream.next_out = room.data();
    stream.avail_out = room.size();
    const lzma_ret result = lzma_code(&stream, source->chunk().empty() ? LZMA_FINISH : LZMA_RUN);
    sink->Commit(room.size() - stream.avail_out);
    if (result == LZMA_STREAM_END) return;
    if (result == LZMA_MEM_ERROR) throw std::bad_alloc();
    if (result != LZMA_OK) throw Error(XzProblem(source->path(), result));
  }
}

}  // namespace

std::vector<std::uint8_t> ReadRawFile(const std::string& path, const std::string& expected,
                                      std::size_t limit_bytes) {
  return ReadWhole(path, expected, limit_bytes,
                   [](std::size_t bytes) { return std::vector<std::uint8_t>(bytes); });
}

AlignedBuffer ReadAlignedFile(const std::string& path, const std::string& expected,
                              std::size_t limit_bytes) {
  return ReadWhole(path, expected, limit_bytes,
                   [](std::size_t bytes) { return AlignedBuffer(bytes); });
}

std::string ReadTextFile(const std::string& path, const std::string& expected,
                         std::size_t limit_bytes) {
  return ReadWhole(path, expected, limit_bytes,
                   [](std::size_t bytes) { return std::string(bytes, '\0'); });
}

std::vector<std::uint8_t> ReadUnpackedFile(const std::string& path, std::size_t max_bytes) {
  Source source(path);
  RefuseLfsPointer(path, source.text());
  Sink sink(path, max_bytes);
  if (source.text().starts_with(kGzipMagic)) {
    ReadGzip(&source, &sink);
  } else if (source.text().starts_with(kXzMagic)) {
    ReadXz(&source, &sink);
  } else {
    ReadPlain(&source, &sink);
  }
  return sink.Take();
}

}  // namespace mu8::host
