/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of snapshots: what is in it is whole, whoever is killed or races; what was not used is dropped first.
 */
#include "tests/cmocka_tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emu/machine.h"
#include "emu/snapshot_cache.h"

#define RAM_BYTES 0x400000u
#define CASE      "{\"case\":1}"

static struct machine *machine;
static char top[] = "/tmp/bootrace-test-cache-XXXXXX";
static struct snapshot_cache cache;

static uint64_t next_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 24;
}

/* RAM that does not compress, so that writing it takes a while. */
static int make_machine(void **state)
{
    static const struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 1};
    uint64_t random = 1;
    struct diag d;

    if (machine_new(&config, &machine, &d) != EMU_OK || !mkdtemp(top))
        return -1;
    for (uint64_t gpa = 0; gpa < RAM_BYTES; gpa += 8) {
        uint64_t word = next_random(&random) << 20 ^ next_random(&random);

        if (!memory_write(machine_memory(machine), gpa, &word, 8))
            return -1;
    }
    return 0;
}

static int remove_machine(void **state)
{
    machine_free(machine);
    return rmdir(top);
}

static int make_cache(void **state)
{
    char folder[200];
    struct diag d;

    snprintf(folder, sizeof(folder), "%s/a/b", top);
    return snapshot_cache_init(&cache, folder, UINT64_MAX, &d);
}

static int remove_cache(void **state)
{
    char above[200];
    DIR *dir = opendir(cache.folder);
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    snprintf(above, sizeof(above), "%s/a", top);
    return rmdir(cache.folder) || rmdir(above);
}

static void key_of(unsigned n, char key[SNAPSHOT_CACHE_KEY_BYTES])
{
    char place[32];

    snprintf(place, sizeof(place), "place %u", n);
    snapshot_cache_key(CASE, place, key);
}

static void put_key(unsigned n)
{
    char key[SNAPSHOT_CACHE_KEY_BYTES];
    struct diag d;

    key_of(n, key);
    if (snapshot_cache_put(&cache, key, machine, CASE, &d) != EMU_OK)
        fail_msg("%s", d.text);
}

/* Whether it is there; then it is this machine. */
static bool get_key(unsigned n)
{
    char key[SNAPSHOT_CACHE_KEY_BYTES];
    struct snapshot_file *f;
    struct diag d;

    key_of(n, key);
    if (snapshot_cache_get(&cache, key, &f, &d) != EMU_OK)
        fail_msg("%s", d.text);
    if (!f)
        return false;
    assert_int_equal(snapshot_file_info(f)->digest, machine_digest(machine));
    assert_string_equal(snapshot_file_info(f)->case_text, CASE);
    snapshot_file_close(f);
    return true;
}

/* Names in the folder, but for "." and "..": entries, and others. */
static void count_files(unsigned *entries, unsigned *others)
{
    DIR *dir = opendir(cache.folder);
    struct dirent *e;

    *entries = *others = 0;
    assert_non_null(dir);
    while ((e = readdir(dir)))
        if (e->d_name[0] != '.')
            ++*(strlen(e->d_name) == 37 ? entries : others);
    closedir(dir);
}

/* Every entry is a whole snapshot: a damaged one would be removed. */
static unsigned whole_entries(void)
{
    struct snapshot_cache_entry *list;
    size_t count;
    struct diag d;

    assert_int_equal(snapshot_cache_list(&cache, &list, &count, &d), EMU_OK);
    for (size_t i = 0; i < count; i++) {
        struct snapshot_file *f;

        if (snapshot_file_open(list[i].path, &f, &d) != EMU_OK)
            fail_msg("%s %s", d.file, d.text);
        snapshot_file_close(f);
    }
    free(list);
    return (unsigned)count;
}

static void what_is_put_is_got(void **state)
{
    assert_false(get_key(1));
    put_key(1);
    assert_true(get_key(1));
    assert_false(get_key(2));
    put_key(1);
    assert_int_equal(whole_entries(), 1);
}

static void a_key_depends_on_case_and_place(void **state)
{
    char key[4][SNAPSHOT_CACHE_KEY_BYTES];

    snapshot_cache_key("a", "b", key[0]);
    snapshot_cache_key("a", "c", key[1]);
    snapshot_cache_key("b", "b", key[2]);
    snapshot_cache_key("a", "b", key[3]);
    assert_string_equal(key[0], key[3]);
    assert_string_not_equal(key[0], key[1]);
    assert_string_not_equal(key[0], key[2]);
    assert_int_equal(strspn(key[0], "0123456789abcdef"), 32);
}

static void a_damaged_entry_is_none(void **state)
{
    struct snapshot_cache_entry *list;
    unsigned entries, others;
    size_t count;
    struct diag d;

    put_key(1);
    assert_int_equal(snapshot_cache_list(&cache, &list, &count, &d), EMU_OK);
    assert_int_equal(count, 1);
    assert_int_equal(truncate(list[0].path, (off_t)list[0].bytes - 1), 0);
    free(list);
    assert_false(get_key(1));
    count_files(&entries, &others);
    assert_int_equal(entries, 0);
}

