/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/spin.h"

#include <string.h>

#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/vcpu.h"

#define FIRST_MARK 4u

void spin_restart(struct spin *s)
{
    s->marked = s->too_much = false;
    s->blocks = 0;
    s->next_mark = FIRST_MARK;
    s->writes = s->reads = 0;
}

void spin_note_write(struct spin *s, struct machine *m, uint64_t gpa, unsigned bytes)
{
    if (!s->marked || s->too_much)
        return;
    for (unsigned i = 0; i < s->writes; i++)
        if (s->write[i].gpa == gpa && s->write[i].bytes == bytes)
            return;
    if (s->writes == SPIN_WRITES_MAX || bytes > sizeof(s->write[0].before) ||
        !memory_peek(machine_memory(m), gpa, s->write[s->writes].before, bytes)) {
        s->too_much = true;
        return;
    }
    s->write[s->writes].gpa = gpa;
    s->write[s->writes++].bytes = (uint8_t)bytes;
}

void spin_note_read(struct spin *s, uint64_t gpa, unsigned bytes)
{
    if (!s->marked)
        return;
    for (uint64_t place = gpa / 8; place <= (gpa + bytes - 1) / 8; place++) {
        bool known = false;

        for (unsigned i = 0; i < s->reads && i < SPIN_READS_MAX && !known; i++)
            known = s->read[i] == place;
        if (!known && s->reads < SPIN_READS_MAX)
            s->read[s->reads] = place;
        if (!known && s->reads <= SPIN_READS_MAX)
            s->reads++;
    }
}

/* At the begin of a block the engine's RIP may still be that of the block before: the block's address is known. */
static void read_registers(struct machine *m, struct vcpu_regs *r)
{
    memset(r, 0, sizeof(*r)); /* its padding too */
    vcpu_get_regs(m, machine_current(m), r);
    r->rip = 0;
}

static bool registers_repeat(const struct spin *s, struct machine *m)
{
    struct vcpu_regs now;

    for (unsigned i = 0; i < GPR_COUNT; i++)
        if (vcpu_gpr(m, (enum gpr)i) != s->mark.gpr[i])
            return false;
    read_registers(m, &now);
    return !memcmp(&now, &s->mark, sizeof(now));
}

static bool memory_repeats(const struct spin *s, struct machine *m)
{
    uint8_t now[sizeof(s->write[0].before)];

    for (unsigned i = 0; i < s->writes; i++)
        if (!memory_peek(machine_memory(m), s->write[i].gpa, now, s->write[i].bytes) ||
            memcmp(now, s->write[i].before, s->write[i].bytes) != 0)
            return false;
    return true;
}

bool spin_note_block(struct spin *s, struct machine *m, uint64_t gva)
{
    if (s->marked && gva == s->mark_gva && !s->too_much && registers_repeat(s, m) && memory_repeats(s, m))
        return true;
    if (++s->blocks < s->next_mark)
        return false;
    s->next_mark *= 2;
    s->marked = true;
    s->too_much = false;
    s->writes = s->reads = 0;
    s->mark_gva = gva;
    read_registers(m, &s->mark);
    return false;
}
