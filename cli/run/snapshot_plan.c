/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/parse.h"
#include "cli/run/snapshot_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/plural.h"
#include "emu/snapshot_file.h"
#include "emu/vcpu.h"

enum emu_err snapshot_plan_add(struct snapshot_plan *p, const char *position, const char *path, struct diag *d)
{
    const char *colon = strchr(position, ':');
    char vcpu_text[32];
    uint64_t steps, vcpu = 0;
    enum emu_err err = EMU_OK;

    if (p->count == SNAPSHOT_PLAN_MAX)
        return diag_set(d, EMU_EINPUT, "more than %d snapshots", SNAPSHOT_PLAN_MAX);
    if (colon) {
        snprintf(vcpu_text, sizeof(vcpu_text), "%.*s", (int)(colon - position), position);
        err = parse_number("the vCPU of --snapshot-at VCPU:N", vcpu_text, 0, VCPUS_MAX - 1, &vcpu, d);
    }
    if (err == EMU_OK)
        err = parse_number("the position of --snapshot-at", colon ? colon + 1 : position, colon ? 1 : 0, UINT64_MAX / 4,
                           &steps, d);
    if (err != EMU_OK)
        return err;
    p->at[p->count].position = position;
    p->at[p->count].path = path;
    p->at[p->count].steps = steps;
    p->at[p->count].vcpu = (unsigned)vcpu;
    p->at[p->count++].of_vcpu = colon;
    return EMU_OK;
}

static uint64_t steps_now(const struct snapshot_plan *p, unsigned i, const struct machine *m)
{
    return p->at[i].of_vcpu ? vcpu_position(m, p->at[i].vcpu) : machine_steps(m);
}

enum emu_err snapshot_plan_check(const struct snapshot_plan *p, const struct guest *g, struct diag *d)
{
    unsigned other = VCPUS_MAX, one = VCPUS_MAX;

    for (unsigned i = 0; i < p->count; i++) {
        unsigned v = p->at[i].vcpu;

        if (v >= machine_vcpus(g->machine))
            return diag_set(d, EMU_EINPUT, "--snapshot-at %s: the machine has %u vCPU%s", p->at[i].position,
                            machine_vcpus(g->machine), plural(machine_vcpus(g->machine)));
        if (steps_now(p, i, g->machine) > p->at[i].steps)
            return diag_set(d, EMU_EINPUT, "--snapshot-at %s: the run begins after that, at step %" PRIu64,
                            p->at[i].position, steps_now(p, i, g->machine));
        if (!p->at[i].of_vcpu || v == one || v == other)
            continue;
        if (one == VCPUS_MAX)
            one = v;
        else if (other == VCPUS_MAX)
            other = v;
        else
            return diag_set(d, EMU_EINPUT, "--snapshot-at %s: the positions of one run may belong to two vCPUs at most",
                            p->at[i].position);
    }
    return EMU_OK;
}

void snapshot_plan_limit(const struct snapshot_plan *p, const struct machine *m, struct machine_limits *limits)
{
    for (unsigned i = 0; i < p->count; i++) {
        uint64_t steps = p->at[i].steps;

        if (p->at[i].done)
            continue;
        if (!p->at[i].of_vcpu) {
            if (steps < limits->steps_max)
                limits->steps_max = steps;
        } else if (!limits->position_max || limits->vcpu == p->at[i].vcpu) {
            if (!limits->position_max || steps < limits->position_max)
                limits->position_max = steps;
            limits->vcpu = p->at[i].vcpu;
        } else {
            if (!limits->also.position_max || steps < limits->also.position_max)
                limits->also.position_max = steps;
            limits->also.vcpu = p->at[i].vcpu;
        }
    }
}

void snapshot_plan_take(struct snapshot_plan *p, const struct guest *g)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct diag d;

        if (p->at[i].done || steps_now(p, i, g->machine) != p->at[i].steps)
            continue;
        p->at[i].done = true;
        diag_init(&d);
        if (guest_write_snapshot(g, p->at[i].path, &d) == EMU_OK) {
            fprintf(stderr, "bootrace boot: the snapshot of step %s is in %s\n", p->at[i].position, p->at[i].path);
            continue;
        }
        diag_print(&d, "bootrace boot", stderr);
        p->failed = true;
    }
}

bool snapshot_plan_finish(const struct snapshot_plan *p)
{
    bool ok = !p->failed;

    for (unsigned i = 0; i < p->count; i++)
        if (!p->at[i].done) {
            fprintf(stderr, "bootrace boot: --snapshot-at %s: the run ended before, so %s was not written\n",
                    p->at[i].position, p->at[i].path);
            ok = false;
        }
    return ok;
}
