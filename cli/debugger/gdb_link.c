/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/gdb_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RECEIVE_BYTES 4096u
/* How long a wait is at most: a signal may come just before it begins. */
#define PAUSE_MS 500

struct gdb_link {
    int listener, peer; /* -1: none */
    char address[GDB_LINK_ADDRESS_BYTES];
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "" for TCP */
    bool acknowledges;
    struct gdb_reader reader;
    uint8_t received[RECEIVE_BYTES];
    size_t received_at, received_bytes;
    char frame[GDB_FRAME_BYTES_MAX]; /* the last that was sent */
    size_t frame_bytes;
};

static enum emu_err listen_at(struct gdb_link *l, const struct sockaddr *where, socklen_t bytes, const char *address,
                              struct diag *d)
{
    int yes = 1;

    l->listener = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->listener < 0)
        return diag_set(d, EMU_EHOST, "the host gives no socket: %s", strerror(errno));
    if (where->sa_family == AF_INET)
        (void)setsockopt(l->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(l->listener, where, bytes) || listen(l->listener, 1))
        return diag_set(d, EMU_EINPUT, "--gdb %s: can't listen there: %s%s", address, strerror(errno),
                        errno == EADDRINUSE ? "; take another one, or :0 for a free port" : "");
    return EMU_OK;
}

static enum emu_err listen_unix(struct gdb_link *l, const char *path, struct diag *d)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    enum emu_err err;
    mode_t before;

    if (strlen(path) >= sizeof(where.sun_path) || strlen(path) >= sizeof(l->address))
        return diag_set(d, EMU_EINPUT, "--gdb %s: a socket's path has at most %zu characters", path,
                        sizeof(where.sun_path) - 1);
    strcpy(where.sun_path, path);
    /* Nobody else may write to it, from its first moment on: whoever is connected reads and writes the guest. */
    before = umask(S_IRWXG | S_IRWXO | S_IXUSR);
    err = listen_at(l, (struct sockaddr *)&where, sizeof(where), path, d);
    umask(before);
    if (err == EMU_OK) {
        strcpy(l->path, path);
        strcpy(l->address, path);
    }
    return err;
}

static enum emu_err listen_tcp(struct gdb_link *l, const char *address, struct diag *d)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *colon = strrchr(address, ':');
    socklen_t bytes = sizeof(where);
    char host[64], *end;
    unsigned long port;
    enum emu_err err;

    if (!colon || (size_t)(colon - address) >= sizeof(host))
        return diag_set(d, EMU_EINPUT,
                        "--gdb takes 127.0.0.1:PORT, :PORT, or the path of a Unix socket with a '/', not '%s'",
                        address);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port > 65535)
        return diag_set(d, EMU_EINPUT, "--gdb %s: a port is a number from 0 (any free one) to 65535", address);
    if (*host && strcmp(host, "localhost") &&
        (inet_pton(AF_INET, host, &where.sin_addr) != 1 || ntohl(where.sin_addr.s_addr) >> 24 != 127))
        return diag_set(d, EMU_EINPUT,
                        "--gdb %s: only this machine's loopback address (127.0.0.1) is listened on; use an SSH tunnel "
                        "from elsewhere",
                        address);
    where.sin_port = htons((uint16_t)port);
    err = listen_at(l, (struct sockaddr *)&where, sizeof(where), address, d);
    if (err != EMU_OK)
        return err;
    if (getsockname(l->listener, (struct sockaddr *)&where, &bytes) ||
        !inet_ntop(AF_INET, &where.sin_addr, host, sizeof(host)))
        return diag_set(d, EMU_EHOST, "the host does not say which port it gave: %s", strerror(errno));
    snprintf(l->address, sizeof(l->address), "%s:%u", host, ntohs(where.sin_port));
    return EMU_OK;
}

enum emu_err gdb_link_new(const char *address, struct gdb_link **out, struct diag *d)
{
    struct gdb_link *l = calloc(1, sizeof(*l));
    enum emu_err err;

    if (!l)
        return diag_no_memory(d);
    l->listener = l->peer = -1;
    err = strchr(address, '/') ? listen_unix(l, address, d) : listen_tcp(l, address, d);
    if (err != EMU_OK) {
        gdb_link_free(l);
        return err;
    }
    *out = l;
    return EMU_OK;
}

