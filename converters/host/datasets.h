// Data sets in their usual files. Pictures: IDX (MNIST), CIFAR-10 binary batches, class folders.
// Numbers: .npy, .npz, .csv, raw float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "converters/host/input_layout.h"

namespace mu8::host {

struct Dataset {
  int height = 0;
  int width = 0;
  int channels = 0;
  std::size_t count = 0;
  std::vector<std::uint8_t> pixels = {};      // NHWC, count x height x width x channels; or
  std::vector<float> values = {};             // numbers in the same order
  std::vector<int> labels = {};               // count, or empty when the set has none
  std::vector<std::string> label_names = {};  // class folders only
  std::vector<float> targets = {};  // [count][target_width()], where a file of numbers has y
  std::vector<std::size_t> target_dims = {};  // of one input's, as their array had them
  std::vector<std::string> columns = {};      // of a table: the names of its inputs
  std::vector<std::string> notices = {};  // how the file was read, where others might read it else

  bool is_numbers() const { return !values.empty(); }
  std::size_t image_size() const;  // elements of one input
  std::size_t target_width() const { return count == 0 ? 0 : targets.size() / count; }
  std::span<const std::uint8_t> Pixels(std::size_t first, std::size_t images) const;
  std::span<const float> Values(std::size_t first, std::size_t images) const;
};

// What the user says about a file of numbers.
struct DataOptions {
  std::string input_layout = {};          // one of Layouts(); empty: as the shape allows
  std::vector<std::string> targets = {};  // columns of a .csv; empty: by their names
  std::size_t window_step = 0;            // above 0: the file is a series, cut into windows
  bool may_be_one = false;  // a .npy array that fits as one input, without a batch, is one
};

// `found` with the channels that the model wants, where grey can stand for colours or brightness
// for them; and what is then said.
ImageSize WithColour(ImageSize found, const ImageSize& wanted);
std::string ColourNotice(const std::string& path, const ImageSize& found);

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
//   Three channels if any image has colour, else one;
// - a .npz file with x [count][...] and, if it has targets, y [count][...]; a .npy file, x alone; a
//   .csv file with a header, one input a row, its target columns named by `options` or called y,
//   y_..., target or label; a .f32 file of float32 numbers, each input as `wanted` says. Elements
//   that are uint8 are pixels. Arrays have any layout of input_layout.h that fits.
// A flat input is served by pictures of one channel with as many pixels.
// The first n images are the same for every limit >= n. With a limit below the file's count, what
// lies behind the last image wanted is neither unpacked nor checked.
// Throws Error when nothing can be read, the file is truncated, it holds no images, or they are not
// as `wanted`: known, and said, before more than their headers is read.
Dataset LoadDataset(const std::string& path,
                    std::size_t limit = std::numeric_limits<std::size_t>::max(),
                    const InputSpec& wanted = {}, const DataOptions& options = {});

// n of "FILE#n", which names an entry of a set; nothing where a file has that whole name, or none
// is named. Throws Error where n is no number.
std::optional<std::size_t> EntryOf(const std::string& path);

// One image from a PNG/JPEG file, or entry n of an IDX or CIFAR file given as "FILE#n".
// Images are converted to the 1 or 3 channels wanted by stb_image's rule; their height and width
// must be as wanted, which is checked before they are decoded.
Dataset LoadImage(const std::string& path, const ImageSize& wanted);

}  // namespace mu8::host
