// Answers questions about recurrences with the package rrule; see make diff-rrule. It reads one JSON object a line,
// {"id", "rule", "start", "end", "n"} with readings of a clock as 20260130T090000, and writes one line each: the first n occurrences
// not after the end, as readings, or what it said in place of them, and whether its time was over: 0.1 s.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Script } from 'node:vm';
import rrule from 'rrule';

const { version } = JSON.parse(readFileSync(new URL('node_modules/rrule/package.json', import.meta.url)));
const reading = (d) => d.toISOString().replace(/[-:]|\.\d+Z/g, '');
const date = (s) => new Date(Date.UTC(+s.slice(0, 4), s.slice(4, 6) - 1, +s.slice(6, 8), +s.slice(9, 11), +s.slice(11, 13), +s.slice(13, 15)));

// Its occurrences come in the order in which the rule lists hours, minutes and seconds, so that lists are sorted beforehand.
const sorted = (part) => part.replace(/^(BY(?:HOUR|MINUTE|SECOND|SETPOS|MONTH|MONTHDAY|YEARDAY|WEEKNO|EASTER)=)(.*)$/, (_, name, list) => name + list.split(',').sort((a, b) => a - b).join(','));

let question;
globalThis.diffrrule = () => {
  const parts = question.rule.split(';').map(sorted);
  const options = rrule.RRule.parseString(parts.join(';'));
  const end = date(question.end);
  const at = [];
  options.dtstart = date(question.start);
  options.until = options.until && options.until < end ? options.until : end; // which keeps it from searching to the end of time
  new rrule.RRule(options, true).all((d) => at.push(reading(d)) < question.n);
  return at;
};
const ask = new Script('diffrrule()'); // which can be stopped from outside

let lines = [JSON.stringify({ version: `rrule ${version} on node ${process.version}` })];
for await (const line of createInterface({ input: process.stdin })) {
  question = JSON.parse(line);
  let answer;
  try {
    answer = { at: ask.runInThisContext({ timeout: 100 }) };
  } catch (e) {
    answer = e?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? { over: true } : { error: String(e?.message ?? e) || 'an error without a message' };
  }
  lines.push(JSON.stringify({ id: question.id, ...answer }));
  if (lines.length >= 500) {
    process.stdout.write(lines.join('\n') + '\n');
    lines = [];
  }
}
process.stdout.write(lines.join('\n') + '\n');
