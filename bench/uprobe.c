/* SPDX-License-Identifier: MPL-2.0 */
/*
 * An experiment (docs/internals/uprobes.md): what it costs a running program when the kernel counts its calls of
 * zmq_msg_recv() for Weir, without any code in the program.
 *
 *   uprobe PID entry|return|both SECONDS    "attached", then "calls N" and, with `return`, "taken N": calls that
 *                                           returned 0 or more
 *
 * A BPF program of a few instructions adds one to a cell of an array, as a counter would. Needs root and the libzmq of
 * the system.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/ptrace.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_SECONDS 60

enum cell { CALLS, TAKEN, CELLS };

static int bpf(int command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_cells(void)
{
    union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY,
                        .key_size = sizeof(uint32_t),
                        .value_size = sizeof(uint64_t),
                        .max_entries = CELLS};
    return bpf(BPF_MAP_CREATE, &a);
}

static uint64_t read_cell(int cells, uint32_t which)
{
    uint64_t value = 0;
    union bpf_attr a = {.map_fd = (uint32_t)cells, .key = (uintptr_t)&which, .value = (uintptr_t)&value};
    return bpf(BPF_MAP_LOOKUP_ELEM, &a) < 0 ? 0 : value;
}

#define INSN(c, d, s, o, i) ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

/* Adds one to the cell; at a return only if the result, in the low half of rax, is not negative. */
static int load_program(int cells, enum cell which)
{
    const struct bpf_insn program[] = {
        INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_6, BPF_REG_1, offsetof(struct pt_regs, rax), 0),
        INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, (int)which),
        INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
        INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4),
        INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, cells),
        INSN(0, 0, 0, 0, 0),
        INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
        INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 3, 0),
        which == TAKEN ? INSN(BPF_JMP32 | BPF_JSLT | BPF_K, BPF_REG_6, 0, 2, 0)
                       : INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_6, 0, 0),
        INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, 1),
        INSN(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_0, BPF_REG_1, 0, BPF_ADD),
        INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
        INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    static char log[65536];
    union bpf_attr a = {.prog_type = BPF_PROG_TYPE_KPROBE,
                        .insns = (uintptr_t)program,
                        .insn_cnt = sizeof(program) / sizeof(program[0]),
                        .license = (uintptr_t) "MPL-2.0",
                        .log_buf = (uintptr_t)log,
                        .log_size = sizeof(log),
                        .log_level = 1};
    int fd = bpf(BPF_PROG_LOAD, &a);
    if (fd < 0)
        fprintf(stderr, "uprobe: the kernel refuses the program: %s\n%s", strerror(errno), log);
    return fd;
}

/* Where in its file the function is. */
struct spot {
    const char *path;
    uint64_t offset;
    uintptr_t address;
};

static int find_segment(struct dl_phdr_info *info, size_t size, void *context)
{
    struct spot *s = context;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + p->p_vaddr;
        if (p->p_type != PT_LOAD || s->address < from || s->address - from >= p->p_memsz)
            continue;
        s->path = info->dlpi_name;
        s->offset = s->address - from + p->p_offset;
        return 1;
    }
    return 0;
}

static int attach(int program, pid_t pid, const struct spot *at, int type, int returns)
{
    struct perf_event_attr a = {.type = (uint32_t)type,
                                .size = sizeof(a),
                                .config = (uint64_t)returns,
                                .config1 = (uintptr_t)at->path,
                                .config2 = at->offset};
    int fd = (int)syscall(SYS_perf_event_open, &a, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) < 0 || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0) {
        fprintf(stderr, "uprobe: cannot attach to %s: %s\n", at->path, strerror(errno));
        return -1;
    }
    return 0;
}

static int uprobe_type(void)
{
    int type = -1;
    FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
    if (f && fscanf(f, "%d", &type) != 1)
        type = -1;
    if (f)
        fclose(f);
    return type;
}

int main(int count, char **words)
{
    if (count != 4) {
        fprintf(stderr, "usage: uprobe PID entry|return|both SECONDS\n");
        return 2;
    }
    pid_t pid = (pid_t)strtol(words[1], NULL, 10);
    const char *how = words[2];
    unsigned seconds = (unsigned)strtoul(words[3], NULL, 10);
    void *libzmq = dlopen("libzmq.so.5", RTLD_NOW);
    struct spot at = {.address = libzmq ? (uintptr_t)dlsym(libzmq, "zmq_msg_recv") : 0};
    int type = uprobe_type(), cells = make_cells();
    if (type < 0 || cells < 0 || !at.address || !dl_iterate_phdr(find_segment, &at)) {
        fprintf(stderr, "uprobe: no uprobes, no rights, or no libzmq.so.5\n");
        return 1;
    }
    if (strcmp(how, "return") != 0 && attach(load_program(cells, CALLS), pid, &at, type, 0) < 0)
        return 1;
    if (strcmp(how, "entry") != 0 && attach(load_program(cells, TAKEN), pid, &at, type, 1) < 0)
        return 1;
    puts("attached");
    fflush(stdout);
    sleep(seconds < MOST_SECONDS ? seconds : MOST_SECONDS);
    printf("calls %llu\ntaken %llu\n", (unsigned long long)read_cell(cells, CALLS),
           (unsigned long long)read_cell(cells, TAKEN));
    return 0;
}
