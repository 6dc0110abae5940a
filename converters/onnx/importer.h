// The state of one ONNX import, and what the conversion of every node needs of it. import.cpp
// drives it, operators.cpp knows who converts which node, graph_input.cpp the input: windows.h,
// dense.h, elementwise.h, shapes.h, slices.h and integers.h convert the nodes; they throw
// NodeProblem when one has no counterpart in a Network.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "converters/network/network.h"
#include "converters/onnx/expressions.h"
#include "converters/onnx/graph.h"
#include "converters/onnx/integer_tensor.h"
#include "converters/onnx/node_problem.h"
#include "converters/posterior/posterior.h"

namespace mu8::convert {

enum class Axis { kChannels, kHeight, kWidth };

// Functions that a graph's end may be about: the engine computes them, and their spread.
enum class FunctionEnd { kOther, kSigmoid, kExp, kSoftplus };

// y = function(x) of the value that an Activation stands for. It becomes a node only when something
// reads y that is no function of x itself, so that Mul(x, Sigmoid(x)) is one function, not three
// nodes.
struct Pending {
  TermIndex function = kArgument;
  std::string text;         // "Mul(x, Sigmoid(x))"
  std::string node_name;    // of the last ONNX node in it
  std::string output_name;  // and its output
  int value = -1;           // what its kLookup writes; -1: there is none yet
  // The last function, of inner(x); an empty inner is x itself.
  FunctionEnd end = FunctionEnd::kOther;
  std::shared_ptr<Pending> inner = {};
};

struct View;

// What an ONNX tensor name stands for: a Network value, and how ONNX sees it. Flatten, Reshape and
// Transpose make a new Activation of the same value: NHWC memory stays where it is.
struct Activation {
  int value = -1;  // index into Network::values
  int channels = 1, height = 1, width = 1;
  // For each dimension after the batch the axes it runs over, the slowest first: (N, C, H, W) is
  // {{C}, {H}, {W}}, flattened {{C, H, W}}. Axes of one element may be anywhere or missing.
  std::vector<std::vector<Axis>> dims = {{Axis::kChannels}, {Axis::kHeight}, {Axis::kWidth}};
  std::shared_ptr<Pending> pending = {};  // not applied yet; nullptr: none
  std::shared_ptr<const View> view = {};  // views.h; where there is one, `dims` say their number
  bool is_shared = false;                 // more than one ONNX node reads it, or it is the output
  bool probabilities = false;  // of a dropped Softmax; only the graph's output may read it

