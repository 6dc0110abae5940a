// PNG and JPEG images, alone or in folders. Sizes are read first, so that every image that does
// not fit is listed before anything is decoded; pixels are appended only after their image decoded.
#include "converters/host/images.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/jpeg_scans.h"
#include "converters/host/jpeg_segments.h"
#include "converters/host/jpeg_tables.h"
#include "converters/host/png_chunks.h"
#include "converters/host/stb_image.h"
#include "converters/host/words.h"

namespace mu8::host {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxPixelBytes = std::size_t{4} << 30;  // of a whole folder, as a file's
constexpr std::size_t kMaxImageFileBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxProblems = 10;  // listed; the rest is counted

int StbLength(std::span<const std::uint8_t> bytes) {
  return static_cast<int>(std::min<std::size_t>(
      bytes.size(), static_cast<std::size_t>(std::numeric_limits<int>::max())));
}

constexpr const char* kNotAnImage = "not a PNG or JPEG image";

// Why a file must not be given to the decoder; empty when it may.
std::string WhyNotDecoded(std::span<const std::uint8_t> bytes) {
  if (IsPng(bytes)) return WhyBadPng(bytes);
  if (!IsJpeg(bytes)) return kNotAnImage;
  const std::string bad = WhyBadJpegTables(bytes);
  return bad.empty() ? WhyBadJpegScans(bytes) : "damaged JPEG image: " + bad;
}

std::size_t PixelCount(const ImageSize& size) {
  return static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
}

// The most that an image's data may unpack to: room for coefficients and 16-bit samples of padded
// blocks, rows in transit and tables.
std::size_t MostBytes(const ImageSize& size) {
  return (std::size_t{1} << 20) +
         std::size_t{32} * PixelCount({size.height + 64, size.width + 64, 0});
}

[[noreturn]] void FailFarLarger(const std::string& path, const ImageSize& size) {
  throw Error(path + ": cannot decode image: its data are far larger than " +
              std::to_string(size.height) + " x " + std::to_string(size.width) + " pixels");
}

using Pixels = std::unique_ptr<stbi_uc, void (*)(void*)>;

// The pixels in that many channels, or nothing and stb_image's reason in `why`.
Pixels Decode(const std::string& path, std::span<const std::uint8_t> bytes,
              const ImageSize& expected, int channels, std::string* why) {
  const StbMemoryLimit limit(MostBytes(expected));
  ImageSize found;
  Pixels pixels(stbi_load_from_memory(bytes.data(), StbLength(bytes), &found.width, &found.height,
                                      &found.channels, channels),
                &stbi_image_free);
  if (!pixels) {
    const char* const reason = stbi_failure_reason();
    if (limit.reached()) FailFarLarger(path, expected);
    if (limit.out_of_memory()) throw std::bad_alloc();
    *why = reason == nullptr ? "damaged" : reason;
  } else if (found.width != expected.width || found.height != expected.height) {
    throw Error(path + ": changed while it was read");
  }
  return pixels;
}

// Throws Error for a pixel whose colour the palette does not have.
void CheckPalette(const std::string& path, std::span<const std::uint8_t> bytes,
                  const ImageSize& size) {
  const std::optional<PaletteIndices> palette = FindShortPalette(bytes);
  if (!palette) return;
  std::string why;
  const Pixels grey = Decode(path, palette->as_grey, size, 1, &why);
  if (!grey) throw Error(path + ": cannot decode image: " + why);
  const std::size_t last =
      *std::max_element(grey.get(), grey.get() + PixelCount(size)) / palette->scale;
  if (last < palette->entries) return;
  throw Error(path + ": damaged PNG image: a pixel has colour " + std::to_string(last) +
              ", its palette (PLTE) has only 0 to " + std::to_string(palette->entries - 1));
}

// Throws Error for PNG pixels that are not all there, and colours that are not.
void CheckPngPixels(const std::string& path, std::span<const std::uint8_t> bytes,
                    const ImageSize& size) {
  bool too_many = false;
  const std::string why = WhyBadPngPixels(bytes, MostBytes(size), &too_many);
  if (too_many) FailFarLarger(path, size);
  if (!why.empty()) throw Error(path + ": damaged PNG image: " + why);
  CheckPalette(path, bytes, size);
}

// Throws Error for a JPEG file whose pixels depend on what comes behind its data.
void CheckJpegPixels(const std::string& path, std::span<const std::uint8_t> bytes,
                     const ImageSize& size, int channels, const Pixels& pixels) {
  std::string why;
  const Pixels padded = Decode(path, PadJpegScans(bytes), size, channels, &why);
  const std::size_t count = PixelCount(size) * static_cast<std::size_t>(channels);
  if (padded && std::equal(pixels.get(), pixels.get() + count, padded.get())) return;
  throw Error(path + ": damaged JPEG image: a scan's data end before the image does");
}

// Appends the decoded image to `out`.
void DecodeImage(const std::string& path, const std::vector<std::uint8_t>& bytes,
                 const ImageSize& expected, int channels, std::vector<std::uint8_t>* out) {
  std::string why = WhyNotDecoded(bytes);
  if (!why.empty()) throw Error(path + ": " + why);
  if (IsPng(bytes)) CheckPngPixels(path, bytes, expected);
  const Pixels pixels = Decode(path, bytes, expected, channels, &why);
  if (!pixels) throw Error(path + ": cannot decode image: " + why);
  if (IsJpeg(bytes)) CheckJpegPixels(path, bytes, expected, channels, pixels);
  out->insert(out->end(), pixels.get(),
              pixels.get() + PixelCount(expected) * static_cast<std::size_t>(channels));
}

struct LabelledFile {
  fs::path path;
  int label = -1;  // the class's position, -1 in a flat folder
};

bool HasImageName(const fs::path& path) {
  const std::string extension = ToLower(path.extension().string());
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

struct FolderEntries {
  std::vector<fs::path> folders, images;  // sorted by name; hidden entries left out
};

FolderEntries ListFolder(const fs::path& folder) {
  FolderEntries entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with('.')) continue;
    if (entry.is_directory()) {
      entries.folders.push_back(entry.path());
    } else if (HasImageName(entry.path())) {
      entries.images.push_back(entry.path());
    }
  }
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.images.begin(), entries.images.end());
  return entries;
}

