// Answers cron questions with the packages croner and cron-parser; see make diff-cron. It reads one JSON object a line,
// {"id", "expr", "zone", "from", "n"} with from in milliseconds since 1970, and writes one line each: for both packages the n
// instants after from, or what it said in place of them, and the milliseconds that it took. A question with "at" in place of
// expr asks for the zone's offsets, in seconds, at these instants.
import { createInterface } from 'node:readline';
import { Cron } from 'croner';
import { CronExpressionParser } from 'cron-parser';

const packages = {
  croner(q) {
    return new Cron(q.expr, { timezone: q.zone, paused: true }).nextRuns(q.n, new Date(q.from)).map((d) => d.getTime());
  },
  parser(q) {
    const all = [];
    const it = CronExpressionParser.parse(q.expr, { currentDate: new Date(q.from), tz: q.zone });
    for (let i = 0; i < q.n; i++) {
      all.push(it.next().getTime());
    }
    return all;
  },
};

function ask(name, q) {
  const start = performance.now();
  const answer = {};
  try {
    answer.at = packages[name](q);
  } catch (e) {
    answer.error = String(e?.message ?? e);
  }
  answer.took = performance.now() - start;
  return answer;
}

const formats = new Map();

function offset(zone, at) {
  if (!formats.has(zone)) {
    formats.set(zone, new Intl.DateTimeFormat('en-US', {
      timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric',
      hour: 'numeric', minute: 'numeric', second: 'numeric',
    }));
  }
  const p = Object.fromEntries(formats.get(zone).formatToParts(at).map((x) => [x.type, Number(x.value)]));
  return (Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second) - Math.floor(at / 1000) * 1000) / 1000;
}

let lines = [JSON.stringify({ node: process.version, zones: process.versions.tz })];
for await (const line of createInterface({ input: process.stdin })) {
  const q = JSON.parse(line);
  lines.push(JSON.stringify(q.at
    ? { id: q.id, offsets: q.at.map((t) => offset(q.zone, t)) }
    : { id: q.id, croner: ask('croner', q), parser: ask('parser', q) }));
  if (lines.length >= 500) {
    process.stdout.write(lines.join('\n') + '\n');
    lines = [];
  }
}
process.stdout.write(lines.join('\n') + '\n');
