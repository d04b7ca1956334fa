/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/snapshot_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emu/base/vec.h"
#include "emu/build_id.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SUFFIX     ".snap"
#define KEY_DIGITS (SNAPSHOT_CACHE_KEY_BYTES - 1u)

enum emu_err snapshot_cache_init(struct snapshot_cache *c, const char *folder, uint64_t bytes_max, struct diag *d)
{
    if (!*folder || strlen(folder) >= sizeof(c->folder))
        return diag_set(d, EMU_EINPUT, "the name of the cache's folder is empty or too long");
    memcpy(c->folder, folder, strlen(folder) + 1);
    c->bytes_max = bytes_max;
    for (char *slash = strchr(c->folder + 1, '/');; slash = strchr(slash + 1, '/')) {
        int made;

        if (slash)
            *slash = '\0';
        made = mkdir(c->folder, 0777);
        if (slash)
            *slash = '/';
        if (made < 0 && errno != EEXIST && !(slash && (errno == EROFS || errno == EACCES)))
            return diag_set_at(d, EMU_EINPUT, folder, 0, "can't be made: %s", strerror(errno));
        if (!slash)
            break;
    }
    return EMU_OK;
}

void snapshot_cache_key(const char *case_text, const char *place, char key[SNAPSHOT_CACHE_KEY_BYTES])
{
    char build[BUILD_ID_BYTES];
    XXH128_canonical_t canonical;
    XXH128_hash_t sum;
    uint64_t seed;

    build_id(build);
    seed = XXH3_64bits_withSeed(build, sizeof(build), SNAPSHOT_FILE_FORMAT);
    seed = XXH3_64bits_withSeed(place, strlen(place) + 1, seed);
    sum = XXH3_128bits_withSeed(case_text, strlen(case_text), seed);
    XXH128_canonicalFromHash(&canonical, sum);
    for (unsigned i = 0; i < sizeof(canonical.digest); i++)
        snprintf(key + 2 * i, 3, "%02x", canonical.digest[i]);
}

static void path_of(const struct snapshot_cache *c, const char *key, char path[static SNAPSHOT_CACHE_FOLDER_BYTES + 64])
{
    snprintf(path, SNAPSHOT_CACHE_FOLDER_BYTES + 64, "%s/%.*s%s", c->folder, (int)KEY_DIGITS, key, SUFFIX);
}

enum emu_err snapshot_cache_get(const struct snapshot_cache *c, const char *key, struct snapshot_file **out,
                                struct diag *d)
{
    char path[SNAPSHOT_CACHE_FOLDER_BYTES + 64];
    struct diag why;
    enum emu_err err;

    *out = NULL;
    path_of(c, key, path);
    if (access(path, F_OK) < 0)
        return EMU_OK;
    diag_init(&why);
    err = snapshot_file_open(path, out, &why);
    if (err == EMU_OK) {
        (void)!utimensat(AT_FDCWD, path, NULL, 0);
        return EMU_OK;
    }
    *out = NULL;
    if (err == EMU_EHOST) {
        *d = why;
        return err;
    }
    unlink(path);
    return EMU_OK;
}

enum emu_err snapshot_cache_put(const struct snapshot_cache *c, const char *key, struct machine *m,
                                const char *case_text, struct diag *d)
{
    char path[SNAPSHOT_CACHE_FOLDER_BYTES + 64];
    enum emu_err err;

    path_of(c, key, path);
    err = snapshot_file_write(m, case_text, path, d);
    return err == EMU_OK ? snapshot_cache_trim(c, c->bytes_max, NULL, d) : err;
}

/* A key and the suffix, nothing else: what else is in the folder is not ours. */
static bool is_entry(const char *name)
{
    return strspn(name, "0123456789abcdef") == KEY_DIGITS && !strcmp(name + KEY_DIGITS, SUFFIX);
}

static bool is_temporary(const char *name)
{
    return strspn(name, "0123456789abcdef") == KEY_DIGITS &&
           !strncmp(name + KEY_DIGITS, SUFFIX SNAPSHOT_FILE_TEMPORARY, strlen(SUFFIX SNAPSHOT_FILE_TEMPORARY));
}

static int by_use(const void *a, const void *b)
{
    const struct snapshot_cache_entry *x = a, *y = b;

    if (x->used_ns != y->used_ns)
        return x->used_ns < y->used_ns ? 1 : -1;
    return strcmp(x->key, y->key);
}

enum emu_err snapshot_cache_list(const struct snapshot_cache *c, struct snapshot_cache_entry **entries, size_t *count,
                                 struct diag *d)
{
    struct snapshot_cache_entry *list = NULL;
    size_t n = 0, room = 0;
    struct dirent *e;
    DIR *dir = opendir(c->folder);

    if (!dir)
        return diag_set_at(d, EMU_EINPUT, c->folder, 0, "can't be read: %s", strerror(errno));
    while ((e = readdir(dir))) {
        struct stat st;

        if (!is_entry(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (!vec_reserve(&list, &room, n + 1, 64, sizeof(*list))) {
            free(list);
            closedir(dir);
            return diag_no_memory(d);
        }
        memcpy(list[n].key, e->d_name, KEY_DIGITS);
        list[n].key[KEY_DIGITS] = '\0';
        path_of(c, list[n].key, list[n].path);
        list[n].bytes = (uint64_t)st.st_size;
        list[n++].used_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    }
    closedir(dir);
    if (n)
        qsort(list, n, sizeof(*list), by_use);
    *entries = list;
    *count = n;
    return EMU_OK;
}

/* Temporary files are locked while their writers live. */
static void drop_left_behind(const struct snapshot_cache *c)
{
    DIR *dir = opendir(c->folder);
    struct dirent *e;

    while (dir && (e = readdir(dir))) {
        int fd;

        if (!is_temporary(e->d_name))
            continue;
        fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
        close(fd);
    }
    if (dir)
        closedir(dir);
}

enum emu_err snapshot_cache_trim(const struct snapshot_cache *c, uint64_t bytes_max, size_t *dropped, struct diag *d)
{
    struct snapshot_cache_entry *entries = NULL;
    uint64_t bytes = 0;
    size_t count = 0, gone = 0;
    enum emu_err err;

    drop_left_behind(c);
    err = snapshot_cache_list(c, &entries, &count, d);
    if (err != EMU_OK)
        return err;
    for (size_t i = 0; i < count; i++) {
        bytes += entries[i].bytes;
        if (bytes > bytes_max && unlink(entries[i].path) == 0)
            gone++;
    }
    free(entries);
    if (dropped)
        *dropped = gone;
    return EMU_OK;
}
