// PNG and JPEG images for LoadDataset and LoadImage (datasets.h says what they accept).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "converters/host/datasets.h"

namespace mu8::host {

// A folder of class folders or of images, at most `limit` images.
Dataset LoadImageFolder(const std::string& path, std::size_t limit, const ImageSize& wanted);

// Height, width and channels that a file's header gives, all of the file in `bytes`; nothing, and
// the reason in `why`, for what is no image that may be decoded.
std::optional<ImageSize> FindImageSize(std::span<const std::uint8_t> bytes, std::string* why);

// One image file, converted to 1 or 3 channels.
Dataset LoadImageFile(const std::string& path, const ImageSize& wanted);

}  // namespace mu8::host