// The images in the order of datasets.h: the classes take turns.
std::vector<LabelledFile> ListImages(const std::string& path, std::vector<std::string>* names) {
  const FolderEntries top = ListFolder(path);
  std::vector<LabelledFile> files;
  if (top.folders.empty()) {
    for (const fs::path& image : top.images) files.push_back({image, -1});
    return files;
  }
  if (!top.images.empty()) {
    throw Error(top.images.front().string() +
                ": image beside class folders, expected either images or class folders in " + path);
  }
  std::vector<std::vector<fs::path>> classes;
  std::size_t longest = 0;
  for (const fs::path& folder : top.folders) {
    names->push_back(folder.filename().string());
    classes.push_back(ListFolder(folder).images);
    longest = std::max(longest, classes.back().size());
  }
  for (std::size_t turn = 0; turn < longest; ++turn) {
    for (std::size_t label = 0; label < classes.size(); ++label) {
      if (turn >= classes[label].size()) continue;
      files.push_back({classes[label][turn], static_cast<int>(label)});
    }
  }
  return files;
}

// The one size of all images, three channels if any has colour: every image that does not fit is
// listed before anything is decoded.
ImageSize CommonShape(const std::vector<LabelledFile>& files) {
  ImageSize common;
  std::vector<std::string> problems;
  std::size_t problem_count = 0;
  const auto report = [&](const LabelledFile& file, const std::string& what) {
    if (++problem_count <= kMaxProblems) problems.push_back(file.path.string() + ": " + what);
  };
  for (const LabelledFile& file : files) {
    std::string why;
    const auto shape =
        FindImageSize(ReadUnpackedFile(file.path.string(), kMaxImageFileBytes), &why);
    if (!shape) {
      report(file, why);
      continue;
    }
    if (common.width == 0) common = {shape->height, shape->width, 1};
    if (shape->channels >= 3) common.channels = 3;  // 2 is grey with alpha
    if (shape->width != common.width || shape->height != common.height) {
      report(file, "image is " + std::to_string(shape->width) + " x " +
                       std::to_string(shape->height) + " (width x height), expected " +
                       std::to_string(common.width) + " x " + std::to_string(common.height) +
                       " as the first image");
    }
  }
  if (problem_count > kMaxProblems) {
    problems.push_back("... and " + std::to_string(problem_count - kMaxProblems) + " more");
  }
  if (!problems.empty()) throw Error(std::move(problems));
  return common;
}

}  // namespace

std::optional<ImageSize> FindImageSize(std::span<const std::uint8_t> bytes, std::string* why) {
  *why = WhyNotDecoded(bytes);
  if (!why->empty()) return std::nullopt;
  ImageSize size;
  if (stbi_info_from_memory(bytes.data(), StbLength(bytes), &size.width, &size.height,
                            &size.channels) == 0) {
    *why = std::string("damaged image: ") + stbi_failure_reason();
    return std::nullopt;
  }
  return size;
}

Dataset LoadImageFolder(const std::string& path, std::size_t limit, const ImageSize& wanted) {
  Dataset set;
  std::vector<LabelledFile> files;
  try {
    files = ListImages(path, &set.label_names);
  } catch (const fs::filesystem_error& error) {
    throw Error(path + ": cannot list: " + error.code().message());
  }
  if (files.empty()) throw Error(path + ": holds no images, expected .png, .jpg or .jpeg files");
  if (files.size() > limit) files.resize(limit);
  const ImageSize found = CommonShape(files), shape = WithColour(found, wanted);
  if (shape.channels != found.channels) set.notices.push_back(ColourNotice(path, found));
  CheckImageSize(path, found, wanted);
  set.height = shape.height;
  set.width = shape.width;
  set.channels = shape.channels;
  set.count = files.size();
  if (set.count > kMaxPixelBytes / set.image_size()) {
    throw Error(path + ": " + std::to_string(set.count) + " images of " +
                std::to_string(set.image_size()) + " bytes are more than the limit of 4 GiB");
  }
  for (const LabelledFile& file : files) {
    const std::string name = file.path.string();
    DecodeImage(name, ReadUnpackedFile(name, kMaxImageFileBytes), shape, shape.channels,
                &set.pixels);
    if (file.label >= 0) set.labels.push_back(file.label);
  }
  return set;
}

Dataset LoadImageFile(const std::string& path, const ImageSize& wanted) {
  const std::vector<std::uint8_t> bytes = ReadUnpackedFile(path, kMaxImageFileBytes);
  std::string why;
  const std::optional<ImageSize> shape = FindImageSize(bytes, &why);
  if (!shape && why == kNotAnImage) {
    why += " (name an entry of an IDX or CIFAR-10 file by " + path + "#0)";
  }
  if (!shape) throw Error(path + ": " + why);
  CheckImageSize(path, {shape->height, shape->width, 0}, {wanted.height, wanted.width, 0});
  Dataset set;
  set.height = shape->height;
  set.width = shape->width;
  set.channels = wanted.channels;
  set.count = 1;
  DecodeImage(path, bytes, *shape, wanted.channels, &set.pixels);
  return set;
}

}  // namespace mu8::host
