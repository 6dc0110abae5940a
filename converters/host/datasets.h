// Labelled image sets in their usual files: IDX (MNIST), CIFAR-10 binary batches, class folders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace mu8::host {

struct Dataset {
  int height = 0;
  int width = 0;
  int channels = 0;
  std::size_t count = 0;
  std::vector<std::uint8_t> pixels;      // NHWC, count x height x width x channels
  std::vector<int> labels;               // count, or empty when the set has none
  std::vector<std::string> label_names;  // class folders only

  std::size_t image_bytes() const;
  const std::uint8_t* image(std::size_t index) const;
};

// The shape that a model's images must have; 0: any.
struct ImageSize {
  int height = 0;
  int width = 0;
  int channels = 0;
};

// Throws Error unless images of the found shape are as wanted.
void CheckImageSize(const std::string& path, const ImageSize& found, const ImageSize& wanted);

// Loads at most `limit` images from
// - an IDX image file (magic 0x00000803, or 0x00000804 with channels last), .gz and .xz accepted;
//   labels from the file beside it whose name has "images-idx3" replaced by "labels-idx1"
//   ("images.idx3" -> "labels.idx1", "idx4" alike), with or without .gz, if there is one;
// - a CIFAR-10 binary batch (records of 3,073 bytes: label, R, G, B planes), .gz and .xz accepted;
// - a folder with one sub-folder of PNG/JPEG images per class (sorted by name; the class index is
//   the sub-folder's position), all of one size; or a flat folder of images (no labels). Classes
//   take turns (first image of each class, then the second, ...), so a limited set stays balanced.
//   Three channels if any image has colour, else one.
// The first n images are the same for every limit >= n. With a limit below the file's count, what
// lies behind the last image wanted is neither unpacked nor checked.
// Throws Error when nothing can be read, the file is truncated, it holds no images, or they are not
// as `wanted`: known, and said, before more than their headers is read.
Dataset LoadDataset(const std::string& path,
                    std::size_t limit = std::numeric_limits<std::size_t>::max(),
                    const ImageSize& wanted = {});

// One image from a PNG/JPEG file, or entry n of an IDX or CIFAR file given as "FILE#n".
// Images are converted to the 1 or 3 channels wanted by stb_image's rule; their height and width
// must be as wanted, which is checked before they are decoded.
Dataset LoadImage(const std::string& path, const ImageSize& wanted);

}  // namespace mu8::host
