"""rspamd tells what it can't do: reach Redis or a scanner, or judge by words that it hasn't learned enough of."""

from __future__ import annotations

from logscan.grammar.formats import LogFormat, Sample, rx

# Who speaks, and in which function or script. What follows is rspamd's own text: a stranger's comes behind it.
_WHERE = rx(r"(?:\([^()]*\) )?(?:<[^<>]*>; )?[a-z_0-9]+; [A-Za-z0-9_.-]+(?::\d+)?: ")


def _trouble(kind: str, title: str, reference: str, words: str, *samples: tuple[str, str]) -> LogFormat:
    """Return the format of one kind of trouble; each sample is what stands before the text, and the text."""
    return LogFormat(
        name=f"rspamd-{kind}",
        title=title,
        reference=reference,
        programs=("rspamd",),
        table="filter_errors",
        constants={"filter": "rspamd", "kind": kind},
        line=_WHERE + rx(words)("text"),
        samples=tuple(Sample(before + text, {"text": text}) for before, text in samples),
        weight=5,
    )


REDIS = _trouble(
    "redis",
    "rspamd can't reach Redis, which keeps what it has learned, its greylist and its limits",
    "rspamd libstat/backends/redis_backend.c (to 3.6), lua/lua_redis.c, plugins/lua/greylist.lua, lualib/lua_redis.lua",
    r"(?:error getting reply from redis server |connection to redis server |cannot connect to redis |cannot connect to redis: "
    r"|cannot connect to redis \(OS error\): |cannot connect to redis server |cannot retrieve stat tokens from Redis: "
    r"|call to redis failed: |got error while connecting to redis|error connecting to redis|no upstreams reachable"
    r"|cannot select server to make redis |cannot classify task: )(?s:.*)",
    (
        "(normal) <c9a4d1>; task; rspamd_redis_connected: ",
        "error getting reply from redis server 127.0.0.1:6379 (idx:0): Connection refused",
    ),
    ("(normal) <c9a4d1>; task; rspamd_redis_timeout: ", "connection to redis server 127.0.0.1:6379 timed out"),
    ("(normal) <c9a4d1>; lua; greylist.lua:424: ", "got error while connecting to redis"),
    ("<c9a4d1>; task; rspamd_redis_classified: ", "cannot classify task: Connection refused"),
    ("(normal) <c9a4d1>; lua; lua_redis.lua:941: ", "cannot select server to make redis request"),
)

SCANNER = _trouble(
    "scanner",
    "rspamd gives up on a scanner for viruses, or another service that it asks",
    "rspamd lualib/lua_scanners/clamav.lua and those beside it",
    r"[A-Za-z0-9_-]+(?: [\[(][A-Za-z0-9_-]+[\])])?: failed to scan, maximum retransmits exceed(?s:.*)",
    ("(normal) <c9a4d1>; lua; clamav.lua:117: ", "clamav: failed to scan, maximum retransmits exceed"),
    ("(normal) <c9a4d1>; lua; savapi.lua:231: ", "SAVAPI [savapi]: failed to scan, maximum retransmits exceed"),
    ("(normal) <c9a4d1>; lua; clamav.lua:117: ", "first (clamav): failed to scan, maximum retransmits exceed"),
)

NOT_LEARNED = LogFormat(
    name="rspamd-learning-failed",
    title="rspamd can't store what a mail is to teach it",
    reference="rspamd libstat/backends/redis_backend.c (to 3.6), redis_backend.cxx, rspamd_redis_learned()",
    programs=("rspamd",),
    table="trainings",
    constants={"filter": "rspamd", "outcome": "failed"},
    line=_WHERE + rx(r'cannot learn (?:task: |[^ :<]+: redis error: ")(?s:.*)')("text"),
    samples=(
        Sample(
            "(controller) <c9a4d1>; csession; rspamd_redis_learned: cannot learn task: READONLY You can't write against a"
            " read only replica.",
            {"text": "cannot learn task: READONLY You can't write against a read only replica."},
        ),
        Sample(
            '(controller) <c9a4d1>; csession; rspamd_redis_learned: cannot learn BAYES_SPAM: redis error: "OOM"',
            {"text": 'cannot learn BAYES_SPAM: redis error: "OOM"'},
        ),
    ),
    weight=5,
)

UNTRAINED = LogFormat(
    name="rspamd-untrained",
    title="rspamd's Bayes doesn't judge a mail: too little was learned",
    reference="rspamd libstat/backends/redis_backend.c, rspamd_redis_connected() (to 3.6); libstat/classifiers/bayes.c",
    programs=("rspamd",),
    table="service_events",
    constants={"event": "untrained"},
    line=_WHERE
    + rx(
        r"skip obtaining bayes tokens for [^ ]+ of classifier [^:]*: not enough learns -?\d+; -?\d+ required"
        r"|not classified as (?:ham|spam)\. The (?:ham|spam) class needs more training samples\. Currently: \d+; minimum \d+"
        r" required"
        r"|class [^ ]+ excluded from classification: \d+ learns < \d+ minimum"
        r"|no classes have sufficient training samples for classification"
    )("text"),
    samples=tuple(
        Sample(f"(normal) <c9a4d1>; task; {where}: {text}", {"text": text})
        for where, text in (
            (
                "rspamd_redis_connected",
                "skip obtaining bayes tokens for BAYES_HAM of classifier bayes: not enough learns 3; 200 required",
            ),
            (
                "bayes_classify",
                "not classified as spam. The spam class needs more training samples. Currently: 12; minimum 200 required",
            ),
            ("bayes_classify_multiclass", "class ham excluded from classification: 3 learns < 200 minimum"),
            ("bayes_classify_multiclass", "no classes have sufficient training samples for classification"),
        )
    ),
    weight=5,
)

FORMAT = (REDIS, SCANNER, NOT_LEARNED, UNTRAINED)
