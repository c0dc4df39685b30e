BEGIN TRANSACTION;
CREATE TABLE acknowledgements (
    id TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO "acknowledgements" VALUES('mail-stuck:alice@example.com','{"id":"mail-stuck:alice@example.com","until":"2026-12-31","why":"known","by":"root","at":1795824000000000000}',X'1410F4832414660759DD9D81E0CD1738');
CREATE TABLE blobs (
    name TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL,
    content BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO "blobs" VALUES('carried',X'CB0289A9ECA3AD70E570CD0454A60C03',X'28B52FFD20021100007B7D');
INSERT INTO "blobs" VALUES('open.entries',X'255A4C0DD1E49618B74EDBAFD2CF7E09',X'28B52FFD60E8028D0000506F70656E206D61696C730100DB5B1524');
CREATE TABLE cursors (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    digest BLOB NOT NULL
);
INSERT INTO "cursors" VALUES(1,'{"path":"/var/log/mail.log","kind":"syslog-iso","head":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","head_size":1000,"offset":1000,"tail":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","tail_size":100,"lines":12,"inode":[64,1234],"last":1795824000000000000,"journal":""}',X'F0D9AD8CAE8F1506108E9E08DC266DDA');
CREATE TABLE findings (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    first_run INTEGER NOT NULL CHECK (typeof(first_run) = 'integer'),
    last_run INTEGER NOT NULL CHECK (typeof(last_run) = 'integer'),
    gone_run INTEGER CHECK (typeof(gone_run) IN ('integer', 'null')),
    back_run INTEGER CHECK (typeof(back_run) IN ('integer', 'null')),
    first_seen INTEGER NOT NULL CHECK (typeof(first_seen) = 'integer'),
    last_seen INTEGER NOT NULL CHECK (typeof(last_seen) = 'integer'),
    body TEXT NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO "findings" VALUES('mail-stuck:alice@example.com','mail-stuck',1,1,NULL,NULL,1795824120000000000,1795824120000000000,'{"id":"mail-stuck:alice@example.com","check":"mail-stuck","cause":"queue","subject":"alice@example.com","summary":"Mail to alice@example.com is stuck","severity":"problem","state":"active","confidence":"high","count":2,"mails":2,"recipients":1,"first":1795824000000000000,"last":1795824001000000000}',X'2F612B1FBF060A55997BBE73BA25F4E4');
CREATE TABLE losses (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer'),
    body TEXT NOT NULL,
    digest BLOB NOT NULL
);
INSERT INTO "losses" VALUES(1,1,'{"kind":"gone","path":"/var/log/mail.log.1","size":100,"since":1795824000000000000,"until":null,"why":"the file is gone"}',X'C99B855D5E109F8C0E91A43A5F2179DF');
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer'),
    made INTEGER NOT NULL CHECK (typeof(made) = 'integer'),
    sent INTEGER CHECK (typeof(sent) IN ('integer', 'null')),
    attempts INTEGER NOT NULL CHECK (typeof(attempts) = 'integer'),
    error TEXT NOT NULL,
    body TEXT NOT NULL,
    body_digest BLOB NOT NULL,
    digest BLOB NOT NULL,
    content BLOB NOT NULL
);
INSERT INTO "outbox" VALUES(1,'<1@mx1.example.com>',1,1795824120000000000,NULL,0,'','{"message_id":"<1@mx1.example.com>","recipients":["postmaster@example.com"]}',X'5F41E8209DC636C47677A7E8A9B06611',X'4003DFF738AAF1B53F35D18CA8A3D52E',X'28B52FFD2016B100005375626A6563743A207265706F72740A0A66696E650A');
CREATE TABLE partitions (
    path TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    day TEXT NOT NULL CHECK (typeof(day) = 'text' AND length(day) < 40),
    rows INTEGER NOT NULL CHECK (typeof(rows) = 'integer'),
    size INTEGER NOT NULL CHECK (typeof(size) = 'integer'),
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer')
) WITHOUT ROWID;
CREATE TABLE reports (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer'),
    day TEXT NOT NULL CHECK (typeof(day) = 'text' AND length(day) < 40),
    since INTEGER CHECK (typeof(since) IN ('integer', 'null')),
    until INTEGER CHECK (typeof(until) IN ('integer', 'null')),
    lines INTEGER NOT NULL CHECK (typeof(lines) = 'integer'),
    body TEXT NOT NULL,
    digest BLOB NOT NULL,
    json BLOB,
    json_digest BLOB
);
INSERT INTO "reports" VALUES(1,1,'2026-11-28',1795824000000000000,1795824060000000000,7,'{"mails.total":3.0,"delay.p50":1.5}',X'6F5936D5A9F2E514E5861974C0BFA5D3',X'28B52FFD20210901007B226C6F677363616E223A207B2276657273696F6E223A2022302E322E30227D7D',X'D5CDA1736E0D07CE118EDA299E53C9D6');
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    begun INTEGER NOT NULL CHECK (typeof(begun) = 'integer'),
    ended INTEGER NOT NULL CHECK (typeof(ended) = 'integer'),
    version TEXT NOT NULL
);
INSERT INTO "runs" VALUES(1,1795824119000000000,1795824120000000000,'0.2.0');
CREATE TABLE seals (
    name TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID
;
INSERT INTO "seals" VALUES('blobs',X'E273C58B824E78F8B6718BB15DC21619');
INSERT INTO "seals" VALUES('cursors',X'C5EFE936C4F9F77AF6DBE62735C443F7');
INSERT INTO "seals" VALUES('partitions',X'CAE66941D9EFBD404E4D88758EA67670');
INSERT INTO "seals" VALUES('version',X'31');
CREATE TABLE verdicts (
    day TEXT NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    name TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('found', 'blind', 'clear', 'not-applicable')),
    checked INTEGER NOT NULL CHECK (typeof(checked) = 'integer'),
    eligible INTEGER NOT NULL CHECK (typeof(eligible) = 'integer'),
    PRIMARY KEY (day, name)
) WITHOUT ROWID;
INSERT INTO "verdicts" VALUES('2026-11-28','mail-stuck','found',3,4);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
PRAGMA user_version = 1;
PRAGMA application_id = 1818719075;
