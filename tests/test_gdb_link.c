/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket that gdb connects to: who may, and when it has gone. */
#include "tests/cmocka_tap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/debugger/gdb_link.h"
#include "emu/base/count.h"

static mode_t mode_at_bind;

/* In place of the C library's: what others find in the moment in which the socket appears. */
int bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
    long result = syscall(SYS_bind, fd, address, bytes);
    struct stat s;

    if (!result && address->sa_family == AF_UNIX &&
        !stat(((const struct sockaddr_un *)(const void *)address)->sun_path, &s))
        mode_at_bind = s.st_mode & 0777;
    return (int)result;
}

struct fixture {
    char folder[32], path[64];
    struct gdb_link *link;
    int peer;
};

static void set_up(struct fixture *f)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct diag d;

    strcpy(f->folder, "/tmp/gdb-link-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
    assert_int_equal(gdb_link_new(f->path, &f->link, &d), EMU_OK);
    f->peer = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(where.sun_path, f->path);
    assert_int_equal(connect(f->peer, (struct sockaddr *)&where, sizeof(where)), 0);
    assert_int_equal(gdb_link_accept(f->link), GDB_LINK_PACKET);
}

static void tear_down(struct fixture *f)
{
    gdb_link_free(f->link);
    rmdir(f->folder);
}

static void nobody_else_may_connect_from_the_first_moment_on(void **state)
{
    mode_t before = umask(0);
    struct fixture f;

    mode_at_bind = 0777;
    set_up(&f);
    assert_int_equal(mode_at_bind, 0600);
    assert_int_equal(umask(before), 0);
    close(f.peer);
    tear_down(&f);
}

static void a_gdb_that_goes_away_ends_a_run_whatever_errno_was(void **state)
{
    static const int errors[] = {0, EAGAIN, EINTR, EPIPE};

    for (size_t i = 0; i < COUNT(errors); i++) {
        struct fixture f;

        set_up(&f);
        assert_false(gdb_link_interrupted(f.link));
        close(f.peer);
        errno = errors[i];
        assert_true(gdb_link_interrupted(f.link));
        tear_down(&f);
    }
}

static void a_ctrl_c_ends_a_run_and_a_packet_does_not(void **state)
{
    struct fixture f;

    set_up(&f);
    assert_int_equal(send(f.peer, "+", 1, 0), 1);
    assert_false(gdb_link_interrupted(f.link));
    assert_int_equal(send(f.peer, "\003", 1, 0), 1);
    assert_true(gdb_link_interrupted(f.link));
    close(f.peer);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_else_may_connect_from_the_first_moment_on),
        cmocka_unit_test(a_gdb_that_goes_away_ends_a_run_whatever_errno_was),
        cmocka_unit_test(a_ctrl_c_ends_a_run_and_a_packet_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
