// A RISC-V machine (qemu-system-riscv32 or 64, -M virt) with semihosting: .data, .bss,
// constructors, floating point (where compiled for it), painted stack, main, and a report of traps.
#include <stdint.h>

#include "tools/firmware/board/board.h"

extern uint32_t __stack_top, __stack_limit, __data_start, __data_end, __data_load, __bss_start,
    __bss_end;
// The control registers are an extension that -march=rv32imac does not name.
#define WITH_ZICSR(code) ".option push\n.option arch, +zicsr\n" code ".option pop\n"
typedef void (*Constructor)(void);
extern const Constructor __init_array_start[], __init_array_end[];
int main(void);

enum {
  kPaint = 0x57ac4b1d,
  kSysWrite0 = 4,
  kSysExitExtended = 0x20,
  kApplicationExit = 0x20026,
  kTrapExit = 99
};

// RISC-V semihosting specification, 1.0: three full-size instructions within one page.
static long Semihost(long operation, const void* argument) {
  register long a0 __asm__("a0") = operation;
  register const void* a1 __asm__("a1") = argument;
  __asm__ volatile(
      ".balign 16\n.option push\n.option norvc\n"
      "slli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
  return a0;
}

void BoardWrite(const char* text) { Semihost(kSysWrite0, text); }

void BoardExit(int code) {
  const unsigned long block[2] = {kApplicationExit, (unsigned long)code};
  Semihost(kSysExitExtended, block);
  for (;;) {
  }
}

unsigned BoardStackUsed(void) {
  const volatile uint32_t* word = &__stack_limit;
  while (word < &__stack_top && *word == kPaint) ++word;
  return (unsigned)((const volatile char*)&__stack_top - (const volatile char*)word);
}

static void WriteHex(const char* name, unsigned long value) {
  enum { kDigits = 2 * sizeof(unsigned long) };
  char digits[kDigits + 1] = {0};
  for (int i = 0; i < kDigits; ++i) {
    digits[i] = "0123456789abcdef"[(value >> (4 * (kDigits - 1 - i))) & 15];
  }
  BoardWrite(name);
  BoardWrite(digits);
}

__attribute__((used, aligned(4))) static void ReportTrap(void) {
  unsigned long cause, pc, value;
  __asm__ volatile(WITH_ZICSR("csrr %0, mcause\ncsrr %1, mepc\ncsrr %2, mtval\n")
                   : "=r"(cause), "=r"(pc), "=r"(value));
  BoardWrite("TRAP");
  WriteHex(" cause=", cause);
  WriteHex(" pc=", pc);
  WriteHex(" value=", value);
  BoardWrite("\n");
  BoardExit(kTrapExit);
}

__attribute__((used, noreturn)) static void Start(void) {
  const uint32_t* load = &__data_load;
  for (uint32_t* word = &__data_start; word < &__data_end;) *word++ = *load++;
  for (volatile uint32_t* word = &__bss_start; word < (volatile uint32_t*)&__bss_end;) *word++ = 0;
  uint32_t* here;
  __asm__ volatile("mv %0, sp" : "=r"(here));
  for (volatile uint32_t* word = &__stack_limit; word < here - 8; ++word) *word = kPaint;
  for (const Constructor* each = __init_array_start; each < __init_array_end; ++each) (*each)();
  BoardExit(main());
}

__attribute__((naked, section(".start"), used)) void _start(void) {
  __asm__ volatile(
      ".option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
      "la sp, __stack_top\nla t0, ReportTrap\n" WITH_ZICSR("csrw mtvec, t0\n")
#ifdef __riscv_flen
          "li t0, 0x6000\n" WITH_ZICSR("csrs mstatus, t0\n")  // FS: floating point on
#endif
#ifdef __riscv_vector
      "li t0, 0x600\n" WITH_ZICSR("csrs mstatus, t0\n")  // VS: vectors on
#endif
      "j Start");
}
