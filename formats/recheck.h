// What a file's records say once more, at the time of use. Open has checked them, but their bytes
// may have changed since: flash loses bits, and a file may be mapped that another program writes.
// So a layer that is about to run is copied, and the copies are held against every rule that keeps
// its kernels inside the arena and the file. What changes later cannot change the copies. A build
// may leave it out (mu8/config.h): copies are then taken as they are.
#pragma once

#include "formats/reader.h"

namespace mu8::format {

// Copies layer `index` and the tensors it reads and writes. False, with kModelChanged and the field
// in `*diagnostic`, if the copies do not fit each other, the file or the arena; `*record` and
// `*operands` are then not to be used. Time does not depend on shapes.
bool LoadLayer(const View& view, std::uint32_t index, LayerRecord* record, Operands* operands,
               Diagnostic* diagnostic);

// The same for tensor 0: its shape is that of the input that Open has found.
bool LoadInputTensor(const View& view, TensorRecord* input, Diagnostic* diagnostic);

// Of all records of tensors and layers. Differs for certain if one 32-bit word has changed, and but
// for one in 2^32 if several have; much cheaper than a CRC.
std::uint32_t HashRecords(const View& view);

// Whether they hash to what Open has found; else kModelChanged.
bool RecordsAreUnchanged(const View& view, Diagnostic* diagnostic);

}  // namespace mu8::format
