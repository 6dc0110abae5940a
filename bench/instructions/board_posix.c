/* tools/firmware/board/board.h for programs under an operating system. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/firmware/board/board.h"

void BoardWrite(const char* text) { fputs(text, stdout); }
void BoardExit(int code) { exit(code); }
unsigned BoardStackUsed(void) { return 0; }
