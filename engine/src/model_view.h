// An open model's file as the engine reads it.
#pragma once

#include "formats/reader.h"
#include "mu8/mu8.h"

namespace mu8 {

// Made of what Open has found and the Model keeps, not of the file's bytes: those of its header may
// have changed since. Of the model record it has what an executor needs (no arena_bytes); of
// sections whose size follows from other numbers only the place.
format::View ViewOf(const Model& model);

}  // namespace mu8
