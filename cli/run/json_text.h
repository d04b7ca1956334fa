/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json_text: JSON that loses nothing. Jansson returns NULL for a string that is not UTF-8 and when there is no memory,
 * and a NULL value makes it drop the whole object that would have held it. So every string is made here, and a program
 * that has no memory for a report says so and ends.
 */
#ifndef BOOTRACE_CLI_RUN_JSON_TEXT_H
#define BOOTRACE_CLI_RUN_JSON_TEXT_H

#include <jansson.h>

/* The string; a byte that is not part of valid UTF-8 becomes \xNN. NULL for NULL: pack it with `o?` or `o*`. */
json_t *json_text(const char *text);

/* Before the first use of Jansson: without memory the program ends, with a sentence and COMMAND_ERROR. */
void json_check_memory(void);

/* Print it on standard output, with a newline behind. */
void json_show(const json_t *o);

#endif
