/* SPDX-License-Identifier: GPL-2.0-or-later */
/* course_inside: what the two files of a course share: who runs (course.c), and what that touches (course_watch.c). */
#ifndef BOOTRACE_FUZZ_SEARCH_COURSE_INSIDE_H
#define BOOTRACE_FUZZ_SEARCH_COURSE_INSIDE_H

#include "fuzz/search/course.h"

#define COURSE_LINE_SHIFT 6 /* code is known by so many bytes */

/* Begin and end to be told of accesses. */
enum emu_err course_watch(struct course *c, struct diag *d) EMU_MUST_CHECK;
void course_unwatch(struct course *c);
/* What symbols call code. */
void course_note_code(struct course *c, const struct symbols *symbols);

/* c->state has changed; `by_default`: from here on the machine's own rule says who runs. */
void course_note_segment(struct course *c, bool by_default);
/* Room for one more element in a list of the record (vec.h), of at most `max`; false, and it has overflowed, if there
   is none. */
bool course_make_room(struct course_record *r, void *array, size_t *room, size_t count, size_t element, size_t max);

#endif
