// IDX and CIFAR-10 files, and the choice between all kinds of data sets. The input is untrusted:
// every size is checked before it is used, and memory follows what was really read.
// Reading and decompressing is in files.cpp, PNG and JPEG images are in images.cpp.
#include "converters/host/datasets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/images.h"
#include "converters/host/number_files.h"
#include "converters/host/shape_text.h"

namespace mu8::host {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kMaxPixelBytes = std::size_t{4} << 30;  // as file.cpp's limit

// ---- IDX: big-endian magic, one 32-bit size per dimension, then the bytes ----

constexpr std::uint32_t kIdxLabels = 0x00000801;    // [count]
constexpr std::uint32_t kIdxGrey = 0x00000803;      // [count][height][width]
constexpr std::uint32_t kIdxChannels = 0x00000804;  // [count][height][width][channels]
constexpr std::uint32_t kMaxImageSide = 65535;

struct IdxHeader {
  std::size_t bytes;  // of the header itself
  std::size_t count;
  std::uint32_t height, width, channels;

  std::uint64_t image_bytes() const { return std::uint64_t{height} * width * channels; }
};

std::uint32_t BigEndian32(std::span<const std::uint8_t> bytes) {
  return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) |
         (std::uint32_t{bytes[2]} << 8) | std::uint32_t{bytes[3]};
}

std::string Hex(std::uint32_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[(value >> shift) & 15];
  return text;
}

// Nothing when this is no IDX image file. A CIFAR-10 record may begin with an IDX magic (label 0,
// dark pixels); the sizes that would follow are then absurd.
std::optional<IdxHeader> ParseIdxHeader(std::span<const std::uint8_t> start) {
  if (start.size() < 16) return std::nullopt;
  const std::uint32_t magic = BigEndian32(start);
  if (magic != kIdxGrey && magic != kIdxChannels) return std::nullopt;
  if (magic == kIdxChannels && start.size() < 20) return std::nullopt;
  IdxHeader header{.bytes = 16,
                   .count = BigEndian32(start.subspan(4)),
                   .height = BigEndian32(start.subspan(8)),
                   .width = BigEndian32(start.subspan(12)),
                   .channels = 1};
  if (magic == kIdxChannels) {
    header.bytes = 20;
    header.channels = BigEndian32(start.subspan(16));
  }
  if (std::max({header.height, header.width, header.channels}) > kMaxImageSide) return std::nullopt;
  return header;
}

// Label bytes look like CIFAR-10 records of black pixels, so a label file is told by its size too.
bool IsIdxLabels(const std::string& path, std::span<const std::uint8_t> start) {
  if (start.size() < 8 || BigEndian32(start) != kIdxLabels) return false;
  const std::size_t expected = std::size_t{8} + BigEndian32(start.subspan(4));
  return ReadUnpackedFile(path, expected + 1).size() == expected;
}

// The label file's path by the naming of MNIST and its kin; empty when there is no such file.
std::string FindIdxLabels(const std::string& images_path) {
  constexpr std::array<std::array<std::string_view, 2>, 4> kNames = {
      {{"images-idx3", "labels-idx1"},
       {"images.idx3", "labels.idx1"},
       {"images-idx4", "labels-idx1"},
       {"images.idx4", "labels.idx1"}}};
  const fs::path path(images_path);
  std::string name = path.filename().string();
  for (const auto& [images, labels] : kNames) {
    const std::size_t at = name.rfind(images);
    if (at == std::string::npos) continue;
    name.replace(at, images.size(), labels);
    const std::string other =
        name.ends_with(".gz") ? name.substr(0, name.size() - 3) : name + ".gz";
    for (const std::string& candidate : {name, other}) {
      const fs::path file = path.parent_path() / candidate;
      std::error_code ignored;
      if (fs::exists(file, ignored)) return file.string();
    }
  }
  return "";
}

