/* Makes the columns of a table from places in texts: numbers, truths, and codes of what repeats.
 *
 * A column's values come in pieces, each from a text of its own. A part of a column is what one piece has of it: places, or
 * one constant for all its rows. Row r of a piece is row rank[r] of the table. */
#include "interning.h"
#include "machine.h"

enum kind { CODED, TEXT, INTEGER, FLOATING, TRUTH };

/* What the caller lays out as 64-bit numbers; the Python side names the same fields in the same order. */
struct piece {
    int64_t text, size; /* address and length of the bytes that its places are in */
    int64_t rows, rank; /* how many, and the address of their rows in the table (int64) */
    int64_t at, step;   /* a row's places lie so many int32s behind those of its parts: as many as stand at that address (int32
                         * a row), or, where it is 0, the row's number times step */
};

struct part {
    int64_t starts, ends;   /* addresses of its places (int32), a start below 0 where there is no value; 0 for a constant */
    int64_t constant, size; /* address and length of the constant, a size below 0 where there is none */
};

struct column {
    int64_t kind;
    int64_t values; /* CODED: codes (int32, 0 where there is none). TEXT: unused. INTEGER: int64. FLOATING: double. TRUTH: bits */
    int64_t valid;  /* bits, set where there is a value; all zero beforehand, as the bits of TRUTH are */
    int64_t at, length; /* CODED by code, TEXT by row: address and length (int64) of the bytes; length -1: none */
    int64_t missing;    /* given back: rows without a value */
    int64_t distinct;   /* given back: CODED: how many codes */
    int64_t bytes;      /* given back: length of all bytes of `at` together */
    int64_t odd;        /* given back: 1 where a number is written in a way that is left to others */
};

#define AT(type, address) ((type *)(uintptr_t)(address))

