// An ONNX file as the importer sees it: the protobuf message, which of its nodes the output depends
// on, and the tensors whose values the file fixes. Meaning is given to nodes in operators.cpp.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "converters/onnx/tensors.h"

namespace mu8::convert {

struct OnnxNode {
  const onnx::NodeProto* proto = nullptr;
  std::string name;  // the file's, or "<OpType>#<index>"
  std::string op;    // op_type; "<domain>::<op_type>" outside ai.onnx
};

struct OnnxGraph {
  std::string path;
  onnx::ModelProto model;
  std::int64_t opset = 0;
  std::vector<OnnxNode> nodes;  // those that the output depends on, each after what it reads
  std::map<std::string, OnnxConstant> constants;
  const onnx::ValueInfoProto* input = nullptr;   // the first input that is not an initializer
  const onnx::ValueInfoProto* output = nullptr;  // the output that is imported
  std::deque<onnx::TensorProto> made;            // of Constant nodes' attributes, and computed ones
  std::set<std::string> failed;  // tensors that cannot be computed; already reported
};

// Fills `constant` from a tensor of the file. What is wrong with it: type, sizes; empty: nothing,
// so that FloatValues and IntegerValues can copy without looking.
std::string CheckTensor(const onnx::TensorProto& tensor, OnnxConstant* constant);

// The node that LoadOnnx adds where several outputs are wanted as one.
inline constexpr const char* kJoinNode = "mu8/join outputs";

// Reads `path` and fills `graph` as far as the file allows; adds every problem found. `output`
// names the one of several outputs that is wanted, or "A,B" those to be joined; empty: there must
// be one. Throws Error when there is no graph to go on with (not an ONNX file, truncated, a Git LFS
// pointer).
void LoadOnnx(const std::string& path, const std::string& output, OnnxGraph* graph,
              std::vector<std::string>* problems);

}  // namespace mu8::convert
