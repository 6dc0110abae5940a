// Which files this process has read, whatever name led to each: none of them may become an output.
#pragma once

#include <optional>
#include <string>

namespace mu8::host {

// Notes the file that is open as `descriptor`. From any thread.
void NoteFileRead(const std::string& path, int descriptor);

// The name by which the file that `path` leads to was read; nothing where it was not, or where
// nothing is there. Files are told apart by device and inode.
std::optional<std::string> NameRead(const std::string& path);

// As if nothing had been read: for a command that begins.
void ForgetFilesRead();

}  // namespace mu8::host
