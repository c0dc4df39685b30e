/* Runs op programs over lines. What the ops are and how they are laid out is told in logscan/matching/ops.py, which has the
 * same numbers.
 *
 * A line is claimed only where the grammar's pattern would claim it, with the same groups. The machine goes back as a
 * backtracking matcher does: what may be tried later lies on a stack. The stack, and the steps a line may take, are bounded;
 * where a bound is reached the line is left to the pattern.
 *
 * An image of programs is checked once (logscan_check) before it runs. Then no op, table, text, group or register is outside
 * it, and all targets lie further on, except for those of ops that take from the line's budget and of calls, which take from
 * it too: no program runs for ever, or leaves its bounds, however it came about. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

enum {
    FAIL, END, JMP, LIT1, LIT8, LITN, ONE, SKIP, SPAN, SPAN1, SPANMAX, ALL, GSPAN, LSPAN, OPEN, CLOSE, CAPSPAN, DISPATCH,
    TEST, TESTEND, CHOICE, TRYLIT, IFLIT, NOTLIT, POP, MARK, CUT, POPFAIL, CUTFAIL, LOOKOUT, LOOKBACK, HOLD, RETURN, BACK,
    AGAIN, HERE, MOVED, EOL, START, WORDB, CALL, RET, UNKNOWN, OPS
};

/* Words each op takes; DISPATCH has as many more as it has targets. */
static const uint8_t WORDS[OPS] = {
    [FAIL] = 1, [END] = 1, [JMP] = 2, [LIT1] = 1, [LIT8] = 3, [LITN] = 2, [ONE] = 1, [SKIP] = 1, [SPAN] = 1, [SPAN1] = 1,
    [SPANMAX] = 3, [ALL] = 1, [GSPAN] = 4, [LSPAN] = 4, [OPEN] = 1, [CLOSE] = 1, [CAPSPAN] = 4, [DISPATCH] = 3, [TEST] = 2,
    [TESTEND] = 2, [CHOICE] = 2, [TRYLIT] = 4, [IFLIT] = 4, [NOTLIT] = 4, [POP] = 1, [MARK] = 1, [CUT] = 1, [POPFAIL] = 1,
    [CUTFAIL] = 1, [LOOKOUT] = 2, [LOOKBACK] = 1, [HOLD] = 1, [RETURN] = 1, [BACK] = 1, [AGAIN] = 2, [HERE] = 1, [MOVED] = 2,
    [EOL] = 1, [START] = 1, [WORDB] = 1, [CALL] = 2, [RET] = 1, [UNKNOWN] = 1,
};

enum { MAGIC = 0x4c53504d, HEADER = 9, STACK = 1024, TRAIL = 2048, GROUPS = 4096, LEVELS = 15, REGISTERS = 64 };
enum { NONE = -1, LEFT = -2 };
enum { LONGEST = 65535, MOST_WORDS = 1 << 24, BUDGET = 2000, BUDGET_BYTE = 64 };
#define SPAN_FLAG 0x80000000u
#define NO_LIMIT 0xffffffffu

typedef struct {
    const uint32_t *code, *entries, *shapes, *lists;
    const uint8_t *tables, *texts;
    uint32_t words, n_tables, n_texts, groups, registers, n_entries, n_shapes, n_lists;
} Image;

typedef struct {
    uint32_t at;    /* where to go on; with SPAN_FLAG, the span that can still give or take */
    uint16_t trail, level; /* how long the trail was, and how many calls deep that is */
    int32_t p, stop;
} Entry;

typedef struct {
    uint32_t group;
    int32_t start, end;
} Was;

typedef struct {
    Entry stack[STACK];
    Was trail[TRAIL];
    int32_t open[GROUPS], start[GROUPS], end[GROUPS];
    uint32_t registers[(LEVELS + 1) * REGISTERS];
    struct {
        uint32_t back, base; /* where the caller goes on, and where the registers begin */
    } calls[LEVELS + 1];
} Work;

