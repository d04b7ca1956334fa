/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_gdb_server_seeds DIRECTORY: what real gdbs send, a session a file, as lines and as it is on the line. */
#include <stdio.h>
#include <string.h>

#include "emu/base/count.h"

static const char handshake[] =
    "qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+\nvMustReplyEmpty\nQStartNoAckMode\nHg0\n"
    "qXfer:features:read:target.xml:0,1000\nqTStatus\n?\nqfThreadInfo\nqsThreadInfo\nqThreadExtraInfo,1\nqAttached\n"
    "Hc-1\nqC\ng\np10\nqOffsets\nm100000,40\nT2";
static const char breakpoints[] =
    "Z0,10000a,1\nvCont?\nvCont;c\nvCont;s:1;c\nvCont;S05:1;C05\nbs\nbc\nz0,10000a,1\nc\nbc\ns\nS05\nC05\nk";
static const char watchpoints[] =
    "Z2,300000,4\nZ3,300004,4\nZ4,310000,10\nvCont;c\nvCont;c\nbc\nbs\nz2,300000,4\nz3,300004,4\nz4,310000,10\nc\nD";
static const char writes[] =
    "M300000,4:01020304\nX300000,2:ab\nP8=00001000\nP9=02000000\nG00\ns\nm300000,10\nbs\nc\nbc\nvKill;1";
static const char monitor[] =
    "qRcmd,68656c70\nqRcmd,706f736974696f6e\nqRcmd,676f746f203230\nqRcmd,6576656e7473\nqRcmd,74696d657273\n"
    "qRcmd,687970657263616c6c73\nqRcmd,646967657374\nqRcmd,7663707573\nqRcmd,686973746f7279";
static const char threads[] =
    "Z1,100027,1\nc\ng\ns\ns\ns\nbs\nbs\nbs\nHg2\ng\nHc2\ns\nbs\nHgffffffff\nm0,ffffffff\nm,\nZ9,0,0";
static const char *const sessions[] = {handshake, breakpoints, watchpoints, writes, monitor, threads};

static int write_session(const char *folder, unsigned n, int lines)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/session-%u-%d", folder, n, lines);
    f = fopen(path, "wb");
    if (!f)
        return 5;
    fputc(lines, f);
    if (lines) {
        fputs(sessions[n], f);
        return fclose(f) ? 5 : 0;
    }
    for (const char *at = sessions[n]; *at;) {
        size_t bytes = strcspn(at, "\n");
        unsigned sum = 0;

        for (size_t i = 0; i < bytes; i++)
            sum += (unsigned char)at[i];
        fprintf(f, "+$%.*s#%02x", (int)bytes, at, sum & 255);
        at += bytes + (at[bytes] == '\n');
    }
    return fclose(f) ? 5 : 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (unsigned n = 0; n < COUNT(sessions); n++)
        if (write_session(argv[1], n, 0) || write_session(argv[1], n, 1))
            return 5;
    return 0;
}
