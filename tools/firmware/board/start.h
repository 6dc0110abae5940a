// What the boards' start-up code shares.
#pragma once

#include <stdint.h>

#include "tools/firmware/board/board.h"

extern uint32_t __stack_top, __stack_limit, __data_start, __data_end, __data_load, __bss_start,
    __bss_end;
typedef void (*Constructor)(void);
extern const Constructor __init_array_start[], __init_array_end[];
int main(void);

// Each processor has its own.
static long Semihost(long operation, const void* argument);

enum {
  kPaint = 0x57ac4b1d,
  kSysWrite0 = 4,
  kSysExitExtended = 0x20,
  kApplicationExit = 0x20026,
  kFaultExit = 99
};

void BoardWrite(const char* text) { Semihost(kSysWrite0, text); }

void BoardExit(int code) {
  const uintptr_t block[2] = {kApplicationExit, (uintptr_t)code};
  Semihost(kSysExitExtended, block);
  for (;;) {
  }
}

unsigned BoardStackUsed(void) {
  const volatile uint32_t* word = &__stack_limit;
  while (word < &__stack_top && *word == kPaint) ++word;
  return (unsigned)((const volatile char*)&__stack_top - (const volatile char*)word);
}

static void WriteHex(const char* name, uintptr_t value) {
  enum { kDigits = 2 * sizeof(uintptr_t) };
  char digits[kDigits + 1] = {0};
  for (int i = 0; i < kDigits; ++i) {
    digits[i] = "0123456789abcdef"[(value >> (4 * (kDigits - 1 - i))) & 15];
  }
  BoardWrite(name);
  BoardWrite(digits);
}

// Fills memory as C and C++ expect it, paints the stack below `here`, the stack pointer, and runs
// the program. In line, so that there is no frame of its own to be painted over.
__attribute__((always_inline)) static inline void Go(const uint32_t* here) {
  const uint32_t* load = &__data_load;
  for (uint32_t* word = &__data_start; word < &__data_end;) *word++ = *load++;
  for (volatile uint32_t* word = &__bss_start; word < (volatile uint32_t*)&__bss_end;) *word++ = 0;
  for (volatile uint32_t* word = &__stack_limit; word < here - 8; ++word) *word = kPaint;
  for (const Constructor* each = __init_array_start; each < __init_array_end; ++each) (*each)();
  BoardExit(main());
}
