/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's consoles on their way to the user: which of them he sees. */
#include "tests/cmocka_tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/console.h"
#include "emu/base/count.h"
#include "models/xen/xen.h"

static void say(struct console *c, unsigned stream, const char *text)
{
    for (; *text; text++) {
        struct trace_fact fact = {.kind = TRACE_CONSOLE, .a = (uint8_t)*text, .b = stream};

        console_listen(NULL, &fact, c);
    }
}

static void a_line_that_goes_to_both_consoles_is_shown_once(void **state)
{
    static const struct {
        const char *name, *shown;
    } rows[] = {
        {"auto", "early\nserial\none\ntwo\n"},
        {"ring", "serial\none\ntwo\n"},
        {"io", "early\nserial\none\ntwo\n"},
        {"both", "early\nserial\none\none\ntwo\ntwo\n"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct console c = {0};
        struct diag d;
        char *text = NULL;
        size_t bytes;

        c.to = open_memstream(&text, &bytes);
        assert_non_null(c.to);
        assert_int_equal(console_parse_stream(rows[i].name, &c.stream, &d), EMU_OK);
        say(&c, XEN_CONSOLE_HYPERCALL, "early\n");
        say(&c, 0, "serial\n");
        for (unsigned k = 0; k < 2; k++) {
            say(&c, XEN_CONSOLE_RING, k ? "two\n" : "one\n");
            say(&c, XEN_CONSOLE_HYPERCALL, k ? "two\n" : "one\n");
        }
        fclose(c.to);
        assert_string_equal(text, rows[i].shown);
        free(text);
    }
}

static void another_console_is_refused(void **state)
{
    enum console_stream stream;
    struct diag d;

    diag_init(&d);
    assert_int_equal(console_parse_stream("serial", &stream, &d), EMU_EINPUT);
    assert_string_equal(d.text, "the console is auto, ring, io or both, not 'serial'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_that_goes_to_both_consoles_is_shown_once),
        cmocka_unit_test(another_console_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
