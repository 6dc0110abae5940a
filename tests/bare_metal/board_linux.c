// tools/firmware/board/board.h under Linux, so that the same programs run there.
#include <string.h>
#include <unistd.h>

#include "tools/firmware/board/board.h"

void BoardWrite(const char* text) {
  if (write(1, text, strlen(text)) < 0) _exit(1);
}
void BoardExit(int code) { _exit(code); }
unsigned BoardStackUsed(void) { return 0; }  // not painted
