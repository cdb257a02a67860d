// LD_PRELOAD shim: while $HANG_DIR/sync exists, fdatasync does not come back, and while $HANG_DIR/control exists that of the
// thread named control; while $HANG_DIR/shard exists, the threads
// named shard-* don't either from waiting for events. $HANG_DIR/NAME.waits says that one of them hangs. Together with shifted_clock.c a test need not wait until that counts.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void hang_while(const char* name) {
  const char* folder = getenv("HANG_DIR");
  char path[4096];
  if (folder == NULL) return;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (access(path, F_OK) != 0) return;
  char note[sizeof path + 8];
  snprintf(note, sizeof note, "%s.waits", path);
  const int fd = open(note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
  while (access(path, F_OK) == 0) usleep(2000);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  hang_while("sync");
  char name[16] = "";
  if (pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strcmp(name, "control") == 0) hang_while("control");
  return real(fd);
}

int epoll_wait(int epoll, struct epoll_event* events, int most, int timeout) {
  static int (*real)(int, struct epoll_event*, int, int);
  if (real == NULL) real = (int (*)(int, struct epoll_event*, int, int))dlsym(RTLD_NEXT, "epoll_wait");
  const int count = real(epoll, events, most, timeout);
  char name[16] = "";
  if (pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strncmp(name, "shard-", 6) == 0) hang_while("shard");
  return count;
}
