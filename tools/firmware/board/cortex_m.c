// A Cortex-M under qemu-system-arm with semihosting: vector table, floating point (where compiled
// for it), .data, .bss, constructors, painted stack, main, and a report of faults.
#include "tools/firmware/board/start.h"

// Arm's semihosting specification, 2.0.
static long Semihost(long operation, const void* argument) {
  register long r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

// `frame`: r0 to r3, r12, lr, pc, xPSR, which the processor has put onto the stack.
__attribute__((used)) static void ReportFault(const uint32_t* frame) {
  BoardWrite("FAULT");
#if __ARM_ARCH >= 7 || defined(__ARM_ARCH_8M_MAIN__)
  WriteHex(" cfsr=", *(volatile uint32_t*)0xe000ed28);
  WriteHex(" hfsr=", *(volatile uint32_t*)0xe000ed2c);
#endif
  WriteHex(" pc=", frame[6]);
  WriteHex(" lr=", frame[5]);
  BoardWrite(&__stack_limit > frame ? " stack overflow\n" : "\n");
  BoardExit(kFaultExit);
}

__attribute__((naked)) static void Fault(void) {
  __asm__ volatile("mrs r0, msp\n ldr r1, =ReportFault\n bx r1");
}

__attribute__((used, noreturn)) void Reset(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  *(volatile uint32_t*)0xe000ed88 |= 0xfu << 20;  // CPACR: coprocessors 10 and 11
  __asm__ volatile("dsb\n isb");
#endif
  const uint32_t* here;
  __asm__ volatile("mov %0, sp" : "=r"(here));
  Go(here);
  __builtin_unreachable();
}

// Reset, NMI, HardFault, MemManage, BusFault, UsageFault, SecureFault, 3 reserved, SVCall, Debug,
// reserved, PendSV, SysTick.
__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {
    &__stack_top, Reset, Fault, Fault, Fault, Fault, Fault, Fault, 0, 0, 0,
    Fault,        Fault, 0,     Fault, Fault};
