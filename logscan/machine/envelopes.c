/* Takes the envelopes off the lines of a chunk: where lines begin and end, the commonest stamps, "host tag[pid]: ".
 *
 * What stands there in another way is left alone, line by line; the Python side reads it as it always has. */
#include "interning.h"
#include "machine.h"

#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)
#define NEVER INT64_MIN
#define ZULU 1

enum { FIRST_YEAR = 1970, LAST_YEAR = 2261 };

static const uint8_t LENGTHS[13] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
static const int16_t BEFORE[13] = {0, 0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335};

static inline int blank_byte(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

/* How many of the bytes before `end` are one character of white space beyond ASCII, 0 for none. */
static inline int wide_blank(const uint8_t *start, const uint8_t *end) {
    uint8_t last = end[-1];
    int64_t size = end - start;
    if (size >= 2 && end[-2] == 0xC2 && (last == 0x85 || last == 0xA0)) return 2;
    if (size >= 3) {
        uint8_t first = end[-3], middle = end[-2];
        if (first == 0xE1 && middle == 0x9A && last == 0x80) return 3;
        if (first == 0xE2 && middle == 0x80 && ((last >= 0x80 && last <= 0x8B) || last == 0xA8 || last == 0xA9 || last == 0xAF)) return 3;
        if (first == 0xE2 && middle == 0x81 && last == 0x9F) return 3;
        if (first == 0xE3 && middle == 0x80 && last == 0x80) return 3;
        if (first == 0xEF && middle == 0xBB && last == 0xBF) return 3;
    }
    return last == 0xA0 && size > 1 && end[-2] < 0x80; /* the no-break space of Latin-1 */
}

/* Tells where the lines start and where they end without the white space at their ends; returns how many there are, or -1
 * where there are more than there is room for. */
EXPORT int64_t logscan_lines(const uint8_t *text, int64_t size, int64_t *starts, int64_t *ends, int64_t room) {
    int64_t count = 0;
    const uint8_t *at = text, *last = text + size;
    while (at < last) {
        if (count == room) return -1;
        const uint8_t *end = memchr(at, '\n', (size_t)(last - at));
        const uint8_t *next = end ? end + 1 : last;
        if (!end) end = last;
        for (int wide = 1; end > at && wide;) {
            wide = blank_byte(end[-1]) ? 1 : end[-1] >= 0x80 ? wide_blank(at, end) : 0;
            end -= wide;
        }
        starts[count] = at - text;
        ends[count++] = end - text;
        at = next;
    }
    return count;
}

/* Reads so many digits; -1 where one isn't. */
static inline int64_t digits(const uint8_t *at, int count) {
    int64_t value = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = at[i] - '0';
        if (digit > 9) return -1;
        value = value * 10 + digit;
    }
    return value;
}