static void what_was_not_used_for_long_goes_first(void **state)
{
    struct snapshot_cache_entry *list;
    size_t count, dropped;
    struct diag d;

    for (unsigned i = 0; i < 5; i++)
        put_key(i);
    assert_true(get_key(0));
    assert_true(get_key(2));
    assert_int_equal(snapshot_cache_list(&cache, &list, &count, &d), EMU_OK);
    assert_int_equal(count, 5);
    assert_int_equal(snapshot_cache_trim(&cache, 2 * list[0].bytes + list[0].bytes / 2, &dropped, &d), EMU_OK);
    free(list);
    assert_int_equal(dropped, 3);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(get_key(i), i == 0 || i == 2);
    cache.bytes_max = 3 * (RAM_BYTES + 0x10000);
    for (unsigned i = 5; i < 9; i++)
        put_key(i);
    assert_int_equal(whole_entries(), 3);
    assert_true(get_key(8));
    assert_int_equal(snapshot_cache_trim(&cache, 0, &dropped, &d), EMU_OK);
    assert_int_equal(dropped, 3);
}

static void files_of_others_are_left_alone(void **state)
{
    static const char *const names[] = {"README", "0123.snap", "0123456789abcdef0123456789abcdef.snapshot"};
    unsigned entries, others;
    struct diag d;

    for (unsigned i = 0; i < 3; i++) {
        char path[SNAPSHOT_CACHE_FOLDER_BYTES + 64];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", cache.folder, names[i]);
        f = fopen(path, "w");
        assert_non_null(f);
        fclose(f);
    }
    put_key(1);
    assert_int_equal(snapshot_cache_trim(&cache, 0, NULL, &d), EMU_OK);
    count_files(&entries, &others);
    assert_int_equal(entries, 0);
    assert_int_equal(others, 3);
}

static pid_t start_writer(unsigned first_key, unsigned keys, unsigned writes)
{
    pid_t pid = fork();
    struct diag d;

    assert_true(pid >= 0);
    if (pid)
        return pid;
    if (machine_forked(machine, &d) != EMU_OK)
        _exit(1);
    for (unsigned i = 0; i < writes; i++) {
        char key[SNAPSHOT_CACHE_KEY_BYTES];

        key_of(first_key + i % keys, key);
        if (snapshot_cache_put(&cache, key, machine, CASE, &d) != EMU_OK)
            _exit(1);
    }
    _exit(0);
}

static void killed_writers_leave_whole_snapshots_or_none(void **state)
{
    unsigned entries, others, left_behind = 0;
    uint64_t random = 5;
    struct diag d;

    for (unsigned i = 0; i < 100; i++) {
        pid_t pid = start_writer(i, 1000, UINT32_MAX);
        int status;

        usleep((useconds_t)(next_random(&random) % 30000));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        count_files(&entries, &others);
        left_behind += others != 0;
        assert_int_equal(whole_entries(), entries);
        if (i % 10 == 9) { /* not too much on the disk */
            assert_int_equal(snapshot_cache_trim(&cache, 0, NULL, &d), EMU_OK);
            count_files(&entries, &others);
            assert_int_equal(entries + others, 0);
        }
    }
    assert_in_range(left_behind, 20, 100); /* they were killed while writing */
}

static void racing_writers_and_a_reader_see_whole_snapshots(void **state)
{
    pid_t writer[2] = {start_writer(0, 1, 40), start_writer(0, 1, 40)};
    unsigned seen = 0, running = 2;

    while (running) {
        int status;
        pid_t pid;

        seen += get_key(0);
        pid = waitpid(-1, &status, WNOHANG);
        assert_true(pid >= 0);
        if (!pid)
            continue;
        assert_true(pid == writer[0] || pid == writer[1]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        running--;
    }
    assert_true(get_key(0));
    assert_int_equal(whole_entries(), 1);
    assert_in_range(seen, 5, UINT32_MAX);
}

/* The names of files that are being written are there while others clean up; nothing of them is lost. */
static void cleaning_up_does_not_hurt_writers(void **state)
{
    pid_t writer = start_writer(0, 1, 60);
    int status;

    while (waitpid(writer, &status, WNOHANG) == 0) {
        struct diag d;

        assert_int_equal(snapshot_cache_trim(&cache, UINT64_MAX, NULL, &d), EMU_OK);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(get_key(0));
}

static void a_folder_that_can_not_be_made_is_named(void **state)
{
    struct snapshot_cache c;
    struct diag d;

    assert_int_equal(snapshot_cache_init(&c, "/proc/nowhere/cache", 0, &d), EMU_EINPUT);
    assert_string_equal(d.file, "/proc/nowhere/cache");
    assert_int_equal(snapshot_cache_init(&c, "", 0, &d), EMU_EINPUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_cache, remove_cache)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_is_got),
        TEST(a_key_depends_on_case_and_place),
        TEST(a_damaged_entry_is_none),
        TEST(what_was_not_used_for_long_goes_first),
        TEST(files_of_others_are_left_alone),
        TEST(killed_writers_leave_whole_snapshots_or_none),
        TEST(racing_writers_and_a_reader_see_whole_snapshots),
        TEST(cleaning_up_does_not_hurt_writers),
        cmocka_unit_test(a_folder_that_can_not_be_made_is_named),
    };

    return cmocka_run_group_tests(tests, make_machine, remove_machine);
}
