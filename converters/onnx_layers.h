// The state of one ONNX import, and the conversion of the nodes that carry parameters or windows.
// onnx_import.cpp drives it: dispatch, shape-only nodes, checks of the whole graph.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "converters/onnx_graph.h"
#include "converters/onnx_import.h"

namespace mu8::convert {

// What an ONNX tensor name stands for: a Network value, and how ONNX sees it. Flatten makes a new
// Activation of the same value, not a new value: NHWC memory stays where it is.
struct Activation {
  int value = -1;  // index into Network::values
  int rank = 4;    // 4: (N, C, H, W). 2: (N, C * H * W), its elements in CHW order in ONNX
  int channels = 1, height = 1, width = 1;
  bool probabilities = false;  // of a dropped Softmax; only the graph's output may read it
  std::string absorbed_by;     // the Add that became a bias: the value before it no longer exists

  std::size_t flat_size() const {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(height) *
           static_cast<std::size_t>(width);
  }
};

struct OnnxImporter {
  const OnnxGraph& graph;
  const Posterior& posterior;
  std::vector<std::string>& problems;
  Network network = {};
  std::map<std::string, Activation> activations = {};  // by ONNX tensor name
  std::vector<int> producers = {};    // by value: index into network.nodes, -1 for the input
  std::set<std::string> failed = {};  // tensors that could not be computed; already reported
  std::map<std::string, std::string> sigma_readers = {};  // sigma name -> the node it belongs to
};

// Ends the conversion of one node. An empty message: another node's problem is the cause.
struct NodeProblem {
  std::string message;
};

// A problem of `node` that does not keep its output shape from being known.
void Report(OnnxImporter* importer, const OnnxNode& node, const std::string& message);

// Name of the node's i-th input or output, empty when absent.
std::string InputName(const OnnxNode& node, int i);
std::string OutputName(const OnnxNode& node, int i);

// Input i as an activation of the given rank (0: any), or as a constant. Throw NodeProblem.
const Activation& ReadActivation(const OnnxImporter& importer, const OnnxNode& node, int i,
                                 int rank);
const OnnxConstant& ReadConstant(const OnnxImporter& importer, const OnnxNode& node, int i);

// Attributes with their defaults. Throw NodeProblem when the type is another.
std::int64_t IntAttribute(const OnnxNode& node, const char* name, std::int64_t fallback);
float FloatAttribute(const OnnxNode& node, const char* name, float fallback);
std::string StringAttribute(const OnnxNode& node, const char* name, const char* fallback);

// Adds a value of the given shape; throws NodeProblem when it exceeds what an image can be.
int AddValue(OnnxImporter* importer, const std::string& name, std::int64_t height,
             std::int64_t width, std::int64_t channels);

// Adds `layer` (its name, inputs and output are set here) and the activation it writes.
void AddLayer(OnnxImporter* importer, const OnnxNode& node, Node layer, const Activation& input,
              Activation output);

// One node each. They throw NodeProblem when the node has no counterpart in a Network.
void ImportConv(OnnxImporter* importer, const OnnxNode& node);
void ImportGemm(OnnxImporter* importer, const OnnxNode& node);
void ImportMatMul(OnnxImporter* importer, const OnnxNode& node);
void ImportAdd(OnnxImporter* importer, const OnnxNode& node);
void ImportBatchNormalization(OnnxImporter* importer, const OnnxNode& node);
void ImportPool(OnnxImporter* importer, const OnnxNode& node, Op op);
void ImportGlobalAverage(OnnxImporter* importer, const OnnxNode& node);

}  // namespace mu8::convert
