// LD_PRELOAD shim: writes down what is done to the files of $DISK_DIR, and which of it was synced, so that a test can
// make the disk as a power cut could have left it (tests/system/disk.py). It also fails an operation that is asked for.
//
//   DISK_DIR   the folder; one level of folders below it is watched too
//   DISK_LOG   where to append the records
//   DISK_FAIL  "N ERRNO": the Nth operation, counted from 1, fails; "N ERRNO on": and each later one of its kind.
//              A write that fails of ENOSPC gets half way first.
//   DISK_SLOW  microseconds by which each sync is slower
//
// A record: { char kind; char failed; u32 length; u64 inode; u64 offset } and `length` octets, in host order:
//   C path created    O path opened     T size is offset    W octets at offset    S synced
//   D folder synced   R renamed, "old\0new"                 U path removed        A allocated to size offset
// What changes something is written down before it is done, a sync after it has succeeded: what stands before a sync of
// the same file is on the disk.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MOST_FDS 65536

struct record {
  char kind, failed;
  uint32_t length;
  uint64_t inode, offset;
} __attribute__((packed));

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t inodes[MOST_FDS];  // 0: not ours
static char appends[MOST_FDS];
static long operations, fail_at;
static int fail_with, fail_on, log_fd = -1;
static useconds_t slow_us;
static char failing_kind;
static const char* folder;
static ssize_t (*real_write)(int, const void*, size_t);

__attribute__((constructor)) static void begin(void) {
  real_write = REAL(write);
  const char* log = getenv("DISK_LOG");
  const char* fail = getenv("DISK_FAIL");
  char on[8] = "";
  if (fail != NULL && sscanf(fail, "%ld %d %7s", &fail_at, &fail_with, on) == 3) fail_on = 1;
  if (log != NULL) log_fd = REAL(open64)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const char* slow = getenv("DISK_SLOW");
  if (slow != NULL) slow_us = (useconds_t)atoi(slow);
  folder = getenv("DISK_DIR");
  if (log_fd < 0) folder = NULL;
}

static int is_ours(const char* path) {
  if (folder == NULL || path == NULL) return 0;
  const size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static uint64_t inode_of(int fd) { return fd >= 0 && fd < MOST_FDS ? inodes[fd] : 0; }

/// The mutex is held. The log must be whole: what can't be written down must not happen.
static void note(char kind, int failed, uint64_t inode, uint64_t offset, const struct iovec* pieces, int count,
                 size_t length) {
  struct record record = {kind, (char)failed, (uint32_t)length, inode, offset};
  struct iovec first = {&record, sizeof record};
  if (REAL(writev)(log_fd, &first, 1) != sizeof record) abort();
  for (int i = 0; i < count && length > 0; ++i) {
    const char* at = pieces[i].iov_base;
    size_t rest = pieces[i].iov_len < length ? pieces[i].iov_len : length;
    length -= rest;
    while (rest > 0) {
      const ssize_t n = real_write(log_fd, at, rest);
      if (n <= 0) abort();
      at += n;
      rest -= (size_t)n;
    }
  }
}

static void note_text(char kind, int failed, uint64_t inode, const char* text, size_t length) {
  const struct iovec piece = {(void*)text, length};
  note(kind, failed, inode, 0, &piece, 1, length);
}

/// The mutex is held. True if this operation must fail.
static int must_fail(char kind) {
  ++operations;
  const int takes_space = kind == 'W' || kind == 'A' || kind == 'C';
  const int failed_takes_space = failing_kind == 'W' || failing_kind == 'A' || failing_kind == 'C';
  const int again = fail_on && failing_kind != 0 && (kind == failing_kind || (takes_space && failed_takes_space));
  if (operations != fail_at && !again) return 0;
  if (failing_kind == 0) failing_kind = kind;
  return 1;
}

static int open_file(const char* path, int flags, mode_t mode) {
  if (!is_ours(path)) return REAL(open64)(path, flags, mode);
  pthread_mutex_lock(&mutex);
  struct stat64 info;
  const int fresh = (flags & O_CREAT) != 0 && stat64(path, &info) != 0;
  int fd = -1;
  if (fresh && must_fail('C')) {
    note_text('C', 1, 0, path, strlen(path));
    errno = fail_with;
  } else {
    fd = REAL(open64)(path, flags, mode);
  }
  if (fd >= 0 && fd < MOST_FDS && fstat64(fd, &info) == 0) {
    inodes[fd] = info.st_ino;
    appends[fd] = (flags & O_APPEND) != 0;
    if (!S_ISDIR(info.st_mode)) note_text(fresh ? 'C' : 'O', 0, info.st_ino, path, strlen(path));
    if ((flags & O_TRUNC) != 0 && !fresh) note('T', 0, info.st_ino, 0, NULL, 0, 0);
  }
  pthread_mutex_unlock(&mutex);
  return fd;
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_file(path, flags, mode);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_file(path, flags, mode);
}

int close(int fd) {
  if (inode_of(fd) != 0) inodes[fd] = 0;
  return REAL(close)(fd);
}

static ssize_t write_pieces(int fd, const struct iovec* pieces, int count, int64_t offset) {
  pthread_mutex_lock(&mutex);
  size_t length = 0;
  for (int i = 0; i < count; ++i) length += pieces[i].iov_len;
  ssize_t result = -1;
  if (!must_fail('W')) {
    note('W', 0, inodes[fd], (uint64_t)offset, pieces, count, length);
    result = REAL(pwritev64)(fd, pieces, count, offset);
  } else {
    const size_t half = fail_with == ENOSPC ? length / 2 : 0;
    note('W', 1, inodes[fd], (uint64_t)offset, pieces, count, half);
    size_t rest = half;
    for (int i = 0; i < count && rest > 0; ++i) {
      struct iovec piece = pieces[i];
      if (piece.iov_len > rest) piece.iov_len = rest;
      if (REAL(pwritev64)(fd, &piece, 1, offset + (int64_t)(half - rest)) != (ssize_t)piece.iov_len) abort();
      rest -= piece.iov_len;
    }
    errno = fail_with;
  }
  const int error = errno;
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}

ssize_t pwritev64(int fd, const struct iovec* pieces, int count, off64_t offset) {
  if (inode_of(fd) == 0) return REAL(pwritev64)(fd, pieces, count, offset);
  return write_pieces(fd, pieces, count, offset);
}

ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  return pwritev64(fd, pieces, count, offset);
}

