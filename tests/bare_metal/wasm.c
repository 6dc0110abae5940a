/* WebAssembly without a C library as a board: wasm.js gives `write`, and here are the functions
 * that compilers call on their own. Volatile, so that none becomes a call of itself. */
#include <stddef.h>

#include "tools/firmware/board/board.h"

__attribute__((import_module("env"), import_name("write"))) void HostWrite(const char* text);

void BoardWrite(const char* text) { HostWrite(text); }
void BoardExit(int code) {
  (void)code;
  __builtin_trap();
}
unsigned BoardStackUsed(void) { return 0; }

static void* CopyForward(void* to, const void* from, size_t bytes) {
  volatile unsigned char* out = to;
  const unsigned char* in = from;
  for (size_t i = 0; i < bytes; ++i) out[i] = in[i];
  return to;
}

void* memcpy(void* restrict to, const void* restrict from, size_t bytes) {
  return CopyForward(to, from, bytes);
}
void* memmove(void* to, const void* from, size_t bytes) {
  volatile unsigned char* out = to;
  const unsigned char* in = from;
  if (out <= in) return CopyForward(to, from, bytes);
  while (bytes-- > 0) out[bytes] = in[bytes];
  return to;
}
void* memset(void* to, int value, size_t bytes) {
  volatile unsigned char* out = to;
  for (size_t i = 0; i < bytes; ++i) out[i] = (unsigned char)value;
  return to;
}
int memcmp(const void* a, const void* b, size_t bytes) {
  const unsigned char *x = a, *y = b;
  for (; bytes > 0; --bytes, ++x, ++y) {
    if (*x != *y) return *x - *y;
  }
  return 0;
}

int main(void);
__attribute__((export_name("run"))) int Run(void) { return main(); }