std::vector<int> LoadIdxLabels(const std::string& path, std::size_t image_count,
                               std::size_t wanted) {
  constexpr std::size_t kHeaderBytes = 8;
  const std::size_t read_bytes = kHeaderBytes + wanted + (wanted == image_count ? 1 : 0);
  const std::vector<std::uint8_t> bytes = ReadUnpackedFile(path, read_bytes);
  if (bytes.size() < kHeaderBytes) {
    throw Error(path + ": holds " + std::to_string(bytes.size()) + " bytes, expected IDX labels");
  }
  const std::uint32_t magic = BigEndian32(bytes);
  if (magic != kIdxLabels) {
    throw Error(path + ": magic number is " + Hex(magic) + ", expected " + Hex(kIdxLabels) +
                " (IDX labels)");
  }
  const std::size_t label_count = BigEndian32(std::span(bytes).subspan(4));
  if (label_count != image_count) {
    throw Error(path + ": header says " + std::to_string(label_count) + " labels, expected " +
                std::to_string(image_count) + ", one per image");
  }
  if (bytes.size() != kHeaderBytes + wanted) {
    throw Error(path + ": holds " + (bytes.size() < kHeaderBytes + wanted ? "fewer" : "more") +
                " labels than the " + std::to_string(label_count) + " its header says");
  }
  return std::vector<int>(bytes.begin() + kHeaderBytes, bytes.end());
}

Dataset LoadIdx(const std::string& path, const IdxHeader& header, std::size_t limit) {
  if (header.count == 0) throw Error(path + ": holds no images");
  if (header.image_bytes() == 0) {
    throw Error(path + ": images are " + std::to_string(header.height) + " x " +
                std::to_string(header.width) + " x " + std::to_string(header.channels) +
                ", expected at least one pixel");
  }
  const std::size_t count = std::min(limit, header.count);
  if (count > kMaxPixelBytes / header.image_bytes()) {
    throw Error(path + ": header says " + std::to_string(count) + " images of " +
                std::to_string(header.image_bytes()) + " bytes, more than the limit of 4 GiB");
  }
  const std::size_t expected = header.bytes + count * header.image_bytes();
  // One byte more shows whether anything follows the last image.
  const bool whole = count == header.count;
  std::vector<std::uint8_t> bytes = ReadUnpackedFile(path, expected + (whole ? 1 : 0));
  if (bytes.size() < expected) {
    throw Error(path + ": truncated: holds " + std::to_string(bytes.size()) + " bytes, expected " +
                std::to_string(expected) + " for " + std::to_string(count) + " images");
  }
  if (bytes.size() > expected) {
    throw Error(path + ": more bytes follow the " + std::to_string(count) +
                " images that the header says");
  }
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header.bytes));

  Dataset set{.height = static_cast<int>(header.height),
              .width = static_cast<int>(header.width),
              .channels = static_cast<int>(header.channels),
              .count = count,
              .pixels = std::move(bytes)};
  const std::string labels_path = FindIdxLabels(path);
  if (!labels_path.empty()) set.labels = LoadIdxLabels(labels_path, header.count, count);
  return set;
}

// ---- CIFAR-10 binary: records of one label byte, then R, G and B planes of 32 x 32 ----

constexpr std::size_t kCifarPlane = std::size_t{32} * 32;
constexpr std::size_t kCifarRecord = 1 + 3 * kCifarPlane;
constexpr int kCifarClasses = 10;

// What an IDX file holds instead of unsigned bytes; empty: it is none, or of bytes.
std::string OtherIdxType(const std::vector<std::uint8_t>& bytes) {
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0 || bytes[3] < 1 || bytes[3] > 4) return {};
  switch (bytes[2]) {
    case 0x09:
      return "signed bytes";
    case 0x0b:
      return "16-bit integers";
    case 0x0c:
      return "32-bit integers";
    case 0x0d:
      return "32-bit floats";
    case 0x0e:
      return "64-bit floats";
    default:
      return {};
  }
}

