// A Cortex-M under qemu-system-arm with semihosting: vector table, floating point (where compiled
// for it), .data, .bss, constructors, painted stack, main, and a report of faults.
#include <stdint.h>

#include "tools/firmware/board/board.h"

extern uint32_t __stack_top, __stack_limit, __data_start, __data_end, __data_load, __bss_start,
    __bss_end;
typedef void (*Constructor)(void);
extern const Constructor __init_array_start[], __init_array_end[];
int main(void);

enum {
  kPaint = 0x57ac4b1d,
  kSysWrite0 = 4,
  kSysExitExtended = 0x20,
  kApplicationExit = 0x20026,
  kFaultExit = 99
};

// Arm's semihosting specification, 2.0.
static int Semihost(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void BoardWrite(const char* text) { Semihost(kSysWrite0, text); }

void BoardExit(int code) {
  const uint32_t block[2] = {kApplicationExit, (uint32_t)code};
  Semihost(kSysExitExtended, block);
  for (;;) {
  }
}

unsigned BoardStackUsed(void) {
  const volatile uint32_t* word = &__stack_limit;
  while (word < &__stack_top && *word == kPaint) ++word;
  return (unsigned)((const volatile char*)&__stack_top - (const volatile char*)word);
}

static void WriteHex(const char* name, uint32_t value) {
  char digits[9] = {0};
  for (int i = 0; i < 8; ++i) digits[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15];
  BoardWrite(name);
  BoardWrite(digits);
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
  const uint32_t* load = &__data_load;
  for (uint32_t* word = &__data_start; word < &__data_end;) *word++ = *load++;
  for (volatile uint32_t* word = &__bss_start; word < (volatile uint32_t*)&__bss_end;) *word++ = 0;
  uint32_t* here;
  __asm__ volatile("mov %0, sp" : "=r"(here));
  for (volatile uint32_t* word = &__stack_limit; word < here - 8; ++word) *word = kPaint;
  for (const Constructor* each = __init_array_start; each < __init_array_end; ++each) (*each)();
  BoardExit(main());
}

// Reset, NMI, HardFault, MemManage, BusFault, UsageFault, SecureFault, 3 reserved, SVCall, Debug,
// reserved, PendSV, SysTick.
__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {
    &__stack_top, Reset, Fault, Fault, Fault, Fault, Fault, Fault, 0, 0, 0,
    Fault,        Fault, 0,     Fault, Fault};
