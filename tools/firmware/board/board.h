// What a firmware asks of the board: text out, an end, how much stack it has used. The boards are
// emulated machines with semihosting; on yours, write these three for its UART or debugger.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

void BoardWrite(const char* text);
// Ends the emulator with `code`, 0 to 127.
__attribute__((noreturn)) void BoardExit(int code);
// Most bytes of stack in use at one time since the start: it is painted, this looks how far the
// paint is gone.
unsigned BoardStackUsed(void);

#ifdef __cplusplus
}
#endif