  int rank() const { return 1 + static_cast<int>(dims.size()); }
  int size(Axis axis) const {
    return axis == Axis::kChannels ? channels : axis == Axis::kHeight ? height : width;
  }
  std::size_t flat_size() const {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(height) *
           static_cast<std::size_t>(width);
  }
};

// Bounds of what is read. They keep sizes and the arithmetic of windows far from the limits of int;
// a .mu8 file holds less, which lower/limits.h checks of what is left after all rewriting.
inline constexpr std::int64_t kMostExtent = 1 << 20;  // of an axis, and of offsets along it
inline constexpr std::int64_t kMostElements = 1 << 28;
inline constexpr std::int64_t kMostWindow = 1 << 16;  // kernel, stride, dilation, pads

struct OnnxImporter {
  const OnnxGraph& graph;
  const Posterior& posterior;
  std::vector<std::string>& problems;
  Network network = {};
  Expressions expressions = {};                        // of the pending functions
  std::map<std::string, Activation> activations = {};  // by ONNX tensor name
  std::map<std::string, IntegerTensor> integers = {};  // computed ones, by name
  // Outputs of a Pad of the least numbers, which only MaxPools read: what these skip on top of
  // their own padding; top, left, bottom, right. The activation's sizes are the padded ones, its
  // value is not padded.
  std::map<std::string, std::array<int, 4>> skipped_pads = {};
  std::map<std::string, int> pool_readers = {};  // those of `readers` that are MaxPools
  std::map<std::string, int> readers = {};  // by ONNX tensor name; the graph's output is one, too
  std::vector<int> producers = {};          // by value: index into network.nodes, -1 for the input
  std::set<std::string> failed = {};        // tensors that could not be computed; already reported
  std::map<std::string, std::string> sigma_readers = {};  // sigma name -> the node it belongs to
  std::uint64_t parameter_bytes = 0;                      // read or made so far
  std::uint64_t most_parameter_bytes = 0;
};

// A problem of `node` that does not keep its output shape from being known.
void Report(OnnxImporter* importer, const OnnxNode& node, const std::string& message);

// Name of the node's i-th input or output, empty when absent.
std::string InputName(const OnnxNode& node, int i);
std::string OutputName(const OnnxNode& node, int i);

// Input i as an activation of the given rank (0: any). Peek leaves a pending function pending; Read
// makes a node of it. Throw NodeProblem.
Activation PeekActivation(const OnnxImporter& importer, const OnnxNode& node, int i, int rank);
Activation ReadActivation(OnnxImporter* importer, const OnnxNode& node, int i, int rank);

// Input i as an image in memory whose dimensions are (N, C, H, W) or, of rank 3, (N, C, W).
Activation ReadImage(OnnxImporter* importer, const OnnxNode& node, int i, int rank);

// Makes a node of the pending function, if there is one.
void Materialize(OnnxImporter* importer, Activation* activation);

// Input i as a constant. Throws NodeProblem.
const OnnxConstant& ReadConstant(const OnnxImporter& importer, const OnnxNode& node, int i);

// Input i as integers, computed or constant. Throws NodeProblem.
IntegerTensor ReadIntegers(const OnnxImporter& importer, const OnnxNode& node, int i);

// Input i as a list of integers (axes, starts, a target shape), or where the node has no such input
// the list attribute of that name, as older operator sets have it; nothing when both are absent. A
// ShapeList may hold kBatchSize, of an IntegerList every number is known. Throw NodeProblem.
std::optional<std::vector<std::int64_t>> ShapeList(const OnnxImporter& importer,
                                                   const OnnxNode& node, int i, const char* name);
std::optional<std::vector<std::int64_t>> IntegerList(const OnnxImporter& importer,
                                                     const OnnxNode& node, int i, const char* name);

// Counts bytes of parameters that are about to be copied or made. Throws NodeProblem when the graph
// asks for many times what its file holds: any number of nodes may read one tensor.
void SpendBytes(OnnxImporter* importer, std::uint64_t bytes);

// Attributes with their defaults. Throw NodeProblem when the type is another.
std::int64_t IntAttribute(const OnnxNode& node, const char* name, std::int64_t fallback);
float FloatAttribute(const OnnxNode& node, const char* name, float fallback);
std::string StringAttribute(const OnnxNode& node, const char* name, const char* fallback);

// Adds a value of the given shape; throws NodeProblem when it exceeds what an image can be.
int AddValue(OnnxImporter* importer, const std::string& name, std::int64_t height,
             std::int64_t width, std::int64_t channels);

// Adds `layer` (its name, inputs and output are set here) and the activation it writes.
void AddLayer(OnnxImporter* importer, const OnnxNode& node, Node layer, std::vector<int> inputs,
              Activation output);

// `like` as a new value that the node's first output names; same size in memory.
Activation NewLike(OnnxImporter* importer, const OnnxNode& node, const Activation& like);

// Axes of more than one element, in ONNX's order, of one dimension after the batch.
std::vector<Axis> LongAxes(const Activation& activation, std::size_t dim);
std::int64_t DimSize(const Activation& activation, std::size_t dim);
bool SameLayout(const Activation& a, const Activation& b);

// True if the value lies in memory as height x width x channels, not flattened by a node.
bool IsImageInMemory(const OnnxImporter& importer, const Activation& activation);

// "(N, C, H * W)", for messages.
std::string LayoutText(const Activation& activation);

}  // namespace mu8::convert
