// LD_PRELOAD shim: wall and steady clock are ahead by as many seconds as the file $CLOCK_SHIFT says.
// The file is mapped, not read, so that a shift is seen at once: a decimal number, zero-padded.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const char* shift_text(void) {
  static const char* text;
  if (text == NULL) {
    const char* name = getenv("CLOCK_SHIFT");
    const int fd = name == NULL ? -1 : open(name, O_RDONLY);
    void* map = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    text = map == MAP_FAILED ? "0" : (const char*)map;
    if (fd >= 0) close(fd);
  }
  return text;
}

int clock_gettime(clockid_t id, struct timespec* at) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(id, at);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC)) at->tv_sec += atol(shift_text());
  return result;
}

/// A deadline is told by the shifted clock, the kernel waits by its own.
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t id, const struct timespec* until) {
  static int (*real)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const struct timespec*);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  struct timespec deadline = *until;
  deadline.tv_sec -= atol(shift_text());
  if (deadline.tv_sec < 0) deadline.tv_sec = 0;
  return real(condition, mutex, id, &deadline);
}