/* Take an image apart; 0 where its sizes don't add up. */
static int taken_apart(const uint32_t *data, int64_t words, Image *it) {
    if (words < HEADER || data[0] != MAGIC) return 0;
    it->words = data[1];
    it->n_shapes = data[2];
    it->n_lists = data[3];
    it->n_tables = data[4];
    it->n_texts = data[5];
    it->groups = data[6];
    it->registers = data[7];
    it->n_entries = data[8];
    if (it->groups > GROUPS || it->registers > REGISTERS || it->words > MOST_WORDS) return 0;
    uint64_t size = HEADER + (uint64_t)it->words + it->n_entries + 2 * (uint64_t)it->n_shapes + it->n_lists + 64 * (uint64_t)it->n_tables +
                    ((uint64_t)it->n_texts + 3) / 4;
    if (size != (uint64_t)words) return 0;
    it->code = data + HEADER;
    it->entries = it->code + it->words;
    it->shapes = it->entries + it->n_entries;
    it->lists = it->shapes + 2 * (size_t)it->n_shapes;
    it->tables = (const uint8_t *)(it->lists + it->n_lists);
    it->texts = it->tables + 256 * (size_t)it->n_tables;
    return 1;
}

static int is_target(const uint8_t *begins, uint32_t words, uint32_t target) { return target < words && begins[target]; }

/* Whether one op's operands lie within the program. */
static int sound(const Image *it, const uint8_t *begins, uint32_t at) {
    const uint32_t *c = it->code + at;
    const uint32_t arg = c[0] >> 8, op = c[0] & 255;
    uint32_t target = NO_LIMIT; /* none */
    switch (op) {
    case END:
        return arg < it->n_shapes;
    case LIT8:
        return arg >= 1 && arg <= 8;
    case LITN:
        return (uint64_t)c[1] + arg <= it->n_texts;
    case ONE: case SPAN: case SPAN1: case SPANMAX:
        return c[0] >> 16 < it->n_tables;
    case GSPAN: case LSPAN:
        return c[0] >> 16 < it->n_tables && c[3] >> 16 < it->n_tables && c[1] <= LONGEST;
    case CAPSPAN:
        return c[0] >> 16 < it->n_tables && c[1] < it->groups;
    case OPEN: case CLOSE:
        return arg < it->groups;
    case MARK: case CUT: case CUTFAIL: case LOOKBACK: case HERE:
        return arg < it->registers;
    case HOLD: case RETURN:
        return (uint64_t)arg + 1 < it->registers;
    case LOOKOUT: case MOVED:
        if (arg >= it->registers) return 0;
        target = c[1];
        break;
    case CALL:
        return arg <= it->registers && c[1] < at && begins[c[1]];
    case JMP: case CHOICE: case AGAIN:
        target = c[1];
        break;
    case TEST: case TESTEND:
        if (c[0] >> 16 >= it->n_tables) return 0;
        target = c[1];
        break;
    case TRYLIT: case IFLIT: case NOTLIT:
        if (arg < 1 || arg > 8) return 0;
        target = c[3];
        break;
    case DISPATCH: {
        if (c[1] >= it->n_tables || !arg || arg > 256) return 0;
        const uint8_t *table = it->tables + 256 * (size_t)c[1];
        for (int byte = 0; byte < 256; byte++)
            if (table[byte] >= arg) return 0;
        for (uint32_t each = 0; each <= arg; each++)
            if (c[2 + each] <= at || !is_target(begins, it->words, c[2 + each])) return 0;
        return 1;
    }
    default:
        return 1;
    }
    return is_target(begins, it->words, target) && (target > at || op == AGAIN || op == MOVED);
}

/* Whether an image of so many words can run. */
EXPORT int logscan_check(const uint32_t *data, int64_t words) {
    Image it;
    if (!taken_apart(data, words, &it) || !it.words) return 0;
    for (uint32_t each = 0; each < it.n_shapes; each++)
        if ((uint64_t)it.shapes[2 * each] + it.shapes[2 * each + 1] > it.n_lists) return 0;
    for (uint32_t each = 0; each < it.n_lists; each++)
        if (it.lists[each] >= it.groups) return 0;
    uint8_t *begins = calloc(it.words, 1);
    if (!begins) return 0;
    uint32_t at = 0, op = FAIL;
    int right = 1;
    while (at < it.words) {
        begins[at] = 1;
        op = it.code[at] & 255;
        if (op >= OPS) break;
        at += op == DISPATCH && it.code[at] >> 8 <= 256 ? WORDS[op] + (it.code[at] >> 8) : WORDS[op];
    }
    /* All ends with the last op's last word, and nothing runs on behind it. */
    right = at == it.words && (op == FAIL || op == END || op == JMP || op == RET || op == UNKNOWN);
    for (at = 0; right && at < it.words; at++)
        if (begins[at]) right = sound(&it, begins, at);
    for (uint32_t each = 0; right && each < it.n_entries; each++) right = is_target(begins, it.words, it.entries[each]);
    free(begins);
    return right;
}