static const double POWERS[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static const double LARGEST = 1e9; /* as in the Python half */

struct span {
    const uint8_t *at; /* NULL: no value */
    int64_t size;
};

/* Finds a value of a part; returns 0, or -1 where its places aren't in the text. */
static inline int find(const struct piece *piece, const struct part *part, int64_t skipped, struct span *out) {
    int32_t start = AT(const int32_t, part->starts)[skipped];
    out->at = NULL;
    if (start < 0) return 0;
    int32_t end = AT(const int32_t, part->ends)[skipped];
    if (end < start || end > piece->size) return -1;
    out->size = end - start;
    out->at = out->size ? AT(const uint8_t, piece->text) + start : (const uint8_t *)""; /* NULL says something else */
    return 0;
}

/* Reads -?[0-9]{1,18}; returns 1 for a number, 0 for none (no characters), -1 for anything else. */
static inline int integer(struct span text, int64_t *out) {
    if (!text.size) return 0;
    int minus = text.at[0] == '-';
    if (text.size - minus < 1 || text.size - minus > 18 || text.size > 18) return -1;
    int64_t value = 0;
    for (int64_t i = minus; i < text.size; i++) {
        unsigned digit = text.at[i] - '0';
        if (digit > 9) return -1;
        value = value * 10 + digit;
    }
    *out = minus ? -value : value;
    return 1;
}

/* Reads -?[0-9]+(\.[0-9]+)? of at most 15 digits, which a double holds exactly, as is the power of ten it is divided by. */
static inline int floating(struct span text, double *out) {
    if (!text.size) return 0;
    int minus = text.at[0] == '-';
    if (text.size > 16 + minus) return -1;
    int64_t value = 0, digits = 0, point = -1;
    for (int64_t i = minus; i < text.size; i++) {
        unsigned digit = text.at[i] - '0';
        if (digit <= 9) {
            value = value * 10 + digit;
            digits++;
        } else if (text.at[i] == '.' && point < 0 && digits) {
            point = digits;
        } else {
            return -1;
        }
    }
    if (!digits || digits > 15 || point == digits) return -1;
    double read = (double)value / POWERS[point < 0 ? 0 : digits - point];
    *out = minus ? -read : read;
    return 1;
}

static inline int truth(struct span text) {
    if (text.size == 1) return text.at[0] == 'T' || text.at[0] == 'Y' || text.at[0] == '1';
    return (text.size == 4 && !memcmp(text.at, "true", 4)) || (text.size == 3 && !memcmp(text.at, "yes", 3));
}

static inline void set(int64_t bits, int64_t row) { AT(uint8_t, bits)[row >> 3] |= (uint8_t)(1 << (row & 7)); }

/* Makes a column of so many rows empty; returns 0, or -1 where memory is wanting. */
static int begin(struct column *column, struct interned *table, int64_t rows, uint64_t seed) {
    column->missing = rows;
    column->distinct = column->bytes = column->odd = 0;
    switch (column->kind) {
    case CODED:
        memset(AT(int32_t, column->values), 0xFF, (size_t)rows * 4);
        return interning_begin(table, seed, AT(const uint8_t *, column->at), AT(int64_t, column->length));
    case TEXT:
        memset(AT(int64_t, column->length), 0xFF, (size_t)rows * 8);
        return 0;
    case INTEGER:
    case FLOATING:
        memset(AT(int64_t, column->values), 0, (size_t)rows * 8);
        return 0;
    default:
        return 0;
    }
}

/* Puts one value where it belongs; returns 0, or -1 where memory is wanting. */
static inline int put(struct column *column, struct interned *table, int64_t row, struct span text) {
    column->missing--;
    switch (column->kind) {
    case CODED: {
        int64_t code = intern(table, text.at, text.size);
        if (code < 0) return -1;
        AT(int32_t, column->values)[row] = (int32_t)code;
        set(column->valid, row);
        return 0;
    }
    case TEXT:
        AT(const uint8_t *, column->at)[row] = text.at;
        AT(int64_t, column->length)[row] = text.size;
        column->bytes += text.size;
        set(column->valid, row);
        return 0;
    case INTEGER: {
        int64_t value = 0;
        int read = integer(text, &value);
        AT(int64_t, column->values)[row] = value;
        if (read > 0) set(column->valid, row);
        column->odd |= read < 0;
        return 0;
    }
    case FLOATING: {
        double value = 0;
        int read = floating(text, &value);
        column->odd |= read < 0;
        if (read > 0 && value >= -LARGEST && value <= LARGEST) {
            AT(double, column->values)[row] = value;
            set(column->valid, row);
        }
        return 0;
    }
    default:
        if (truth(text)) set(column->values, row);
        return 0;
    }
}

/* Numbers codes anew, in the order of the rows: a table doesn't depend on the order of its pieces. */
static int in_order_of_rows(struct column *column, int64_t rows) {
    int64_t count = column->distinct;
    int32_t *place = malloc((size_t)(count + 1) * sizeof *place);
    const uint8_t **at = malloc((size_t)(count + 1) * sizeof *at);
    int64_t *length = malloc((size_t)(count + 1) * sizeof *length);
    int fine = place && at && length;
    if (fine) {
        const uint8_t **old_at = AT(const uint8_t *, column->at);
        int64_t *old_length = AT(int64_t, column->length);
        int32_t *codes = AT(int32_t, column->values), next = 0;
        memset(place, 0xFF, (size_t)(count + 1) * sizeof *place);
        for (int64_t row = 0; row < rows; row++) {
            int32_t code = codes[row];
            if (code < 0) {
                codes[row] = 0;
                continue;
            }
            if (place[code] < 0) {
                at[next] = old_at[code];
                length[next] = old_length[code];
                place[code] = next++;
            }
            codes[row] = place[code];
        }
        memcpy(old_at, at, (size_t)count * sizeof *at);
        memcpy(old_length, length, (size_t)count * sizeof *length);
    }
    free(place);
    free(at);
    free(length);
    return fine ? 0 : -1;
}

/* Puts the rows of one piece into all columns, row by row: a line's bytes are near each other. `some` has room for a number a
 * column. Returns what logscan_columns does. */
static int take(const struct piece *piece, const struct part *const *parts, struct column *columns,
                struct interned *tables, int64_t many, int64_t rows, int64_t *some) {
    const int64_t *rank = AT(const int64_t, piece->rank);
    const int32_t *at = AT(const int32_t, piece->at);
    int64_t placed = 0;
    for (int64_t row = 0; row < piece->rows; row++) {
        if (rank[row] < 0 || rank[row] >= rows) return -2;
    }
    for (int64_t c = 0; c < many; c++) {
        const struct part *part = parts[c];
        if (part->starts) {
            some[placed++] = c;
        } else if (part->size >= 0) {
            struct span text = {part->size ? AT(const uint8_t, part->constant) : (const uint8_t *)"", part->size};
            for (int64_t row = 0; row < piece->rows; row++) {
                if (put(&columns[c], &tables[c], rank[row], text)) return -1;
            }
        }
    }
    if (!placed) return 0;
    for (int64_t row = 0; row < piece->rows; row++) {
        int64_t skipped = at ? at[row] : row * piece->step;
        for (int64_t each = 0; each < placed; each++) {
            int64_t c = some[each];
            struct span text;
            if (find(piece, parts[c], skipped, &text)) return -2;
            if (text.at && put(&columns[c], &tables[c], rank[row], text)) return -1;
        }
    }
    return 0;
}

/* Fills `columns`, each of `rows` rows; column c has its parts, one a piece, from parts[c * count] on.
 *
 * Returns 0; -1 where memory is wanting; -2 where a place isn't in its text. */
EXPORT int logscan_columns(const struct piece *pieces, int64_t count, const struct part *parts, struct column *columns,
                           int64_t many, int64_t rows, uint64_t seed) {
    struct interned *tables = calloc((size_t)many + 1, sizeof *tables);
    const struct part **mine = malloc(((size_t)many + 1) * sizeof *mine);
    int64_t *some = malloc(((size_t)many + 1) * sizeof *some);
    int failed = tables && mine && some ? 0 : -1;
    for (int64_t c = 0; c < many && !failed; c++) failed = begin(&columns[c], &tables[c], rows, seed);
    for (int64_t p = 0; p < count && !failed; p++) {
        for (int64_t c = 0; c < many; c++) mine[c] = &parts[c * count + p];
        failed = take(&pieces[p], mine, columns, tables, many, rows, some);
    }
    for (int64_t c = 0; c < many && tables; c++) {
        if (columns[c].kind != CODED || !tables[c].slots) continue;
        columns[c].distinct = tables[c].count;
        interning_end(&tables[c]);
        if (!failed) failed = in_order_of_rows(&columns[c], rows);
        for (int64_t code = 0; code < columns[c].distinct && !failed; code++) {
            columns[c].bytes += AT(int64_t, columns[c].length)[code];
        }
    }
    free(tables);
    free(mine);
    free(some);
    return failed;
}

/* Texts to be copied one behind the other; addresses as above. */
struct copied {
    int64_t at, length, count; /* as a column has them */
    int64_t offsets, data;     /* int32, one more than texts; bytes */
    int64_t beyond;            /* given back: 1 where a byte is beyond ASCII */
};

static void copy(struct copied *texts) {
    const uint8_t **at = AT(const uint8_t *, texts->at);
    const int64_t *length = AT(const int64_t, texts->length);
    int32_t *offsets = AT(int32_t, texts->offsets), end = 0;
    uint8_t *data = AT(uint8_t, texts->data);
    for (int64_t i = 0; i < texts->count; i++) {
        offsets[i] = end;
        if (length[i] <= 0) continue;
        memcpy(data + end, at[i], (size_t)length[i]);
        end += (int32_t)length[i];
    }
    offsets[texts->count] = end;
    uint64_t beyond = 0;
    int32_t i = 0;
    for (; i + 8 <= end; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        beyond |= word;
    }
    for (; i < end; i++) beyond |= data[i];
    texts->beyond = (beyond & UINT64_C(0x8080808080808080)) != 0;
}

EXPORT void logscan_texts(struct copied *texts, int64_t many) {
    for (int64_t each = 0; each < many; each++) copy(&texts[each]);
}

/* Numbers codes anew in the order of their rows: out[row] is the new code, 0 where there is none; used[new] is the old one.
 * `valid` has a bit a row, or is NULL where each row has a code; `place` has room for as many as there are codes, `words`.
 *
 * Returns how many codes are used; -1 where one isn't below `words`. */
EXPORT int64_t logscan_renumber(const int32_t *codes, const uint8_t *valid, int64_t rows, int64_t words, int32_t *out,
                                int32_t *place, int32_t *used) {
    int32_t next = 0;
    memset(place, 0xFF, (size_t)words * sizeof *place);
    for (int64_t row = 0; row < rows; row++) {
        out[row] = 0;
        if (valid && !(valid[row >> 3] >> (row & 7) & 1)) continue;
        int32_t code = codes[row];
        if (code < 0 || code >= words) return -1;
        if (place[code] < 0) {
            used[next] = code;
            place[code] = next++;
        }
        out[row] = place[code];
    }
    return next;
}
