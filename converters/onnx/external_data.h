// Initializers whose numbers are in a file beside the model, as PyTorch's exporter has them by
// default: model.onnx and model.onnx.data.
#pragma once

#include <onnx/onnx_pb.h>

#include <set>
#include <string>
#include <vector>

namespace mu8::convert {

// Reads the external data of the initializers in `names` into the model
// (onnx/docs/ExternalData.md). Those that cannot be read stay external; each file's problems are
// reported once. Untrusted: files are only looked for in the model's folder and below it.
void LoadExternalData(const std::string& model_path, const std::set<std::string>& names,
                      onnx::ModelProto* model, std::vector<std::string>* problems);

}  // namespace mu8::convert