static int is_word(uint8_t c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_'; }

/* Whether up to eight bytes at p are those of two words. The caller knows that n of them are the line's. */
static inline int same(const uint8_t *p, const uint8_t *last, uint32_t n, const uint32_t *words) {
    uint64_t here = 0, there;
    memcpy(&there, words, 8);
    if (last - p >= 8) {
        memcpy(&here, p, 8);
        return !((here ^ there) << (64 - 8 * n));
    }
    memcpy(&here, p, n);
    return !((here ^ there) << (64 - 8 * n));
}

static inline const uint8_t *spanned(const uint8_t *p, const uint8_t *e, const uint8_t *table, uint8_t mask) {
    while (p < e && table[*p] & mask) p++;
    return p;
}

#define TABLE(word) (it->tables + 256 * (size_t)((word) >> 16))
#define MASK(word) ((uint8_t)((word) >> 8))
#define PUSH(where, here, until)                                                                                            \
    do {                                                                                                                    \
        if (top == STACK) goto left;                                                                                        \
        w->stack[top++] = (Entry){(where), (uint16_t)trail, (uint16_t)level, (int32_t)((here)-s), (int32_t)(until)};                                   \
    } while (0)
#define TAKE(group_, start_, end_)                                                                                          \
    do {                                                                                                                    \
        if (trail == TRAIL) goto left;                                                                                      \
        const uint32_t g_ = (group_);                                                                                       \
        w->trail[trail++] = (Was){g_, w->start[g_], w->end[g_]};                                                            \
        w->start[g_] = (int32_t)(start_), w->end[g_] = (int32_t)(end_);                                                     \
    } while (0)

/* Each op goes on to the next one by a jump of its own where the compiler can: those are foretold better than one for all. What
 * *c may be, the check has seen to. */
#ifdef __GNUC__
#define CASE(op) case op: do_##op:
#define JUMP(op) [op] = &&do_##op
#define NEXT                                                                                                                \
    {                                                                                                                       \
        word = *c;                                                                                                          \
        goto *jumps[word & 255];                                                                                           \
    }
#else
#define CASE(op) case op:
#define NEXT continue
#endif

/* Run a program over the line from s to e; the text ends at last. Returns a shape, NONE or LEFT. What it has put into the
 * groups is told by the trail, *used long. */
static int32_t run(const Image *it, uint32_t entry_point, Work *w, const uint8_t *s, const uint8_t *e, const uint8_t *last, uint32_t *used) {
    const uint32_t *const code = it->code;
    const uint32_t *c = code + entry_point;
    const uint8_t *p = s;
    uint32_t top = 0, trail = 0, level = 0;
    uint32_t *registers = w->registers;
    int32_t answer;
    int64_t budget = BUDGET + BUDGET_BYTE * (int64_t)(e - s);
    if (e - s > LONGEST) goto left;
    uint32_t word;
#ifdef __GNUC__
    static const void *const jumps[OPS] = {
        JUMP(FAIL), JUMP(END), JUMP(JMP), JUMP(LIT1), JUMP(LIT8), JUMP(LITN), JUMP(ONE), JUMP(SKIP),
        JUMP(SPAN), JUMP(SPAN1), JUMP(SPANMAX), JUMP(ALL), JUMP(GSPAN), JUMP(LSPAN), JUMP(OPEN), JUMP(CLOSE),
        JUMP(CAPSPAN), JUMP(DISPATCH), JUMP(TEST), JUMP(TESTEND), JUMP(CHOICE), JUMP(TRYLIT), JUMP(IFLIT),
        JUMP(NOTLIT), JUMP(POP), JUMP(MARK), JUMP(CUT), JUMP(POPFAIL), JUMP(CUTFAIL), JUMP(LOOKOUT),
        JUMP(LOOKBACK), JUMP(HOLD), JUMP(RETURN), JUMP(BACK), JUMP(AGAIN), JUMP(HERE), JUMP(MOVED), JUMP(EOL),
        JUMP(START), JUMP(WORDB), JUMP(CALL), JUMP(RET), JUMP(UNKNOWN)
    };
#endif
    for (;;) {
        word = *c;
        switch (word & 255) {
        CASE(FAIL)
            goto fail;
        CASE(END)
            if (p != e) goto fail;
            answer = (int32_t)(word >> 8);
            goto done;
        CASE(JMP)
            c = code + c[1];
            NEXT;
        CASE(LIT1)
            if (p >= e || *p != (uint8_t)(word >> 8)) goto fail;
            p++, c++;
            NEXT;
        CASE(LIT8) {
            const uint32_t n = word >> 8;
            if (e - p < (ptrdiff_t)n || !same(p, last, n, c + 1)) goto fail;
            p += n, c += 3;
            NEXT;
        }
        CASE(LITN) {
            const uint32_t n = word >> 8;
            if (e - p < (ptrdiff_t)n || memcmp(p, it->texts + c[1], n)) goto fail;
            p += n, c += 2;
            NEXT;
        }
        CASE(ONE)
            if (p >= e || !(TABLE(word)[*p] & MASK(word))) goto fail;
            p++, c++;
            NEXT;
        CASE(SKIP)
            if (p >= e) goto fail;
            p++, c++;
            NEXT;
        CASE(SPAN) {
            const uint8_t *const q = spanned(p, e, TABLE(word), MASK(word));
            budget -= (q - p) >> 4;
            p = q, c++;
            NEXT;
        }
        CASE(SPAN1) {
            const uint8_t *const q = spanned(p, e, TABLE(word), MASK(word));
            if (q == p) goto fail;
            budget -= (q - p) >> 4;
            p = q, c++;
            NEXT;
        }
        CASE(SPANMAX) {
            const uint8_t *const limit = e - p > (ptrdiff_t)c[2] ? p + c[2] : e;
            const uint8_t *const q = spanned(p, limit, TABLE(word), MASK(word));
            if (q - p < (ptrdiff_t)c[1]) goto fail;
            budget -= (q - p) >> 4;
            p = q, c += 3;
            NEXT;
        }
        CASE(ALL)
            p = e, c++;
            NEXT;
        CASE(GSPAN) {
            const uint8_t *const limit = e - p > (ptrdiff_t)c[2] ? p + c[2] : e;
            const uint8_t *const q = spanned(p, limit, TABLE(word), MASK(word));
            if (q - p < (ptrdiff_t)c[1]) goto fail;
            budget -= (q - p) >> 4;
            const uint8_t *const least = p + c[1];
            const uint8_t *const table = TABLE(c[3]);
            const uint8_t mask = MASK(c[3]);
            const uint8_t *r = q;
            if (r == e ? !(c[3] & 1) : !(table[*r] & mask)) {
                do {
                    if (r == least) goto fail;
                    r--;
                } while (!(table[*r] & mask));
                budget -= (q - r) >> 4;
            }
            if (r > least) PUSH((uint32_t)(c - code) | SPAN_FLAG, r, least - s);
            p = r, c += 4;
            NEXT;
        }
        CASE(LSPAN) {
            const uint8_t *const table = TABLE(word);
            const uint8_t mask = MASK(word);
            if (e - p < (ptrdiff_t)c[1]) goto fail;
            for (uint32_t each = 0; each < c[1]; each++, p++)
                if (!(table[*p] & mask)) goto fail;
            const uint32_t more = c[2] == NO_LIMIT ? LONGEST + 1 : c[2] < c[1] ? 0 : c[2] - c[1];
            const ptrdiff_t stop = p - s + (ptrdiff_t)(more > LONGEST + 1 ? LONGEST + 1 : more);
            for (const uint8_t *const follow = TABLE(c[3]);; p++) {
                budget--;
                if (p == e ? c[3] & 1 : follow[*p] & MASK(c[3])) break;
                if (p == e || p - s >= stop || !(table[*p] & mask)) goto fail;
            }
            if (budget < 0) goto left;
            PUSH((uint32_t)(c - code) | SPAN_FLAG, p, stop);
            c += 4;
            NEXT;
        }
        CASE(OPEN)
            w->open[word >> 8] = (int32_t)(p - s);
            c++;
            NEXT;
        CASE(CLOSE)
            TAKE(word >> 8, w->open[word >> 8], p - s);
            c++;
            NEXT;
        CASE(CAPSPAN) {
            const uint8_t *const limit = e - p > (ptrdiff_t)c[3] ? p + c[3] : e;
            const uint8_t *const q = spanned(p, limit, TABLE(word), MASK(word));
            if (q - p < (ptrdiff_t)c[2]) goto fail;
            budget -= (q - p) >> 4;
            TAKE(c[1], p - s, q - s);
            p = q, c += 4;
            NEXT;
        }
        CASE(DISPATCH)
            c = code + (p < e ? c[3 + it->tables[256 * (size_t)c[1] + *p]] : c[2]);
            NEXT;
        CASE(TEST)
            c = p < e && TABLE(word)[*p] & MASK(word) ? c + 2 : code + c[1];
            NEXT;
        CASE(TESTEND)
            c = p >= e || TABLE(word)[*p] & MASK(word) ? c + 2 : code + c[1];
            NEXT;
        CASE(CHOICE)
            PUSH(c[1], p, 0);
            c += 2;
            NEXT;
        CASE(TRYLIT) {
            const uint32_t n = word >> 8;
            if (e - p >= (ptrdiff_t)n && same(p, last, n, c + 1)) {
                PUSH(c[3], p, 0);
                p += n, c += 4;
            } else
                c = code + c[3];
            NEXT;
        }
        CASE(IFLIT) {
            const uint32_t n = word >> 8;
            if (e - p >= (ptrdiff_t)n && same(p, last, n, c + 1))
                p += n, c += 4;
            else
                c = code + c[3];
            NEXT;
        }
        CASE(NOTLIT) {
            const uint32_t n = word >> 8;
            c = e - p >= (ptrdiff_t)n && same(p, last, n, c + 1) ? code + c[3] : c + 4;
            NEXT;
        }
        CASE(POP)
            if (!top) goto left;
            top--, c++;
            NEXT;
        CASE(MARK)
            registers[word >> 8] = top;
            c++;
            NEXT;
        CASE(CUT)
            if (registers[word >> 8] > top) goto left;
            top = registers[word >> 8], c++;
            NEXT;
        CASE(POPFAIL)
            if (!top) goto left;
            top--;
            goto fail;
        CASE(CUTFAIL)
            if (registers[word >> 8] > top) goto left;
            top = registers[word >> 8];
            goto fail;
        CASE(LOOKOUT)
        CASE(LOOKBACK) {
            if (registers[word >> 8] >= top) goto left;
            top = registers[word >> 8];
            const Entry *const entry = w->stack + top;
            p = s + entry->p;
            if ((word & 255) == LOOKBACK) {
                c++;
                NEXT;
            }
            for (; trail > entry->trail; trail--) {
                const Was *const was = w->trail + trail - 1;
                w->start[was->group] = was->start, w->end[was->group] = was->end;
            }
            c = code + c[1];
            NEXT;
        }
        CASE(HOLD)
            registers[word >> 8] = top, registers[(word >> 8) + 1] = (uint32_t)(p - s);
            c++;
            NEXT;
        CASE(RETURN)
            if (registers[word >> 8] > top || registers[(word >> 8) + 1] > e - s) goto left;
            top = registers[word >> 8], p = s + registers[(word >> 8) + 1];
            c++;
            NEXT;
        CASE(BACK)
            if (p - s < (ptrdiff_t)(word >> 8)) goto fail;
            p -= word >> 8, c++;
            NEXT;
        CASE(AGAIN)
            if (--budget < 0) goto left;
            c = code + c[1];
            NEXT;
        CASE(HERE)
            registers[word >> 8] = (uint32_t)(p - s);
            c++;
            NEXT;
        CASE(MOVED)
            if (--budget < 0) goto left;
            c = registers[word >> 8] != (uint32_t)(p - s) ? code + c[1] : c + 2;
            NEXT;
        CASE(EOL)
            if (p != e) goto fail;
            c++;
            NEXT;
        CASE(START)
            if (p != s) goto fail;
            c++;
            NEXT;
        CASE(WORDB)
            if ((p > s && is_word(p[-1])) == (p < e && is_word(*p))) goto fail;
            c++;
            NEXT;
        CASE(CALL)
            if (--budget < 0 || level == LEVELS) goto left;
            registers += word >> 8;
            w->calls[++level].back = (uint32_t)(c + 2 - code);
            w->calls[level].base = (uint32_t)(registers - w->registers);
            c = code + c[1];
            NEXT;
        CASE(RET)
            if (!level) goto left;
            c = code + w->calls[level].back;
            registers = w->registers + w->calls[--level].base;
            NEXT;
        CASE(UNKNOWN)
        default:
            goto left;
        }
    fail:
        if (--budget < 0) goto left;
        if (!top) {
            answer = NONE;
            goto done;
        }
        Entry *const entry = w->stack + top - 1;
        for (; trail > entry->trail; trail--) {
            const Was *const was = w->trail + trail - 1;
            w->start[was->group] = was->start, w->end[was->group] = was->end;
        }
        p = s + entry->p;
        level = entry->level;
        registers = w->registers + w->calls[level].base;
        if (!(entry->at & SPAN_FLAG)) {
            c = code + entry->at;
            top--;
            NEXT;
        }
        c = code + (entry->at & ~SPAN_FLAG);
        const uint8_t *const follow = TABLE(c[3]);
        const uint8_t mask = MASK(c[3]);
        const uint8_t *const stop = s + entry->stop;
        if ((*c & 255) == GSPAN) { /* give back */
            const uint8_t *const before = p;
            do {
                if (p == stop) break;
                p--;
            } while (!(follow[*p] & mask));
            budget -= (before - p) >> 4;
            if (p == before || !(follow[*p] & mask)) {
                top--;
                goto fail;
            }
            if (p == stop)
                top--;
            else
                entry->p = (int32_t)(p - s);
        } else { /* take more */
            do {
                budget--;
                if (p == e || p >= stop || !(TABLE(*c)[*p] & MASK(*c))) {
                    top--;
                    goto fail;
                }
                p++;
            } while (p == e ? !(c[3] & 1) : !(follow[*p] & mask));
            entry->p = (int32_t)(p - s);
        }
        c += 4;
    }
left:
    answer = LEFT;
done:
    *used = trail;
    return answer;
}

/* Match `count` lines of a text, from line `first` on: line i lies from starts[i] to ends[i] and has the program which[i], an
 * entry of the image. shape[i] is NONE, LEFT, or the shape's number; then offset[i] is where its fields lie in places: start
 * and end of each in the text, -1 and -1 where one took no part. Returns the first line that was not looked at, because there
 * was no room left for its places (room: int32s), or -1 where memory is wanting. */
EXPORT int64_t logscan_match(const uint8_t *text, int64_t size, const int64_t *starts, const int64_t *ends,
                             const int32_t *which, int64_t first, int64_t count, const uint32_t *image, int64_t words,
                             int32_t *shape, int32_t *offset, int32_t *places, int64_t room, int64_t *taken) {
    Image it;
    if (!taken_apart(image, words, &it)) return -1;
    Work *w = calloc(1, sizeof *w);
    if (!w) return -1;
    memset(w->start, 0xff, sizeof w->start);
    int64_t line, used = *taken;
    for (line = first; line < count; line++) {
        const int64_t from = starts[line], to = ends[line];
        shape[line] = LEFT;
        offset[line] = 0;
        if (which[line] < 0 || (uint32_t)which[line] >= it.n_entries || from < 0 || to < from || to > size || to > INT32_MAX)
            continue;
        uint32_t trail;
        int32_t found = run(&it, it.entries[which[line]], w, text + from, text + to, text + size, &trail);
        for (uint32_t each = 0; each < trail; each++) /* never so in a program that was translated */
            if (w->start[w->trail[each].group] > w->end[w->trail[each].group]) found = LEFT;
        if (found >= 0) {
            const uint32_t *const mine = it.shapes + 2 * (size_t)found;
            if (room - used < 2 * (int64_t)mine[1]) {
                while (trail) w->start[w->trail[--trail].group] = -1;
                break;
            }
            offset[line] = (int32_t)used;
            for (uint32_t each = 0; each < mine[1]; each++) {
                const uint32_t group = it.lists[mine[0] + each];
                const int in = w->start[group] >= 0;
                places[used++] = in ? (int32_t)from + w->start[group] : -1;
                places[used++] = in ? (int32_t)from + w->end[group] : -1;
            }
        }
        shape[line] = found;
        while (trail) w->start[w->trail[--trail].group] = -1;
    }
    *taken = used;
    free(w);
    return line;
}
