/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/memory.h"
#include "emu/memory_snapshot.h"

#define RAM_BYTES (8ull << 20)

static struct memory *new_memory(uint64_t bytes)
{
    struct memory *mem;
    struct diag d;

    assert_int_equal(memory_new(bytes, &mem, &d), EMU_OK);
    return mem;
}

static void put(struct memory *mem, uint64_t gpa, uint64_t value)
{
    assert_true(memory_write(mem, gpa, &value, sizeof(value)));
}

static uint64_t get(struct memory *mem, uint64_t gpa)
{
    uint64_t value;

    assert_true(memory_read(mem, gpa, &value, sizeof(value)));
    return value;
}

static struct memory_snapshot *take(struct memory *mem, struct memory_snapshot *parent)
{
    struct memory_snapshot *s;
    struct diag d;

    assert_int_equal(memory_snapshot_take(mem, parent, &s, &d), EMU_OK);
    return s;
}

static void an_access_that_leaves_ram_is_refused_whole(void **state)
{
    static const struct {
        uint64_t gpa;
        size_t bytes;
        bool ok;
    } rows[] = {
        {0, 8, true},           {RAM_BYTES - 8, 8, true},   {RAM_BYTES - 7, 8, false},       {RAM_BYTES, 1, false},
        {UINT64_MAX, 1, false}, {UINT64_MAX - 3, 8, false}, {MEMORY_HIGH_RAM_GPA, 1, false},
    };
    struct memory *mem = new_memory(RAM_BYTES);
    uint8_t buffer[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(memory_write(mem, rows[i].gpa, buffer, rows[i].bytes), rows[i].ok);
        assert_int_equal(memory_read(mem, rows[i].gpa, buffer, rows[i].bytes), rows[i].ok);
        assert_int_equal(memory_fill(mem, rows[i].gpa, 1, rows[i].bytes), rows[i].ok);
    }
    memory_free(mem);
}

static void ram_beyond_the_hole_goes_on_at_4_gib(void **state)
{
    struct memory *mem = new_memory(MEMORY_LOW_RAM_END_GPA + (1ull << 20));

    put(mem, MEMORY_LOW_RAM_END_GPA - 8, 1);
    put(mem, MEMORY_HIGH_RAM_GPA, 2);
    put(mem, MEMORY_HIGH_RAM_GPA + (1ull << 20) - 8, 3);
    assert_false(memory_is_ram(mem, MEMORY_LOW_RAM_END_GPA, 1));
    assert_false(memory_is_ram(mem, MEMORY_HIGH_RAM_GPA + (1ull << 20), 1));
    assert_int_equal(get(mem, MEMORY_HIGH_RAM_GPA), 2);
    memory_free(mem);
}

static void the_digest_is_of_content_and_place_only(void **state)
{
    struct memory *a = new_memory(RAM_BYTES), *b = new_memory(RAM_BYTES);

    assert_int_equal(memory_digest(a), memory_digest(b));
    put(a, 0x1000, 7);
    assert_int_not_equal(memory_digest(a), memory_digest(b));
    put(b, 0x2000, 7);
    assert_int_not_equal(memory_digest(a), memory_digest(b));
    put(b, 0x1000, 7);
    put(b, 0x2000, 0);
    assert_int_equal(memory_digest(a), memory_digest(b));
    memory_free(a);
    memory_free(b);
}

static void the_digest_is_the_same_before_and_after_a_snapshot(void **state)
{
    struct memory *mem = new_memory(RAM_BYTES);
    struct memory_snapshot *root;
    uint64_t before;

    for (uint64_t p = 0; p < 100; p++)
        put(mem, p * 0x3000 % RAM_BYTES, p + 1);
    before = memory_digest(mem);
    root = take(mem, NULL);
    assert_int_equal(memory_digest(mem), before);
    put(mem, 0x3000, 99);
    assert_int_not_equal(memory_digest(mem), before);
    put(mem, 0x3000, 2);
    assert_int_equal(memory_digest(mem), before);
    memory_snapshot_free(mem, root);
    memory_free(mem);
}