Dataset LoadCifar(const std::string& path, std::size_t limit) {
  // A limit spares decompressing the rest. A plain file is read whole all the same: its size is
  // the only sign that it is a CIFAR-10 batch.
  const bool packed = path.ends_with(".gz") || path.ends_with(".xz");
  const bool cut = packed && limit < kMaxPixelBytes / kCifarRecord;
  const std::vector<std::uint8_t> bytes =
      ReadUnpackedFile(path, cut ? limit * kCifarRecord : kNoLimit);
  if (bytes.empty()) throw Error(path + ": is empty, holds no images");
  if (bytes.size() > 1 && bytes[0] == 0x80 && bytes[1] <= 5) {
    throw Error(path +
                ": a Python pickle, as CIFAR's \"python version\" is; expected the binary version "
                "(data_batch_1.bin), or the array in a .npy file (numpy.save)");
  }
  const std::string idx_type = OtherIdxType(bytes);
  if (bytes.size() % kCifarRecord != 0 && !idx_type.empty()) {
    throw Error(path + ": an IDX file of " + idx_type +
                ", expected one of unsigned bytes (type 0x08), or the numbers as a .npy array");
  }
  if (bytes.size() % kCifarRecord != 0) {
    throw Error(path + ": neither an IDX image file (magic number is " +
                (bytes.size() < 4 ? "missing" : Hex(BigEndian32(bytes))) + ", expected " +
                Hex(kIdxGrey) + " or " + Hex(kIdxChannels) + ") nor a CIFAR-10 batch (size is " +
                std::to_string(bytes.size()) + " bytes, expected a multiple of " +
                std::to_string(kCifarRecord) +
                "; a truncated file?); numbers are in .npy, .npz, .csv or .f32 files");
  }
  Dataset set{.height = 32,
              .width = 32,
              .channels = 3,
              .count = std::min(limit, bytes.size() / kCifarRecord),
              .pixels = {}};
  set.pixels.resize(set.count * 3 * kCifarPlane);
  set.labels.reserve(set.count);
  std::uint8_t* pixel = set.pixels.data();
  for (std::size_t i = 0; i < set.count; ++i) {
    const std::uint8_t* record = bytes.data() + i * kCifarRecord;
    if (record[0] >= kCifarClasses) {
      throw Error(path + ": label of record " + std::to_string(i) + " is " +
                  std::to_string(record[0]) + ", expected 0 to 9 (CIFAR-10 binary format)");
    }
    set.labels.push_back(record[0]);
    const std::uint8_t* planes = record + 1;
    for (std::size_t at = 0; at < kCifarPlane; ++at) {
      *pixel++ = planes[at];
      *pixel++ = planes[at + kCifarPlane];
      *pixel++ = planes[at + 2 * kCifarPlane];
    }
  }
  return set;
}

// ---- Single entries ----

// stb_image's conversion between grey and colour.
void ConvertChannels(const std::string& path, int channels, Dataset* set) {
  if (set->channels == channels) return;
  std::vector<std::uint8_t> pixels;
  if (set->channels == 3 && channels == 1) {
    for (std::size_t i = 0; i + 2 < set->pixels.size(); i += 3) {
      const std::uint8_t* rgb = set->pixels.data() + i;
      pixels.push_back(static_cast<std::uint8_t>((rgb[0] * 77 + rgb[1] * 150 + rgb[2] * 29) >> 8));
    }
  } else if (set->channels == 1 && channels == 3) {
    for (const std::uint8_t grey : set->pixels) pixels.insert(pixels.end(), 3, grey);
  } else {
    throw Error(path + ": images have " + std::to_string(set->channels) + " channels, expected " +
                std::to_string(channels));
  }
  set->channels = channels;
  set->pixels = std::move(pixels);
}

void FitColour(const std::string& path, const ImageSize& wanted, Dataset* set) {
  const ImageSize found = {set->height, set->width, set->channels};
  const int channels = WithColour(found, wanted).channels;
  if (channels == set->channels) return;
  set->notices.push_back(ColourNotice(path, found));
  ConvertChannels(path, channels, set);
}

// "FILE#n": entry n of FILE.
Dataset LoadEntry(const std::string& file, std::size_t entry, const ImageSize& wanted) {
  Dataset set = LoadDataset(file, entry + 1, {.size = {wanted.height, wanted.width, 0}});
  if (entry >= set.count) {
    throw Error(file + ": has no entry " + std::to_string(entry) + ", expected 0 to " +
                std::to_string(set.count - 1));
  }
  const auto first = static_cast<std::ptrdiff_t>(entry * set.image_size());
  set.pixels.erase(set.pixels.begin(), set.pixels.begin() + first);
  if (!set.labels.empty()) set.labels = {set.labels[entry]};
  set.count = 1;
  return set;
}

}  // namespace

std::size_t Dataset::image_size() const {
  return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
         static_cast<std::size_t>(channels);
}

std::span<const std::uint8_t> Dataset::Pixels(std::size_t first, std::size_t images) const {
  return std::span(pixels).subspan(first * image_size(), images * image_size());
}

std::span<const float> Dataset::Values(std::size_t first, std::size_t images) const {
  return std::span(values).subspan(first * image_size(), images * image_size());
}

