/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a search of whole runs reports and keeps: also a failure that does not fail again, and the others beside it. */
#include "tests/toy_machine.h"

#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/campaign/fuzz_schedules.h"
#include "cli/run/guest.h"
#include "cli/run/status.h"
#include "fuzz/search/search.h"

#define RUNS 3u

/* inc eax, jmp: for ever, and never the same; an NMI's handler halts for ever, and so does that of vector 0x50. */
static const uint8_t code[] = {0xfb, 0x40, 0xeb, 0xfd};
static const uint8_t halting[] = {0xfa, 0xf4, 0xeb, 0xfd};

/* A strategy of the test's own: the first run fails as no schedule can make it fail again. */
static unsigned the_run, moves;
static char folder[] = "/tmp/bootrace-test-XXXXXX";
static unsigned files_at[RUNS + 1]; /* in the folder, when the n-th run begins */
static volatile sig_atomic_t interrupted;
static bool interrupts; /* the second run is interrupted */

static unsigned count_files(const char *suffix)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    unsigned n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        n += strlen(entry->d_name) > strlen(suffix) &&
             !strcmp(entry->d_name + strlen(entry->d_name) - strlen(suffix), suffix);
    closedir(dir);
    return n;
}

static enum emu_err own_init(const struct strategy_options *o, void **state, struct diag *d)
{
    the_run = 0;
    *state = &the_run;
    return EMU_OK;
}

static void own_fini(void *state)
{
}

static bool own_begin(void *state)
{
    files_at[the_run] = count_files(".yaml");
    moves = 0;
    return the_run < RUNS ? (the_run++, true) : false;
}

static void own_move(void *state, struct machine *m, bool refused, struct move *move)
{
    move->steps = 7;
    if (moves++ != 1)
        return;
    move->steps = UINT64_MAX;
    if (the_run == 1)
        machine_set_verdict(m, VERDICT_FAIL, "ghost", "nobody can do this again: caf\xe9");
    if (the_run == 2 && interrupts)
        interrupted = 1;
    move->acts = the_run == 2 && !interrupts;
    move->action = (struct decision){.kind = DECISION_NMI, .vcpu = 0};
}

static void own_end(void *state, const struct trial *trial)
{
}

static void own_statement(void *state, char *text, size_t bytes)
{
    snprintf(text, bytes, "%u runs", the_run);
}

static const struct strategy own = {.name = "own",
                                    .init = own_init,
                                    .fini = own_fini,
                                    .begin = own_begin,
                                    .move = own_move,
                                    .end = own_end,
                                    .statement = own_statement};

static int search(json_t **json, char **said)
{
    struct guest g = {.machine = new_machine_with(code, sizeof(code)),
                      .options = {.kernel = "/proc/self/exe",
                                  .cmdline = "",
                                  .vcpus = 1,
                                  .ram_bytes = RAM_BYTES,
                                  .xen_version = 4 << 16 | 17}};
    const struct fuzz_schedules f = {.strategy = &own,
                                     .runs_max = 10,
                                     .steps_max = 1000,
                                     .out = folder,
                                     .window = "w",
                                     .window_steps_max = 20,
                                     .interrupted = &interrupted};
    struct diag d;
    size_t bytes;
    FILE *to = open_memstream(said, &bytes);
    int status;

    put(g.machine, HANDLERS + 64 * 2, halting, sizeof(halting));
    *json = NULL;
    interrupted = 0;
    status = fuzz_schedules(&f, &g, to, json, &d);
    fclose(to);
    machine_free(g.machine);
    return status;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

static void empty_folder(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -f %s/*", folder);
    assert_int_equal(system(command), 0);
}

static void an_unconfirmed_failure_is_a_result_and_the_others_are_told_too(void **state)
{
    json_t *json, *cases;
    char *said;

    interrupts = false;
    assert_int_equal(search(&json, &said), COMMAND_FAIL);
    assert_non_null(json);
    cases = json_object_get(json, "cases");
    assert_int_equal(json_array_size(cases), 2);
    assert_true(json_is_false(json_object_get(json_array_get(cases, 0), "confirmed")));
    assert_string_equal(text_of(json_array_get(cases, 0), "detector"), "ghost");
    assert_string_equal(text_of(json_array_get(cases, 0), "reason"), "nobody can do this again: caf\\xe9");
    assert_true(json_is_true(json_object_get(json_array_get(cases, 1), "confirmed")));
    assert_true(json_is_true(json_object_get(json_array_get(cases, 1), "minimised")));
    assert_int_equal(json_integer_value(json_object_get(json, "failing")), 2);
    if (!strstr(said, "not confirmed: played again, it does not fail in this way") ||
        !strstr(said, "minimised from 1 to 1"))
        fail_msg("%s", said);
    json_decref(json);
    free(said);
}

static void each_failure_is_a_file_before_the_next_run_begins(void **state)
{
    json_t *json;
    char *said;

    empty_folder();
    interrupts = false;
    assert_int_equal(search(&json, &said), COMMAND_FAIL);
    assert_int_equal(files_at[0], 0);
    assert_int_equal(files_at[1], 1);
    assert_int_equal(files_at[2], 2);
    /* The unconfirmed one stays as it was found, the other one is minimised. */
    assert_int_equal(count_files(".yaml"), 2);
    assert_int_equal(count_files("-as-found.yaml"), 1);
    for (unsigned i = 0; i < 2; i++) {
        const char *path = text_of(json_array_get(json_object_get(json, "cases"), i), "file");

        assert_int_equal(access(path, R_OK), 0);
        assert_int_equal(!strstr(path, "-as-found"), i);
    }
    json_decref(json);
    free(said);
}

static void what_was_found_before_an_interrupt_is_told_and_kept(void **state)
{
    json_t *json;
    char *said;

    empty_folder();
    interrupts = true;
    assert_int_equal(search(&json, &said), COMMAND_INTERRUPTED);
    assert_int_equal(json_array_size(json_object_get(json, "cases")), 1);
    assert_int_equal(json_integer_value(json_object_get(json, "runs")), 2); /* the second one came to its end */
    assert_int_equal(count_files("-as-found.yaml"), 1);
    if (!strstr(said, "interrupted before it was played again"))
        fail_msg("%s", said);
    json_decref(json);
    free(said);
    empty_folder();
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unconfirmed_failure_is_a_result_and_the_others_are_told_too),
        cmocka_unit_test(each_failure_is_a_file_before_the_next_run_begins),
        cmocka_unit_test(what_was_found_before_an_interrupt_is_told_and_kept),
    };

    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
