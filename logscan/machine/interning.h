/* A hash table over bytes: each distinct run of bytes gets a number, from 0, in the order they come.
 *
 * The bytes stay where they are; the table keeps where each first stood. A line's author can't choose texts that fall
 * together, since the seed is one the process has drawn. */
#ifndef LOGSCAN_INTERNING_H
#define LOGSCAN_INTERNING_H

#include <stdlib.h>
#include <string.h>

#include "machine.h"

struct interned {
    uint64_t *slots; /* upper half: of the hash; lower half: the number, from 1; 0 where the slot is free */
    uint64_t mask;
    uint64_t seed;
    int64_t count;
    const uint8_t **at; /* by number: where it first stood; room is the caller's, for as many as are asked for */
    int64_t *size;
};

static inline uint64_t interning_word(const uint8_t *from) {
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

static inline uint64_t interning_mixed(uint64_t one, uint64_t other) {
#if defined(__SIZEOF_INT128__)
    unsigned __int128 product = (unsigned __int128)one * other;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t mixed = (one ^ (other >> 29)) * UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ (mixed >> 32)) * (other | 1);
    return mixed ^ (mixed >> 31);
#endif
}

static inline uint32_t interning_hash(uint64_t seed, const uint8_t *at, int64_t size) {
    uint64_t state = seed ^ ((uint64_t)size * UINT64_C(0xA24BAED4963EE407));
    int64_t left = size;
    for (; left >= 8; left -= 8, at += 8) {
        state = interning_mixed(state ^ interning_word(at), seed ^ UINT64_C(0x9FB21C651E98DF25));
    }
    uint64_t word = 0;
    if (left >= 4) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + left - 4, 4);
        word = (uint64_t)high << 32 | low;
    } else if (left > 0) {
        word = (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
    }
    state = interning_mixed(state ^ word, seed + UINT64_C(0xD6E8FEB86659FD93));
    return (uint32_t)(state ^ (state >> 32));
}

/* Returns 0, or -1 where memory is wanting. */
static inline int interning_begin(struct interned *table, uint64_t seed, const uint8_t **at, int64_t *size) {
    table->mask = 255;
    table->seed = seed;
    table->count = 0;
    table->at = at;
    table->size = size;
    table->slots = calloc(table->mask + 1, sizeof *table->slots);
    return table->slots ? 0 : -1;
}

static inline void interning_end(struct interned *table) {
    free(table->slots);
    table->slots = NULL;
}

static inline int interning_grow(struct interned *table) {
    uint64_t mask = table->mask * 4 + 3;
    uint64_t *slots = calloc(mask + 1, sizeof *slots);
    if (!slots) return -1;
    for (uint64_t old = 0; old <= table->mask; old++) {
        uint64_t slot = table->slots[old];
        if (!slot) continue;
        uint64_t place = slot >> 32 & mask;
        while (slots[place]) place = (place + 1) & mask;
        slots[place] = slot;
    }
    free(table->slots);
    table->slots = slots;
    table->mask = mask;
    return 0;
}

/* Returns the number of these bytes, a new one where they are new; -1 where memory is wanting. */
static inline int64_t intern(struct interned *table, const uint8_t *at, int64_t size) {
    uint32_t hash = interning_hash(table->seed, at, size);
    uint64_t place = hash & table->mask;
    for (uint64_t slot; (slot = table->slots[place]) != 0; place = (place + 1) & table->mask) {
        if (slot >> 32 != hash) continue;
        int64_t number = (int64_t)(uint32_t)slot - 1;
        if (table->size[number] == size && !memcmp(table->at[number], at, (size_t)size)) return number;
    }
    if (table->count >= INT32_MAX - 1) return -1;
    int64_t number = table->count++;
    table->at[number] = at;
    table->size[number] = size;
    table->slots[place] = (uint64_t)hash << 32 | (uint64_t)(number + 1);
    if ((uint64_t)table->count * 2 > table->mask && interning_grow(table)) return -1;
    return number;
}

#endif
