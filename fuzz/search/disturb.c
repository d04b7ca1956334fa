/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/disturb.h"

#include "emu/base/count.h"
#include "emu/decide.h"
#include "emu/machine.h"
#include "emu/schedule.h"
#include "emu/vcpu.h"
#include "fuzz/search/strategy.h"

#define PASS_NS_MAX 2000000u /* more than a host's own time slice would be seen as a stall */

static void plan(struct disturb *s, struct machine *m)
{
    s->next_steps = machine_steps(m) + 1 + strategy_random_below(&s->random, 2 * s->every_steps);
}

void disturb_init(struct disturb *s, struct machine *m, uint64_t seed, uint64_t every_steps)
{
    *s = (struct disturb){.random = seed, .every_steps = every_steps};
    plan(s, m);
}

static struct decision choose(struct disturb *s, struct machine *m)
{
    /* Preemptions are what matters most. */
    static const enum decision_kind kinds[] = {DECISION_RUN, DECISION_RUN,  DECISION_RUN,    DECISION_RUN,
                                               DECISION_RUN, DECISION_LATE, DECISION_EXPIRE, DECISION_PASS};
    struct decision d = {.kind = kinds[strategy_random_below(&s->random, COUNT(kinds))]};

    d.vcpu = (unsigned)strategy_random_below(&s->random, machine_vcpus(m));
    d.value = 1 + strategy_random_below(&s->random, PASS_NS_MAX);
    if (d.kind == DECISION_EXPIRE)
        d.vcpu = DECISION_ANY_VCPU;
    d.at = (struct position){.kind = POSITION_STEPS, .vcpu = machine_current(m)};
    d.at.steps = vcpu_position(m, d.at.vcpu);
    return d;
}

enum emu_err disturb_act(struct disturb *s, struct machine *m, struct schedule *record, struct diag *d)
{
    struct decision decision = choose(s, m);
    enum emu_err err = machine_decide(m, &decision, d);

    plan(s, m);
    if (err == EMU_EINPUT) /* that vCPU waits, no timer is armed: then nothing is done */
        return EMU_OK;
    s->acted++;
    return err == EMU_OK && record ? schedule_append(record, &decision, d) : err;
}
