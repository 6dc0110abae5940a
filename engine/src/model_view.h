// An open model's file as the engine reads it.
#pragma once

#include "formats/reader.h"
#include "mu8/mu8.h"

namespace mu8 {

// What Open has found and the Model keeps: the file's bytes may have changed since. Of a session's
// model the activations are those of the session (Workspace::image_bytes). All 0: it is not open.
const format::View& ViewOf(const Model& model);

}  // namespace mu8
