/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What is in force at a gate, and where each value comes from: the file, a default, an option of the application's
 * socket (told.h), or this process's limit of descriptors. For whoever shows it. Under the lock of those who read.
 */
#ifndef WEIR_RELAY_GATE_SETTINGS_H
#define WEIR_RELAY_GATE_SETTINGS_H

#include "config/schema.h"
#include "config/value_words.h"
#include "preload/socket_options.h"

struct gate;
struct gate_policy;

enum setting_from { SETTING_FROM_DEFAULT, SETTING_FROM_FILE, SETTING_FROM_OPTION, SETTING_FROM_DESCRIPTORS };

struct gate_setting {
    const char *key;    /* of the configuration; NULL: none follows from this option */
    const char *option; /* "ZMQ_MAXMSGSIZE"; NULL: it comes from elsewhere */
    enum setting_from from;
    char value[VALUE_TEXT_MAX];
};

/* All keys of a gate but its name and addresses, and the options that nothing follows from. */
#define GATE_SETTINGS_MOST (SCHEMA_KEYS_MAX + SOCKET_OPTION_COUNT)

/* Returns their number. */
size_t gate_settings(const struct gate *g, const struct gate_policy *p, struct gate_setting ret[GATE_SETTINGS_MOST]);

#endif
