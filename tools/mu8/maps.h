// What `mu8 predict` says of a network that answers at each position of an image.
#pragma once

#include <string>
#include <vector>

#include "converters/host/output_file.h"
#include "mu8/mu8.h"
#include "tools/mu8/json_output.h"

namespace mu8::tool {

// The shape of one answer: positions and outputs at each.
struct MapShape {
  std::uint32_t height = 1, width = 1, outputs = 1;

  bool is_map() const { return height * width > 1; }
};
MapShape ShapeOf(const Model& model);
// That of the files: of a reconstruction whose outputs stand one behind the other the input's.
MapShape PictureShapeOf(const Model& model);

// Adds to `files` FOLDER/NAME.mean.npy and .variance.npy, float32 (height, width, outputs); of a
// softmax also .entropy.npy and .mutual_information.npy, (height, width) in nats, and as pictures
// .label.png (the class's index, spread over 0 to 255) and .mutual_information.png (255: ln of the
// classes); of a gaussian .noise_variance.npy; of a reconstruction .error.npy, each output's
// squared error (SquaredError), and .error.png, its mean over the outputs of a position, 255 the
// largest of this picture. NAME is the file's, with what no file name holds replaced. The folder
// must exist. Throws Error. Returns the paths. The files of two inputs of one name would overwrite
// each other: MapBase is where theirs begin.
std::string MapBase(const std::string& folder, const std::string& name);
// What the names of one input's files end in, behind MapBase.
std::vector<const char*> MapEndings(Head head);
std::vector<std::string> AddMaps(const std::string& folder, const std::string& name,
                                 const Prediction& prediction, Head head, const MapShape& shape,
                                 host::OutputFiles* files);

// Means over the positions, and how many are of which class, for people and as JSON.
Json MapJson(const std::string& path, const Prediction& prediction, Head head,
             const MapShape& shape);
void PrintMap(const std::string& path, const Json& map);

}  // namespace mu8::tool