/// Ours are appended to: the end of the file is where it goes.
ssize_t write(int fd, const void* octets, size_t length) {
  if (inode_of(fd) == 0) return real_write(fd, octets, length);
  struct stat64 info;
  const off64_t at = appends[fd] && fstat64(fd, &info) == 0 ? info.st_size : lseek64(fd, 0, SEEK_CUR);
  const struct iovec piece = {(void*)octets, length};
  const ssize_t result = write_pieces(fd, &piece, 1, at);
  if (result > 0) lseek64(fd, at + result, SEEK_SET);
  return result;
}

static int sync_file(int fd) {
  struct stat64 info;
  const char kind = fstat64(fd, &info) == 0 && S_ISDIR(info.st_mode) ? 'D' : 'S';
  pthread_mutex_lock(&mutex);
  const int fails = must_fail(kind);
  pthread_mutex_unlock(&mutex);
  if (slow_us > 0) usleep(slow_us);
  // The others may write meanwhile; nobody writes to this file.
  const int result = fails ? -1 : REAL(fdatasync)(fd);
  pthread_mutex_lock(&mutex);
  note(kind, fails, inodes[fd], 0, NULL, 0, 0);
  pthread_mutex_unlock(&mutex);
  if (fails) errno = fail_with;
  return result;
}

int fdatasync(int fd) { return inode_of(fd) == 0 ? REAL(fdatasync)(fd) : sync_file(fd); }
int fsync(int fd) { return inode_of(fd) == 0 ? REAL(fsync)(fd) : sync_file(fd); }

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
  if (inode_of(fd) == 0) return REAL(posix_fallocate64)(fd, offset, length);
  pthread_mutex_lock(&mutex);
  const int fails = must_fail('A');
  note('A', fails, inodes[fd], (uint64_t)(offset + length), NULL, 0, 0);
  const int result = fails ? fail_with : REAL(posix_fallocate64)(fd, offset, length);
  pthread_mutex_unlock(&mutex);
  return result;
}

int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

int rename(const char* from, const char* to) {
  if (!is_ours(from)) return REAL(rename)(from, to);
  char text[8192];
  const int length = snprintf(text, sizeof text, "%s%c%s", from, '\0', to);
  pthread_mutex_lock(&mutex);
  const int fails = must_fail('R');
  note_text('R', fails, 0, text, (size_t)length);
  const int result = fails ? -1 : REAL(rename)(from, to);
  const int error = fails ? fail_with : errno;
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}

int unlink(const char* path) {
  if (!is_ours(path)) return REAL(unlink)(path);
  struct stat64 info;
  if (stat64(path, &info) != 0) return REAL(unlink)(path);
  pthread_mutex_lock(&mutex);
  const int fails = must_fail('U');
  note_text('U', fails, info.st_ino, path, strlen(path));
  const int result = fails ? -1 : REAL(unlink)(path);
  const int error = fails ? fail_with : errno;
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}