static void a_tree_of_snapshots_goes_back_to_each_of_its_nodes(void **state)
{
    enum { NODES = 40, PAGES = 200 };
    struct memory *mem = new_memory(RAM_BYTES);
    struct memory_snapshot *node[NODES];
    uint64_t digest[NODES], random = 1;

    for (unsigned i = 0; i < NODES; i++) {
        unsigned parent = i ? (unsigned)(random >> 40) % i : 0;

        if (i)
            memory_snapshot_restore(mem, node[parent]);
        for (unsigned k = 0; k < 30; k++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            put(mem, (random >> 33) % PAGES * PAGE_BYTES + 8 * (random >> 20 & 3), random >> 60);
        }
        node[i] = take(mem, i ? node[parent] : NULL);
        digest[i] = memory_digest(mem);
        assert_true(memory_snapshot_own_pages(node[i]) <= 30);
    }
    for (unsigned i = 0; i < 200; i++) {
        unsigned n;

        random = random * 6364136223846793005ull + 1442695040888963407ull;
        n = (unsigned)(random >> 40) % NODES;
        put(mem, (random >> 33) % PAGES * PAGE_BYTES, random);
        memory_snapshot_restore(mem, node[n]);
        assert_int_equal(memory_digest(mem), digest[n]);
    }
    for (unsigned i = 0; i < NODES; i++)
        memory_snapshot_free(mem, node[i]);
    memory_free(mem);
}

static void going_back_marks_only_changed_code_pages_stale(void **state)
{
    struct memory *mem = new_memory(RAM_BYTES);
    struct memory_snapshot *root;
    uint64_t ppn;

    put(mem, 0x5000, 1);
    root = take(mem, NULL);
    memory_set_code(mem, 5);
    memory_set_code(mem, 6);
    put(mem, 0x5000, 2);
    assert_true(memory_pop_stale(mem, &ppn));
    assert_int_equal(ppn, 5);
    put(mem, 0x6000, 0); /* what was there */
    assert_true(memory_pop_stale(mem, &ppn));
    assert_false(memory_pop_stale(mem, &ppn));
    memory_snapshot_restore(mem, root);
    assert_true(memory_pop_stale(mem, &ppn));
    assert_int_equal(ppn, 5);
    assert_false(memory_pop_stale(mem, &ppn));
    memory_snapshot_free(mem, root);
    memory_free(mem);
}

/* The same as a new snapshot and the old one freed; many rounds, so that pages are protected and opened meanwhile. */
static void a_snapshot_that_is_brought_up_to_date_holds_the_present(void **state)
{
    enum { ROUNDS = 4000, PAGES = 300 };
    struct memory *mem = new_memory(RAM_BYTES);
    struct memory_snapshot *first, *moving;
    uint64_t random = 1, start, here;
    struct diag d;

    for (uint64_t p = 0; p < PAGES; p++)
        put(mem, p * PAGE_BYTES, p + 1);
    first = take(mem, NULL);
    start = memory_digest(mem);
    moving = take(mem, first);
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned k = 0; k < 3; k++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            put(mem, (random >> 33) % (i < ROUNDS / 2 ? PAGES : 10) * PAGE_BYTES + 8 * (random >> 20 & 3),
                random >> 60);
        }
        here = memory_digest(mem);
        assert_int_equal(memory_snapshot_update(mem, moving, &d), EMU_OK);
        put(mem, (random >> 40) % PAGES * PAGE_BYTES, random);
        if (i % 64 == 0) {
            memory_snapshot_restore(mem, first);
            assert_int_equal(memory_digest(mem), start);
        }
        memory_snapshot_restore(mem, moving);
        assert_int_equal(memory_digest(mem), here);
    }
    memory_snapshot_free(mem, moving);
    put(mem, 0x7000, 1);
    memory_snapshot_restore(mem, first);
    assert_int_equal(memory_digest(mem), start);
    memory_snapshot_free(mem, first);
    memory_free(mem);
}

