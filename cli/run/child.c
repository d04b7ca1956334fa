/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run/console.h"
#include "cli/run/host_time.h"
#include "emu/base/vec.h"

#define CHILDREN_MAX 256u
#define SHOW_MS      1000

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

enum emu_err child_start(struct child *c, const char *program, char *const *argv, struct diag *d)
{
    posix_spawn_file_actions_t actions;
    int out[2] = {-1, -1}, errors[2] = {-1, -1}, bad;

    *c = (struct child){.fd = {-1, -1}};
    if (pipe2(out, O_CLOEXEC) || pipe2(errors, O_CLOEXEC) || posix_spawn_file_actions_init(&actions)) {
        bad = errno;
        close_fd(&out[0]);
        close_fd(&out[1]);
        close_fd(&errors[0]);
        close_fd(&errors[1]);
        return diag_set(d, EMU_EHOST, "a pipe can't be made: %s", strerror(bad));
    }
    bad = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!bad)
        bad = posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (!bad)
        bad = posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
    if (!bad)
        bad = posix_spawn(&c->pid, program ? program : "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close_fd(&out[1]);
    close_fd(&errors[1]);
    c->fd[0] = out[0];
    c->fd[1] = errors[0];
    if (!bad)
        return EMU_OK;
    c->pid = 0;
    child_fini(c);
    return diag_set(d, EMU_EHOST, "%s can't be started: %s", program ? program : argv[0], strerror(bad));
}

/* Take what is there; the last byte of the room stays a zero. */
static void take(struct child *c, unsigned stream)
{
    char spill[4096], *to = spill;
    size_t room = sizeof(spill);
    ssize_t n;

    if (c->bytes[stream] + 2 <= CHILD_TEXT_BYTES_MAX &&
        vec_reserve(&c->text[stream], &c->room[stream], c->bytes[stream] + 2, 4096, 1))
        c->text[stream][c->bytes[stream]] = '\0';
    if (c->bytes[stream] + 1 < c->room[stream]) {
        to = c->text[stream] + c->bytes[stream];
        room = c->room[stream] - c->bytes[stream] - 1;
    }
    n = read(c->fd[stream], to, room);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) {
        close_fd(&c->fd[stream]);
    } else if (to != spill) {
        c->bytes[stream] += (size_t)n;
        c->text[stream][c->bytes[stream]] = '\0';
    }
}

/* True when it has ended and is reaped. */
static bool reap(struct child *c)
{
    int status;

    if (!c->pid || c->fd[0] >= 0 || c->fd[1] >= 0)
        return false;
    while (waitpid(c->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            status = 127 << 8;
            break;
        }
    }
    c->pid = 0;
    c->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

int child_wait_any(struct child *children, unsigned count, int timeout_ms)
{
    struct pollfd polled[2 * CHILDREN_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++) {
        if (reap(&children[i]))
            return (int)i;
    }
    for (unsigned i = 0; i < count && i < CHILDREN_MAX; i++) {
        for (unsigned s = 0; s < 2; s++)
            polled[n++] = (struct pollfd){.fd = children[i].pid ? children[i].fd[s] : -1, .events = POLLIN};
    }
    if (poll(polled, n, timeout_ms) <= 0)
        return -1;
    for (unsigned i = 0; i < n; i++) {
        if (polled[i].fd >= 0 && polled[i].revents)
            take(&children[i / 2], i % 2);
    }
    for (unsigned i = 0; i < count; i++) {
        if (reap(&children[i]))
            return (int)i;
    }
    return -1;
}

void child_wait_showing(struct child *c, const char *what)
{
    struct console console = {.to = NULL};
    double started_s = host_time_s();
    char line[256];

    while (child_wait_any(c, 1, SHOW_MS) < 0) {
        snprintf(line, sizeof(line), "[%.0f s] %s", host_time_s() - started_s, what);
        console_progress(&console, line);
    }
    console_progress(&console, NULL);
}

void child_stop(struct child *c)
{
    if (c->pid)
        kill(c->pid, SIGTERM);
}

void child_fini(struct child *c)
{
    close_fd(&c->fd[0]);
    close_fd(&c->fd[1]);
    if (c->pid) {
        child_stop(c);
        reap(c);
    }
    free(c->text[0]);
    free(c->text[1]);
    *c = (struct child){.fd = {-1, -1}};
}

const char *child_output(const struct child *c)
{
    return c->text[0] ? c->text[0] : "";
}

const char *child_errors(const struct child *c)
{
    return c->text[1] ? c->text[1] : "";
}