void gdb_link_free(struct gdb_link *l)
{
    if (!l)
        return;
    gdb_link_close(l);
    if (l->listener >= 0)
        close(l->listener);
    if (l->path[0])
        (void)unlink(l->path);
    free(l);
}

const char *gdb_link_address(const struct gdb_link *l)
{
    return l->address;
}

/* Whether there is something to take from the socket. */
static bool wait_for(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) > 0;
}

enum gdb_link_event gdb_link_accept(struct gdb_link *l)
{
    int yes = 1;

    gdb_link_close(l);
    if (!wait_for(l->listener, PAUSE_MS))
        return GDB_LINK_PAUSE;
    l->peer = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC);
    if (l->peer < 0)
        return errno == ECONNABORTED || errno == EINTR ? GDB_LINK_PAUSE : GDB_LINK_CLOSED;
    if (!l->path[0])
        (void)setsockopt(l->peer, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    memset(&l->reader, 0, sizeof(l->reader));
    l->acknowledges = true;
    l->received_at = l->received_bytes = l->frame_bytes = 0;
    return GDB_LINK_PACKET;
}

void gdb_link_close(struct gdb_link *l)
{
    if (l->peer >= 0)
        close(l->peer);
    l->peer = -1;
}

static void send_all(struct gdb_link *l, const char *bytes, size_t count)
{
    while (count && l->peer >= 0) {
        ssize_t sent = send(l->peer, bytes, count, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) {
            gdb_link_close(l);
            return;
        }
        bytes += sent;
        count -= (size_t)sent;
    }
}

void gdb_link_send(struct gdb_link *l, const struct gdb_writer *w)
{
    l->frame_bytes = gdb_frame(w, l->frame);
    send_all(l, l->frame, l->frame_bytes);
}

void gdb_link_stop_acknowledging(struct gdb_link *l)
{
    l->acknowledges = false;
}

/* One input from the bytes that are there. */
static enum gdb_input take_input(struct gdb_link *l)
{
    while (l->received_at < l->received_bytes) {
        enum gdb_input input = gdb_reader_feed(&l->reader, l->received[l->received_at++]);

        if (input == GDB_INPUT_RESEND && l->acknowledges)
            send_all(l, l->frame, l->frame_bytes);
        else if (l->acknowledges && (input == GDB_INPUT_PACKET || input == GDB_INPUT_DAMAGED))
            send_all(l, input == GDB_INPUT_PACKET ? "+" : "-", 1);
        if (input == GDB_INPUT_PACKET || input == GDB_INPUT_INTERRUPT)
            return input;
    }
    return GDB_INPUT_NONE;
}

static ssize_t read_more(struct gdb_link *l, int flags)
{
    ssize_t got = recv(l->peer, l->received, sizeof(l->received), flags);

    l->received_at = 0;
    l->received_bytes = got > 0 ? (size_t)got : 0;
    return got;
}

enum gdb_link_event gdb_link_receive(struct gdb_link *l, const struct gdb_reader **packet)
{
    for (;;) {
        enum gdb_input input = take_input(l);
        ssize_t got;

        if (input == GDB_INPUT_PACKET) {
            *packet = &l->reader;
            return GDB_LINK_PACKET;
        }
        if (input == GDB_INPUT_INTERRUPT)
            return GDB_LINK_INTERRUPT;
        if (l->peer < 0)
            return GDB_LINK_CLOSED;
        if (!wait_for(l->peer, PAUSE_MS))
            return GDB_LINK_PAUSE;
        got = read_more(l, 0);
        if (got < 0 && errno == EINTR)
            return GDB_LINK_PAUSE;
        if (got <= 0) {
            gdb_link_close(l);
            return GDB_LINK_CLOSED;
        }
    }
}

bool gdb_link_interrupted(struct gdb_link *l)
{
    if (l->peer < 0)
        return true;
    /* A packet that comes now is for later: only what precedes it is looked at. */
    for (;;) {
        ssize_t got;

        while (l->received_at < l->received_bytes && l->received[l->received_at] != '$') {
            if (gdb_reader_feed(&l->reader, l->received[l->received_at++]) == GDB_INPUT_INTERRUPT)
                return true;
        }
        if (l->received_at < l->received_bytes || !wait_for(l->peer, 0))
            return false;
        got = read_more(l, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (got <= 0) { /* 0: it is gone, and errno is somebody else's */
            gdb_link_close(l);
            return true;
        }
    }
}
