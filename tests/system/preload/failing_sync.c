// LD_PRELOAD shim: fdatasync and fsync fail with EIO while the file $FAIL_SYNC exists, and what the spool writes while the
// file $FAIL_WRITE exists.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

static int told_by(const char* variable) {
  const char* switch_file = getenv(variable);
  return switch_file != NULL && access(switch_file, F_OK) == 0;
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (told_by("FAIL_SYNC")) {
    errno = EIO;
    return -1;
  }
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return real(fd);
}

int fsync(int fd) {
  static int (*real)(int);
  if (told_by("FAIL_SYNC")) {
    errno = EIO;
    return -1;
  }
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return real(fd);
}

static ssize_t write_at(int fd, const struct iovec* pieces, int count, off_t at) {
  static ssize_t (*real)(int, const struct iovec*, int, off_t);
  if (told_by("FAIL_WRITE")) {
    errno = EIO;
    return -1;
  }
  if (real == NULL) real = (ssize_t(*)(int, const struct iovec*, int, off_t))dlsym(RTLD_NEXT, "pwritev");
  return real(fd, pieces, count, at);
}

ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t at) { return write_at(fd, pieces, count, at); }
ssize_t pwritev64(int fd, const struct iovec* pieces, int count, off_t at) { return write_at(fd, pieces, count, at); }
