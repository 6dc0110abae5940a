#include "converters/host/target_layout.h"

#include <cstddef>

namespace mu8::host {

InputSpec AnswerSpec(const ImageSize& size, const InputSpec& input) {
  InputSpec spec = DefaultSpec(size);
  if (input.layout != "nhwc" && input.layout != "nwc") return spec;
  spec.layout = "nhwc";
  spec.dims.clear();
  for (const int extent : {size.height, size.width, size.channels}) {
    spec.dims.push_back(static_cast<std::size_t>(extent));
  }
  return spec;
}

std::vector<float> ArrangeTargets(const std::string& path, const Dataset& data,
                                  const InputSpec& answer, std::string* notice) {
  const ArrayReading reading = ReadLayout(path + ": the targets", data.target_dims, answer, "");
  std::vector<float> values;
  values.reserve(data.targets.size());
  for (std::size_t i = 0; i < data.count; ++i) {
    AppendNhwc(reading, data.targets.data() + i * answer.elements(), &values);
  }
  if (!reading.notice.empty()) {
    *notice = path + ": the targets, " + TupleText(data.target_dims) + " an input, are taken as " +
              reading.layout + " (the network answers as " + answer.layout + ")";
  }
  return values;
}

}  // namespace mu8::host
