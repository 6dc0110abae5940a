/* The first and only process of the emulated machine: runs /repository/test with the arguments in
 * /arguments (one a line), says how it ended, and switches the machine off. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kMostArguments = 64, kShutdownPort = 0x8900 };

static char text[65536];

static void mount_folders(void) {
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  mkdir("/dev", 0755);
  mkdir("/tmp", 01777);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sys", "/sys", "sysfs", 0, NULL);
  mount("dev", "/dev", "devtmpfs", 0, NULL);
}

static void use_serial_line(void) {
  const int line = open("/dev/ttyS0", O_RDWR);
  if (line < 0) return;
  dup2(line, 0);
  dup2(line, 1);
  dup2(line, 2);
}

int main(void) {
  char* arguments[kMostArguments + 2] = {"./test"};
  char* environment[] = {"PATH=/bin", "HOME=/", "TERM=dumb", NULL};
  int count = 1;
  int status = 0;
  mount_folders();
  use_serial_line();
  FILE* file = fopen("/arguments", "r");
  text[file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file)] = '\0';
  for (char* at = strtok(text, "\n"); at != NULL && count <= kMostArguments;
       at = strtok(NULL, "\n")) {
    arguments[count++] = at;
  }
  if (chdir("/repository") != 0) puts("there is no /repository");
  puts("@@begin");
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    execve(arguments[0], arguments, environment);
    perror("test");
    _exit(127);
  }
  waitpid(child, &status, 0);
  printf("@@end %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  fflush(stdout);
  fsync(1);
  usleep(200000);
  iopl(3);
  for (const char* at = "Shutdown"; *at != '\0'; ++at) outb(*at, kShutdownPort);
  while (1) pause();
}
