// Recorded predictions and their uncertainties. The first byte is the number of classes, from 1; as
// many images as then fit share the rest: a row of classes and one of three entropies each.
#include "converters/judge/ensemble_recorded.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const mu8::fuzz::Limits limits(size, {});
  static const mu8::testing::MemoryFile predictions, uncertainty;
  if (size == 0) return 0;
  const std::size_t classes = std::size_t{1} + data[0];
  const std::size_t images = (size - 1) / ((classes + 3) * sizeof(float));
  const std::size_t prediction_bytes = images * classes * sizeof(float);
  predictions.Write({data + 1, prediction_bytes});
  uncertainty.Write({data + 1 + prediction_bytes, images * 3 * sizeof(float)});
  for (const std::string& beside : {std::string(), uncertainty.path()}) {
    mu8::testing::ReadOrRefuse(
        [&] { mu8::convert::ReadRecorded(predictions.path(), beside, images, classes); });
  }
  return 0;
}
