/* A plugin of QEMU (API version 1, as of 4.2 and later): how often each instruction is executed.
 * At the end it writes one line for each, "ADDRESS COUNT", to the file of its argument out=FILE.
 * The few declarations of the public interface that it needs are repeated here, for Debian's
 * qemu-user has no header. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t,
                                                            struct qemu_plugin_tb*));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void*),
                                    void* data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* instruction,
                                                enum qemu_plugin_op op, void* counter,
                                                uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn* instruction);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

/* An open hash table that never moves: the generated code adds to its counters. */
#define kSlots (1U << 20)
typedef struct {
  uint64_t address, count;
  bool used;
} Slot;
static Slot* slots;
static uint32_t used_slots;
static char out[4096];

static Slot* Find(uint64_t address) {
  uint32_t i = (uint32_t)((address * 0x9e3779b97f4a7c15U) >> 44) & (kSlots - 1);
  while (slots[i].used && slots[i].address != address) i = (i + 1) & (kSlots - 1);
  if (!slots[i].used && ++used_slots > kSlots / 2) {
    fprintf(stderr, "plugin: more than %u instructions\n", kSlots / 2);
    abort();
  }
  slots[i].used = true;
  slots[i].address = address;
  return &slots[i];
}

static void CountBlock(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(block);
  for (size_t i = 0; i < count; ++i) {
    struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(block, i);
    Slot* slot = Find(qemu_plugin_insn_vaddr(instruction));
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64,
                                               &slot->count, 1);
  }
}

static void Write(qemu_plugin_id_t id, void* data) {
  (void)id;
  (void)data;
  FILE* file = fopen(out, "w");
  if (file == NULL) {
    perror(out);
    return;
  }
  for (uint32_t i = 0; i < kSlots; ++i) {
    if (slots[i].used && slots[i].count != 0) {
      fprintf(file, "%" PRIx64 " %" PRIu64 "\n", slots[i].address, slots[i].count);
    }
  }
  fclose(file);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                               char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) snprintf(out, sizeof out, "%s", argv[i] + 4);
  }
  slots = calloc(kSlots, sizeof *slots);
  if (out[0] == '\0' || slots == NULL) {
    fprintf(stderr, "plugin: expected out=FILE, and memory\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, CountBlock);
  qemu_plugin_register_atexit_cb(id, Write, NULL);
  return 0;
}
