/* Lets one call on a file below a directory fail, chosen by number: loaded by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct plan {
  pid_t process;       /* whose calls fail; 0: nobody's */
  int left;            /* this many calls succeed first */
  int error;           /* errno */
  int forever;         /* all further ones fail too */
  int hits;
  char call[32];
  char place[512];
};

static struct plan *plan; /* shared with children, so that whoever armed it sees the hits */

/* A string of CALL:LEFT:ERRNO:FOREVER:PLACE arms it for a program that is started. */
__attribute__((constructor)) static void begin(void) {
  plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const char *text = getenv("DISKGEN_TEST_FAULT");
  if (text && sscanf(text, "%31[^:]:%d:%d:%d:%511[^\n]", plan->call, &plan->left, &plan->error,
                     &plan->forever, plan->place) == 5)
    plan->process = getpid();
}

void arm(pid_t process, const char *call, int left, int error, int forever, const char *place) {
  snprintf(plan->call, sizeof plan->call, "%s", call);
  snprintf(plan->place, sizeof plan->place, "%s", place);
  plan->left = left;
  plan->error = error;
  plan->forever = forever;
  plan->hits = 0;
  plan->process = process;
}

int disarm(void) {
  plan->process = 0;
  return plan->hits;
}

static int below(const char *path) {
  size_t size = strlen(plan->place);
  return strncmp(path, plan->place, size) == 0;
}

static int fd_below(int fd) {
  char link[64], path[600];
  if (fd == AT_FDCWD) return getcwd(path, sizeof path) && below(path);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  return below(path);
}

static int path_below(int fd, const char *path) {
  return path && (path[0] == '/' ? below(path) : fd_below(fd));
}

static int counted(const char *call) {
  return plan && plan->process && plan->process == getpid() && strcmp(plan->call, call) == 0;
}

static int fails(void) {
  if (plan->left > 0) {
    plan->left--;
    return 0;
  }
  if (plan->hits && !plan->forever) return 0;
  plan->hits++;
  errno = plan->error;
  return 1;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define BY_FD(type, name, call, parameters, arguments) \
  type name parameters { \
    REAL(name); \
    if (counted(call) && fd_below(fd) && fails()) return -1; \
    return real arguments; \
  }

#define BY_PATH(type, name, call, at, path, parameters, arguments) \
  type name parameters { \
    REAL(name); \
    if (counted(call) && path_below(at, path) && fails()) return -1; \
    return real arguments; \
  }

#define OPEN(name, at, parameters, ...) \
  int name parameters { \
    REAL(name); \
    int mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list list; \
      va_start(list, flags); \
      mode = va_arg(list, int); \
      va_end(list); \
    } \
    if (counted("open") && path_below(at, path) && fails()) return -1; \
    return real(__VA_ARGS__, flags, mode); \
  }

BY_FD(ssize_t, read, "read", (int fd, void *data, size_t size), (fd, data, size))
BY_FD(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size))
BY_FD(ssize_t, pread, "pread", (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
BY_FD(ssize_t, pread64, "pread", (int fd, void *data, size_t size, off64_t at),
      (fd, data, size, at))
BY_FD(ssize_t, pwrite, "pwrite", (int fd, const void *data, size_t size, off_t at),
      (fd, data, size, at))
BY_FD(ssize_t, pwrite64, "pwrite", (int fd, const void *data, size_t size, off64_t at),
      (fd, data, size, at))
BY_FD(ssize_t, preadv64v2, "pread",
      (int fd, const struct iovec *data, int count, off64_t at, int flags),
      (fd, data, count, at, flags))
BY_FD(ssize_t, pwritev64v2, "pwrite",
      (int fd, const struct iovec *data, int count, off64_t at, int flags),
      (fd, data, count, at, flags))
BY_FD(int, ftruncate, "ftruncate", (int fd, off_t size), (fd, size))
BY_FD(int, ftruncate64, "ftruncate", (int fd, off64_t size), (fd, size))
BY_FD(int, fsync, "fsync", (int fd), (fd))
BY_FD(int, fdatasync, "fsync", (int fd), (fd))
BY_FD(off64_t, lseek64, "lseek", (int fd, off64_t at, int how), (fd, at, how))
BY_FD(int, flock, "flock", (int fd, int how), (fd, how))
BY_FD(ssize_t, copy_file_range, "copy_file_range",
      (int fd, off64_t *from, int out, off64_t *to, size_t size, unsigned flags),
      (fd, from, out, to, size, flags))
BY_PATH(int, rename, "rename", AT_FDCWD, from, (const char *from, const char *to), (from, to))
BY_PATH(int, link, "link", AT_FDCWD, from, (const char *from, const char *to), (from, to))
BY_PATH(int, linkat, "link", fd, from, (int fd, const char *from, int to_fd, const char *to,
        int flags), (fd, from, to_fd, to, flags))
BY_PATH(int, mkdir, "mkdir", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
BY_PATH(int, unlink, "unlink", AT_FDCWD, path, (const char *path), (path))
BY_PATH(int, chmod, "chmod", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), path)
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), path)
OPEN(openat, fd, (int fd, const char *path, int flags, ...), fd, path)
OPEN(openat64, fd, (int fd, const char *path, int flags, ...), fd, path)