static inline int leap(int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

/* Days from 1970 to 1 January of a year. */
static inline int64_t year_start(int64_t year) {
    int64_t before = year - 1;
    return (year - 1970) * 365 + (before / 4 - 492) - (before / 100 - 19) + (before / 400 - 4);
}

/* Reads hh:mm:ss as nanoseconds; -1 for no time of day. */
static inline int64_t time_of_day(const uint8_t *at) {
    int64_t hour = digits(at, 2), minute = digits(at + 3, 2), second = digits(at + 6, 2);
    if (at[2] != ':' || at[5] != ':' || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        return -1;
    }
    return (hour * 3600 + minute * 60 + second) * SECOND;
}

static inline int month_of(const uint8_t *at) {
    uint32_t name = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
#define NAME(a, b, c) ((uint32_t)(a) << 16 | (uint32_t)(b) << 8 | (c))
    switch (name) {
    case NAME('J', 'a', 'n'): return 1;
    case NAME('F', 'e', 'b'): return 2;
    case NAME('M', 'a', 'r'): return 3;
    case NAME('A', 'p', 'r'): return 4;
    case NAME('M', 'a', 'y'): return 5;
    case NAME('J', 'u', 'n'): return 6;
    case NAME('J', 'u', 'l'): return 7;
    case NAME('A', 'u', 'g'): return 8;
    case NAME('S', 'e', 'p'): return 9;
    case NAME('O', 'c', 't'): return 10;
    case NAME('N', 'o', 'v'): return 11;
    case NAME('D', 'e', 'c'): return 12;
    default: return 0;
    }
#undef NAME
}

struct moment {
    int64_t time, clock, year, offset;
};

/* Reads "Nov  8 06:25:01 "; returns its width, 0 where there is something else. At least 16 bytes and one more must be there. */
static int bsd(const uint8_t *at, struct moment *out) {
    int month = month_of(at);
    if (!month || at[3] != ' ' || at[6] != ' ' || at[15] != ' ' || at[16] == ' ') return 0;
    unsigned tens = at[4] == ' ' ? 0 : (unsigned)at[4] - '0', ones = (unsigned)at[5] - '0';
    int64_t day = (int64_t)tens * 10 + ones, clock = time_of_day(at + 7);
    if (tens > 3 || ones > 9 || day < 1 || day > LENGTHS[month] || clock < 0) return 0;
    *out = (struct moment){NEVER, (BEFORE[month] + day - 1) * DAY + clock, 0, NEVER};
    return 16;
}

/* Reads "2026-11-08T06:25:01.123456+01:00 ", also with a blank for the T, a comma for the point, no fraction, Z or no offset;
 * returns its width, 0 where there is something else. */
static int iso(const uint8_t *at, int64_t size, struct moment *out) {
    if (size < 21 || at[4] != '-' || at[7] != '-' || (at[10] != 'T' && at[10] != ' ')) return 0;
    int64_t year = digits(at, 4), month = digits(at + 5, 2), day = digits(at + 8, 2), clock = time_of_day(at + 11);
    if (year < FIRST_YEAR || year > LAST_YEAR || month < 1 || month > 12 || day < 1 || day > LENGTHS[month] || clock < 0) {
        return 0;
    }
    if (month == 2 && day == 29 && !leap(year)) return 0;
    int64_t next = 19;
    if (at[next] == '.' || at[next] == ',') {
        int64_t scale = SECOND, part = 0, from = ++next;
        for (; next < size && next - from < 9 && at[next] >= '0' && at[next] <= '9'; next++) {
            part = part * 10 + (at[next] - '0');
            scale /= 10;
        }
        if (next == from) return 0;
        clock += part * scale;
    }
    clock += (BEFORE[month] + day - 1) * DAY;
    int64_t offset = NEVER;
    if (next < size && (at[next] == 'Z' || at[next] == 'z')) {
        offset = ZULU;
        next++;
    } else if (next < size && (at[next] == '+' || at[next] == '-')) {
        int colon = next + 3 < size && at[next + 3] == ':';
        if (next + 5 + colon > size) return 0;
        int64_t hours = digits(at + next + 1, 2), minutes = digits(at + next + 3 + colon, 2);
        if (hours < 0 || minutes < 0) return 0;
        offset = (hours * 3600 + minutes * 60) * (at[next] == '-' ? -SECOND : SECOND);
        next += 5 + colon;
    }
    if (next + 1 >= size || at[next] != ' ') return 0;
    uint8_t after = at[next + 1];
    if (after == ' ' || (offset == NEVER && (after == '+' || after == '-'))) return 0;
    if (offset == NEVER) {
        *out = (struct moment){NEVER, clock, year, NEVER};
    } else {
        int64_t shift = month > 2 && !leap(year) ? DAY : 0;
        int64_t time = year_start(year) * DAY + clock - shift - (offset == ZULU ? 0 : offset);
        *out = (struct moment){time, -1, 0, offset};
    }
    return (int)next + 1;
}

/* Reads the stamps of lines; `width` is that of each line's stamp, 0 where it is left to others and nothing else is told of it
 * (time NEVER, clock -1, year 0, offset NEVER). Returns how many lines that hold anything were left. */
EXPORT int64_t logscan_stamps(const uint8_t *text, int64_t count, const int64_t *starts, const int64_t *ends,
                              int64_t *width, int64_t *time, int64_t *clock, int64_t *year, int64_t *offset) {
    int64_t left = 0;
    for (int64_t line = 0; line < count; line++) {
        struct moment told = {NEVER, -1, 0, NEVER};
        const uint8_t *at = text + starts[line];
        int64_t size = ends[line] - starts[line];
        int found = 0;
        if (size > 16) {
            if (at[0] >= '0' && at[0] <= '9') found = iso(at, size, &told);
            else found = bsd(at, &told);
        }
        if (!found) {
            told = (struct moment){NEVER, -1, 0, NEVER};
            left += size > 0;
        }
        width[line] = found;
        time[line] = told.time;
        clock[line] = told.clock;
        year[line] = told.year;
        offset[line] = told.offset;
    }
    return left;
}

/* Whether what stands behind a tag may begin another envelope: a stamp, or the message ID of Solaris's syslogd. */
static inline int may_go_on(const uint8_t *at, const uint8_t *end) {
    int64_t size = end - at;
    if (size >= 4 && !memcmp(at, "[ID ", 4)) return 1;
    if (size >= 14 && at[3] == ' ' && month_of(at)) return 1;
    return size >= 19 && at[4] == '-' && at[0] >= '0' && at[0] <= '9' && at[3] >= '0' && at[3] <= '9';
}

/* What the distinct tags of a chunk are: by tag, except for the names. */
struct tags {
    int64_t *first, *length; /* where "host tag[pid]" first stood */
    int32_t *name;           /* the number of its "host tag" */
    int64_t *pid;            /* the process ID, -1 for none, -2 where it isn't 1 to 18 digits */
    int64_t *name_length;    /* by name; each begins where the first tag of it does */
    int64_t *name_tag;       /* by name: that tag */
};

static inline int64_t pid_of(const uint8_t *at, const uint8_t *end) {
    if (at == end) return -1;
    const uint8_t *close = memchr(at + 1, ']', (size_t)(end - at - 1));
    if (!close) close = end;
    if (close == at + 1) return -1;
    int64_t number = close - at - 1 > 18 ? -1 : digits(at + 1, (int)(close - at - 1));
    return number < 0 ? -2 : number;
}

/* Numbers what the bodies of lines have for "host tag[pid]": a host without a bracket, one blank, a tag, perhaps a bracket and
 * anything, then ": ". `wanted` says which lines are looked at. tag[line] is the number, -1 where something else stands there, and
 * behind[line] the place of the colon. `out` has room for one a line in each array. inner[line] is 1 where another envelope may
 * follow, or something else stands there. counts gets how many tags and how many names there are, and of how many lines the
 * text says that a message was repeated.
 *
 * Returns 0, or -1 where memory is wanting. */
EXPORT int logscan_tags(const uint8_t *text, int64_t count, const int64_t *starts, const int64_t *ends,
                        const uint8_t *wanted, int32_t *tag, int64_t *behind, uint8_t *inner, const struct tags *out,
                        int64_t *counts, uint64_t seed) {
    struct interned tags = {0}, names = {0};
    const uint8_t **at = malloc((size_t)(count + 1) * sizeof *at), **name_at = malloc((size_t)(count + 1) * sizeof *at);
    counts[2] = 0;
    int failed = !at || !name_at || interning_begin(&tags, seed, at, out->length) ||
                 interning_begin(&names, seed, name_at, out->name_length);
    for (int64_t line = 0; line < count && !failed; line++) {
        const uint8_t *start = text + starts[line], *end = text + ends[line];
        tag[line] = -1;
        behind[line] = -1;
        inner[line] = 1;
        if (!wanted[line]) continue;
        const uint8_t *blank = memchr(start, ' ', (size_t)(end - start));
        if (!blank || blank == start || memchr(start, '[', (size_t)(blank - start))) continue;
        const uint8_t *colon = memchr(start, ':', (size_t)(end - start));
        while (colon && colon + 1 < end && colon[1] != ' ') colon = memchr(colon + 1, ':', (size_t)(end - colon - 1));
        if (!colon || colon + 1 >= end || colon < blank + 2) continue;
        const uint8_t *stop = blank + 1;
        while (stop < colon && *stop != ' ' && *stop != '[') stop++;
        if (stop == blank + 1 || (stop < colon && *stop == ' ')) continue;
        int64_t number = intern(&tags, start, colon - start);
        if (number >= 0 && out->name[number] < 0) {
            int64_t before = names.count, name = intern(&names, start, stop - start);
            if (name == before) out->name_tag[name] = number;
            out->name[number] = (int32_t)name;
            out->pid[number] = pid_of(stop, colon);
            failed = name < 0;
        }
        failed |= number < 0;
        tag[line] = (int32_t)number;
        behind[line] = colon - text;
        counts[2] += end - colon > 19 && !memcmp(colon + 2, "message repeated ", 17);
        inner[line] = (uint8_t)(may_go_on(colon + 2, end) || (end - blank > 8 && !memcmp(blank + 1, "deliver(", 8)));
    }
    for (int64_t each = 0; each < tags.count; each++) out->first[each] = at[each] - text;
    counts[0] = tags.count;
    counts[1] = names.count;
    interning_end(&tags);
    interning_end(&names);
    free(at);
    free(name_at);
    return failed ? -1 : 0;
}
