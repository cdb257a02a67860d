// LD_PRELOAD shim: fdatasync and fsync of the spool fail with EIO while the file $FAIL_SYNC exists.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int must_fail(void) {
  const char* switch_file = getenv("FAIL_SYNC");
  return switch_file != NULL && access(switch_file, F_OK) == 0;
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (must_fail()) {
    errno = EIO;
    return -1;
  }
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return real(fd);
}

int fsync(int fd) {
  static int (*real)(int);
  if (must_fail()) {
    errno = EIO;
    return -1;
  }
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return real(fd);
}