ImageSize WithColour(ImageSize found, const ImageSize& wanted) {
  const auto is_picture = [](int channels) { return channels == 1 || channels == 3; };
  const bool is_flat = wanted.height == 1 && wanted.width == 1;
  if (!is_flat && is_picture(found.channels) && is_picture(wanted.channels)) {
    found.channels = wanted.channels;
  }
  return found;
}

std::string ColourNotice(const std::string& path, const ImageSize& found) {
  return path + (found.channels == 1
                     ? ": its images are grey, the model takes three channels: each is that grey"
                     : ": its images have colours, the model takes one channel: their brightness");
}

void CheckImageSize(const std::string& path, const ImageSize& found, const ImageSize& wanted) {
  const auto fits = [](int have, int want) { return want == 0 || have == want; };
  if (fits(found.height, wanted.height) && fits(found.width, wanted.width) &&
      fits(WithColour(found, wanted).channels, wanted.channels)) {
    return;
  }
  if (wanted.height == 1 && wanted.width == 1 && found.channels == 1 &&
      std::int64_t{found.height} * found.width == wanted.channels) {
    return;  // a picture in the order of a flat input
  }
  if (wanted.channels == 0) {
    throw Error(path + ": the image is " + std::to_string(found.height) + " x " +
                std::to_string(found.width) + ", the model expects " +
                std::to_string(wanted.height) + " x " + std::to_string(wanted.width) +
                " (height x width); images are not resized");
  }
  throw Error(path + ": images are " + ShapeText(found.height, found.width, found.channels) +
              ", the model expects " + ShapeText(wanted.height, wanted.width, wanted.channels) +
              " (height x width x channels)");
}

Dataset LoadDataset(const std::string& path, std::size_t limit, const InputSpec& wanted,
                    const DataOptions& options) {
  constexpr std::size_t kLongestHeader = 20;
  if (limit == 0) throw Error(path + ": 0 images wanted, expected at least 1");
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  if (!is_folder && IsNumberFile(path)) return LoadNumbers(path, limit, wanted, options);
  if (!options.input_layout.empty() || !options.targets.empty() || options.window_step > 0) {
    throw Error(path +
                ": is no file of numbers (.npy, .npz, .csv, .f32): --input-layout, --targets "
                "and --window-step say nothing about it");
  }
  if (is_folder) return LoadImageFolder(path, limit, wanted.size);
  const std::vector<std::uint8_t> start = ReadUnpackedFile(path, kLongestHeader);
  if (const auto header = ParseIdxHeader(start)) {
    const ImageSize found = {static_cast<int>(header->height), static_cast<int>(header->width),
                             static_cast<int>(header->channels)};
    CheckImageSize(path, found, wanted.size);
    Dataset set = LoadIdx(path, *header, limit);
    FitColour(path, wanted.size, &set);
    return set;
  }
  if (IsIdxLabels(path, start)) throw Error(path + ": is an IDX label file, expected the images");
  Dataset set = LoadCifar(path, limit);
  const ImageSize found = {set.height, set.width, set.channels};
  CheckImageSize(path, found, wanted.size);
  FitColour(path, wanted.size, &set);
  return set;
}

std::optional<std::size_t> EntryOf(const std::string& path) {
  const std::size_t hash = path.rfind('#');
  std::error_code ignored;
  if (hash == std::string::npos || fs::exists(path, ignored)) return {};
  std::size_t entry = 0;
  const char* const end = path.data() + path.size();
  const auto [stop, problem] = std::from_chars(path.data() + hash + 1, end, entry);
  if (problem != std::errc() || stop != end || entry == kNoLimit) {
    throw Error(path + ": entry is \"" + path.substr(hash + 1) + "\", expected a number");
  }
  return entry;
}

Dataset LoadImage(const std::string& path, const ImageSize& wanted) {
  const int channels = wanted.channels;
  if (channels != 1 && channels != 3) {
    throw Error(path + ": " + std::to_string(channels) + " channels wanted, expected 1 or 3");
  }
  if (const std::optional<std::size_t> entry = EntryOf(path)) {
    Dataset set = LoadEntry(path.substr(0, path.rfind('#')), *entry, wanted);
    ConvertChannels(path, channels, &set);
    return set;
  }
  return LoadImageFile(path, wanted);
}

}  // namespace mu8::host
