-- +goose Up
-- duly, schema version 1: tasks, what became of them, and who works on them. All instants are microseconds since 1970-01-01T00:00:00Z;
-- 9223372036854775807 is never. What is encoded is drawn in docs/format.md; the view duly.tasks shows the rest to people.

create schema if not exists duly;

create table duly.migration (
  version    integer primary key,
  compatible integer not null,           -- the oldest version whose programs can work on this one
  applied_at timestamptz not null default now()
);

-- A task, as long as it has an occurrence to come or a run that is not settled.
create table duly.task (
  ns         text collate "C" not null,
  name       text collate "C" not null,
  shard      smallint not null,          -- of the name, for ever the same
  due        bigint not null,            -- its place in the order of what is due
  generation bigint not null,
  kind       text collate "C" not null,
  tags       text[],                     -- null: none
  paused     boolean not null,
  running    integer not null,           -- attempts
  attempt    integer not null,           -- the highest number among its runs
  body       bytea not null,
  payload    bytea,
  primary key (ns, name)
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

-- Of what is due. It has all tasks, and says otherwise so that nobody looks names up in it while it is as small as the primary key.
create index task_due on duly.task (due, ns, name) where shard >= 0;

-- A run that will not be tried again, with its task.
create table duly.dead (
  ns            text collate "C" not null,
  name          text collate "C" not null,
  generation    bigint not null,
  scheduled_for bigint not null,
  due           bigint not null,
  died_at       bigint not null,
  kind          text collate "C" not null,
  tags          text[],
  body          bytea not null,
  payload       bytea,
  primary key (ns, name, generation, scheduled_for)
);

create index dead_died_at on duly.dead (died_at);

-- Numbers of entries of the history rise in the order in which they are given out, which is not quite that of commits.
create sequence duly.history_seq;

create table duly.history (
  seq      bigint primary key default nextval('duly.history_seq'),
  at       bigint not null,
  key      bigint not null,              -- a hash of the name: an index of it is half as large
  ns       text collate "C" not null,
  name     text collate "C" not null,
  identity bytea,                        -- of a one-off that is done
  body     bytea not null
) with (autovacuum_vacuum_insert_scale_factor = 0.1);

create index history_key on duly.history (key, seq);

-- Generations and fences. Whoever takes one for a task has its row locked, or is about to insert it.
create sequence duly.number;

-- Empty when the server may have lost its last commits, because such tables are emptied then: numbers must be raised before any is used.
create unlogged table duly.raised (at timestamptz not null default now());

-- Counters, one row for a writer, so that writers do not wait for each other; high is the latest time that one has seen.
create table duly.counter (
  lane    integer primary key,
  tasks   bigint not null default 0,
  paused  bigint not null default 0,
  running bigint not null default 0,
  dead    bigint not null default 0,
  history bigint not null default 0,
  high    bigint not null default 0
) with (fillfactor = 20);

insert into duly.counter (lane) select generate_series(0, 63);

-- What transactions of others have changed of them; it is added up now and then.
create table duly.counter_delta (
  tasks   bigint not null,
  paused  bigint not null,
  running bigint not null,
  dead    bigint not null,
  history bigint not null
);

create table duly.note (
  name text collate "C" primary key,
  text text not null
);

-- A process that works on tasks. Its session holds the advisory lock of its id for as long as it lives.
create table duly.node (
  id        integer generated always as identity primary key,
  name      text collate "C" not null unique, -- Scheduler Options.Owner
  session   bigint not null,                  -- drawn anew by each process
  since     bigint not null,                  -- when this session joined: what ran under the name before is lost; 0 is nothing
  seen_at   bigint not null,                  -- its last heartbeat
  lease_at  bigint not null,                  -- until when its shards are its own
  locked    boolean not null,                 -- it holds the lock
  offset_us bigint not null,                  -- what its clock is ahead of the server's
  gone_at   bigint,                           -- when its process was found to be gone
  kinds     text[] not null default '{}',     -- what it handles: of these it may have tasks in shards of others, who do not
  kinds_number bigint not null default 0      -- rises with each change of kinds
) with (fillfactor = 20);

create table duly.shard (
  shard smallint primary key,
  owner integer references duly.node (id) on delete set null,
  epoch bigint not null default 0
) with (fillfactor = 20);

insert into duly.shard (shard) select generate_series(0, 255);

-- For people and their tools; programs use the HTTP API.
create view duly.tasks as
select ns as namespace, name, kind,
       case when running > 0 then 'running' when paused then 'paused' else 'pending' end as state,
       case when due < 253402300800000000 then to_timestamp(due / 1e6) end as due_at,
       attempt, tags, generation, shard, octet_length(payload) as payload_bytes
from duly.task;

insert into duly.migration (version, compatible) values (1, 1);
