/* SPDX-License-Identifier: MPL-2.0 */
#include "config/config.h"
#include "config/schema.h"
#include "limits/classes.h"

#include <stdlib.h>

void config_gate_fini(struct config_gate *g)
{
    schema_free_lists(&schema_gate, g);
    classes_free(g->class_table);
    g->class_table = NULL;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->gate_count; i++)
        config_gate_fini(&c->gates[i]);
    schema_free_lists(&schema_top, c);
    free(c->ban_lists.at);
    free(c->gates);
    free(c);
}
