// A RISC-V machine (qemu-system-riscv32 or 64, -M virt) with semihosting: .data, .bss,
// constructors, floating point (where compiled for it), painted stack, main, and a report of traps.
#include "tools/firmware/board/start.h"

// The control registers are an extension that -march=rv32imac does not name.
#define WITH_ZICSR(code) ".option push\n.option arch, +zicsr\n" code ".option pop\n"

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

__attribute__((used, aligned(4))) static void ReportTrap(void) {
  unsigned long cause, pc, value;
  __asm__ volatile(WITH_ZICSR("csrr %0, mcause\ncsrr %1, mepc\ncsrr %2, mtval\n")
                   : "=r"(cause), "=r"(pc), "=r"(value));
  BoardWrite("TRAP");
  WriteHex(" cause=", cause);
  WriteHex(" pc=", pc);
  WriteHex(" value=", value);
  BoardWrite("\n");
  BoardExit(kFaultExit);
}

__attribute__((used, noreturn)) static void Start(void) {
  const uint32_t* here;
  __asm__ volatile("mv %0, sp" : "=r"(here));
  Go(here);
  __builtin_unreachable();
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