/* What the host knows of a process's pages is not known of its children's. */
static void a_child_goes_back_to_its_own_memory(void **state)
{
    struct memory *mem = new_memory(RAM_BYTES);
    struct memory_snapshot *s;
    uint64_t digest;
    int status;
    pid_t child;

    for (uint64_t p = 0; p < 50; p++)
        put(mem, p * PAGE_BYTES, p);
    s = take(mem, NULL);
    digest = memory_digest(mem);
    put(mem, 0x2000, 100);
    memory_snapshot_restore(mem, s);
    child = fork();
    assert_true(child >= 0);
    if (!child && memory_forked(mem, &(struct diag){0}) != EMU_OK)
        _exit(2);
    for (unsigned i = 0; i < 300; i++) { /* both */
        for (uint64_t p = 0; p < 60; p++)
            put(mem, (p + i) % 100 * PAGE_BYTES, i + p + (child ? 0 : 1000));
        memory_snapshot_restore(mem, s);
        if (memory_digest(mem) != digest)
            break;
    }
    if (!child)
        _exit(memory_digest(mem) == digest ? 0 : 1);
    assert_int_equal(memory_digest(mem), digest);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    memory_snapshot_free(mem, s);
    memory_free(mem);
}

/* Such a child would see its parent's pages and go back to nothing; it must not go on. */
static void a_child_that_was_not_told_so_ends(void **state)
{
    struct memory *mem = new_memory(RAM_BYTES);
    struct memory_snapshot *s = take(mem, NULL);
    int status;
    pid_t child;

    for (unsigned told = 0; told < 2; told++) {
        fflush(NULL);
        child = fork();
        assert_true(child >= 0);
        if (!child) {
            signal(SIGABRT, SIG_DFL);
            close(STDERR_FILENO);
            if (told && memory_forked(mem, &(struct diag){0}) != EMU_OK)
                _exit(2);
            put(mem, 0x2000, 100);
            memory_snapshot_restore(mem, s);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : -status, told ? 0 : SIGABRT);
    }
    memory_snapshot_free(mem, s);
    memory_free(mem);
}

static unsigned mappings_of_ram(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned count = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        count += strstr(line, "guest-ram") != NULL;
    fclose(f);
    return count;
}

/* AddressSanitizer's allocator fails like the C library's, instead of ending the test. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* More than a host has: refused before the mapping, at it, or behind it. What was there is there afterwards. */
static void a_failure_takes_back_what_it_made_and_no_more(void **state)
{
    static const uint64_t bytes[] = {1ull << 62, 1ull << 47, 1ull << 46, 1ull << 45};

    for (size_t i = 0; i < COUNT(bytes); i++) {
        struct memory *mem = NULL;
        struct diag d;
        unsigned before = mappings_of_ram();

        diag_init(&d);
        if (memory_new(bytes[i], &mem, &d) == EMU_OK) /* a host that promises memory that it has not */
            memory_free(mem);
        assert_int_equal(mappings_of_ram(), before);
        assert_int_not_equal(fcntl(0, F_GETFD), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_access_that_leaves_ram_is_refused_whole),
        cmocka_unit_test(ram_beyond_the_hole_goes_on_at_4_gib),
        cmocka_unit_test(the_digest_is_of_content_and_place_only),
        cmocka_unit_test(the_digest_is_the_same_before_and_after_a_snapshot),
        cmocka_unit_test(a_tree_of_snapshots_goes_back_to_each_of_its_nodes),
        cmocka_unit_test(a_snapshot_that_is_brought_up_to_date_holds_the_present),
        cmocka_unit_test(a_child_goes_back_to_its_own_memory),
        cmocka_unit_test(a_child_that_was_not_told_so_ends),
        cmocka_unit_test(a_failure_takes_back_what_it_made_and_no_more),
        cmocka_unit_test(going_back_marks_only_changed_code_pages_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
