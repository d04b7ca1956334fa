#include "cli/command.h"

int command_fail(const char *name, enum emu_err err, const struct diag *d)
{
    diag_print(d, name, stderr);
    return err == EMU_EINPUT ? COMMAND_INPUT : COMMAND_ERROR;
}
